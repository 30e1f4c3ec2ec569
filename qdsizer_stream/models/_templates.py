"""Curves that the physics check is made of."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..patterns import BinGrid

__all__ = ["Templates", "pooled_bins"]

CHECK_STEP_INV_ANGSTROM = 0.04
"""Bins of the physics check: two thirds of the width of a peak of a 10 nm dot, half as many as the finest
frames need, so that a check takes half the time."""


@dataclass(frozen=True, eq=False)
class Templates:
    """Curves that the physics check is made of."""

    q_inv_angstrom: NDArray[np.float64]
    """Momentum transfers, equispaced, finer than the bins and past them on both sides, Å⁻¹, shape (n_q,)."""
    mean_nm: NDArray[np.float64]
    """Number-weighted mean diameter of each population of dots, nm, shape (n_dots,)."""
    dispersion: NDArray[np.float64]
    """Relative standard deviation of each population, shape (n_dots,)."""
    dots: NDArray[np.float64]
    """Patterns of cold, unstrained dots with mean 1, averaged over a check's bins, shape (n_dots, n_q)."""
    liquids: NDArray[np.float64]
    """Curves of liquids with mean 1, shape (n_liquids, n_q)."""
    peaks_inv_angstrom: NDArray[np.float64]
    """Where the peaks of the dots stand, ascending, Å⁻¹, shape (n_peaks,)."""


def pooled_bins(grid: BinGrid) -> int:
    """Count the bins of a frame that the physics check takes together.

    Parameters
    ----------
    grid
        Bins of the frame.

    Returns
    -------
    As many bins as make 0.04 Å⁻¹, at least 1.
    """
    return max(1, round(CHECK_STEP_INV_ANGSTROM / grid.q_step_inv_angstrom))

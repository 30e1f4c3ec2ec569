"""Curves that the physics check fits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..patterns import BinGrid

__all__ = ["Templates", "pooled_bins"]

CHECK_STEP_INV_ANGSTROM = 0.04
"""Bins of the physics check: two thirds of the width of a peak of a 10 nm dot, half as many as the finest
frames have, so that a check takes half the time."""


N_PHASE_POINTS = 3
"""Phases are stored at every third point: their own peaks are wider than the check's bins."""

SOLVENTS_KEY = "liquids"
"""Name of the solvents' curves in a model file, from its first version."""


def _no_phases() -> NDArray[np.float64]:
    return np.empty((0, 0))


@dataclass(frozen=True, eq=False)
class Templates:
    """Curves that the physics check fits to a frame."""

    q_inv_angstrom: NDArray[np.float64]
    """Momentum transfers, equispaced, finer than the bins and past them on both sides, Å⁻¹, shape (n_q,)."""
    mean_nm: NDArray[np.float64]
    """Number-weighted mean diameter of each population of dots, nm, shape (n_dots,)."""
    dispersion: NDArray[np.float64]
    """Relative standard deviation of each population, shape (n_dots,)."""
    dots: NDArray[np.float64]
    """Patterns of cold, unstrained dots with mean 1, averaged over the check's bins, shape (n_dots, n_q)."""
    solvents: NDArray[np.float64]
    """Curves of solvents with mean 1, shape (n_solvents, n_q)."""
    peaks_inv_angstrom: NDArray[np.float64]
    """Positions of the peaks of the dots, ascending, Å⁻¹, shape (n_peaks,)."""
    phases: NDArray[np.float64] = field(default_factory=_no_phases)
    """Curves of other crystals that may be beside the dots, several sizes of each, with mean 1, shape
    (n_phases, n_q)."""
    phase_names: tuple[str, ...] = ()
    """Name of the crystal of each of them."""

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Take templates from the arrays of a model file.

        Parameters
        ----------
        arrays
            Arrays by name, as `to_arrays` gives them.

        Returns
        -------
        The templates.

        Raises
        ------
        KeyError, TypeError
            An array is missing, or there is one too many.
        """
        named: dict[str, Any] = dict(arrays)
        if "phases" in named:
            q = named["q_inv_angstrom"]
            stored = named["phases"].astype(np.float64)
            named["phases"] = np.array([np.interp(q, q[::N_PHASE_POINTS], curve) for curve in stored])
            named["phase_names"] = tuple(str(name) for name in named["phase_names"])
        return cls(solvents=named.pop(SOLVENTS_KEY), **named)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Give the templates as the arrays of a model file.

        Returns
        -------
        Arrays by name, the curves in single precision: their own errors are of the order of per cents.
        """
        arrays: dict[str, NDArray[Any]] = {
            "q_inv_angstrom": self.q_inv_angstrom,
            "mean_nm": self.mean_nm,
            "dispersion": self.dispersion,
            "dots": self.dots.astype(np.float32),
            SOLVENTS_KEY: self.solvents.astype(np.float32),
            "peaks_inv_angstrom": self.peaks_inv_angstrom,
        }
        if self.phase_names:
            arrays["phases"] = self.phases[:, ::N_PHASE_POINTS].astype(np.float32)
            arrays["phase_names"] = np.array(self.phase_names)
        return arrays


def pooled_bins(grid: BinGrid) -> int:
    """Count the bins of a frame that the physics check pools.

    Parameters
    ----------
    grid
        Bins of the frame.

    Returns
    -------
    Number of bins that span 0.04 Å⁻¹, at least 1.
    """
    return max(1, round(CHECK_STEP_INV_ANGSTROM / grid.q_step_inv_angstrom))

"""Halos of unknown solvents and a smooth background."""

import numpy as np
from numpy.typing import NDArray

from .._smooth_background import background_splines

__all__ = ["background_curves"]

HALOS_INV_ANGSTROM = (
    *((centre, 0.18) for centre in np.arange(0.9, 2.6, 0.15)),
    *((centre, 0.35) for centre in (2.7, 3.0, 3.3)),
)
"""Centres and standard deviations of the halos of solvents that are not among the templates."""


def background_curves(
    q_inv_angstrom: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Curves whose non-negative amounts make up what is neither a crystal nor a known solvent.

    Parameters
    ----------
    q_inv_angstrom
        Momentum transfers, ascending, Å⁻¹, shape (n,).

    Returns
    -------
    Halos, shape (n_halos, n), and cubic splines, shape (n_splines, n).
    """
    q = q_inv_angstrom
    halos = [np.exp(-0.5 * ((q - centre) / width) ** 2) for centre, width in HALOS_INV_ANGSTROM]
    return np.array(halos), background_splines(q)

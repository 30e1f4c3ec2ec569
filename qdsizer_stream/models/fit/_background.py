"""Halos of unknown solvents and a smooth background."""

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline

__all__ = ["background_curves"]

KNOT_STEPS_INV_ANGSTROM = (0.8, 1.6)
"""Knots of the smooth background below and above `CROWDED_INV_ANGSTROM`, as in the physics check."""

CROWDED_INV_ANGSTROM = 6.5
"""Q beyond which no solvent has a peak: the background varies slowly there."""

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
    return np.array(halos), _splines(q)


def _splines(q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cubic splines of the smooth background, shape (n_splines, n_q)."""
    fine, coarse = KNOT_STEPS_INV_ANGSTROM
    knots = np.append(np.arange(q[0], min(CROWDED_INV_ANGSTROM, q[-1]), fine), q[-1])
    if q[-1] > CROWDED_INV_ANGSTROM > q[0]:
        n_coarse = int(np.ceil((q[-1] - knots[-2]) / coarse)) + 1
        knots = np.concatenate([knots[:-2], np.linspace(knots[-2], q[-1], n_coarse)])
    padded = np.concatenate([[knots[0]] * 3, knots, [knots[-1]] * 3])
    return np.asarray(BSpline.design_matrix(q, padded, 3).toarray().T)

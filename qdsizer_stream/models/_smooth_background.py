"""Halos of unknown solvents, and a smooth background."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["background_curves", "background_splines"]

HALOS_INV_ANGSTROM = (
    *((centre, 0.18) for centre in np.arange(0.9, 2.6, 0.15)),
    *((centre, 0.35) for centre in (2.7, 3.0, 3.3)),
)
"""Centres and standard deviations of the halos of solvents that the templates do not contain. The nearest
neighbours of organic molecules are 2.5 to 7 Å apart, and hexane's halo, one of the narrowest, is as narrow;
water and glass have a second, wider one."""

KNOT_STEPS_INV_ANGSTROM = (0.8, 1.6)
"""Knots below and above `CROWDED_INV_ANGSTROM`: the bumps are wider than any peak of a dot above 1.5 nm."""

CROWDED_INV_ANGSTROM = 6.5
"""Q beyond which no solvent has a peak: the background varies slowly there."""

DEGREE = 3
"""Degree of the splines."""


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


def background_splines(q_inv_angstrom: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cubic B-splines over a range of Q, which add up to 1.

    Parameters
    ----------
    q_inv_angstrom
        Momentum transfer, Å⁻¹, ascending, shape (n,).

    Returns
    -------
    The splines, shape (n_splines, n).
    """
    q = q_inv_angstrom
    fine, coarse = KNOT_STEPS_INV_ANGSTROM
    knots = np.append(np.arange(q[0], min(CROWDED_INV_ANGSTROM, q[-1]), fine), q[-1])
    if q[0] >= CROWDED_INV_ANGSTROM:
        knots = np.linspace(q[0], q[-1], int(np.ceil((q[-1] - q[0]) / coarse)) + 1)
    elif q[-1] > CROWDED_INV_ANGSTROM:
        n_coarse = int(np.ceil((q[-1] - knots[-2]) / coarse)) + 1
        knots = np.concatenate([knots[:-2], np.linspace(knots[-2], q[-1], n_coarse)])
    return _b_splines(q, np.concatenate([[knots[0]] * DEGREE, knots, [knots[-1]] * DEGREE]))


def _b_splines(x: NDArray[np.float64], knots: NDArray[np.float64]) -> NDArray[np.float64]:
    """B-splines by the recursion of de Boor (J. Approx. Theory 6, 50, 1972), shape (n_splines, n).

    SciPy's would do, but its package of splines takes longer to import than all else here.
    """
    last = knots.size - DEGREE - 2  # index of the last interval, which holds its right end too
    interval = np.minimum(np.searchsorted(knots, x, side="right") - 1, last)
    splines = (np.arange(knots.size - 1)[:, None] == interval).astype(np.float64)
    for degree in range(1, DEGREE + 1):
        width = knots[degree:] - knots[:-degree]
        inverse = np.divide(1.0, width, where=width > 0, out=np.zeros(width.size))[:, None]
        rise = (x - knots[:-degree, None]) * inverse
        splines = rise[:-1] * splines[:-1] + (1 - rise[1:]) * splines[1:] * (inverse[1:] > 0)
    return np.asarray(splines)

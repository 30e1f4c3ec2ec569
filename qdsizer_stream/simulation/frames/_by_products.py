"""Lines of crystals beside the dots: by-products of a synthesis, ice, powder on the sample holder."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...patterns import FWHM_PER_SD, blur_matrix
from ..crystal import load_material
from ._crystal_patterns import crystal_patterns
from ._draws import log_uniform

__all__ = ["by_product_crystals", "by_product_curve", "by_product_lines"]

N_LINES = (3, 16)
"""Fewest and most lines of one crystal: a cubic metal has three below 5 Å⁻¹, lead oxide more than ten."""

SIZE_NM = (1.5, 15.0)
"""Sizes of by-products, nm."""

SCHERRER = 0.9
"""Scherrer's constant: FWHM in Q times diameter is 2π times this."""

DECAY_INV_ANGSTROM = 4.0
"""Q over which lines fall to 1/e: form factors and thermal motion."""

HEIGHT_SHAPE = 0.7
"""Shape of the gamma distribution of the heights of lines: a few strong ones and many weak ones."""

REACH_SD = 4.0
"""Standard deviations after which a line ends."""

CRYSTAL_SIZES_NM = np.geomspace(1.5, 13.0, 8)
"""Mean diameters of by-products of known structure, nm: steps of 36 %, as their sizes do not matter."""

CRYSTAL_DISPERSION = 0.15
"""Their dispersion."""

CELL_SCATTER = 0.003
"""Standard deviation of their lattice parameters, relative: temperature, composition, size."""

MAX_DISTANCE_ANGSTROM = 200.0
"""Longest distance in them, Å, within which blurring is exact."""


def by_product_lines(
    rng: np.random.Generator, q_inv_angstrom: NDArray[np.float64], fwhm_inv_angstrom: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Draw the lines of one crystal of no particular structure.

    Positions and heights are random, so that a network learns to leave any other line out, not those of a
    few crystals.

    Parameters
    ----------
    rng
        Source of randomness.
    q_inv_angstrom
        Momentum transfers, ascending, Å⁻¹, shape (n_q,).
    fwhm_inv_angstrom
        Width of the instrument at each, Å⁻¹, shape (n_q,).

    Returns
    -------
    Lines with a mean of 1 over the whole range, shape (n_q,).
    """
    n = rng.integers(N_LINES[0], N_LINES[1] + 1)
    # Reflections become more frequent with Q: their number grows like its cube, their overlap hides the rest.
    centre = np.sort(np.sqrt(rng.uniform(q_inv_angstrom[0] ** 2, q_inv_angstrom[-1] ** 2, n)))
    height = rng.gamma(HEIGHT_SHAPE, 1.0, n) * np.exp(-centre / DECAY_INV_ANGSTROM)
    own = 2 * np.pi * SCHERRER / (10 * log_uniform(rng, SIZE_NM, 1)[0])
    sd = np.hypot(own, np.interp(centre, q_inv_angstrom, fwhm_inv_angstrom)) / FWHM_PER_SD
    lines = np.zeros(q_inv_angstrom.size)
    first = np.searchsorted(q_inv_angstrom, centre - REACH_SD * sd)
    last = np.searchsorted(q_inv_angstrom, centre + REACH_SD * sd)
    for k in range(n):
        near = slice(first[k], last[k])
        lines[near] += height[k] * np.exp(-0.5 * ((q_inv_angstrom[near] - centre[k]) / sd[k]) ** 2)
    return np.asarray(lines / max(lines.mean(), np.finfo(float).tiny), np.float32)


def by_product_crystals(
    materials: Sequence[str], q_inv_angstrom: NDArray[np.float64], wavelength_angstrom: float
) -> NDArray[np.float64]:
    """Simulate nanocrystals of known by-products.

    Parameters
    ----------
    materials
        Materials of the package, or paths of TOML or CIF files.
    q_inv_angstrom
        Momentum transfers, Å⁻¹, shape (n_q,).
    wavelength_angstrom
        Wavelength of f', f'' and the Compton recoil, Å.

    Returns
    -------
    Patterns of several sizes of each, shape (n_curves, n_q).

    Raises
    ------
    PhysicsError
        A material is unknown, or Q leaves the form-factor tables.
    """
    return np.concatenate(
        [
            crystal_patterns(
                load_material(material),
                q_inv_angstrom,
                CRYSTAL_SIZES_NM,
                CRYSTAL_DISPERSION,
                wavelength_angstrom,
            )
            for material in materials
        ]
    )


def by_product_curve(
    rng: np.random.Generator,
    crystals: NDArray[np.float64],
    q_inv_angstrom: NDArray[np.float64],
    fwhm_inv_angstrom: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Draw a nanocrystal of a known by-product, as the instrument shows it.

    Parameters
    ----------
    rng
        Source of randomness.
    crystals
        Patterns, as `by_product_crystals` gives them, shape (n_curves, n_q).
    q_inv_angstrom
        Momentum transfers, equispaced, Å⁻¹, shape (n_q,).
    fwhm_inv_angstrom
        Width of the instrument at each, Å⁻¹, shape (n_q,).

    Returns
    -------
    Pattern with a mean of 1 over the whole range, shape (n_q,).
    """
    curve = crystals[rng.integers(len(crystals))]
    moved = np.interp(q_inv_angstrom * (1 + CELL_SCATTER * rng.standard_normal()), q_inv_angstrom, curve)
    if fwhm_inv_angstrom.any():
        step = float(q_inv_angstrom[1] - q_inv_angstrom[0])
        moved = blur_matrix(fwhm_inv_angstrom / FWHM_PER_SD, step, MAX_DISTANCE_ANGSTROM, 0, 0) @ moved
    return np.asarray(moved / moved.mean(), np.float32)

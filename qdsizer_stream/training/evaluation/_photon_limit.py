"""The least half-width that photons allow: what an interval is measured against."""

import numpy as np
from numpy.typing import NDArray

from ...models import TWO_SIDED_95, PhysicsFit, Templates
from ...patterns import Pattern

__all__ = ["least_half_width_nm"]

SPREAD = {"dispersion": 0.06, "strain": 0.005, "B": 0.8}
"""Standard deviations of what samples have, known to whoever has seen any; B in Å²."""


def least_half_width_nm(
    templates: Templates, binned: Pattern, fit: PhysicsFit, size_nm: float, dispersion: float
) -> float:
    """Half-width of the narrowest honest 95 % interval of one frame, from its counting noise alone.

    The bound of Cramér and Rao for whoever knows shape, surface, liquid and background exactly, but not
    how much there is of each, and dispersion, strain and displacement parameter no better than what samples
    have. Derivatives are those of the templates, on the dots that the physics check has found.

    Parameters
    ----------
    templates
        Curves of dots.
    binned
        Frame on its bins.
    fit
        What it is made of.
    size_nm
        True number-weighted mean diameter, nm.
    dispersion
        True dispersion.

    Returns
    -------
    Half-width, nm; NaN where the frame tells nothing of sizes.
    """
    usable = binned.usable & np.isfinite(fit.dots)
    q, sigma, dots = binned.q_inv_angstrom[usable], binned.sigma[usable], fit.dots[usable]
    by_size, by_dispersion, by_strain = _log_slopes(templates, q, size_nm, dispersion)
    damping = -(q**2) / (8 * np.pi**2)
    free = np.stack([dots, fit.solvent[usable], fit.background[usable]])
    bounded = dots * np.stack([by_dispersion, by_strain, damping])
    # What is known beforehand is one measurement more of each.
    known = np.block(
        [
            [free / sigma, np.zeros((3, 3))],
            [bounded / sigma, np.diag([1 / spread for spread in SPREAD.values()])],
        ]
    ).T
    norm = np.linalg.norm(known, axis=0)
    known = known[:, norm > 0] / norm[norm > 0]  # there may be no liquid
    wanted = np.append(dots * by_size / sigma, np.zeros(3))
    amounts, *_ = np.linalg.lstsq(known, wanted)
    left = float(np.linalg.norm(wanted - known @ amounts))
    return TWO_SIDED_95 * size_nm / left if left > 0 else float("nan")


def _log_slopes(
    templates: Templates, q: NDArray[np.float64], size_nm: float, dispersion: float
) -> tuple[NDArray[np.float64], ...]:
    """Slopes of a template's logarithm over ln size, dispersion and strain, each of shape (n_q,)."""
    means, dispersions = np.unique(templates.mean_nm), np.unique(templates.dispersion)
    i = int(np.clip(np.argmin(np.abs(np.log(means / size_nm))), 1, means.size - 2))
    j = int(np.argmin(np.abs(dispersions - dispersion)))
    j_low, j_high = max(j - 1, 0), min(j + 1, dispersions.size - 1)

    def logarithm(mean: int, spread: int, stretch: float = 1.0) -> NDArray[np.float64]:
        row = (templates.mean_nm == means[mean]) & (templates.dispersion == dispersions[spread])
        curve = templates.dots[int(np.flatnonzero(row)[0])]
        return np.asarray(np.log(np.interp(q * stretch, templates.q_inv_angstrom, curve)))

    step = 1e-3  # of strain: a sixth of the width of the peaks of 10 nm dots at 10 Å⁻¹
    return (
        (logarithm(i + 1, j) - logarithm(i - 1, j)) / np.log(means[i + 1] / means[i - 1]),
        (logarithm(i, j_high) - logarithm(i, j_low)) / (dispersions[j_high] - dispersions[j_low]),
        (logarithm(i, j, 1 + step) - logarithm(i, j, 1 - step)) / (2 * step),
    )

"""The photons' limit: half-width of the interval due to counting noise alone."""

import numpy as np
from numpy.typing import NDArray

from ...models import TWO_SIDED_95, PhysicsFit, Templates
from ...patterns import Pattern

__all__ = ["min_half_width_nm"]

PRIOR_SD = {"dispersion": 0.06, "strain": 0.005, "B": 0.8}
"""Standard deviations of the prior knowledge about samples; B in Å²."""


def min_half_width_nm(
    templates: Templates, binned: Pattern, fit: PhysicsFit, size_nm: float, dispersion: float
) -> float:
    """Half-width of the narrowest calibrated 95 % interval of one frame, from its counting noise alone.

    The Cramér-Rao bound if shape, surface, solvent and background are known exactly except for their
    amplitudes, and dispersion, strain and displacement parameter only as well as `PRIOR_SD`. Derivatives are
    those of the templates, for the dots that the physics check has fitted.

    Parameters
    ----------
    templates
        Templates of the physics check.
    binned
        Frame on its bins.
    fit
        Fit of the frame by the physics check.
    size_nm
        True number-weighted mean diameter, nm.
    dispersion
        True dispersion.

    Returns
    -------
    Half-width, nm; NaN if the frame contains no information about the size.
    """
    usable = binned.usable & np.isfinite(fit.dots)
    q, sigma, dots = binned.q_inv_angstrom[usable], binned.sigma[usable], fit.dots[usable]
    by_size, by_dispersion, by_strain = _log_slopes(templates, q, size_nm, dispersion)
    damping = -(q**2) / (8 * np.pi**2)
    free = np.stack([dots, fit.solvent[usable], fit.background[usable]])
    with_prior = dots * np.stack([by_dispersion, by_strain, damping])
    # Prior knowledge is equivalent to one more measurement of each parameter.
    nuisance = np.block(
        [
            [free / sigma, np.zeros((3, 3))],
            [with_prior / sigma, np.diag([1 / sd for sd in PRIOR_SD.values()])],
        ]
    ).T
    norm = np.linalg.norm(nuisance, axis=0)
    nuisance = nuisance[:, norm > 0] / norm[norm > 0]  # there may be no solvent
    signal = np.append(dots * by_size / sigma, np.zeros(3))
    amplitudes, *_ = np.linalg.lstsq(nuisance, signal)
    information = float(np.linalg.norm(signal - nuisance @ amplitudes))
    return TWO_SIDED_95 * size_nm / information if information > 0 else float("nan")


def _log_slopes(
    templates: Templates, q: NDArray[np.float64], size_nm: float, dispersion: float
) -> tuple[NDArray[np.float64], ...]:
    """Derivatives of the logarithm of a template by ln size, dispersion and strain, each of shape (n_q,)."""
    means, dispersions = np.unique(templates.mean_nm), np.unique(templates.dispersion)
    i = int(np.clip(np.argmin(np.abs(np.log(means / size_nm))), 1, means.size - 2))
    j = int(np.argmin(np.abs(dispersions - dispersion)))
    j_low, j_high = max(j - 1, 0), min(j + 1, dispersions.size - 1)

    def logarithm(mean_index: int, dispersion_index: int, stretch: float = 1.0) -> NDArray[np.float64]:
        same_mean = templates.mean_nm == means[mean_index]
        same_dispersion = templates.dispersion == dispersions[dispersion_index]
        curve = templates.dots[int(np.flatnonzero(same_mean & same_dispersion)[0])]
        return np.asarray(np.log(np.interp(q * stretch, templates.q_inv_angstrom, curve)))

    step = 1e-3  # of strain: one sixth of the peak width of 10 nm dots at 10 Å⁻¹
    return (
        (logarithm(i + 1, j) - logarithm(i - 1, j)) / np.log(means[i + 1] / means[i - 1]),
        (logarithm(i, j_high) - logarithm(i, j_low)) / (dispersions[j_high] - dispersions[j_low]),
        (logarithm(i, j, 1 + step) - logarithm(i, j, 1 - step)) / (2 * step),
    )

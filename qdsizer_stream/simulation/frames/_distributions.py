"""Size distributions beside the log-normal: results of growth, ripening, sorting and mixing."""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy.special import digamma, gammainc, gammaln, ndtr

from ...configuration import Config
from ._draws import PositiveRange, Range, log_uniform
from ._population import bin_edges, check_means

__all__ = ["DistributionRanges", "SizeDistribution", "cumulative_fraction", "drawn_weights"]

LSW_LIMIT = 1.5
"""Largest size over the mean of a ripened population (Lifshitz & Slyozov 1961, Wagner 1961)."""

SKEW_SHAPE = 4.0
"""Shape of the mirrored gamma distribution: skewness -2/√4 = -1, and no size beyond two standard deviations
above the mean."""

GROWTH_RATIO = (1.1, 2.2)
"""Growth during one frame: a slow frame of a fast synthesis."""

GROWTH_STEPS = 12
"""Log-normals that a growing population is summed from: neighbours are closer than their widths."""

NEWTON_STEPS = 4
"""Steps to the shape of a Weibull distribution: from within 10 % to rounding."""


class SizeDistribution(StrEnum):
    """Shape of the number distribution of diameters."""

    LOGNORMAL = "log-normal"
    """Logarithm normal: the usual assumption."""
    GAUSSIAN = "gaussian"
    """Normal, cut at 0: what TEM histograms are often fitted with."""
    GAMMA = "gamma"
    """Gamma: skewed less than the log-normal."""
    WEIBULL = "weibull"
    """Weibull: skewed to small sizes where it is narrow, as after a short nucleation."""
    LSW = "lsw"
    """Ostwald ripening limited by diffusion (Lifshitz, Slyozov, Wagner): a sharp upper end at 1.5 times the
    mean, a long tail below. Its dispersion is always 21.5 %; the one drawn is ignored."""
    LEFT_SKEWED = "left-skewed"
    """Mirrored gamma: size focusing that leaves small ones behind."""
    UNIFORM = "uniform"
    """All sizes between two limits equally frequent: growth while the frame is counted."""
    GROWN = "grown"
    """Log-normals one after the other while the mean grows: a frame that was counted for long."""
    TWO_MODES = "two-modes"
    """Two log-normals: a second nucleation, a mixture of two batches."""


class DistributionRanges(Config):
    """Ranges that size distributions are drawn from."""

    kinds: tuple[SizeDistribution, ...] = Field(min_length=1)
    """Shapes, all equally likely; name one twice to double its odds."""
    mode_ratio: PositiveRange = (1.3, 2.4)
    """Mean of the larger over that of the smaller of two modes, log-uniform."""
    mode_dispersion: Range = (0.04, 0.15)
    """Dispersion of each of two modes, uniform: the mixture has more."""
    mode_mass_fraction: Range = (0.1, 0.9)
    """Mass fraction of the larger of two modes, uniform."""

    growth_ratio: PositiveRange | None = None
    """Mean at the end over that at the beginning of a grown population, log-uniform; 1.1 to 2.2 where left
    out."""

    @model_validator(mode="after")
    def _check_modes(self) -> "DistributionRanges":
        if not (
            self.mode_dispersion[0] > 0 and 0 < self.mode_mass_fraction[0] <= self.mode_mass_fraction[1] < 1
        ):
            raise ValueError(
                f"two modes have dispersions {self.mode_dispersion} and mass fractions "
                f"{self.mode_mass_fraction}: give dispersions > 0 and fractions between 0 and 1"
            )
        return self


def cumulative_fraction(
    kind: SizeDistribution,
    diameters_nm: NDArray[np.float64],
    mean_nm: NDArray[np.float64],
    dispersion: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Fraction of the dots, by number, that are not larger than a diameter.

    Parameters
    ----------
    kind
        Shape, any but two modes, which are a sum of two.
    diameters_nm
        Diameters, nm, shape (n_diameters,).
    mean_nm
        Number-weighted means, nm, shape (n,).
    dispersion
        Standard deviations over the means, shape (n,); the LSW distribution has its own.

    Returns
    -------
    Fractions, shape (n_diameters, n). A normal or left-skewed distribution may begin below 0: its fraction at
    0 is then above 0, and differences between positive diameters leave that part out.
    """
    d = np.maximum(diameters_nm, 0.0)[:, None]
    deviation = (d / mean_nm - 1) / dispersion
    match kind:
        case SizeDistribution.LOGNORMAL:
            s_squared = np.log1p(dispersion**2)
            with np.errstate(divide="ignore"):
                result = ndtr((np.log(d) - np.log(mean_nm) + s_squared / 2) / np.sqrt(s_squared))
        case SizeDistribution.GAUSSIAN:
            result = ndtr(deviation)
        case SizeDistribution.GAMMA:
            shape = 1 / dispersion**2
            result = gammainc(shape, shape * d / mean_nm)
        case SizeDistribution.WEIBULL:
            shape = _weibull_shape(dispersion)
            scale = mean_nm / np.exp(gammaln(1 + 1 / shape))
            result = -np.expm1(-((d / scale) ** shape))
        case SizeDistribution.LSW:
            result = _lsw(d / mean_nm)
        case SizeDistribution.LEFT_SKEWED:
            mirrored = np.maximum(SKEW_SHAPE - np.sqrt(SKEW_SHAPE) * deviation, 0.0)
            result = 1 - gammainc(SKEW_SHAPE, mirrored)
        case SizeDistribution.UNIFORM:
            result = np.clip(0.5 + deviation / np.sqrt(12), 0.0, 1.0)
        case SizeDistribution.TWO_MODES:
            raise ValueError("two modes are a sum of two distributions: take the cumulative fraction of each")
        case SizeDistribution.GROWN:
            raise ValueError("grown dots are a sum of distributions: take the cumulative fraction of each")
    return np.asarray(result)


def drawn_weights(
    rng: np.random.Generator,
    ranges: DistributionRanges,
    diameters_nm: NDArray[np.float64],
    mean_nm: NDArray[np.float64],
    dispersion: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Draw a shape for each population and integrate it over the bins of the clusters.

    Parameters
    ----------
    rng
        Source of randomness.
    ranges
        What to draw from.
    diameters_nm
        Diameters of the clusters, nm, ascending, shape (n_clusters,).
    mean_nm
        Number-weighted mean diameters, nm, shape (n,).
    dispersion
        Standard deviations over the means, shape (n,).

    Returns
    -------
    Number fractions, shape (n_clusters, n); each column sums to 1, since what lies beyond the clusters is
    left out.

    Raises
    ------
    PhysicsError
        A mean or dispersion is not positive, or a mean lies off the clusters.
    """
    check_means(diameters_nm, mean_nm, dispersion)
    chosen = rng.integers(len(ranges.kinds), size=mean_nm.size)
    edges = bin_edges(diameters_nm)
    cumulative = np.empty((edges.size, mean_nm.size))
    for number in np.unique(chosen):
        of_kind = chosen == number
        mean, relative_sd = mean_nm[of_kind], dispersion[of_kind]
        if ranges.kinds[number] is SizeDistribution.TWO_MODES:
            cumulative[:, of_kind] = _two_modes(rng, ranges, edges, mean)
        elif ranges.kinds[number] is SizeDistribution.GROWN:
            cumulative[:, of_kind] = _grown(rng, ranges, edges, mean, relative_sd)
        else:
            cumulative[:, of_kind] = cumulative_fraction(ranges.kinds[number], edges, mean, relative_sd)
    counted = np.diff(cumulative, axis=0)
    return np.asarray(counted / counted.sum(axis=0))


def _two_modes(
    rng: np.random.Generator,
    ranges: DistributionRanges,
    edges_nm: NDArray[np.float64],
    mean_nm: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Cumulative fractions of two log-normals with one mean altogether, shape (n_edges, n)."""
    n = mean_nm.size
    ratio = log_uniform(rng, ranges.mode_ratio, n)
    mass = rng.uniform(*ranges.mode_mass_fraction, n)
    narrow, broad = rng.uniform(*ranges.mode_dispersion, (2, n))
    # The mean cube of a log-normal is ⟨D⟩³ (1 + r²)³.
    cube = (ratio * (1 + broad**2) / (1 + narrow**2)) ** 3
    larger = mass / (mass + (1 - mass) * cube)
    smaller_mean = mean_nm / (1 - larger + larger * ratio)
    lognormal = SizeDistribution.LOGNORMAL
    return np.asarray(
        (1 - larger) * cumulative_fraction(lognormal, edges_nm, smaller_mean, narrow)
        + larger * cumulative_fraction(lognormal, edges_nm, smaller_mean * ratio, broad)
    )


def _grown(
    rng: np.random.Generator,
    ranges: DistributionRanges,
    edges_nm: NDArray[np.float64],
    mean_nm: NDArray[np.float64],
    dispersion: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Mean cumulative fractions of log-normals whose mean grows evenly, shape (n_edges, n)."""
    ratio = log_uniform(rng, ranges.growth_ratio or GROWTH_RATIO, mean_nm.size)
    total = np.zeros((edges_nm.size, mean_nm.size))
    for progress in (np.arange(GROWTH_STEPS) + 0.5) / GROWTH_STEPS:
        now = mean_nm * (1 + progress * (ratio - 1)) / (1 + (ratio - 1) / 2)
        total += cumulative_fraction(SizeDistribution.LOGNORMAL, edges_nm, now, dispersion)
    return total / GROWTH_STEPS


def _lsw(size: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cumulative distribution of size over mean: 1 - (3/(3+u))^(4/3) (3/(3-2u))^(5/3) exp(-2u/(3-2u))."""
    u = np.minimum(size, LSW_LIMIT)
    with np.errstate(divide="ignore", invalid="ignore"):
        left = LSW_LIMIT - u
        survival = (3 / (3 + u)) ** (4 / 3) * (LSW_LIMIT / left) ** (5 / 3) * np.exp(-u / left)
    return np.asarray(np.where(left > 0, 1 - np.nan_to_num(survival, nan=0.0), 1.0))


def _weibull_shape(dispersion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shape k with Γ(1 + 2/k)/Γ(1 + 1/k)² - 1 equal to the squared dispersion, by Newton's method in ln k."""
    wanted = np.log1p(dispersion**2)
    log_k = -1.086 * np.log(dispersion)  # Justus et al., J. Appl. Meteorol. 17, 350 (1978): within 10 %
    for _ in range(NEWTON_STEPS):
        k = np.exp(log_k)
        excess = gammaln(1 + 2 / k) - 2 * gammaln(1 + 1 / k) - wanted
        slope = -2 / k * (digamma(1 + 2 / k) - digamma(1 + 1 / k))
        log_k = log_k - excess / slope
    return np.asarray(np.exp(log_k))

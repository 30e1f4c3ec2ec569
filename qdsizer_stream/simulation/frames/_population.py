"""Populations: how many clusters of each size."""

import warnings
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

from ...errors import PhysicsError

__all__ = [
    "Moments",
    "Sampling",
    "Weighting",
    "bin_edges",
    "check_means",
    "histogram_weights",
    "lognormal_weights",
    "population_moments",
]

MIN_FRACTION = 0.99
"""A population of which less than this is among the clusters is no longer the nominal one."""

EXACT = 1e-12
"""Relative tolerance of an exact mean: rounding."""


class Weighting(StrEnum):
    """Quantity that a size distribution counts."""

    NUMBER = "number"
    """Clusters, as a TEM histogram and the paper do."""
    MASS = "mass"
    """Mass of the clusters, to which X-ray scattering is proportional."""


class Sampling(StrEnum):
    """How a continuous distribution becomes fractions of discrete clusters."""

    POINTS = "points"
    """Its density at each cluster, as in the paper: the mean shifts where it is narrower than a step
    (-6.6 % at 2 nm, 5 % and steps of 0.46 nm)."""
    BINS = "bins"
    """Its integral from half-way to the smaller neighbour to half-way to the larger: less shift (-2.8 %),
    more width."""
    EXACT_MEAN = "exact-mean"
    """Its density at each cluster, shifted until the realised mean is the nominal one."""


@dataclass(frozen=True)
class Moments:
    """Realised moments of populations on a grid of sizes, each of shape (n_populations,)."""

    number_mean_nm: NDArray[np.float64]
    """Number-weighted mean diameter, nm."""
    mass_mean_nm: NDArray[np.float64]
    """Mass-weighted mean diameter, nm."""
    dispersion: NDArray[np.float64]
    """Standard deviation of the number distribution over its mean."""


def lognormal_weights(
    diameters_nm: NDArray[np.float64],
    mean_nm: NDArray[np.float64],
    dispersion: NDArray[np.float64],
    weighting: Weighting = Weighting.NUMBER,
    sampling: Sampling = Sampling.POINTS,
    min_fraction: float = MIN_FRACTION,
) -> NDArray[np.float64]:
    """Number fractions of a log-normal distribution.

    The density is exp(-(ln D - μ)²/2s²)/D with s² = ln(1 + r²) and μ = ln⟨D⟩ - s²/2; where the
    distribution counts mass, the fractions are divided by D_k³. A warning is issued where the clusters
    cover too little of the distribution: the rest is left out, and the realised moments differ from the
    nominal ones.

    Parameters
    ----------
    diameters_nm
        Diameters of the clusters, nm, ascending and evenly spaced unless bins are integrated, shape
        (n_clusters,).
    mean_nm
        Mean diameter of the distribution, nm, shape (n_populations,).
    dispersion
        Standard deviation over the mean, shape (n_populations,).
    weighting
        Quantity that the distribution counts.
    sampling
        How the distribution is discretised.
    min_fraction
        Fraction of each distribution that the clusters must cover; 0 for callers that want it cut off and
        use the realised moments.

    Returns
    -------
    Number fractions, shape (n_clusters, n_populations); each column sums to 1.

    Raises
    ------
    PhysicsError
        A mean or dispersion is not positive, or a mean lies off the clusters.
    """
    check_means(diameters_nm, mean_nm, dispersion)
    s_squared = np.log1p(dispersion**2)
    centre = np.log(mean_nm) - s_squared / 2
    with np.errstate(divide="ignore"):  # the first bin may begin at 0
        cumulative = ndtr((np.log(bin_edges(diameters_nm))[:, None] - centre) / np.sqrt(s_squared))
    covered = cumulative[-1] - cumulative[0]
    if np.any(covered < min_fraction):
        worst = int(np.argmin(covered))
        warnings.warn(
            f"{covered[worst]:.3%} of the population of {mean_nm[worst]:.4g} nm with dispersion "
            f"{dispersion[worst]:.4g} are among the clusters ({diameters_nm[0]:.4g} … {diameters_nm[-1]:.4g} "
            f"nm), the rest is left out: simulate more clusters, or use the realised moments",
            stacklevel=2,
        )
    if sampling is Sampling.BINS:
        counted = np.diff(cumulative, axis=0)
        if weighting is Weighting.MASS:
            counted = counted / diameters_nm[:, None] ** 3
        return np.asarray(counted / counted.sum(axis=0))
    if sampling is Sampling.EXACT_MEAN:
        centre = np.array(
            [
                _centre_of_mean(diameters_nm, mean, float(c), float(s2))
                for mean, c, s2 in zip(mean_nm, centre, s_squared, strict=True)
            ]
        )
    exponent = _log_density(diameters_nm[:, None], centre, s_squared)
    if weighting is Weighting.MASS:
        exponent -= 3 * np.log(diameters_nm)[:, None]
    weights = np.exp(exponent - exponent.max(axis=0))
    return np.asarray(weights / weights.sum(axis=0))


def check_means(
    diameters_nm: NDArray[np.float64], mean_nm: NDArray[np.float64], dispersion: NDArray[np.float64]
) -> None:
    """Reject populations that the clusters cannot make.

    Parameters
    ----------
    diameters_nm
        Diameters of the clusters, nm, ascending, shape (n_clusters,).
    mean_nm
        Mean diameters, nm, shape (n,).
    dispersion
        Standard deviations over the means, shape (n,).

    Raises
    ------
    PhysicsError
        A mean or dispersion is not positive, or a mean lies off the clusters.
    """
    if not (np.all(mean_nm > 0) and np.all(dispersion > 0)):
        raise PhysicsError(
            f"means and dispersions of populations must be positive, found means from {np.min(mean_nm)} nm "
            f"and dispersions from {np.min(dispersion)}"
        )
    if np.any((mean_nm < diameters_nm[0]) | (mean_nm > diameters_nm[-1])):
        raise PhysicsError(
            f"mean diameters from {np.min(mean_nm):.4g} to {np.max(mean_nm):.4g} nm leave the clusters "
            f"({diameters_nm[0]:.4g} … {diameters_nm[-1]:.4g} nm): simulate more clusters"
        )


def histogram_weights(
    diameters_nm: NDArray[np.float64],
    edges_nm: NDArray[np.float64],
    counts: NDArray[np.float64],
    weighting: Weighting = Weighting.NUMBER,
) -> NDArray[np.float64]:
    """Number fractions of a histogram, such as one of sizes in micrographs.

    Counts are distributed evenly over their bin, and each cluster receives those nearer to it than to its
    neighbours.

    Parameters
    ----------
    diameters_nm
        Diameters of the clusters, nm, ascending, shape (n_clusters,).
    edges_nm
        Edges of the bins, nm, ascending, shape (n_bins + 1,).
    counts
        Counts in each bin, shape (n_bins,).
    weighting
        Whether clusters or their mass were counted.

    Returns
    -------
    Number fractions, shape (n_clusters, 1); they sum to 1.

    Raises
    ------
    PhysicsError
        The edges do not ascend, there is not one count per bin, counts are negative or all zero, or less
        than 99 % of them are among the clusters.
    """
    if edges_nm.size != counts.size + 1 or not np.all(np.diff(edges_nm) > 0):
        raise PhysicsError(
            f"{edges_nm.size} edges and {counts.size} counts: a histogram needs one edge more than counts, "
            "in ascending order"
        )
    if not (np.all(counts >= 0) and 0 < counts.sum() < np.inf):
        raise PhysicsError(
            f"the counts of a histogram run from {counts.min():.4g} to {counts.max():.4g}: give finite "
            "numbers ≥ 0, not all 0"
        )
    cumulative = np.interp(
        bin_edges(diameters_nm), edges_nm, np.append(0.0, np.cumsum(counts)) / counts.sum()
    )
    covered = cumulative[-1] - cumulative[0]
    if covered < MIN_FRACTION:
        raise PhysicsError(
            f"{covered:.3%} of the histogram ({edges_nm[0]:.4g} … {edges_nm[-1]:.4g} nm) are among the "
            f"clusters ({diameters_nm[0]:.4g} … {diameters_nm[-1]:.4g} nm), which must be at least 99 %: "
            "simulate more clusters"
        )
    counted = np.diff(cumulative)
    if weighting is Weighting.MASS:
        counted = counted / diameters_nm**3
    return np.asarray(counted / counted.sum())[:, None]


def population_moments(diameters_nm: NDArray[np.float64], weights: NDArray[np.float64]) -> Moments:
    """Realised moments of populations on their grid of sizes.

    Parameters
    ----------
    diameters_nm
        Diameters of the clusters, nm, shape (n_clusters,).
    weights
        Number fractions, shape (n_clusters, n_populations).

    Returns
    -------
    The moments; mass is proportional to the third power of the diameter.
    """
    d = diameters_nm
    first, second, third, fourth = (d**power @ weights for power in (1, 2, 3, 4))
    variance = np.maximum(second - first**2, 0.0)
    return Moments(first, fourth / third, np.sqrt(variance) / first)


def bin_edges(diameters_nm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Edges of the bins of clusters.

    Parameters
    ----------
    diameters_nm
        Diameters of the clusters, nm, ascending, shape (n_clusters,).

    Returns
    -------
    Half-way points, nm, shape (n_clusters + 1,); the outermost bins reach as far out as in, but not below 0.
    """
    half = np.diff(diameters_nm) / 2
    inner = diameters_nm[:-1] + half
    first = max(diameters_nm[0] - half[0], 0.0) if half.size else 0.0
    last = diameters_nm[-1] + half[-1] if half.size else np.inf
    return np.concatenate([[first], inner, [last]])


def _log_density(
    diameters_nm: NDArray[np.float64],
    centre: NDArray[np.float64] | float,
    s_squared: NDArray[np.float64] | float,
) -> NDArray[np.float64]:
    return np.asarray(-((np.log(diameters_nm) - centre) ** 2) / (2 * s_squared) - np.log(diameters_nm))


def _centre_of_mean(
    diameters_nm: NDArray[np.float64], mean_nm: float, centre: float, s_squared: float
) -> float:
    """μ for which the distribution has this mean on the clusters; the mean rises with μ."""

    def excess(mu: float) -> float:
        exponent = _log_density(diameters_nm, mu, s_squared)
        weights = np.exp(exponent - exponent.max())
        return float(weights @ diameters_nm / weights.sum() / mean_nm - 1)

    reach = 1.0
    while excess(centre - reach) > 0 or excess(centre + reach) < 0:
        reach *= 2  # for a mean near either end, μ lies far beyond it
    return float(brentq(excess, centre - reach, centre + reach, xtol=EXACT))

"""Populations: how many clusters of each size."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ..errors import PhysicsError

__all__ = ["Moments", "Weighting", "lognormal_weights", "population_moments"]


class Weighting(StrEnum):
    """What a size distribution counts."""

    NUMBER = "number"
    """Clusters: the distribution of a TEM histogram, and that of the paper."""
    MASS = "mass"
    """Mass of the clusters: what X-rays weigh."""


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
) -> NDArray[np.float64]:
    """Number fractions of a log-normal distribution, sampled at the diameters of the clusters.

    p_k ∝ exp(-(ln D_k - μ)²/2s²)/D_k with s² = ln(1 + r²) and μ = ln⟨D⟩ - s²/2; where the
    distribution counts mass, p_k is divided by D_k³.

    Parameters
    ----------
    diameters_nm
        Diameters of the clusters, nm, evenly spaced, shape (n_clusters,).
    mean_nm
        Mean diameter of the distribution, nm, shape (n_populations,).
    dispersion
        Standard deviation over the mean, shape (n_populations,).
    weighting
        What the distribution counts.

    Returns
    -------
    Number fractions, shape (n_clusters, n_populations); each column sums to 1.

    Raises
    ------
    PhysicsError
        A mean or dispersion is not positive, or a distribution lies off the clusters altogether.
    """
    if np.any(mean_nm <= 0) or np.any(dispersion <= 0):
        raise PhysicsError(
            f"a population needs a positive mean and dispersion, found means from {np.min(mean_nm)} nm "
            f"and dispersions from {np.min(dispersion)}"
        )
    s_squared = np.log1p(dispersion**2)
    centre = np.log(mean_nm) - s_squared / 2
    exponent = (
        -((np.log(diameters_nm)[:, None] - centre) ** 2) / (2 * s_squared) - np.log(diameters_nm)[:, None]
    )
    if weighting is Weighting.MASS:
        exponent -= 3 * np.log(diameters_nm)[:, None]
    weights = np.exp(exponent - exponent.max(axis=0))
    if np.any((mean_nm < diameters_nm[0]) | (mean_nm > diameters_nm[-1])):
        raise PhysicsError(
            f"mean diameters from {np.min(mean_nm):.4g} to {np.max(mean_nm):.4g} nm leave the clusters "
            f"({diameters_nm[0]:.4g} … {diameters_nm[-1]:.4g} nm): simulate more clusters"
        )
    return np.asarray(weights / weights.sum(axis=0))


def population_moments(diameters_nm: NDArray[np.float64], weights: NDArray[np.float64]) -> Moments:
    """Moments that populations have on their grid of sizes, whatever was asked for.

    Parameters
    ----------
    diameters_nm
        Diameters of the clusters, nm, shape (n_clusters,).
    weights
        Number fractions, shape (n_clusters, n_populations).

    Returns
    -------
    The moments; mass goes with the third power of the diameter.
    """
    d = diameters_nm
    first, second, third, fourth = (d**power @ weights for power in (1, 2, 3, 4))
    variance = np.maximum(second - first**2, 0.0)
    return Moments(first, fourth / third, np.sqrt(variance) / first)

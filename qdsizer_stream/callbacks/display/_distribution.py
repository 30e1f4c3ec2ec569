"""The size distribution behind an estimate, by number and by mass."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Distribution", "distribution"]

N_POINTS = 200
"""Points of the curves."""

REACH_SD = 5.0
"""Curves end this many standard deviations of ln D from the median of the mass distribution, where nothing is
left to see."""


@dataclass(frozen=True, eq=False)
class Distribution:
    """Fractions per nm of diameter; the area below each curve is 1."""

    diameters_nm: NDArray[np.float64]
    """Diameters, ascending, nm, shape (n,)."""
    number_per_nm: NDArray[np.float64]
    """Fraction of the dots, 1/nm, shape (n,)."""
    mass_per_nm: NDArray[np.float64]
    """Fraction of the mass, 1/nm, shape (n,)."""


def distribution(number_mean_nm: float, dispersion: float) -> Distribution | None:
    """Draw the log-normal distribution with a mean and a dispersion.

    The frame determines the mean and the dispersion, not the shape: the log-normal is a convention.

    Parameters
    ----------
    number_mean_nm
        Number-weighted mean diameter, nm.
    dispersion
        Standard deviation of the number distribution over its mean.

    Returns
    -------
    The distribution by number and by mass; None where either value is NaN or not positive.
    """
    if not (number_mean_nm > 0 and dispersion > 0):
        return None
    variance = math.log1p(dispersion**2)
    log_median = math.log(number_mean_nm) - variance / 2
    # Weighting by D³ moves a log-normal by three variances and keeps its width.
    log_mass_median = log_median + 3 * variance
    sd = math.sqrt(variance)
    diameters = np.exp(np.linspace(log_median - REACH_SD * sd, log_mass_median + REACH_SD * sd, N_POINTS))

    def density(median: float) -> NDArray[np.float64]:
        z = (np.log(diameters) - median) / sd
        return np.asarray(np.exp(-0.5 * z**2) / (diameters * sd * math.sqrt(2 * math.pi)))

    return Distribution(diameters, density(log_median), density(log_mass_median))

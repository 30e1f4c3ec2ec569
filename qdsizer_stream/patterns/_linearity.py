"""Whether intensities are proportional to photons, from their noise and their largest values."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["IntensityScale", "intensity_scale", "plateau_points"]

FOURTH_DIFFERENCE = 70.0
"""Variance of a fourth difference of unit noise: 1 + 16 + 36 + 16 + 1."""

LEVEL_POINTS = 15
"""Points over which the level beside a fourth difference is averaged: its own noise must not matter."""

MIN_POINTS = 200
"""Fourth differences below which no power is fitted."""

OUTLIER = 25.0
"""Square of a fourth difference over its variance above which it is a peak or a spike, not noise."""

MEDIAN_SQUARE = 0.4549364
"""Median of the square of a normal variable."""

NOISELESS = 1e-9
"""Differences over intensities below which a curve is computed, not measured."""

CORRELATED = 1.62
"""Standard error of a power fitted to neighbouring fourth differences over that of independent ones:
√(1 + 2 Σ ρ²) with their correlations -0.8, 0.4, -0.114 and 0.014."""

WHITE = np.array([-0.8, 0.4, -8 / 70, 1 / 70, 0.0, 0.0, 0.0, 0.0])
"""Correlations of fourth differences of independent points with the next to the eighth next."""

MAX_DEPENDENCE = 0.15
"""Largest distance from these that independent points have: beyond, they were smoothed, or are on peaks."""

MIN_PLATEAU = 4
"""Equal largest values that are no accident beside the points just below."""

MAX_PLATEAU_FRACTION = 0.9
"""Fraction of equal largest values above which a curve is flat, not clipped."""

MIN_PLATEAU_DEPTH = 5.0
"""Largest value over its sigma below which counts are so few that equal ones are usual."""


@dataclass(frozen=True)
class IntensityScale:
    """How the noise of a pattern depends on its intensity."""

    power: float
    """Power p of variance ∝ intensity^p where sigma² is in proportion to the intensity: 1 for counts, 0 for
    their square root, below 0 for their logarithm. 1 too where the scatter rises as sigma does, however that
    is; NaN where the noise does not show it."""
    power_sd: float
    """Its standard deviation."""
    dependence: float
    """Largest distance of the correlations of the noise from those of independent points; above 0.15 the
    points were smoothed, or peaks are sampled coarsely, and the power means nothing."""

    @property
    def independent(self) -> bool:
        """Whether the noise of neighbouring points is independent, as far as it is seen."""
        return not self.dependence > MAX_DEPENDENCE


def intensity_scale(intensity: NDArray[np.float64], sigma: NDArray[np.float64]) -> IntensityScale:
    """Fit the power with which the noise rises with the intensity.

    A fourth difference removes the curve itself and leaves noise; its square over that of sigma must not
    depend on the intensity. The power with which it does is fitted by maximum likelihood for normal noise.

    Parameters
    ----------
    intensity, sigma
        Intensities of neighbouring points and their standard deviations, shape (n,), finite.

    Returns
    -------
    The power, its error and the dependence of the points.
    """
    nothing = IntensityScale(math.nan, math.nan, math.nan)
    if intensity.size < MIN_POINTS:
        return nothing
    kernel = np.full(LEVEL_POINTS, 1 / LEVEL_POINTS)
    level = np.convolve(intensity, kernel, mode="same")[2:-2]
    variance = np.convolve(sigma**2, kernel, mode="same")[2:-2]
    normalised = np.diff(intensity, n=4) / np.sqrt(FOURTH_DIFFERENCE * variance)
    good = (level > 0) & np.isfinite(normalised)
    edge = LEVEL_POINTS // 2
    good[:edge] = good[-edge:] = False
    if np.count_nonzero(good) < MIN_POINTS:
        return nothing
    x, squares = np.log(level[good]), normalised[good] ** 2
    x -= x.mean()
    # ln L = -½ Σ (a + s x + z²/exp(a + s x)): Newton's steps from the robust scale of the differences.
    scatter = np.abs(np.diff(intensity, n=4))[good]
    if np.median(scatter) <= NOISELESS * np.median(np.abs(intensity)):
        return nothing
    a, s = math.log(float(np.median(squares)) / MEDIAN_SQUARE), 0.0
    kept = np.ones(x.size, bool)
    information = np.eye(2)
    for _ in range(25):
        ratio = squares * np.exp(-np.clip(a + s * x, -600, 600))
        kept = ratio < OUTLIER
        design = np.stack([np.ones(x.size), x])[:, kept]
        gradient = design @ (ratio[kept] - 1) / 2
        information = design @ design.T / 2
        if np.count_nonzero(kept) < MIN_POINTS or information[1, 1] < 1e-6 * information[0, 0]:
            return nothing
        step = np.linalg.solve(information, gradient)
        a, s = a + float(np.clip(step[0], -1, 1)), s + float(np.clip(step[1], -1, 1))
        if abs(step).max() < 1e-4:
            break
    left = normalised[good] / np.exp(0.5 * (a + s * x))
    left[~kept] = 0.0  # a few points in thousands, as those are that are not neighbours
    energy = float(left @ left)
    correlations = np.array([left[:-lag] @ left[lag:] for lag in range(1, WHITE.size + 1)]) / energy
    return IntensityScale(
        power=1 + s,
        power_sd=CORRELATED * math.sqrt(float(np.linalg.inv(information)[1, 1])),
        dependence=float(np.max(np.abs(correlations - WHITE))),
    )


def plateau_points(intensity: NDArray[np.float64], sigma: NDArray[np.float64]) -> int:
    """Count the points at one largest value, as a full counter or a clipped file leaves them.

    Parameters
    ----------
    intensity, sigma
        Intensities and their standard deviations, shape (n,), finite.

    Returns
    -------
    Number of points at the largest value; 0 where there are no more than noise leaves there, which puts more
    points within one standard deviation below it than on it, and where the curve is flat.
    """
    if intensity.size == 0:
        return 0
    top = float(intensity.max())
    at_top = intensity >= top - 1e-9 * abs(top)
    n_top = int(np.count_nonzero(at_top))
    width = float(np.median(sigma[at_top]))
    n_below = int(np.count_nonzero((intensity >= top - width) & ~at_top))
    clipped = (
        MIN_PLATEAU <= n_top <= MAX_PLATEAU_FRACTION * intensity.size
        and n_top > n_below
        and top > MIN_PLATEAU_DEPTH * width
    )
    return n_top if clipped else 0

"""Whether intensities are proportional to photons, from their noise and their largest values."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["MIN_PLATEAU", "IntensityScale", "intensity_scale", "plateau_points"]

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

MAX_STEPS = 25
"""Newton's steps; three suffice for counts."""

CONVERGED = 1e-4
"""Last step of the logarithm of the scale and of the power, a hundredth of the power's error in a pattern of
thousands of points."""

MAX_EXPONENT = 600.0
"""Logarithm of a variance at which it is cut off: its exponential is still finite."""

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
    level = _moving_mean(intensity)[2:-2]
    variance = _moving_mean(sigma**2)[2:-2]
    differences = _fourth_differences(intensity)
    normalised = differences / np.sqrt(FOURTH_DIFFERENCE * variance)
    good = (level > 0) & np.isfinite(normalised)
    edge = LEVEL_POINTS // 2
    good[:edge] = good[-edge:] = False
    n_good = int(np.count_nonzero(good))
    if n_good < MIN_POINTS:
        return nothing
    # Nearly always all of them: a slice makes no copy.
    taken = slice(edge, -edge) if n_good == good.size - 2 * edge else good
    x, left, scatter = np.log(level[taken]), normalised[taken], np.abs(differences[taken])
    squares = left * left
    x -= x.mean()
    magnitude = np.abs(intensity)
    # More than half above this: so is the median, which is found only otherwise.
    if 2 * np.count_nonzero(scatter > NOISELESS * magnitude.max()) <= n_good + 1 and (
        np.median(scatter) <= NOISELESS * np.median(magnitude)
    ):
        return nothing
    # ln L = -½ Σ (a + s x + z²/exp(a + s x)): Newton's steps from the robust scale of the differences.
    a, s = math.log(_median(squares) / MEDIAN_SQUARE), 0.0
    xx, farthest = x * x, float(np.abs(x).max())
    n_kept, x_kept, xx_kept = float(n_good), float(x.sum()), float(xx.sum())
    sums_of_all = n_kept, x_kept, xx_kept
    kept, all_kept = good, True
    for _ in range(MAX_STEPS):
        if s == 0:  # the first step: one exponent for all
            excess = squares * np.exp(min(max(-a, -MAX_EXPONENT), MAX_EXPONENT))
        else:
            exponent = x * -s
            exponent -= a
            if abs(a) + abs(s) * farthest > MAX_EXPONENT:
                np.clip(exponent, -MAX_EXPONENT, MAX_EXPONENT, out=exponent)
            excess = np.exp(exponent, out=exponent)
            excess *= squares
        all_kept = bool(excess.max() < OUTLIER)
        if all_kept:
            excess -= 1
            n_kept, x_kept, xx_kept = sums_of_all
        else:
            kept = excess < OUTLIER
            excess -= 1
            excess *= kept
            n_kept, x_kept, xx_kept = float(np.count_nonzero(kept)), float(kept @ x), float(kept @ xx)
        if n_kept < MIN_POINTS or xx_kept < 1e-6 * n_kept:
            return nothing
        # The inverse of the information, ½ of the sums of 1, x and x², times the gradient.
        gradient, gradient_x = float(excess.sum()), float(excess @ x)
        determinant = n_kept * xx_kept - x_kept**2
        step = (xx_kept * gradient - x_kept * gradient_x) / determinant
        step_s = (n_kept * gradient_x - x_kept * gradient) / determinant
        a, s = a + min(max(step, -1.0), 1.0), s + min(max(step_s, -1.0), 1.0)
        if max(abs(step), abs(step_s)) < CONVERGED:
            break
    left = left * np.exp(-0.5 * (a + s * x))
    if not all_kept:
        left[~kept] = 0.0  # a few points in thousands, as those are that are not neighbours
    energy = float(left @ left)
    correlations = np.array([left[:-lag] @ left[lag:] for lag in range(1, WHITE.size + 1)]) / energy
    return IntensityScale(
        power=1 + s,
        power_sd=CORRELATED * math.sqrt(2 * n_kept / (n_kept * xx_kept - x_kept**2)),
        dependence=float(np.max(np.abs(correlations - WHITE))),
    )


def _moving_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of `LEVEL_POINTS` neighbouring points, zeros beyond the ends, shape (n,)."""
    half = LEVEL_POINTS // 2
    padded = np.zeros(values.size + 2 * half)
    padded[half:-half] = values
    # Sums of 2, 4 and 8 points, and of 8 + 4 + 2 + 1: no running sum, whose rounding would grow.
    two = padded[:-1] + padded[1:]
    four = two[:-2] + two[2:]
    total = four[:-4] + four[4:]
    n = values.size
    total = total[:n] + four[8 : 8 + n]
    total += two[12 : 12 + n]
    total += padded[14 : 14 + n]
    total /= LEVEL_POINTS
    return total


def _fourth_differences(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fourth differences of neighbouring points, shape (n - 4,)."""
    second = values[2:] - values[1:-1]
    second -= values[1:-1]
    second += values[:-2]
    fourth = second[2:] - second[1:-1]
    fourth -= second[1:-1]
    fourth += second[:-2]
    return fourth


def _median(values: NDArray[np.float64]) -> float:
    """Median of finite values, without the care for others that costs more than the median."""
    middle = values.size // 2
    if values.size % 2:
        return float(np.partition(values, middle)[middle])
    # Parted once: the one before the middle is the largest of those below.
    ordered = np.partition(values, middle)
    return float(ordered[:middle].max() + ordered[middle]) / 2


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
    if n_top < MIN_PLATEAU:
        return 0
    width = float(np.median(sigma[at_top]))
    n_below = int(np.count_nonzero((intensity >= top - width) & ~at_top))
    clipped = (
        n_top <= MAX_PLATEAU_FRACTION * intensity.size and n_top > n_below and top > MIN_PLATEAU_DEPTH * width
    )
    return n_top if clipped else 0

"""Counting noise of a curve without errors, from the scatter of its points."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ScatterNoise", "counting_scale", "scatter_noise"]

MIN_POINTS = 20
"""Minimum number of fourth differences for a useful scale."""

FOURTH_DIFFERENCE = 70.0 * 0.4549364
"""Variance of a fourth difference of unit noise (1 + 16 + 36 + 16 + 1), times the median of the square of a
normal variable."""

N_GROUPS = 8
"""Groups of equal numbers of points by intensity, to which the variance is fitted."""

MIN_INTENSITY_RATIO = 2.0
"""Ratio of the highest to the lowest group below which a constant variance cannot be distinguished from a
proportional one."""

MAX_CONSTANT_FRACTION = 0.5
"""Constant part of the variance, relative to the part in proportion at the median intensity, up to which the
noise counts as that of photons: less is within the error of the fit."""

LOW_PERCENTILE, NEAR_ZERO = 1.0, 5.0
"""A constant part is what a subtraction leaves where the lowest per cent of the curve is within this many of
its standard deviations of zero. Elsewhere the intensities may be square roots or logarithms of counts, and a
noise that fits them would hide it."""

RELATIVE_FLOOR = 1e-3
"""Smallest relative sigma of a point without given errors: no calibration is better than one part in a
thousand, and a curve without noise must not look infinitely precise."""


@dataclass(frozen=True, eq=False)
class ScatterNoise:
    """Noise of a curve, estimated from the scatter of neighbouring points."""

    sigma: NDArray[np.float64] | None
    """Standard deviation, shape (n,); None if there are too few points to estimate it."""
    constant: float
    """Part of the variance that does not depend on the intensity; 0 for photons."""
    per_intensity: float
    """Variance per intensity."""

    @property
    def is_counting(self) -> bool:
        """Whether the noise is that of photons, in proportion to the intensity."""
        return self.constant == 0


def counting_scale(intensity: NDArray[np.floating]) -> float:
    """Ratio of variance to intensity, from the scatter of neighbouring points.

    Counts that were scaled by g have variance g·I. A fourth difference removes the curve itself
    (a cubic through five points) and leaves noise with variance 70 g·I; the median of its square,
    0.4549 times the mean for a normal variable, ignores peaks that a cubic cannot follow.

    Parameters
    ----------
    intensity
        Intensities of neighbouring, evenly spaced points, shape (n,).

    Returns
    -------
    Scale g, so that σ² = g·I; NaN where there are fewer than 24 points or no positive intensity.
    """
    difference = np.diff(np.asarray(intensity, dtype=np.float64), n=4)
    centre = np.asarray(intensity, dtype=np.float64)[2:-2]
    good = np.isfinite(difference) & (centre > 0)
    if np.count_nonzero(good) < MIN_POINTS:
        return float("nan")
    return float(np.median(difference[good] ** 2 / centre[good]) / FOURTH_DIFFERENCE)


def scatter_noise(intensity: NDArray[np.float64]) -> ScatterNoise:
    """Estimate the noise of a curve whose file gives no errors.

    The variance is taken in proportion to the intensity, as for photons. Where its constant part is
    significant, as after the subtraction of a background, it is a + b·I.

    Parameters
    ----------
    intensity
        Intensities of neighbouring points, shape (n,); NaN is ignored.

    Returns
    -------
    The noise.
    """
    scale = counting_scale(intensity)
    if not np.isfinite(scale):
        return ScatterNoise(None, 0.0, scale)
    constant, slope = _linear_variance(intensity)
    lowest = float(np.nanpercentile(intensity, LOW_PERCENTILE))
    if constant == 0 or lowest > NEAR_ZERO * np.sqrt(constant):
        constant = 0.0
        variance = scale * np.maximum(intensity, scale)
        slope = scale
    else:
        variance = constant + slope * np.maximum(intensity, 0)
    sigma = np.sqrt(np.maximum(variance, (RELATIVE_FLOOR * np.abs(intensity)) ** 2))
    return ScatterNoise(sigma, constant, slope)


def variance_by_intensity(
    intensity: NDArray[np.float64], n_groups: int = N_GROUPS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Variance of neighbouring points, grouped by intensity.

    Parameters
    ----------
    intensity
        Intensities of neighbouring points, shape (n,).
    n_groups
        Number of groups of equal numbers of points.

    Returns
    -------
    Median intensity and variance of each group, lowest intensity first; fewer groups for few points.
    """
    difference = np.diff(intensity, n=4)
    centre = np.convolve(intensity, np.full(5, 0.2), mode="valid")
    good = np.isfinite(difference) & np.isfinite(centre)
    order = np.argsort(centre[good])
    levels, squares = centre[good][order], difference[good][order] ** 2
    groups = np.array_split(np.arange(levels.size), max(min(n_groups, levels.size // MIN_POINTS), 1))
    return (
        np.array([np.median(levels[group]) for group in groups]),
        np.array([np.median(squares[group]) for group in groups]) / FOURTH_DIFFERENCE,
    )


def _linear_variance(intensity: NDArray[np.float64]) -> tuple[float, float]:
    """Constant and proportional part of the variance; the constant is 0 where it is not significant."""
    from scipy.optimize import nnls  # the package takes longer to import than a session has

    levels, variances = variance_by_intensity(intensity)
    positive = variances > 0
    if np.count_nonzero(positive) < 4:
        return 0.0, float("nan")
    levels, variances = np.maximum(levels[positive], 0), variances[positive]
    if levels[-1] < MIN_INTENSITY_RATIO * levels[0]:
        return 0.0, float("nan")
    design = (
        np.stack([np.ones(levels.size), levels], axis=1) / variances[:, None]
    )  # relative errors are alike
    (constant, slope), _ = nnls(design, np.ones(levels.size))
    if constant <= MAX_CONSTANT_FRACTION * slope * float(np.median(levels)):
        return 0.0, float(slope)
    return float(constant), float(slope)

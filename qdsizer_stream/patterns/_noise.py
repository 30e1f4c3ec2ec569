"""Counting noise of a curve without errors."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["counting_scale"]

MIN_POINTS = 20
"""Minimum number of fourth differences for a useful scale."""


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
    return float(np.median(difference[good] ** 2 / centre[good]) / (70.0 * 0.4549364))

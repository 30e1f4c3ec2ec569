"""How fast dots grow."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ._frames import SteeringFrame

__all__ = ["GrowthRate", "growth_rate"]

SD_IN_INTERVAL = 2 * 1.959964
"""Standard deviations in the width of a 95 % interval."""

ONE_SIDED_SD = 1.644854
"""Standard deviations above which 5 % of a normal distribution lie."""


@dataclass(frozen=True)
class GrowthRate:
    """A straight line through the newest sizes."""

    nm_per_min: float
    """Rate, nm/min."""
    sd_nm_per_min: float
    """Its standard deviation, nm/min."""

    @property
    def at_most_nm_per_min(self) -> float:
        """Rate that the true one does not exceed, with 95 % confidence, nm/min."""
        return self.nm_per_min + ONE_SIDED_SD * self.sd_nm_per_min


def growth_rate(frames: Sequence[SteeringFrame]) -> GrowthRate:
    """Fit a line to sizes against time, each weighted by its interval.

    Parameters
    ----------
    frames
        Frames with sizes, at least three.

    Returns
    -------
    The rate. Its deviation is the larger of two: what the intervals say, and how the sizes scatter about
    the line. Errors that all frames share, as of the sample's shape, widen the intervals and not the scatter:
    they make the rate look less sure than it is, never more.
    """
    minutes = np.array([frame.elapsed_s for frame in frames]) / 60
    sizes = np.array([frame.size_nm for frame in frames])
    sd = np.array([frame.high_nm - frame.low_nm for frame in frames]) / SD_IN_INTERVAL
    # An interval of no width would outweigh all others: none counts for more than a hundredth of the median.
    weights = 1 / np.maximum(sd, max(0.01 * float(np.median(sd)), 1e-6)) ** 2
    centred = minutes - np.average(minutes, weights=weights)
    leverage = float(np.sum(weights * centred**2))
    if leverage == 0:
        return GrowthRate(math.nan, math.inf)  # all at one time
    rate = float(np.sum(weights * centred * sizes)) / leverage
    left = sizes - np.average(sizes, weights=weights) - rate * centred
    scatter = float(np.sum(weights * left**2)) / (len(frames) - 2)
    return GrowthRate(rate, math.sqrt(max(scatter, 1.0) / leverage))

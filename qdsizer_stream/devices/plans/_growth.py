"""Growth rate of the dots."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ._frames import SteeringFrame

__all__ = ["MIN_FRAMES", "GrowthRate", "growth_rate"]

MIN_FRAMES = 4
"""Fewer cannot give 95 % confidence: three successive sizes fall by chance in one of six cases, four in one
of 24."""

BOTH_SIDES = 0.90
"""Confidence of a two-sided interval whose upper end is exceeded in 5 % of cases."""


@dataclass(frozen=True)
class GrowthRate:
    """A robust line through the newest sizes."""

    nm_per_min: float
    """Rate, nm/min; NaN if all frames have the same time."""
    at_most_nm_per_min: float
    """Upper bound of the rate with 95 % confidence, nm/min."""


def growth_rate(frames: Sequence[SteeringFrame]) -> GrowthRate:
    """Fit a Theil-Sen line to sizes against time: its slope is the median of the slopes of all pairs.

    The intervals of the sizes are not used. Most of their width comes from the shape and surface of the
    dots, is common to all frames of a sample and cancels in the difference of two sizes; the remaining
    scatter is in the slopes. An outlier has no more influence than any other point.

    Parameters
    ----------
    frames
        Frames with sizes, at least `MIN_FRAMES`.

    Returns
    -------
    The rate and its upper bound (Sen, J. Am. Stat. Assoc. 63, 1379, 1968), free of any assumption on the
    distribution of the sizes.
    """
    # Imported here because it takes half a second, and start-up files only offer the plans.
    from scipy.stats import theilslopes

    minutes = np.array([frame.elapsed_s for frame in frames]) / 60
    if np.ptp(minutes) == 0:
        return GrowthRate(np.nan, np.inf)
    line = theilslopes([frame.size_nm for frame in frames], minutes, BOTH_SIDES)
    return GrowthRate(float(line.slope), float(line.high_slope))

"""How fast dots grow."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ._frames import SteeringFrame

__all__ = ["LEAST_FRAMES", "GrowthRate", "growth_rate"]

LEAST_FRAMES = 4
"""Fewer cannot tell with 95 % confidence: three sizes in a row fall by chance in one of six cases, four in
one of 24."""

BOTH_SIDES = 0.90
"""Confidence of an interval whose upper end is exceeded in 5 % of cases."""


@dataclass(frozen=True)
class GrowthRate:
    """A robust line through the newest sizes."""

    nm_per_min: float
    """Rate, nm/min; NaN where all sizes are of one time."""
    at_most_nm_per_min: float
    """Rate that the true one does not exceed, with 95 % confidence, nm/min."""


def growth_rate(frames: Sequence[SteeringFrame]) -> GrowthRate:
    """Draw a line through sizes against time, as Theil and Sen do: its slope is the median of all pairs.

    Intervals have no part in it. Most of their width is what all frames of a sample share, its shape and
    surface, and cancels in the difference of two sizes; what is left, the scatter, is in the slopes. One
    size that is far off counts as much as one that is a little.

    Parameters
    ----------
    frames
        Frames with sizes, at least `LEAST_FRAMES`.

    Returns
    -------
    The rate, with its bound after Sen, J. Am. Stat. Assoc. 63, 1379 (1968), which assumes no distribution.
    """
    # Here: it takes half a second to import, which a start-up file that only offers the plans need not pay.
    from scipy.stats import theilslopes

    minutes = np.array([frame.elapsed_s for frame in frames]) / 60
    if np.ptp(minutes) == 0:
        return GrowthRate(np.nan, np.inf)
    line = theilslopes([frame.size_nm for frame in frames], minutes, BOTH_SIDES)
    return GrowthRate(float(line.slope), float(line.high_slope))

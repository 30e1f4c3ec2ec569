"""Tracking: size and growth of a run from the sizes of its frames."""

from ._bank import PRIOR_DEGREES, PRIOR_SCALE2, TINY_VARIANCE, Bank, Dynamics
from ._forecast import arrival, normal_cdf
from ._smoother import SmootherStep, smooth
from ._track import Change, Measurement, Track, TrackPoint

__all__ = [
    "PRIOR_DEGREES",
    "PRIOR_SCALE2",
    "TINY_VARIANCE",
    "Bank",
    "Change",
    "Dynamics",
    "Measurement",
    "SmootherStep",
    "Track",
    "TrackPoint",
    "arrival",
    "normal_cdf",
    "smooth",
]

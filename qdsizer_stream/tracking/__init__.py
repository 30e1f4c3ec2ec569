"""Tracking: size and growth of a run from the sizes of its frames."""

from ._forecast import normal_cdf
from ._track import Change, Measurement, Track, TrackPoint

__all__ = ["Change", "Measurement", "Track", "TrackPoint", "normal_cdf"]

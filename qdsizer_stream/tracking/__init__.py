"""Tracking: size and growth of a run from the sizes of its frames."""

from ._track import Change, Measurement, Track, TrackPoint

__all__ = ["Change", "Measurement", "Track", "TrackPoint"]

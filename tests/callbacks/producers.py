"""Detectors that announce their frames in every layout of documents; see `qdsizer_stream.testing`."""

from qdsizer_stream.testing import (
    FlyingMythen,
    ListMythen,
    PageMythen,
    ResourceDatumMythen,
    StackMythen,
    fly,
    fly_page,
)
from qdsizer_stream.testing.async_producers import FrameFileDetector, fly_async

__all__ = [
    "FlyingMythen",
    "FrameFileDetector",
    "ListMythen",
    "PageMythen",
    "ResourceDatumMythen",
    "StackMythen",
    "fly",
    "fly_async",
    "fly_page",
]

"""Sizing: from a pattern or a frame to an estimate."""

from ._config import SizingConfig
from ._estimate import SizeEstimate, Status
from ._optics import MOREELS_2009, OpticsCheck, OpticsVerdict, SizingCurve, compare_with_peak
from ._raw_frame import RawFrame
from ._sizer import Examination, Sizer

__all__ = [
    "MOREELS_2009",
    "Examination",
    "OpticsCheck",
    "OpticsVerdict",
    "RawFrame",
    "SizeEstimate",
    "Sizer",
    "SizingConfig",
    "SizingCurve",
    "Status",
    "compare_with_peak",
]

"""Sizing: from a pattern or a frame to an estimate."""

from ._config import SizingConfig
from ._estimate import SizeEstimate, Status
from ._sizer import Examination, Sizer

__all__ = ["Examination", "SizeEstimate", "Sizer", "SizingConfig", "Status"]

"""Sizing: from a pattern or a frame to an estimate."""

from ._acceptance import CHECKS, run_checks
from ._check import Check, CheckResult
from ._comparison import Identification, Identity, MaterialComparison, conclude, other_material
from ._config import SizingConfig, load_instrument
from ._estimate import SizeEstimate, Status
from ._evidence import FitEvidence, FrameEvidence
from ._optics import MOREELS_2009, OpticsAgreement, OpticsCheck, SizingCurve, compare_with_peak
from ._plausible_width import plausible_width_inv_angstrom
from ._raw_frame import RawFrame
from ._sizer import Examination, Sizer

__all__ = [
    "CHECKS",
    "MOREELS_2009",
    "Check",
    "CheckResult",
    "Examination",
    "FitEvidence",
    "FrameEvidence",
    "Identification",
    "Identity",
    "MaterialComparison",
    "OpticsAgreement",
    "OpticsCheck",
    "RawFrame",
    "SizeEstimate",
    "Sizer",
    "SizingConfig",
    "SizingCurve",
    "Status",
    "compare_with_peak",
    "conclude",
    "load_instrument",
    "other_material",
    "plausible_width_inv_angstrom",
    "run_checks",
]

"""The sizer in a process of its own, whose interpreter lock is not the plan's."""

from ._memory import SLOTS
from ._process import SizingProcess, SizingProcessError
from ._steps import Begun, Step, StepRunner, begin_here, examine_frame, examine_pooled, pool_frame

__all__ = [
    "SLOTS",
    "Begun",
    "SizingProcess",
    "SizingProcessError",
    "Step",
    "StepRunner",
    "begin_here",
    "examine_frame",
    "examine_pooled",
    "pool_frame",
]

"""The sizer in a process of its own, whose interpreter lock is not the plan's."""

from ._process import SizingProcess, SizingProcessError
from ._steps import Step, StepRunner, examine_frame, examine_pooled, pool_frame, run_here

__all__ = [
    "SizingProcess",
    "SizingProcessError",
    "Step",
    "StepRunner",
    "examine_frame",
    "examine_pooled",
    "pool_frame",
    "run_here",
]

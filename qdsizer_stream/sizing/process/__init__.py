"""The sizer in its own process, whose interpreter lock is not the plan's."""

from ._executor import DeferredFuture, Executor, SynchronousExecutor, Task
from ._memory import SLOTS
from ._process import SizingProcess, SizingProcessError

__all__ = [
    "SLOTS",
    "DeferredFuture",
    "Executor",
    "SizingProcess",
    "SizingProcessError",
    "SynchronousExecutor",
    "Task",
]

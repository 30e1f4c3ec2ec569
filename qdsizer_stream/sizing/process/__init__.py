"""The sizer in its own process, whose interpreter lock is not the plan's."""

from ._executor import BlockExecutor, DeferredFuture, Executor, SynchronousExecutor, Task, run_tasks
from ._memory import SLOTS
from ._process import SizingProcess, SizingProcessError

__all__ = [
    "SLOTS",
    "BlockExecutor",
    "DeferredFuture",
    "Executor",
    "SizingProcess",
    "SizingProcessError",
    "SynchronousExecutor",
    "Task",
    "run_tasks",
]

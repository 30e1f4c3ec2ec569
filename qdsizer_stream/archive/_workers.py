"""Sizing processes for replays."""

from concurrent.futures import Future
from functools import partial
from itertools import cycle
from types import TracebackType
from typing import Self, TypeVar

from ..sizing import Sizer
from ..sizing.process import SLOTS, DeferredFuture, SizingProcess, SizingProcessError, Task

__all__ = ["SizingWorkers"]

A = TypeVar("A")
T = TypeVar("T")


class SizingWorkers:
    """Processes that size frames in turns, while this one reads and writes; to be used in a context.

    Parameters
    ----------
    sizer
        The sizer to load ahead; others are loaded with the first frame for them.
    n_processes
        Number of processes.
    """

    def __init__(self, sizer: Sizer, n_processes: int) -> None:
        self._processes = [SizingProcess(sizer) for _ in range(n_processes)]
        self._turns = cycle(self._processes)
        self.n_ahead = SLOTS * n_processes - 1
        """Frames to submit besides the one that is waited for: as many as the processes take without making
        `submit` wait."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.close()

    @property
    def pids(self) -> list[int]:
        """Identifiers (PIDs) of the processes."""
        return [process.pid for process in self._processes]

    def submit(self, task: Task[A, T], sizer: Sizer, argument: A, /) -> Future[T]:
        """Submit a task to the process whose turn it is.

        Parameters
        ----------
        task, sizer, argument
            As of `SizingProcess.submit`.

        Returns
        -------
        The future; results may be asked for in any order. Where the process ends or hangs during the task,
        `result` runs it in this process: live, such a frame is recorded as bad, since a plan waits, but an
        archive must not hold that of a good frame.
        """
        future = next(self._turns).submit(task, sizer, argument)
        return DeferredFuture(partial(_result, future, task, sizer, argument))


def _result(future: Future[T], task: Task[A, T], sizer: Sizer, argument: A) -> T:
    """Result of a task in a process, or of the same task in this one where that process ended or hung."""
    try:
        return future.result()
    except SizingProcessError:
        return task(sizer, argument)

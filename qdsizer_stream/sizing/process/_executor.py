"""Executors of sizing tasks: the part of `concurrent.futures` that sizing uses."""

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Protocol, TypeVar

from .. import Sizer

__all__ = ["DeferredFuture", "Executor", "SynchronousExecutor", "Task"]

A = TypeVar("A")
T = TypeVar("T")

Task = Callable[[Sizer, A], T]
"""A module-level function or a method of `Sizer`, such as `Sizer.examine_frame`, with one argument."""


class Executor(Protocol):
    """Runs tasks of sizers, in this process or in another."""

    def submit(self, task: Task[A, T], sizer: Sizer, argument: A, /) -> Future[T]:
        """Submit a task; does not raise.

        Parameters
        ----------
        task
            Function to call as ``task(sizer, argument)``, such as `Sizer.examine_frame`.
        sizer
            The sizer.
        argument
            Its argument; must not be changed before the result is there.

        Returns
        -------
        The future, whose `result` gives what the task returned or raises what it raised. Only `result` and
        `exception` wait: do not pass these futures to `concurrent.futures.wait` or `as_completed`.
        """


class SynchronousExecutor:
    """Runs each task in the thread that waits for its result, at that time."""

    def submit(self, task: Task[A, T], sizer: Sizer, argument: A, /) -> Future[T]:
        """Submit a task, as in `Executor`."""
        return DeferredFuture(partial(task, sizer, argument))


class DeferredFuture(Future[T]):
    """Calls a function when the result is first asked for, in the thread that asks.

    Parameters
    ----------
    function
        Gives the result, or raises; called once.
    """

    def __init__(self, function: Callable[[], T]) -> None:
        super().__init__()
        self._function: Callable[[], T] | None = function

    def result(self, timeout: float | None = None) -> T:
        """Give the result, or raise what the function raised; `timeout` has no effect on the call."""
        self._call()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Give what the function raised; `timeout` has no effect on the call."""
        self._call()
        return super().exception(timeout)

    def _call(self) -> None:
        if self._function is None:
            return
        function, self._function = self._function, None  # its arguments can then be freed
        try:
            self.set_result(function())
        except BaseException as error:
            self.set_exception(error)
            if not isinstance(error, Exception):
                raise

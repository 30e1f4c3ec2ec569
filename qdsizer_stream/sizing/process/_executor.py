"""Executors of sizing tasks: the part of `concurrent.futures` that sizing uses."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import groupby
from typing import Any, Protocol, TypeVar

from .. import Sizer

__all__ = [
    "BlockExecutor",
    "DeferredFuture",
    "Executor",
    "Outcome",
    "SynchronousExecutor",
    "Task",
    "run_tasks",
]

A = TypeVar("A")
T = TypeVar("T")

Task = Callable[[Sizer, A], T]
"""A module-level function or a method of `Sizer`, such as `Sizer.examine_frame`, with one argument."""


Outcome = tuple[Any, Exception | None]
"""Result of a task and what it raised, one of which is None."""

IN_BLOCKS: dict[Any, Callable[[Sizer, Sequence[Any]], list[Any]]] = {
    Sizer.examine_frame: Sizer.examine_frames,
    Sizer.estimate_frame: Sizer.estimate_frames,
}
"""Tasks that a sizer does faster for several arguments at once, with the same results to the last bit."""


def run_tasks(
    tasks: Sequence[tuple[Task[Any, Any], Sizer, Any]],
    begin: Callable[[int, int], None] = lambda first, n: None,
) -> list[Outcome]:
    """Run tasks in order, neighbours of one kind and one sizer at once where the sizer can.

    Parameters
    ----------
    tasks
        Tasks, sizers and arguments, as of `Executor.submit`.
    begin
        Called with the index of the first and the number of those that are run next.

    Returns
    -------
    Their outcomes, in order. An error concerns the one task that raised it.
    """
    outcomes: list[Outcome] = []

    def alone(task: Task[Any, Any], sizer: Sizer, argument: Any) -> Outcome:
        begin(len(outcomes), 1)
        try:
            return task(sizer, argument), None
        except Exception as error:
            return None, error

    for (task, _), group in groupby(tasks, lambda one: (one[0], id(one[1]))):
        alike = list(group)
        together = IN_BLOCKS.get(task)
        if together is not None and len(alike) > 1:
            begin(len(outcomes), len(alike))
            try:
                results = together(alike[0][1], [argument for *_, argument in alike])
            except Exception:
                pass  # of one of them: each for itself
            else:
                outcomes.extend((result, None) for result in results)
                continue
        for one in alike:
            outcomes.append(alone(*one))
    return outcomes


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


class BlockExecutor:
    """Runs tasks in the thread that waits for a result, all that were submitted by then at once."""

    def __init__(self) -> None:
        self._pending: list[tuple[tuple[Task[Any, Any], Sizer, Any], Future[Any]]] = []

    def submit(self, task: Task[A, T], sizer: Sizer, argument: A, /) -> Future[T]:
        """Submit a task, as in `Executor`."""
        future: _BlockFuture[T] = _BlockFuture(self)
        self._pending.append(((task, sizer, argument), future))
        return future

    def run(self) -> None:
        """Run all tasks that are pending; where the thread is interrupted, they stay so."""
        pending = list(self._pending)
        outcomes = run_tasks([one for one, _ in pending])
        del self._pending[: len(pending)]
        for (_, future), (result, error) in zip(pending, outcomes, strict=True):
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)


class _BlockFuture(Future[T]):
    """Result of a task that is run when it is asked for, or one of those submitted with it."""

    def __init__(self, executor: BlockExecutor) -> None:
        super().__init__()
        self._executor = executor

    def result(self, timeout: float | None = None) -> T:
        if not self.done():
            self._executor.run()
        return super().result(0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        if not self.done():
            self._executor.run()
        return super().exception(0)

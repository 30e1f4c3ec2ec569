"""Sizing processes for replays."""

from functools import partial
from itertools import cycle
from types import TracebackType
from typing import Any, Self

from ..sizing import Sizer
from ..sizing.process import Begun, SizingProcess, SizingProcessError, Step

__all__ = ["SizingWorkers"]

STEPS_EACH = 8
"""Frames that a process has at a time: as many as it takes without making the one that asks wait."""


class SizingWorkers:
    """Processes that size frames in turns, while this one reads and writes; to be used in a context.

    Parameters
    ----------
    sizer
        The sizer to load ahead; others are loaded with the first frame for them.
    n_processes
        How many.
    """

    def __init__(self, sizer: Sizer, n_processes: int) -> None:
        self._processes = [SizingProcess(sizer) for _ in range(n_processes)]
        self._turns = cycle(self._processes)
        self.n_ahead = STEPS_EACH * n_processes - 1
        """Frames to begin besides the one that is waited for."""

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

    def __call__(self, step: Step, sizer: Sizer, argument: Any) -> Begun:
        """Begin a step in the process whose turn it is.

        Parameters
        ----------
        step, sizer, argument
            As of `SizingProcess`.

        Returns
        -------
        Waits for what comes out, in whichever order.
        """
        return partial(_outcome, next(self._turns)(step, sizer, argument), step, sizer, argument)


def _outcome(begun: Begun, step: Step, sizer: Sizer, argument: Any) -> Any:
    """What a step came to; should its process have ended or hung, what it comes to here.

    Live, such a frame is a bad one, for a plan waits. An archive must not be told that of a good frame.
    """
    try:
        return begun()
    except SizingProcessError:
        return step(sizer, argument)

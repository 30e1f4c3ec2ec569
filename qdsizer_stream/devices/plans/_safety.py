"""A beamline that is safe whenever a plan does not run."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bluesky import Msg
from bluesky import plan_stubs as bps
from bluesky.preprocessors import finalize_wrapper
from bluesky.protocols import Stoppable

from ._frames import Messages

__all__ = ["Shutter", "finally_also", "safely"]

# bluesky states no types for these
message: Callable[..., Msg] = Msg
finally_also: Callable[[Messages, Callable[[], Messages]], Messages] = finalize_wrapper

SHUTTER_TIMEOUT_S = 30.0
"""How long a shutter may take: photon shutters move in a second or two, a vacuum valve in ten."""


@dataclass(frozen=True)
class Shutter:
    """A shutter that a plan opens and closes."""

    device: Any
    """Anything that can be set, such as an ophyd device or signal."""
    opened: Any = "Open"
    """What it is set to, to open it."""
    closed: Any = "Close"
    """What it is set to, to close it."""


class _Guard:
    """Makes the beamline safe while the RunEngine is paused or suspended, when no plan can.

    Parameters
    ----------
    detector
        The detector, stopped where it can be.
    shutter
        The shutter, closed in a pause and opened again after it; None where there is none.
    """

    name = "qdsizer guard"
    parent = None

    def __init__(self, detector: Any, shutter: Shutter | None) -> None:
        self._detector = detector
        self._shutter = shutter
        self.exposing = False
        """Whether the plan wants the shutter open: not yet before it has opened it, no more once it ends."""

    async def pause(self) -> None:
        """Close the shutter, then stop the detector even where the shutter failed."""
        try:
            if self._shutter is not None:
                await _done(self._shutter.device.set(self._shutter.closed))
        finally:
            if isinstance(self._detector, Stoppable):
                stopping: Any = self._detector.stop()
                if stopping is not None:  # ophyd-async gives a coroutine, ophyd nothing
                    await stopping

    async def resume(self) -> None:
        """Open the shutter again, if the plan still measures."""
        if self._shutter is not None and self.exposing:
            await _done(self._shutter.device.set(self._shutter.opened))


async def _done(status: Any) -> None:
    """Wait for a status without holding up the loop that may have to finish it."""
    loop, finished = asyncio.get_running_loop(), asyncio.Event()
    status.add_callback(lambda _: loop.call_soon_threadsafe(finished.set))
    await asyncio.wait_for(finished.wait(), SHUTTER_TIMEOUT_S)
    if (error := status.exception()) is not None:
        raise error


def safely(plan: Messages, detector: Any, shutter: Shutter | None) -> Messages:
    """Stage the detector and open the shutter for a plan; undo both whatever happens to it.

    The shutter is closed first, then the detector is stopped, then unstaged, each even where the one before
    failed: at the end of the plan, on an exception, on stop and abort. A pause or a suspender closes the
    shutter and stops the detector for as long as it lasts. Only `RE.halt`, which asks for no clean-up,
    leaves things as they are.

    Parameters
    ----------
    plan
        The plan.
    detector
        Its detector.
    shutter
        Its shutter; None where there is none.

    Yields
    ------
    Messages for the RunEngine.

    Returns
    -------
    What the plan returns.
    """
    guard = _Guard(detector, shutter)

    def close() -> Messages:
        guard.exposing = False
        if shutter is not None:
            yield from bps.abs_set(shutter.device, shutter.closed, group="qdsizer closed")
            yield from bps.wait("qdsizer closed", timeout=SHUTTER_TIMEOUT_S)

    def stop() -> Messages:
        if isinstance(detector, Stoppable):
            yield from bps.stop(detector)

    def unstage() -> Messages:
        yield from bps.unstage(detector, wait=True)

    def guarded() -> Messages:
        yield message("null", guard)  # from now on the RunEngine knows the guard, and tells it of a pause
        yield from bps.stage(detector, wait=True)
        if shutter is not None:
            yield from bps.abs_set(shutter.device, shutter.opened, group="qdsizer opened")
            yield from bps.wait("qdsizer opened", timeout=SHUTTER_TIMEOUT_S)
        guard.exposing = True
        return (yield from plan)

    return (yield from finally_also(finally_also(finally_also(guarded(), close), stop), unstage))

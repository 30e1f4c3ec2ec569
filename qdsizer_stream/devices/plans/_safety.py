"""Closing the shutter and stopping the detector however a plan ends."""

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
"""Time allowed for a shutter: photon shutters need a second or two, a vacuum valve ten."""


@dataclass(frozen=True)
class Shutter:
    """A shutter that a plan opens and closes."""

    device: Any
    """Any settable object, such as an ophyd device or signal."""
    opened: Any = "Open"
    """Value that opens it."""
    closed: Any = "Close"
    """Value that closes it."""


class _PauseHandler:
    """Makes the beamline safe while the RunEngine is paused or suspended and no plan can act.

    Parameters
    ----------
    detector
        The detector; stopped if it can be.
    shutter
        The shutter, closed during a pause and opened again after it; None if there is none.
    """

    name = "qdsizer pause handler"
    parent = None

    def __init__(self, detector: Any, shutter: Shutter | None) -> None:
        self._detector = detector
        self._shutter = shutter
        self.exposing = False
        """Whether the shutter should be open: True from when the plan opens it until the plan ends."""

    async def pause(self) -> None:
        """Close the shutter, then stop the detector even if the shutter failed."""
        try:
            if self._shutter is not None:
                await _done(self._shutter.device.set(self._shutter.closed))
        finally:
            if isinstance(self._detector, Stoppable):
                stopping: Any = self._detector.stop()
                if stopping is not None:  # ophyd-async returns a coroutine, ophyd nothing
                    await stopping

    async def resume(self) -> None:
        """Open the shutter again if the plan is still measuring."""
        if self._shutter is not None and self.exposing:
            await _done(self._shutter.device.set(self._shutter.opened))


async def _done(status: Any) -> None:
    """Wait for a status without blocking the event loop that may have to finish it."""
    loop, finished = asyncio.get_running_loop(), asyncio.Event()
    status.add_callback(lambda _: loop.call_soon_threadsafe(finished.set))
    await asyncio.wait_for(finished.wait(), SHUTTER_TIMEOUT_S)
    if (error := status.exception()) is not None:
        raise error


def safely(plan: Messages, detector: Any, shutter: Shutter | None) -> Messages:
    """Stage the detector and open the shutter for a plan; undo both however the plan ends.

    The shutter is closed first, then the detector is stopped, then unstaged, each even if the step before
    failed: at the end of the plan, on an exception, on stop and on abort. A pause or a suspender closes the
    shutter and stops the detector while it lasts. Only `RE.halt`, which skips all clean-up, leaves the
    beamline as it is.

    Parameters
    ----------
    plan
        The plan.
    detector
        Its detector.
    shutter
        Its shutter; None if there is none.

    Yields
    ------
    Messages for the RunEngine.

    Returns
    -------
    The return value of the plan.
    """
    handler = _PauseHandler(detector, shutter)

    def close() -> Messages:
        handler.exposing = False
        if shutter is not None:
            yield from bps.abs_set(shutter.device, shutter.closed, group="qdsizer closed")
            yield from bps.wait("qdsizer closed", timeout=SHUTTER_TIMEOUT_S)

    def stop() -> Messages:
        if isinstance(detector, Stoppable):
            yield from bps.stop(detector)

    def unstage() -> Messages:
        yield from bps.unstage(detector, wait=True)

    def prepared() -> Messages:
        yield message("null", handler)  # registers the handler: the RunEngine now calls it on a pause
        yield from bps.stage(detector, wait=True)
        if shutter is not None:
            yield from bps.abs_set(shutter.device, shutter.opened, group="qdsizer opened")
            yield from bps.wait("qdsizer opened", timeout=SHUTTER_TIMEOUT_S)
        handler.exposing = True
        return (yield from plan)

    return (yield from finally_also(finally_also(finally_also(prepared(), close), stop), unstage))

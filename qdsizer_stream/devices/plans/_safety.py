"""Closing the shutter and stopping the detectors however a plan ends."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from bluesky import Msg
from bluesky import plan_stubs as bps
from bluesky.preprocessors import finalize_wrapper
from bluesky.protocols import Stageable, Stoppable

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
    devices
        The detectors; stopped if they can be.
    shutter
        The shutter, closed during a pause and opened again after it; None if there is none.
    """

    name = "qdsizer pause handler"
    parent = None

    def __init__(self, devices: Sequence[Any], shutter: Shutter | None) -> None:
        self._devices = devices
        self._shutter = shutter
        self.exposing = False
        """Whether the shutter should be open: True from when the plan opens it until the plan ends."""

    async def pause(self) -> None:
        """Close the shutter, then stop the detectors, each even if what was before it failed."""
        errors: list[Exception] = []
        if self._shutter is not None:
            try:
                await _done(self._shutter.device.set(self._shutter.closed))
            except Exception as error:
                errors.append(error)
        for device in self._devices:
            if isinstance(device, Stoppable):
                try:
                    stopping: Any = device.stop()
                    if stopping is not None:  # ophyd-async returns a coroutine, ophyd nothing
                        await stopping
                except Exception as error:
                    errors.append(error)
        if errors:
            raise errors[0]

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


def _each(plans: Sequence[Callable[[], Messages]]) -> Messages:
    """Run plans one after another, each even if the one before failed."""
    if plans:
        first, *rest = plans
        yield from finally_also(first(), partial(_each, rest))


def safely(plan: Messages, devices: Sequence[Any], shutter: Shutter | None) -> Messages:
    """Stage the detectors and open the shutter for a plan; undo both however the plan ends.

    The shutter is closed first, then the detectors are stopped, then unstaged, each even if the step before
    failed: at the end of the plan, on an exception, on stop and on abort. A pause or a suspender closes the
    shutter and stops the detectors while it lasts. Only `RE.halt`, which skips all clean-up, leaves the
    beamline as it is.

    Parameters
    ----------
    plan
        The plan.
    devices
        Its detectors.
    shutter
        Its shutter; None if there is none.

    Yields
    ------
    Messages for the RunEngine.

    Returns
    -------
    The return value of the plan.
    """
    handler = _PauseHandler(devices, shutter)
    staged: list[Any] = []

    def close() -> Messages:
        handler.exposing = False
        if shutter is not None:
            yield from bps.abs_set(shutter.device, shutter.closed, group="qdsizer closed")
            yield from bps.wait("qdsizer closed", timeout=SHUTTER_TIMEOUT_S)

    def stop() -> Messages:
        yield from _each([partial(bps.stop, one) for one in devices if isinstance(one, Stoppable)])

    def unstage() -> Messages:
        yield from _each([partial(bps.unstage, one, wait=True) for one in reversed(staged)])

    def prepared() -> Messages:
        yield message("null", handler)  # registers the handler: the RunEngine now calls it on a pause
        for device in devices:
            if isinstance(device, Stageable):
                staged.append(device)  # one that fails half-way has parts to unstage
                yield from bps.stage(device, wait=True)
        if shutter is not None:
            yield from bps.abs_set(shutter.device, shutter.opened, group="qdsizer opened")
            yield from bps.wait("qdsizer opened", timeout=SHUTTER_TIMEOUT_S)
        handler.exposing = True
        return (yield from plan)

    return (yield from finally_also(finally_also(finally_also(prepared(), close), stop), unstage))

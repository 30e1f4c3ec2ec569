"""The measuring loop that all plans share."""

import time
from collections.abc import Callable
from typing import Any

from bluesky import plan_stubs as bps
from pydantic import Field

from ...configuration import Config, validated
from .._size_device import Sizing
from ._frames import Detectors, FrameLoop, Messages, SteeringFrame, device_list
from ._outcome import Ending, PlanOutcome
from ._safety import Shutter, safely

__all__ = ["MAX_UNSIZED", "Limits", "Preparation", "StopCheck", "steer"]

MAX_UNSIZED = 3
"""Successive frames without a size at which a plan stops: one may be a bubble, two a top-up of the ring."""

StopCheck = Callable[[SteeringFrame], tuple[Ending, str] | None]
"""Function of a sized frame; returns the ending with its reason, or None to continue."""


Preparation = Callable[[SteeringFrame | None], Messages]
"""Plan to run before each frame, given the newest sized frame, or None before the first."""


class Limits(Config):
    """Limits of a plan, independent of the sizes."""

    max_frames: int = Field(ge=1)
    """Maximum number of frames."""
    timeout: float = Field(gt=0)
    """Maximum time, s; an exposure that would end later is abandoned."""
    max_unsized: int = Field(ge=1)
    """Number of successive frames without a size at which the plan stops."""


def steer(
    name: str,
    detectors: Detectors,
    sizer: Sizing,
    check: StopCheck,
    limits: dict[str, Any],
    *,
    shutter: Shutter | None,
    time_key: str | None,
    md: dict[str, Any],
    prepare: Preparation | None = None,
) -> Messages:
    """Measure frames in a new run until there is a reason to stop.

    Parameters
    ----------
    name
        Name of the plan.
    detectors
        As of `device_list`.
    sizer, time_key
        As for `FrameLoop`.
    check
        Decides after each sized frame whether to stop.
    limits
        Values of `Limits`.
    shutter
        Opened for the run and closed after it; None if there is none.
    md
        Metadata for the start document.
    prepare
        Prepares the detectors for the next frame; None if nothing has to be done.

    Yields
    ------
    Messages for the RunEngine.

    Returns
    -------
    The `PlanOutcome`.

    Raises
    ------
    ConfigurationError
        A limit is out of range, or there is no detector.
    """
    allowed = validated(Limits, limits, name)
    devices = device_list(detectors)

    def run() -> Messages:
        loop = FrameLoop(devices, sizer, time_key)
        # The track of the run then uses the clock that the plan uses.
        clock = {} if time_key is None else {"time_key": time_key}
        names = [device.name for device in devices]
        yield from bps.open_run({"plan_name": name, "detectors": names, **limits, **clock, **md})
        outcome = yield from _until(loop, check, allowed, prepare)
        lost = outcome.ending is Ending.TRUST_LOST
        yield from bps.close_run(
            exit_status="fail" if lost else "success", reason=f"{outcome.ending}: {outcome.reason}"
        )
        yield from bps.checkpoint()  # so that a pause after this does not repeat the last frame
        return outcome

    return (yield from safely(run(), devices, shutter))


def _until(loop: FrameLoop, check: StopCheck, limits: Limits, prepare: Preparation | None) -> Messages:
    """Measure until the check or a limit ends the plan."""
    deadline = time.monotonic() + limits.timeout
    last_sized: SteeringFrame | None = None
    n_unsized = 0

    def ended(ending: Ending, reason: str, n_frames: int) -> PlanOutcome:
        return PlanOutcome(ending=ending, reason=reason, n_frames=n_frames, last_sized=last_sized)

    for number in range(1, limits.max_frames + 1):
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            return ended(Ending.TIMEOUT, f"the allowed time of {limits.timeout:g} s is over", number - 1)
        if prepare is not None:
            yield from prepare(last_sized)
        try:
            frame = yield from loop.measure(number, left_s)
        except TimeoutError:
            reason = f"the allowed time of {limits.timeout:g} s was over before frame {number} was read out"
            return ended(Ending.TIMEOUT, reason, number - 1)
        if frame.sized:
            n_unsized, last_sized = 0, frame
            if (end := check(frame)) is not None:
                return ended(*end, number)
        else:
            n_unsized += 1
            if n_unsized >= limits.max_unsized:
                reason = f"{n_unsized} successive frames could not be sized; the last: {frame.reason}"
                return ended(Ending.TRUST_LOST, reason, number)
    return ended(Ending.MAX_FRAMES, f"the allowed {limits.max_frames} frames are measured", limits.max_frames)

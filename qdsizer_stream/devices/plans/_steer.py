"""The loop of every plan that acts on the size: limits, trust and the end."""

import time
from collections.abc import Callable
from typing import Any

from bluesky import plan_stubs as bps
from pydantic import Field

from ...configuration import Config, validated
from .._size_device import Sizing
from ._frames import FrameLoop, Messages, SteeringFrame
from ._outcome import Ending, Outcome
from ._safety import Shutter, safely

__all__ = ["MAX_UNSIZED", "Judge", "Limits", "steer"]

MAX_UNSIZED = 3
"""Frames in a row without a size after which a plan no longer knows what it does: one may be a bubble, two a
top-up of the ring."""

Judge = Callable[[SteeringFrame], tuple[Ending, str] | None]
"""Takes a frame with a size; gives the ending with its reason, or None to go on."""


class Limits(Config):
    """How far a plan may go whatever the sizes say."""

    max_frames: int = Field(ge=1)
    """Frames at most."""
    timeout: float = Field(gt=0)
    """Time at most, s; an exposure that would end later is given up."""
    max_unsized: int = Field(ge=1)
    """Frames in a row without a size at most; from then on the plan has no trust in what it sees."""


def steer(
    name: str,
    detector: Any,
    sizer: Sizing,
    judge: Judge,
    limits: dict[str, Any],
    *,
    shutter: Shutter | None,
    time_key: str | None,
    md: dict[str, Any],
) -> Messages:
    """Measure frames in a run of their own until there is a reason to stop.

    Parameters
    ----------
    name
        Name of the plan.
    detector, sizer, time_key
        As for `FrameLoop`.
    judge
        Says when to stop.
    limits
        Values of `Limits`.
    shutter
        Opened for the run and closed after it; None where there is none.
    md
        For the start document.

    Yields
    ------
    Messages for the RunEngine.

    Returns
    -------
    The `Outcome`.

    Raises
    ------
    ConfigurationError
        A limit is out of range.
    """
    allowed = validated(Limits, limits, name)

    def run() -> Messages:
        loop = FrameLoop(detector, sizer, time_key)
        yield from bps.open_run({"plan_name": name, "detectors": [detector.name], **limits, **md})
        outcome = yield from _until(loop, judge, allowed)
        lost = outcome.ending is Ending.TRUST_LOST
        yield from bps.close_run(
            exit_status="fail" if lost else "success", reason=f"{outcome.ending}: {outcome.reason}"
        )
        yield from bps.checkpoint()  # a pause from here on must not measure the last frame again
        return outcome

    return (yield from safely(run(), detector, shutter))


def _until(loop: FrameLoop, judge: Judge, limits: Limits) -> Messages:
    """Measure until a judge or a limit says stop."""
    deadline = time.monotonic() + limits.timeout
    last_sized: SteeringFrame | None = None
    n_unsized = 0

    def ended(ending: Ending, reason: str, n_frames: int) -> Outcome:
        return Outcome(ending=ending, reason=reason, n_frames=n_frames, last_sized=last_sized)

    for number in range(1, limits.max_frames + 1):
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            return ended(Ending.TIMEOUT, f"{limits.timeout:g} s are over", number - 1)
        try:
            frame = yield from loop.measure(number, left_s)
        except TimeoutError:
            reason = f"{limits.timeout:g} s were over before frame {number} was read out"
            return ended(Ending.TIMEOUT, reason, number - 1)
        if frame.sized:
            n_unsized, last_sized = 0, frame
            if (verdict := judge(frame)) is not None:
                return ended(*verdict, number)
        else:
            n_unsized += 1
            if n_unsized >= limits.max_unsized:
                reason = f"{n_unsized} frames in a row have no size, the last: {frame.reason}"
                return ended(Ending.TRUST_LOST, reason, number)
    return ended(Ending.MAX_FRAMES, f"{limits.max_frames} frames are measured", limits.max_frames)

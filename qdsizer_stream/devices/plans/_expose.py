"""A plan that counts until the size is known well enough."""

from typing import Any

from bluesky import plan_stubs as bps
from pydantic import Field

from ...configuration import Config, validated
from ...errors import ConfigurationError
from .._size_device import Sizing
from ._frames import Messages, SteeringFrame
from ._outcome import Ending
from ._safety import Shutter, finally_also
from ._steer import MAX_UNSIZED, steer

__all__ = ["count_until_precise"]

LEAST_STEP, LARGEST_STEP = 1.25, 8.0
"""Bounds of the factor between exposures: less gains nothing worth a read-out, more rests too much on the
width of one interval."""

MARGIN = 1.1
"""Counts beyond those that should just suffice, since the width of an interval is itself an estimate."""


class Precision(Config):
    """How well the size is to be known."""

    width_nm: float = Field(gt=0, allow_inf_nan=False)
    """Width of the 95 % interval, nm."""
    max_exposure_s: float = Field(gt=0, allow_inf_nan=False)
    """Longest exposure, s."""


def count_until_precise(
    detector: Any,
    sizer: Sizing,
    width_nm: float,
    max_exposure_s: float,
    max_frames: int,
    timeout: float,
    *,
    exposure: str = "exposure_s",
    max_unsized: int = MAX_UNSIZED,
    shutter: Shutter | None = None,
    md: dict[str, Any] | None = None,
) -> Messages:
    """Measure a sample that does not change with ever longer exposures, until its size is known well enough.

    The interval narrows as the square root of the counts, so each frame says how long the next one must be. A
    frame without a size, as one with too few counts, is followed by a longer one too. The exposure is
    as it was when the plan is over.

    Parameters
    ----------
    detector
        The detector; triggered, and read into the stream `primary`.
    sizer
        The live sizer that the RunEngine feeds, such as `install` returns; read into the stream `size`.
    width_nm
        Width of the 95 % interval that is narrow enough, nm.
    max_exposure_s
        Longest exposure, s; a frame of it that is not precise enough ends the plan.
    max_frames
        Frames at most.
    timeout
        Time at most, s.
    exposure
        Setting of the detector that holds the exposure, s.
    max_unsized
        Frames in a row without a size at most.
    shutter
        Opened for the run, closed after it and while it is paused; None where there is none.
    md
        For the start document.

    Yields
    ------
    Messages for the RunEngine.

    Returns
    -------
    The `Outcome`; the stop document has it as its reason.

    Raises
    ------
    ConfigurationError
        A limit is out of range, the detector has no such setting, or the sizer is not subscribed to the
        RunEngine.
    """
    settings = {"width_nm": width_nm, "max_exposure_s": max_exposure_s}
    wanted = validated(Precision, settings, "count_until_precise")
    signal = getattr(detector, exposure, None)
    if signal is None:
        raise ConfigurationError(
            f"{detector.name} has no setting {exposure!r}: give the one that holds its exposure in s"
        )
    first_s = exposure_s = yield from bps.rd(signal)

    def restore() -> Messages:
        yield from bps.configure(detector, {exposure: first_s})

    def lengthen(last: SteeringFrame | None) -> Messages:
        nonlocal exposure_s
        if last is None:
            return
        needed = (
            MARGIN * ((last.high_nm - last.low_nm) / wanted.width_nm) ** 2 if last.sized else LARGEST_STEP
        )
        step = min(max(needed, LEAST_STEP), LARGEST_STEP)
        exposure_s = min(step * exposure_s, wanted.max_exposure_s)
        # Configured and not just set: the RunEngine then describes the stream anew, with this exposure. It
        # looks for the detector in the stream that was begun last, which is `size`; hence an event is begun.
        yield from bps.create("primary")
        yield from bps.drop()
        yield from bps.configure(detector, {exposure: exposure_s})

    def judge(frame: SteeringFrame) -> tuple[Ending, str] | None:
        width = frame.high_nm - frame.low_nm
        said = (
            f"frame {frame.number} of {exposure_s:g} s is {frame.size_nm:.2f} nm [{frame.low_nm:.2f}, "
            f"{frame.high_nm:.2f}], {width:.2f} nm wide, {width_nm:g} nm wanted"
        )
        if width <= wanted.width_nm:
            return Ending.PRECISE, said
        if exposure_s >= wanted.max_exposure_s:
            return Ending.IMPRECISE, said
        return None

    plan = steer(
        "count_until_precise",
        detector,
        sizer,
        judge,
        {"max_frames": max_frames, "timeout": timeout, "max_unsized": max_unsized},
        shutter=shutter,
        time_key=None,
        md={**settings, **(md or {})},
        before_each=lengthen,
    )
    return (yield from finally_also(plan, restore))

"""A plan that stops at a size."""

from typing import Any

from pydantic import Field

from ...configuration import Config, validated
from .._size_device import Sizing
from ._frames import Messages, SteeringFrame
from ._outcome import Ending
from ._safety import Shutter
from ._steer import MAX_UNSIZED, steer

__all__ = ["size_until"]


class Target(Config):
    """The size to stop at."""

    target_nm: float = Field(gt=0, allow_inf_nan=False)
    """Number-weighted mean diameter, nm."""
    tolerance: float = Field(ge=0, allow_inf_nan=False)
    """How far from it is near enough, nm."""


def size_until(
    detector: Any,
    sizer: Sizing,
    target_nm: float,
    tolerance: float,
    max_frames: int,
    timeout: float,
    *,
    max_unsized: int = MAX_UNSIZED,
    shutter: Shutter | None = None,
    time_key: str | None = None,
    md: dict[str, Any] | None = None,
) -> Messages:
    """Measure until the dots have a size.

    The first frame whose size lies within the tolerance of the target ends the plan, and so does the first
    beyond it. Which side that is the first sized frame says: dots that begin too small grow.

    Parameters
    ----------
    detector
        The detector; triggered, and read into the stream `primary`.
    sizer
        The live sizer that the RunEngine feeds, such as `install` returns; read into the stream `size`.
    target_nm
        Number-weighted mean diameter to stop at, nm.
    tolerance
        How far from the target is near enough, nm.
    max_frames
        Frames at most.
    timeout
        Time at most, s.
    max_unsized
        Frames in a row without a size at most.
    shutter
        Opened for the run, closed after it and while it is paused; None where there is none.
    time_key
        Data key of the detector that says the time of a frame, s; None for the clock on the wall.
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
        A limit is out of range, or the sizer is not subscribed to the RunEngine.
    """
    target = validated(Target, {"target_nm": target_nm, "tolerance": tolerance}, "size_until")
    growing: bool | None = None

    def judge(frame: SteeringFrame) -> tuple[Ending, str] | None:
        nonlocal growing
        said = (
            f"frame {frame.number} is {frame.size_nm:.2f} nm [{frame.low_nm:.2f}, {frame.high_nm:.2f}], "
            f"target {target_nm:g} ± {tolerance:g} nm"
        )
        excess_nm = frame.size_nm - target.target_nm
        if abs(excess_nm) <= target.tolerance:
            return Ending.REACHED, said
        if growing is None:
            growing = excess_nm < 0
        if (excess_nm > 0) == growing:
            return Ending.PASSED, said
        return None

    return (
        yield from steer(
            "size_until",
            detector,
            sizer,
            judge,
            {"max_frames": max_frames, "timeout": timeout, "max_unsized": max_unsized},
            shutter=shutter,
            time_key=time_key,
            md={"target_nm": target_nm, "tolerance_nm": tolerance, **(md or {})},
        )
    )

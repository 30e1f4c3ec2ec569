"""A plan that stops at a target size."""

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
    """Target size."""

    target_nm: float = Field(gt=0, allow_inf_nan=False)
    """Number-weighted mean diameter, nm."""
    tolerance: float = Field(ge=0, allow_inf_nan=False)
    """Allowed difference from the target, nm."""


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
    """Measure until the dots reach a target size.

    The plan ends at the first frame whose size is within the tolerance of the target, or beyond the target.
    Which side is beyond follows from the first sized frame: dots that start below the target are growing.

    Parameters
    ----------
    detector
        The detector; it is triggered, and read into the stream `primary`.
    sizer
        The live sizer subscribed to the RunEngine, as returned by `install`; read into the stream `size`.
    target_nm
        Number-weighted mean diameter to stop at, nm.
    tolerance
        Allowed difference from the target, nm.
    max_frames
        Maximum number of frames.
    timeout
        Maximum time, s.
    max_unsized
        Maximum number of successive frames without a size.
    shutter
        Opened for the run, closed after it and while it is paused; None if there is none.
    time_key
        Data key of the detector that contains the time of a frame, s; None for the computer's clock.
    md
        Metadata for the start document.

    Yields
    ------
    Messages for the RunEngine.

    Returns
    -------
    The `PlanOutcome`; it is also the reason in the stop document.

    Raises
    ------
    ConfigurationError
        An argument is out of range, or the sizer is not subscribed to the RunEngine.
    """
    target = validated(Target, {"target_nm": target_nm, "tolerance": tolerance}, "size_until")
    growing: bool | None = None

    def check(frame: SteeringFrame) -> tuple[Ending, str] | None:
        nonlocal growing
        state = (
            f"frame {frame.number} is {frame.size_nm:.2f} nm [{frame.low_nm:.2f}, {frame.high_nm:.2f}], "
            f"target {target_nm:g} ± {tolerance:g} nm"
        )
        excess_nm = frame.size_nm - target.target_nm
        if abs(excess_nm) <= target.tolerance:
            return Ending.REACHED, state
        if growing is None:
            growing = excess_nm < 0
        if (excess_nm > 0) == growing:
            return Ending.PASSED, state
        return None

    return (
        yield from steer(
            "size_until",
            detector,
            sizer,
            check,
            {"max_frames": max_frames, "timeout": timeout, "max_unsized": max_unsized},
            shutter=shutter,
            time_key=time_key,
            md={"target_nm": target_nm, "tolerance_nm": tolerance, **(md or {})},
        )
    )

"""A plan that stops at a target size."""

import math
from typing import Any

from pydantic import Field

from ...configuration import Config, validated
from ...models import TWO_SIDED_95
from ...tracking import normal_cdf
from .._size_device import Sizing
from ._frames import Detectors, Messages, SteeringFrame
from ._outcome import Ending
from ._safety import Shutter
from ._steer import MAX_UNSIZED, steer

__all__ = ["size_until"]


PROBABILITY = 0.5
"""Probability of being at the target at which a plan stops: at one half it is missed to either side alike."""


class Target(Config):
    """Target size."""

    target_nm: float = Field(gt=0)
    """Number-weighted mean diameter, nm."""
    tolerance: float = Field(ge=0)
    """Allowed difference from the target, nm."""
    probability: float = Field(gt=0, lt=1)
    """Probability of being within the tolerance of the target, or beyond, at which the plan stops."""


def size_until(
    detectors: Detectors,
    sizer: Sizing,
    target_nm: float,
    tolerance: float,
    max_frames: int,
    timeout: float,
    *,
    probability: float = PROBABILITY,
    max_unsized: int = MAX_UNSIZED,
    shutter: Shutter | None = None,
    time_key: str | None = None,
    md: dict[str, Any] | None = None,
) -> Messages:
    """Measure until the dots reach a target size.

    The plan acts on the track of the run, which is several times less noisy than the size of one frame. It
    ends at the first frame at which the size is within the tolerance of the target, or beyond the target,
    with the given probability; or at which the target will be missed by more after the next frame than it is
    now. Which side is beyond follows from the first sized frame: dots that start below the target are
    growing.

    Parameters
    ----------
    detectors
        The detector, or a list of it and other devices, such as an I0 counter or the motor of the arm. They
        are triggered together and read into one event of the stream `primary`, so that settings with a
        `data_key` are read with the frame.
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
    probability
        Probability of having come within the tolerance at which to stop, between 0 and 1. It allows for the
        whole error of the size, the part that all frames share included.
    max_unsized
        Maximum number of successive frames without a size.
    shutter
        Opened for the run, closed after it and while it is paused; None if there is none.
    time_key
        Data key of the detectors that contains the time of a frame, s; None for the computer's clock.
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
        An argument is out of range, a device cannot be read, or the sizer is not subscribed to the RunEngine.
    """
    settings = {"target_nm": target_nm, "tolerance": tolerance, "probability": probability}
    target = validated(Target, settings, "size_until")
    sign: float | None = None
    before_s: float | None = None

    def check(frame: SteeringFrame) -> tuple[Ending, str] | None:
        nonlocal sign, before_s
        period_min = 0.0 if before_s is None else max(frame.elapsed_s - before_s, 0.0) / 60
        before_s = frame.elapsed_s
        if sign is None:
            sign = 1.0 if frame.track_nm < target.target_nm else -1.0
        # Half of what the dots will grow until the next frame, where they grow for certain.
        slowest = min(sign * frame.growth_low_nm_per_min, sign * frame.growth_high_nm_per_min)
        half_step_nm = 0.5 * sign * frame.growth_nm_per_min * period_min if slowest > 0 else 0.0
        near_nm = max(target.tolerance, half_step_nm)
        sd = math.log(frame.track_high_nm / frame.track_nm) / TWO_SIDED_95
        within = math.log(frame.track_nm / (target.target_nm - sign * near_nm))
        probability = normal_cdf(sign * within / sd)
        if probability < target.probability:
            return None
        missed_nm = frame.track_nm - target.target_nm
        state = (
            f"at frame {frame.number} the track is at {frame.track_nm:.2f} nm [{frame.track_low_nm:.2f}, "
            f"{frame.track_high_nm:.2f}], target {target_nm:g} ± {tolerance:g} nm; the probability of having "
            f"come within {near_nm:.2g} nm of it is {probability:.2f}, required {target.probability:g}"
        )
        return (Ending.REACHED if sign * missed_nm <= near_nm else Ending.PASSED), state

    return (
        yield from steer(
            "size_until",
            detectors,
            sizer,
            check,
            {"max_frames": max_frames, "timeout": timeout, "max_unsized": max_unsized},
            shutter=shutter,
            time_key=time_key,
            md={
                "target_nm": target_nm,
                "tolerance_nm": tolerance,
                "probability": probability,
                **(md or {}),
            },
        )
    )

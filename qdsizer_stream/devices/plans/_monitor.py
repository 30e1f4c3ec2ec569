"""A plan that monitors a synthesis until the dots have stopped growing."""

from typing import Any

from pydantic import Field

from ...configuration import Config, validated
from ...models import TWO_SIDED_95
from .._size_device import Sizing
from ._frames import Detectors, Messages, SteeringFrame
from ._outcome import Ending
from ._safety import Shutter
from ._steer import MAX_UNSIZED, steer

__all__ = ["monitor_synthesis"]

ONE_SIDED_95 = 1.644854
"""Standard deviations that 95 % of a normal distribution lie below."""

MIN_FRAMES = 4
"""Fewer sizes give a rate whose error is hardly known."""


class Rule(Config):
    """Criterion for the end of growth."""

    min_rate_nm_per_min: float = Field(gt=0)
    """Rate below which growth counts as ended, nm/min."""
    window_frames: int = Field(ge=MIN_FRAMES)
    """Number of sized frames before the plan may end."""


def monitor_synthesis(
    detectors: Detectors,
    sizer: Sizing,
    min_rate_nm_per_min: float,
    max_frames: int,
    timeout: float,
    *,
    window_frames: int = 10,
    max_unsized: int = MAX_UNSIZED,
    shutter: Shutter | None = None,
    time_key: str | None = None,
    md: dict[str, Any] | None = None,
) -> Messages:
    """Measure a synthesis until its dots no longer grow.

    The rate is that of the track of the run, the same as in the displays and documents. The plan ends when
    it is below the threshold with 95 % confidence; if the sizes scatter, it waits for more.

    Parameters
    ----------
    detectors, sizer, max_frames, timeout, max_unsized, shutter, time_key, md
        As in `size_until`.
    min_rate_nm_per_min
        Rate below which growth counts as ended, nm/min.
    window_frames
        Number of sized frames before the plan may end, at least 4.

    Yields
    ------
    Messages for the RunEngine.

    Returns
    -------
    The `PlanOutcome`; it is also the reason in the stop document.

    Raises
    ------
    ConfigurationError
        As in `size_until`.
    """
    settings = {"min_rate_nm_per_min": min_rate_nm_per_min, "window_frames": window_frames}
    rule = validated(Rule, settings, "monitor_synthesis")
    n_sized = 0

    def check(frame: SteeringFrame) -> tuple[Ending, str] | None:
        nonlocal n_sized
        n_sized += 1
        if n_sized < rule.window_frames:
            return None
        rate = frame.growth_nm_per_min
        at_most = rate + (frame.growth_high_nm_per_min - rate) * ONE_SIDED_95 / TWO_SIDED_95
        if not at_most < rule.min_rate_nm_per_min:
            return None
        return Ending.GROWTH_ENDED, (
            f"at frame {frame.number} the dots grow by {rate:.3f} nm/min, at most by {at_most:.3f}, less "
            f"than {rule.min_rate_nm_per_min:g}; they are {frame.track_nm:.2f} nm"
        )

    return (
        yield from steer(
            "monitor_synthesis",
            detectors,
            sizer,
            check,
            {"max_frames": max_frames, "timeout": timeout, "max_unsized": max_unsized},
            shutter=shutter,
            time_key=time_key,
            md={**settings, **(md or {})},
        )
    )

"""A plan that monitors a synthesis until the dots have stopped growing."""

from collections import deque
from typing import Any

from pydantic import Field

from ...configuration import Config, validated
from .._size_device import Sizing
from ._frames import Messages, SteeringFrame
from ._growth import MIN_FRAMES, growth_rate
from ._outcome import Ending
from ._safety import Shutter
from ._steer import MAX_UNSIZED, steer

__all__ = ["monitor_synthesis"]


class Rule(Config):
    """Criterion for the end of growth."""

    min_rate_nm_per_min: float = Field(gt=0, allow_inf_nan=False)
    """Rate below which growth counts as ended, nm/min."""
    window_frames: int = Field(ge=MIN_FRAMES)
    """Number of newest sized frames that the rate is fitted to."""


def monitor_synthesis(
    detector: Any,
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

    The rate is the slope of a robust line through the newest sized frames, and its error comes from the
    scatter of their sizes. The plan ends when the rate is below the threshold with 95 % confidence; if the
    sizes scatter, it waits for more.

    Parameters
    ----------
    detector, sizer, max_frames, timeout, max_unsized, shutter, time_key, md
        As in `size_until`.
    min_rate_nm_per_min
        Rate below which growth counts as ended, nm/min.
    window_frames
        Number of newest sized frames that the rate is fitted to, at least 4.

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
    window: deque[SteeringFrame] = deque(maxlen=rule.window_frames)

    def check(frame: SteeringFrame) -> tuple[Ending, str] | None:
        window.append(frame)
        if len(window) < rule.window_frames:
            return None
        rate = growth_rate(window)
        if rate.at_most_nm_per_min >= rule.min_rate_nm_per_min:
            return None
        return Ending.GROWTH_ENDED, (
            f"at frame {frame.number} the dots grow by {rate.nm_per_min:.3f} nm/min, at most by "
            f"{rate.at_most_nm_per_min:.3f}, less than {rule.min_rate_nm_per_min:g}; they are "
            f"{frame.size_nm:.2f} nm"
        )

    return (
        yield from steer(
            "monitor_synthesis",
            detector,
            sizer,
            check,
            {"max_frames": max_frames, "timeout": timeout, "max_unsized": max_unsized},
            shutter=shutter,
            time_key=time_key,
            md={**settings, **(md or {})},
        )
    )

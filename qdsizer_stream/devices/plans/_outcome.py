"""Why a plan that acts on the size stopped."""

from dataclasses import dataclass
from enum import StrEnum

from ._frames import SteeringFrame

__all__ = ["Ending", "Outcome"]


class Ending(StrEnum):
    """Why a plan stopped."""

    REACHED = "reached"
    """The size lies within the tolerance of the target."""
    PASSED = "passed"
    """The size went past the target between two frames, by more than the tolerance."""
    GROWTH_ENDED = "growth_ended"
    """The dots grow more slowly than asked for, with 95 % confidence."""
    PRECISE = "precise"
    """The interval is as narrow as asked for."""
    IMPRECISE = "imprecise"
    """All frames allowed would not be enough for the interval asked for."""
    TRUST_LOST = "trust_lost"
    """Too many frames in a row had no size."""
    MAX_FRAMES = "max_frames"
    """All frames allowed were measured."""
    TIMEOUT = "timeout"
    """The time allowed is over."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a plan came to; also in the stop document, as its `reason`."""

    ending: Ending
    """Why it stopped."""
    reason: str
    """The same in one line with its numbers."""
    n_frames: int
    """Frames measured."""
    last_sized: SteeringFrame | None
    """Newest frame with a size; None where there was none."""

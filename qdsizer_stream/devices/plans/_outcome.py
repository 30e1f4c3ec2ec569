"""Result of a plan that acts on the size."""

from dataclasses import dataclass
from enum import StrEnum

from ._frames import SteeringFrame

__all__ = ["Ending", "PlanOutcome"]


class Ending(StrEnum):
    """Why a plan stopped."""

    REACHED = "reached"
    """The size is within the tolerance of the target."""
    PASSED = "passed"
    """The size passed the target between two frames, by more than the tolerance."""
    GROWTH_ENDED = "growth_ended"
    """The dots grow more slowly than the given rate, with 95 % confidence."""
    PRECISE = "precise"
    """The interval is as narrow as required."""
    IMPRECISE = "imprecise"
    """The allowed number of frames cannot give the required interval."""
    TRUST_LOST = "trust_lost"
    """Too many successive frames could not be sized."""
    MAX_FRAMES = "max_frames"
    """The allowed number of frames was measured."""
    TIMEOUT = "timeout"
    """The allowed time is over."""


@dataclass(frozen=True, kw_only=True)
class PlanOutcome:
    """Result of a plan; also in the stop document, as its `reason`."""

    ending: Ending
    """Why the plan stopped."""
    reason: str
    """The same in one line, with the numbers."""
    n_frames: int
    """Frames measured."""
    last_sized: SteeringFrame | None
    """Newest frame with a size; None if no frame was sized."""

"""One frame on its way from documents to a size."""

from dataclasses import dataclass
from typing import Any

__all__ = ["Frame"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Frame:
    """Counts of one exposure with what sizing them needs, or the reason why they cannot be sized."""

    seq_num: int
    """Number of the raw event, or of the row in the stream where there are no events."""
    time: float
    """When the raw event was, s since the epoch."""
    counts: Any = None
    """Counts per strip as the document or file held them; not looked at where `reason` is set."""
    wavelength_angstrom: float = float("nan")
    """Wavelength, Å."""
    arm_deg: float = 0.0
    """Angle of the detector arm, degrees."""
    reason: str = ""
    """Why the frame cannot be sized; empty where it can."""

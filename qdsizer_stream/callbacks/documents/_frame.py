"""One frame on its way from documents to a size."""

import math
from dataclasses import dataclass

from ...sizing import RawFrame

__all__ = ["Frame"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Frame:
    """A raw frame with its event, or the reason why it cannot be sized."""

    seq_num: int
    """Sequence number of the raw event, or of the row in the stream where there are no events."""
    time: float
    """Time of the raw event, s since the epoch."""
    raw: RawFrame | None = None
    """Counts and readings; None where `reason` is set."""
    peak_ev: float = math.nan
    """First excitonic peak of a UV-vis spectrum in the same event, eV; NaN where there is none."""
    reason: str = ""
    """Why the frame cannot be sized; empty where it can."""

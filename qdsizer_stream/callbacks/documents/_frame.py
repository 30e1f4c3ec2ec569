"""Frames on their way from documents to a size."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...sizing import RawFrame

__all__ = ["Announced", "Frame", "Unreadable"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Frame:
    """A raw frame with its event, or the reason why it cannot be sized."""

    seq_num: int
    """Sequence number of the raw event, or of the row in the stream where there are no events."""
    time: float
    """Time of the raw event, s since the epoch."""
    clock_s: float | None = None
    """Time on the clock that the start document names, s; None for `time`."""
    stream: str = ""
    """Stream of the frame."""
    data_key: str = ""
    """Data key of the frame."""
    raw: RawFrame | None = None
    """Counts and readings; None where `reason` is set."""
    peak_ev: float = math.nan
    """First excitonic peak of a UV-vis spectrum in the same event, eV; NaN where there is none."""
    reason: str = ""
    """Why the frame cannot be sized; empty where it can."""
    n_frames: int = 1
    """Frames of the event that this one stands for: several where none of them can be read."""


@dataclass(frozen=True)
class Unreadable:
    """Placeholder in an event for the frames, where an archive cannot give them."""

    reason: str
    """Why, one line with the remedy."""


@dataclass(eq=False, kw_only=True)
class Announced:
    """Frames of one event that documents have announced, not read from their file yet."""

    descriptor: Mapping[str, Any]
    """Descriptor of their stream."""
    stream: str
    """Name of the stream."""
    data_key: str
    """Data key of the frames."""
    seq_num: int
    """Sequence number of the event."""
    time: float
    """Time of the event, s since the epoch; when the announcement was received where there is no event."""
    counts: Callable[[], Any]
    """Gives the counts of the event: one frame or several; raises where they cannot be read."""
    n_frames: int = 1
    """Frames that the data key describes per event."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """Data of the event, without the frames."""
    problem: str = ""
    """Why they cannot be sized; empty where nothing is known against it."""
    inline: bool = False
    """Whether the counts are in the document, so that reading them never waits."""

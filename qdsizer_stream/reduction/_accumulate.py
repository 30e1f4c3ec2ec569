"""Adding frames up until they contain enough photons."""

from typing import Literal

from pydantic import Field

from ..configuration import Config
from ._pooled import PooledCounts

__all__ = ["AccumulationConfig", "FrameAccumulator"]


class AccumulationConfig(Config):
    """Which frames are added up to one pattern."""

    mode: Literal["reset", "rolling", "all"]
    """reset: every frame is used once, and a new sum starts when one is complete. rolling: after every frame,
    the sum of as many of the newest frames as are needed, so that successive sums share frames. all: after
    every frame, the sum of all frames not older than max_seconds, for a sample that does not change."""
    min_counts: float = Field(ge=1)
    """Photons at which a sum is complete; in the mode all, at which the first sum is."""
    max_seconds: float = Field(gt=0)
    """Longest time between the first and the last frame of a sum, s; a sum that reaches it is sized as it is.
    Longer sums would mix dots of different ages."""


class FrameAccumulator:
    """Adds frames up in the order of their measurement.

    Parameters
    ----------
    config
        Settings.
    """

    def __init__(self, config: AccumulationConfig) -> None:
        self.config = config
        self._window = FrameWindow()

    def add(self, frame: PooledCounts, time_s: float) -> list[PooledCounts]:
        """Add the next frame.

        Parameters
        ----------
        frame
            Reduced frame.
        time_s
            Time of its measurement, s, not before that of the previous frame.

        Returns
        -------
        Sums that are now complete: none, one or, in reset mode, two: the sum that reached its time limit
        before this frame, and this frame alone.

        Raises
        ------
        CalibrationError
            The frame has other Q points than those before it.
        """
        if self.config.mode == "reset":
            return self._add_once(frame, time_s)
        window, config = self._window, self.config
        full = False
        while len(window) and time_s - window.first_time_s > config.max_seconds:
            window.drop_first()
            full = True
        window.append(frame, time_s)
        while config.mode == "rolling" and window.counts - window.first_counts >= config.min_counts:
            window.drop_first()
        return [window.total()] if full or window.counts >= config.min_counts else []

    def expire(self, time_s: float) -> list[PooledCounts]:
        """End a sum that a frame measured at this time could no longer join; `add` does this itself.

        Parameters
        ----------
        time_s
            Time at which the next frame was measured, s.

        Returns
        -------
        In reset mode the sum that reached its time limit, if there is one; in the other modes nothing.
        """
        late = len(self._window) and time_s - self._window.first_time_s > self.config.max_seconds
        return self.flush() if late and self.config.mode == "reset" else []

    def _add_once(self, frame: PooledCounts, time_s: float) -> list[PooledCounts]:
        config = self.config
        complete = self.expire(time_s)
        self._window.append(frame, time_s)
        waited = time_s - self._window.first_time_s
        if self._window.counts >= config.min_counts or waited >= config.max_seconds:
            complete += self.flush()
        return complete

    def flush(self) -> list[PooledCounts]:
        """Return what is left at the end of a run.

        Returns
        -------
        In reset mode the incomplete sum, if there is one; in the other modes nothing, because every frame was
        in a sum already returned or there were never enough photons.
        """
        rest = [self._window.total()] if self.config.mode == "reset" and len(self._window) else []
        self._window = FrameWindow()
        return rest


class FrameWindow:
    """A queue of frames with its sum, made of two stacks so that nothing is ever subtracted.

    A running sum that adds each new and subtracts each old frame would accumulate rounding errors over a day
    of millisecond frames; the sums of two stacks do not, at a cost of two additions per frame.
    """

    def __init__(self) -> None:
        self._older: list[tuple[PooledCounts, float, float]] = []  # sum with all that follow, counts, time
        self._newer: list[tuple[PooledCounts, float]] = []
        self._newer_sum: PooledCounts | None = None
        self.counts = 0.0
        """Photons in the window."""

    def __len__(self) -> int:
        return len(self._older) + len(self._newer)

    @property
    def first_time_s(self) -> float:
        """Time of the oldest frame, s."""
        return self._older[-1][2] if self._older else self._newer[0][1]

    @property
    def first_counts(self) -> float:
        """Photons of the oldest frame."""
        return self._older[-1][1] if self._older else self._newer[0][0].total_counts

    def append(self, frame: PooledCounts, time_s: float) -> None:
        """Add the newest frame."""
        total = frame if self._newer_sum is None else self._newer_sum + frame
        self._newer.append((frame, time_s))
        self._newer_sum = total
        self.counts += frame.total_counts

    def drop_first(self) -> None:
        """Remove the oldest frame."""
        if not self._older:
            total = None
            for frame, time_s in reversed(self._newer):
                total = frame if total is None else frame + total
                self._older.append((total, frame.total_counts, time_s))
            self._newer, self._newer_sum = [], None
        _, counts, _ = self._older.pop()
        # Counts are integers unless corrected for dead time: make an empty window exactly empty.
        self.counts = self.counts - counts if len(self) else 0.0

    def total(self) -> PooledCounts:
        """Sum of the frames; there must be at least one."""
        if not self._older:
            assert self._newer_sum is not None
            return self._newer_sum
        older = self._older[-1][0]
        return older if self._newer_sum is None else older + self._newer_sum

"""Choice of the streams whose frames are sized."""

import logging
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ._frame import Announced

__all__ = ["PRIMARY", "StreamChoice"]

logger = logging.getLogger(__name__)

PRIMARY = "primary"
"""Bluesky's name of the main stream of a run."""

BASELINE = "baseline"
"""Bluesky's name of the stream read before and after a run: its images are sized only where no other stream
has any."""

HOLD_S = 2.0
"""How long frames of another stream wait for `primary` to begin, s. Past that, a live size is worth more
than the choice."""

MAX_HELD = 64
"""Announcements of other streams that wait for `primary`: 8 MB of inline frames of 30 720 strips."""


class StreamChoice:
    """Holds frames of other streams until it is known whether `primary` has any, and prefers that.

    Dark frames, flats, monitors of the image and the baseline come before the frames of the sample. Where
    `primary` brings no frames, each stream is sized under its own name.

    Parameters
    ----------
    start
        Start document; plans such as `count` and `scan` name their main stream in its hints.
    configured
        The stream of the settings, which alone is sized; None where they give none.
    """

    def __init__(self, start: Mapping[str, Any], configured: str | None) -> None:
        self._uid = start.get("uid")
        self._expected = _named_in_hints(start)
        self._chosen = configured
        self._open = False  # whether every stream but the baseline is sized
        self._held: list[Announced] = []
        self._deadline = 0.0
        self.left_out: Counter[str] = Counter()
        """Frames that are not sized because another stream is, by stream."""

    @property
    def due(self) -> float | None:
        """When held frames are to be released, s on the monotonic clock; None where none wait for a time."""
        return self._deadline if self._waiting() else None

    @property
    def holding(self) -> bool:
        """Whether frames wait for the choice."""
        return bool(self._held)

    def declare(self, stream: str, has_frames: bool) -> list[Announced]:
        """Take note of a descriptor.

        Parameters
        ----------
        stream
            Its stream.
        has_frames
            Whether it describes frames of this detector.

        Returns
        -------
        Held frames that are to be sized now.
        """
        if stream != PRIMARY or self._chosen is not None:
            return []
        self._expected = has_frames
        return [] if has_frames else self._accept()

    def admit(self, announced: list[Announced]) -> list[Announced]:
        """Choose frames.

        Parameters
        ----------
        announced
            Frames in order.

        Returns
        -------
        Those that are to be sized now, held ones of before among them.
        """
        admitted: list[Announced] = []
        for one in announced:
            if self._chosen is None and one.stream == PRIMARY:
                self._chosen = PRIMARY
                self._leave_out(self._held)
                self._held = []
            if one.stream == self._chosen or (self._chosen is None and self._open and one.stream != BASELINE):
                admitted.append(one)
            elif self._chosen is not None:
                self._leave_out([one])
            else:
                if all(held.stream == BASELINE for held in self._held):
                    self._deadline = time.monotonic() + HOLD_S
                self._held.append(one)
        if len(self._held) > MAX_HELD:
            admitted = [*self._accept(), *admitted]
        return admitted

    def release(self) -> list[Announced]:
        """Stop waiting for `primary` where the time is over.

        Returns
        -------
        Held frames that are to be sized now.
        """
        return self._accept() if self._waiting() and time.monotonic() >= self._deadline else []

    def finish(self) -> list[Announced]:
        """End the run.

        Returns
        -------
        Held frames, in order: `primary` had none.
        """
        held, self._held = self._held, []
        return held

    def _waiting(self) -> bool:
        return not self._expected and any(one.stream != BASELINE for one in self._held)

    def _accept(self) -> list[Announced]:
        """Size the streams that wait, but for the baseline."""
        accepted = [one for one in self._held if one.stream != BASELINE]
        self._held = [one for one in self._held if one.stream == BASELINE]
        self._open = True
        return accepted

    def _leave_out(self, announced: list[Announced]) -> None:
        for one in announced:
            if not self.left_out[one.stream]:
                logger.warning(
                    "run %s: frames of stream %s are not sized, those of %s are; to choose, set stream",
                    self._uid,
                    one.stream,
                    self._chosen,
                )
            self.left_out[one.stream] += one.n_frames


def _named_in_hints(start: Mapping[str, Any]) -> bool:
    """Whether the hints of a run name `primary` as the stream of its dimensions."""
    hints = start.get("hints")
    dimensions = hints.get("dimensions") if isinstance(hints, Mapping) else None
    return isinstance(dimensions, list | tuple) and any(
        isinstance(one, list | tuple) and len(one) == 2 and one[1] == PRIMARY for one in dimensions
    )

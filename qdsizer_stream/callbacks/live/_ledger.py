"""Account of the frames of a run."""

from collections import Counter, defaultdict
from typing import Any

from ...sizing import Status

__all__ = ["FrameLedger"]


class FrameLedger:
    """Counts the frames that a run announced and the outcome of each, by stream.

    Every frame has one outcome: with a size, or rejected for a reason. A frame that joins a sum has the
    outcome of the first estimate that contains it.
    """

    def __init__(self) -> None:
        self._announced: Counter[str] = Counter()
        self._outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._in_sums: Counter[str] = Counter()

    def announce(self, stream: str, n_frames: int = 1) -> None:
        """Count frames that documents announced.

        Parameters
        ----------
        stream
            Their stream.
        n_frames
            Number of frames.
        """
        self._announced[stream] += n_frames

    def outcome(self, stream: str, outcome: str, n_frames: int = 1) -> None:
        """Count the outcome of frames.

        Parameters
        ----------
        stream
            Their stream.
        outcome
            Status of their estimate, or the reason why they have none.
        n_frames
            Number of frames.
        """
        self._outcomes[stream][outcome] += n_frames

    def join_sum(self, stream: str) -> None:
        """Count a frame that joined a sum.

        Parameters
        ----------
        stream
            Its stream.
        """
        self._in_sums[stream] += 1

    def end_sum(self, stream: str, outcome: str) -> None:
        """Give the frames in a sum their outcome.

        Parameters
        ----------
        stream
            Their stream.
        outcome
            As of `outcome`.
        """
        self.outcome(stream, outcome, self._in_sums.pop(stream, 0))

    def end(self) -> None:
        """End the run: sums that never held enough photons have no estimate."""
        for stream in list(self._in_sums):
            self.end_sum(stream, "sum_incomplete")

    @property
    def unaccounted(self) -> dict[str, int]:
        """Announced frames without an outcome, by stream; negative where there are more outcomes."""
        streams = self._announced.keys() | self._outcomes.keys()
        missing = {one: self._announced[one] - self._outcomes[one].total() for one in sorted(streams)}
        return {stream: n_frames for stream, n_frames in missing.items() if n_frames}

    def by_stream(self) -> dict[str, Any]:
        """Numbers of frames for the stop document.

        Returns
        -------
        For each stream `announced`, `sized` and `rejected`, the last by reason.
        """
        account = {}
        for stream, announced in self._announced.items():
            rejected = dict(self._outcomes[stream])
            sized = rejected.pop(Status.SIZED.value, 0)
            account[stream] = {
                "announced": announced,
                "sized": sized,
                "rejected": {reason: n_frames for reason, n_frames in rejected.items() if n_frames},
            }
        return account

"""Comparison of two sizings of one run."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..callbacks import OBJECT_NAME, STREAM_NAME, LiveConfig, estimates_alone
from ..errors import ArchiveError
from ..models import SizingModel
from ._connect import plain_errors
from ._select import plain_run

__all__ = ["Comparison", "Differences"]

NOT_COMPARED = frozenset({"qdsizer_latency"})
"""Data keys left out of the comparison: a replay has no latency."""


@dataclass
class Differences:
    """Differences between an earlier sizing and this one."""

    frames: int = 0
    """Frames, or sums of frames, in both sizings."""
    equal: int = 0
    """Of these, equal in every value to the last bit."""
    sized_in_both: int = 0
    """Of these, sized in both."""
    largest_nm: float = 0.0
    """Largest difference of the size, nm, of those sized in both."""
    rms_nm: float = 0.0
    """Root mean square difference of the size, nm, of those sized in both."""
    status_changes: dict[str, int] = field(default_factory=dict)
    """Frames whose status changed, by `from → to`."""
    only_earlier: int = 0
    """Frames in the earlier sizing only."""
    only_now: int = 0
    """Frames in this sizing only."""
    first_difference: str = ""
    """First frame that differs, by its sequence number, with the reason; empty where none does."""


class Comparison:
    """Compares sizes with those of an earlier sizing; writes nothing.

    Parameters
    ----------
    earlier
        Run that holds the stream `qd_size`: the same run, or one derived from it.
    other_model
        Whether the models may differ.
    """

    def __init__(self, earlier: Any, other_model: bool = False) -> None:
        self._earlier = plain_run(earlier)
        self._other_model = other_model
        self.differences = Differences()
        """Result of the comparison."""

    def find(self, run: Any, config: LiveConfig, model: SizingModel) -> str | None:
        """Check that the two sizings can be compared.

        Parameters
        ----------
        run, config, model
            As of `LinkedRuns.find`.

        Returns
        -------
        None.

        Raises
        ------
        ArchiveError
            The earlier sizing is of another run or of another model, or does not exist.
        """
        start, uid = self._earlier.metadata["start"], run.metadata["start"]["uid"]
        if uid not in (start["uid"], start.get("original_run_uid")):
            raise ArchiveError(
                f"run {start['uid']} holds sizes of run {start.get('original_run_uid', start['uid'])}, "
                f"not of {uid}: give that run, or one derived from it"
            )
        with plain_errors(f"run {start['uid']}"):
            if STREAM_NAME not in set(self._earlier):
                raise ArchiveError(
                    f"run {start['uid']} has no stream {STREAM_NAME}: it was never sized; "
                    "give a run with sizes"
                )
            described = self._earlier[STREAM_NAME].descriptors[0]["configuration"][OBJECT_NAME]["data"]
        if described["qdsizer_model_sha256"] != model.sha256 and not self._other_model:
            raise ArchiveError(
                f"run {start['uid']} was sized with model {described['qdsizer_model']} "
                f"{described['qdsizer_model_sha256'][:8]}, this is {model.name} {model.sha256[:8]}: give "
                f"--model with the file of the earlier model, or --model {model.name} to compare both models"
            )
        return None

    def write(self, run: Any, documents: Iterator[tuple[str, Any]]) -> str:
        """Compare.

        Parameters
        ----------
        run
            The run.
        documents
            Those of the derived run.

        Returns
        -------
        Identifier of the run of the earlier sizes.
        """
        uid = str(self._earlier.metadata["start"]["uid"])
        with plain_errors(f"run {uid}"):
            table = self._earlier[STREAM_NAME].read()
            earlier = _by_frame(table.to_dataframe().to_dict("records"))
        now = _by_frame(doc["data"] for name, doc in estimates_alone(documents) if name == "event")
        self.differences = _differences(earlier, now)
        return uid


def _by_frame(rows: Any) -> dict[tuple[int, int], Mapping[str, Any]]:
    """Sizes by sequence number of the raw event and, for events of several frames, index in the event."""
    seen: Counter[int] = Counter()
    result = {}
    for row in rows:
        seq_num = int(row["qdsizer_frame_seq_num"])
        result[seq_num, seen[seq_num]] = row
        seen[seq_num] += 1
    return result


def _differences(
    earlier: Mapping[tuple[int, int], Mapping[str, Any]], now: Mapping[tuple[int, int], Mapping[str, Any]]
) -> Differences:
    both = earlier.keys() & now.keys()
    different = sorted(earlier.keys() ^ now.keys())
    found = Differences(
        frames=len(both), only_earlier=len(earlier.keys() - both), only_now=len(now.keys() - both)
    )
    changes: Counter[str] = Counter()
    squares = 0.0
    for frame in both:
        one, other = earlier[frame], now[frame]
        if _changed(one, other):
            different.append(frame)
        else:
            found.equal += 1
        if one["qdsizer_status"] != other["qdsizer_status"]:
            changes[f"{one['qdsizer_status']} → {other['qdsizer_status']}"] += 1
        elif one["qdsizer_status"] == "sized":
            difference = abs(float(other["qdsizer_size"]) - float(one["qdsizer_size"]))
            found.sized_in_both += 1
            found.largest_nm = max(found.largest_nm, difference)
            squares += difference**2
    found.rms_nm = math.sqrt(squares / found.sized_in_both) if found.sized_in_both else 0.0
    found.status_changes = dict(changes.most_common())
    if different:
        frame = min(different)
        found.first_difference = _described(frame, earlier.get(frame), now.get(frame))
    return found


def _changed(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Data keys in which two estimates of a frame differ, in their order."""
    return [key for key in other if key not in NOT_COMPARED and not _same(one.get(key), other[key])]


def _described(
    frame: tuple[int, int], earlier: Mapping[str, Any] | None, now: Mapping[str, Any] | None
) -> str:
    """Why a frame differs, in one line."""
    seq_num, index = frame
    name = f"frame {seq_num}" if not index else f"frame {seq_num}, number {index + 1} of its event"
    if earlier is None or now is None:
        return f"{name}: in {'this' if earlier is None else 'the earlier'} sizing only"
    if earlier["qdsizer_status"] != now["qdsizer_status"]:
        reasons = [
            f"{row['qdsizer_status']} {when}" + f" ({row['qdsizer_reason']})" * bool(row["qdsizer_reason"])
            for row, when in ((earlier, "earlier"), (now, "now"))
        ]
        return f"{name}: {', '.join(reasons)}"
    first, *others = _changed(earlier, now)
    also = f" (and {len(others)} more)" if others else ""
    before = repr(earlier[first]) if first in earlier else "missing"
    return f"{name}: {first} is {before} earlier, {now[first]!r} now{also}"


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) or (one != one and other != other)

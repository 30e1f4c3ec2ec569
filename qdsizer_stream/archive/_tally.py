"""Events per stream: those of documents, and the rows that an archive stores."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ArchiveError
from ._connect import plain_errors
from ._select import in_tables

__all__ = ["EventTally", "RowCountError", "StreamCount", "check_rows", "stored_rows"]


class RowCountError(ArchiveError):
    """An archive that holds more or fewer rows of a run than were written."""


@dataclass(frozen=True)
class StreamCount:
    """Events, or rows, of one stream."""

    rows: int
    """Events, or rows of the table."""
    distinct: int
    """Distinct sequence numbers: less than `rows` where a pause repeated an event, or a row is doubled."""


class EventTally:
    """Counts the events of one run."""

    def __init__(self) -> None:
        self._stream_of: dict[str, str] = {}
        self._rows: Counter[str] = Counter()
        self._seq_nums: defaultdict[str, set[int]] = defaultdict(set)
        self._flown: set[str] = set()
        self.documents = 0
        """Documents counted."""
        self.stop: Mapping[str, Any] | None = None
        """Stop document, once it was counted."""

    def add(self, name: str, doc: Mapping[str, Any]) -> None:
        """Count a document.

        Parameters
        ----------
        name
            Kind of the document.
        doc
            The document.
        """
        self.documents += 1
        if name == "descriptor":
            self._stream_of[doc["uid"]] = doc.get("name", "primary")
        elif name == "event":
            self._count(doc["descriptor"], [doc["seq_num"]])
        elif name == "event_page":
            self._count(doc["descriptor"], doc["seq_num"])
        elif name == "bulk_events":
            for event in (event for events in doc.values() for event in events):
                self._count(event["descriptor"], [event["seq_num"]])
        elif name == "stream_datum":
            self._flown.add(self._stream_of.get(doc["descriptor"], ""))
        elif name == "stop":
            self.stop = doc

    @property
    def counts(self) -> dict[str, StreamCount]:
        """Events by stream."""
        return {name: StreamCount(rows, len(self._seq_nums[name])) for name, rows in self._rows.items()}

    def missing(self) -> dict[str, tuple[int, int]]:
        """Compare with the number of events in the stop document.

        Returns
        -------
        Counted and announced events of every stream that lacks some; frames announced by stream_datum come
        without events and are not counted.
        """
        announced = (self.stop or {}).get("num_events") or {}
        return {
            name: (len(self._seq_nums[name]), number)
            for name, number in announced.items()
            if len(self._seq_nums[name]) < number and name not in self._flown
        }

    def _count(self, descriptor: str, seq_nums: Iterable[int]) -> None:
        if descriptor not in self._stream_of:
            return  # its descriptor is missing, and no archive would accept it
        numbers, stream = list(seq_nums), self._stream_of[descriptor]
        self._rows[stream] += len(numbers)
        self._seq_nums[stream].update(numbers)


def stored_rows(run: Any) -> dict[str, StreamCount]:
    """Count the rows that an archive holds of a run.

    Parameters
    ----------
    run
        A run, as the archive holds it now.

    Returns
    -------
    Rows by stream; streams without a table, and runs in MongoDB, are left out.

    Raises
    ------
    ArchiveError
        The archive cannot be read.
    """
    if not in_tables(run):
        return {}
    counts = {}
    with plain_errors(f"run {run.metadata['start']['uid']}"):
        for name in list(run):
            stream = run[name]
            parts = dict(getattr(stream, "base", stream).items())
            tables = [part for key, part in parts.items() if key == "internal" or key.startswith("internal_")]
            tables = [part for part in tables if "seq_num" in getattr(part, "columns", ())]
            if tables:
                seq_nums = tables[0].read(["seq_num"])["seq_num"]
                counts[name] = StreamCount(len(seq_nums), int(seq_nums.nunique()))
    return counts


def check_rows(run: Any, expected: Mapping[str, StreamCount]) -> None:
    """Compare the rows of a run in an archive with the events that were written.

    Parameters
    ----------
    run
        The run, as the archive holds it now.
    expected
        Events by stream.

    Raises
    ------
    RowCountError
        A row is missing or doubled.
    ArchiveError
        The archive cannot be read.
    """
    stored = stored_rows(run)
    streams = set(run) if in_tables(run) else set(expected)
    wrong = [
        f"{there.rows} rows ({there.distinct} distinct) of {count.rows} events in {name}"
        for name, count in expected.items()
        if (there := stored.get(name)) is not None and there != count
    ] + [
        f"no stream {name} of {count.rows} events" for name, count in expected.items() if name not in streams
    ]
    if wrong:
        raise RowCountError(
            f"run {run.metadata['start']['uid']}: the archive holds {', '.join(wrong)}; a request was "
            "repeated after its answer was lost, or a row was not stored"
        )

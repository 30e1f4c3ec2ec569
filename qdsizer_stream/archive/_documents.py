"""Documents of an archived run, every frame inline."""

import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
from event_model import unpack_event_page
from numpy.typing import NDArray

from ..callbacks import STREAM_NAME, LiveConfig, frame_keys
from ..errors import ArchiveError
from ._ahead import ahead
from ._connect import plain_errors
from ._select import in_tables, plain_run

__all__ = ["FRAME_DOCUMENTS", "run_documents"]

Documents = Iterator[tuple[str, dict[str, Any]]]

FRAME_DOCUMENTS = frozenset({"event", "stream_datum"})
"""Documents of `run_documents` that bring frames."""

REQUEST_BYTES = 48 * 2**20
"""Frames asked for at a time: 400 of 30 720 32-bit strips. With the chunk in hand, the one that waits and
the one on its way, memory does not grow with the run; smaller requests make the server unpack its own
chunks of 100 MB more often."""

POLL_S = 1.0
"""How often a run in progress is asked for more, s."""

PATIENCE_S = 60.0
"""How long a run without an end may bring nothing before it is taken for dead, s."""


def run_documents(run: Any, config: LiveConfig, skip: int = 0, patience_s: float = PATIENCE_S) -> Documents:
    """Read a run back as documents, frames in chunks.

    Streams without frames are left out. Frames that Tiled holds, in whichever way, come as if they had
    stood in the events, so that who reads them need not know where they lay; from a MongoDB catalog of
    databroker come its own documents. A run in progress is followed to its end.

    Parameters
    ----------
    run
        A `BlueskyRun` from Tiled or databroker, or a `Header` of databroker.
    config
        Says which data keys may hold frames.
    skip
        Documents with frames that are known already, and left out.
    patience_s
        How long a run without an end may bring nothing new, s.

    Returns
    -------
    Name and document: start, then descriptors and frames of each stream with frames, and stop; no stop
    where the run has none and brought nothing new for `patience_s`. A run that ended before its first
    reading has start and stop alone.

    Raises
    ------
    ArchiveError
        The run holds no frames of this detector, or the archive does not give them.
    """
    run = plain_run(run)
    start = dict(run.metadata["start"])
    source = _Tables(run, config, skip) if in_tables(run) else _Mongo(run, config, skip)
    yield "start", start
    brought = time.monotonic()
    while True:
        with plain_errors(f"run {start['uid']}"):
            stop = run.refresh().metadata.get("stop")
        for name, doc in source.news(ended=bool(stop)):
            if name in FRAME_DOCUMENTS:
                brought = time.monotonic()
            yield name, doc
        if stop:
            break
        if time.monotonic() - brought > patience_s:
            return
        time.sleep(POLL_S)
    source.check_whole(stop)
    if source.streams and not source.found:
        raise ArchiveError(
            f"run {start['uid']} has no frames of this detector: its streams are "
            f"{', '.join(source.streams)}; set data_key and stream, or the calibration of its detector"
        )
    yield "stop", dict(stop)


class _Mongo:
    """A run whose documents lie in MongoDB."""

    def __init__(self, run: Any, config: LiveConfig, skip: int) -> None:
        self._run = run
        self._config = config
        self._skip = skip
        self._given: set[str] = set()
        self._dropped: set[str] = set()  # descriptors of estimates
        self.streams: list[str] = []
        self.found = False

    def news(self, ended: bool) -> Documents:
        """Documents that were not given before, but for start and stop."""
        with plain_errors(f"run {self._run.metadata['start']['uid']}"):
            yield from self._news()

    def _news(self) -> Documents:
        for name, doc in self._run.documents(fill=False):
            if name in ("start", "stop"):
                continue
            if name == "event_page":
                events = [("event", event) for event in unpack_event_page(doc)]
            else:
                events = [(name, doc)]
            for kind, one in events:
                uid = one.get("uid")
                if uid in self._given or one.get("descriptor") in self._dropped:
                    continue
                if uid is not None:
                    self._given.add(uid)
                if kind == "descriptor" and not self._wanted(one):
                    continue
                if kind in FRAME_DOCUMENTS and self._skip > 0:
                    self._skip -= 1
                    continue
                yield kind, dict(one)

    def check_whole(self, stop: Mapping[str, Any]) -> None:
        """MongoDB returns the documents that it was given; there are no rows to count."""

    def _wanted(self, descriptor: Mapping[str, Any]) -> bool:
        stream = descriptor.get("name", "primary")
        if stream == STREAM_NAME:
            self._dropped.add(descriptor["uid"])
            return False
        self.streams.append(stream)
        frames = frame_keys(self._config, descriptor) and self._config.stream in (None, stream)
        self.found |= bool(frames)
        return True


class _Tables:
    """A run that lies in the arrays and tables of Tiled."""

    def __init__(self, run: Any, config: LiveConfig, skip: int) -> None:
        self._run = run
        self._config = config
        self._skip = skip
        self._described: set[str] = set()
        self._given: Counter[str] = Counter()
        self._flown: set[str] = set()
        self.streams: list[str] = []
        self.found = False

    def news(self, ended: bool) -> Documents:
        """Documents that were not given before, but for start and stop."""
        with plain_errors(f"run {self._run.metadata['start']['uid']}"):
            names = [name for name in _streams(self._run) if name != STREAM_NAME]
            described = {name: self._run[name].descriptors for name in names}
        self.streams = sorted(described, key=lambda name: described[name][0]["time"])
        for name in self.streams:
            descriptors = described[name]
            keys = frame_keys(self._config, descriptors[0])
            if not keys or self._config.stream not in (None, name):
                continue
            self.found = True
            for descriptor in descriptors:
                if descriptor["uid"] not in self._described:
                    self._described.add(descriptor["uid"])
                    yield "descriptor", _inline(descriptor, keys)
            for doc in self._events(name, descriptors, keys, ended):
                self._given[name] += 1
                yield "event", doc

    def check_whole(self, stop: Mapping[str, Any]) -> None:
        """Compare the events that were read with the stop document: a short run must not pass as whole."""
        announced = stop.get("num_events") or {}
        for name, given in self._given.items():
            if name not in self._flown and given < announced.get(name, 0):
                raise ArchiveError(
                    f"run {stop['run_start']}: the archive holds {given} of {announced[name]} events in "
                    f"{name}; `qdsizer-stream audit` lists such runs; a spooled journal may have the rest"
                )

    def _events(
        self, name: str, descriptors: list[dict[str, Any]], keys: list[str], ended: bool
    ) -> Iterator[dict[str, Any]]:
        """Events of one stream that were not given before, a chunk of frames at a time."""
        stored = self._stored(name, descriptors[0], keys, ended)
        if stored is None:
            return  # not readable yet: the next look at the run tries again
        n_events = stored.n_events
        skipped = max(min(self._skip, n_events - self._given[name]), 0)
        self._skip -= skipped
        self._given[name] += skipped
        chunks = _chunks(stored.where, stored.arrays, stored.rows_each, self._given[name], n_events)
        for first, last, frames in ahead(chunks):
            yield from self._events_of_chunk(stored, descriptors, first, last, frames)

    def _stored(
        self, name: str, descriptor: Mapping[str, Any], keys: list[str], ended: bool
    ) -> "_StoredStream | None":
        """Table and frame arrays of a stream, unread; None where a run in progress does not have them yet."""
        where = f"run {self._run.metadata['start']['uid']}, stream {name}"
        try:
            with plain_errors(where):
                stream = _streams(self._run)[name]
                # The parts as they are stored, not the columns of tables among the arrays.
                parts = dict(getattr(stream, "base", stream).items())
                table, columns = _table(parts, keys)
        except ArchiveError as error:
            if ended or not _is_fault_of_server(error.__cause__):
                raise
            return None  # a table cannot be read while its first rows are written
        arrays: dict[str, Any] = {key: parts[key] for key in keys if key in parts} | columns
        if missing := [key for key in keys if key not in arrays]:
            stop = self._run.metadata.get("stop") or {}
            if ended and (len(table) or stop.get("num_events", {}).get(name)):
                raise ArchiveError(f"{where} announces {', '.join(missing)} but holds no such array")
            return None
        rows_each = {
            key: _rows_each(array.shape, descriptor["data_keys"][key]["shape"])
            for key, array in arrays.items()
        }
        flown = not len(table) and all("external" in key for key in descriptor["data_keys"].values())
        if flown:
            self._flown.add(name)
        self._given[name] += 0  # compared with the stop document even where nothing is there
        if len(table) and int(table.duplicated(["seq_num", "time"]).sum()):
            doubled = int(table.duplicated(["seq_num", "time"]).sum())
            raise ArchiveError(
                f"{where}: {doubled} of {len(table)} rows are there twice, because a request was repeated "
                "after its answer was lost: repair the run with `qdsizer-stream audit ARCHIVE --mend`"
            )
        return _StoredStream(where, table, arrays, rows_each, flown)

    def _events_of_chunk(
        self,
        stored: "_StoredStream",
        descriptors: list[dict[str, Any]],
        first: int,
        last: int,
        frames: Mapping[str, NDArray[np.generic]],
    ) -> Iterator[dict[str, Any]]:
        """Events `first` to `last` of a stream, each with its row of the table and its frames."""
        run_time = self._run.metadata["start"]["time"]
        began = [descriptor["time"] for descriptor in descriptors]
        rows = stored.table.iloc[first:last].to_dict("records")
        for index in range(first, last):
            row = rows[index - first] if rows else {"seq_num": index + 1, "time": run_time}
            descriptor = descriptors[max(bisect_right(began, float(row["time"])) - 1, 0)]
            of_event = {
                key: chunk[(index - first) * stored.rows_each[key] :][: stored.rows_each[key]]
                for key, chunk in frames.items()
            }
            yield _event(descriptor["uid"], row, of_event)


@dataclass(frozen=True)
class _StoredStream:
    """Table and frame arrays of one stream, as the archive holds them now."""

    where: str
    """Run and stream, for error messages."""
    table: Any
    """Columns of the stream without its frames, one row per event; empty for a fly scan."""
    arrays: Mapping[str, Any]
    """Arrays of frames by data key, unread."""
    rows_each: Mapping[str, int]
    """Rows of each array per event."""
    flown: bool
    """Whether the stream is a fly scan without a table: its frames are numbered from one and have the time
    of the run."""

    @property
    def n_events(self) -> int:
        """Events that are complete; the arrays may be ahead of the table."""
        in_arrays = min(int(array.shape[0]) // self.rows_each[key] for key, array in self.arrays.items())
        return in_arrays if self.flown else min(in_arrays, len(self.table))


def _is_fault_of_server(error: BaseException | None) -> bool:
    return isinstance(error, httpx.HTTPStatusError) and error.response.is_server_error


def _streams(run: Any) -> Any:
    """Container of the streams as they are now; the run itself remembers those it had."""
    base = run.base
    if "streams" in base and not any(spec.name == "BlueskyEventStream" for spec in base["streams"].specs):
        return base["streams"]  # where Tiled's writer used to put them
    return base


def _inline(descriptor: Mapping[str, Any], keys: list[str]) -> dict[str, Any]:
    """Describe the frames as part of the events."""
    data_keys = {
        key: {field: value for field, value in data_key.items() if key not in keys or field != "external"}
        for key, data_key in descriptor["data_keys"].items()
    }
    return {**descriptor, "data_keys": data_keys}


def _table(parts: Mapping[str, Any], keys: list[str]) -> tuple[Any, dict[str, Any]]:
    """Columns of a stream less its frames, and the columns that hold frames, unread.

    Tables of many columns lie in several parts, of the same rows.
    """
    import pandas as pd

    tables = [part for name, part in parts.items() if name == "internal" or name.startswith("internal_")]
    tables = [part for part in tables if hasattr(part, "columns")]
    frames = {key: table[key] for table in tables for key in keys if key in table.columns}
    read = [table.read([column for column in table.columns if column not in keys]) for table in tables]
    whole = pd.concat(read, axis=1) if read else pd.DataFrame()
    return whole.loc[:, ~whole.columns.duplicated()], frames


def _chunks(
    where: str, arrays: Mapping[str, Any], rows_each: Mapping[str, int], first: int, n_events: int
) -> Iterator[tuple[int, int, dict[str, NDArray[np.generic]]]]:
    """First event, event after the last and rows of each array, in requests that suit the server."""
    step = _step(arrays, rows_each)
    while first < n_events:
        last = min((first // step + 1) * step, n_events)
        chunks = {}
        for key, array in arrays.items():
            with plain_errors(f"{where}, {key}, frames {first + 1} to {last}"):
                chunks[key] = np.asarray(array[first * rows_each[key] : last * rows_each[key]])
        yield first, last, chunks
        first = last


def _step(arrays: Mapping[str, Any], rows_each: Mapping[str, int]) -> int:
    """Events a request: whole chunks of the server, or equal parts of one."""
    event_bytes: int = sum(
        rows_each[key] * array.dtype.itemsize * int(np.prod(array.shape[1:])) for key, array in arrays.items()
    )
    wanted = max(REQUEST_BYTES // max(event_bytes, 1), 1)
    stored: int = max(max(array.chunks[0][0] // rows_each[key], 1) for key, array in arrays.items())
    if stored <= wanted:
        return wanted // stored * stored
    return -(-stored // -(-stored // wanted))


def _event(descriptor: str, row: Mapping[str, Any], frames: Mapping[str, Any]) -> dict[str, Any]:
    """One event, from its row in the table and its frames."""
    seq_num, at = int(row["seq_num"]), float(row["time"])
    data = {
        key: value
        for key, value in row.items()
        if key not in ("seq_num", "time") and not key.startswith("ts_")
    }
    data |= frames
    return {
        "uid": f"{descriptor}/{seq_num}",
        "descriptor": descriptor,
        "seq_num": seq_num,
        "time": at,
        "data": data,
        "timestamps": {key: float(row.get(f"ts_{key}", at)) for key in data},
        "filled": {},
    }


def _rows_each(total: tuple[int, ...], datum: Sequence[int]) -> int:
    """Rows of an archived array that belong to one event: stacked arrays have an axis more."""
    return 1 if len(total) == len(datum) + 1 else max(datum[0], 1)

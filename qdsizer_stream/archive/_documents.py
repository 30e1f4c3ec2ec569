"""Documents of an archived run, every frame inline."""

import logging
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx
import numpy as np
from event_model import unpack_event_page

from ..callbacks import DERIVED_STREAMS, ROWS_KEY, RUN_KEY, LiveConfig, frame_keys
from ..callbacks.documents import (
    PRIMARY,
    FrameReadings,
    Unreadable,
    described_shape,
    rows_per_event,
    two_keys,
)
from ..errors import ArchiveError, ConfigurationError
from ._ahead import ahead
from ._column_names import ColumnNames
from ._connect import plain_errors
from ._frame_file import FrameFile, check_selection, undecoded_uris, why_not_here
from ._select import in_tables, plain_run

__all__ = ["FRAME_DOCUMENTS", "run_documents"]

logger = logging.getLogger(__name__)

Documents = Iterator[tuple[str, dict[str, Any]]]

FRAME_DOCUMENTS = frozenset({"event", "stream_datum"})
"""Documents of `run_documents` that bring frames."""

REQUEST_BYTES = 48 * 2**20
"""Frames asked for at a time: 400 of 30 720 32-bit strips. With the current chunk, the one that waits and
the one on its way, memory does not grow with the run; smaller requests make the server unpack its own
chunks of 100 MB more often."""

POLL_S = 1.0
"""How often a run in progress is asked for more, s."""

UNPROCESSABLE = 422
"""Answer of a server that finds an array in another shape than it announced."""

PATIENCE_S = 60.0
"""How long a run without an end may bring nothing before it is taken for dead, s."""


def run_documents(
    run: Any,
    config: LiveConfig,
    skip: int = 0,
    patience_s: float = PATIENCE_S,
    request_bytes: int = REQUEST_BYTES,
) -> Documents:
    """Read a run back as documents, frames in chunks.

    Streams without frames are left out. Frames that Tiled holds, in whichever way, come as if they had
    stood in the events, so that who reads them need not know where they lay; from a MongoDB catalog of
    databroker come its own documents. A run in progress is followed to its end.

    Parameters
    ----------
    run
        A `BlueskyRun` from Tiled or databroker, or a `Header` of databroker.
    config
        States which data keys may hold frames.
    skip
        Documents with frames that are known already, and left out.
    patience_s
        How long a run without an end may bring nothing new, s.
    request_bytes
        Frames asked for at a time, in bytes: fewer where a server limits the size of its answers.

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
    source = _Tables(run, config, skip, request_bytes) if in_tables(run) else _Mongo(run, config, skip)
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
        time.sleep(min(POLL_S, patience_s / 4))
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
            elif name == "bulk_events":
                events = [("event", event) for of_one in doc.values() for event in of_one]
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
        if stream in DERIVED_STREAMS:
            self._dropped.add(descriptor["uid"])
            return False
        self.streams.append(stream)
        frames = frame_keys(self._config, descriptor) and self._config.stream in (None, stream)
        self.found |= bool(frames)
        return True


class _Tables:
    """A run that lies in the arrays and tables of Tiled."""

    def __init__(self, run: Any, config: LiveConfig, skip: int, request_bytes: int) -> None:
        self._run = run
        self._config = config
        self._skip = skip
        self._request_bytes = request_bytes
        self._described: set[str] = set()
        self._given: Counter[str] = Counter()
        self._flown: set[str] = set()
        self._undecoded: dict[str, list[str]] = {}  # URIs of the files of each array
        self._names: dict[str, ColumnNames] = {}  # by stream
        self.streams: list[str] = []
        self.found = False

    def news(self, ended: bool) -> Documents:
        """Documents that were not given before, but for start and stop."""
        with plain_errors(f"run {self._run.metadata['start']['uid']}"):
            names = [name for name in _streams(self._run) if name not in DERIVED_STREAMS]
            described = {name: self._restored(name, self._run[name].descriptors) for name in names}
        # The main stream first: frames of others are left out where it has any.
        self.streams = sorted(described, key=lambda name: (name != PRIMARY, described[name][0]["time"]))
        framed: dict[str, list[str]] = {}
        for name in self.streams:
            keys = frame_keys(self._config, described[name][0])
            if keys and self._config.stream in (None, name):
                framed[name] = keys
            if keys or name == PRIMARY:
                yield from self._descriptors(described[name], keys)
        self.found |= bool(framed)
        for name, keys in framed.items():
            wanted = PRIMARY not in framed or name == PRIMARY or not self._given[PRIMARY]
            # Where there are other streams, one without its array must not end the replay of all.
            alone = len(framed) == 1
            for doc in self._events(name, described[name], keys, ended, wanted, alone):
                self._given[name] += 1
                yield "event", doc

    def _restored(self, name: str, descriptors: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Descriptors of a stream with the data keys as its devices named them."""
        notes = self._run.metadata.get("notes") or ()
        self._names[name] = ColumnNames.of(name, descriptors[0], notes, self._read_from_events())
        return [self._names[name].restored(descriptor) for descriptor in descriptors]

    def _read_from_events(self) -> set[str]:
        """Data keys that the settings name."""
        sources = FrameReadings(self._config, self._run.metadata["start"]).sources.values()
        return {source.data_key for source in sources if source.data_key} | set(self._config.applied.values())

    def check_whole(self, stop: Mapping[str, Any]) -> None:
        """Compare the events that were read with the stop document: a short run must not pass as whole."""
        announced = stop.get("num_events") or {}
        for name, given in self._given.items():
            if name not in self._flown and given < announced.get(name, 0):
                raise ArchiveError(
                    f"run {stop['run_start']}: the archive holds {given} of {announced[name]} events in "
                    f"{name}; `qdsizer-stream audit` lists such runs; a spooled journal may have the rest"
                )

    def _descriptors(self, descriptors: list[dict[str, Any]], keys: list[str]) -> Documents:
        for descriptor in descriptors:
            if descriptor["uid"] not in self._described:
                self._described.add(descriptor["uid"])
                yield "descriptor", _inline(descriptor, keys)

    def _events(
        self,
        name: str,
        descriptors: list[dict[str, Any]],
        keys: list[str],
        ended: bool,
        wanted: bool,
        alone: bool,
    ) -> Iterator[dict[str, Any]]:
        """Events of one stream that were not given before, a chunk of frames at a time."""
        where = f"run {self._run.metadata['start']['uid']}, stream {name}"
        stored = self._stored(where, name, keys, ended)
        if stored is None:
            return
        table, arrays = stored
        names = self._names[name]
        problem, rows_each = names.problem if wanted else "left out", dict.fromkeys(arrays, 1)
        missing = [key for key in keys if key not in arrays]
        if len(keys) > 1:
            problem = problem or two_keys(keys)
        elif missing:
            announced = len(table) or self._stop.get("num_events", {}).get(name)
            if not ended or not announced:
                return
            problem = f"{where} announces {', '.join(missing)} but holds no such array"
            if alone:
                raise ArchiveError(problem)
            logger.warning("%s", problem)
        else:
            try:
                for array in arrays.values():
                    check_selection(array)
                rows_each = {key: _rows_each(array, descriptors[0], key) for key, array in arrays.items()}
            except ArchiveError as error:
                problem = problem or f"{error}"
        # A fly scan has no table: its frames are numbered from one and dated by the run. While a run goes on,
        # its table may be behind its arrays.
        all_external = all("external" in key for key in descriptors[0]["data_keys"].values())
        flown = not len(table) and bool(arrays) and (ended or all_external)
        if flown:
            self._flown.add(name)
        if not problem and (unsure := _not_as_announced(arrays, self._in_order(name))):
            if not ended:
                return
            problem = unsure
        self._given[name] += 0  # compared with the stop document even where nothing is there
        _check_not_doubled(where, table)
        n_events = min((one.shape[0] // rows_each[key] for key, one in arrays.items()), default=len(table))
        if ended and not flown and not missing and len(keys) == 1 and n_events != len(table):
            described = [descriptors[0]["data_keys"][key] for key in keys]
            external = [str(key["external"]) for key in described if "external" in key]
            unequal = _unequal(where, n_events, len(table), external)
            problem, n_events = problem or unequal, len(table) if unequal else n_events
        elif not flown:
            n_events = min(n_events, len(table))
        skipped = max(min(self._skip, n_events - self._given[name]), 0)
        self._skip -= skipped
        self._given[name] += skipped
        if flown and len(descriptors) > 1:
            problem = problem or self._differing(descriptors)
        if not self._in_order(name, unknown=True):
            problem = problem or (
                "the frames of this stream are not the rows of its files one after another, and the archive "
                "does not hold which they are: size such runs live"
            )
        first = self._given[name]
        chunks: Iterator[tuple[int, int, Mapping[str, Any]]]
        if problem:
            chunks = iter([(first, n_events, {key: _Nothing(problem) for key in keys})])
        else:
            chunks = ahead(
                _chunks(where, arrays, rows_each, first, n_events, self._undecoded, self._request_bytes)
            )
        try:
            yield from self._of_chunks(descriptors, table, rows_each, chunks, names)
        except ArchiveError as error:
            if not ended:
                raise
            first = self._given[name]
            chunks = self._otherwise(
                where, error, arrays, rows_each, first, n_events, alone, self._in_order(name)
            )
            yield from self._of_chunks(descriptors, table, rows_each, chunks, names)

    def _in_order(self, name: str, unknown: bool = False) -> bool:
        """Whether frames are the rows of their files one after another, as a sizer noted live."""
        account = self._stop.get(RUN_KEY) or {}
        return name not in account[ROWS_KEY] if ROWS_KEY in account else unknown

    def _otherwise(
        self,
        where: str,
        error: ArchiveError,
        arrays: Mapping[str, Any],
        rows_each: Mapping[str, int],
        first: int,
        n_events: int,
        alone: bool,
        in_order: bool,
    ) -> Iterator[tuple[int, int, Mapping[str, Any]]]:
        """Read frames that the server does not give from their files on this machine, or say why not."""
        if not _is_fault_of_array(error.__cause__):
            raise error
        files = {key: FrameFile.of(array, self._config.file_timeout_s) for key, array in arrays.items()}
        here = {key: file for key, file in files.items() if file is not None}
        if len(here) < len(files):
            why = next(why_not_here(arrays[key]) for key in files if key not in here)
            problem = f"{error}; {why}" if why else f"{error}"
            if alone:
                raise ArchiveError(problem) from error
        else:
            problem = _not_as_announced(here, in_order)
        logger.warning("%s: %s", where, problem or f"{error}: read from the files on this machine")
        if problem:
            return iter([(first, n_events, {key: _Nothing(problem) for key in arrays})])
        return _chunks(where, here, rows_each, first, n_events, {}, self._request_bytes)

    def _of_chunks(
        self,
        descriptors: list[dict[str, Any]],
        table: Any,
        rows_each: Mapping[str, int],
        chunks: Iterator[tuple[int, int, Mapping[str, Any]]],
        names: ColumnNames,
    ) -> Iterator[dict[str, Any]]:
        """Events from rows of the table and chunks of frames."""
        started = self._run.metadata["start"]["time"]
        began = [descriptor["time"] for descriptor in descriptors]
        for first, last, arrays in chunks:
            rows = table.iloc[first:last].to_dict("records")
            for index in range(first, last):
                unknown = {"seq_num": index + 1, "time": started}
                row = rows[index - first] if index - first < len(rows) else unknown
                # Configuration changes with a descriptor, which is older than its events.
                descriptor = descriptors[max(bisect_right(began, float(row["time"])) - 1, 0)]
                frames = {
                    key: chunk[(index - first) * rows_each.get(key, 1) :][: rows_each.get(key, 1)]
                    for key, chunk in arrays.items()
                }
                yield _event(f"{descriptor['uid']}/{index + 1}", descriptor["uid"], row, frames, names)

    @property
    def _stop(self) -> Mapping[str, Any]:
        return self._run.metadata.get("stop") or {}

    def _stored(
        self, where: str, name: str, keys: list[str], ended: bool
    ) -> tuple[Any, dict[str, Any]] | None:
        """Table of a stream without its frames, and its arrays; None where they cannot be read yet."""
        try:
            with plain_errors(where):
                stream = _streams(self._run)[name]
                # The parts as they are stored, not the columns of tables among the arrays.
                parts = dict(getattr(stream, "base", stream).items())
                table, columns = _table(parts, keys)
                self._read_waveforms(name, stream, table)
        except ArchiveError as error:
            if ended or not _is_fault_of_server(error.__cause__):
                raise
            return None  # a table cannot be read while its first rows are written; the next look will
        stored = {key: self._names[name].column(key) for key in keys}
        arrays = {key: self._readable(where, key, parts[at]) for key, at in stored.items() if at in parts}
        return table, arrays | columns

    def _read_waveforms(self, name: str, stream: Any, table: Any) -> None:
        """Read waveforms that the settings name as arrays: the whole table holds their text, rounded."""
        columns = {self._names[name].column(key) for key in self._read_from_events()}
        for key in columns & set(table.columns):
            if len(table) and isinstance(table[key].iloc[0], str):
                values = stream[key].read()
                if len(values) == len(table):
                    table[key] = list(values)

    def _readable(self, where: str, key: str, array: Any) -> Any:
        """An array, or its files on this machine where the server cannot find them."""
        with plain_errors(where):
            self._undecoded[key] = undecoded_uris(array)
            here = FrameFile.of(array, self._config.file_timeout_s) if self._undecoded[key] else None
            return here or array

    def _differing(self, descriptors: list[dict[str, Any]]) -> str:
        """Why frames of a flown stream cannot be sized where its configuration changed; empty otherwise."""
        readings = FrameReadings(self._config, self._run.metadata["start"])
        found: list[Any] = []
        for descriptor in descriptors:
            try:
                found.append(readings.read(descriptor, {}))
            except ConfigurationError as error:
                found.append(f"{error}")
        if all(one == found[0] for one in found):
            return ""
        return (
            f"the configuration of this flown stream changed ({len(descriptors)} descriptors), and the "
            "archive does not hold which frame belongs to which: size such runs live, or give the changed "
            "setting as value"
        )


class _Nothing:
    """Placeholder of an array that is not read."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def __getitem__(self, _: slice) -> Any:
        return self if _.stop is None else Unreadable(self._reason)


def _unequal(where: str, n_frames: int, n_events: int, external: Sequence[str]) -> str:
    """Why frames and events of another number cannot be assigned to each other; empty where they can.

    A run that was interrupted may have announced frames in a stream whose events never came: the last ones.
    """
    if n_frames > n_events and external and all(one.startswith("STREAM") for one in external):
        return ""
    if external:
        return (
            f"the archive holds frames of {n_frames} events for {n_events} events, and not which belong to "
            "which: size such runs live"
        )
    raise ArchiveError(
        f"{where}: the archive holds frames of {n_frames} of {n_events} events; `qdsizer-stream audit` "
        "lists such runs; a spooled journal may have the rest"
    )


def _check_not_doubled(where: str, table: Any) -> None:
    doubled = int(table.duplicated(["seq_num", "time"]).sum()) if len(table) else 0
    if doubled:
        raise ArchiveError(
            f"{where}: {doubled} of {len(table)} rows are there twice, because a request was repeated "
            "after its answer was lost: repair the run with `qdsizer-stream audit ARCHIVE --mend`"
        )


def _is_fault_of_server(error: BaseException | None) -> bool:
    return isinstance(error, httpx.HTTPStatusError) and error.response.is_server_error


def _is_fault_of_array(error: BaseException | None) -> bool:
    """Whether a server cannot read an array, or has it in another shape than it says."""
    return _is_fault_of_server(error) or (
        isinstance(error, httpx.HTTPStatusError) and error.response.status_code == UNPROCESSABLE
    )


def _not_as_announced(arrays: Mapping[str, Any], in_order: bool) -> str:
    """Why the files of arrays are not what the archive announces; empty where they are, or are not known."""
    found = (array.problem(in_order) for array in arrays.values() if isinstance(array, FrameFile))
    return next(filter(None, found), "")


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
    where: str,
    arrays: Mapping[str, Any],
    rows_each: Mapping[str, int],
    first: int,
    n_events: int,
    undecoded: Mapping[str, list[str]],
    request_bytes: int,
) -> Iterator[tuple[int, int, Mapping[str, Any]]]:
    """First event, event after the last and rows of each array, in requests that suit the server."""
    step = _step(arrays, rows_each, request_bytes)
    while first < n_events:
        last = min((first // step + 1) * step, n_events)
        chunks: dict[str, Any] = {}
        for key, array in arrays.items():
            try:
                with plain_errors(f"{where}, {key}, frames {first + 1} to {last}"):
                    chunks[key] = np.asarray(array[first * rows_each[key] : last * rows_each[key]])
            except ArchiveError as error:
                if isinstance(array, FrameFile):
                    chunks[key] = _Nothing(f"{error}")
                    continue
                if not _is_fault_of_server(error.__cause__) or not (uris := undecoded.get(key)):
                    raise
                raise ArchiveError(
                    f"{error}; Tiled does not decode the URI {uris[0]}: replay on a machine that has this "
                    "file, or rename the folder without %, # and ?"
                ) from error
        yield first, last, chunks
        first = last


def _step(arrays: Mapping[str, Any], rows_each: Mapping[str, int], request_bytes: int) -> int:
    """Events a request: whole chunks of the server, or equal parts of one."""
    event_bytes: int = sum(
        rows_each[key] * array.dtype.itemsize * int(np.prod(array.shape[1:])) for key, array in arrays.items()
    )
    wanted = max(request_bytes // max(event_bytes, 1), 1)
    stored: int = max(max(array.chunks[0][0] // rows_each[key], 1) for key, array in arrays.items())
    if stored <= wanted:
        return wanted // stored * stored
    return -(-stored // -(-stored // wanted))


def _event(
    uid: str, descriptor: str, row: Mapping[str, Any], frames: Mapping[str, Any], names: ColumnNames
) -> dict[str, Any]:
    """One event, from its row in the table and its frames."""
    seq_num, at = int(row["seq_num"]), float(row["time"])
    columns = {column: value for column, value in row.items() if names.is_data(column)}
    data = {
        names.original(column): Unreadable(reason) if (reason := names.lost(column)) else value
        for column, value in columns.items()
    }
    data |= frames
    return {
        "uid": uid,
        "descriptor": descriptor,
        "seq_num": seq_num,
        "time": at,
        "data": data,
        "timestamps": {key: float(row.get(f"ts_{names.column(key)}", at)) for key in data},
        "filled": {},
    }


def _rows_each(array: Any, descriptor: Mapping[str, Any], key: str) -> int:
    """Rows of an archived array that belong to one event."""
    described = descriptor["data_keys"][key]
    if "external" not in described:
        return 1  # the writer stores inline frames row by row, whatever shape they were described with
    # The writer keeps here the number of frames that the resource gave per event.
    multiplier = array.metadata.get("frame_per_point")
    return rows_per_event(array.shape, described_shape(described["shape"], multiplier))

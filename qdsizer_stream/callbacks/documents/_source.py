"""Frames out of the documents of one run, in whichever layout they come."""

import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
from event_model import unpack_datum_page, unpack_event_page
from numpy.typing import NDArray

from ...errors import ArchiveError, ConfigurationError
from ...reduction import frame_layouts
from ...sizing import RawFrame
from ._config import LiveConfig
from ._files import FrameFiles, datum_span
from ._frame import Announced, Frame, Unreadable
from ._owned import owned
from ._pending import EventMatch
from ._readings import FrameReadings
from ._stream_choice import StreamChoice
from ._track_data import clock_key

__all__ = ["FrameSource", "frame_keys", "two_keys"]

logger = logging.getLogger(__name__)


def frame_keys(config: LiveConfig, descriptor: Mapping[str, Any]) -> list[str]:
    """Find the data keys of a descriptor that may hold frames.

    Parameters
    ----------
    config
        Settings of the run.
    descriptor
        Descriptor of a stream.

    Returns
    -------
    The configured key, or all that fit the detector.
    """
    keys = descriptor["data_keys"]
    if config.data_key is not None:
        return [key for key in keys if key == config.data_key]
    layouts = _layouts(config)
    n_strips = layouts[1][0]
    # By shape, never by dtype: external data may be declared as anything. Strips with more counters than
    # in the settings are frames too: the reduction gives the reason why they cannot be sized.
    return [
        key
        for key in keys
        if n_strips in (shape := tuple(keys[key].get("shape", ()))) or _layout(shape, layouts) is not None
    ]


def two_keys(keys: Sequence[str]) -> str:
    """Reason of frames of which it is not known which key holds them.

    Parameters
    ----------
    keys
        Data keys that fit the detector.

    Returns
    -------
    One line with the remedy.
    """
    names = ", ".join(keys)
    return f"{len(keys)} data keys fit the detector, {names}: set data_key to the one that holds the frames"


def _layouts(config: LiveConfig) -> list[tuple[int, ...]]:
    """Shapes of one frame of the detector."""
    assert config.sizing.reduction is not None  # LiveConfig requires it
    return frame_layouts(config.sizing.reduction.load_detector().n_strips, config.sizing.reduction.n_counters)


def _layout(shape: tuple[int, ...], layouts: list[tuple[int, ...]]) -> tuple[int, ...] | None:
    """Shape of one frame in an array of one or several; None for an array of another detector."""
    return next((layout for layout in layouts if shape[-len(layout) :] == layout), None)


@dataclass(frozen=True)
class _Described:
    """A descriptor of a stream with frames."""

    doc: Mapping[str, Any]
    stream: str
    data_key: str
    ambiguous: tuple[str, ...]
    """Data keys that fit the detector, where there are several."""
    shape: tuple[int, ...]
    """Shape of one event."""
    external: str
    """`external` of the data key: empty for inline frames."""
    n_frames: int
    """Frames per event, by the shape."""


@dataclass
class _Resource:
    """A `stream_resource` with what its `stream_datum` documents have announced."""

    doc: Mapping[str, Any] | None = None
    announced: list[range] = field(default_factory=list)
    waiting: list[tuple[Mapping[str, Any], float]] = field(default_factory=list)
    """Announcements that came before the resource, and when."""

    def fresh(self, indices: range) -> list[int]:
        """Indices that were not announced before; a transport may deliver a document twice."""
        fresh = [index for index in indices if not any(index in seen for seen in self.announced)]
        if self.announced and self.announced[-1].stop == indices.start:
            self.announced[-1] = range(self.announced[-1].start, indices.stop)
        else:
            self.announced.append(indices)
        return fresh


class FrameSource:
    """Gathers the documents of one run and gives the frames that each completes.

    Inline arrays come with their event, files announced by resource and datum too. Files announced by
    `stream_resource` and `stream_datum` come with the event of their step, in fly scans without one.

    Parameters
    ----------
    config
        Settings of the run.
    start
        Start document.
    """

    def __init__(self, config: LiveConfig, start: Mapping[str, Any]) -> None:
        start = owned(dict(start))
        self._config = config
        self._layouts = _layouts(config)
        self._clock_key = clock_key(start)
        self._readings = FrameReadings(config, start)
        self._files = FrameFiles(config.file_timeout_s)
        self._choice = StreamChoice(start, config.stream)
        self._match = EventMatch()
        self._descriptors: dict[str, _Described] = {}
        self._streams: dict[str, _Described] = {}  # newest descriptor of each stream with frames
        self._resources: dict[str, Mapping[str, Any]] = {}
        self._stream_resources: defaultdict[str, _Resource] = defaultdict(_Resource)
        self._datums: dict[str, Mapping[str, Any]] = {}
        self._events_before_datum: list[tuple[Mapping[str, Any], float]] = []
        self._seen_keys: dict[str, list[str]] = {}
        self._seen_events: set[int] = set()
        self._uid = start.get("uid")
        self._wrongly_declared: set[str] = set()  # streams of which that has been logged
        self._next_row: dict[tuple[str, str], int] = {}  # next point or row, by stream and resource
        self._resources_of: dict[str, list[str]] = {}  # in the order of their frames, by stream
        self.rows_not_in_order: set[str] = set()
        """Streams whose datums do not name the rows of their files one after another."""
        self.repeated = 0
        """Events and frames that were delivered again, and not sized twice."""

    @property
    def has_files(self) -> bool:
        """Whether frames are in files."""
        return bool(self._resources_of)

    @property
    def left_out(self) -> Mapping[str, int]:
        """Frames that are not sized because those of another stream are, by stream."""
        return self._choice.left_out

    @property
    def due(self) -> float | None:
        """When `release` has frames to give, s on the monotonic clock; None where none wait for a time."""
        return min((one for one in (self._match.due, self._choice.due) if one is not None), default=None)

    @property
    def holding(self) -> bool:
        """Whether frames that documents have announced wait for other documents."""
        return bool(
            self._choice.holding
            or self._match.holding
            or self._events_before_datum
            or any(resource.waiting for resource in self._stream_resources.values())
        )

    def frames(self, name: str, doc: Any, received: float) -> Iterator[Frame]:
        """Take one document and read the frames that it completes.

        Parameters
        ----------
        name, doc, received
            As of `take`.

        Returns
        -------
        The frames, in order; each is read when it is asked for.
        """
        for one in self.take(name, doc, received):
            yield from self.read(one)

    def take(self, name: str, doc: Any, received: float) -> list[Announced]:
        """Take one document; reads no file.

        Parameters
        ----------
        name
            Kind of the document.
        doc
            The document; not changed, and copied where it is kept.
        received
            When it was received, s since the epoch: the time of frames that have no event.

        Returns
        -------
        Frames that are ready to be read, in order; of earlier documents too, which waited for this one.
        """
        ready: list[Announced] = []
        match name:
            case "descriptor":
                ready = self._descriptor(owned(doc))
            case "event":
                ready = list(self._event(doc, received))
            case "event_page":
                ready = [one for event in unpack_event_page(doc) for one in self._event(event, received)]
            case "bulk_events":  # deprecated, but event-model still defines it: events by descriptor
                events = (event for of_one in doc.values() for event in of_one)
                ready = [one for event in events for one in self._event(event, received)]
            case "resource":
                self._resources[doc["uid"]] = owned(doc)
                ready = list(self._complete_events())
            case "datum":
                self._datums[doc["datum_id"]] = owned(doc)
                ready = list(self._complete_events())
            case "datum_page":
                self._datums |= {one["datum_id"]: owned(one) for one in unpack_datum_page(doc)}
                ready = list(self._complete_events())
            case "bulk_datum":  # deprecated
                self._datums |= {
                    datum_id: {
                        "datum_id": datum_id,
                        "resource": doc["resource"],
                        "datum_kwargs": owned(kwargs),
                    }
                    for datum_id, kwargs in zip(doc["datum_ids"], doc["datum_kwarg_list"], strict=True)
                }
                ready = list(self._complete_events())
            case "stream_resource":
                ready = list(self._stream_resource(owned(doc)))
            case "stream_datum":
                ready = list(self._stream_datum(owned(doc), received))
            case "stop":
                return self._finish()
        return self._choice.admit(ready)

    def release(self) -> list[Announced]:
        """Give the frames that have waited long enough for another document."""
        return [*self._choice.admit(list(self._match.release())), *self._choice.release()]

    def read(self, announced: Announced) -> Iterator[Frame]:
        """Read announced frames.

        Parameters
        ----------
        announced
            Frames of one event.

        Returns
        -------
        The frames; one with the reason where they cannot be read.
        """
        described = self._descriptors[announced.descriptor["uid"]]
        common: dict[str, Any] = {
            "seq_num": announced.seq_num,
            "time": announced.time,
            "clock_s": self._clock_s(announced),
            "stream": announced.stream,
            "data_key": announced.data_key,
        }
        try:
            if announced.problem:
                raise ArchiveError(announced.problem)
            if described.ambiguous:
                raise ConfigurationError(two_keys(described.ambiguous))
            readings = self._readings.read(announced.descriptor, announced.data)
            rows = self._split(announced.counts())
        except Exception as error:
            yield Frame(**common, reason=_one_line(error), n_frames=announced.n_frames)
            return
        peak_ev = self._readings.peak_ev(announced.descriptor, announced.data)
        for row in rows:
            yield Frame(**common, raw=RawFrame(counts=row, **readings), peak_ev=peak_ev)

    def _clock_s(self, announced: Announced) -> float | None:
        """Time on the clock that the start document names; None where the event has none."""
        value = None if self._clock_key is None else announced.data.get(self._clock_key)
        return float(value) if isinstance(value, Real) and math.isfinite(value) else None

    def explain_no_frames(self) -> str:
        """Explain why a run gave no frame.

        Returns
        -------
        One line with what was searched for, what was found and what to set.
        """
        found = "; ".join(f"{stream}: {', '.join(keys)}" for stream, keys in self._seen_keys.items())
        sought = self._config.data_key or f"an array of {self._layouts[1][0]} strips"
        return (
            f"no frames: looked for {sought} in "
            f"stream {self._config.stream or '(any)'}, found {found or 'no streams'}; set data_key and stream"
        )

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    def _descriptor(self, doc: Mapping[str, Any]) -> list[Announced]:
        stream, keys = doc.get("name", "primary"), doc["data_keys"]
        self._seen_keys[stream] = [f"{key} {tuple(keys[key].get('shape', ()))}" for key in keys]
        fitting = frame_keys(self._config, doc)
        if not fitting and stream in self._streams:
            fitting = [self._streams[stream].data_key]  # changed in mid-run: its events are frames still
        released = self._choice.declare(stream, bool(fitting))
        if fitting:
            key = keys.get(fitting[0], {})
            shape = tuple(key.get("shape", ()))
            self._streams[stream] = self._descriptors[doc["uid"]] = _Described(
                doc=doc,
                stream=stream,
                data_key=fitting[0],
                ambiguous=tuple(fitting) if len(fitting) > 1 else (),
                shape=shape,
                external=key.get("external", ""),
                n_frames=self._n_frames(shape),
            )
        return released

    def _n_frames(self, shape: tuple[int, ...]) -> int:
        """Frames in an array; one where it is of another detector."""
        layout = _layout(shape, self._layouts)
        if layout is None:
            return 1
        # event-model allows None for an axis of unknown length.
        return max(math.prod(length or 1 for length in shape[: len(shape) - len(layout)]), 1)

    def _event(self, event: Mapping[str, Any], received: float) -> Iterator[Announced]:
        described = self._descriptors.get(event["descriptor"])
        if described is None or self._delivered_before(event):
            return
        data, key = event.get("data", {}), described.data_key
        seq_num, time = _seq_num(event.get("seq_num")), _time(event.get("time"), received)
        if not isinstance(data, Mapping):
            problem = f"the data of the event are not a mapping: found {type(data).__name__!r} object"
            yield self._announced(described, seq_num, time, lambda: None, problem=problem)
            return
        others = {name: owned(value) for name, value in data.items() if name != key}
        if described.external.startswith("STREAM"):
            yield from self._match.event(
                {"descriptor": event["descriptor"], "seq_num": seq_num, "time": time, "data": others},
                described.stream,
            )
            return
        counts = data.get(key)
        # Where someone has filled the event, the array itself is in place of the datum.
        if isinstance(counts, str) and described.external:
            datum = self._datums.get(counts)
            if datum is None or datum["resource"] not in self._resources:
                late = {**event, "data": {**others, key: counts}}
                self._events_before_datum.append((late, received))
                return
            resource = self._resources[datum["resource"]]
            self._follow_rows(described.stream, datum)
            yield self._announced(
                described,
                seq_num,
                time,
                lambda: self._files.datum_rows(resource, datum, described.shape),
                data=others,
            )
            return
        problem = ""
        if isinstance(counts, Unreadable):
            problem = counts.reason
        elif counts is None:
            problem = f"the event has no {key!r}: found {', '.join(data) or 'nothing'}"
        # Not changed by who gets the event next.
        own = owned(counts)
        if isinstance(own, np.ndarray):
            self._check_declared(described, own)
        yield self._announced(
            described, seq_num, time, lambda: own, data=others, problem=problem, inline=True
        )

    def _follow_rows(self, stream: str, datum: Mapping[str, Any]) -> None:
        """Note a stream whose events do not name the rows of their files one after another.

        Tiled stores the rows in the order of the files: the archive of such a run gives events the frames of
        others.
        """
        resource = datum["resource"]
        try:
            first, last, _ = datum_span(datum["datum_kwargs"])
        except ArchiveError:  # its frame is rejected; Tiled assumes that it is the next one
            self._follow_resource(stream, resource, in_order=False)
            return
        self._follow_resource(stream, resource, first == self._next_row.get((stream, resource), 0))
        self._next_row[stream, resource] = last

    def _follow_resource(self, stream: str, resource: str, in_order: bool) -> None:
        """Note a stream that returns to a resource after another one, or names rows that are not the next."""
        before = self._resources_of.setdefault(stream, [])
        if not in_order or resource in before[:-1]:
            self.rows_not_in_order.add(stream)
        if not before or before[-1] != resource:
            before.append(resource)

    def _check_declared(self, described: _Described, counts: NDArray[Any]) -> None:
        """Log where an archive that follows the descriptor stores other counts than those of the event."""
        declared = described.doc["data_keys"].get(described.data_key, {}).get("dtype_numpy")
        if described.stream in self._wrongly_declared or not isinstance(declared, str):
            return
        try:
            if np.can_cast(counts.dtype, declared) or counts.dtype.kind not in "iuf":
                return
            with np.errstate(invalid="ignore"):
                same = np.array_equal(counts.astype(declared), counts)
        except (TypeError, ValueError):  # not a type, or not one of numbers
            return
        if not same:
            self._wrongly_declared.add(described.stream)
            logger.warning(
                "run %s: the key %s of stream %s declares %s, and its counts are %s, which do not fit: "
                "an archive "
                "stores other counts than those that are sized; correct dtype_numpy in the device",
                self._uid, described.data_key, described.stream, declared, counts.dtype.str,
            )  # fmt: skip

    def _delivered_before(self, event: Mapping[str, Any]) -> bool:
        """Whether a transport delivers an event again; a step that is repeated has another identifier."""
        uid = event.get("uid")
        if uid is None:
            return False
        identity = hash((uid, event.get("seq_num")))  # a long run has many, and a number is small
        if identity in self._seen_events:
            self.repeated += 1
            return True
        self._seen_events.add(identity)
        return False

    def _announced(
        self,
        described: _Described,
        seq_num: int,
        time: float,
        counts: Callable[[], Any],
        **more: Any,
    ) -> Announced:
        return Announced(
            descriptor=described.doc,
            stream=described.stream,
            data_key=described.data_key,
            n_frames=described.n_frames,
            seq_num=seq_num,
            time=time,
            counts=counts,
            **more,
        )

    def _complete_events(self) -> Iterator[Announced]:
        """Events whose datum or resource came after them."""
        waiting, self._events_before_datum = self._events_before_datum, []
        for event, received in waiting:
            self._seen_events.discard(hash((event.get("uid"), event.get("seq_num"))))
            yield from self._event(event, received)

    def _stream_resource(self, doc: Mapping[str, Any]) -> Iterator[Announced]:
        resource = self._stream_resources[doc["uid"]]
        resource.doc = doc
        waiting, resource.waiting = resource.waiting, []
        for datum, received in waiting:
            yield from self._stream_datum(datum, received)

    def _stream_datum(self, doc: Mapping[str, Any], received: float) -> Iterator[Announced]:
        described = self._descriptors.get(doc["descriptor"])
        resource = self._stream_resources[doc["stream_resource"]]
        if described is None:
            return
        if resource.doc is None:
            resource.waiting.append((doc, received))
            return
        if resource.doc["data_key"] != described.data_key:
            return
        indices = range(doc["indices"]["start"], doc["indices"]["stop"])
        first = doc["seq_nums"]["start"]
        problem = ""
        if doc["seq_nums"]["stop"] - first != len(indices):
            problem = (
                f"a stream_datum has indices {indices.start} to {indices.stop - 1} for "
                f"{doc['seq_nums']['stop'] - first} events: one is wrong"
            )
        expected = resource.announced[-1].stop if resource.announced else 0
        fresh = resource.fresh(indices)
        began = resource.announced[0].start
        if fresh:
            in_order = fresh[0] == expected or bool(resource.doc.get("parameters", {}).get("template"))
            self._follow_resource(described.stream, doc["stream_resource"], in_order)
        announced = [
            self._announced(
                described,
                first + index - indices.start,
                received,
                partial(self._files.stream_rows, resource.doc, index, described.shape, began),
                problem=problem,
            )
            for index in fresh
        ]
        self.repeated += len(indices) - len(announced)
        yield from self._match.frames(announced, self._readings.of_event(described.doc))

    def _finish(self) -> list[Announced]:
        """Frames that still wait, at the end of the run."""
        rest: list[Announced] = []
        for event, received in self._events_before_datum:
            described = self._descriptors[event["descriptor"]]
            datum = event["data"][described.data_key]
            rest.append(
                self._announced(
                    described,
                    _seq_num(event.get("seq_num")),
                    _time(event.get("time"), received),
                    lambda: None,
                    problem=f"datum {datum} was never announced: the frame cannot be found",
                )
            )
        self._events_before_datum = []
        for uid, resource in self._stream_resources.items():
            for doc, received in resource.waiting:
                if "indices" not in doc:
                    continue  # it announces no frame
                described = self._descriptors[doc["descriptor"]]
                lost = [
                    self._announced(
                        described,
                        doc["seq_nums"]["start"] + offset,
                        received,
                        lambda: None,
                        problem=f"stream_resource {uid} was never announced: the frame cannot be found",
                    )
                    for offset in range(doc["indices"]["stop"] - doc["indices"]["start"])
                ]
                rest += self._match.frames(lost, self._readings.of_event(described.doc))
            resource.waiting = []
        rest += self._match.finish()
        for event in self._match.without_frames():
            rest.append(
                self._announced(
                    self._descriptors[event["descriptor"]],
                    event["seq_num"],
                    event["time"],
                    lambda: None,
                    problem="no stream_datum came with this event: the frame cannot be found",
                )
            )
        return [*self._choice.admit(rest), *self._choice.finish()]

    def _split(self, counts: Any) -> list[Any]:
        """Frames of one event, which may hold one or, along the first axes, several."""
        frames = np.asarray(counts)
        layout = _layout(frames.shape, self._layouts)
        if layout is None:
            return [frames]  # of another length: the reduction gives the reason
        return list(frames.reshape(-1, *layout))


def _seq_num(value: Any) -> int:
    """Sequence number of an event; 0, which no event has, where it holds none."""
    return int(value) if isinstance(value, int | np.integer) else 0


def _time(value: Any, received: float) -> float:
    """Time of an event, s since the epoch; when it was received where it holds none."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else received


def _one_line(error: Exception) -> str:
    """Reason of a frame from an error."""
    return " ".join(f"{error}".split()) or type(error).__name__

"""Documents that no producer should make, and some do: one corpus, each item with what must become of it.

Each case spoils the documents of a real run of three frames on their way from the RunEngine to the sizer.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Document = tuple[str, Any]
Spoil = Callable[[str, Any], Iterable[Document]]

IMAGE = "mythen_image"
N_STRIPS = 30720


@dataclass(frozen=True)
class Case:
    """One way to spoil a run."""

    spoil: Callable[[], Spoil]
    """Makes a function of one document that gives the documents to send instead."""
    statuses: str = "sized bad_frame sized"
    """Statuses of the frames, in order."""
    reason: str = ""
    """What the reason of every bad frame holds."""
    seq_nums: tuple[int, ...] | None = None
    """Numbers of the frames; None for 1, 2, 3, …"""
    orphans: int = 0
    """Documents whose run nobody can tell."""
    contained: int = 0
    """Errors that are caught and logged, for documents that are no documents."""
    lost: frozenset[str] = field(default_factory=frozenset)
    """Kinds of documents that no subscriber could have asked for."""


def second(change: Callable[[Any], Any]) -> Callable[[], Spoil]:
    """Change the second event."""

    def spoil(name: str, doc: Any) -> Iterable[Document]:
        yield name, change(doc) if name == "event" and doc["seq_num"] == 2 else doc

    return lambda: spoil


def counts(change: Callable[[Any], Any]) -> Callable[[], Spoil]:
    """Change the counts of the second event."""
    return second(lambda doc: {**doc, "data": {**doc["data"], IMAGE: change(doc["data"][IMAGE])}})


def of_kind(kind: str, change: Callable[[Any], Any]) -> Callable[[], Spoil]:
    """Change every document of a kind."""

    def spoil(name: str, doc: Any) -> Iterable[Document]:
        yield name, change(doc) if name == kind else doc

    return lambda: spoil


def before(kind: str, *extra: Document) -> Callable[[], Spoil]:
    """Send documents before those of a kind; `{uid}` of the descriptor is filled in."""

    def make() -> Spoil:
        descriptor = ""

        def spoil(name: str, doc: Any) -> Iterable[Document]:
            nonlocal descriptor
            descriptor = doc["uid"] if name == "descriptor" else descriptor
            if name == kind:
                for extra_name, extra_doc in extra:
                    filled = extra_doc and {
                        key: descriptor if value == "{uid}" else value for key, value in extra_doc.items()
                    }
                    yield extra_name, filled
            yield name, doc

        return spoil

    return make


def twice(kind: str) -> Callable[[], Spoil]:
    """Send every document of a kind twice."""

    def spoil(name: str, doc: Any) -> Iterable[Document]:
        yield name, doc
        if name == kind:
            yield name, doc

    return lambda: spoil


def without(doc: Any, *keys: str) -> dict[str, Any]:
    return {key: value for key, value in doc.items() if key not in keys}


def with_wavelength(doc: Any, value: Any) -> dict[str, Any]:
    mythen = doc["configuration"]["mythen"]
    changed = {**mythen, "data": {**mythen["data"], "mythen_wavelength": value}}
    return {**doc, "configuration": {**doc["configuration"], "mythen": changed}}


def new_descriptor(change: Callable[[Any], Any]) -> Callable[[], Spoil]:
    """Change the descriptor in mid-run: the last event has another one."""

    def make() -> Spoil:
        kept: dict[str, Any] = {}

        def spoil(name: str, doc: Any) -> Iterable[Document]:
            if name == "descriptor":
                kept.update(doc)
            if name == "event" and doc["seq_num"] == 3:
                changed = {**change(kept), "uid": f"{kept['uid']}-changed"}
                yield "descriptor", changed
                doc = {**doc, "descriptor": changed["uid"]}
            yield name, doc

        return spoil

    return make


def late_descriptor() -> Spoil:
    """Send the first event before its descriptor."""
    kept: list[Document] = []

    def spoil(name: str, doc: Any) -> Iterable[Document]:
        if name == "descriptor":
            kept.append((name, doc))
            return
        yield name, doc
        if name == "event":
            yield from kept
            kept.clear()

    return spoil


def event_after_stop() -> Spoil:
    """Send the last event after the stop."""
    kept: list[Document] = []

    def spoil(name: str, doc: Any) -> Iterable[Document]:
        if name == "event" and doc["seq_num"] == 3:
            kept.append((name, doc))
            return
        yield name, doc
        if name == "stop":
            yield from kept

    return spoil


def strided(values: Any) -> Any:
    """Give the same values from every second place of a larger array."""
    wide = np.zeros(2 * values.size, values.dtype)
    wide[::2] = values
    return wide[::2]


def read_only(values: Any) -> Any:
    copy = values.copy()
    copy.flags.writeable = False
    return copy


ALL_SIZED = "sized sized sized"
NONE_SIZED = "bad_frame bad_frame bad_frame"
NOT_COUNTS = "the frame holds"
NO_DATUM = "was never announced: the frame cannot be found"

CORPUS: dict[str, Case] = {
    # Counts in forms that are unusual and right.
    "big-endian": Case(counts(lambda v: v.astype(">u4")), ALL_SIZED),
    "strided": Case(counts(strided), ALL_SIZED),
    "read-only": Case(counts(read_only), ALL_SIZED),
    "a list": Case(counts(lambda v: v.tolist()), ALL_SIZED),
    "a tuple": Case(counts(lambda v: tuple(v.tolist())), ALL_SIZED),
    "64-bit float": Case(counts(lambda v: v.astype(float)), ALL_SIZED),
    "16-bit": Case(counts(lambda v: v.astype(np.uint16)), ALL_SIZED),
    "a column": Case(counts(lambda v: v[:, None]), ALL_SIZED),
    # Wrong dtype.
    "strings": Case(counts(lambda v: np.full(N_STRIPS, "x")), reason=NOT_COUNTS),
    "bytes": Case(counts(lambda v: v.tobytes()), reason=NOT_COUNTS),
    "objects": Case(counts(lambda v: np.full(N_STRIPS, None)), reason=NOT_COUNTS),
    "complex": Case(counts(lambda v: v.astype(complex)), reason=NOT_COUNTS),
    "dates": Case(counts(lambda v: v.astype("M8[s]")), reason=NOT_COUNTS),
    "a mapping": Case(counts(lambda v: {"counts": v}), reason=NOT_COUNTS),
    "what cannot be sent to another process": Case(counts(lambda v: [lambda: 0] * 3), reason=NOT_COUNTS),
    "a datum id that is none": Case(counts(lambda v: "uid/0"), reason=NOT_COUNTS),
    # Wrong shape.
    "ragged": Case(counts(lambda v: [[1, 2], [3]]), reason="inhomogeneous"),
    "empty": Case(counts(lambda v: []), reason="the frame has"),
    "a number": Case(counts(lambda v: 5), reason="the frame has"),
    "one strip too few": Case(counts(lambda v: v[:-1]), reason="the frame has 30719 values"),
    "one strip too many": Case(counts(lambda v: [*v, 0]), reason="the frame has 30721 values"),
    "transposed": Case(counts(lambda v: v.reshape(1280, 24)), reason="the frame has shape (1280, 24)"),
    # Values that are no counts.
    "null": Case(counts(lambda v: None), reason=f"the event has no '{IMAGE}'"),
    "NaN": Case(counts(lambda v: np.full(N_STRIPS, np.nan)), reason="no usable strip"),
    "infinite": Case(counts(lambda v: np.full(N_STRIPS, np.inf)), reason="no usable strip"),
    "negative": Case(counts(lambda v: -v.astype(int) - 1), reason="no usable strip"),
    "larger than any counter": Case(counts(lambda v: [10**30] * N_STRIPS), reason="the frame holds"),
    # Events.
    "a data key that vanishes": Case(
        second(lambda doc: {**doc, "data": without(doc["data"], IMAGE)}), reason=f"the event has no '{IMAGE}'"
    ),
    "no data": Case(second(lambda doc: without(doc, "data")), reason="found nothing"),
    "data that is no mapping": Case(second(lambda doc: {**doc, "data": 5}), reason="'int' object"),
    "duplicate seq_num": Case(twice("event"), " ".join(["sized"] * 6), seq_nums=(1, 1, 2, 2, 3, 3)),
    "no seq_num": Case(second(lambda doc: without(doc, "seq_num")), ALL_SIZED, seq_nums=(1, 0, 3)),
    "a seq_num in words": Case(second(lambda doc: {**doc, "seq_num": "two"}), ALL_SIZED, seq_nums=(1, 0, 3)),
    "no time": Case(second(lambda doc: without(doc, "time")), ALL_SIZED),
    "a time in words": Case(second(lambda doc: {**doc, "time": "noon"}), ALL_SIZED),
    "a time that is NaN": Case(second(lambda doc: {**doc, "time": float("nan")}), ALL_SIZED),
    "a time to come": Case(second(lambda doc: {**doc, "time": doc["time"] + 1e6}), ALL_SIZED),
    "an event of no descriptor": Case(
        second(lambda doc: {**doc, "descriptor": "another"}), "sized sized", seq_nums=(1, 3), orphans=1
    ),
    # Descriptors.
    "no wavelength": Case(
        of_kind("descriptor", lambda doc: {**doc, "configuration": {}}), NONE_SIZED, "no wavelength"
    ),
    "no configuration": Case(
        of_kind("descriptor", lambda doc: without(doc, "configuration")), NONE_SIZED, "no wavelength"
    ),
    "a wavelength of zero": Case(
        of_kind("descriptor", lambda doc: with_wavelength(doc, 0.0)), NONE_SIZED, "wavelength"
    ),
    "a wavelength in words": Case(
        of_kind("descriptor", lambda doc: with_wavelength(doc, "short")), NONE_SIZED, "wavelength"
    ),
    "a wavelength that is NaN": Case(
        of_kind("descriptor", lambda doc: with_wavelength(doc, float("nan"))), NONE_SIZED, "wavelength"
    ),
    "no data_keys": Case(of_kind("descriptor", lambda doc: without(doc, "data_keys")), "", contained=1),
    "a descriptor without shapes": Case(
        of_kind("descriptor", lambda doc: {**doc, "data_keys": {key: {} for key in doc["data_keys"]}}), ""
    ),
    "wavelength changed in mid-run": Case(new_descriptor(lambda doc: with_wavelength(doc, 0.564)), ALL_SIZED),
    "wavelength lost in mid-run": Case(
        new_descriptor(lambda doc: {**doc, "configuration": {}}), "sized sized bad_frame", "no wavelength"
    ),
    "shape changed in mid-run": Case(
        new_descriptor(lambda doc: {**doc, "data_keys": {IMAGE: {"dtype": "array", "shape": [7]}}}), ALL_SIZED
    ),
    "key lost in mid-run": Case(new_descriptor(lambda doc: {**doc, "data_keys": {}}), ALL_SIZED),
    "event before descriptor": Case(late_descriptor, "sized sized", seq_nums=(2, 3), orphans=1),
    # Starts and stops.
    "two starts": Case(twice("start"), ALL_SIZED),
    "two stops": Case(twice("stop"), ALL_SIZED, orphans=1),
    "event after stop": Case(event_after_stop, "sized sized", orphans=1),
    "no uid": Case(of_kind("start", lambda doc: without(doc, "uid")), "", orphans=5, contained=2),
    "a stop without a reason": Case(of_kind("stop", lambda doc: without(doc, "reason")), ALL_SIZED),
    "a stop of no run": Case(of_kind("stop", lambda doc: without(doc, "run_start")), ALL_SIZED, contained=1),
    "settings that are none": Case(
        of_kind("start", lambda doc: {**doc, "qdsizer": 5}), NONE_SIZED, "allowed is a table as in the TOML"
    ),
    # Documents out of nowhere.
    "empty documents": Case(
        before("event", ("descriptor", {}), ("event", {}), ("datum", {}), ("stream_datum", {})),
        ALL_SIZED,
        contained=12,
    ),
    "documents that are none": Case(
        before("stop", ("event", None), ("descriptor", None)), ALL_SIZED, contained=2
    ),
    "an unknown kind": Case(
        before("event", ("bulk_thing", {})), ALL_SIZED, contained=3, lost=frozenset({"bulk_thing"})
    ),
    "an old resource without its run": Case(
        before("descriptor", ("resource", {"uid": "r", "spec": "X"})), ALL_SIZED
    ),
    "a datum of no resource": Case(before("event", ("datum", {"datum_id": "d", "resource": "r"})), ALL_SIZED),
    "a stream_datum of no resource": Case(
        before("event", ("stream_datum", {"stream_resource": "r", "descriptor": "{uid}"})), ALL_SIZED
    ),
}

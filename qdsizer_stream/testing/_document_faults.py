"""Negative controls of documents: faults of a run's documents, each with what must become of it.

Each fault changes the documents of a real run of three frames on their way from the RunEngine to the sizer.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Document", "DocumentFault", "Fault", "document_faults"]

Document = tuple[str, Any]
"""Name and document."""

Fault = Callable[[str, Any], Iterable[Document]]
"""From a name and a document to the documents that are sent instead."""

ALL_SIZED = "sized sized sized"
NONE_SIZED = "bad_frame bad_frame bad_frame"
NOT_COUNTS = "the frame contains"

MODULE_STRIPS = 1280
"""Strips of a MYTHEN module."""


@dataclass(frozen=True)
class DocumentFault:
    """One way in which the documents of a run of three frames are wrong, or unusual and right."""

    start: Callable[[], Fault]
    """Makes the fault for one run; it may remember documents."""
    statuses: str = "sized bad_frame sized"
    """Statuses of the frames, in order, where each is sized in a run without faults."""
    reason: str = ""
    """Part of the reason of every bad frame."""
    seq_nums: tuple[int, ...] | None = None
    """`seq_num` of the frames; None for 1, 2, 3, …"""
    orphans: int = 0
    """Documents whose run cannot be determined (`LiveCounters.orphans`)."""
    contained: int = 0
    """Errors that are caught and logged (`LiveCounters.contained`), for what is not a valid document."""


def document_faults(
    data_key: str, n_strips: int, wavelength_key: str = "mythen_wavelength", device: str = "mythen"
) -> dict[str, DocumentFault]:
    """Faults of documents, by a few words that describe each.

    Subscribe the fault to a RunEngine, send what it gives to the sizer, take three frames that are sized
    without it, and compare statuses, reasons and counters with those of the `DocumentFault`.

    Parameters
    ----------
    data_key
        Data key of the image, an array of shape (n_strips,) in each event.
    n_strips
        Strips of the detector; at least two modules of 1280.
    wavelength_key
        Key of the wavelength in the configuration of the device.
    device
        Name of the device in the descriptor's configuration.

    Returns
    -------
    The faults.

    Raises
    ------
    ValueError
        The number of strips is not that of two or more whole modules.
    """
    if n_strips < 2 * MODULE_STRIPS or n_strips % MODULE_STRIPS:
        raise ValueError(
            f"n_strips is {n_strips}: give the strips of two or more whole modules of {MODULE_STRIPS}"
        )

    def counts(change: Callable[[Any], Any]) -> Callable[[], Fault]:
        """Change the counts of the second event."""
        return second(lambda doc: {**doc, "data": {**doc["data"], data_key: change(doc["data"][data_key])}})

    def with_wavelength(doc: Any, value: Any) -> dict[str, Any]:
        one = doc["configuration"][device]
        changed = {**one, "data": {**one["data"], wavelength_key: value}}
        return {**doc, "configuration": {**doc["configuration"], device: changed}}

    return {
        # Counts in forms that are unusual and right.
        "big-endian": DocumentFault(counts(lambda v: v.astype(">u4")), ALL_SIZED),
        "strided": DocumentFault(counts(strided), ALL_SIZED),
        "read-only": DocumentFault(counts(read_only), ALL_SIZED),
        "a list": DocumentFault(counts(lambda v: v.tolist()), ALL_SIZED),
        "a tuple": DocumentFault(counts(lambda v: tuple(v.tolist())), ALL_SIZED),
        "64-bit float": DocumentFault(counts(lambda v: v.astype(float)), ALL_SIZED),
        "16-bit": DocumentFault(counts(lambda v: v.astype(np.uint16)), ALL_SIZED),
        "a column": DocumentFault(counts(lambda v: v[:, None]), ALL_SIZED),
        # Wrong dtype.
        "strings": DocumentFault(counts(lambda v: np.full(n_strips, "x")), reason=NOT_COUNTS),
        "bytes": DocumentFault(counts(lambda v: v.tobytes()), reason=NOT_COUNTS),
        "objects": DocumentFault(counts(lambda v: np.full(n_strips, None)), reason=NOT_COUNTS),
        "complex": DocumentFault(counts(lambda v: v.astype(complex)), reason=NOT_COUNTS),
        "dates": DocumentFault(counts(lambda v: v.astype("M8[s]")), reason=NOT_COUNTS),
        "a mapping": DocumentFault(counts(lambda v: {"counts": v}), reason=NOT_COUNTS),
        "what cannot be sent to another process": DocumentFault(
            counts(lambda v: [lambda: 0] * 3), reason=NOT_COUNTS
        ),
        "a datum id of no datum": DocumentFault(counts(lambda v: "uid/0"), reason=NOT_COUNTS),
        # Wrong shape.
        "ragged": DocumentFault(counts(lambda v: [[1, 2], [3]]), reason="inhomogeneous"),
        "empty": DocumentFault(counts(lambda v: []), reason="the frame has"),
        "a number": DocumentFault(counts(lambda v: 5), reason="the frame has"),
        "one strip too few": DocumentFault(
            counts(lambda v: v[:-1]), reason=f"the frame has {n_strips - 1} values"
        ),
        "one strip too many": DocumentFault(
            counts(lambda v: [*v, 0]), reason=f"the frame has {n_strips + 1} values"
        ),
        "transposed": DocumentFault(
            counts(lambda v: v.reshape(MODULE_STRIPS, -1)),
            reason=f"the frame has shape ({MODULE_STRIPS}, {n_strips // MODULE_STRIPS})",
        ),
        # Values that are not counts.
        "null": DocumentFault(counts(lambda v: None), reason=f"the event has no '{data_key}'"),
        "NaN": DocumentFault(counts(lambda v: np.full(n_strips, np.nan)), reason="no usable strip"),
        "infinite": DocumentFault(counts(lambda v: np.full(n_strips, np.inf)), reason="no usable strip"),
        "negative": DocumentFault(counts(lambda v: -v.astype(int) - 1), reason="no usable strip"),
        "larger than any counter": DocumentFault(
            counts(lambda v: [10**30] * n_strips), reason="the frame contains"
        ),
        # Events.
        "a data key that vanishes": DocumentFault(
            second(lambda doc: {**doc, "data": without(doc["data"], data_key)}),
            reason=f"the event has no '{data_key}'",
        ),
        "no data": DocumentFault(second(lambda doc: without(doc, "data")), reason="found nothing"),
        "data that is no mapping": DocumentFault(
            second(lambda doc: {**doc, "data": 5}), reason="'int' object"
        ),
        "event delivered twice": DocumentFault(twice("event"), ALL_SIZED),
        "step repeated after a pause": DocumentFault(
            lambda: repeated_steps, " ".join(["sized"] * 6), seq_nums=(1, 1, 2, 2, 3, 3)
        ),
        "no seq_num": DocumentFault(
            second(lambda doc: without(doc, "seq_num")), ALL_SIZED, seq_nums=(1, 0, 3)
        ),
        "a seq_num in words": DocumentFault(
            second(lambda doc: {**doc, "seq_num": "two"}), ALL_SIZED, seq_nums=(1, 0, 3)
        ),
        "no time": DocumentFault(second(lambda doc: without(doc, "time")), ALL_SIZED),
        "a time in words": DocumentFault(second(lambda doc: {**doc, "time": "noon"}), ALL_SIZED),
        "a time that is NaN": DocumentFault(second(lambda doc: {**doc, "time": float("nan")}), ALL_SIZED),
        "a time to come": DocumentFault(second(lambda doc: {**doc, "time": doc["time"] + 1e6}), ALL_SIZED),
        "an event of no descriptor": DocumentFault(
            second(lambda doc: {**doc, "descriptor": "another"}), "sized sized", seq_nums=(1, 3), orphans=1
        ),
        # Descriptors.
        "no wavelength": DocumentFault(
            of_kind("descriptor", lambda doc: {**doc, "configuration": {}}), NONE_SIZED, "no wavelength"
        ),
        "no configuration": DocumentFault(
            of_kind("descriptor", lambda doc: without(doc, "configuration")), NONE_SIZED, "no wavelength"
        ),
        "a wavelength of zero": DocumentFault(
            of_kind("descriptor", lambda doc: with_wavelength(doc, 0.0)), NONE_SIZED, "wavelength"
        ),
        "a wavelength in words": DocumentFault(
            of_kind("descriptor", lambda doc: with_wavelength(doc, "short")), NONE_SIZED, "wavelength"
        ),
        "a wavelength that is NaN": DocumentFault(
            of_kind("descriptor", lambda doc: with_wavelength(doc, float("nan"))), NONE_SIZED, "wavelength"
        ),
        "no data_keys": DocumentFault(
            of_kind("descriptor", lambda doc: without(doc, "data_keys")), "", contained=1
        ),
        "a descriptor without shapes": DocumentFault(
            of_kind("descriptor", lambda doc: {**doc, "data_keys": {key: {} for key in doc["data_keys"]}}), ""
        ),
        "wavelength changed in mid-run": DocumentFault(
            new_descriptor(lambda doc: with_wavelength(doc, 0.564)), ALL_SIZED
        ),
        "wavelength lost in mid-run": DocumentFault(
            new_descriptor(lambda doc: {**doc, "configuration": {}}), "sized sized bad_frame", "no wavelength"
        ),
        "shape changed in mid-run": DocumentFault(
            new_descriptor(lambda doc: {**doc, "data_keys": {data_key: {"dtype": "array", "shape": [7]}}}),
            ALL_SIZED,
        ),
        "key lost in mid-run": DocumentFault(new_descriptor(lambda doc: {**doc, "data_keys": {}}), ALL_SIZED),
        "event before descriptor": DocumentFault(late_descriptor, "sized sized", seq_nums=(2, 3), orphans=1),
        # Starts and stops.
        "two starts": DocumentFault(twice("start"), ALL_SIZED),
        "two stops": DocumentFault(twice("stop"), ALL_SIZED, orphans=1),
        "event after stop": DocumentFault(event_after_stop, "sized sized", orphans=1),
        "no uid": DocumentFault(
            of_kind("start", lambda doc: without(doc, "uid")), "", orphans=5, contained=2
        ),
        "a stop without a reason": DocumentFault(
            of_kind("stop", lambda doc: without(doc, "reason")), ALL_SIZED
        ),
        "a stop of no run": DocumentFault(
            of_kind("stop", lambda doc: without(doc, "run_start")), ALL_SIZED, contained=1
        ),
        "settings that are not a table": DocumentFault(
            of_kind("start", lambda doc: {**doc, "qdsizer": 5}),
            NONE_SIZED,
            "allowed is a table as in the TOML",
        ),
        # Documents that belong to nothing.
        "empty documents": DocumentFault(
            before("event", ("descriptor", {}), ("event", {}), ("datum", {}), ("stream_datum", {})),
            ALL_SIZED,
            contained=12,
        ),
        "documents that are not mappings": DocumentFault(
            before("stop", ("event", None), ("descriptor", None)), ALL_SIZED, contained=2
        ),
        "an unknown kind": DocumentFault(before("event", ("bulk_thing", {})), ALL_SIZED, contained=3),
        "an old resource without its run": DocumentFault(
            before("descriptor", ("resource", {"uid": "r", "spec": "X"})), ALL_SIZED
        ),
        "a datum of no resource": DocumentFault(
            before("event", ("datum", {"datum_id": "d", "resource": "r"})), ALL_SIZED
        ),
        "a stream_datum of no resource": DocumentFault(
            before("event", ("stream_datum", {"stream_resource": "r", "descriptor": "{uid}"})), ALL_SIZED
        ),
    }


def second(change: Callable[[Any], Any]) -> Callable[[], Fault]:
    """Change the second event."""

    def fault(name: str, doc: Any) -> Iterable[Document]:
        yield name, change(doc) if name == "event" and doc["seq_num"] == 2 else doc

    return lambda: fault


def of_kind(kind: str, change: Callable[[Any], Any]) -> Callable[[], Fault]:
    """Change every document of a kind."""

    def fault(name: str, doc: Any) -> Iterable[Document]:
        yield name, change(doc) if name == kind else doc

    return lambda: fault


def before(kind: str, *extra: Document) -> Callable[[], Fault]:
    """Send documents before those of a kind; `{uid}` of the descriptor is filled in."""

    def make() -> Fault:
        descriptor = ""

        def fault(name: str, doc: Any) -> Iterable[Document]:
            nonlocal descriptor
            descriptor = doc["uid"] if name == "descriptor" else descriptor
            if name == kind:
                for extra_name, extra_doc in extra:
                    filled = extra_doc and {
                        key: descriptor if value == "{uid}" else value for key, value in extra_doc.items()
                    }
                    yield extra_name, filled
            yield name, doc

        return fault

    return make


def twice(kind: str) -> Callable[[], Fault]:
    """Send every document of a kind twice."""

    def fault(name: str, doc: Any) -> Iterable[Document]:
        yield name, doc
        if name == kind:
            yield name, doc

    return lambda: fault


def repeated_steps(name: str, doc: Any) -> Iterable[Document]:
    """Send another event with the same number after each, as a run that was paused and resumed."""
    yield name, doc
    if name == "event":
        yield name, {**doc, "uid": f"{doc['uid']} again"}


def without(doc: Any, *keys: str) -> dict[str, Any]:
    return {key: value for key, value in doc.items() if key not in keys}


def new_descriptor(change: Callable[[Any], Any]) -> Callable[[], Fault]:
    """Change the descriptor in mid-run: the last event has another one."""

    def make() -> Fault:
        kept: dict[str, Any] = {}

        def fault(name: str, doc: Any) -> Iterable[Document]:
            if name == "descriptor":
                kept.update(doc)
            if name == "event" and doc["seq_num"] == 3:
                changed = {**change(kept), "uid": f"{kept['uid']}-changed"}
                yield "descriptor", changed
                doc = {**doc, "descriptor": changed["uid"]}
            yield name, doc

        return fault

    return make


def late_descriptor() -> Fault:
    """Send the first event before its descriptor."""
    kept: list[Document] = []

    def fault(name: str, doc: Any) -> Iterable[Document]:
        if name == "descriptor":
            kept.append((name, doc))
            return
        yield name, doc
        if name == "event":
            yield from kept
            kept.clear()

    return fault


def event_after_stop() -> Fault:
    """Send the last event after the stop."""
    kept: list[Document] = []

    def fault(name: str, doc: Any) -> Iterable[Document]:
        if name == "event" and doc["seq_num"] == 3:
            kept.append((name, doc))
            return
        yield name, doc
        if name == "stop":
            yield from kept

    return fault


def strided(values: Any) -> Any:
    """Give the same values from every second element of a larger array."""
    wide = np.zeros(2 * values.size, values.dtype)
    wide[::2] = values
    return wide[::2]


def read_only(values: Any) -> Any:
    copy = values.copy()
    copy.flags.writeable = False
    return copy

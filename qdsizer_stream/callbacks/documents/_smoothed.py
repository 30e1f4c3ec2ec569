"""Documents of the stream `qd_size_smoothed`: the track of a run that has ended."""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from event_model import ComposeDescriptor

from ...tracking import Track, TrackPoint
from ._derived import OBJECT_NAME, STREAM_NAME
from ._track_data import SMOOTHED_KEYS, measurement_of, smoothed_data

__all__ = [
    "DERIVED_STREAMS",
    "SMOOTHED_OBJECT_NAME",
    "SMOOTHED_STREAM_NAME",
    "estimates_alone",
    "with_smoothed",
]

SMOOTHED_STREAM_NAME = "qd_size_smoothed"
"""Stream of the smoothed track."""

DERIVED_STREAMS = (STREAM_NAME, SMOOTHED_STREAM_NAME)
"""Streams that a sizer has made, which hold no frames."""

SMOOTHED_OBJECT_NAME = "qdsizer_smoothed"
"""Device name of its values in the descriptor."""

METHOD = "Rauch-Tung-Striebel: each value is estimated from all frames of the run, later ones too"
"""How it is smoothed, for readers of the documents."""

FRAME_KEY = "qdsizer_frame_seq_num"
"""Data key of the raw event, which both streams have."""

COPIED = ("qdsizer_model", "qdsizer_model_sha256", "qdsizer_material", "qdsizer_version")
"""Configuration that is copied from the estimates."""

_TEXT = {"dtype": "string", "shape": []}


def estimates_alone(documents: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Leave the smoothed track out of the documents of a run.

    Parameters
    ----------
    documents
        Names and documents.

    Yields
    ------
    All but the descriptors and events of `qd_size_smoothed`.
    """
    smoothed = set()
    for name, doc in documents:
        if name == "descriptor" and doc.get("name") == SMOOTHED_STREAM_NAME:
            smoothed.add(doc["uid"])
        elif name != "event" or doc["descriptor"] not in smoothed:
            yield name, doc


@dataclass(frozen=True)
class _Frame:
    """One event of the estimates."""

    stream: str
    seq_num: int
    time: float
    frame_seq_num: int


def with_smoothed(documents: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Add the smoothed track to the documents of a derived run.

    Parameters
    ----------
    documents
        Names and documents of the run, from start to stop; its estimates are of frames that are all there.

    Yields
    ------
    The same documents. Before the stop come a descriptor of the stream `qd_size_smoothed` and one event for
    each estimate, of the same sequence number and time; the stop is a copy that counts them.
    """
    start: Mapping[str, Any] = {}
    described: dict[str, Mapping[str, Any]] = {}
    tracks: defaultdict[str, Track] = defaultdict(Track)  # by stream of the frames
    frames: list[_Frame] = []
    for name, doc in documents:
        if name == "start":
            start = doc
        elif name == "descriptor" and doc["name"] == STREAM_NAME:
            described[doc["uid"]] = doc["configuration"][OBJECT_NAME]["data"]
        elif name == "event" and doc["descriptor"] in described:
            data = doc["data"]
            stream = described[doc["descriptor"]]["qdsizer_frame_stream"]
            tracks[stream].add(data["qdsizer_track_time"], measurement_of(data))
            frames.append(_Frame(stream, doc["seq_num"], doc["time"], data[FRAME_KEY]))
        elif name == "stop" and frames:
            points = {stream: iter(track.smoothed()) for stream, track in tracks.items()}
            of_frames = ((frame, next(points[frame.stream])) for frame in frames)
            yield from _smoothed_documents(start, next(iter(described.values())), of_frames)
            doc = {**doc, "num_events": {**doc["num_events"], SMOOTHED_STREAM_NAME: len(frames)}}
        yield name, doc


def _smoothed_documents(
    start: Any, configuration: Mapping[str, Any], points: Iterable[tuple[_Frame, TrackPoint]]
) -> Iterator[tuple[str, Any]]:
    """Descriptor and events of the smoothed track."""
    now = time.time()
    source = f"qdsizer_stream:{configuration['qdsizer_model'] or 'none'}, smoothed"
    frame_key = {"dtype": "integer", "dtype_numpy": "<i8", "shape": []}
    keys = {**SMOOTHED_KEYS, FRAME_KEY: frame_key}
    settings = {
        "qdsizer_smoothed_stream": STREAM_NAME,
        "qdsizer_smoothed_method": METHOD,
        **{key: configuration[key] for key in COPIED},
    }
    bundle = ComposeDescriptor(start=start, streams={}, event_counters={})(
        name=SMOOTHED_STREAM_NAME,
        data_keys={
            key: {**about, "source": source, "object_name": SMOOTHED_OBJECT_NAME}
            for key, about in keys.items()
        },
        object_keys={SMOOTHED_OBJECT_NAME: list(keys)},
        configuration={
            SMOOTHED_OBJECT_NAME: {
                "data": settings,
                "timestamps": dict.fromkeys(settings, now),
                "data_keys": {key: {**_TEXT, "source": source} for key in settings},
            }
        },
        hints={SMOOTHED_OBJECT_NAME: {"fields": ["qdsizer_smoothed_mass_mean", "qdsizer_smoothed_size"]}},
        time=now,
        validate=False,  # as those of the estimates
    )
    yield "descriptor", bundle.descriptor_doc
    for frame, point in points:
        data = smoothed_data(point) | {FRAME_KEY: frame.frame_seq_num}
        # A clock that was set back must not date the estimate before its frame.
        stamps = dict.fromkeys(data, max(now, frame.time))
        yield (
            "event",
            bundle.compose_event(
                data=data, timestamps=stamps, time=frame.time, seq_num=frame.seq_num, validate=False
            ),
        )

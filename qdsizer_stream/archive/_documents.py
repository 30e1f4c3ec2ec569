"""Documents of an archived run, every frame inline."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..callbacks import STREAM_NAME, LiveConfig, frame_keys
from ..errors import ArchiveError

__all__ = ["run_documents"]

CHUNK_FRAMES = 64
"""Frames asked for at a time: 8 to 16 MB of 30 720 strips, so that memory does not grow with the run."""


def run_documents(run: Any, config: LiveConfig) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read a run back as documents, frames in chunks.

    Streams without frames are left out. Frames that were written to files come as if they had stood
    in the events, so that who reads them need not know where they lay.

    Parameters
    ----------
    run
        A `BlueskyRun` from Tiled.
    config
        Says which data keys may hold frames.

    Returns
    -------
    Name and document: start, then descriptors and events of each stream with frames, and stop.

    Raises
    ------
    ArchiveError
        The run is not finished, or holds no frames.
    """
    start, stop = dict(run.metadata["start"]), run.metadata.get("stop")
    if not stop:
        raise ArchiveError(f"run {start['uid']} has no stop document: wait until it has ended")
    yield "start", start
    streams = {name: run[name].descriptors for name in run if name != STREAM_NAME}
    found = False
    for name, descriptors in streams.items():
        keys = frame_keys(config, descriptors[0])
        if not keys or config.stream not in (None, name):
            continue
        found = True
        for descriptor in descriptors:
            yield "descriptor", _inline(descriptor, keys)
        yield from _events(run.base[name], descriptors, keys, start["time"])
    if not found:
        raise ArchiveError(
            f"run {start['uid']} has no frames of this detector: its streams are "
            f"{', '.join(streams) or 'none'}; set data_key and stream, or the calibration of its detector"
        )
    yield "stop", dict(stop)


def _inline(descriptor: Mapping[str, Any], keys: list[str]) -> dict[str, Any]:
    """Describe the frames as part of the events."""
    data_keys = {
        key: {field: value for field, value in data_key.items() if key not in keys or field != "external"}
        for key, data_key in descriptor["data_keys"].items()
    }
    return {**descriptor, "data_keys": data_keys}


def _events(
    stream: Any, descriptors: list[dict[str, Any]], keys: list[str], start_time: float
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Events of one stream, a chunk of frames at a time."""
    parts = set(stream)
    if missing := [key for key in keys if key not in parts]:
        raise ArchiveError(
            f"stream {stream.item['id']} announces {', '.join(missing)} but holds no such array"
        )
    rows = stream["internal"].read().to_dict("records") if "internal" in parts else []
    arrays = {key: stream[key] for key in keys}
    rows_each = {
        key: _rows_each(array.shape, descriptors[0]["data_keys"][key]["shape"])
        for key, array in arrays.items()
    }
    n_events = min(array.shape[0] // rows_each[key] for key, array in arrays.items())
    began = [descriptor["time"] for descriptor in descriptors]
    for first in range(0, n_events, CHUNK_FRAMES):
        last = min(first + CHUNK_FRAMES, n_events)
        chunks = {
            key: np.asarray(array[first * rows_each[key] : last * rows_each[key]])
            for key, array in arrays.items()
        }
        for number in range(first, last):
            # A fly scan has frames but no events: they are numbered from one and dated by the run.
            row = rows[number] if number < len(rows) else {"seq_num": number + 1, "time": start_time}
            time = float(row["time"])
            data = {
                key: value
                for key, value in row.items()
                if key not in ("seq_num", "time") and not key.startswith("ts_")
            }
            for key, chunk in chunks.items():
                offset = (number - first) * rows_each[key]
                data[key] = chunk[offset : offset + rows_each[key]]
            descriptor = descriptors[max(bisect_right(began, time) - 1, 0)]
            yield (
                "event",
                {
                    "uid": f"{descriptor['uid']}/{row['seq_num']}",
                    "descriptor": descriptor["uid"],
                    "seq_num": int(row["seq_num"]),
                    "time": time,
                    "data": data,
                    "timestamps": {key: float(row.get(f"ts_{key}", time)) for key in data},
                    "filled": {},
                },
            )


def _rows_each(total: tuple[int, ...], datum: list[int]) -> int:
    """Rows of an archived array that belong to one event: stacked arrays have an axis more."""
    return 1 if len(total) == len(datum) + 1 else max(datum[0], 1)

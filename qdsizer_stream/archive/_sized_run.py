"""The sizes of an archived run, as its documents hold them."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..callbacks import (
    OBJECT_NAME,
    SMOOTHED_STREAM_NAME,
    STREAM_NAME,
    smoothed_point,
    smoothed_track,
)
from ..errors import ArchiveError
from ..tracking import TrackPoint
from ._connect import plain_errors
from ._select import plain_run

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["SizedRun", "sized_run"]


@dataclass(frozen=True, eq=False)
class SizedRun:
    """Documents of a run with its sizes."""

    start: Mapping[str, Any]
    """Start document."""
    stop: Mapping[str, Any]
    """Stop document; empty while the run goes on."""
    configuration: Mapping[str, Any]
    """Configuration of the estimates."""
    events: tuple[Mapping[str, Any], ...]
    """Data and `time` of the events in `qd_size`, in order."""
    data_keys: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Unit, precision and limits of each value of the events, as their descriptor states them."""

    stored_smoothed: tuple[Mapping[str, Any], ...] = ()
    """Data of the events in `qd_size_smoothed`, in order; empty where the run has no such stream."""

    frame_streams: tuple[str, ...] | None = ()
    """Stream of the frame of each event; empty for one stream, None where there are several and the archive
    does not hold which event is of which."""

    @cached_property
    def smoothed(self) -> Sequence[TrackPoint]:
        """Smoothed track, one point for each event: the stored one, or computed where there is none.

        The sizes in it are NaN where it cannot be computed, for the reason `not_smoothed`.
        """
        if len(self.stored_smoothed) == len(self.events):
            return [smoothed_point(data) for data in self.stored_smoothed]
        if self.frame_streams is None:
            times = (float(data.get("qdsizer_track_time", math.nan)) for data in self.events)
            return [TrackPoint(time_s=time_s) for time_s in times]
        return smoothed_track(self.events, self.frame_streams or None)

    @property
    def not_smoothed(self) -> str:
        """Why there is no smoothed track; empty where there is one."""
        if self.frame_streams is not None or len(self.stored_smoothed) == len(self.events):
            return ""
        return (
            "its frames are of several streams, and it does not hold which size is of which, so that "
            "the track "
            "is not smoothed: size it again with `qdsizer-stream replay --again`"
        )

    def sizes(self) -> "DataFrame":
        """Read the sizes as a table.

        Returns
        -------
        As of `archive.sizes`.
        """
        from ._sizes import sizes

        return sizes(self)


def sized_run(run: Any) -> SizedRun:
    """Read the sizes of a run.

    Parameters
    ----------
    run
        A `BlueskyRun` from Tiled that holds the stream `qd_size`.

    Returns
    -------
    Its documents.

    Raises
    ------
    ArchiveError
        The run was never sized, or the archive does not answer.
    """
    run = plain_run(run)
    uid = run.metadata["start"]["uid"]
    with plain_errors(f"run {uid}"):
        if STREAM_NAME not in set(run):
            raise ArchiveError(
                f"run {uid} holds no stream {STREAM_NAME}: size it with `qdsizer-stream replay`"
            )
        streams = set(run)
        stream = run[STREAM_NAME]
        descriptor = stream.descriptors[0]
        settings = descriptor["configuration"][OBJECT_NAME]["data"]
        table = _rows(stream)
        smoothed = _rows(run[SMOOTHED_STREAM_NAME]) if SMOOTHED_STREAM_NAME in streams else []
        frame_streams = _frame_streams(run, stream.descriptors, table)
    return SizedRun(
        start=dict(run.metadata["start"]),
        stop=dict(run.metadata.get("stop") or {}),
        configuration=dict(settings),
        events=tuple(table),
        data_keys={key: dict(about) for key, about in descriptor["data_keys"].items()},
        stored_smoothed=tuple(smoothed),
        frame_streams=frame_streams,
    )


def _frame_streams(
    run: Any, descriptors: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]
) -> tuple[str, ...] | None:
    """Stream of the frame of each row, by number and time of its event; None where that does not show."""
    settings = (one["configuration"][OBJECT_NAME]["data"] for one in descriptors)
    names = list(dict.fromkeys(str(one.get("qdsizer_frame_stream", "")) for one in settings))
    if len(names) < 2:
        return ()
    streams_of: defaultdict[tuple[int, float], set[str]] = defaultdict(set)
    without_events = []
    for name in names:
        parts = dict(getattr(run[name], "base", run[name]).items()) if name in set(run) else {}
        if (table := parts.get("internal")) is None:
            without_events.append(name)
            continue
        for event in table.read(["seq_num", "time"]).to_dict("records"):
            streams_of[int(event["seq_num"]), float(event["time"])].add(name)
    found: list[str] = []
    for row in rows:
        fitting = streams_of[int(row["qdsizer_frame_seq_num"]), float(row["time"])] or set(without_events)
        if len(fitting) != 1:
            return None
        found.extend(fitting)
    return tuple(found)


def _rows(stream: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = stream.read().to_dataframe().reset_index().to_dict("records")
    return rows

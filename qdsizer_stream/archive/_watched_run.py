"""The record of a run in an archive, whether it has ended or is being written."""

import logging
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from ..callbacks import OBJECT_NAME, STREAM_NAME, Item, LiveConfig, RunSizing, SizedFrame, SynthesisRecord
from ..callbacks.display import SIMULATION_KEY
from ..callbacks.documents import rows_per_event
from ..errors import ArchiveError, QdsizerError
from ..sizing import Examination, Sizer
from ._frame_file import FrameFile, undecoded_uris
from ._replay import archived_config
from ._select import find_run

__all__ = ["WatchedRun"]

logger = logging.getLogger(__name__)

MAX_PATTERNS = 100
"""Frames of an archived run that are fetched for the waterfall: 12 to 25 MB, some seconds."""

PATTERNS_PER_UPDATE = 8
"""Frames examined between two looks for new rows: half a second, so that a new size never waits longer."""

RUNS_PER_REQUEST = 20
"""Runs whose names are fetched at a time while the newest one with sizes is looked for."""


class WatchedRun:
    """Reads the sizes of a run from its archive, and examines again the frames whose pattern is shown.

    The sizes come first, then the pattern and fit of the newest frame, then the patterns of the waterfall.

    Parameters
    ----------
    catalog
        Client of the archive.
    uid
        The run, as of `find_run`; None for the newest with sizes, and then for each that follows it.

    Raises
    ------
    ArchiveError
        The archive does not hold the run, or it has ended without having been sized.
    """

    def __init__(self, catalog: Any, uid: str | None = None) -> None:
        self._catalog = catalog
        self._newest_wanted = uid is None
        self._uid = ""
        self._start: dict[str, Any] = {}
        self._frames: _Frames | None = None
        self._n_rows = 0
        self._wanted: deque[SizedFrame] = deque()
        self._n_wanted = 0
        self._unsized: set[str] = set()  # ended runs without sizes, which need not be asked for again
        self._all_searched = False
        self.record = SynthesisRecord(self)
        """State that the picture is drawn from."""
        self.examination: Examination | None = None
        """Always None: patterns are added to the record after the sizes."""
        if uid is not None:
            self._turn_to(uid)

    def update(self) -> bool:
        """Read what is new: rows first, then some of the patterns; call it from one thread only.

        Returns
        -------
        Whether something was new, so that another call may find more.
        """
        if self._newest_wanted:
            newest = self._newest()
            if newest and newest != self._uid:
                self._turn_to(newest)
        if not self._uid:
            self.record.archive_read_time = time.time()
            return False
        new = self._read_rows()
        self.record.archive_read_time = time.time()
        return self._read_patterns() or new

    def examine(self, frame: SizedFrame) -> Examination | None:
        """Examine one frame of the run again.

        Parameters
        ----------
        frame
            A frame of the record.

        Returns
        -------
        Its examination; None where that is not possible.
        """
        return None if self._frames is None else self._frames.examine(frame.seq_num, frame.time)

    def _read_rows(self) -> bool:
        """Read the rows and the stop that have come since; True where there were any."""
        run = self._catalog[self._uid]
        stop = self._stop_of(run)  # before the rows: a run that has ended has all of them
        ended = stop is not None and not self.record.exit_status
        if STREAM_NAME not in set(run):
            return False
        descriptors = run[STREAM_NAME].descriptors
        rows = _table(run, STREAM_NAME)[self._n_rows :]
        if not rows and not ended:
            return False
        if self._frames is None:
            self._frames = _Frames(self._catalog, run)
        began = [descriptor["time"] for descriptor in descriptors]
        described = ""
        simulated = SIMULATION_KEY in self._start
        with self.record.batch():  # or each row in turn would be shown as the newest
            for row in rows:
                descriptor = descriptors[max(bisect_right(began, float(row["time"])) - 1, 0)]
                if descriptor["uid"] != described:
                    described = descriptor["uid"]
                    self.record("descriptor", {**descriptor, "name": STREAM_NAME})
                if simulated:
                    _, raw = self._frames.row(int(row["qdsizer_frame_seq_num"]), float(row["time"]))
                    self.record("event", {"descriptor": "", "data": raw})
                self.record("event", {"descriptor": described, "time": float(row["time"]), "data": row})
            self._n_rows += len(rows)
            self._want(self.record.frames[-len(rows) :] if rows else [])
            if stop is not None and ended:
                self.record("stop", {**stop, "run_start": self.record.run})
        return True

    def _want(self, new: list[SizedFrame]) -> None:
        """Note the frames whose patterns are to be read: the newest first, the others evenly spaced."""
        if not new:
            return
        chosen = np.unique(np.linspace(0, len(new) - 1, min(len(new), MAX_PATTERNS)).round().astype(int))
        self._wanted = deque([new[-1], *(new[index] for index in chosen[:-1]), *self._wanted])
        self._n_wanted = len(self._wanted)
        self.record.loading = (0, self._n_wanted)

    def _read_patterns(self) -> bool:
        """Examine some of the frames that are wanted; True where there were any."""
        if self._frames is None or not self._wanted:
            return False
        for _ in range(min(PATTERNS_PER_UPDATE, len(self._wanted))):
            frame = self._wanted.popleft()
            examination = self._frames.examine(frame.seq_num, frame.time)
            if examination is not None:
                self.record.add_pattern(frame.number, examination)
            self.record.loading = (self._n_wanted - len(self._wanted), self._n_wanted)
        if not self._wanted:
            self.record.loading = None
        return True

    def _newest(self) -> str:
        """The newest run with sizes; empty where there is none."""
        n_seen, n_wanted = 0, RUNS_PER_REQUEST
        while True:
            # Not by the length of the archive: the client remembers it for a second.
            uids = list(self._catalog.keys().tail(n_wanted))
            for uid in reversed(uids[: len(uids) - n_seen]):
                if uid == self._uid:
                    return str(uid)
                if self._shows(str(uid)):
                    return str(uid)
            if self._all_searched or len(uids) < n_wanted:
                self._all_searched = True  # from now on only what is new is looked at
                return ""
            n_seen, n_wanted = n_wanted, 2 * n_wanted

    def _shows(self, uid: str) -> bool:
        """Whether a run has sizes and may be turned to."""
        if uid in self._unsized:
            return False
        run = self._catalog[uid]
        if STREAM_NAME not in set(run):
            if run.metadata.get("stop"):
                self._unsized.add(uid)
            return False
        # An old run that is sized again must not hide the one that is being measured.
        measuring = self._uid and not self.record.exit_status
        return not (measuring and "original_run_uid" in run.metadata["start"])

    def _stop_of(self, run: Any) -> Mapping[str, Any] | None:
        """Stop of a run; of a linked run that of its original, whose frames it shows."""
        stop: Mapping[str, Any] | None = run.metadata.get("stop")
        if stop is not None:
            with suppress(KeyError):
                original = self._catalog[run.metadata["start"]["original_run_uid"]].metadata
                stop = original.get("stop") or stop
        return stop

    def _turn_to(self, uid: str) -> None:
        run = find_run(self._catalog, uid)
        uid = str(run.metadata["start"]["uid"])
        if run.metadata.get("stop") and STREAM_NAME not in set(run):
            raise ArchiveError(
                f"run {uid} ended without a stream {STREAM_NAME}: it was never sized, size it with replay"
            )
        self._uid, self._frames, self._n_rows = uid, None, 0
        self._wanted.clear()
        start = dict(run.metadata["start"])
        # A linked run begins long after its frames: its times, and what they mean, are those of the original.
        with suppress(KeyError):
            original = self._catalog[start["original_run_uid"]].metadata["start"]
            start |= {key: original[key] for key in ("time", "sample", SIMULATION_KEY) if key in original}
        self._start = start
        self.record("start", start)


class _Frames:
    """Sizes single frames of a run again, for the patterns and the fit that no archive keeps."""

    def __init__(self, catalog: Any, run: Any) -> None:
        start = run.metadata["start"]
        settings = run[STREAM_NAME].descriptors[0]["configuration"][OBJECT_NAME]["data"]
        self._stream, self._key = settings["qdsizer_frame_stream"], settings["qdsizer_frame_data_key"]
        self._sizing: RunSizing | None = None
        self._config: LiveConfig | None = None
        self._described: set[str] = set()
        self._rows: dict[int, list[tuple[int, Mapping[str, Any]]]] = {}
        try:
            # Of a linked run the frames are in the original.
            self._run = catalog[start.get("original_run_uid", start["uid"])]
            # A sum of frames is shown by its last one.
            self._config = archived_config(run).model_copy(update={"accumulation": None})
        except (QdsizerError, KeyError) as error:
            logger.warning("sizes without patterns: %s", error)

    def row(self, seq_num: int, time_s: float) -> tuple[int, Mapping[str, Any]]:
        """Position and scalars of a raw event; where there are none, as in a fly scan, those of its place.

        After a pause that repeats a step, two events have one sequence number: the time distinguishes them.
        """
        if self._config is None:
            return seq_num - 1, {}
        known = self._rows.get(seq_num, [])
        if not any(float(row["time"]) == time_s for _, row in known):
            self._rows = {}
            for position, row in enumerate(_table(self._run, self._stream)):
                self._rows.setdefault(int(row["seq_num"]), []).append((position, row))
            known = self._rows.get(seq_num, [])
        return min(
            known, key=lambda candidate: abs(float(candidate[1]["time"]) - time_s), default=(seq_num - 1, {})
        )

    def examine(self, seq_num: int, time_s: float) -> Examination | None:
        """Examine one frame again; None where that is not possible."""
        if self._config is None:
            return None
        try:
            if self._sizing is None:  # takes a second, for which the sizes do not wait
                self._sizing = _sizing(self._run.metadata["start"], self._config)
            descriptor, event = self._event(seq_num, time_s)
        except Exception as error:  # a picture without one pattern is better than no picture
            logger.warning("frame %d has no pattern: %r", seq_num, error)
            return None
        if descriptor["uid"] not in self._described:
            self._described.add(descriptor["uid"])
            list(self._sizing.documents(Item("descriptor", descriptor)))
        found = [examined for _, _, examined in self._sizing.documents(Item("event", event)) if examined]
        return found[-1] if found else None

    def _event(self, seq_num: int, time_s: float) -> tuple[dict[str, Any], dict[str, Any]]:
        """Descriptor and event of a frame, as if the counts were in the event."""
        descriptors = self._run[self._stream].descriptors
        stream = self._run.base[self._stream].base
        position, row = self.row(seq_num, time_s)
        array = stream[self._key]
        if self._config is not None:
            here = FrameFile.of(array, self._config.file_timeout_s) if undecoded_uris(array) else None
            array = here or array
        described = descriptors[0]["data_keys"][self._key]
        each = rows_per_event(array.shape, described["shape"]) if "external" in described else 1
        counts = np.asarray(array[position * each : (position + 1) * each])
        event_time = float(row.get("time", self._run.metadata["start"]["time"]))
        began = [descriptor["time"] for descriptor in descriptors]
        descriptor = dict(descriptors[max(bisect_right(began, event_time) - 1, 0)])
        inline = {
            key: value for key, value in descriptor["data_keys"][self._key].items() if key != "external"
        }
        descriptor |= {"name": self._stream, "data_keys": {**descriptor["data_keys"], self._key: inline}}
        event = {
            "descriptor": descriptor["uid"],
            "seq_num": seq_num,
            "time": event_time,
            "data": {**row, self._key: counts},
        }
        return descriptor, event


def _sizing(start: Mapping[str, Any], config: LiveConfig) -> RunSizing:
    sizer = Sizer(config.sizing)
    return RunSizing(start, config, lambda _: sizer, live=False)


def _table(run: Any, stream: str) -> list[dict[str, Any]]:
    """Scalars of a stream, one row per event."""
    base = run.base[stream].base
    return [] if "internal" not in base else base["internal"].read().to_dict("records")

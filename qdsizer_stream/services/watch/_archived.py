"""A run in an archive, ended or being written, as the record that a picture is drawn from."""

import logging
from bisect import bisect_right
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from ...archive import archived_config
from ...callbacks import OBJECT_NAME, STREAM_NAME, Item, LiveConfig, RunSizing, SynthesisRecord
from ...errors import ArchiveError, QdsizerError
from ...sizing import Examination, Sizer

__all__ = ["WatchedRun"]

logger = logging.getLogger(__name__)

PATTERNS_AT_ONCE = 100
"""Frames of an archived run that are fetched for the waterfall: 12 to 25 MB, some seconds."""

NEWEST_RUNS = 20
"""Runs looked through for the newest one with sizes."""


class WatchedRun:
    """Reads the sizes of a run from its archive, and looks again at frames whose pattern is shown.

    Parameters
    ----------
    catalog
        Client of the archive.
    uid
        The run; None for the newest with sizes, and then for each that follows it.

    Raises
    ------
    ArchiveError
        The archive does not hold the run, or it has ended without having been sized.
    """

    def __init__(self, catalog: Any, uid: str | None = None) -> None:
        self._catalog = catalog
        self._newest_wanted = uid is None
        self._uid = ""
        self._frames: _Frames | None = None
        self._n_events = 0
        self.record = SynthesisRecord(self)
        """What the picture is drawn from."""
        self.examination: Examination | None = None
        """What the estimate in hand rests on; None where its frame was not looked at."""
        if uid is not None:
            self._turn_to(uid)

    def update(self) -> bool:
        """Read what is new; one thread may call it.

        Returns
        -------
        Whether something was new.
        """
        if self._newest_wanted:
            newest = self._newest()
            if newest and newest != self._uid:
                self._turn_to(newest)
        if not self._uid:
            return False
        run = self._catalog[self._uid]
        if STREAM_NAME not in set(run):
            return False
        descriptors = run[STREAM_NAME].descriptors
        rows = _table(run, STREAM_NAME)
        new = rows[self._n_events :]
        if not new:
            return False
        if self._frames is None:
            self._frames = _Frames(self._catalog, run)
        # Of a run that is followed every frame is looked at, of a long one as many as a screen can show.
        looked_at = set(np.linspace(0, len(new) - 1, min(len(new), PATTERNS_AT_ONCE)).round().astype(int))
        began = [descriptor["time"] for descriptor in descriptors]
        described = ""
        for number, row in enumerate(new):
            descriptor = descriptors[max(bisect_right(began, float(row["time"])) - 1, 0)]
            if descriptor["uid"] != described:
                described = descriptor["uid"]
                self.record("descriptor", {**descriptor, "name": STREAM_NAME})
            self.examination = (
                self._frames.examine(int(row["qdsizer_frame_seq_num"])) if number in looked_at else None
            )
            self.record("event", {"descriptor": described, "time": float(row["time"]), "data": row})
        self._n_events += len(new)
        return True

    def _newest(self) -> str:
        """The newest run with sizes; empty where there is none."""
        for uid in reversed(list(self._catalog.keys().tail(NEWEST_RUNS))):
            if uid == self._uid or STREAM_NAME in set(self._catalog[uid]):
                return str(uid)
        return ""

    def _turn_to(self, uid: str) -> None:
        try:
            run = self._catalog[uid]
        except KeyError:
            raise ArchiveError(
                f"no run {uid} among the {len(self._catalog)} of this archive; give the whole identifier, "
                "or none for the newest run with sizes"
            ) from None
        if run.metadata.get("stop") and STREAM_NAME not in set(run):
            raise ArchiveError(
                f"run {uid} ended without a stream {STREAM_NAME}: it was never sized, size it with replay"
            )
        self._uid, self._frames, self._n_events = uid, None, 0
        start = dict(run.metadata["start"])
        # A linked run begins long after its frames: their times count from the original.
        with suppress(KeyError):
            start["time"] = self._catalog[start["original_run_uid"]].metadata["start"]["time"]
        self.record("start", start)


class _Frames:
    """Sizes single frames of a run again, for the patterns and the fit that no archive keeps."""

    def __init__(self, catalog: Any, run: Any) -> None:
        start = run.metadata["start"]
        said = run[STREAM_NAME].descriptors[0]["configuration"][OBJECT_NAME]["data"]
        self._stream, self._key = said["qdsizer_frame_stream"], said["qdsizer_frame_data_key"]
        self._sizing: RunSizing | None = None
        self._described: set[str] = set()
        self._rows: dict[int, Mapping[str, Any]] = {}
        try:
            # Of a linked run the frames are in the original.
            self._run = catalog[start.get("original_run_uid", start["uid"])]
            # A sum of frames is shown by its last one.
            config = archived_config(run).model_copy(update={"accumulation": None})
            self._sizing = _sizing(self._run.metadata["start"], config)
        except (QdsizerError, KeyError) as error:
            logger.warning("sizes without patterns: %s", error)

    def examine(self, seq_num: int) -> Examination | None:
        """Look at one frame again; None where that cannot be done."""
        if self._sizing is None:
            return None
        try:
            descriptor, event = self._event(seq_num)
        except Exception as error:  # a picture without one pattern is better than no picture
            logger.warning("frame %d has no pattern: %r", seq_num, error)
            return None
        if descriptor["uid"] not in self._described:
            self._described.add(descriptor["uid"])
            list(self._sizing.documents(Item("descriptor", descriptor)))
        found = [examined for _, _, examined in self._sizing.documents(Item("event", event)) if examined]
        return found[-1] if found else None

    def _event(self, seq_num: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Descriptor and event of a frame, as if it had stood in the event."""
        descriptors = self._run[self._stream].descriptors
        stream = self._run.base[self._stream].base
        if seq_num not in self._rows:
            self._rows = {int(row["seq_num"]): row for row in _table(self._run, self._stream)}
        row = self._rows.get(seq_num, {})  # a fly scan has none
        array = stream[self._key]
        shape = descriptors[0]["data_keys"][self._key]["shape"]
        each = 1 if len(array.shape) == len(shape) + 1 else max(shape[0], 1)
        counts = np.asarray(array[(seq_num - 1) * each : seq_num * each])
        time = float(row.get("time", self._run.metadata["start"]["time"]))
        began = [descriptor["time"] for descriptor in descriptors]
        descriptor = dict(descriptors[max(bisect_right(began, time) - 1, 0)])
        inline = {
            key: value for key, value in descriptor["data_keys"][self._key].items() if key != "external"
        }
        descriptor |= {"name": self._stream, "data_keys": {**descriptor["data_keys"], self._key: inline}}
        event = {
            "descriptor": descriptor["uid"],
            "seq_num": seq_num,
            "time": time,
            "data": {**row, self._key: counts},
        }
        return descriptor, event


def _sizing(start: Mapping[str, Any], config: LiveConfig) -> RunSizing:
    sizer = Sizer(config.sizing)
    return RunSizing(start, config, lambda _: sizer, live=False)


def _table(run: Any, stream: str) -> list[dict[str, Any]]:
    """Scalars of a stream, one row an event."""
    base = run.base[stream].base
    return [] if "internal" not in base else base["internal"].read().to_dict("records")

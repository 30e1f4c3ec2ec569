"""The runs that a page can show: one live run, or those of an archive."""

import csv
import io
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Protocol

from ...archive import WatchedRun, find_run, sizes
from ...callbacks import STREAM_NAME, SizedFrame, SynthesisRecord
from ...errors import ArchiveError

__all__ = ["ArchivedRuns", "OneRun", "RunEntry", "Shelf"]

LISTED_RUNS = 20
"""Newest runs that are listed: more than a day of syntheses, and read in a second."""

LIST_PERIOD_S = 3.0
"""Interval between looks for new runs."""

ASKED_WITHIN_S = 60.0
"""A run that no page has asked for this long is no longer read."""

NOT_IN_A_TABLE = frozenset({"signal_sd", "growth", "time_to_target_s"})
"""Values of a frame that are not single numbers."""


@dataclass(frozen=True)
class RunEntry:
    """One line of the list of runs."""

    uid: str
    """Identifier."""
    title: str
    """Date and time, and the sample."""
    about: str
    """Identifier in short, and how the run ended or that it goes on."""


class Shelf(Protocol):
    """Runs that pages show; its methods are called from the thread of the pages."""

    def snapshot(self, uid: str) -> SynthesisRecord:
        """State of a run that does not change; of the one to begin with for an empty identifier."""

    def runs(self) -> list[RunEntry]:
        """Runs to list, newest first; none where there is no choice."""

    def problem(self, uid: str) -> str:
        """Why a run cannot be shown; empty where it can."""

    def table(self, uid: str) -> str:
        """Sizes of a run as comma-separated values."""


class OneRun:
    """The run of a record, such as that of a live sizer.

    Parameters
    ----------
    record
        The synthesis.
    """

    def __init__(self, record: SynthesisRecord) -> None:
        self._record = record

    def snapshot(self, uid: str) -> SynthesisRecord:
        """Take the state of the run, whichever is asked for."""
        return self._record.snapshot()

    def runs(self) -> list[RunEntry]:
        """List nothing: there is no other run."""
        return []

    def problem(self, uid: str) -> str:
        """Find no problem."""
        return ""

    def table(self, uid: str) -> str:
        """Write the frames that the record keeps."""
        names = [
            one.name
            for one in fields(SizedFrame)
            if one.name not in ("signal_sd", "growth", "time_to_target_s")
        ]
        text = io.StringIO()
        lines = csv.writer(text)
        lines.writerow(names)
        for frame in self._record.snapshot().frames:
            lines.writerow([getattr(frame, name) for name in names])
        return text.getvalue()


class ArchivedRuns:
    """Runs of an archive: one to begin with, and each that a page asks for.

    Parameters
    ----------
    catalog
        Client of the archive.
    uid
        Run to begin with; None for the newest with sizes, and then for each that follows it.

    Raises
    ------
    ArchiveError
        The archive does not hold the run, or it has ended without having been sized.
    """

    def __init__(self, catalog: Any, uid: str | None = None) -> None:
        self._catalog = catalog
        self._first = WatchedRun(catalog, uid)
        self._lock = threading.Lock()
        self._asked: dict[str, float] = {}  # when a page last asked for a run, by the monotonic clock
        self._opened: dict[str, WatchedRun] = {}
        self._problems: dict[str, str] = {}
        self._entries: list[RunEntry] = []
        self._ended: dict[str, RunEntry | None] = {}  # of runs that have ended, which stay as they are
        self._listed = float("-inf")

    def update(self) -> bool:
        """Read what is new; call it from one thread only.

        Returns
        -------
        Whether something was new, so that another call may find more.
        """
        new = self._first.update()
        for uid in self._wanted():
            try:
                if uid not in self._opened:
                    watched = WatchedRun(self._catalog, uid)
                    with self._lock:
                        self._opened[uid] = watched
                new = self._opened[uid].update() or new
            except ArchiveError as error:
                with self._lock:
                    self._problems[uid] = str(error)
        if time.monotonic() - self._listed > LIST_PERIOD_S:
            self._list()
        return new

    def snapshot(self, uid: str) -> SynthesisRecord:
        """Take the state of a run; empty until it has been read."""
        if not uid or uid == self._first.record.run:
            return self._first.record.snapshot()
        with self._lock:
            self._asked[uid] = time.monotonic()
            watched = self._opened.get(uid)
        return SynthesisRecord(self._first) if watched is None else watched.record.snapshot()

    def runs(self) -> list[RunEntry]:
        """List the newest runs with sizes."""
        with self._lock:
            return list(self._entries)

    def problem(self, uid: str) -> str:
        """State why a run cannot be shown."""
        with self._lock:
            return self._problems.get(uid, "")

    def table(self, uid: str) -> str:
        """Read the sizes of a run from the archive."""
        return str(sizes(find_run(self._catalog, uid)).to_csv())

    def _wanted(self) -> list[str]:
        """Runs that pages show, without the one to begin with; others are dropped."""
        with self._lock:
            now = time.monotonic()
            self._asked = {uid: asked for uid, asked in self._asked.items() if now - asked < ASKED_WITHIN_S}
            self._opened = {uid: run for uid, run in self._opened.items() if uid in self._asked}
            self._problems = {uid: why for uid, why in self._problems.items() if uid in self._asked}
            return [uid for uid in self._asked if uid not in self._problems]

    def _list(self) -> None:
        entries = []
        for uid in reversed(list(self._catalog.keys().tail(LISTED_RUNS))):
            if uid in self._ended:
                entry = self._ended[uid]
            else:
                run = self._catalog[uid]
                stop = run.metadata.get("stop")
                sized = STREAM_NAME in set(run)
                entry = _entry(run.metadata["start"], stop) if sized and "start" in run.metadata else None
                if stop:
                    self._ended[uid] = entry
            if entry is not None:
                entries.append(entry)
        with self._lock:
            self._entries = entries
        self._listed = time.monotonic()


def _entry(start: Mapping[str, Any], stop: Mapping[str, Any] | None) -> RunEntry:
    sample = start.get("sample", "")
    sample = sample if isinstance(sample, str) else str(sample.get("name", ""))
    began = datetime.fromtimestamp(float(start["time"])).strftime("%Y-%m-%d %H:%M")
    state = f"ended, {stop['exit_status']}" if stop else "being measured"
    if "original_run_uid" in start:
        state = f"{start['original_run_uid'][:8]} sized again"
    return RunEntry(str(start["uid"]), f"{began}  {sample}".strip(), f"{str(start['uid'])[:8]}, {state}")

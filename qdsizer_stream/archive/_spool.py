"""A writer that may be slow, dead or hung, and a place for what it could not write."""

import atexit
import fcntl
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from time import monotonic, time
from typing import Any
from uuid import uuid4

from ..callbacks import RunIndex
from ..errors import ArchiveError
from ._journal import append_document, read_documents

__all__ = ["SpooledWriter", "spooled_runs", "upload"]

logger = logging.getLogger(__name__)

Writer = Callable[[str, Any], object]

FINISHED, UNFINISHED = ".spool", ".spool.part"
"""Suffixes of journals: of runs that have ended, and of runs that have not, or never will."""

SECOND_WRITER = "; is another writer subscribed too?"
"""Usual cause where an archive refuses a start: it has the run already, which Tiled says as `409`."""

EXIT_TIMEOUT_S = 30.0
"""How long the end of the process waits for the writer, s; what it has not taken stays in the spool."""


@dataclass(eq=False)
class _SpooledRun:
    """One run on its way to the writer."""

    uid: str
    path: Path
    journal: FileIO | None
    """Open, and locked against an upload, until the writer has taken the run or failed on it."""
    failed: str = ""
    written: bool = False
    ended: bool = False


class SpooledWriter:
    """Passes documents to a writer in a thread of its own, with every run in a journal meanwhile.

    A run that the writer took whole leaves no journal. A run that it failed on, or was too slow for,
    stays in the folder from its first document to its last, for `upload`; the rest of it is not
    offered to the writer, so that no run is written twice or in part by accident.

    Parameters
    ----------
    writer
        Callback that writes, such as a `TiledWriter`.
    directory
        Folder of the journals; made where it does not exist.
    queue_documents
        Documents that may wait for the writer; what comes on top makes their run go to the spool.
    """

    def __init__(self, writer: Writer, directory: Path, queue_documents: int = 1000) -> None:
        self._writer = writer
        self._directory = directory
        self._limit = queue_documents
        self._index = RunIndex()
        self._runs: dict[str, _SpooledRun] = {}
        self._items: deque[tuple[_SpooledRun, str, Any]] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="qdsizer-writer", daemon=True)
        self.spooled = 0
        """Runs that went to the spool."""
        self.unrecorded = 0
        """Documents that could not be put in a journal, the disk being full."""
        directory.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        atexit.register(self.close, EXIT_TIMEOUT_S)

    def __call__(self, name: str, doc: Any) -> None:
        """Take a document; returns when it is in the journal.

        Parameters
        ----------
        name
            Kind of the document.
        doc
            The document.
        """
        for uid in self._index.runs_of(name, doc):
            if name == "start":
                self._runs[uid] = self._open(uid)
            run = self._runs[uid]
            self._record(run, name, doc)
            self._offer(run, name, doc)
            if name == "stop":
                self._end(run)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the writer has taken what it is offered.

        Parameters
        ----------
        timeout_s
            How long to wait, s; None for as long as it takes.

        Returns
        -------
        Whether it has.
        """
        with self._changed:
            return self._changed.wait_for(lambda: not self._items, timeout_s)

    def close(self, timeout_s: float | None = 60.0) -> bool:
        """Finish what the writer is offered and end the thread.

        Parameters
        ----------
        timeout_s
            How long to wait, s; None for as long as it takes.

        Returns
        -------
        Whether the writer took everything; what it did not stays in the spool.
        """
        atexit.unregister(self.close)
        deadline = None if timeout_s is None else monotonic() + timeout_s
        done = self.wait(timeout_s)
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if done:
            self._thread.join(None if deadline is None else max(deadline - monotonic(), 0.0))
        return done

    def _open(self, uid: str) -> _SpooledRun:
        path = self._directory / f"{uid}{UNFINISHED}"
        try:
            journal = path.open("wb", buffering=0)
            fcntl.flock(journal, fcntl.LOCK_EX)
            return _SpooledRun(uid, path, journal)
        except OSError:
            logger.exception("no journal for run %s: what its writer fails on will be lost", uid)
            return _SpooledRun(uid, path, None)

    def _record(self, run: _SpooledRun, name: str, doc: Any) -> None:
        if run.journal is None:
            self.unrecorded += 1
            return
        try:
            append_document(run.journal, name, doc)
        except (OSError, TypeError, ValueError):
            # A full disk must not stop the writer, which may still have room.
            self.unrecorded += 1
            logger.exception("a %s document of run %s is not in its journal", name, run.uid)

    def _offer(self, run: _SpooledRun, name: str, doc: Any) -> None:
        with self._changed:
            if run.failed:
                return
            if len(self._items) >= self._limit:
                self._give_up(run, f"{self._limit} documents wait for the writer, no more may")
                return
            self._items.append((run, name, doc))
            self._changed.notify_all()

    def _end(self, run: _SpooledRun) -> None:
        """Take note that a run has ended."""
        self._index.forget(run.uid)
        del self._runs[run.uid]
        if run.journal is not None:
            run.path = run.path.rename(self._directory / f"{run.uid}{FINISHED}")
        with self._changed:
            run.ended = True
            self._settle(run)

    def _settle(self, run: _SpooledRun) -> None:
        """Let go of the journal of a run that has ended, once its fate is known; the lock is held."""
        if run.journal is None or not run.ended or not (run.written or run.failed):
            return
        # A request that hangs may yet be answered, and would double what an upload has brought meanwhile.
        if self._items and self._items[0][0] is run:
            return
        if run.written:
            run.path.unlink()
        run.journal.close()
        run.journal = None

    def _give_up(self, run: _SpooledRun, why: str) -> None:
        """Leave a run to its journal; the lock is held."""
        run.failed = why
        self.spooled += 1
        # The item in hand stays at the front: the thread removes it.
        kept = [item for number, item in enumerate(self._items) if number == 0 or item[0] is not run]
        self._items = deque(kept)
        logger.error("run %s goes to the spool %s: %s", run.uid, self._directory, why)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._closing)
                if not self._items:
                    return
                run, name, doc = self._items[0]
            error: Exception | None = None
            if not run.failed:
                try:
                    self._writer(name, doc)
                except Exception as raised:
                    error = raised
            with self._changed:
                if error is not None:
                    hint = SECOND_WRITER if name == "start" else ""
                    self._give_up(run, f"the writer failed on its {name} document: {error}{hint}")
                elif name == "stop" and not run.failed:
                    run.written = True
                self._items.popleft()
                self._settle(run)
                self._changed.notify_all()


def spooled_runs(directory: Path, unfinished: bool = False) -> list[Path]:
    """List the runs that wait in a spool.

    Parameters
    ----------
    directory
        Folder of the spool.
    unfinished
        Whether to list runs without an end as well: those still measured, or cut off by a crash.

    Returns
    -------
    Journals, oldest first.

    Raises
    ------
    ArchiveError
        There is no such folder.
    """
    if not directory.is_dir():
        raise ArchiveError(f"there is no spool {directory}: give the folder that the writer spools to")
    suffixes = (FINISHED, UNFINISHED) if unfinished else (FINISHED,)
    found = [path for suffix in suffixes for path in directory.glob(f"*{suffix}")]
    return sorted(found, key=lambda path: path.stat().st_mtime)


def upload(journal: Path, catalog: Any, writer: Writer) -> str:
    """Bring a spooled run into an archive, nothing doubled, and remove its journal.

    What the failed writer left of the run in the archive is removed first; a run that is there with
    the same end was written after all.

    Parameters
    ----------
    journal
        One of `spooled_runs`.
    catalog
        Client of the archive.
    writer
        Writes to it.

    Returns
    -------
    Identifier of the run.

    Raises
    ------
    ArchiveError
        The journal does not begin with a start document, or is in the hands of a writer or of another
        upload; the archive holds the run as another writer wrote it, or does not take it. The journal stays.
    """
    with journal.open("rb") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ArchiveError(
                f"journal {journal} is in use: its run is still measured or written, or another upload has "
                "it; wait, or end the session that holds it"
            ) from None
        return _upload(journal, catalog, writer)


def _upload(journal: Path, catalog: Any, writer: Writer) -> str:
    documents = read_documents(journal)
    first: tuple[str, Any] = next(documents, ("nothing", None))
    name, start = first
    if name != "start":
        raise ArchiveError(f"journal {journal} begins with {name}, not with start: it was cut or is foreign")
    uid = str(start["uid"])
    if uid in catalog:
        if there := catalog[uid].metadata.get("stop"):
            here: Any = next((doc for name, doc in documents if name == "stop"), {})
            found, expected = there.get("num_events"), here.get("num_events")
            if found != expected:
                raise ArchiveError(
                    f"run {uid} is in the archive with events {found}, its journal {journal} has {expected}: "
                    "another writer wrote it, and its sizes are in the journal alone; subscribe one writer "
                    "only, and get the sizes into the archive with replay"
                )
            journal.unlink()
            return uid
        catalog.delete_contents([uid], recursive=True, external_only=False)
    try:
        writer(name, start)
        for name, doc in _with_an_end(documents, uid):
            writer(name, doc)
    except Exception as error:
        raise ArchiveError(
            f"the archive did not take the {name} document of run {uid}: {error}; its journal {journal} "
            "stays, upload it again" + (SECOND_WRITER if name == "start" else "")
        ) from error
    journal.unlink()
    return uid


def _with_an_end(documents: Iterator[tuple[str, Any]], run: str) -> Iterator[tuple[str, Any]]:
    """Add the stop that a crash left out."""
    name = ""
    for name, doc in documents:
        yield name, doc
    if name != "stop":
        reason = "the process that measured the run ended before it"
        yield (
            "stop",
            {"uid": str(uuid4()), "run_start": run, "time": time(), "exit_status": "abort", "reason": reason},
        )

"""A writer that may be slow, dead or hung, in front of a spool for what it did not write."""

import atexit
import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from ..callbacks import RunIndex
from ._journal_file import JournalFile
from ._tally import EventTally, check_rows
from ._upload import FINISHED, SECOND_WRITER, Writer

__all__ = ["SpooledWriter"]

logger = logging.getLogger(__name__)

EXIT_TIMEOUT_S = 30.0
"""Time that process exit waits for the writer, s; what it has not accepted stays in the spool."""

QUEUE_BYTES = 2**28
"""Documents that may wait for the writer, bytes: 2000 frames of 30 720 strips. The journal on disk has them
too, so a slow archive costs no memory."""


@dataclass(eq=False)
class _SpooledRun:
    """One run on its way to the writer."""

    uid: str
    journal: JournalFile | None
    """Open, and locked against an upload, until the writer has accepted the run or failed on it."""
    tally: EventTally = field(default_factory=EventTally)
    failed: str = ""
    written: bool = False
    ended: bool = False


class SpooledWriter:
    """Passes documents to a writer in its own thread, and keeps every run in a journal meanwhile.

    A run that the writer accepted leaves no journal. A run that it failed on, or was too slow for, stays in
    the folder from its first document to its last, for `upload`; the rest of it is not passed to the
    writer, so that no run is written twice or in part.

    Parameters
    ----------
    writer
        Callback that writes, such as a `TiledWriter`.
    directory
        Folder of the journals; created if it does not exist. Several writers may share it.
    queue_documents
        Documents that may wait for the writer; a run that exceeds this goes to the spool.
    queue_bytes
        The same in bytes.
    catalog
        Client of the archive, in which the rows of every run are counted before its journal is deleted; by
        default that of a `TiledWriter`.
    on_safe
        Called with the identifier of a run once it is either in the archive or completely in the spool.
    """

    def __init__(
        self,
        writer: Writer,
        directory: str | os.PathLike[str],
        queue_documents: int = 1000,
        queue_bytes: int = QUEUE_BYTES,
        *,
        catalog: Any = None,
        on_safe: Callable[[str], object] | None = None,
    ) -> None:
        self._writer = writer
        tiled = type(writer).__module__.startswith("bluesky_tiled_plugins")
        self._catalog = getattr(writer, "client", None) if catalog is None and tiled else catalog
        self._directory = Path(directory)
        self._limit = queue_documents
        self._limit_bytes = queue_bytes
        self._on_safe = on_safe
        self._index = RunIndex()
        self._runs: dict[str, _SpooledRun] = {}
        self._items: deque[tuple[_SpooledRun, str, Any, int]] = deque()
        self._n_bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="qdsizer-writer", daemon=True)
        self.spooled = 0
        """Runs that went to the spool."""
        self.unrecorded = 0
        """Documents that could not be written to a journal, for example on a full disk."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        atexit.register(self.close, EXIT_TIMEOUT_S)
        _writers.add(self)

    def __call__(self, name: str, doc: Any) -> None:
        """Handle a document; returns when it is in the journal.

        Parameters
        ----------
        name
            Kind of the document.
        doc
            The document.
        """
        for uid in self._index.runs_of(name, doc):
            if name == "start" and uid not in self._runs:
                self._make_room()
                self._runs[uid] = self._open(uid)
            run = self._runs[uid]
            n_bytes = self._record(run, name, doc)
            self._offer(run, name, doc, n_bytes)
            if name == "stop":
                self._end(run)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the writer has processed the waiting documents.

        Parameters
        ----------
        timeout_s
            Longest wait, s; None for no limit.

        Returns
        -------
        Whether it has.
        """
        with self._changed:
            return self._changed.wait_for(lambda: not self._items, timeout_s)

    def close(self, timeout_s: float | None = 60.0) -> bool:
        """Finish the waiting documents and end the thread.

        Parameters
        ----------
        timeout_s
            Longest wait, s; None for no limit.

        Returns
        -------
        Whether the writer processed everything; the rest stays in the spool.
        """
        atexit.unregister(self.close)
        deadline = None if timeout_s is None else monotonic() + timeout_s
        done = self.wait(timeout_s)
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            current = self._items[0][0] if self._items else None
        for run in self._runs.values():  # those without a stop document
            if run.journal is not None and run is not current:
                run.journal.close()
        if done:
            self._thread.join(None if deadline is None else max(deadline - monotonic(), 0.0))
        return done

    def _make_room(self) -> None:
        """Give up runs without a stop document, so that the number of open files is bounded."""
        for uid, reason in self._index.given_up():
            run = self._runs.pop(uid)
            with self._changed:
                if not run.failed:
                    self._give_up(run, reason)
                run.ended = True
                self._release(run)

    def _open(self, uid: str) -> _SpooledRun:
        try:
            return _SpooledRun(uid, JournalFile(self._directory, uid, FINISHED))
        except OSError:
            logger.exception("run %s has no journal: documents that its writer rejects will be lost", uid)
            return _SpooledRun(uid, None)

    def _record(self, run: _SpooledRun, name: str, doc: Any) -> int:
        """Write a document to the journal; returns its size, bytes."""
        with suppress(
            KeyError, TypeError, AttributeError
        ):  # a document that is not valid: the writer decides
            run.tally.add(name, doc)
        if run.journal is None:
            self.unrecorded += 1
            return 0
        try:
            return run.journal.append(name, doc)
        except Exception:
            # A full disk must not stop the writer, which may still have room.
            self.unrecorded += 1
            logger.exception("a %s document of run %s is not in its journal", name, run.uid)
            return 0

    def _offer(self, run: _SpooledRun, name: str, doc: Any, n_bytes: int) -> None:
        with self._changed:
            if run.failed:
                return
            if len(self._items) >= self._limit or self._n_bytes + n_bytes > self._limit_bytes:
                waiting = f"{len(self._items)} documents of {self._n_bytes / 1e6:.0f} MB"
                self._give_up(run, f"{waiting} already wait for the writer")
                return
            self._items.append((run, name, doc, n_bytes))
            self._n_bytes += n_bytes
            self._changed.notify_all()

    def _end(self, run: _SpooledRun) -> None:
        """Rename the journal of a run that has ended."""
        self._index.forget(run.uid)
        del self._runs[run.uid]
        if run.journal is not None:
            try:
                run.journal.finish()
            except OSError:
                logger.exception("journal %s keeps its name", run.journal.path)
        with self._changed:
            run.ended = True
            self._release(run)

    def _release(self, run: _SpooledRun) -> None:
        """Close or delete the journal of a run that has ended and is decided; the lock is held."""
        if not run.ended or not (run.written or run.failed):
            return
        # A request that hangs may still be answered, and would double what an upload has written meanwhile.
        if self._items and self._items[0][0] is run:
            return
        safe = run.written
        if run.journal is not None:
            if run.written:
                run.journal.remove()
            else:
                safe = run.journal.whole and run.tally.stop is not None
                if safe:
                    run.journal.sync()
                run.journal.close()
        if safe and self._on_safe is not None:
            self._on_safe(run.uid)

    def _give_up(self, run: _SpooledRun, why: str) -> None:
        """Leave a run to its journal; the lock is held."""
        run.failed = why
        self.spooled += 1
        # The current item stays at the front: the thread removes it.
        kept = [item for index, item in enumerate(self._items) if index == 0 or item[0] is not run]
        self._items = deque(kept)
        self._n_bytes = sum(item[3] for item in kept)
        logger.error(
            "run %s goes to the spool %s: %s; upload it with `qdsizer-stream spool upload`",
            run.uid, self._directory, why,
        )  # fmt: skip

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._closing)
                if not self._items:
                    return
                run, name, doc, _ = self._items[0]
            problem = "" if run.failed else self._write(run, name, doc)
            with self._changed:
                if problem and not run.failed:
                    self._give_up(run, problem)
                elif name == "stop" and not run.failed:
                    run.written = True
                self._n_bytes -= self._items.popleft()[3]
                self._release(run)
                self._changed.notify_all()

    def _write(self, run: _SpooledRun, name: str, doc: Any) -> str:
        """Pass a document to the writer; returns what went wrong."""
        try:
            self._writer(name, doc)
        except BaseException as error:  # SystemExit, too: this thread serves all runs to come
            hint = SECOND_WRITER if name == "start" else ""
            return f"the writer failed on its {name} document: {error!r}{hint}"
        if name != "stop" or self._catalog is None:
            return ""
        try:
            check_rows(self._catalog[run.uid], run.tally.counts)
        except Exception as error:
            return f"the archive could not be verified: {error}"
        return ""

    def _forget(self) -> None:
        """In a forked child, which has no writer thread: leave the documents to the parent."""
        atexit.unregister(self.close)
        self._changed = threading.Condition()
        self._items.clear()
        self._runs.clear()


_writers: "weakref.WeakSet[SpooledWriter]" = weakref.WeakSet()


def _forget_in_child() -> None:
    for writer in list(_writers):
        writer._forget()


os.register_at_fork(after_in_child=_forget_in_child)

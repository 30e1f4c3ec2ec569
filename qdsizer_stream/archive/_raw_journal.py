"""Raw documents on disk before anything else happens to them."""

import logging
import os
import threading
import weakref
from pathlib import Path
from typing import Any

from ..callbacks import RunIndex
from ..callbacks.documents import MAX_OPEN_RUNS
from ._journal_file import JournalFile
from ._upload import RAW

__all__ = ["RawJournal"]

logger = logging.getLogger(__name__)

SYNC_S = 2.0
"""Interval between writes of the journals to the disk, s: a power failure loses at most that. A process that
is killed loses nothing, because the operating system already has the documents."""


class RawJournal:
    """Callback that writes the documents of every run to a journal; subscribe it before all others.

    Every document for which the call has returned survives the death of the process. Nothing is raised to
    the RunEngine. `release` deletes the journal of a run that is safe elsewhere; other journals stay for
    `spooled_runs` and `upload`.

    Parameters
    ----------
    directory
        Folder of the journals; created if it does not exist. It may be that of a `SpooledWriter`.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory)
        """Folder of the journals."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._index = RunIndex()
        self._open: dict[str, JournalFile] = {}
        self._finished: dict[str, JournalFile] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self.unrecorded = 0
        """Documents that could not be written, for example on a full disk."""
        # Not a reference cycle: a journal that is dropped ends its thread.
        threading.Thread(
            target=_sync, args=(weakref.ref(self), self._closing), name="qdsizer-sync", daemon=True
        ).start()

    def __call__(self, name: str, doc: Any) -> None:
        """Write a document; returns when the operating system has it.

        Parameters
        ----------
        name
            Kind of the document.
        doc
            The document.
        """
        try:
            with self._lock:
                for uid in self._index.runs_of(name, doc):
                    self._record(uid, name, doc)
        except Exception:
            self.unrecorded += 1
            logger.exception("a %s document is not in the raw journal in %s", name, self.directory)

    def release(self, uid: str) -> None:
        """Delete the journal of a run that is safe elsewhere.

        Parameters
        ----------
        uid
            Identifier of the run; a run that is not known, or has not ended, is left alone.
        """
        with self._lock:
            journal = self._finished.pop(uid, None)
            if journal is not None:
                journal.remove()

    def close(self) -> None:
        """Close all journals; those that were not released stay."""
        self._closing.set()
        with self._lock:
            for journal in [*self._open.values(), *self._finished.values()]:
                journal.sync()
                journal.close()
            self._open.clear()
            self._finished.clear()

    def _record(self, uid: str, name: str, doc: Any) -> None:
        if name == "start" and uid not in self._open:
            for lost, reason in self._index.given_up():
                if (unfinished := self._open.pop(lost, None)) is not None:
                    unfinished.close()
                logger.warning("run %s is given up: %s", lost, reason)
            self._open[uid] = JournalFile(self.directory, uid, RAW)
        journal = self._open[uid]
        journal.append(name, doc)
        if name == "stop":
            del self._open[uid]
            self._index.forget(uid)
            journal.finish()
            while len(self._finished) >= MAX_OPEN_RUNS:  # an archive that hangs: the journals stay on disk
                self._finished.pop(next(iter(self._finished))).close()
            self._finished[uid] = journal

    def _sync(self) -> None:
        with self._lock:
            journals = list(self._open.values())
        for journal in journals:  # outside the lock: a slow disk must not delay the plan
            journal.sync()


def _sync(journal: "weakref.ref[RawJournal]", closing: threading.Event) -> None:
    while not closing.wait(SYNC_S):
        target = journal()
        if target is None:
            return
        target._sync()
        del target

"""Derived documents of a replay on disk, until it is whole."""

import fcntl
import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from uuid import uuid4

from .. import __version__
from ..callbacks import RUN_KEY, STREAM_NAME, LiveConfig
from ..errors import ArchiveError
from ..models import SizingModel
from ..sizing import Status
from ._journal import append_document, read_documents
from ._replay import Step

__all__ = ["ReplayJournal", "replay_identity"]

DONE = "frames_done"
"""Kind of the entries that say how many documents with frames were sized; what follows the last one was cut
off in the middle of a document or of a sum of frames, and is sized again."""

END = "end"
"""Kind of the entry that says how the run ended."""


def replay_identity(uid: str, config: LiveConfig, model: SizingModel) -> str:
    """Name that replays share which must give the same numbers.

    Parameters
    ----------
    uid
        Identifier of the run.
    config
        Settings.
    model
        The model.

    Returns
    -------
    A name fit for a file.
    """
    said = [uid, config.model_dump(mode="json"), model.sha256, __version__]
    return f"{uid[:8]}-{hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]}"


class ReplayJournal:
    """What was sized so far, so that an interrupted replay goes on where it stopped.

    Nothing reaches an archive before every frame is sized: what is written then is whole.

    Parameters
    ----------
    path
        File of the journal; one that is there is gone on with.
    resume
        Whether that is wanted; else it begins anew.

    Raises
    ------
    ArchiveError
        Another process makes the same replay, or the file cannot be written.
    """

    def __init__(self, path: Path, resume: bool = True) -> None:
        self._path = path
        self.frames_done = 0
        """Documents with frames whose estimates are in the journal; a replay that goes on leaves them out."""
        self._n_taken = 0  # and those whose frames are still being added up
        self.n_events = 0
        """Estimates in the journal."""
        self.ended = False
        """Whether the end of the run is in the journal."""
        part = path.with_suffix(".part")
        with self._told():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = part.open("ab", buffering=0)
            try:
                self._take_over(path, resume)
                os.replace(part, path)
            except BaseException:
                self._file.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def record(self, step: Step) -> None:
        """Add what one raw document led to, or the end of the run.

        Parameters
        ----------
        step
            The step; nothing is kept of one that failed.

        Raises
        ------
        ArchiveError
            The disk is full, say.
        """
        if step.exit_status == "fail":
            return
        with self._told():
            for name, doc in step.documents:
                if name != "stop":  # it would count the estimates of one sitting
                    self._append(name, doc)
            if not step.exit_status:
                self._n_taken += 1
                if step.complete:
                    self._append(DONE, self._n_taken)
            else:
                self._append(END, {"exit_status": step.exit_status, "reason": step.reason})
                # A run that was given up may yet go on: the next sitting has to look again.
                if step.exit_status == "success":
                    self._append(DONE, self._n_taken)

    def documents(self) -> Iterator[tuple[str, Any]]:
        """Give the derived run back, of one piece even where it was sized in several sittings.

        Returns
        -------
        Name and document: start, descriptors, events and stop; none where there was no frame.
        """
        start = ""
        statuses: Counter[str] = Counter()
        descriptors: dict[str, str] = {}
        uid_of: dict[str, str] = {}
        for name, doc in read_documents(self._path):
            if name == "start":
                if not start:
                    start = doc["uid"]
                    yield name, doc
            elif name == "descriptor":
                content = json.dumps(
                    [doc["data_keys"], {name: one["data"] for name, one in doc["configuration"].items()}],
                    sort_keys=True,
                )
                known = descriptors.setdefault(content, doc["uid"])
                uid_of[doc["uid"]] = known
                if known == doc["uid"]:
                    yield name, {**doc, "run_start": start}
            elif name == "event":
                statuses[doc["data"]["qdsizer_status"]] += 1
                yield name, {**doc, "descriptor": uid_of[doc["descriptor"]], "seq_num": statuses.total()}
            elif name == END and start:
                yield "stop", _stop(start, doc, statuses)

    def remove(self) -> None:
        """Delete the journal, once what it held is written."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ArchiveError(
                f"cannot write {self._path}: {error.strerror}; give --work a folder with room"
            ) from error

    def _lock(self, file: IO[bytes]) -> None:
        """Keep others off a file for as long as it is open."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ArchiveError(
                f"another process replays this run with these settings, into {self._path}: wait for it"
            ) from error

    def _append(self, name: str, doc: Any) -> None:
        append_document(self._file, name, doc)
        self.n_events += name == "event"
        self.ended |= name == END
        if name == DONE:
            self.frames_done = self._n_taken = int(doc)

    def _take_over(self, old: Path, resume: bool) -> None:
        """Begin with what was sized whole."""
        self._lock(self._file)
        self._file.truncate(0)
        self._file.seek(0)
        if not old.exists():
            return
        with old.open("rb") as before:
            self._lock(before)
            if not resume:
                return
            whole = 0
            for number, (name, _) in enumerate(read_documents(old), start=1):
                whole = number if name == DONE else whole
            for name, doc in islice(read_documents(old), whole):
                self._append(name, doc)


def _stop(start: str, end: dict[str, str], statuses: Counter[str]) -> dict[str, Any]:
    """Stop document of all sittings together, as the live path writes it."""
    refused = {status: n for status, n in statuses.items() if status != Status.SIZED}
    return {
        "uid": str(uuid4()),
        "run_start": start,
        "time": time.time(),
        **end,
        "num_events": {STREAM_NAME: statuses.total()},
        RUN_KEY: {
            "frames": statuses.total(),
            "sized": statuses[Status.SIZED],
            "refused": refused,
            "marked": 0,
        },
    }

"""Journal of the derived documents of a replay, until it is complete."""

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
from ._journal import JournalWriter, read_documents
from ._replay import ReplayStep

__all__ = ["ReplayJournal", "replay_identity"]

DONE = "frames_done"
"""Kind of the entries with the number of sized documents with frames; what follows the last entry was
interrupted within a document or a sum of frames, and is sized again."""

END = "end"
"""Kind of the entry with the exit status of the run."""


def replay_identity(uid: str, config: LiveConfig, model: SizingModel) -> str:
    """Identifier shared by replays that must give the same numbers.

    Parameters
    ----------
    uid
        Identifier of the run.
    config
        Settings of the replay.
    model
        The model.

    Returns
    -------
    A valid file name.
    """
    content = [uid, config.model_dump(mode="json"), model.sha256, __version__]
    return f"{uid[:8]}-{hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]}"


class ReplayJournal:
    """Estimates so far, so that an interrupted replay continues where it stopped.

    Nothing reaches an archive before every frame is sized: what is written then is complete.

    Parameters
    ----------
    path
        File of the journal; an existing one is continued.
    resume
        Whether to continue an existing journal; otherwise it is replaced.

    Raises
    ------
    ArchiveError
        Another process runs the same replay, or the file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], resume: bool = True) -> None:
        self._path = path = Path(path)
        self.frames_done = 0
        """Documents with frames whose estimates are in the journal; a continued replay skips them."""
        self._n_taken = 0  # and those whose frames are still being summed
        self.n_events = 0
        """Estimates in the journal."""
        self.ended = False
        """Whether the end of the run is in the journal."""
        part = path.with_suffix(".part")
        with self._plain_errors():
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

    def record(self, step: ReplayStep) -> None:
        """Add the estimates of one raw document, or the end of the run.

        Parameters
        ----------
        step
            The step; nothing is kept of one that failed.

        Raises
        ------
        ArchiveError
            The file cannot be written: the disk is full, for example.
        """
        if step.exit_status == "fail":
            return
        with self._plain_errors():
            for name, doc in step.documents:
                if name != "stop":  # it would count the estimates of one session
                    self._append(name, doc)
            if not step.exit_status:
                self._n_taken += 1
                if step.complete:
                    self._append(DONE, self._n_taken)
            else:
                self._append(END, {"exit_status": step.exit_status, "reason": step.reason})
                # An abandoned run may continue later: the next session has to read on.
                if step.exit_status == "success":
                    self._append(DONE, self._n_taken)

    def documents(self) -> Iterator[tuple[str, Any]]:
        """Read the derived run back as one run, even where it was sized in several sessions.

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
        """Delete the journal, once its documents are written."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ArchiveError(
                f"cannot write {self._path}: {error.strerror}; choose a folder with free space with --work"
            ) from error

    def _lock(self, file: IO[bytes]) -> None:
        """Lock a file for as long as it is open."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ArchiveError(
                f"another process replays this run with these settings, into {self._path}: wait until it ends"
            ) from error

    def _append(self, name: str, doc: Any) -> None:
        self._writer.append(name, doc)
        self.n_events += name == "event"
        self.ended |= name == END
        if name == DONE:
            self.frames_done = self._n_taken = int(doc)

    def _take_over(self, old: Path, resume: bool) -> None:
        """Copy the complete part of an earlier journal."""
        self._lock(self._file)
        self._file.truncate(0)
        self._file.seek(0)
        self._writer = JournalWriter(self._file)
        if not old.exists():
            return
        with old.open("rb") as before:
            self._lock(before)
            if not resume:
                return
            whole = 0
            for count, (name, _) in enumerate(read_documents(old), start=1):
                whole = count if name == DONE else whole
            for name, doc in islice(read_documents(old), whole):
                self._append(name, doc)


def _stop(start: str, end: dict[str, str], statuses: Counter[str]) -> dict[str, Any]:
    """Stop document of all sessions together, as the live sizer writes it."""
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

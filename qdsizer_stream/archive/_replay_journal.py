"""Derived documents of a replay on disk, until it is whole."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from .. import __version__
from ..callbacks import STREAM_NAME, LiveConfig
from ..errors import ArchiveError
from ..models import SizingModel
from ._journal import append_document, read_documents

__all__ = ["ReplayJournal", "replay_identity"]

DONE = "frames_done"
"""Kind of the entries that say how many documents with frames were sized; what follows the last one was cut
off in the middle of a document, and is sized again."""


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
        """Documents with frames whose estimates are in the journal."""
        self.n_events = 0
        """Estimates in the journal."""
        self.stop: Any = None
        """Stop document, once every frame is sized."""
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

    def record(self, documents: list[tuple[str, Any]]) -> None:
        """Add the derived documents of one raw document.

        Parameters
        ----------
        documents
            Names and documents, which may be none; a stop makes the journal whole.
        """
        with self._told():
            for name, doc in documents:
                self._append(name, doc)
            # A run that was given up may yet go on: the next sitting has to look again.
            if self.stop is None or self.stop["exit_status"] == "success":
                self._append(DONE, self.frames_done + 1)

    def documents(self) -> Iterator[tuple[str, Any]]:
        """Give the derived run back, of one piece even where it was sized in several sittings.

        Returns
        -------
        Name and document: start, descriptors, events and stop; none where there was no frame.
        """
        start = ""
        descriptors: dict[str, str] = {}
        uid_of: dict[str, str] = {}
        seq_num = 0
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
                seq_num += 1
                yield name, {**doc, "descriptor": uid_of[doc["descriptor"]], "seq_num": seq_num}
            elif name == "stop":
                yield name, {**doc, "run_start": start, "num_events": {STREAM_NAME: seq_num}}

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
        if name == "stop":
            self.stop = doc
        elif name == DONE:
            self.frames_done = int(doc)

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

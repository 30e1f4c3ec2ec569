"""The file of a journal, from its creation to its end."""

import fcntl
import os
import weakref
from contextlib import suppress
from io import FileIO
from itertools import count
from pathlib import Path
from typing import Any

from ._journal import JournalWriter

__all__ = ["UNFINISHED", "JournalFile"]

UNFINISHED = ".part"
"""Ending of the names of journals whose run has not ended, or never will."""


class JournalFile:
    """A journal that this process writes, locked against readers until it is closed.

    Parameters
    ----------
    directory
        Folder of the journal.
    name
        Identifier of the run.
    suffix
        Suffix of the finished journal, such as `.spool`.

    Raises
    ------
    OSError
        The file cannot be created.
    """

    def __init__(self, directory: Path, name: str, suffix: str) -> None:
        self._directory = directory
        self._name = name
        self._suffix = suffix
        self.path, self._file = self._create()
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # free: nobody else knows the file yet
        self._writer = JournalWriter(self._file)
        self.whole = True
        """Whether every document is in the journal."""
        _open_files.add(self)

    def append(self, name: str, doc: Any) -> int:
        """Append a document.

        Parameters
        ----------
        name, doc
            As of `JournalWriter.append`.

        Returns
        -------
        Bytes written.

        Raises
        ------
        OSError
            The document cannot be written; the journal then has a gap.
        """
        try:
            return self._writer.append(name, doc)
        except BaseException:
            self.whole = False
            raise

    def sync(self) -> None:
        """Write the journal to the disk; a power failure loses what came later."""
        with suppress(ValueError, OSError):  # closed meanwhile by another thread
            os.fsync(self._file.fileno())

    def finish(self) -> None:
        """Give the journal the name of one whose run has ended."""
        for path in _names(self._directory, self._name, self._suffix):
            try:
                os.link(self.path, path)  # unlike a rename, never replaces a file
            except FileExistsError:
                continue
            self.path.unlink()
            self.path = path
            return

    def close(self) -> None:
        """Close the file and release its lock; the journal stays."""
        _open_files.discard(self)
        self._file.close()

    def remove(self) -> None:
        """Delete the journal and close it."""
        self.path.unlink(missing_ok=True)
        self.close()

    def _create(self) -> tuple[Path, FileIO]:
        # Two writers on one folder must not truncate each other's journals.
        for path in _names(self._directory, self._name, self._suffix + UNFINISHED):
            with suppress(FileExistsError):
                return path, path.open("xb", buffering=0)
        raise AssertionError("unreachable: names are unlimited")


def _names(directory: Path, name: str, suffix: str) -> Any:
    """Possible file names of a run: `UID.spool`, `UID~2.spool` and so on."""
    yield directory / f"{name}{suffix}"
    for number in count(2):
        yield directory / f"{name}~{number}{suffix}"


_open_files: "weakref.WeakSet[JournalFile]" = weakref.WeakSet()


def _close_in_child() -> None:
    """Close inherited journals: they belong to the parent, whose lock a child would keep."""
    for file in list(_open_files):
        file.close()


os.register_at_fork(after_in_child=_close_in_child)

"""Documents on disk for as long as there is no room for them in memory."""

import logging
import os
import pickle
import tempfile
import time
from math import inf
from typing import IO, Any

__all__ = ["Spill"]

logger = logging.getLogger(__name__)

LOG_S = 60.0
"""Least time between two messages that documents wait on disk, s."""


class Spill:
    """Temporary file of documents, which no other process can open; it is gone when this one ends.

    Parameters
    ----------
    folder
        Folder of the file; None for that of temporary files.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._end = 0
        self._n_waiting = 0
        self._logged_s = -inf

    def write(self, doc: Any) -> tuple[int, int] | None:
        """Write a document.

        Parameters
        ----------
        doc
            The document.

        Returns
        -------
        Its position for `read`; None where it cannot be written, for example on a full disk.
        """
        try:
            content = pickle.dumps(doc, pickle.HIGHEST_PROTOCOL)
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115
            if time.monotonic() - self._logged_s > LOG_S:
                self._logged_s = time.monotonic()
                logger.warning(
                    "the queue is full: documents wait in a temporary file in %s until it is not",
                    self._folder or tempfile.gettempdir(),
                )
            rest = memoryview(content)
            while rest:
                rest = rest[os.pwrite(self._file.fileno(), rest, self._end + len(content) - len(rest)) :]
        except Exception:  # what cannot be pickled raises different errors
            logger.exception("a document cannot wait in a temporary file, so the plan waits")
            return None
        position = self._end, len(content)
        self._end += len(content)
        self._n_waiting += 1
        return position

    def read(self, position: tuple[int, int]) -> Any:
        """Read a document, once.

        Parameters
        ----------
        position
            Return value of `write`.

        Returns
        -------
        The document.

        Raises
        ------
        OSError
            It cannot be read.
        """
        assert self._file is not None
        begin, length = position
        content = bytearray()
        while len(content) < length:
            part = os.pread(self._file.fileno(), length - len(content), begin + len(content))
            if not part:
                raise OSError(f"the temporary file ends {length - len(content)} bytes too early")
            content += part
        return pickle.loads(content)

    def drop(self) -> None:
        """Count a document as done; the file is emptied after the last."""
        self._n_waiting -= 1
        if self._n_waiting == 0 and self._file is not None:
            self._end = 0
            self._file.truncate(0)

    def close(self) -> None:
        """Delete the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

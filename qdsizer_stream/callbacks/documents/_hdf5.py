"""Rows of HDF5 files that may still be written."""

import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlparse

import h5py
import numpy as np
from numpy.typing import NDArray

from ...errors import ArchiveError

__all__ = ["Hdf5Rows", "path_from_uri"]

POLL_S = 0.02
"""Time between looks at a file that is not complete yet, s: below a frame time, above a disk access."""


def path_from_uri(uri: str) -> Path:
    """Path of a file URI.

    Parameters
    ----------
    uri
        URI such as `file://localhost/data/frames.h5`.

    Returns
    -------
    The path.

    Raises
    ------
    ArchiveError
        The URI names no local file.
    """
    parts = urlparse(uri)
    if parts.scheme not in ("file", "") or not parts.path:
        raise ArchiveError(f"frames at {uri} cannot be read: only file:// URIs can")
    return Path(unquote(parts.path))


class Hdf5Rows:
    """First-axis slices of one dataset, waiting for rows that are still to come.

    Parameters
    ----------
    path
        HDF5 file; need not exist yet.
    dataset
        Path of the dataset in it.
    timeout_s
        How long a read waits for rows to appear, s. After one that waited in vain the next ones do not wait:
        a file that is lost must not cost this time for every row it was to have.
    """

    def __init__(self, path: Path, dataset: str, timeout_s: float) -> None:
        self._path = path
        self._dataset_path = dataset
        self._timeout_s = timeout_s
        self._lost = False
        self._file: Any = None
        self._swmr = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def read(self, first: int, last: int) -> NDArray[np.generic]:
        """Read rows.

        Parameters
        ----------
        first
            First row.
        last
            Row after the last.

        Returns
        -------
        The rows, shape (last - first, …).

        Raises
        ------
        ArchiveError
            They did not appear in time: the file is missing, damaged, foreign or too short.
        """
        deadline = time.monotonic() + (0.0 if self._lost else self._timeout_s)
        while True:
            problem = ""
            try:
                dataset = self._open()[self._dataset_path]
                dataset.refresh()
                if dataset.shape[0] >= last:
                    self._lost = False
                    rows = np.asarray(dataset[first:last])
                    if not self._swmr:  # a writer that opens it anew for every frame must not find it in use
                        self.close()
                    return rows
                problem = f"it has {dataset.shape[0]} rows"
            except (OSError, KeyError, RuntimeError, AttributeError, IndexError, TypeError) as error:
                problem = str(error).strip('"')
            self.close()  # a file without SWMR shows what was appended only when opened anew
            if time.monotonic() >= deadline:
                self._lost = True
                raise ArchiveError(
                    f"rows {first} to {last - 1} of {self._path}:{self._dataset_path} did not appear within "
                    f"{self._timeout_s:g} s ({problem}): see whether its writer runs, or raise file_timeout_s"
                )
            time.sleep(POLL_S)

    def close(self) -> None:
        """Close the file; a later read opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> Any:
        if self._file is None:
            self._swmr = False
            try:
                self._file = h5py.File(self._path, "r")
            except OSError as error:
                # Only where another process writes: on a truncated file a SWMR reader retries for minutes
                # inside the library, where nothing can interrupt it.
                if "already open for" not in str(error):
                    raise
                self._file = h5py.File(self._path, "r", libver="latest", swmr=True)
                self._swmr = True
        return self._file

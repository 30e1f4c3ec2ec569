"""Archived frames of files that the server cannot find, read from the files themselves."""

import math
from collections.abc import Sequence
from typing import Any, Self
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from ..callbacks.documents import Hdf5Rows, paths_from_uri
from ..errors import ArchiveError

__all__ = ["FrameFile", "undecoded_uris"]

HDF5_MIMETYPE = "application/x-hdf5"


def undecoded_uris(array: Any) -> list[str]:
    """URIs of the files of an archived array that a Tiled server looks for under another name.

    Tiled takes the path of a URI as it is, up to a `#` or `?`: it neither decodes `%20` nor finds a folder
    whose name has a `#` (tiled 0.2.20).

    Parameters
    ----------
    array
        Array from a Tiled client.

    Returns
    -------
    The URIs, in the order of the rows; empty where the server finds every file, or the array is in no file.
    """
    if not hasattr(array, "data_sources"):
        return []  # a column of a table
    sources = array.data_sources() or []
    assets = [asset for source in sources for asset in source.assets]
    uris = [str(asset.data_uri) for asset in sorted(assets, key=lambda one: one.num or 0)]
    found = all(unquote(uri) == uri and "#" not in uri and "?" not in uri for uri in uris)
    return [] if found else uris


class FrameFile:
    """An archived array, read from its HDF5 files on this machine.

    Parameters
    ----------
    array
        The array from the Tiled client, which states shape and type.
    files
        The files in the order of their rows.
    """

    def __init__(self, array: Any, files: Sequence[Hdf5Rows]) -> None:
        self.shape: tuple[int, ...] = tuple(array.shape)
        """Shape, as the server gives it."""
        self.dtype: np.dtype[Any] = array.dtype
        """Type of the numbers."""
        self.chunks: tuple[tuple[int, ...], ...] = tuple(array.chunks)
        """Chunks, as the server gives them."""
        self.metadata: dict[str, Any] = dict(array.metadata)
        """Metadata, as the server gives it."""
        self._files = files

    @classmethod
    def of(cls, array: Any, uris: Sequence[str], timeout_s: float) -> Self | None:
        """Open the files of an array that the server cannot find.

        Parameters
        ----------
        array
            Array from a Tiled client.
        uris
            Its `undecoded_uris`.
        timeout_s
            How long a read waits for rows to appear, s.

        Returns
        -------
        The array; None where the server can read it, or this machine cannot.
        """
        if not uris:
            return None
        (source, *others) = array.data_sources()
        try:
            paths = [paths_from_uri(uri) for uri in uris]
        except ArchiveError:
            return None
        here = all(any(path.exists() for path in names) for names in paths)
        if others or source.mimetype != HDF5_MIMETYPE or not here or "dataset" not in source.parameters:
            return None
        return cls(array, [Hdf5Rows(names, source.parameters["dataset"], timeout_s) for names in paths])

    def __getitem__(self, rows: slice) -> NDArray[np.generic]:
        """Read rows of the array.

        Parameters
        ----------
        rows
            First row, and the row after the last.

        Returns
        -------
        The rows, in the shape that the server gives them.

        Raises
        ------
        ArchiveError
            The files do not hold them.
        """
        first, last = int(rows.start), int(rows.stop)
        # The server joins rows of the file by `stack` or `concat`; the order of the numbers is the same.
        size = math.prod(self.shape[1:])
        numbers = self._numbers(first * size, last * size)
        return numbers.reshape(last - first, *self.shape[1:])

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()

    def _numbers(self, first: int, last: int) -> NDArray[np.generic]:
        """Numbers of all files in a row, from one to the one before another."""
        parts: list[NDArray[np.generic]] = []
        begin = 0
        for index, file in enumerate(self._files):
            n_rows, *row = file.shape()
            size = math.prod(row)
            # More rows may still be written to the last file.
            end = last if index == len(self._files) - 1 else begin + n_rows * size
            low, high = max(first, begin) - begin, min(last, end) - begin
            if low < high:
                whole = file.read(low // size, -(-high // size))
                parts.append(whole.reshape(-1)[low % size : low % size + high - low])
            begin = end
        return np.concatenate(parts) if parts else np.empty(0, self.dtype)

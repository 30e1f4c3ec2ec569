"""Archived frames of files that the server cannot find, read from the files themselves."""

import math
from collections.abc import Sequence
from typing import Any, Self
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from ..callbacks.documents import HDF5_DATASET, Hdf5Rows, Selection, paths_from_uri
from ..errors import ArchiveError

__all__ = ["FrameFile", "check_selection", "undecoded_uris", "why_not_here"]

HDF5_MIMETYPE = "application/x-hdf5"

MAX_AXES = 32
"""More than any dataset has: an archive does not state how many axes its files have."""


def why_not_here(array: Any) -> str:
    """Explain why this machine cannot read the files of an array in place of the server.

    Parameters
    ----------
    array
        Array from a Tiled client.

    Returns
    -------
    One line with the remedy; empty where the array is in no file.
    """
    uris = files_of(array)
    if not uris:
        return ""
    mimetype = _sources(array)[0].mimetype
    if mimetype != HDF5_MIMETYPE:
        return f"{uris[0]} is of type {mimetype}, which only the server can read: see whether it is there"
    try:
        paths = [paths_from_uri(uri) for uri in uris]
    except ArchiveError as error:
        return f"{error}"
    lost = next((names[0] for names in paths if not any(path.exists() for path in names)), None)
    if lost is None:
        return f"a part of {uris[0]} is selected (slice), which only the server can read"
    return (
        f"{lost} is not on this machine: put it back if it was moved; if it is on that of the server, "
        "its log says whether it may read the file and has the HDF5 filter of the frames"
    )


def check_selection(array: Any) -> None:
    """Check that the rows of an array are those that are sized live.

    Parameters
    ----------
    array
        Array from a Tiled client.

    Raises
    ------
    ArchiveError
        A selection (`slice`) of its files is refused live, or counts the rows of several files together.
    """
    for source in _sources(array):
        text = source.parameters.get("slice")
        if Selection.of(text, MAX_AXES).skipped_rows and len(source.assets) > 1:
            raise ArchiveError(
                f"slice = {text!r} skips rows of the first of {len(source.assets)} files, and live of each: "
                "announce whole files"
            )


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
    uris = files_of(array)
    found = all(unquote(uri) == uri and "#" not in uri and "?" not in uri for uri in uris)
    return [] if found else uris


def _sources(array: Any) -> list[Any]:
    """Data sources of an array; a column of a table has none."""
    return array.data_sources() or [] if hasattr(array, "data_sources") else []


def files_of(array: Any) -> list[str]:
    """URIs of the files of an array.

    Parameters
    ----------
    array
        Array from a Tiled client.

    Returns
    -------
    The URIs, in the order of the rows.
    """
    assets = [asset for source in _sources(array) for asset in source.assets]
    return [str(asset.data_uri) for asset in sorted(assets, key=lambda one: one.num or 0)]


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
    def of(cls, array: Any, timeout_s: float) -> Self | None:
        """Open the files of an array.

        Parameters
        ----------
        array
            Array from a Tiled client.
        timeout_s
            How long a read waits for rows to appear, s.

        Returns
        -------
        The array; None where it is not in HDF5 files that this machine can see, or only a part of them is
        selected.
        """
        sources = _sources(array)
        if len(sources) != 1 or sources[0].mimetype != HDF5_MIMETYPE:
            return None
        parameters = sources[0].parameters
        if parameters.get("slice"):
            return None
        dataset = parameters.get("dataset") or HDF5_DATASET
        try:
            paths = [paths_from_uri(uri) for uri in files_of(array)]
        except ArchiveError:
            return None
        if not any(path.exists() for names in paths for path in names):
            return None
        return cls(array, [Hdf5Rows(names, dataset, timeout_s) for names in paths])

    def problem(self, in_order: bool = False) -> str:
        """Compare the files with what the archive states.

        Parameters
        ----------
        in_order
            Whether it is known that the rows announced are the first of each file: those behind them, of a
            run that was interrupted, do not matter in one file.

        Returns
        -------
        Why it is not known which of their rows were announced, or why they cannot be read; empty where they
        hold the array and nothing else.
        """
        try:
            shapes = [file.shape() for file in self._files]
            self._files[0].read(0, 1)
        except ArchiveError as error:
            return f"{error}"
        n_found = sum(math.prod(shape) for shape in shapes)
        if n_found == math.prod(self.shape):
            return ""
        of_row = math.prod(self.shape[1:])
        found = " and ".join(map(str, shapes))
        if any(math.prod(shape[1:]) and n_found % of_row for shape in shapes):
            return f"the archive announces rows of {of_row} numbers, and its files have the shape {found}"
        n_rows = n_found // of_row
        if in_order and len(shapes) == 1 and n_rows > self.shape[0]:
            return ""
        why = "it does not hold which of them were announced; size such runs live, or announce all rows, "
        if n_rows < self.shape[0]:
            why = (
                "rows are missing, or a stream_datum was stored twice; size such runs live, or announce rows "
            )
        return (
            f"the archive announces {self.shape[0]} rows, and its files hold {n_rows}, in the shape {found}: "
            f"{why}from index 0 on, once each"
        )

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

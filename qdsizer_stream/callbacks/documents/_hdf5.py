"""Rows of HDF5 files that may still be written."""

import itertools
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from ...errors import ArchiveError
from ._selection import Selection

__all__ = ["Hdf5Rows", "paths_from_uri"]

POLL_S = 0.02
"""Time between reads of a file that is not complete yet, s: below a frame time, above a disk access."""


FILTERS = {
    4: "szip",
    257: "hzip",
    258: "fpzip",
    305: "LZO",
    307: "bzip2",
    32000: "LZF",
    32001: "Blosc",
    32004: "LZ4",
    32008: "bitshuffle",
    32013: "ZFP",
    32014: "fpzip",
    32015: "Zstandard",
    32017: "SZ",
    32018: "FCIDECOMP",
    32019: "JPEG",
    32022: "GRANULARBR",
    32024: "SZ3",
    32026: "Blosc2",
    32028: "SPERR",
}
"""Numbers of filters that the HDF Group has registered, and how they are called."""


def paths_from_uri(uri: str) -> list[Path]:
    """Paths that a file URI may stand for, most probable first.

    Producers write folder names with `#`, `?` and `%` into URIs as they are, or quoted as the standard
    demands. Which of the two is meant shows in which file exists.

    Parameters
    ----------
    uri
        URI such as `file://localhost/data/frames.h5`.

    Returns
    -------
    Paths: everything behind the host, unquoted and as written; then without query and fragment.

    Raises
    ------
    ArchiveError
        The URI names no local file.
    """
    scheme, separator, rest = uri.partition(":")
    if not separator or uri.startswith("/"):
        scheme, rest = "file", uri
    if rest.startswith("//"):  # the host does not matter: shared files have one path everywhere
        _, slash, rest = rest[2:].partition("/")
        rest = slash + rest
    if scheme.lower() != "file" or not rest.startswith("/") or rest == "/":
        raise ArchiveError(f"frames at {uri} cannot be read: only file:// URIs can")
    names = [unquote(rest), rest, unquote(urlsplit(rest).path)]
    return [Path(name) for name in dict.fromkeys(names)]


class Hdf5Rows:
    """First-axis slices of one dataset, waiting for rows that are still to come.

    Parameters
    ----------
    paths
        Names that the HDF5 file may have, of which the first that exists is read; need not exist yet.
    dataset
        Path of the dataset in it.
    timeout_s
        How long a read waits for rows to appear, s. After one that waited in vain the next ones do not wait:
        a file that is lost must not cost this time for every row.
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str]], dataset: str, timeout_s: float) -> None:
        self._paths = [Path(path) for path in paths]
        self._dataset_path = dataset
        self._timeout_s = timeout_s
        self._lost = False
        self._empty = False
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

    def read(
        self,
        first: int,
        last: int,
        rows_each: Callable[[tuple[int, ...]], int] = lambda _: 1,
        selected: Any = None,
    ) -> NDArray[np.generic]:
        """Read rows.

        Parameters
        ----------
        first
            Index of the first event.
        last
            Index of the event after the last.
        rows_each
            Gives the rows per event from the shape of the dataset, or raises.
        selected
            The part of the dataset that counts, in the form of NumPy, such as ``:,0,:``; None for all of it.

        Returns
        -------
        The rows, shape (rows, …).

        Raises
        ------
        ArchiveError
            They did not appear in time: the file is missing, damaged, of another kind or too short; or
            `rows_each` raised it.
        """
        deadline = time.monotonic() + (0.0 if self._lost else self._timeout_s)
        rows = f"rows {first} to {last - 1}"
        while True:
            problem, late = "", time.monotonic() >= deadline
            try:
                dataset = self._open()[self._dataset_path]
                dataset.refresh()
                selection = Selection.of(selected, dataset.ndim)
                each = rows_each(selection.shape(dataset.shape))
                begin, end = (selection.skipped_rows + event * each for event in (first, last))
                rows = f"rows {begin} to {end - 1}"
                problem = _missing(dataset, begin, end, self._path.parent)
                if not problem:
                    values = np.asarray(dataset[(slice(begin, end), *selection.part)])
                    if self._flushed(values, late):
                        self._lost = False
                        if not self._swmr:  # a writer that opens it again for every frame must be able to
                            self.close()
                        return values
                    problem = "its writer has not flushed them"
            except ArchiveError:
                self.close()
                raise
            except (OSError, KeyError, RuntimeError, AttributeError, IndexError, TypeError) as error:
                problem = _plain(error)
                self._check_filters()
            self.close()  # a file without SWMR shows what was appended only when opened again
            if late:
                self._lost = True
                raise ArchiveError(
                    f"{rows} of {self._path}:{self._dataset_path} did not appear within "
                    f"{self._timeout_s:g} s ({problem}): check that its writer runs, or raise file_timeout_s"
                )
            time.sleep(POLL_S)

    def shape(self) -> tuple[int, ...]:
        """Shape of the dataset now.

        Raises
        ------
        ArchiveError
            It cannot be read.
        """
        try:
            dataset = self._open()[self._dataset_path]
            dataset.refresh()
            return tuple(int(length) for length in dataset.shape)
        except (OSError, KeyError, RuntimeError, AttributeError) as error:
            raise ArchiveError(
                f"{self._path}:{self._dataset_path} cannot be read: {_plain(error)}"
            ) from error
        finally:
            self.close()

    def _flushed(self, values: NDArray[np.generic], late: bool) -> bool:
        """Whether rows of a file in writing hold data: rows that were added but not flushed read as zeros.

        Frames that are zeros are waited for once, so that a closed shutter does not cost this time for
        every frame.
        """
        # Of several rows the first may be flushed and the others not.
        if not self._swmr or all(np.any(row) for row in values):
            self._empty = False
            return True
        self._empty = self._empty or late
        return self._empty

    def close(self) -> None:
        """Close the file; a later read opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def _path(self) -> Path:
        return next((path for path in self._paths if path.exists()), self._paths[0])

    def _check_one_file(self) -> None:
        """Raise where the names are of several files: which of them is meant cannot be known."""
        files = [path for path in self._paths if path.is_file()]
        if any(not path.samefile(files[0]) for path in files[1:]):
            raise ArchiveError(
                f"the frames may be in {' or '.join(map(str, files))}, as the URI may be quoted or not: "
                "rename one of the folders without %, # and ?"
            )

    def _check_filters(self) -> None:
        """Raise where the dataset is compressed with a filter that is not installed: no waiting helps."""
        import h5py

        try:
            properties = self._file[self._dataset_path].id.get_create_plist()
            filters = [properties.get_filter(index) for index in range(properties.get_nfilters())]
        except (OSError, KeyError, RuntimeError, AttributeError, TypeError):
            return
        for code, _, _, stored in filters:
            if not h5py.h5z.filter_avail(code):
                self.close()
                name = FILTERS.get(code) or stored.decode(errors="replace") or "without a name"
                raise ArchiveError(
                    f"{self._path}:{self._dataset_path} is compressed with HDF5 filter {code} ({name}), "
                    f"which is "
                    "not installed: install its plugin in the folder of HDF5_PLUGIN_PATH, or compress with a "
                    "filter of hdf5plugin"
                )

    def _open(self) -> Any:
        if self._file is None:
            import h5py

            # Registers the filters of compressed frames: bitshuffle, LZ4, Blosc, Zstandard.
            import hdf5plugin  # noqa: F401

            self._check_one_file()
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


def _plain(error: Exception) -> str:
    """Reason of an error of the library, without its call."""
    return "there is no such file" if isinstance(error, FileNotFoundError) else str(error).strip("\"'")


def _missing(dataset: Any, first: int, last: int, folder: Path) -> str:
    """Why rows of a dataset cannot be read yet, of its own or of the files that it is made of."""
    if dataset.shape[0] < last:
        return f"it has {dataset.shape[0]} rows"
    if dataset.is_virtual:
        return next(
            filter(
                None,
                (
                    _missing_source(source, first, last, folder, dataset.file)
                    for source in dataset.virtual_sources()
                ),
            ),
            "",
        )
    if dataset.chunks is None:
        return ""
    # Rows that were added but never written have no storage and read as zeros.
    chunks = [range(0, length, chunk) for length, chunk in zip(dataset.shape, dataset.chunks, strict=True)]
    chunks[0] = range(first // dataset.chunks[0] * dataset.chunks[0], last, dataset.chunks[0])
    for corner in itertools.product(*chunks):
        if dataset.id.get_chunk_info_by_coord(corner).byte_offset is None:
            return f"row {max(corner[0], first)} is not written"
    return ""


def _missing_source(source: Any, first: int, last: int, folder: Path, file: Any) -> str:
    """Why rows of one source of a virtual dataset cannot be read yet; the library shows zeros there."""
    shown, stored = _SelectedRows.of(source.vspace), _SelectedRows.of(source.src_space)
    begin, end = shown.before(first), shown.before(last)
    if begin >= end or "%b" in source.file_name:
        return ""  # none of its rows, or a series of files that is still growing
    first, last = stored.row(begin), stored.row(end - 1) + 1
    if source.file_name == ".":
        return _missing(file[source.dset_name], first, last, folder)
    path = folder / source.file_name  # an absolute name replaces the folder
    try:
        with _opened(path) as other:
            problem = _missing(other[source.dset_name], first, last, path.parent)
    except (OSError, KeyError) as error:
        problem = str(error).strip('"')
    return f"{path}: {problem}" if problem else ""


@dataclass(frozen=True)
class _SelectedRows:
    """Rows of a selection: blocks at equal distances, as where receivers take turns to write frames."""

    start: int = 0
    stride: int = 1
    block: int = 1
    count: float = math.inf

    @classmethod
    def of(cls, space: Any) -> Self:
        """Rows that a selection of a virtual dataset or of its source holds."""
        try:
            (start, *_), (stride, *_), (count, *_), (block, *_) = space.get_regular_hyperslab()
        except (ValueError, TypeError, RuntimeError):
            try:
                (start, *_), (end, *_) = space.get_select_bounds()
            except (ValueError, RuntimeError):  # everything, or without limit
                return cls()
            return cls(int(start), count=int(end) + 1 - int(start))
        return cls(int(start), max(int(stride), int(block)), int(block), int(count))

    def before(self, row: int) -> int:
        """Number of selected rows before a row."""
        whole, part = divmod(max(row - self.start, 0), self.stride)
        return int(min(whole * self.block + min(part, self.block), self.count * self.block))

    def row(self, number: int) -> int:
        """Row that is selected as the number-th."""
        whole, part = divmod(number, self.block)
        return self.start + whole * self.stride + part


def _opened(path: Path) -> Any:
    import h5py

    try:
        return h5py.File(path, "r")
    except OSError as error:
        if "already open for" not in str(error):
            raise
        return h5py.File(path, "r", libver="latest", swmr=True)

"""Documents on disk, arrays intact."""

from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]
import numpy as np

__all__ = ["append_document", "read_documents"]

ARRAY, SCALAR = "__ndarray__", "__npscalar__"
"""Keys that mark what is no plain value; no pickle, so that a journal can hold data alone."""


def append_document(file: FileIO, name: str, doc: Any) -> None:
    """Write one document to the end of a journal.

    Parameters
    ----------
    file
        The journal, open for writing without a buffer.
    name
        Kind of the document.
    doc
        The document.

    Raises
    ------
    TypeError
        The document holds what is neither plain data nor a numeric or string array.
    OSError
        The disk is full; the journal then ends with the document before.
    """
    packed = memoryview(msgpack.packb([name, doc], default=_plain))
    begin = file.tell()
    try:
        while packed:
            packed = packed[file.write(packed) :]
    except OSError:
        file.truncate(begin)  # half a document would make all that follow unreadable
        file.seek(begin)
        raise


def read_documents(path: Path) -> Iterator[tuple[str, Any]]:
    """Read a journal.

    Parameters
    ----------
    path
        The journal.

    Returns
    -------
    Name and document, arrays of the type they had; a last one that was cut short is left out.
    """
    with path.open("rb") as file:
        # A document of 30 720 strips is 0.25 MB; the limit is for images that share its run.
        yield from msgpack.Unpacker(file, object_hook=_restored, max_buffer_size=2**31 - 1)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufcSUmM":
        return {ARRAY: value.dtype.str, "shape": value.shape, "bytes": value.tobytes()}
    if isinstance(value, np.generic):
        return {SCALAR: value.dtype.str, "bytes": value.tobytes()}
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    raise TypeError(f"a {type(value).__name__} cannot be written to a journal: {value!r}")


def _restored(value: dict[Any, Any]) -> Any:
    if ARRAY in value:
        return np.frombuffer(value["bytes"], value[ARRAY]).reshape(value["shape"]).copy()
    if SCALAR in value:
        return np.frombuffer(value["bytes"], value[SCALAR])[0]
    return value

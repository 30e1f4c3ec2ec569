"""Documents on disk, arrays intact."""

from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from msgpack import ExtType  # type: ignore[import-untyped]

# Not `msgpack.packb`: importing bluesky_kafka replaces that, for the whole process, by one that pickles.
try:
    from msgpack._cmsgpack import Packer, Unpacker, unpackb  # type: ignore[import-untyped]
except ImportError:  # an installation without the compiled part
    from msgpack.fallback import Packer, Unpacker, unpackb  # type: ignore[import-untyped]

__all__ = ["append_document", "read_documents"]

ARRAY, SCALAR = 1, 2
"""MessagePack's own marks of what is no plain value, which no content of a document can be taken for; no
pickle, so that a journal can hold data alone."""


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
    packed = memoryview(Packer(default=_plain).pack([name, doc]))
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
        yield from Unpacker(file, ext_hook=_restored, max_buffer_size=2**31 - 1)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufcSUmM":
        return ExtType(ARRAY, Packer().pack([value.dtype.str, value.shape, value.tobytes()]))
    if isinstance(value, np.generic):
        return ExtType(SCALAR, Packer().pack([value.dtype.str, (), value.tobytes()]))
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    raise TypeError(f"a {type(value).__name__} cannot be written to a journal: {value!r}")


def _restored(code: int, packed: bytes) -> Any:
    dtype, shape, content = unpackb(packed)
    array = np.frombuffer(content, dtype).reshape(shape)
    return array.copy() if code == ARRAY else array[()]

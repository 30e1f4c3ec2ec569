"""The journal format: documents in a file, each with its length, index and checksum."""

import logging
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from msgpack import ExtType  # type: ignore[import-untyped]

# Not `msgpack.packb`: importing bluesky_kafka replaces that, for the whole process, by one that pickles.
try:
    from msgpack._cmsgpack import Packer, Unpacker, unpackb  # type: ignore[import-untyped]
except ImportError:  # an installation without the compiled part
    from msgpack.fallback import Packer, Unpacker, unpackb  # type: ignore[import-untyped]

__all__ = ["Damage", "JournalWriter", "read_documents", "read_journal"]

logger = logging.getLogger(__name__)

MAGIC = b"\xc1qdJRN2\n"
"""First bytes of a journal. 0xc1 never occurs in MessagePack, with which older journals begin."""

MARK = b"\xc1qdR"
"""First bytes of a record, from which reading continues after damage."""

HEADER = struct.Struct("<4sIQI")
"""Mark, index of the document, length of its content in bytes, CRC32 of the content."""

CHECKSUM = struct.Struct("<I")
"""CRC32 of the header, after it: a damaged length must not hide the records that follow."""

RECORD_BYTES = HEADER.size + CHECKSUM.size
"""Bytes of a record besides its content."""

ARRAY, SCALAR, TEXT = 1, 2, 3
"""MessagePack extension types of arrays, NumPy scalars, and values kept as text. Content of a document cannot
be mistaken for them, and nothing is pickled: a journal contains data only."""

AS_TEXT = "text"
"""Third item of the record of a document that could be kept only as text."""

SCAN_BYTES = 2**20
"""Bytes read at a time in search of the next record after damage."""


@dataclass(frozen=True)
class Damage:
    """Part of a journal that cannot be read."""

    offset: int
    """Position in the file, bytes."""
    what: str
    """Description of the damage."""
    at_end: bool = False
    """Whether no readable document follows, as where the writing process was killed."""

    def __str__(self) -> str:
        """Position and description."""
        return f"byte {self.offset}: {self.what}"


class JournalWriter:
    """Appends documents to a file.

    Parameters
    ----------
    file
        The journal, empty and open for writing without a buffer.
    """

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self._packer = Packer(default=_plain, unicode_errors="surrogatepass")
        self._index = 0
        self._write([MAGIC])

    def append(self, name: str, doc: Any) -> int:
        """Write one document to the end of the journal.

        A value that MessagePack cannot hold (a date, a path, an integer beyond 64 bits, a complex number) is
        kept as text. A document that cannot be written leaves a gap in the indices, which the reader
        reports.

        Parameters
        ----------
        name
            Kind of the document.
        doc
            The document.

        Returns
        -------
        Bytes written.

        Raises
        ------
        OSError
            The disk is full, for example; the journal then ends with the document before.
        """
        index = self._index
        self._index += 1
        try:
            content = self._packer.pack([name, doc])
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            self._packer.reset()
            logger.warning("a %s document is kept in the journal as text: %s", name, error)
            content = self._packer.pack([name, f"{doc!r}", AS_TEXT])
        header = HEADER.pack(MARK, index, len(content), zlib.crc32(content))
        self._write([header + CHECKSUM.pack(zlib.crc32(header)), content])
        return RECORD_BYTES + len(content)

    def _write(self, parts: list[bytes]) -> None:
        begin = self._file.tell()
        try:
            for part in parts:
                rest = memoryview(part)
                while rest:
                    rest = rest[self._file.write(rest) :]
        except OSError:
            self._file.truncate(begin)  # the reader would report half a record as damage
            self._file.seek(begin)
            raise


def read_documents(path: str | os.PathLike[str]) -> Iterator[tuple[str, Any]]:
    """Read the documents of a journal, skipping what is damaged.

    Parameters
    ----------
    path
        The journal.

    Returns
    -------
    Name and document; arrays have their original dtype.
    """
    return ((item[0], item[1]) for item in read_journal(path) if not isinstance(item, Damage))


def read_journal(path: str | os.PathLike[str]) -> Iterator[tuple[str, Any] | Damage]:
    """Read a journal with the damage that is in it.

    Parameters
    ----------
    path
        The journal, of this format or of the one before, which had neither lengths nor checksums.

    Returns
    -------
    Name and document, or a `Damage` in place of what cannot be read, in the order of the file.
    """
    with Path(path).open("rb") as file:
        begin = file.read(len(MAGIC) + len(MARK))
        file.seek(0)
        # A damaged first byte must not turn a journal into one of the old format.
        if not begin or begin.startswith(MAGIC) or begin.endswith(MARK):
            yield from _records(file)
        else:
            yield from _without_checksums(file)


def _records(file: IO[bytes]) -> Iterator[tuple[str, Any] | Damage]:
    size = file.seek(0, 2)
    position, expected, damaged = min(len(MAGIC), size), 0, False
    while position < size:
        header = _header(file, position)
        if header is None:
            following = _next_record(file, position + 1, size)
            what = f"{(following or size) - position} bytes are not readable"
            yield Damage(position, what, at_end=following is None)
            position, damaged = following or size, True
            continue
        index, length, checksum = header
        if index != expected and not damaged:
            yield Damage(position, f"{index - expected} documents were not written")
        expected, damaged = index + 1, False
        content = file.read(length)
        end = position + RECORD_BYTES + length
        if len(content) < length:
            yield Damage(
                position, f"the last document is cut off after {len(content)} of {length} bytes", True
            )
            return
        if zlib.crc32(content) != checksum:
            yield Damage(position, f"document {index} has a wrong checksum", at_end=end >= size)
        else:
            yield _document(content, position)
        position = end


def _header(file: IO[bytes], position: int) -> tuple[int, int, int] | None:
    """Index, length and checksum of the record at a position; None where there is no valid header."""
    file.seek(position)
    packed = file.read(RECORD_BYTES)
    if len(packed) < RECORD_BYTES or not packed.startswith(MARK):
        return None
    header, (checksum,) = packed[: HEADER.size], CHECKSUM.unpack(packed[HEADER.size :])
    if zlib.crc32(header) != checksum:
        return None
    _, index, length, content = HEADER.unpack(header)
    return int(index), int(length), int(content)


def _next_record(file: IO[bytes], position: int, size: int) -> int | None:
    """Position of the next valid header; None where there is none."""
    while position < size:
        file.seek(position)
        chunk = file.read(SCAN_BYTES)
        found = chunk.find(MARK)
        while found >= 0:
            if _header(file, position + found) is not None:
                return position + found
            found = chunk.find(MARK, found + 1)
        # A mark may lie across two chunks.
        position += max(len(chunk) - len(MARK) + 1, 1)
    return None


def _document(content: bytes, position: int) -> tuple[str, Any] | Damage:
    try:
        match unpackb(content, ext_hook=_restored, strict_map_key=False, unicode_errors="surrogatepass"):
            case [str(name), doc]:
                return name, doc
            case [str(name), str(text), str()]:
                return Damage(position, f"a {name} document could be kept only as text: {text[:200]}")
    except Exception as error:  # MessagePack, UTF-8, dtype and shape raise different errors
        return Damage(position, f"a document cannot be decoded: {error!r}")
    return Damage(position, "a record is not a document")


def _without_checksums(file: IO[bytes]) -> Iterator[tuple[str, Any] | Damage]:
    """Documents of a journal of the old format, up to the first damage."""
    size = file.seek(0, 2)
    file.seek(0)
    # A document of 30 720 strips is 0.25 MB; the limit is for images in the same run.
    unpacker = Unpacker(
        file,
        ext_hook=_restored,
        max_buffer_size=2**31 - 1,
        strict_map_key=False,
        unicode_errors="surrogatepass",
    )
    position = 0
    while position < size:
        try:
            match unpacker.unpack():
                case [str(name), doc]:
                    yield name, doc
                case _:
                    yield Damage(position, f"{size - position} bytes are not documents", at_end=True)
                    return
        except Exception as error:
            yield Damage(position, f"{size - position} bytes are not readable: {error!r}", at_end=True)
            return
        position = unpacker.tell()


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufcSUmM":
        return ExtType(ARRAY, Packer().pack([value.dtype.str, value.shape, value.tobytes()]))
    if isinstance(value, np.generic) and value.dtype.kind in "biufcSUmM":
        return ExtType(SCALAR, Packer().pack([value.dtype.str, (), value.tobytes()]))
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    text = value.isoformat() if hasattr(value, "isoformat") else f"{value}"
    return ExtType(TEXT, Packer(unicode_errors="surrogatepass").pack([type(value).__name__, text]))


def _restored(code: int, packed: bytes) -> Any:
    if code == TEXT:
        return unpackb(packed, unicode_errors="surrogatepass")[1]
    dtype, shape, content = unpackb(packed)
    array = np.frombuffer(content, dtype).reshape(shape)
    return array.copy() if code == ARRAY else array[()]

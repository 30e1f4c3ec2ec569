"""Bytes of a pattern file to its text."""

import bz2
import gzip
import lzma
import re
from pathlib import Path

from .._missing_file import not_found
from ..errors import PatternFileError

__all__ = ["read_bytes", "text_of"]

COMPRESSIONS = {b"\x1f\x8b": gzip.decompress, b"BZh": bz2.decompress, b"\xfd7zXZ": lzma.decompress}
"""First bytes of a compressed file, and how to decompress it."""

IMAGE = ("an image", "integrate it to intensity against 2θ or Q, with pyFAI or Dioptas")

BINARY_FORMATS = {
    b"RAW4.00": ("a Bruker RAW file (version 4)", "export it as .xy from DIFFRAC.EVA"),
    b"RAW1.01": ("a Bruker RAW file (version 3)", "export it as .xy or .uxd from DIFFRAC.EVA"),
    b"RAW2": ("a Bruker RAW file (version 2)", "export it as .xy or .uxd from DIFFRAC.EVA"),
    b"RAW_1": ("a STOE RAW file", "export it as .xy from WinXPOW"),
    b"RAW ": ("a Bruker RAW file (version 1)", "export it as .xy or .uxd from DIFFRAC.EVA"),
    b"PK\x03\x04": (
        "a ZIP archive, such as Bruker .brml, Rigaku .rasx or a spreadsheet",
        "export it as .xy, .ras or .csv from the program that wrote it",
    ),
    b"\xd0\xcf\x11\xe0": ("an old spreadsheet", "save it as .csv"),
    b"II*\x00": IMAGE,
    b"MM\x00*": IMAGE,
    b"###CBF": IMAGE,
    b"\x89PNG": IMAGE,
    b"V3RD": ("a Philips .rd file", "export it as .udf, .xy or .csv from HighScore"),
    b"V5RD": ("a Philips .rd file", "export it as .udf, .xy or .csv from HighScore"),
    b"II+\x00": IMAGE,
    b"\x93NUMPY": ("an array of NumPy", "write it as text with numpy.savetxt"),
    b"MATLAB": ("a file of MATLAB", "write it as text with writematrix"),
    b"PAR1": ("a Parquet table", "write it as .csv"),
    b"SQLite": ("a database", "export the pattern as .csv"),
    b"%PDF": ("a PDF document", "give the data themselves as two or three columns"),
}
"""First bytes of binary formats, what they are, and the export to use instead."""

KNOWN_TEXTS = {
    re.compile(r"\{\s*(HeaderID|HEADER_BYTES|EDF_)"): IMAGE,
    re.compile(r"version https://git-lfs"): (
        "a pointer of Git LFS, not the file itself",
        "fetch it with `git lfs pull`",
    ),
    re.compile(r"(<!DOCTYPE html|<html)", re.IGNORECASE): (
        "a web page",
        "save the data themselves: the server may have asked to log in",
    ),
    re.compile(r"##TITLE\s*="): ("a JCAMP-DX file", "export it as two columns, .xy or .csv"),
    re.compile(r"[{\[]\s*[\"{\[\d]"): ("JSON", "write it as two or three columns of numbers"),
    re.compile(r"SIMPLE  ="): ("a FITS file", "write it as two or three columns of numbers"),
}
"""Beginnings of texts that hold no columns, what they are, and what to do instead."""

MAX_CONTROL_FRACTION = 0.02
"""Text has tabs and line ends, but hardly any other control characters."""


def read_bytes(path: Path) -> bytes:
    """Read a file, decompressed.

    Parameters
    ----------
    path
        Any file; .gz, .bz2 and .xz are recognised by their first bytes.

    Returns
    -------
    Its content.

    Raises
    ------
    PatternFileError
        The file cannot be read or decompressed.
    """
    if path.is_dir():
        raise PatternFileError(f"{path} is a folder: give the files in it, such as {path / '*.xye'}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PatternFileError(f"{path}: cannot read this file: {error.strerror}{not_found(path)}") from error
    for magic, decompress in COMPRESSIONS.items():
        if content.startswith(magic):
            try:
                return decompress(content)
            except (OSError, EOFError, ValueError, lzma.LZMAError) as error:
                raise PatternFileError(f"{path}: cannot decompress this file: {error}") from error
    return content


def text_of(path: Path, content: bytes) -> str:
    """Decode a text file: UTF-8, UTF-16 or Windows-1252.

    Parameters
    ----------
    path
        File, for error messages.
    content
        Its content.

    Returns
    -------
    The text.

    Raises
    ------
    PatternFileError
        The content is not text; a known binary format is named with the export to use.
    """
    for magic, (what, fix) in BINARY_FORMATS.items():
        if content.startswith(magic):
            raise PatternFileError(f"{path} is {what}, which cannot be read: {fix}")
    text = _decoded(content)
    _check_known(path, text)
    control = sum(text.count(chr(code)) for code in range(32) if chr(code) not in "\t\n\r\x0b\x0c\x1a")
    if control > MAX_CONTROL_FRACTION * max(len(text), 1):
        raise PatternFileError(
            f"{path} is not a text file: give two or three columns of numbers (.xy, .xye, .dat, .csv), or "
            "export it as such"
        )
    return text


def _check_known(path: Path, text: str) -> None:
    """Raise an error for a text that is empty, or of a kind that holds no columns of numbers."""
    beginning = text[:1000].lstrip()
    if not beginning:
        raise PatternFileError(f"{path} is empty: is it still being written, or was its disk full?")
    for pattern, (what, fix) in KNOWN_TEXTS.items():
        if pattern.match(beginning):
            raise PatternFileError(f"{path} is {what}, which cannot be read: {fix}")


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    # ASCII text in UTF-16 without a byte order mark: every other byte is zero.
    start = content[:400]
    if len(start) > 3 and start[1::2].count(0) > 0.9 * len(start[1::2]) and start[::2].count(0) == 0:
        return content.decode("utf-16-le", errors="replace")
    if len(start) > 3 and start[::2].count(0) > 0.9 * len(start[::2]) and start[1::2].count(0) == 0:
        return content.decode("utf-16-be", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")

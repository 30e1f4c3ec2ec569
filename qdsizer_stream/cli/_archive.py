"""Open the archive that a command names."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

__all__ = ["opened_archive"]


@contextmanager
def opened_archive(archive: str) -> Iterator[Any]:
    """Open an archive, with a status line while it loads.

    Parameters
    ----------
    archive
        As of `archive.open_archive`.

    Yields
    ------
    Client of the archive.

    Raises
    ------
    ArchiveError
        As of `archive.open_archive`.
    """
    from ..archive import open_archive

    status = Console(stderr=True).status("opening the archive")
    status.start()
    try:
        with open_archive(archive) as catalog:
            status.stop()
            yield catalog
    finally:
        status.stop()

"""Archives as the commands name them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from ..errors import ArchiveError

__all__ = ["opened_archive"]


@contextmanager
def opened_archive(archive: str) -> Iterator[Any]:
    """Serve a folder for as long as it is needed, or connect to a server.

    Parameters
    ----------
    archive
        Folder of an embedded archive, or URL of a Tiled server.

    Yields
    ------
    Client of the archive.

    Raises
    ------
    ArchiveError
        The folder holds no archive.
    """
    from ..archive import embedded_tiled

    if archive.startswith(("http://", "https://")):
        from tiled.client import from_uri

        yield from_uri(archive)
        return
    if not (Path(archive) / "catalog.db").exists():
        raise ArchiveError(
            f"{archive} is no archive: give the folder that holds catalog.db, or the URL of a Tiled server"
        )
    status = Console(stderr=True).status("starting the archive")
    status.start()
    try:
        with embedded_tiled(Path(archive)) as catalog:
            status.stop()
            yield catalog
    finally:
        status.stop()

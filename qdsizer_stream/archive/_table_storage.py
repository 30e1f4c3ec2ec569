"""DuckDB tables of an embedded Tiled server, used by one request at a time."""

from pathlib import Path

from sqlalchemy.pool import QueuePool
from tiled.storage import SQLStorage, get_storage
from tiled.utils import ensure_uri

from ..errors import ArchiveError

__all__ = ["serialize_requests", "table_storage_uri"]

WAIT_S = 300.0
"""How long a request waits for those before it, s; the largest tables of frames are read in a few seconds."""


def table_storage_uri(directory: Path) -> str:
    """Give the URI of the tables of an archive.

    Parameters
    ----------
    directory
        Folder of the archive.

    Returns
    -------
    URI of a DuckDB file in the folder.
    """
    return f"duckdb:///{directory / 'storage.duckdb'}"


def serialize_requests(uri: str) -> None:
    """Let the requests of a Tiled server use the connection to its tables one after another.

    Tiled gives one DuckDB connection to all its threads at once, as SQLAlchemy's `StaticPool` does (tiled
    0.2.20, `findings/tiled-duckdb-discards-rows.sh`). A request that ends rolls the connection back, which
    removes rows that another is about to commit: they are missing although they were acknowledged. Used by
    two threads at once, the driver may also end the process.

    Parameters
    ----------
    uri
        DuckDB storage of a server that has started and has answered nothing yet.

    Raises
    ------
    ArchiveError
        Another server of this process uses the tables.
    """
    storage = get_storage(ensure_uri(uri))
    assert isinstance(storage, SQLStorage)
    attributes = vars(storage)
    pool = attributes.get("_connection_pool")
    if isinstance(pool, QueuePool):  # of a server that did not start
        return
    if pool is not None:
        raise ArchiveError(
            f"the tables {uri} are used by another server in this process: close that one first"
        )
    # Tiled has no setting for the pool. It keeps the one it makes as a cached property, which is set here.
    attributes["_connection_pool"] = QueuePool(
        storage.create_adbc_connection,
        pool_size=1,
        max_overflow=0,
        timeout=WAIT_S,
    )

"""A Tiled server on disk, inside this process."""

import copy
import os
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tiled.client import from_uri
from tiled.client.container import Container

from ..errors import ArchiveError

__all__ = ["embedded_tiled"]

_one_at_a_time = threading.Lock()

POLL_S = 0.05
"""How often a server that starts is looked at, s."""

KEY_FILE = "api_key"
"""File in the server's folder with the key that every request needs; readable by its owner alone."""


@contextmanager
def embedded_tiled(
    directory: Path, readable: Sequence[Path] = (), database: str | None = None
) -> Iterator[Container]:
    """Serve an archive from a folder while the context lasts.

    The server listens on the loopback interface, on a port that is free. The archive stays in the
    folder and may be served again.

    Parameters
    ----------
    directory
        Folder of the archive; made where it does not exist.
    readable
        Folders of frame files that runs may point at.
    database
        PostgreSQL database for catalog and tables, such as `postgresql://user@127.0.0.1:5432/tiled`; None
        for files in the folder, which one process can open at a time.

    Returns
    -------
    Client of the archive's root.

    Raises
    ------
    ArchiveError
        This process serves an archive already: Tiled keeps one key a process.
    """
    directory = directory.resolve()
    if not _one_at_a_time.acquire(blocking=False):
        raise ArchiveError(
            f"cannot serve {directory}: this process serves an archive already, and can serve one at a time"
        )
    try:
        with _served(directory, readable, database) as client:
            yield client
    finally:
        _one_at_a_time.release()


@contextmanager
def _served(directory: Path, readable: Sequence[Path], database: str | None) -> Iterator[Container]:
    # The server takes seconds to import, and most who replay or write have one already.
    import uvicorn
    from tiled.server.app import build_app_from_config
    from tiled.server.simple import ThreadedServer

    (directory / "data").mkdir(parents=True, exist_ok=True)
    key = _key(directory / KEY_FILE)
    catalog = directory / "catalog.db"
    app = build_app_from_config(
        {
            "authentication": {"single_user_api_key": key},
            "trees": [
                {
                    "path": "/",
                    "tree": "catalog",
                    "args": {
                        "uri": database or f"sqlite:///{catalog}",
                        # Making the tables starts another process and takes seconds: once is enough.
                        "init_if_not_exists": database is not None or not catalog.exists(),
                        "writable_storage": [
                            str(directory / "data"),
                            database or f"duckdb:///{directory / 'storage.duckdb'}",
                        ],
                        "readable_storage": [str(folder.resolve()) for folder in readable],
                    },
                }
            ],
            # Without this exporter a run cannot give its documents back.
            "media_types": {
                "BlueskyRun": {"application/json-seq": "bluesky_tiled_plugins.exporters:json_seq_exporter"}
            },
            "routers": ["bluesky_tiled_plugins.routers.validator:router"],
            "streaming_cache": {"uri": "memory"},
        }
    )
    server = ThreadedServer(
        uvicorn.Config(app, host="127.0.0.1", port=0, loop="asyncio", log_config=_logging(directory))
    )
    with _running(server) as url:
        client = from_uri(f"{url}/api/v1", api_key=key)
        with client.context:
            yield client


@contextmanager
def _running(server: Any) -> Iterator[str]:
    """Run a server in a thread and give its URL."""
    # A daemon: the interpreter waits for all other threads before it calls what is to be done at its exit,
    # and that is where a session closes its archive.
    thread = threading.Thread(target=server.run, name="qdsizer-tiled", daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise ArchiveError(
                    "the server of the archive ended as it began: error.log in its folder says why"
                )
            time.sleep(POLL_S)
        host, port = server.servers[0].sockets[0].getsockname()
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        thread.join()


def _key(path: Path) -> str:
    """Read the key of an archive, making it the first time."""

    def private(path: str, flags: int) -> int:
        return os.open(path, flags, 0o600)

    # Made with its final permissions: there is no moment at which others could read it.
    with suppress(FileExistsError), open(path, "x", opener=private) as file:
        file.write(secrets.token_hex(32))
    return path.read_text()


def _logging(directory: Path) -> dict[str, Any]:
    """Send the server's logs to files of the archive instead of the terminal."""
    from tiled.server.logging_config import LOGGING_CONFIG

    settings: dict[str, Any] = copy.deepcopy(LOGGING_CONFIG)
    for handler, file in {"access": "access.log", "default": "error.log"}.items():
        settings["handlers"][handler] |= {"class": "logging.FileHandler", "filename": str(directory / file)}
        del settings["handlers"][handler]["stream"]
    return settings

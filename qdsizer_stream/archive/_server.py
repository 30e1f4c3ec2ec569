"""A Tiled server with files on disk, inside this process."""

import copy
import hashlib
import hmac
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
from ._table_storage import serialize_requests, table_storage_uri

__all__ = ["KEY_FILE", "PROOF_PATH", "embedded_tiled", "proof_of_key"]

_one_at_a_time = threading.Lock()

POLL_S = 0.05
"""Interval at which a starting server is checked, s."""

KEY_FILE = "api_key"
"""File in the server's folder with the API key that every request needs; readable by its owner only."""


PROOF_PATH = "/api/v1/qdsizer/proof"
"""Path at which an embedded server proves that it knows the API key of its archive."""


def proof_of_key(key: str, nonce: str) -> str:
    """Compute the proof that a server knows the API key of an archive, without revealing the key.

    Parameters
    ----------
    key
        API key of the archive.
    nonce
        Random text of the client.

    Returns
    -------
    HMAC-SHA256 of the nonce, hexadecimal.
    """
    return hmac.new(key.encode(), nonce.encode(), hashlib.sha256).hexdigest()


@contextmanager
def embedded_tiled(
    directory: str | os.PathLike[str],
    readable: Sequence[str | os.PathLike[str]] = (),
    database: str | None = None,
) -> Iterator[Container]:
    """Serve an archive from a folder while the context is open.

    The server listens on the loopback interface, on a free port. The archive remains in the folder and can
    be served again.

    Parameters
    ----------
    directory
        Folder of the archive; created if it does not exist.
    readable
        Folders of frame files that runs may refer to.
    database
        PostgreSQL database for catalog and tables, such as `postgresql://user@127.0.0.1:5432/tiled`; None
        for files in the folder, which only one process can open at a time.

    Returns
    -------
    Client of the archive's root.

    Raises
    ------
    ArchiveError
        This process already serves an archive: Tiled allows one API key per process.
    """
    folder = Path(directory).resolve()
    if not _one_at_a_time.acquire(blocking=False):
        raise ArchiveError(
            f"cannot serve {folder}: this process already serves an archive, and can serve one only; "
            "close the other archive first"
        )
    try:
        with _served(folder, [Path(one) for one in readable], database) as client:
            yield client
    finally:
        _one_at_a_time.release()


@contextmanager
def _served(directory: Path, readable: Sequence[Path], database: str | None) -> Iterator[Container]:
    # The server takes seconds to import, and most replays use one that already runs.
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
                        # Creating the tables starts another process and takes seconds: done once.
                        "init_if_not_exists": database is not None or not catalog.exists(),
                        "writable_storage": [
                            str(directory / "data"),
                            database or table_storage_uri(directory),
                        ],
                        "readable_storage": [str(folder.resolve()) for folder in readable],
                    },
                }
            ],
            # Without this exporter a run cannot be exported as documents.
            "media_types": {
                "BlueskyRun": {"application/json-seq": "bluesky_tiled_plugins.exporters:json_seq_exporter"}
            },
            "routers": ["bluesky_tiled_plugins.routers.validator:router"],
            "streaming_cache": {"uri": "memory"},
        }
    )

    def prove(nonce: str) -> str:
        return proof_of_key(key, nonce)

    # The route must come before Tiled's own, one of which takes every path.
    app.add_api_route(PROOF_PATH, prove)
    app.router.routes.insert(0, app.router.routes.pop())
    server = ThreadedServer(
        uvicorn.Config(app, host="127.0.0.1", port=0, loop="asyncio", log_config=_logging(directory))
    )
    with _running(server) as url:
        if database is None:
            serialize_requests(table_storage_uri(directory))
        client = from_uri(f"{url}/api/v1", api_key=key)
        with client.context:
            yield client


@contextmanager
def _running(server: Any) -> Iterator[str]:
    """Run a server in a thread and yield its URL."""
    # A daemon: the interpreter waits for all other threads before it runs its exit functions, and a session
    # closes its archive in one of them.
    thread = threading.Thread(target=server.run, name="qdsizer-tiled", daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise ArchiveError(
                    "the server of the archive ended while starting: see error.log in its folder"
                )
            time.sleep(POLL_S)
        host, port = server.servers[0].sockets[0].getsockname()
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        thread.join()


def _key(path: Path) -> str:
    """Read the API key of an archive; it is made the first time."""

    def private(path: str, flags: int) -> int:
        return os.open(path, flags, 0o600)

    # Created with its final permissions, so that others can never read it.
    with suppress(FileExistsError), open(path, "x", opener=private) as file:
        file.write(secrets.token_hex(32))
    return path.read_text()


def _logging(directory: Path) -> dict[str, Any]:
    """Logging configuration that writes to files of the archive instead of the terminal."""
    from tiled.server.logging_config import LOGGING_CONFIG

    settings: dict[str, Any] = copy.deepcopy(LOGGING_CONFIG)
    for handler, file in {"access": "access.log", "default": "error.log"}.items():
        settings["handlers"][handler] |= {"class": "logging.FileHandler", "filename": str(directory / file)}
        del settings["handlers"][handler]["stream"]
    return settings

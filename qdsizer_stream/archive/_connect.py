"""Connection to an archive: a folder, the URL of a Tiled server, or a Tiled profile."""

import hmac
import os
import secrets
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from ..errors import ArchiveError

__all__ = ["open_archive", "plain_errors"]

URL_FILE = "url"
"""File in the folder of an archive with the URL at which a process serves it."""

THIS_MACHINE = frozenset({"127.0.0.1", "::1", "localhost"})
"""Hosts of servers on this machine."""


@contextmanager
def open_archive(
    where: str | os.PathLike[str],
    readable: Sequence[str | os.PathLike[str]] = (),
    create: bool = False,
    serve: bool = True,
) -> Iterator[Any]:
    """Connect to an archive while the context is open.

    A folder that another process serves is reached through that process: its tables cannot be opened
    twice. Responses of a server on this machine are not compressed.

    Parameters
    ----------
    where
        Folder of an embedded archive, URL of a Tiled server or name of a Tiled profile. The API key of a
        server is read from the environment variable TILED_API_KEY, or stored by `tiled login`.
    readable
        Folders of frame files that runs in a folder's archive may refer to.
    create
        Whether to create an archive in a folder that has none.
    serve
        Whether this process serves a folder that no other one does.

    Yields
    ------
    Client of the archive.

    Raises
    ------
    ArchiveError
        There is no archive of that name, or its server cannot be reached or denies access.
    """
    with _opened(where, readable, create, serve) as client:
        if client.context.api_uri.host in THIS_MACHINE:
            # Compressing and decompressing a frame of counts takes 0.4 ms, a local copy much less.
            client.context.http_client.headers["accept-encoding"] = "identity"
        yield client


@contextmanager
def _opened(
    where: str | os.PathLike[str], readable: Sequence[str | os.PathLike[str]], create: bool, serve: bool
) -> Iterator[Any]:
    name = os.fspath(where)
    if name.startswith(("http://", "https://")):
        client = _from_uri(name)
        with client.context:
            yield client
        return
    from tiled.profiles import list_profiles  # imports the client, which takes half a second

    folder = Path(where)
    if not folder.exists() and name in list_profiles():
        from tiled.client import from_profile

        with plain_errors(f"Tiled profile {name}"):
            client = from_profile(name)
        with client.context:
            yield client
        return
    if not create and not (folder / "catalog.db").exists():
        raise ArchiveError(
            f"{name} is not an archive: give the folder that holds catalog.db, the URL of a Tiled server, or "
            f"a Tiled profile (existing: {', '.join(sorted(list_profiles())) or 'none'})"
        )
    served = _served_elsewhere(folder)
    if served is not None:
        with served.context:
            yield served
        return
    if not serve:
        raise ArchiveError(
            f"{name} is a folder that no process on {socket.gethostname()} serves: other machines need the "
            "URL of a Tiled server"
        )
    from ._server import embedded_tiled

    with embedded_tiled(folder, readable) as client:
        url = folder / URL_FILE
        url.write_text(str(client.context.api_uri))
        try:
            yield client
        finally:
            url.unlink(missing_ok=True)


@contextmanager
def plain_errors(what: str) -> Iterator[None]:
    """Turn errors of the connection into one line with the remedy.

    Parameters
    ----------
    what
        The request, for the message.

    Raises
    ------
    ArchiveError
        In place of an error of the connection.
    """
    try:
        yield
    except httpx.HTTPStatusError as error:
        code = error.response.status_code
        if code in (401, 403):
            raise ArchiveError(
                f"{what}: no permission ({code}); set TILED_API_KEY to a key with access, or log in with "
                "`tiled login`"
            ) from error
        raise ArchiveError(
            f"{what}: the server answers {code} {error.response.reason_phrase}; see the log of the server"
        ) from error
    except httpx.HTTPError as error:
        raise ArchiveError(
            f"{what}: the server does not answer ({f'{error}' or type(error).__name__}); check that it "
            "runs, then repeat the command"
        ) from error


def _from_uri(url: str, api_key: str | None = None) -> Any:
    from tiled.client import from_uri
    from tiled.client.context import CannotPrompt

    with plain_errors(url):
        try:
            return from_uri(url, api_key=api_key)
        except CannotPrompt as error:
            raise ArchiveError(
                f"{url}: no permission, the server requires authentication; set TILED_API_KEY, or log in "
                "with `tiled login`"
            ) from error


def _served_elsewhere(folder: Path) -> Any:
    """Client of the process that serves a folder; None where there is none.

    After a kill the file with the URL is stale, and another program may listen on that port: it would get
    the API key with the first request. So the server has to prove first that it knows the key.
    """
    from ._server import KEY_FILE, PROOF_PATH, proof_of_key

    with suppress(OSError, ArchiveError, httpx.HTTPError, httpx.InvalidURL, ValueError):
        url, key = (folder / URL_FILE).read_text(), (folder / KEY_FILE).read_text()
        nonce = secrets.token_hex(16)
        answer = httpx.get(httpx.URL(url).join(PROOF_PATH), params={"nonce": nonce}, timeout=2.0)
        if answer.is_success and hmac.compare_digest(str(answer.json()), proof_of_key(key, nonce)):
            return _from_uri(url, key)
    return None

"""A Channel Access server."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from caproto.asyncio.server import Context  # type: ignore[import-untyped]

from ._drivers import AdMythenIoc, SlsMythenIoc

__all__ = ["serve", "serve_records"]

DEFAULT_PORT = 5064
"""Port on which Channel Access looks for servers."""


def serve(
    ioc: AdMythenIoc | SlsMythenIoc,
    interface: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    ready: Callable[[], object] = lambda: None,
) -> None:
    """Serve a simulated detector until the process is interrupted.

    Parameters
    ----------
    ioc
        The driver with its detector.
    interface
        Address to listen on; the default is seen by this computer alone.
    port
        Port on which clients look for it.
    ready
        Called when clients can connect.
    """

    async def started(_: Any) -> None:
        await ioc.start()
        ready()

    try:
        asyncio.run(serve_records(ioc.pvdb, [interface], port, started))
    finally:
        ioc.hdf.close()


async def serve_records(
    records: dict[str, Any],
    interfaces: Sequence[str],
    port: int,
    started: Callable[[Any], Any] | None = None,
) -> None:
    """Serve records until cancelled.

    Parameters
    ----------
    records
        Records by name, as `PVGroup.pvdb` has them.
    interfaces
        Addresses to listen on.
    port
        Port on which clients look for them.
    started
        Awaited when clients can connect, with caproto's library layer.
    """
    context = Context(records, list(interfaces))
    context.ca_server_port = port  # caproto would take it from the environment alone
    await context.run(startup_hook=started)

"""A Channel Access server."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any

from caproto.asyncio.server import Context  # type: ignore[import-untyped]

from ._drivers import AdMythenIoc, SlsMythenIoc

__all__ = ["serve", "serve_records"]

DEFAULT_PORT = 5064
"""Default port of Channel Access."""


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
        Address to listen on; the default is reachable from this computer only.
    port
        Port that clients use.
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
        Records by name, as in `PVGroup.pvdb`.
    interfaces
        Addresses to listen on.
    port
        Port that clients use.
    started
        Awaited when clients can connect, with caproto's library layer.

    Raises
    ------
    OSError
        An address does not belong to this computer, or the process may not use the port.
    """
    for interface in interfaces:
        _check_address(interface, port)
    context = Context(records, list(interfaces))
    context.ca_server_port = port  # caproto takes it only from the environment
    try:
        await context.run(startup_hook=started)
    finally:
        for circuit in list(context.circuits):  # caproto leaves them open
            circuit.client.close()


def _check_address(interface: str, port: int) -> None:
    """Try to listen briefly: caproto would try a hundred ports of an address that is not ours."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # As in caproto: several servers on one computer receive the same broadcasts.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((interface, port))
        except OSError as error:
            raise OSError(
                error.errno,
                f"cannot serve at {interface}:{port}: {error.strerror}; give an address of this computer",
            ) from error

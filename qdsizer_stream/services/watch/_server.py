"""A server of the picture, for any number of browsers."""

import socket
from collections.abc import Sequence

from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.server.server import Server
from tornado.ioloop import IOLoop

from ...callbacks import SynthesisRecord
from ...errors import ConfigurationError
from ._page import draw_page

__all__ = ["BrowserView"]


class BrowserView:
    """Serves the picture of a synthesis to browsers.

    Parameters
    ----------
    record
        The synthesis.
    host
        Address to listen on; the default is seen from this machine alone.
    port
        Port to listen on; 0 for a free one.
    origins
        Further host:port under which browsers reach the page, such as those of a web server before it.

    Raises
    ------
    ConfigurationError
        The port is taken, or the address is not of this machine.
    """

    def __init__(
        self,
        record: SynthesisRecord,
        host: str = "127.0.0.1",
        port: int = 5006,
        origins: Sequence[str] = (),
    ) -> None:
        pages = Application(FunctionHandler(lambda document: draw_page(document, record.snapshot)))
        self._loop = IOLoop()  # becomes current, or Bokeh would listen on another one
        try:
            free = _bindable(host, port)
            self._server = Server(
                {"/": pages},
                self._loop,
                address=host,
                port=free,
                # Else a page of another site could read this one through its visitor's browser.
                allow_websocket_origin=[f"{host}:{free}", f"localhost:{free}", *origins],
            )
        except OSError as error:
            self._loop.close()
            raise ConfigurationError(
                f"cannot listen on {host}:{port}: {error.strerror}; give another port, or 0 for a free one"
            ) from error
        self.url = f"http://{host}:{free}/"
        """Where the page is."""

    def run(self) -> None:
        """Serve until `stop` is called."""
        self._server.start()
        self._loop.start()
        self._server.stop()
        self._loop.close()

    def stop(self) -> None:
        """Make `run` end; may be called from any thread, and from a signal handler."""
        self._loop.add_callback(self._loop.stop)


def _bindable(host: str, port: int) -> int:
    """Port that the server can take: the one asked for, or a free one for 0.

    It has to be known before the server is made, being among the origins that it allows.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        probe.bind((host, port))
        return int(probe.getsockname()[1])

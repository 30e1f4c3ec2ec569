"""A server of the picture, for any number of browsers."""

import asyncio
import io
import logging
import re
import socket
from collections.abc import Callable, Sequence
from html import escape

from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.document import Document
from bokeh.server.server import Server
from tornado.ioloop import IOLoop
from tornado.web import HTTPError, RequestHandler

from ...callbacks import SynthesisRecord
from ...errors import ConfigurationError, QdsizerError
from ._page import draw_page
from ._shelf import OneRun, Shelf

__all__ = ["BrowserView"]

logger = logging.getLogger(__name__)

PICTURE_INCHES, PICTURE_DPI = (16.0, 9.0), 120
"""Size of a picture to download: 1920 × 1080 pixels."""

FILE_NAME = re.compile(r"[^0-9A-Za-z_-]")
"""What the name of a file to download may not hold."""


class BrowserView:
    """Serves the picture of a synthesis to browsers.

    Parameters
    ----------
    runs
        The synthesis, or the runs of an archive (`ArchivedRuns`).
    host
        Address to listen on; the default is seen from this machine alone.
    port
        Port to listen on; 0 for a free one.
    origins
        Further host:port under which browsers reach the page, such as those of a web server before it.
    refine
        Makes a page with the refinement of the newest frame of a run, which the page then offers; None where
        it is not to be offered.

    Raises
    ------
    ConfigurationError
        The port is taken, or the address is not of this machine.
    """

    def __init__(
        self,
        runs: SynthesisRecord | Shelf,
        host: str = "127.0.0.1",
        port: int = 5006,
        origins: Sequence[str] = (),
        refine: Callable[[SynthesisRecord], str] | None = None,
    ) -> None:
        shelf: Shelf = OneRun(runs) if isinstance(runs, SynthesisRecord) else runs

        def draw(document: Document) -> None:
            asked = document.session_context.request.arguments.get("run", [b""])
            uid = asked[0].decode(errors="replace")
            draw_page(
                document,
                lambda: shelf.snapshot(uid),
                shelf.runs,
                lambda: shelf.problem(uid),
                refines=refine is not None,
            )

        pages = Application(FunctionHandler(draw))
        self._loop = IOLoop()  # becomes current, or Bokeh would listen on another one
        try:
            free = _bindable(host, port)
            self._server = Server(
                {"/": pages},
                self._loop,
                address=host,
                port=free,
                # Else a page of another site could read this one through its visitor's browser.
                extra_patterns=[
                    (r"/download/([^/]+)\.(png|csv)", _Download, {"shelf": shelf}),
                    (r"/refine/([^/]+)", _Refine, {"shelf": shelf, "refine": refine}),
                ],
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


class _Download(RequestHandler):
    """A run as a picture or a table, made in another thread: the pages go on."""

    def initialize(self, shelf: Shelf) -> None:
        """Keep the runs."""
        self._shelf = shelf

    async def get(self, uid: str, kind: str) -> None:
        """Send the file."""
        make, content = (_picture, "image/png") if kind == "png" else (_table, "text/csv; charset=utf-8")
        try:
            body = await asyncio.get_running_loop().run_in_executor(None, make, self._shelf, uid)
        except QdsizerError as error:
            raise HTTPError(404, "%s", error, reason="this run cannot be read") from error
        self.set_header("Content-Type", content)
        name = FILE_NAME.sub("_", uid)
        self.set_header("Content-Disposition", f'attachment; filename="{name}.{kind}"')
        self.write(body)


class _Refine(RequestHandler):
    """The refinement of the newest frame of a run, made in another thread: the pages go on."""

    def initialize(self, shelf: Shelf, refine: Callable[[SynthesisRecord], str] | None) -> None:
        """Keep the runs."""
        self._shelf, self._refine = shelf, refine

    async def get(self, uid: str) -> None:
        """Send the page, or why there is none."""
        if self._refine is None:
            raise HTTPError(404)
        record = self._shelf.snapshot(uid)
        try:
            page = await asyncio.get_running_loop().run_in_executor(None, self._refine, record)
        except QdsizerError as error:
            self.set_status(422)
            page = f'<!DOCTYPE html>\n<meta charset="utf-8"><p>not refined: {escape(str(error))}</p>\n'
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.write(page)


def _table(shelf: Shelf, uid: str) -> bytes:
    return shelf.table(uid).encode()


def _picture(shelf: Shelf, uid: str) -> bytes:
    from matplotlib.figure import Figure

    from ...callbacks.display import draw_synthesis

    drawn, png = Figure(figsize=PICTURE_INCHES, dpi=PICTURE_DPI), io.BytesIO()
    draw_synthesis(shelf.snapshot(uid), drawn)
    drawn.savefig(png, format="png")
    return png.getvalue()


def _bindable(host: str, port: int) -> int:
    """Port that the server can take: the one asked for, or a free one for 0.

    It has to be known before the server is made, being among the origins that it allows.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        probe.bind((host, port))
        return int(probe.getsockname()[1])

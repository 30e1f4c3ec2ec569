"""``qdsizer-stream watch``: the picture of a synthesis in a browser."""

import logging
import signal
import threading
import webbrowser
from typing import Annotated

import typer

from ..errors import QdsizerError
from ._app import app
from ._archive import opened_archive

__all__ = ["watch"]

POLL_S = 1.0
"""How often the archive is asked for news, s."""

logger = logging.getLogger(__name__)


@app.command()
def watch(
    archive: Annotated[str, typer.Argument(help="Folder of an embedded archive, or URL of a Tiled server.")],
    run: Annotated[str | None, typer.Argument(help="The run; without it, the newest with sizes.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for a free one.")] = 5006,
    origin: Annotated[
        list[str] | None, typer.Option(help="Further host:port under which browsers reach the page.")
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Show a run in a browser, while it is measured or from the archive, until told to stop."""
    from ..services.watch import BrowserView, WatchedRun

    with opened_archive(archive) as catalog:
        watched = WatchedRun(catalog, run)
        view = BrowserView(watched.record, host, port, origin or ())
        stopping = threading.Event()

        def read() -> None:
            while not stopping.is_set():
                try:
                    while watched.update() and not stopping.is_set():
                        pass
                except Exception as error:  # the archive may be away for a while; the page stays
                    kind = "" if isinstance(error, QdsizerError) else f"{type(error).__name__}: "
                    logger.warning("no news from %s: %s%s", archive, kind, error)
                stopping.wait(POLL_S)

        reader = threading.Thread(target=read, name="qdsizer-watch")
        for told in (signal.SIGTERM, signal.SIGINT):
            signal.signal(told, lambda *_: view.stop())
        reader.start()
        typer.echo(f"watching at {view.url}")
        if browser:
            webbrowser.open(view.url)
        try:
            view.run()
        finally:
            stopping.set()
            reader.join()

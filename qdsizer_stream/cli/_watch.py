"""``qdsizer-stream watch``: live view of a run in a web browser."""

import logging
import signal
import threading
import webbrowser
from typing import Annotated

import typer

from ..errors import QdsizerError
from ._app import app, examples
from ._archive import opened_archive
from ._run_name import RUN_SETTINGS, OptionalRunName

__all__ = ["watch"]

POLL_S = 1.0
"""Interval between requests to the archive, s."""

logger = logging.getLogger(__name__)


@app.command(
    context_settings=RUN_SETTINGS,
    epilog=examples("watch demo/archive", "watch http://tiled.beamline:8000 -1 --host 0.0.0.0 --no-browser"),
)
def watch(
    archive: Annotated[str, typer.Argument(help="Folder of an embedded archive, or URL of a Tiled server.")],
    run: OptionalRunName = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for a free port.")] = 5006,
    origin: Annotated[
        list[str] | None, typer.Option(help="Additional host:port under which browsers open the page.")
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Show a run in a web browser, while it is measured or from the archive, until interrupted.

    Without a run it shows the newest one with sizes, and each that follows it.
    """
    from ..services.watch import ArchivedRuns, BrowserView
    from ._refined_page import RefinedPages

    with opened_archive(archive) as catalog:
        watched = ArchivedRuns(catalog, run)
        view = BrowserView(watched, host, port, origin or (), RefinedPages())
        stopping = threading.Event()

        def read() -> None:
            while not stopping.is_set():
                try:
                    while watched.update() and not stopping.is_set():
                        pass
                except Exception as error:  # the archive may be unreachable for a while; the page stays
                    kind = "" if isinstance(error, QdsizerError) else f"{type(error).__name__}: "
                    logger.warning("%s cannot be read: %s%s", archive, kind, error)
                stopping.wait(POLL_S)

        reader = threading.Thread(target=read, name="qdsizer-watch")
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: view.stop())
        reader.start()
        typer.echo(f"watching at {view.url}")
        if browser:
            webbrowser.open(view.url)
        try:
            view.run()
        finally:
            stopping.set()
            reader.join()

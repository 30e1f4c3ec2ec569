"""``qdsizer-stream serve``: size the frames that another process measures."""

import logging
import signal
from pathlib import Path
from typing import Annotated

import typer

from ._app import app

__all__ = ["serve"]


@app.command()
def serve(
    config: Annotated[Path, typer.Option(help="TOML file of the service: input, outputs, settings.")],
) -> None:
    """Size the runs that come over 0MQ, Kafka or Tiled, until told to stop."""
    from ..configuration import load_toml
    from ..services import ServeConfig, Service

    # To the error stream, where whoever supervises a service looks for them.
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    service = Service(load_toml(ServeConfig, config))
    for told in (signal.SIGTERM, signal.SIGINT):
        signal.signal(told, lambda *_: service.stop())
    if not service.run():
        raise typer.Exit(1)

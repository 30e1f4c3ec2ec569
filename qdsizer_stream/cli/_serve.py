"""``qdsizer-stream serve``: size frames as a service."""

import logging
import signal
from pathlib import Path
from typing import Annotated

import typer

from ._app import app, examples

__all__ = ["serve"]


@app.command(epilog=examples("serve --config serve.toml", "serve --config /etc/qdsizer/kafka.toml"))
def serve(
    config: Annotated[
        Path, typer.Option(help="TOML file of the service: input, outputs, and settings of the beamline.")
    ],
) -> None:
    """Run as a service: size frames arriving over 0MQ, Kafka or Tiled, until interrupted."""
    from ..configuration import load_toml
    from ..services import ServeConfig, Service

    # To the error stream, where a supervisor such as systemd collects logs.
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    service = Service(load_toml(ServeConfig, config))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    if not service.run():
        raise typer.Exit(1)

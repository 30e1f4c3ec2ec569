"""``qdsizer-stream profile``: check a beamline's settings, give the lines of a start-up file."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ._app import app

__all__ = ["profile"]

LINES = """\
# Sizes every frame that RE measures; safe to run again. Writers given here receive raw documents and
# sizes: do not subscribe them to RE as well, or every run is written twice.
from pathlib import Path

from qdsizer_stream.profiles import install

sizer = install(RE, Path({path!r}))  # add writers: install(RE, Path(…), tiled_writer)
"""


@app.command()
def profile(
    config: Annotated[Path, typer.Argument(help="TOML file of the beamline.")],
) -> None:
    """Check the settings of a beamline; print the lines for its IPython or queue-server start-up file."""
    from ..callbacks import LiveConfig
    from ..configuration import load_toml
    from ..sizing import Sizer

    settings = load_toml(LiveConfig, config)
    sizer = Sizer(settings.sizing)
    console = Console(stderr=True, soft_wrap=True)
    said = settings.wavelength.describe() if settings.wavelength is not None else None
    n_strips = sizer.reducer.detector.n_strips if sizer.reducer is not None else 0
    console.print(
        f"model {sizer.model.name} {sizer.model.sha256[:8]}, {n_strips} strips, "
        f"wavelength from {said or 'nowhere: no frame will be sized unless a run says it, set [wavelength]'}",
        highlight=False,
    )
    typer.echo(LINES.format(path=str(config.resolve())), nl=False)

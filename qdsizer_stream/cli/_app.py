"""The application that gathers the commands."""

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from threadpoolctl import threadpool_limits

from ..errors import QdsizerError, missing_extra

__all__ = ["app", "examples", "main"]

app = typer.Typer(
    name="qdsizer-stream",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def examples(*lines: str) -> str:
    """Format example commands for the end of a help page.

    Parameters
    ----------
    lines
        Arguments of `qdsizer-stream`, one string per example.

    Returns
    -------
    Text for the `epilog` of a command.
    """
    # Rich joins lines within a paragraph: each example is a paragraph.
    return "\n\n".join(["[bold]Examples[/]", *(escape(f"qdsizer-stream {line}") for line in lines)])


def _print_version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        typer.echo(f"qdsizer-stream {__version__}")
        raise typer.Exit


@app.callback(
    epilog=examples("demo --frames 20", "predict pattern.xy --wavelength 0.5637"),
)
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Live sizing of quantum dots from 1-D X-ray frames of a Bluesky run."""


def main() -> None:
    """Run a command; an error of this package is printed as one line, with exit code 1."""
    try:
        # The matrices are small: with two BLAS threads each would wait for the other in a busy loop, and a
        # frame would cost ten times the processor time on busy cores.
        with threadpool_limits(1, "blas"):
            app()
    except (QdsizerError, ModuleNotFoundError) as raised:
        error = missing_extra(raised) if isinstance(raised, ModuleNotFoundError) else raised
        if not isinstance(error, QdsizerError):
            raise
        line = f"[bold red]error:[/] {escape(str(error))}"
        Console(stderr=True, soft_wrap=True).print(line, highlight=False)
        sys.exit(1)

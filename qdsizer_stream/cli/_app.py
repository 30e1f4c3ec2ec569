"""The application that gathers the commands."""

import sys

import typer
from rich.console import Console
from rich.markup import escape
from threadpoolctl import threadpool_limits

from ..errors import QdsizerError

__all__ = ["app", "main"]

app = typer.Typer(
    name="qdsizer-stream",
    help="Live sizing of quantum dots from 1-D X-ray frames.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def main() -> None:
    """Run a command; an error of the package becomes one line and exit code 1."""
    try:
        # The matrices are small: two threads of linear algebra would wait for one another by spinning, and a
        # frame then costs ten times the processor time on busy cores.
        with threadpool_limits(1, "blas"):
            app()
    except QdsizerError as error:
        line = f"[bold red]error:[/] {escape(str(error))}"
        Console(stderr=True, soft_wrap=True).print(line, highlight=False)
        sys.exit(1)

"""``qdsizer-stream simulate``: from a recipe to a library."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ._app import app
from ._progress import progress_bar

__all__ = ["simulate"]


@app.command()
def simulate(
    recipe: Annotated[str, typer.Option(help="Recipe of the package, or a TOML file.")] = "paper",
    out: Annotated[Path, typer.Option(help="HDF5 file to write.")] = Path("library.h5"),
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
) -> None:
    """Simulate a library of patterns."""
    import time

    from ..simulation import build_library, load_recipe

    settings = load_recipe(recipe)
    began = time.perf_counter()
    with progress_bar() as tell, _warnings_as_lines():
        library = build_library(settings, out, tell)
    seconds = time.perf_counter() - began
    n_patterns, n_points = library.intensity.shape
    if as_json:
        summary = {
            "file": str(out),
            "patterns": n_patterns,
            "points": n_points,
            "recipe_sha256": settings.sha256,
            "seconds": seconds,
        }
        typer.echo(json.dumps(summary))
    else:
        typer.echo(f"{out}: {n_patterns} patterns of {n_points} points in {seconds:.1f} s")


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Tell warnings as they come, without the source lines that Python adds."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_: typer.echo(f"warning: {message}", err=True)
        yield

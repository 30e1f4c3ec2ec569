"""``qdsizer-stream train``: from a recipe to a model file."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ._app import app
from ._progress import progress_bar

__all__ = ["train"]


@app.command()
def train(
    out: Annotated[Path, typer.Option(help="Model file to write (.onnx).")],
    recipe: Annotated[str, typer.Option(help="Recipe of the package, or a TOML file.")] = "pbs",
    as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON.")] = False,
) -> None:
    """Train a model and write its file."""
    from ..training import load_training_recipe
    from ..training import train as run

    settings = load_training_recipe(recipe)
    with progress_bar() as tell:
        model = run(settings, out, tell)
    if as_json:
        typer.echo(json.dumps(model.to_dict()))
        return
    table = Table(title=f"{model.name}: {out}")
    table.add_column("result")
    table.add_column("value", justify="right")
    for name, value in {**model.card.training, **model.card.evaluation}.items():
        table.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    Console().print(table)

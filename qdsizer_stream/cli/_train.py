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
    recipe: Annotated[str, typer.Option(help="Recipe of the package, or a TOML file.")] = "pbs",
    out: Annotated[
        Path | None,
        typer.Option(help="Model file to write; NAME.onnx here, of the recipe's name, where left out."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(help="Go on where a training of this recipe was interrupted, or begin anew."),
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON.")] = False,
) -> None:
    """Train a model and write its file.

    The state of the training is kept beside the file until it is done: the same command goes on with it.
    """
    from ..training import Checkpoint, load_training_recipe
    from ..training import train as run

    settings = load_training_recipe(recipe)
    path = Path(f"{settings.name}.onnx") if out is None else out
    checkpoint = Checkpoint.beside(path, settings.sha256)
    errors = Console(stderr=True, soft_wrap=True)
    if not resume:
        checkpoint.discard()
    elif checkpoint.path.exists():
        errors.print(f"going on from {checkpoint.path}", highlight=False, markup=False)
    try:
        with progress_bar() as tell:
            model = run(settings, path, tell)
    except KeyboardInterrupt:
        if checkpoint.path.exists():
            errors.print(
                f"interrupted; {checkpoint.path} holds what is done: the same command goes on from there",
                highlight=False,
                markup=False,
            )
        raise
    if as_json:
        typer.echo(json.dumps(model.to_dict()))
        return
    table = Table(title=f"{model.name}: {path}")
    table.add_column("result")
    table.add_column("value", justify="right")
    for name, value in {**model.card.training, **model.card.evaluation}.items():
        table.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    Console().print(table)

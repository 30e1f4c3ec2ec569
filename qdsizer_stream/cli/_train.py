"""``qdsizer-stream train``: train a model from a recipe."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ..errors import ConfigurationError
from ._app import app, examples
from ._progress import progress_bar

__all__ = ["train"]


@app.command(
    epilog=examples("train --material PbSe", "train --recipe my-material.toml --workers 2 --out mine.onnx")
)
def train(
    recipe: Annotated[
        str | None,
        typer.Option(help="Name of a recipe of this package, or path of a TOML file; by default pbs."),
    ] = None,
    material: Annotated[
        str | None,
        typer.Option(
            help="Instead of a recipe: a material of this package, or a CIF or TOML file, whose recipe is "
            "made as by `recipe new`."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Model file to write; by default NAME.onnx, with the name of the recipe."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(help="Continue an interrupted training of this recipe, or start again."),
    ] = True,
    workers: Annotated[
        int,
        typer.Option(
            help="Processes that train one network together. They share the frames of each step, and the "
            "threads; the number belongs to what determines the model."
        ),
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the model card as JSON.")] = False,
) -> None:
    """Train a model on simulated frames and write its file.

    A checkpoint is kept beside the file until the training is complete; the same command continues from it.
    """
    from ..training import Checkpoint, load_training_recipe, new_recipe
    from ..training import train as run

    if recipe is not None and material is not None:
        raise ConfigurationError("--recipe and --material exclude each other: give one of them")
    settings = load_training_recipe(recipe or "pbs") if material is None else new_recipe(material)
    path = Path(f"{settings.name}.onnx") if out is None else out
    checkpoint = Checkpoint.beside(path, settings.sha256)
    errors = Console(stderr=True, soft_wrap=True)
    n_cores = len(os.sched_getaffinity(0))
    if workers > n_cores:
        errors.print(
            f"{workers} workers share {n_cores} {'core' if n_cores == 1 else 'cores'}, which is slower than "
            f"{n_cores} {'worker' if n_cores == 1 else 'workers'}",
            highlight=False,
            markup=False,
        )
    if not resume:
        checkpoint.discard()
    elif checkpoint.path.exists():
        errors.print(f"continuing from {checkpoint.path}", highlight=False, markup=False)
    try:
        with progress_bar() as show:
            model = run(settings, path, show, workers)
    except KeyboardInterrupt:
        if checkpoint.path.exists():
            errors.print(
                f"interrupted; the same command continues from the checkpoint {checkpoint.path}",
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

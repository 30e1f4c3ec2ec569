"""``qdsizer-stream evaluate``: a model against the paper, against a beamline, against what is no dot."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console, JustifyMethod
from rich.table import Table

from ._app import app
from ._progress import progress_bar

__all__ = ["evaluate"]

FIRST_WIDTH = 24
"""Characters that the name of a row gets in any case."""

FILE_WIDTH = 200
"""Characters of a line where the output is no terminal."""


@app.command()
def evaluate(
    out: Annotated[Path, typer.Option(help="Folder of the report; trainings are kept there too.")],
    model: Annotated[str, typer.Option(help="Model by name or path.")] = "pbs",
    suite: Annotated[
        Literal["paper", "robustness", "hostile", "intervals", "families", "all"],
        typer.Option(help="What the model is put through."),
    ] = "all",
    folds: Annotated[int, typer.Option(help="Folds of the paper's suite; the model is the first.")] = 5,
    patterns: Annotated[int, typer.Option(min=1, help="Patterns of each row of the paper's suite.")] = 2048,
    frames: Annotated[
        int,
        typer.Option(
            min=1,
            help="Frames of each row of robustness and families; intervals draws 64 times as many.",
        ),
    ] = 256,
    hostile: Annotated[int, typer.Option(min=1, help="Frames of each kind of the hostile suite.")] = 20,
    train: Annotated[
        bool,
        typer.Option(help="Train the models that rows need (hours), or leave rows empty that have none yet."),
    ] = False,
    steps: Annotated[
        int, typer.Option(min=1, help="Training steps of each model of the families suite.")
    ] = 1500,
    solvent: Annotated[
        list[Path] | None,
        typer.Option(help="Measured solvent (Q, intensity) for the suites robustness and hostile."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Evaluate a model; leaves report.md, report.json and figures.

    Rows that need a training of their own (folds, one solvent, regression, families) get it with --train and
    keep it in the folder: the same command goes on where it was interrupted.
    """
    from ..patterns import Axis
    from ..simulation import SolventFile
    from ..training.evaluation import EvaluationSettings
    from ..training.evaluation import evaluate as run

    # A solvent's curve over Q has no angles to convert: the wavelength only has to be one.
    solvents = tuple(SolventFile(path=file, wavelength_angstrom=0.56, axis=Axis.Q) for file in solvent or ())
    settings = EvaluationSettings(
        suite=suite,
        n_folds=folds,
        n_patterns=patterns,
        n_frames=frames,
        n_hostile=hostile,
        may_train=train,
        n_steps=steps,
        solvents=solvents,
    )
    with progress_bar() as tell:
        report = run(model, out, settings, tell)
    if as_json:
        typer.echo(report.to_json())
        return
    console = Console()
    if not console.is_terminal:  # a file has no width, and nothing must be cut off
        console = Console(width=FILE_WIDTH)
    for section in report.sections:
        if section.detail:
            continue
        table = Table(title=section.title, title_justify="left")
        for number, name in enumerate(section.columns):
            justify: JustifyMethod = "right" if number else "left"
            table.add_column(name, justify=justify, overflow="fold", min_width=0 if number else FIRST_WIDTH)
        for row in section.texts():
            table.add_row(*row)
        console.print(table)
    console.print(f"{out / 'report.md'}", highlight=False, markup=False)

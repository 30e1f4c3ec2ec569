"""``qdsizer-stream evaluate``: accuracy, robustness and calibration of a model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console, JustifyMethod
from rich.table import Table

from ._app import app, examples
from ._progress import progress_bar

__all__ = ["evaluate"]

if TYPE_CHECKING:
    from ..training.evaluation import Suite

FIRST_WIDTH = 24
"""Minimum width of the first column, characters."""

FILE_WIDTH = 200
"""Line width where the output is not a terminal, characters."""

SUITES = (
    "paper",
    "robustness",
    "negative-controls",
    "other-crystals",
    "intervals",
    "adversarial",
    "families",
    "all",
)

FORMER_SUITES = {"hostile": "negative-controls"}
"""Former names of suites, which are still accepted but not listed."""


def _suite(name: str) -> str:
    """Check the name of a suite, and replace a former one."""
    if name in SUITES:
        return name
    if name in FORMER_SUITES:
        return FORMER_SUITES[name]
    raise typer.BadParameter(f"{name!r} is not one of {', '.join(SUITES)}")


@app.command(
    epilog=examples(
        "evaluate --out report --model pbs --suite intervals",
        "evaluate --out report --model my-material.onnx --suite robustness --frames 64",
    )
)
def evaluate(
    out: Annotated[Path, typer.Option(help="Folder for the report and for models trained by --train.")],
    model: Annotated[str, typer.Option(help="Name of a shipped model, or path of a model file.")] = "pbs",
    suite: Annotated[
        str,
        typer.Option(help="Test suite to run.", parser=_suite, metavar=f"[{'|'.join(SUITES)}]"),
    ] = "all",
    folds: Annotated[
        int, typer.Option(help="Cross-validation folds of the suite paper; the model is the first.")
    ] = 5,
    patterns: Annotated[int, typer.Option(min=1, help="Patterns per row of the suite paper.")] = 2048,
    frames: Annotated[
        int,
        typer.Option(
            min=1,
            help="Frames per row of robustness, adversarial and families; intervals uses 64 times as many.",
        ),
    ] = 256,
    negative_controls: Annotated[
        int,
        typer.Option(
            min=1,
            help="Frames of each kind in negative-controls; other-crystals has 4 times as many.",
        ),
    ] = 20,
    hostile: Annotated[int | None, typer.Option(min=1, hidden=True)] = None,
    train: Annotated[
        bool,
        typer.Option(help="Train the models that some rows need (hours); otherwise these rows stay empty."),
    ] = False,
    steps: Annotated[int, typer.Option(min=1, help="Training steps per model of the suite families.")] = 1500,
    solvent: Annotated[
        list[Path] | None,
        typer.Option(help="Measured solvent (Q, intensity) for the suites robustness and negative-controls."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Evaluate a model and write report.md, report.json and figures.

    Rows that need their own training (folds, one solvent, regression, families) are filled with --train. The
    trained models stay in the folder, and the same command continues an interrupted evaluation.
    """
    from ..patterns import Axis
    from ..simulation import SolventFile
    from ..training.evaluation import EvaluationSettings
    from ..training.evaluation import evaluate as run

    # The solvent's curve is given over Q, so the wavelength is not used; it must only be valid.
    solvents = tuple(SolventFile(path=file, wavelength_angstrom=0.56, axis=Axis.Q) for file in solvent or ())
    settings = EvaluationSettings(
        suite=cast("Suite", suite),
        n_folds=folds,
        n_patterns=patterns,
        n_frames=frames,
        n_negative_controls=negative_controls if hostile is None else hostile,
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
    if not console.is_terminal:  # a file has no width, and no text may be cut off
        console = Console(width=FILE_WIDTH)
    for section in report.sections:
        if section.detail:
            continue
        table = Table(title=section.title, title_justify="left")
        for column, name in enumerate(section.columns):
            justify: JustifyMethod = "right" if column else "left"
            table.add_column(name, justify=justify, overflow="fold", min_width=0 if column else FIRST_WIDTH)
        for row in section.texts():
            table.add_row(*row)
        console.print(table)
    console.print(f"{out / 'report.md'}", highlight=False, markup=False)

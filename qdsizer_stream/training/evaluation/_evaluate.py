"""A model through the suites, and the report of it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ... import __version__
from ...errors import ModelError
from ...models import SizingModel, load_model
from ...simulation import SolventFile
from .._progress import Progress, silent
from ._families_suite import evaluate_families
from ._hostile_suite import evaluate_hostile
from ._intervals_suite import evaluate_intervals
from ._paper_suite import evaluate_paper
from ._pictures import check_drawing, draw_intervals, draw_paper, draw_trainings
from ._report import Report, Section, write_report
from ._robustness_suite import evaluate_robustness

__all__ = ["EvaluationSettings", "Suite", "evaluate"]


Suite = Literal["paper", "robustness", "hostile", "intervals", "families", "all"]
"""What a model is put through: the paper's table with the information limit; frames as a beamline changes
them, through the guards; frames that must not be sized; coverage of the intervals, stratum by stratum;
families of physics left out of training; or all that fits it, families only where models may be trained."""

FRAMES_A_ROW = 64
"""Rows' worth of frames for each physics of the intervals' suite, as it has 72 strata."""


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """How much is done."""

    suite: Suite = "all"
    """What the model is put through."""
    n_folds: int = 5
    """Folds of the paper's suite; the model itself is the first."""
    n_patterns: int = 2048
    """Patterns of each row of the paper's suite, at least."""
    n_frames: int = 256
    """Frames of each row of the suites robustness and families, at least; that of intervals draws 64 times as
    many of each physics."""
    n_hostile: int = 20
    """Frames of each hostile kind."""
    may_train: bool = False
    """Whether rows that need a training get it; without, they take what a former run has left."""
    n_steps: int = 1500
    """Training steps of each model of the suite families."""
    solvents: tuple[SolventFile, ...] = ()
    """Measured solvents for the suites robustness and hostile."""


def evaluate(
    model_name: str, folder: Path, settings: EvaluationSettings, progress: Progress = silent
) -> Report:
    """Put a model through suites, and write ``report.md``, ``report.json`` and figures.

    Trainings of variants are kept in the folder: a run that was interrupted goes on where it was, and a
    second run does not train again.

    Parameters
    ----------
    model_name
        Model by name or path.
    folder
        Folder of the report; made if it is not there.
    settings
        How much is done.
    progress
        Told of each row.

    Returns
    -------
    The report.

    Raises
    ------
    ModelError
        The model is unknown, the suite does not fit it, the folder cannot be written, or Matplotlib is
        not installed.
    """
    model = load_model(model_name)
    try:
        folder.mkdir(parents=True, exist_ok=True)  # known now, not after an hour
    except OSError as error:
        raise ModelError(f"cannot make the folder {folder}: {error.strerror}") from error
    wanted = _fitting(model, settings) if settings.suite == "all" else (settings.suite,)
    check_drawing()
    began = time.perf_counter()
    sections: list[Section] = []
    curves: Mapping[str, Mapping[str, list[float]]] = {}
    if "paper" in wanted:
        results = evaluate_paper(
            model,
            folder / "trainings",
            settings.n_folds,
            settings.n_patterns,
            settings.may_train,
            progress,
        )
        draw_paper(results, model.name, folder / "paper.png")
        if results.curves:
            draw_trainings(results.curves, folder / "trainings.png")
        sections += results.sections
        curves = results.curves
    if "robustness" in wanted:
        sections.append(evaluate_robustness(model, settings.n_frames, settings.solvents, progress))
    if "hostile" in wanted:
        sections.append(evaluate_hostile(model, settings.n_hostile, settings.solvents, progress))
    if "intervals" in wanted:
        intervals = evaluate_intervals(model, FRAMES_A_ROW * settings.n_frames, progress)
        draw_intervals(intervals, model.name, folder / "intervals.png")
        sections += intervals.sections
    if "families" in wanted:
        sections.append(
            evaluate_families(
                model,
                folder / "trainings",
                settings.n_steps,
                settings.n_frames,
                settings.may_train,
                progress,
            )
        )
    facts: dict[str, str | float | int] = {
        "model": model.name,
        "file hash": model.sha256,
        "recipe hash": model.card.recipe_sha256,
        "suite": settings.suite,
        "package": __version__,
        "minutes": round((time.perf_counter() - began) / 60, 1),
    }
    report = Report(f"Evaluation of {model.name}", facts, tuple(sections), curves)
    write_report(report, folder)
    return report


def _fitting(model: SizingModel, settings: EvaluationSettings) -> tuple[str, ...]:
    """Suites that a model can be put through."""
    wanted = ["paper", "robustness", "hostile"]
    if model.card.recipe.get("kind") == "size":
        wanted += ["intervals", "families"] if settings.may_train else ["intervals"]
    return tuple(wanted)

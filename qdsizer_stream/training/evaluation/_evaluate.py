"""Evaluation of a model by suites, and its report."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ... import __version__
from ...errors import ModelError
from ...models import SizingModel, load_model
from ...simulation import Progress, SolventFile, silent
from ._adversarial_suite import evaluate_adversarial
from ._families import Family
from ._families_suite import evaluate_families
from ._intervals_suite import evaluate_intervals
from ._negative_controls_suite import evaluate_look_alikes, evaluate_negative_controls
from ._paper_suite import evaluate_paper
from ._pictures import check_drawing, draw_intervals, draw_paper, draw_trainings
from ._report import Report, Section, write_report
from ._robustness_suite import evaluate_robustness

__all__ = ["EvaluationSettings", "Suite", "evaluate"]


Suite = Literal[
    "paper",
    "robustness",
    "negative-controls",
    "other-crystals",
    "intervals",
    "adversarial",
    "families",
    "all",
]
"""Suites: the paper's table with the information limit; frames that deviate from ideal conditions;
out-of-distribution frames that must be rejected; frames of other crystals; coverage of the intervals by
stratum; kinds of dots and instruments that a size may be wrong for; families of simulations held out from
training; or all that are possible for a model (families only with training)."""

INTERVALS_FRAMES_FACTOR = 64
"""Factor on the number of frames for each stream of the intervals suite, which divides them into 72
strata."""

LOOK_ALIKES_FACTOR = 4
"""Factor on the number of negative controls for each other crystal: 5200 frames in the default evaluation."""


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """Settings of an evaluation."""

    suite: Suite = "all"
    """Suite to run."""
    n_folds: int = 5
    """Number of folds of the paper suite; the model itself is the first."""
    n_patterns: int = 2048
    """Minimum number of patterns in each row of the paper suite."""
    n_frames: int = 256
    """Minimum number of frames in each row of the suites robustness, adversarial and families; the intervals
    suite draws 64 times as many from each stream."""
    n_negative_controls: int = 20
    """Number of frames of each kind of negative control."""
    may_train: bool = False
    """Whether to train variants that rows need; otherwise only variants of earlier runs are used."""
    n_steps: int = 1500
    """Number of training steps of each model of the families suite."""
    solvents: tuple[SolventFile, ...] = ()
    """Measured solvents for the suites robustness and negative-controls."""
    families: tuple[Family, ...] | None = None
    """Families to hold out in the families suite; None for those of the package."""


def evaluate(
    model_name: str, folder: str | os.PathLike[str], settings: EvaluationSettings, progress: Progress = silent
) -> Report:
    """Evaluate a model by suites, and write ``report.md``, ``report.json`` and figures.

    Trained variants are stored in the folder: an interrupted evaluation is resumed, and another evaluation
    does not train them again.

    Parameters
    ----------
    model_name
        Name or path of the model.
    folder
        Folder of the report; created if it does not exist.
    settings
        Settings of the evaluation.
    progress
        Called for each row.

    Returns
    -------
    The report.

    Raises
    ------
    ModelError
        The model is unknown, the suite is not possible for it, the folder cannot be written, or Matplotlib
        is not installed.
    """
    folder = Path(folder)
    model = load_model(model_name)
    try:
        folder.mkdir(parents=True, exist_ok=True)  # fails now rather than after an hour
    except OSError as error:
        raise ModelError(
            f"cannot create the folder {folder}: {error.strerror}; choose a writable folder"
        ) from error
    suites = _possible_suites(model, settings) if settings.suite == "all" else (settings.suite,)
    check_drawing()
    start = time.perf_counter()
    sections: list[Section] = []
    curves: Mapping[str, Mapping[str, list[float]]] = {}
    if "paper" in suites:
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
    if "robustness" in suites:
        sections.append(evaluate_robustness(model, settings.n_frames, settings.solvents, progress))
    if "negative-controls" in suites:
        sections.append(
            evaluate_negative_controls(model, settings.n_negative_controls, settings.solvents, progress)
        )
    if "other-crystals" in suites:
        n_per_crystal = LOOK_ALIKES_FACTOR * settings.n_negative_controls
        sections.append(evaluate_look_alikes(model, n_per_crystal, progress))
    if "intervals" in suites:
        intervals = evaluate_intervals(model, INTERVALS_FRAMES_FACTOR * settings.n_frames, progress)
        draw_intervals(intervals, model.name, folder / "intervals.png")
        sections += intervals.sections
    if "adversarial" in suites:
        sections.append(evaluate_adversarial(model, settings.n_frames, progress))
    if "families" in suites:
        sections.append(
            evaluate_families(
                model,
                folder / "trainings",
                settings.n_steps,
                settings.n_frames,
                settings.may_train,
                progress,
                settings.families,
            )
        )
    facts: dict[str, str | float | int] = {
        "model": model.name,
        "file hash": model.sha256,
        "recipe hash": model.card.recipe_sha256,
        "suite": settings.suite,
        "package": __version__,
        "minutes": round((time.perf_counter() - start) / 60, 1),
    }
    report = Report(f"Evaluation of {model.name}", facts, tuple(sections), curves)
    write_report(report, folder)
    return report


def _possible_suites(model: SizingModel, settings: EvaluationSettings) -> tuple[str, ...]:
    """Suites that are possible for a model."""
    suites = ["paper", "robustness", "negative-controls", "other-crystals"]
    if model.card.recipe.get("kind") == "size":
        suites += ["intervals", "families"] if settings.may_train else ["intervals"]
    return tuple(suites)

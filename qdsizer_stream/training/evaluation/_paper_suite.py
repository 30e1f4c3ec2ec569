"""Every row of the paper's table, with the published figure and the information limit beside it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import ModelError
from ...models import GaussianOutput, PaperInput, SizingModel
from ...simulation import area_fraction_from_weight_fraction, load_recipe, simulate
from .._progress import Progress
from .._recipe import PaperRecipe, load_training_recipe
from ._benchmark import Benchmark, Condition
from ._paper_classes import by_size, confusion_matrix, confusion_table
from ._paper_rows import COLUMNS, PaperRows
from ._paper_trained import fold_rows, solvent_rows, twin_row, zero_padding_row
from ._report import Section
from ._variants import Predictor, Variants, by_model

__all__ = ["PaperResults", "evaluate_paper"]

Q_HIGHS = (15.0, 12.0, 10.0, 8.0, 7.0, 6.0, 5.0, 4.4, 4.0, 3.5, 3.0, 2.5)
PUBLISHED_Q_HIGH = {4.4: "> 97", 2.5: "48"}
Q_LOW = 1.7
COARSEST = 20
"""Every 20th of 5004 points leaves 251, the coarsest that the paper tries."""
PUBLISHED_STEPS = {4: "> 90"}

PAPER_PERCENT = (100, 60, 44, 30, 20, 15, 10, 7, 6, 4, 2)
"""Eleven concentrations in the words of the paper, from dry to the lowest it tries."""
PUBLISHED_FROM_PERCENT = 6
PAPER_AREA_RATIO = 2.364
"""Area per gram of dots over that of solvent that makes the paper's 44, 20 and 7 % its area fractions 0.65,
0.37 and 0.15; the real one is 10.6."""


@dataclass(frozen=True, eq=False)
class PaperResults:
    """What the suite has found."""

    sections: tuple[Section, ...]
    """Tables."""
    confusion: NDArray[np.int64]
    """Patterns of each class (rows) put into each class (columns)."""
    classes_nm: NDArray[np.float64]
    """Size classes, nm."""
    curves: dict[str, dict[str, list[float]]]
    """Loss and accuracy of every epoch, by variant."""


def evaluate_paper(
    model: SizingModel, folder: Path, n_folds: int, n_patterns: int, may_train: bool, progress: Progress
) -> PaperResults:
    """Run the suite.

    Parameters
    ----------
    model
        Model, of classes or of sizes; a size counts as the class nearest to it.
    folder
        Where trainings of the variants are kept.
    n_folds
        Folds to run, 1 to that of the recipe; the model itself is the first.
    n_patterns
        Patterns a row, at least.
    may_train
        Whether variants that are not in the folder may be trained.
    progress
        Told of each row and epoch.

    Returns
    -------
    The tables.

    Raises
    ------
    ModelError
        The model is of another material than the benchmark, or has fewer folds than asked for.
    """
    # A model of the benchmark is one of its folds; another has seen none of its parents.
    own = PaperRecipe.model_validate(model.card.recipe) if model.card.recipe.get("kind") == "paper" else None
    recipe = own or _paper_recipe()
    if not 1 <= n_folds <= recipe.n_folds:
        raise ModelError(f"{n_folds} folds asked for: the recipe has {recipe.n_folds}, give 1 to that")
    library_recipe = load_recipe(recipe.library)
    if library_recipe.material != model.card.material:
        raise ModelError(
            f"the paper's suite is of {library_recipe.material}, {model.name} sizes "
            f"{model.card.material}: choose the suites robustness or hostile"
        )
    library = simulate(library_recipe, progress)
    variants = Variants(folder, library, may_train, progress)
    rows = PaperRows(
        Benchmark(library, recipe.augmentation),
        own,
        isinstance(model.card.output, GaussianOutput),
        n_patterns,
        n_folds + 4 + len(Q_HIGHS) + 3 + COARSEST + len(PAPER_PERCENT),
        progress,
    )
    predictor = by_model(model)
    sections = [
        _full_range(rows, variants, predictor, n_folds),
        _q_range(rows, variants, predictor, isinstance(model.card.input, PaperInput)),
        _steps(rows, predictor),
        _concentrations(rows, predictor),
        _experiment(),
    ]
    classes = rows.benchmark.classes_nm
    confusion = confusion_matrix(rows.seen, classes)
    sections += [confusion_table(confusion, classes), by_size(rows.seen, classes)]
    if variants.curves:
        sections.append(_trainings(variants.curves))
    return PaperResults(tuple(sections), confusion, classes, variants.curves)


def _paper_recipe() -> PaperRecipe:
    recipe = load_training_recipe("pbs-paper")
    assert isinstance(recipe, PaperRecipe)
    return recipe


def _full_range(rows: PaperRows, variants: Variants, predictor: Predictor, n_folds: int) -> Section:
    if rows.recipe is None:
        name = "17 classes, nothing trained on the library"
        made = [rows.row(name, "> 97", Condition(), predictor, keep=True)]
    else:
        made = fold_rows(rows, variants, rows.recipe, predictor, n_folds)
    made.append(rows.row("dry (area fraction 1)", "100", Condition(area_fractions=(1.0,)), predictor))
    if rows.recipe is not None:
        if rows.recipe.target is None:
            made.append(twin_row(rows, variants, rows.recipe))
        made += solvent_rows(rows, variants, rows.recipe)
    truth = (
        "Errors and intervals are held against the realised number mean of a pattern, which this model "
        "answers with; classes are nominal."
        if rows.realised
        else "Errors are held against the class."
    )
    return Section(
        "Full range",
        "Patterns of the paper's library in its solvents, dilutions and count rates, counted anew. Split "
        "by parent: no version of a tested pattern was trained on (the paper splits versions). A size counts "
        f"as the class nearest to it. {truth} A row without a figure needs a training: give --train.",
        COLUMNS,
        tuple(made),
    )


def _q_range(rows: PaperRows, variants: Variants, predictor: Predictor, padded: bool) -> Section:
    made = [
        rows.row(
            f"Qmax {high:g} Å⁻¹", PUBLISHED_Q_HIGH.get(high), Condition(q_high_inv_angstrom=high), predictor
        )
        for high in Q_HIGHS
    ]
    low = Condition(q_low_inv_angstrom=Q_LOW)
    made.append(rows.row(f"Qmin {Q_LOW:g} Å⁻¹", "83", low, predictor))
    if padded:
        zero = Condition(q_low_inv_angstrom=Q_LOW, padding="zero")
        made.append(rows.row(f"Qmin {Q_LOW:g} Å⁻¹, zero padding", "41", zero, predictor))
        trained = None if rows.recipe is None else zero_padding_row(rows, variants, rows.recipe, zero)
        if trained is not None:
            made.append(trained)
    return Section(
        "Q range",
        "The same patterns, cut. What is missing is padded with the mean of the last (first) five "
        "points or with zeros, where a model takes the paper's vector; a binned one sees where data end.",
        COLUMNS,
        tuple(made),
        "paper.png",
    )


def _steps(rows: PaperRows, predictor: Predictor) -> Section:
    n_points = rows.benchmark.q_inv_angstrom.size
    made = [
        rows.row(
            f"every {every} ({-(-n_points // every)} points)",
            PUBLISHED_STEPS.get(every),
            Condition(every=every),
            predictor,
        )
        for every in range(1, COARSEST + 1)
    ]
    return Section(
        "Coarser steps",
        "Every n-th point is left, with the photons it had: coarser steps are fewer photons too.",
        COLUMNS,
        tuple(made),
    )


def _concentrations(rows: PaperRows, predictor: Predictor) -> Section:
    made = []
    for percent in PAPER_PERCENT:
        fraction = area_fraction_from_weight_fraction(percent / 100, PAPER_AREA_RATIO)
        published = "> 90" if PUBLISHED_FROM_PERCENT <= percent < 100 else None
        name = f"{percent} %, area fraction {fraction:.3f}"
        made.append(rows.row(name, published, Condition(area_fractions=(fraction,)), predictor))
    return Section(
        "Concentration",
        "Per cent in the words of the paper, which are not by weight. Dilutions between and below those "
        "of the training, too. The limit knows the dilutions of the training and that of the row.",
        COLUMNS,
        tuple(made),
    )


def _experiment() -> Section:
    return Section(
        "Experiment",
        "The paper's mean and largest error on patterns that it measured. They are not part of the package: "
        "size yours with `qdsizer-stream predict` and hold them against a refinement.",
        ("patterns", "published mean error (nm)", "published largest (nm)"),
        (
            ("14 colloids at a synchrotron, 3 to 7.6 nm", 0.11, 0.26),
            ("8 dried films in a laboratory, Cu Kα, Q to 5.2–7.2 Å⁻¹", 0.25, 0.53),
        ),
    )


def _trainings(curves: dict[str, dict[str, list[float]]]) -> Section:
    return Section(
        "Trainings",
        "Loss and accuracy on validation patterns after every epoch; the best weights are kept.",
        ("variant", "epochs", "least loss", "accuracy there %"),
        tuple(
            (
                name,
                len(curve["validation_loss"]),
                min(curve["validation_loss"]),
                curve["validation_accuracy"][int(np.argmin(curve["validation_loss"]))],
            )
            for name, curve in curves.items()
        ),
        "trainings.png",
    )

"""The paper suite: every row of the paper's table, with the published value and the information limit."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import ModelError
from ...models import GaussianOutput, PaperInput, SizingModel
from ...simulation import Progress, area_fraction_from_weight_fraction, load_recipe, simulate
from .._recipe import PaperRecipe, load_training_recipe
from ._benchmark import Benchmark, Condition
from ._paper_classes import by_size, confusion_matrix, confusion_table
from ._paper_rows import COLUMNS, PaperRows
from ._paper_trained import fold_rows, regression_row, solvent_rows, zero_padding_row
from ._report import Section
from ._variants import Predictor, Variants, by_model

__all__ = ["PaperResults", "evaluate_paper"]

Q_HIGHS = (15.0, 12.0, 10.0, 8.0, 7.0, 6.0, 5.0, 4.4, 4.0, 3.5, 3.0, 2.5)
PUBLISHED_Q_HIGH = {4.4: "> 97", 2.5: "48"}
Q_LOW = 1.7
MAX_EVERY = 20
"""Coarsest sampling in the paper: every 20th of 5004 points, which leaves 251."""
PUBLISHED_STEPS = {4: "> 90"}

PAPER_PERCENT = (100, 60, 44, 30, 20, 15, 10, 7, 6, 4, 2)
"""The eleven concentrations of the paper, as named there, from solvent-free to the most dilute."""
PUBLISHED_FROM_PERCENT = 6
PAPER_AREA_RATIO = 2.364
"""Ratio of the areas per gram of dots and solvent with which the paper's 44, 20 and 7 % are its area
fractions 0.65, 0.37 and 0.15; the physical ratio is 10.6."""


@dataclass(frozen=True, eq=False)
class PaperResults:
    """Results of the paper suite."""

    sections: tuple[Section, ...]
    """Tables of the report."""
    confusion: NDArray[np.int64]
    """Number of patterns of each true class (rows) assigned to each class (columns)."""
    classes_nm: NDArray[np.float64]
    """Size classes, nm."""
    curves: dict[str, dict[str, list[float]]]
    """Loss and accuracy after every epoch, by name of the variant."""


def evaluate_paper(
    model: SizingModel, folder: Path, n_folds: int, n_patterns: int, may_train: bool, progress: Progress
) -> PaperResults:
    """Run the paper suite.

    Parameters
    ----------
    model
        Model that predicts classes or sizes; a size counts as the nearest class.
    folder
        Folder of the trained variants.
    n_folds
        Number of folds to run, up to that of the recipe; the model itself is the first.
    n_patterns
        Minimum number of patterns per row.
    may_train
        Whether to train variants that are not in the folder.
    progress
        Called for each row and epoch.

    Returns
    -------
    The results.

    Raises
    ------
    ModelError
        The model is for another material than the benchmark, or n_folds exceeds that of the recipe.
    """
    # A paper model is the first fold of the benchmark; other models were not trained on the library.
    own = PaperRecipe.model_validate(model.card.recipe) if model.card.recipe.get("kind") == "paper" else None
    recipe = own or _paper_recipe()
    if not 1 <= n_folds <= recipe.n_folds:
        raise ModelError(
            f"n_folds = {n_folds}, but the recipe has {recipe.n_folds} folds: give 1 to {recipe.n_folds}"
        )
    library_recipe = load_recipe(recipe.library)
    if library_recipe.material != model.card.material:
        raise ModelError(
            f"the paper suite is for {library_recipe.material}, but {model.name} sizes "
            f"{model.card.material}: choose the suite robustness or negative-controls"
        )
    library = simulate(library_recipe, progress)
    variants = Variants(folder, library, may_train, progress)
    rows = PaperRows(
        Benchmark(library, recipe.augmentation),
        own,
        isinstance(model.card.output, GaussianOutput),
        n_patterns,
        n_folds + 4 + len(Q_HIGHS) + 3 + MAX_EVERY + len(PAPER_PERCENT),
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
    confusion = confusion_matrix(rows.sized, classes)
    sections += [confusion_table(confusion, classes), by_size(rows.sized, classes)]
    if variants.curves:
        sections.append(_trainings(variants.curves))
    return PaperResults(tuple(sections), confusion, classes, variants.curves)


def _paper_recipe() -> PaperRecipe:
    recipe = load_training_recipe("pbs-paper")
    assert isinstance(recipe, PaperRecipe)
    return recipe


def _full_range(rows: PaperRows, variants: Variants, predictor: Predictor, n_folds: int) -> Section:
    if rows.recipe is None:
        name = "17 classes, not trained on the library"
        table = [rows.row(name, "> 97", Condition(), predictor, keep=True)]
    else:
        table = fold_rows(rows, variants, rows.recipe, predictor, n_folds)
    table.append(
        rows.row("solvent-free (area fraction 1)", "100", Condition(area_fractions=(1.0,)), predictor)
    )
    if rows.recipe is not None:
        if rows.recipe.target is None:
            table.append(regression_row(rows, variants, rows.recipe))
        table += solvent_rows(rows, variants, rows.recipe)
    truth = (
        "Errors and intervals refer to the realised number mean of a pattern, which this model predicts; "
        "classes are nominal."
        if rows.realised
        else "Errors refer to the nominal class."
    )
    return Section(
        "Full range",
        "Patterns of the paper's library in its solvents, area fractions and numbers of counts, with new "
        "photon noise. Split by parent: no version of a tested pattern was used in training (the paper "
        f"splits versions). A size counts as the nearest class. {truth} A row without values needs a trained "
        "variant: give --train.",
        COLUMNS,
        tuple(table),
    )


def _q_range(rows: PaperRows, variants: Variants, predictor: Predictor, padded: bool) -> Section:
    table = [
        rows.row(
            f"Qmax {high:g} Å⁻¹", PUBLISHED_Q_HIGH.get(high), Condition(q_high_inv_angstrom=high), predictor
        )
        for high in Q_HIGHS
    ]
    low = Condition(q_low_inv_angstrom=Q_LOW)
    table.append(rows.row(f"Qmin {Q_LOW:g} Å⁻¹", "83", low, predictor))
    if padded:
        zero = Condition(q_low_inv_angstrom=Q_LOW, padding="zero")
        table.append(rows.row(f"Qmin {Q_LOW:g} Å⁻¹, zero padding", "41", zero, predictor))
        trained = None if rows.recipe is None else zero_padding_row(rows, variants, rows.recipe, zero)
        if trained is not None:
            table.append(trained)
    return Section(
        "Q range",
        "The same patterns with a shorter Q range. For models that take the vector of the paper, missing "
        "points are padded with the mean of the last (first) five points or with zeros; a binned model "
        "receives the range of the data.",
        COLUMNS,
        tuple(table),
        "paper.png",
    )


def _steps(rows: PaperRows, predictor: Predictor) -> Section:
    n_points = rows.benchmark.q_inv_angstrom.size
    table = [
        rows.row(
            f"every {every} ({-(-n_points // every)} points)",
            PUBLISHED_STEPS.get(every),
            Condition(every=every),
            predictor,
        )
        for every in range(1, MAX_EVERY + 1)
    ]
    return Section(
        "Coarser steps",
        "Every n-th point is kept with its photons, so coarser steps also have fewer photons.",
        COLUMNS,
        tuple(table),
    )


def _concentrations(rows: PaperRows, predictor: Predictor) -> Section:
    table = []
    for percent in PAPER_PERCENT:
        fraction = area_fraction_from_weight_fraction(percent / 100, PAPER_AREA_RATIO)
        published = "> 90" if PUBLISHED_FROM_PERCENT <= percent < 100 else None
        name = f"{percent} %, area fraction {fraction:.3f}"
        table.append(rows.row(name, published, Condition(area_fractions=(fraction,)), predictor))
    return Section(
        "Concentration",
        "Concentrations in per cent as named in the paper, which are not by weight, including values between "
        "and below those of the training. The limit includes the area fractions of the training and of the "
        "row.",
        COLUMNS,
        tuple(table),
    )


def _experiment() -> Section:
    return Section(
        "Experiment",
        "Mean and maximum error of the paper on its measured patterns. These patterns are not part of the "
        "package: size your own with `qdsizer-stream predict` and compare them with a refinement.",
        ("patterns", "published mean error (nm)", "published maximum error (nm)"),
        (
            ("14 colloids at a synchrotron, 3 to 7.6 nm", 0.11, 0.26),
            ("8 dried films in a laboratory, Cu Kα, Q to 5.2–7.2 Å⁻¹", 0.25, 0.53),
        ),
    )


def _trainings(curves: dict[str, dict[str, list[float]]]) -> Section:
    return Section(
        "Trainings",
        "Loss and accuracy on the validation patterns; the weights of the lowest loss are kept.",
        ("variant", "epochs", "minimum loss", "accuracy there %"),
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

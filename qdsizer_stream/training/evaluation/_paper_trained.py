"""Rows of the paper's table that need an additional training."""

from .._recipe import PaperRecipe
from ._benchmark import Condition
from ._paper_rows import PaperRows
from ._report import Cell
from ._variants import Predictor, Variant, Variants

__all__ = ["fold_rows", "regression_row", "solvent_rows", "zero_padding_row"]

Row = tuple[Cell, ...]


def fold_rows(
    rows: PaperRows, variants: Variants, recipe: PaperRecipe, own: Predictor, n_folds: int
) -> list[Row]:
    """Accuracy on the full Q range, with each fold tested on its held-out parents.

    Parameters
    ----------
    rows, variants
        Row computation and trained variants.
    recipe
        Recipe of the model.
    own
        Predictor of the model, which is the first fold.
    n_folds
        Number of folds to run.

    Returns
    -------
    One row per fold, and their mean.
    """
    table = [rows.row("17 classes, held-out parents", "> 97", Condition(), own, keep=True)]
    for fold in range(1, n_folds):
        predictor = variants.predictor(Variant(f"fold-{fold + 1}", recipe, fold))
        table.append(rows.row(f"fold {fold + 1}", "> 97", Condition(), predictor, fold, keep=True))
    trained = [row for row in table if row[2] is not None]
    means = [
        sum(column) / len(trained) if all(isinstance(cell, float) for cell in column) else None
        for column in zip(*(row[2:8] for row in trained), strict=True)
    ]
    name = f"mean of {len(trained)} of {recipe.n_folds} folds"
    return [*table, (name, "> 97", *means, sum(int(row[8] or 0) for row in trained))]


def regression_row(rows: PaperRows, variants: Variants, recipe: PaperRecipe) -> Row:
    """Accuracy of a regression with the network and patterns of the classifier.

    Parameters
    ----------
    rows, variants
        Row computation and trained variants.
    recipe
        Recipe of the classifier.

    Returns
    -------
    The row.
    """
    regression = variants.predictor(Variant("regression", recipe.model_copy(update={"target": "size"})))
    return rows.row("regression (published: within 0.25 nm)", "91", Condition(), regression)


def solvent_rows(rows: PaperRows, variants: Variants, recipe: PaperRecipe) -> list[Row]:
    """Accuracy of variants trained on one solvent and tested on the others.

    Parameters
    ----------
    rows, variants
        Row computation and trained variants.
    recipe
        Recipe of the model.

    Returns
    -------
    One row per solvent; none if the recipe has only one.
    """
    table = []
    for solvent in recipe.augmentation.solvents:
        others = tuple(s for s in recipe.augmentation.solvents if s != solvent)
        if not others:
            continue
        augmentation = recipe.augmentation.model_copy(update={"solvents": (solvent,)})
        one_solvent = recipe.model_copy(update={"augmentation": augmentation})
        predictor = variants.predictor(Variant(f"{solvent}-only", one_solvent))
        name = f"trained in {solvent}, tested in {', '.join(others)}"
        table.append(rows.row(name, "~ 60", Condition(solvents=others), predictor))
    return table


def zero_padding_row(
    rows: PaperRows, variants: Variants, recipe: PaperRecipe, condition: Condition
) -> Row | None:
    """Accuracy of a variant whose shortened training patterns were padded with zeros.

    Parameters
    ----------
    rows, variants
        Row computation and trained variants.
    recipe
        Recipe of the model.
    condition
        Shortened Q range with zero padding.

    Returns
    -------
    The row; None if the training shortens no patterns, as in the paper.
    """
    degradation = recipe.augmentation.degradation
    if degradation is None:
        return None
    padded = degradation.model_copy(update={"padding": "zero"})
    augmentation = recipe.augmentation.model_copy(update={"degradation": padded})
    zero = recipe.model_copy(update={"augmentation": augmentation})
    predictor = variants.predictor(Variant("zero-padding", zero))
    name = f"Qmin {condition.q_low_inv_angstrom:g} Å⁻¹, zero padding in training"
    return rows.row(name, "41", condition, predictor)

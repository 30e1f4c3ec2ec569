"""Rows of the paper's table that need a training of their own."""

from .._recipe import PaperRecipe
from ._benchmark import Condition
from ._paper_rows import PaperRows
from ._report import Cell
from ._variants import Predictor, Variant, Variants

__all__ = ["fold_rows", "solvent_rows", "twin_row", "zero_padding_row"]

Row = tuple[Cell, ...]


def fold_rows(
    rows: PaperRows, variants: Variants, recipe: PaperRecipe, own: Predictor, n_folds: int
) -> list[Row]:
    """The classes of the full range, each fold tested on parents that it has not seen.

    Parameters
    ----------
    rows, variants
        Who makes rows and trains.
    recipe
        Recipe of the model.
    own
        The model, which is the first fold.
    n_folds
        Folds to run.

    Returns
    -------
    One row a fold, and their mean.
    """
    made = [rows.row("17 classes, parents never seen", "> 97", Condition(), own, keep=True)]
    for fold in range(1, n_folds):
        predictor = variants.predictor(Variant(f"fold-{fold + 1}", recipe, fold))
        made.append(rows.row(f"fold {fold + 1}", "> 97", Condition(), predictor, fold, keep=True))
    ran = [row for row in made if row[2] is not None]
    means = [
        sum(column) / len(ran) if all(isinstance(cell, float) for cell in column) else None
        for column in zip(*(row[2:8] for row in ran), strict=True)
    ]
    name = f"mean of {len(ran)} of {recipe.n_folds} folds"
    return [*made, (name, "> 97", *means, sum(int(row[8] or 0) for row in ran))]


def twin_row(rows: PaperRows, variants: Variants, recipe: PaperRecipe) -> Row:
    """The regression with the network and patterns of the classifier.

    Parameters
    ----------
    rows, variants
        Who makes rows and trains.
    recipe
        Recipe of the classifier.

    Returns
    -------
    The row.
    """
    twin = variants.predictor(Variant("regression", recipe.model_copy(update={"target": "size"})))
    return rows.row("regression (published: within 0.25 nm)", "91", Condition(), twin)


def solvent_rows(rows: PaperRows, variants: Variants, recipe: PaperRecipe) -> list[Row]:
    """Trained on one solvent and tested on the others.

    Parameters
    ----------
    rows, variants
        Who makes rows and trains.
    recipe
        Recipe of the model.

    Returns
    -------
    One row a solvent, none where there is one alone.
    """
    made = []
    for solvent in recipe.augmentation.solvents:
        others = tuple(s for s in recipe.augmentation.solvents if s != solvent)
        if not others:
            continue
        augmentation = recipe.augmentation.model_copy(update={"solvents": (solvent,)})
        alone = recipe.model_copy(update={"augmentation": augmentation})
        predictor = variants.predictor(Variant(f"{solvent}-only", alone))
        name = f"trained in {solvent}, tested in {', '.join(others)}"
        made.append(rows.row(name, "~ 60", Condition(solvents=others), predictor))
    return made


def zero_padding_row(
    rows: PaperRows, variants: Variants, recipe: PaperRecipe, condition: Condition
) -> Row | None:
    """Trained on patterns that were padded with zeros where they were cut.

    Parameters
    ----------
    rows, variants
        Who makes rows and trains.
    recipe
        Recipe of the model.
    condition
        A cut, padded with zeros.

    Returns
    -------
    The row; None where the training cuts nothing, as the paper's.
    """
    degradation = recipe.augmentation.degradation
    if degradation is None:
        return None
    padded = degradation.model_copy(update={"padding": "zero"})
    augmentation = recipe.augmentation.model_copy(update={"degradation": padded})
    zero = recipe.model_copy(update={"augmentation": augmentation})
    predictor = variants.predictor(Variant("zero-padding", zero))
    name = f"Qmin {condition.q_low_inv_angstrom:g} Å⁻¹, zero padding, trained with it"
    return rows.row(name, "41", condition, predictor)

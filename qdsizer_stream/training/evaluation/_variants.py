"""Trained variants of the paper's network: other folds, one solvent, regression, zero padding."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...models import SizingModel
from ...patterns import Pattern, paper_vector
from ...simulation import Library
from .._checkpoint import Checkpoint
from .._paper_fit import PaperFit, fit_paper_set, kept_fit
from .._paper_set import PaperSet, augment
from .._progress import Progress
from .._recipe import PaperRecipe

__all__ = ["Predictor", "Variant", "Variants", "by_fit", "by_model"]

Predictor = Callable[[list[Pattern]], NDArray[np.float64]]
"""Sizes of patterns, nm; NaN where a pattern cannot be standardized."""


@dataclass(frozen=True)
class Variant:
    """One training."""

    name: str
    """Name of its files."""
    recipe: PaperRecipe
    """What is trained."""
    fold: int = 0
    """Fold of the parents that it does not see."""


class Variants:
    """Trains variants, or takes them from a folder where they were trained before.

    Parameters
    ----------
    folder
        Where trainings are kept; one that was interrupted goes on.
    library
        Patterns of the recipes.
    may_train
        Whether what is not in the folder may be trained.
    progress
        Told of each epoch.
    """

    def __init__(self, folder: Path, library: Library, may_train: bool, progress: Progress) -> None:
        self._folder = folder
        self._library = library
        self._may_train = may_train
        self._progress = progress
        self._set: tuple[str, PaperSet] | None = None

    def get(self, variant: Variant) -> PaperFit | None:
        """Have a variant trained.

        Parameters
        ----------
        variant
            What is asked for.

        Returns
        -------
        The trained network; None where it is not in the folder and may not be trained.
        """
        recipe = variant.recipe
        # The recipe's hash alone does not tell the fold.
        digest = hashlib.sha256(f"{recipe.sha256} {variant.fold}".encode()).hexdigest()
        checkpoint = Checkpoint(self._folder / f"{variant.name}-{digest[:12]}.checkpoint", digest)
        kept = kept_fit(recipe, checkpoint)
        if kept is not None or not self._may_train:
            return kept
        self._folder.mkdir(exist_ok=True)

        def tell(what: str, done: int, total: int) -> None:
            self._progress(f"{variant.name}: {what}", done, total)

        fit_paper_set(recipe, self._patterns(recipe), variant.fold, tell, checkpoint)
        return kept_fit(recipe, checkpoint)

    def _patterns(self, recipe: PaperRecipe) -> PaperSet:
        """The training patterns, kept for the next variant: they are most of the memory."""
        key = recipe.augmentation.model_copy(update={"degradation": None}).model_dump_json()
        if self._set is None or self._set[0] != key:
            self._set = None  # two sets at a time are 1.7 GB
            self._progress("augmenting", 0, 1)
            self._set = key, augment(self._library, recipe.augmentation, recipe.seed)
        return self._set[1]


def by_model(model: SizingModel) -> Predictor:
    """Predict with a model file, one pattern at a time as in a run.

    Parameters
    ----------
    model
        The model.

    Returns
    -------
    The predictor.
    """
    return lambda patterns: np.array([model.answer(pattern).size_nm for pattern in patterns])


def by_fit(fit: PaperFit, library: Library) -> Predictor:
    """Predict with a trained variant.

    Parameters
    ----------
    fit
        Trained network.
    library
        Patterns it was trained on, for their grid.

    Returns
    -------
    The predictor.
    """
    grid = library.recipe.grid
    return lambda patterns: fit.sizes_nm(np.array([paper_vector(pattern, grid) for pattern in patterns]))

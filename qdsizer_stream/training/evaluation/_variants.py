"""Trained variants of the paper's network: other folds, one solvent, regression, zero padding."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...models import SizingModel, load_model
from ...patterns import Pattern, paper_vector
from ...simulation import Library, Progress
from .._checkpoint import Checkpoint
from .._paper_fit import PaperFit, finished_fit, fit_paper_set
from .._paper_set import PaperSet, augment
from .._recipe import PaperRecipe

__all__ = ["Predictor", "Variant", "Variants", "by_model"]

Predictor = Callable[[list[Pattern]], NDArray[np.float64]]
"""Function that predicts the size of each pattern and its 95 % interval, nm, shape (n, 3); NaN for no
interval."""

IRRELEVANT_KEYS = {"name", "description", "guard"}
"""Keys of a recipe on which the trained network does not depend."""


@dataclass(frozen=True)
class Variant:
    """One variant of a training."""

    name: str
    """Name of its files, without hash and suffix."""
    recipe: PaperRecipe
    """Recipe of the training."""
    fold: int = 0
    """Index of the held-out fold of parents."""


class Variants:
    """Trains variants, or loads them from a folder of earlier trainings.

    Parameters
    ----------
    folder
        Folder of the trainings; an interrupted training is resumed. Model files that ``qdsizer-stream train``
        created from the recipe of a variant are also used.
    library
        Library of the recipes.
    may_train
        Whether to train variants that are not in the folder.
    progress
        Called after each epoch.
    """

    def __init__(self, folder: Path, library: Library, may_train: bool, progress: Progress) -> None:
        self._folder = folder
        self._library = library
        self._may_train = may_train
        self._progress = progress
        self._set: tuple[str, PaperSet] | None = None
        self._models = [load_model(str(path)) for path in sorted(folder.glob("*.onnx"))]
        self.curves: dict[str, dict[str, list[float]]] = {}
        """Loss and accuracy after every epoch of the variants used, by name."""

    def predictor(self, variant: Variant) -> Predictor | None:
        """Predictor of a variant.

        Parameters
        ----------
        variant
            The variant.

        Returns
        -------
        The predictor; None if the variant has not been trained and may not be trained.
        """
        model = self._model(variant)
        if model is not None:
            return by_model(model)
        fit = self._fit(variant)
        if fit is None:
            return None
        self.curves[variant.name] = {
            name: [getattr(epoch, name) for epoch in fit.history]
            for name in ("train_loss", "validation_loss", "validation_accuracy")
        }
        return by_fit(fit, self._library)

    def _model(self, variant: Variant) -> SizingModel | None:
        """Model file of the variant; `train` holds out the first fold."""
        wanted = _trained(variant.recipe.model_dump(mode="json"))
        for model in self._models if variant.fold == 0 else ():
            if _trained(model.card.recipe) == wanted:
                return model
        return None

    def _fit(self, variant: Variant) -> PaperFit | None:
        """Network from the folder, or trained now; None if it is missing and may not be trained."""
        recipe = variant.recipe
        # The hash of the recipe does not include the fold.
        digest = hashlib.sha256(f"{recipe.sha256} {variant.fold}".encode()).hexdigest()
        checkpoint = Checkpoint(self._folder / f"{variant.name}-{digest[:12]}.checkpoint", digest)
        finished = finished_fit(recipe, checkpoint)
        if finished is not None or not self._may_train:
            return finished
        self._folder.mkdir(exist_ok=True)

        def report(step: str, done: int, total: int) -> None:
            self._progress(f"{variant.name}: {step}", done, total)

        fit_paper_set(recipe, self._patterns(recipe), variant.fold, report, checkpoint)
        return finished_fit(recipe, checkpoint)

    def _patterns(self, recipe: PaperRecipe) -> PaperSet:
        """Training patterns, cached for the next variant because they use most of the memory."""
        key = recipe.augmentation.model_copy(update={"degradation": None}).model_dump_json()
        if self._set is None or self._set[0] != key:
            self._set = None  # frees the memory first: two sets would use 1.7 GB
            self._progress("augmenting", 0, 1)
            self._set = key, augment(self._library, recipe.augmentation, recipe.seed)
        return self._set[1]


def _trained(recipe: dict[str, Any]) -> dict[str, Any]:
    """The part of a recipe in a file that its network depends on."""
    return {key: value for key, value in recipe.items() if key not in IRRELEVANT_KEYS}


def by_model(model: SizingModel) -> Predictor:
    """Predictor of a model file, which sizes one pattern at a time as in a run.

    Parameters
    ----------
    model
        The model.

    Returns
    -------
    The predictor.
    """

    def predict(patterns: list[Pattern]) -> NDArray[np.float64]:
        answers = [model.answer(pattern) for pattern in patterns]
        return np.array([(a.size_nm, a.size_low_nm, a.size_high_nm) for a in answers])

    return predict


def by_fit(fit: PaperFit, library: Library) -> Predictor:
    """Predictor of a trained variant.

    Parameters
    ----------
    fit
        Trained network.
    library
        Library of the training, for its grid.

    Returns
    -------
    The predictor; a classifier has no interval (NaN).
    """
    grid = library.recipe.grid

    def predict(patterns: list[Pattern]) -> NDArray[np.float64]:
        sizes = fit.sizes_nm(np.array([paper_vector(pattern, grid) for pattern in patterns]))
        return np.stack([sizes, sizes - fit.half_width_nm, sizes + fit.half_width_nm], axis=1)

    return predict

"""Trained variants of the paper's network: other folds, one solvent, regression, zero padding."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...models import SizingModel, load_model
from ...patterns import Pattern, paper_vector
from ...simulation import Library
from .._checkpoint import Checkpoint
from .._paper_fit import PaperFit, fit_paper_set, kept_fit
from .._paper_set import PaperSet, augment
from .._progress import Progress
from .._recipe import PaperRecipe

__all__ = ["Predictor", "Variant", "Variants", "by_model"]

Predictor = Callable[[list[Pattern]], NDArray[np.float64]]
"""Size of each pattern and the ends of its 95 % interval, nm, shape (n, 3); NaN where there is none."""

UNTRAINED = {"name", "description", "guard"}
"""Settings of a recipe that its network does not depend on."""


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
        Where trainings are kept; one that was interrupted goes on. Model files that ``qdsizer-stream train``
        made of a variant's recipe serve as well.
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
        self._models = [load_model(str(path)) for path in sorted(folder.glob("*.onnx"))]
        self.curves: dict[str, dict[str, list[float]]] = {}
        """Loss and accuracy of every epoch of the variants that were asked for, by name."""

    def predictor(self, variant: Variant) -> Predictor | None:
        """Predict with a variant.

        Parameters
        ----------
        variant
            What is asked for.

        Returns
        -------
        The predictor; None where nobody has trained it, and it may not be trained.
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
        """A model file of the variant, which `train` makes of the first fold."""
        wanted = variant.recipe.model_dump(mode="json", exclude=UNTRAINED)
        for model in self._models if variant.fold == 0 else ():
            if {k: v for k, v in model.card.recipe.items() if k not in UNTRAINED} == wanted:
                return model
        return None

    def _fit(self, variant: Variant) -> PaperFit | None:
        """The network from the folder, or trained now; None where it is not there and may not be trained."""
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

    def predict(patterns: list[Pattern]) -> NDArray[np.float64]:
        answers = [model.answer(pattern) for pattern in patterns]
        return np.array([(a.size_nm, a.size_low_nm, a.size_high_nm) for a in answers])

    return predict


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
    The predictor; a classifier's interval is that of its file alone.
    """
    grid = library.recipe.grid

    def predict(patterns: list[Pattern]) -> NDArray[np.float64]:
        sizes = fit.sizes_nm(np.array([paper_vector(pattern, grid) for pattern in patterns]))
        return np.stack([sizes, sizes - fit.half_width_nm, sizes + fit.half_width_nm], axis=1)

    return predict

"""The families suite: errors and intervals of models on a family of simulations held out from training."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...models import SizingModel, load_model
from ...simulation import FrameStream, Progress, StreamRecipe
from .._recipe import SizeRecipe
from .._train import train
from ._families import Family, frames_of, load_families, recipe_without
from ._intervals_suite import size_recipe
from ._report import Cell, Section
from ._sized_frames import SizedFrames, drawn, size_frames

__all__ = ["evaluate_families", "needed_widening"]

COLUMNS = (
    "held-out family",
    "frames",
    "sized %",
    "mean error (nm)",
    "trained with it (nm)",
    "covered %",
    "± %",
    "trained with it, covered %",
    "other families, covered %",
    "half-width (nm)",
    "photons' limit (nm)",
    "widen by",
    "widen by, including rejected",
)

SEED = 5
"""Seed of the frames, which differs from those of all trainings."""

COVERAGE = 0.9
"""Fraction of a held-out family that widened intervals must cover."""

TEST_STRUCTURES = 6
"""Maximum number of structures of the frames of a family; each takes seconds to tabulate."""


def evaluate_families(
    model: SizingModel,
    folder: Path,
    steps: int,
    n_frames: int,
    may_train: bool,
    progress: Progress,
    families: Sequence[Family] | None = None,
) -> Section:
    """Run the families suite.

    Parameters
    ----------
    model
        Model of kind ``size``; the recipes of the other models are derived from its recipe.
    folder
        Folder of the trained models, with the hash of their recipe in the file name. An existing model is
        not trained again, and an interrupted training is resumed.
    steps
        Number of training steps of each model.
    n_frames
        Number of frames of each family, rounded up to a multiple of 32, and of all other families.
    may_train
        Whether to train models that are not in the folder.
    progress
        Called at each step.
    families
        Families to hold out; None for those of the package.

    Returns
    -------
    The table.

    Raises
    ------
    ModelError
        The recipe of the model has no frame streams.
    ConfigurationError
        A family does not fit the recipe.
    """
    recipe = size_recipe(model, "families")
    complete = recipe_without(recipe, None, steps)
    assert complete is not None
    reference = _model(complete, folder, may_train, progress)
    rows: list[tuple[Cell, ...]] = []
    for family in load_families() if families is None else families:
        derived = recipe_without(recipe, family, steps)
        if derived is None:  # the recipe contains no frames of this family
            continue
        held_out = _model(derived, folder, may_train, progress)
        if held_out is None or reference is None:
            rows.append((family.name, *[None] * (len(COLUMNS) - 1)))
            continue
        progress(f"frames of {family.name}", 0, 1)
        rows.append(_row(recipe, derived, family, held_out, reference, n_frames))
    return Section(
        "Held-out families",
        f"Models with the recipe of {model.name}, trained for {steps} "
        f"instead of {recipe.steps} steps without "
        "one family of simulations, and tested on that family. Errors and coverage are for the frames that "
        "were sized, with the intervals from the training. For comparison: the same frames sized by a model "
        "trained equally long with all families, and frames of the other families sized by the model without "
        "the family. The factors in the last columns widen the intervals to cover 90 % of the family.",
        COLUMNS,
        tuple(rows),
    )


def _model(recipe: SizeRecipe, folder: Path, may_train: bool, progress: Progress) -> SizingModel | None:
    """Model of a recipe, from the folder or trained now; None if it is missing and may not be trained."""
    path = folder / f"{recipe.name}-{recipe.sha256[:12]}.onnx"
    if path.exists():
        return load_model(str(path))
    if not may_train:
        return None
    folder.mkdir(exist_ok=True)
    return train(recipe, path, lambda step, done, total: progress(f"{recipe.name}: {step}", done, total))


def _row(
    recipe: SizeRecipe,
    derived: SizeRecipe,
    family: Family,
    held_out: SizingModel,
    reference: SizingModel,
    n_frames: int,
) -> tuple[Cell, ...]:
    frames, compared = _sized((held_out, reference), frames_of(recipe, family), n_frames)
    (others,) = _sized((held_out,), derived.generator, n_frames)
    accepted, compared, others = (some.take(some.sized) for some in (frames, compared, others))
    coverage, standard_error = accepted.coverage
    return (
        family.name,
        frames.sized.size,
        _mean(frames.sized),
        _mean(accepted.error_nm),
        _mean(compared.error_nm),
        coverage,
        standard_error,
        compared.coverage[0],
        others.coverage[0],
        _median(accepted.half_width_nm),
        _median(accepted.limit_nm),
        needed_widening(accepted),
        needed_widening(frames),
    )


def _sized(models: tuple[SizingModel, ...], stream: StreamRecipe, n_frames: int) -> list[SizedFrames]:
    """The same frames sized by each model, restricted to the size range of the models."""
    changes = {"n_structures": min(TEST_STRUCTURES, stream.n_structures), "no_dots": 0.0}
    batches = list(drawn(FrameStream(stream.model_copy(update=changes), SEED), n_frames))
    low, high = models[0].card.size_range_nm
    by_model = [size_frames(model, stream.grid.centres, batches) for model in models]
    return [frames.take((frames.truth_nm >= low) & (frames.truth_nm <= high)) for frames in by_model]


def needed_widening(frames: SizedFrames) -> float | None:
    """Factor by which intervals must be widened to cover 90 % of the frames.

    Parameters
    ----------
    frames
        Sized frames.

    Returns
    -------
    Factor on the width of the interval of ln size, at least 1; None without frames.
    """
    predicted = np.isfinite(frames.size_nm)
    if not np.any(predicted):
        return None
    error = np.abs(np.log(frames.size_nm / frames.truth_nm))[predicted]
    half_width = 0.5 * np.log(frames.high_nm / frames.low_nm)[predicted]
    return max(1.0, float(np.quantile(error / half_width, COVERAGE)))


def _mean(values: NDArray[np.float64] | NDArray[np.bool_]) -> float | None:
    return float(values.mean()) if values.size else None


def _median(values: NDArray[np.float64]) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else None

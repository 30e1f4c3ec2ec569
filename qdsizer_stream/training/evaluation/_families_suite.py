"""Leave one family of physics out: how wrong a model is on what it has never seen, and whether it knows."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...models import SizingModel, load_model
from ...simulation import FrameStream, StreamRecipe
from .._progress import Progress
from .._recipe import SizeRecipe
from .._train import train
from ._families import Family, frames_of, load_families, recipe_without
from ._intervals_suite import size_recipe
from ._report import Cell, Section
from ._sized_frames import SizedFrames, drawn, size_frames

__all__ = ["evaluate_families", "needed_widening"]

COLUMNS = (
    "left out",
    "frames",
    "sized %",
    "mean error (nm)",
    "trained with it (nm)",
    "covered %",
    "± %",
    "trained with it, covered %",
    "all else, covered %",
    "half-width (nm)",
    "photons' limit (nm)",
    "widen by",
    "widen by, refused ones too",
)

SEED = 5
"""Of the frames: not that of any training."""

COVERED = 0.9
"""Share of a left-out family that widened intervals have to cover."""

TEST_STRUCTURES = 6
"""Structures of the frames of a family; each takes seconds to tabulate."""


def evaluate_families(
    model: SizingModel, folder: Path, steps: int, n_frames: int, may_train: bool, progress: Progress
) -> Section:
    """Run the suite.

    Parameters
    ----------
    model
        Model of kind ``size``, whose recipe the others are derived from.
    folder
        Where the models are kept, under the hash of their recipe. One that is there is not trained again,
        and a training that was interrupted goes on.
    steps
        Training steps of each model.
    n_frames
        Frames of a family, rounded up to a multiple of 32, and as many of all else.
    may_train
        Whether models that are not in the folder may be trained.
    progress
        Told of each step.

    Returns
    -------
    The table.

    Raises
    ------
    ModelError
        The model has no recipe of streams.
    ConfigurationError
        A family does not fit the recipe.
    """
    recipe = size_recipe(model, "families")
    whole = recipe_without(recipe, None, steps)
    assert whole is not None
    seeing = _model(whole, folder, may_train, progress)
    rows: list[tuple[Cell, ...]] = []
    for family in load_families():
        derived = recipe_without(recipe, family, steps)
        if derived is None:  # no frame of the recipe is of this family
            continue
        blind = _model(derived, folder, may_train, progress)
        if blind is None or seeing is None:
            rows.append((family.name, *[None] * (len(COLUMNS) - 1)))
            continue
        progress(f"frames of {family.name}", 0, 1)
        rows.append(_row(recipe, derived, family, blind, seeing, n_frames))
    return Section(
        "Families left out",
        f"Models of the recipe of {model.name}, trained for {steps} instead of {recipe.steps} steps, without "
        "one family of physics at a time, and tested on it. Errors and coverage are those of frames that "
        "were sized, with the intervals as the training left them. Beside: the same frames by a model "
        "trained as long with nothing left out, and all else by the model without the family. Widened by "
        "the factor in the last columns, the intervals cover 90 % of the family.",
        COLUMNS,
        tuple(rows),
    )


def _model(recipe: SizeRecipe, folder: Path, may_train: bool, progress: Progress) -> SizingModel | None:
    """The model of a recipe, from the folder or trained now."""
    path = folder / f"{recipe.name}-{recipe.sha256[:12]}.onnx"
    if path.exists():
        return load_model(str(path))
    if not may_train:
        return None
    folder.mkdir(exist_ok=True)
    return train(recipe, path, lambda what, done, total: progress(f"{recipe.name}: {what}", done, total))


def _row(
    recipe: SizeRecipe,
    derived: SizeRecipe,
    family: Family,
    blind: SizingModel,
    seeing: SizingModel,
    n_frames: int,
) -> tuple[Cell, ...]:
    frames, known = _sized((blind, seeing), frames_of(recipe, family), n_frames)
    (rest,) = _sized((blind,), derived.generator, n_frames)
    shown, known, rest = (some.take(some.sized) for some in (frames, known, rest))
    share, error = shown.coverage
    return (
        family.name,
        frames.sized.size,
        _mean(frames.sized),
        _mean(shown.error_nm),
        _mean(known.error_nm),
        share,
        error,
        known.coverage[0],
        rest.coverage[0],
        _median(shown.half_width_nm),
        _median(shown.limit_nm),
        needed_widening(shown),
        needed_widening(frames),
    )


def _sized(models: tuple[SizingModel, ...], stream: StreamRecipe, n_frames: int) -> list[SizedFrames]:
    """The same frames by each model, those with dots of sizes that they answer for."""
    few = {"n_structures": min(TEST_STRUCTURES, stream.n_structures), "no_dots": 0.0}
    batches = list(drawn(FrameStream(stream.model_copy(update=few), SEED), n_frames))
    low, high = models[0].card.size_range_nm
    every = [size_frames(model, stream.grid.centres, batches) for model in models]
    return [frames.take((frames.truth_nm >= low) & (frames.truth_nm <= high)) for frames in every]


def needed_widening(frames: SizedFrames) -> float | None:
    """Factor on intervals that makes them cover 90 % of frames.

    Parameters
    ----------
    frames
        Frames.

    Returns
    -------
    Factor on the width of ln size, at least 1; None without frames.
    """
    asked = np.isfinite(frames.size_nm)
    if not np.any(asked):
        return None
    error = np.abs(np.log(frames.size_nm / frames.truth_nm))[asked]
    half_width = 0.5 * np.log(frames.high_nm / frames.low_nm)[asked]
    return max(1.0, float(np.quantile(error / half_width, COVERED)))


def _mean(values: NDArray[np.float64] | NDArray[np.bool_]) -> float | None:
    return float(values.mean()) if values.size else None


def _median(values: NDArray[np.float64]) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else None

"""How often the 95 % intervals hold the truth, stratum by stratum."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...configuration import validated
from ...errors import ModelError
from ...models import SizingModel
from ...simulation import FrameStream, StreamRecipe
from .._progress import Progress
from .._recipe import SizeRecipe
from ._report import Cell, Section
from ._sized_frames import SizedFrames, drawn, size_frames

__all__ = ["AXES", "Axis", "IntervalResults", "evaluate_intervals", "size_recipe"]

SEED = 4
"""Of the frames: not that of any training, nor of the limits on the card."""

HONEST = (0.93, 0.97)
"""Coverage that an interval which is called 95 % may have."""

MARGINAL_COLUMNS = (
    "stratum",
    "frames",
    "sized %",
    "covered %",
    "± %",
    "covered %, refused ones too",
    "mean error (nm)",
    "half-width (nm)",
    "photons' limit (nm)",
)

STRATUM_CELLS = (("frames", ""), ("covered", " %"), ("±", " %"))

STRUCTURES = 16
"""Most structures drawn for each physics: a textured one takes seconds."""


@dataclass(frozen=True)
class Axis:
    """One quantity that strata are cut by."""

    name: str
    """What it is, with its unit."""
    labels: tuple[str, ...]
    """Names of its parts."""
    edges: tuple[float, ...]
    """Where one part ends and the next begins, one fewer than parts."""
    values: Callable[[SizedFrames], NDArray[np.float64]]
    """The quantity of each frame."""

    def part(self, frames: SizedFrames) -> NDArray[np.intp]:
        """Number of the part that each frame is in, shape (n,)."""
        return np.searchsorted(self.edges, self.values(frames), side="right")


AXES = (
    Axis("size (nm)", ("< 3.5", "3.5–5.5", "5.5–8", "≥ 8"), (3.5, 5.5, 8.0), lambda f: f.truth_nm),
    Axis("photons a bin", ("< 10³", "10³–10⁵", "≥ 10⁵"), (1e3, 1e5), lambda f: f.counts_per_bin),
    # Frames without solvent have exactly 1.
    Axis("area fraction", ("< 0.3", "0.3–1", "1"), (0.3, 1.0), lambda f: f.area_fraction),
    Axis("Qmax (Å⁻¹)", ("< 7", "≥ 7"), (7.0,), lambda f: f.q_high_inv_angstrom),
)
"""Quantities that strata are cut by: 72 strata, which thousands of frames fill."""


@dataclass(frozen=True, eq=False)
class IntervalResults:
    """What the suite has found."""

    sections: tuple[Section, ...]
    """Tables."""
    coverage: dict[str, NDArray[np.float64]]
    """Coverage of the sized frames by physics, one dimension an axis; NaN where there were none."""


def size_recipe(model: SizingModel, suite: str) -> SizeRecipe:
    """Recipe of a model that was trained on a stream of frames.

    Parameters
    ----------
    model
        Model.
    suite
        Who asks.

    Returns
    -------
    The recipe on its card.

    Raises
    ------
    ModelError
        The model was trained on something else.
    ConfigurationError
        This version cannot read its recipe.
    """
    if model.card.recipe.get("kind") != "size":
        raise ModelError(
            f"the suite {suite} draws frames from a model's own recipe, {model.name} has one of kind "
            f"{model.card.recipe.get('kind')!r}: give a model of kind 'size', such as pbs"
        )
    return validated(SizeRecipe, model.card.recipe, f"the recipe on the card of {model.name}")


def evaluate_intervals(model: SizingModel, n_frames: int, progress: Progress) -> IntervalResults:
    """Run the suite.

    Parameters
    ----------
    model
        Model of kind ``size``.
    n_frames
        Frames of each physics, rounded up to a multiple of 32.
    progress
        Told of the frames.

    Returns
    -------
    The tables.

    Raises
    ------
    ModelError
        The model has no recipe of streams.
    """
    recipe = size_recipe(model, "intervals")
    streams = {"training physics": recipe.generator, "held-out physics": recipe.held_out}
    found = {
        name: _sized(model, stream, n_frames, SEED + number, name, progress)
        for number, (name, stream) in enumerate(streams.items())
    }
    sections = [_marginals(name, frames) for name, frames in found.items()]
    sections.append(_strata(found))
    coverage = {name: _coverage(frames.take(frames.sized)) for name, frames in found.items()}
    return IntervalResults(tuple(sections), coverage)


def _sized(
    model: SizingModel, stream: StreamRecipe, n_frames: int, seed: int, name: str, progress: Progress
) -> SizedFrames:
    """Frames with dots of sizes that the model answers for."""
    few = {"n_structures": min(STRUCTURES, stream.n_structures), "no_dots": 0.0}
    low, high = model.card.size_range_nm
    progress(f"structures of {name}", 0, n_frames)
    frames = size_frames(
        model,
        stream.grid.centres,
        drawn(
            FrameStream(stream.model_copy(update=few), seed),
            n_frames,
            lambda done: progress(name, done, n_frames),
        ),
    )
    return frames.take((frames.truth_nm >= low) & (frames.truth_nm <= high))


def _marginals(name: str, frames: SizedFrames) -> Section:
    rows = [_summary("all", frames)]
    for axis in AXES:
        part = axis.part(frames)
        rows += [
            _summary(f"{axis.name} {label}", frames.take(part == number))
            for number, label in enumerate(axis.labels)
        ]
    return Section(
        f"Intervals, {name}",
        "Fresh frames with dots of the sizes that the model answers for, through the whole path. An honest "
        "95 % interval covers 93 to 97 % of the frames that are sized; ± is one standard error, which grows "
        "as frames of one structure err together. The photons' limit is the half-width that counting noise "
        "alone would leave.",
        MARGINAL_COLUMNS,
        tuple(rows),
    )


def _summary(name: str, frames: SizedFrames) -> tuple[Cell, ...]:
    shown = frames.take(frames.sized)
    share, error = shown.coverage
    return (
        name,
        frames.truth_nm.size,
        float(frames.sized.mean()) if frames.sized.size else None,
        share,
        error,
        frames.coverage[0],
        float(shown.error_nm.mean()) if shown.error_nm.size else None,
        _median(shown.half_width_nm),
        _median(shown.limit_nm),
    )


def _median(values: NDArray[np.float64]) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else None


def _each(frames: SizedFrames) -> Iterator[tuple[tuple[int, ...], SizedFrames]]:
    parts = [axis.part(frames) for axis in AXES]
    for numbers in itertools.product(*(range(len(axis.labels)) for axis in AXES)):
        yield (
            numbers,
            frames.take(np.all([p == n for p, n in zip(parts, numbers, strict=True)], axis=0)),
        )


def _coverage(frames: SizedFrames) -> NDArray[np.float64]:
    table = np.full([len(axis.labels) for axis in AXES], np.nan)
    for numbers, some in _each(frames):
        table[numbers] = some.coverage[0]
    return table


def _strata(found: dict[str, SizedFrames]) -> Section:
    cells: dict[tuple[int, ...], list[Cell]] = {}
    told = []
    for name, frames in found.items():
        dishonest = known = 0
        for numbers, some in _each(frames.take(frames.sized)):
            share, error = some.coverage
            cells.setdefault(numbers, []).extend((some.truth_nm.size, share, error))
            # Two standard errors past either end: not by chance.
            dishonest += share + 2 * error < HONEST[0] or share - 2 * error > HONEST[1]
            known += some.truth_nm.size > 0
        told.append(f"{name}: {dishonest} of {known}")
    return Section(
        "Intervals by stratum",
        "Frames that were sized, and the share whose interval holds the truth. Strata surely outside "
        f"93 to 97 % (by two standard errors): {'; '.join(told)}.",
        (
            *(axis.name for axis in AXES),
            *(
                f"{what}, {name}{unit}"
                for name in found
                for what, unit in (("frames", ""), ("covered", " %"), ("±", " %"))
            ),
        ),
        tuple(
            (*(axis.labels[n] for axis, n in zip(AXES, numbers, strict=True)), *row)
            for numbers, row in cells.items()
        ),
        "intervals.png",
        detail=True,
    )

"""The intervals suite: coverage of the 95 % intervals, by stratum."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...configuration import validated
from ...errors import ModelError
from ...models import SizingModel
from ...simulation import FrameStream, Progress, StreamRecipe
from .._recipe import SizeRecipe
from ._report import Cell, Section
from ._sized_frames import SizedFrames, drawn, size_frames

__all__ = [
    "STRATUM_AXES",
    "IntervalResults",
    "StratumAxis",
    "coverage_by_stratum",
    "evaluate_intervals",
    "size_recipe",
]

SEED = 4
"""Seed of the frames, which differs from those of all trainings and of the thresholds on the card."""

CALIBRATED_COVERAGE = (0.93, 0.97)
"""Coverage of a calibrated 95 % interval."""

MARGINAL_COLUMNS = (
    "stratum",
    "frames",
    "sized %",
    "covered %",
    "± %",
    "covered %, including rejected",
    "mean error (nm)",
    "half-width (nm)",
    "photons' limit (nm)",
)

STRATUM_CELLS = (("frames", ""), ("covered", " %"), ("±", " %"))

MAX_STRUCTURES = 16
"""Maximum number of structures of each stream: a textured one takes seconds to tabulate."""


@dataclass(frozen=True)
class StratumAxis:
    """One quantity by which frames are divided into strata."""

    name: str
    """Name of the quantity, with its unit."""
    labels: tuple[str, ...]
    """Labels of the intervals."""
    edges: tuple[float, ...]
    """Boundaries between the intervals, one fewer than intervals."""
    values: Callable[[SizedFrames], NDArray[np.float64]]
    """Function that gives the quantity of each frame."""

    def index(self, frames: SizedFrames) -> NDArray[np.intp]:
        """Index of the interval of each frame, shape (n,)."""
        return np.searchsorted(self.edges, self.values(frames), side="right")


STRATUM_AXES = (
    StratumAxis("size (nm)", ("< 3.5", "3.5–5.5", "5.5–8", "≥ 8"), (3.5, 5.5, 8.0), lambda f: f.truth_nm),
    StratumAxis("photons per bin", ("< 10³", "10³–10⁵", "≥ 10⁵"), (1e3, 1e5), lambda f: f.counts_per_bin),
    # Solvent-free frames have an area fraction of exactly 1.
    StratumAxis("area fraction", ("< 0.3", "0.3–1", "1"), (0.3, 1.0), lambda f: f.area_fraction),
    StratumAxis("Qmax (Å⁻¹)", ("< 7", "≥ 7"), (7.0,), lambda f: f.q_high_inv_angstrom),
)
"""Quantities by which frames are divided: 72 strata, which thousands of frames fill."""


@dataclass(frozen=True, eq=False)
class IntervalResults:
    """Results of the intervals suite."""

    sections: tuple[Section, ...]
    """Tables of the report."""
    coverage: dict[str, NDArray[np.float64]]
    """Coverage of the sized frames for each stream, one dimension per axis; NaN for empty strata."""


def size_recipe(model: SizingModel, suite: str) -> SizeRecipe:
    """Recipe of a model that was trained on a frame stream.

    Parameters
    ----------
    model
        Model.
    suite
        Name of the suite, for the error message.

    Returns
    -------
    The recipe on its card.

    Raises
    ------
    ModelError
        The model was not trained on a frame stream.
    ConfigurationError
        The recipe on the card is not valid in this version.
    """
    if model.card.recipe.get("kind") != "size":
        raise ModelError(
            f"the suite {suite} draws frames from the recipe of the "
            f"model, and the recipe of {model.name} is of "
            f"kind {model.card.recipe.get('kind')!r}: give a model of kind 'size', such as pbs"
        )
    return validated(SizeRecipe, model.card.recipe, f"the recipe on the card of {model.name}")


def evaluate_intervals(model: SizingModel, n_frames: int, progress: Progress) -> IntervalResults:
    """Run the intervals suite.

    Parameters
    ----------
    model
        Model of kind ``size``.
    n_frames
        Number of frames of each stream, rounded up to a multiple of 32.
    progress
        Called as frames are sized.

    Returns
    -------
    The results.

    Raises
    ------
    ModelError
        The recipe of the model has no frame streams.
    """
    recipe = size_recipe(model, "intervals")
    streams = {"training simulations": recipe.generator, "held-out simulations": recipe.held_out}
    found = {
        name: _sized(model, stream, n_frames, SEED + i, name, progress)
        for i, (name, stream) in enumerate(streams.items())
    }
    sections = [_marginals(name, frames) for name, frames in found.items()]
    sections.append(_strata(found))
    coverage = {name: coverage_by_stratum(frames.take(frames.sized)) for name, frames in found.items()}
    return IntervalResults(tuple(sections), coverage)


def _sized(
    model: SizingModel, stream: StreamRecipe, n_frames: int, seed: int, name: str, progress: Progress
) -> SizedFrames:
    """Sized frames with dots, restricted to the size range of the model."""
    changes = {"n_structures": min(MAX_STRUCTURES, stream.n_structures), "no_dots": 0.0}
    low, high = model.card.size_range_nm
    progress(f"structures of {name}", 0, n_frames)
    frames = size_frames(
        model,
        stream.grid.centres,
        drawn(
            FrameStream(stream.model_copy(update=changes), seed),
            n_frames,
            lambda done: progress(name, done, n_frames),
        ),
    )
    return frames.take((frames.truth_nm >= low) & (frames.truth_nm <= high))


def _marginals(name: str, frames: SizedFrames) -> Section:
    rows = [_summary("all", frames)]
    for axis in STRATUM_AXES:
        index = axis.index(frames)
        rows += [
            _summary(f"{axis.name} {label}", frames.take(index == i)) for i, label in enumerate(axis.labels)
        ]
    return Section(
        f"Intervals, {name}",
        "New frames with dots within the size range of the model, sized with all acceptance checks. A "
        "calibrated 95 % interval covers 93 to 97 % of the frames that are sized; ± is one standard error, "
        "which allows for the correlated errors of frames of one structure. The photons' limit is the "
        "half-width due to counting noise alone.",
        MARGINAL_COLUMNS,
        tuple(rows),
    )


def _summary(name: str, frames: SizedFrames) -> tuple[Cell, ...]:
    accepted = frames.take(frames.sized)
    coverage, standard_error = accepted.coverage
    return (
        name,
        frames.truth_nm.size,
        float(frames.sized.mean()) if frames.sized.size else None,
        coverage,
        standard_error,
        frames.coverage[0],
        float(accepted.error_nm.mean()) if accepted.error_nm.size else None,
        _median(accepted.half_width_nm),
        _median(accepted.limit_nm),
    )


def _median(values: NDArray[np.float64]) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else None


def _strata_of(frames: SizedFrames) -> Iterator[tuple[tuple[int, ...], SizedFrames]]:
    """Index of each stratum, one number per axis, with its frames."""
    indices = [axis.index(frames) for axis in STRATUM_AXES]
    for stratum in itertools.product(*(range(len(axis.labels)) for axis in STRATUM_AXES)):
        inside = np.all([index == i for index, i in zip(indices, stratum, strict=True)], axis=0)
        yield stratum, frames.take(inside)


def coverage_by_stratum(frames: SizedFrames) -> NDArray[np.float64]:
    """Fraction of the frames of each stratum whose interval contains the true size.

    Parameters
    ----------
    frames
        Sized frames.

    Returns
    -------
    Coverage, one dimension per axis of `STRATUM_AXES`; NaN for empty strata.
    """
    table = np.full([len(axis.labels) for axis in STRATUM_AXES], np.nan)
    for stratum, members in _strata_of(frames):
        table[stratum] = members.coverage[0]
    return table


def _strata(found: dict[str, SizedFrames]) -> Section:
    cells: dict[tuple[int, ...], list[Cell]] = {}
    summaries = []
    low, high = CALIBRATED_COVERAGE
    for name, frames in found.items():
        n_miscalibrated = n_filled = 0
        for stratum, members in _strata_of(frames.take(frames.sized)):
            coverage, standard_error = members.coverage
            cells.setdefault(stratum, []).extend((members.truth_nm.size, coverage, standard_error))
            # Two standard errors beyond either end are significant.
            n_miscalibrated += coverage + 2 * standard_error < low or coverage - 2 * standard_error > high
            n_filled += members.truth_nm.size > 0
        summaries.append(f"{name}: {n_miscalibrated} of {n_filled}")
    return Section(
        "Intervals by stratum",
        "Number of sized frames, and fraction whose interval contains the true size. Strata significantly "
        f"outside 93 to 97 % (by two standard errors): {'; '.join(summaries)}.",
        (
            *(axis.name for axis in STRATUM_AXES),
            *(f"{quantity}, {name}{unit}" for name in found for quantity, unit in STRATUM_CELLS),
        ),
        tuple(
            (*(axis.labels[i] for axis, i in zip(STRATUM_AXES, stratum, strict=True)), *row)
            for stratum, row in cells.items()
        ),
        "intervals.png",
        detail=True,
    )

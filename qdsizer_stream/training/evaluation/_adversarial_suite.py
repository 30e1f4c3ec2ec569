"""The adversarial suite: dots, populations and instruments that a size may be wrong for."""

from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...configuration import Config, load_toml, validated
from ...models import SizingModel
from ...patterns import Pattern
from ...simulation import FrameBatch, FrameStream, Progress, StreamRecipe
from ...sizing import Sizer, SizingConfig, Status
from ._report import Cell, Section
from ._sized_frames import drawn

__all__ = ["AdversarialFamily", "evaluate_adversarial", "load_adversarial_families"]

SEED = 6
"""Seed of the frames, which differs from those of all trainings and calibrations."""

COLUMNS = (
    "family",
    "frames",
    "sized %",
    "mass mean missed %",
    "number mean missed %",
    "wanted %",
    "mass mean bias (nm)",
    "number mean bias (nm)",
    "dispersion bias %",
    "mass mean half-width %",
    "number mean half-width %",
)


class AdversarialFamily(Config):
    """Frames of one kind."""

    name: str
    """Name of the family."""
    changes: dict[str, Any] = Field(default={})
    """Settings of the frames that differ from the base; tables are merged."""
    declared: bool = True
    """Whether the width of the instrument is declared."""
    max_missed: float = Field(gt=0, le=1)
    """Largest fraction of the sized frames whose interval may miss the true size."""


class _AdversarialFile(Config):
    base: dict[str, Any]
    """Settings of all frames: ideal spheres in a solvent."""
    families: tuple[AdversarialFamily, ...]
    """The families."""


class _Found(NamedTuple):
    """Estimates of frames with their truth, one entry for each frame."""

    sized: NDArray[np.bool_]
    """Whether the frame was sized, shape (n,)."""
    truth: NDArray[np.float64]
    """Mass mean and number mean, nm, and dispersion, shape (n, 3)."""
    value: NDArray[np.float64]
    """The same as estimated, shape (n, 3)."""
    low: NDArray[np.float64]
    """Lower ends of the intervals of both means, nm, shape (n, 2)."""
    high: NDArray[np.float64]
    """Upper ends, nm, shape (n, 2)."""


def load_adversarial_families() -> tuple[tuple[AdversarialFamily, StreamRecipe], ...]:
    """Load the families of the package.

    Returns
    -------
    Each family with the recipe of its frames.
    """
    content = load_toml(_AdversarialFile, Path(str(files(__package__) / "adversarial.toml")))
    return tuple(
        (
            family,
            validated(StreamRecipe, _merged(content.base, family.changes), f"frames of {family.name}"),
        )
        for family in content.families
    )


def evaluate_adversarial(model: SizingModel, n_frames: int, progress: Progress) -> Section:
    """Run the adversarial suite.

    Parameters
    ----------
    model
        Model.
    n_frames
        Number of frames of each family, rounded up to a multiple of 32.
    progress
        Called for each family.

    Returns
    -------
    The table.
    """
    sizer = Sizer(SizingConfig(model=str(model.path)))
    families = load_adversarial_families()
    rows = []
    for number, (family, recipe) in enumerate(families):
        progress(family.name, number, len(families))
        batches = drawn(FrameStream(recipe, SEED + number), n_frames)
        found = _found(sizer, recipe, family.declared, list(batches))
        rows.append(_row(family, found))
    return Section(
        "Adversarial frames",
        "Frames that differ from ideal spheres of a log-normal population in one respect each. A frame is "
        "missed where it is sized and the interval that is shown does not hold the true size. Biases and "
        "half-widths are medians of the frames that were sized.",
        COLUMNS,
        tuple(rows),
    )


def _found(sizer: Sizer, recipe: StreamRecipe, declared: bool, batches: list[FrameBatch]) -> _Found:
    rows: list[tuple[Any, ...]] = []
    for batch in batches:
        for i in np.flatnonzero(batch.present):
            pattern = Pattern(recipe.grid.centres, batch.intensity[i], batch.sigma[i], batch.mask[i])
            width = None
            if declared:
                width = np.interp(sizer.bins.centres, recipe.grid.centres, batch.resolution_inv_angstrom[i])
            estimate = sizer.examine(pattern, resolution_inv_angstrom=width).estimate
            rows.append(
                (
                    estimate.status is Status.SIZED,
                    (batch.mass_mean_nm[i], batch.number_mean_nm[i], batch.dispersion[i]),
                    (estimate.mass_mean_nm, estimate.size_nm, estimate.dispersion),
                    (estimate.mass_mean_low_nm, estimate.size_low_nm),
                    (estimate.mass_mean_high_nm, estimate.size_high_nm),
                )
            )
    return _Found(*(np.array(column) for column in zip(*rows, strict=True)))


def _row(family: AdversarialFamily, found: _Found) -> tuple[Cell, ...]:
    sized = found.sized
    truth, value, low, high = (part[sized] for part in found[1:])
    if not sized.any():
        return (family.name, sized.size, 0.0, None, None, family.max_missed, *([None] * 5))
    missed = (truth[:, :2] < low) | (truth[:, :2] > high)
    known = np.isfinite(low)
    bias = np.median(value - truth, axis=0)
    half_width = np.median(0.5 * (high - low) / value[:, :2], axis=0)

    def rate(k: int) -> float | None:
        return float(missed[known[:, k], k].mean()) if known[:, k].any() else None

    return (
        family.name,
        sized.size,
        float(sized.mean()),
        rate(0),
        rate(1),
        family.max_missed,
        *(None if np.isnan(b) else float(b) for b in bias[:2]),
        None if np.isnan(bias[2]) else float(bias[2]),
        *(None if np.isnan(h) else float(h) for h in half_width),
    )


def _merged(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(settings)
    for key, value in changes.items():
        merged[key] = _merged(merged[key], value) if isinstance(value, dict) and key in merged else value
    return merged

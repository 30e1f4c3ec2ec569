"""The robustness suite: frames with one deviation from ideal conditions at a time."""

from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from ...configuration import Config, load_toml
from ...models import SizingModel
from ...simulation import FrameStream, Progress, SolventFile, StreamRecipe
from ._report import Cell, Section
from ._sized_frames import SizedFrames, drawn, size_frames

__all__ = [
    "RobustnessRow",
    "evaluate_robustness",
    "load_robustness_rows",
    "robustness_cells",
    "robustness_stream",
]

COLUMNS = (
    "frames",
    "published error (nm)",
    "sized %",
    "mean error (nm)",
    "maximum error (nm)",
    "covered %",
    "median half-width (nm)",
    "photons' limit (nm)",
    "rejected as",
)

SEED = 2
"""Seed of the frames, which differs from those of all trainings."""


class RobustnessRow(Config):
    """One deviation from ideal conditions."""

    name: str
    """Name of the deviation."""
    published_error_nm: str | None = None
    """Mean error of the published network, nm."""
    q_factor: float = Field(default=1.0, gt=0.5, lt=2)
    """Assumed Q divided by the true Q, for a wrong wavelength."""
    changes: dict[str, Any] = Field(default={})
    """Settings of the stream that differ from the base; tables are replaced, not merged."""


class _RobustnessFile(Config):
    base: dict[str, Any]
    """Settings common to the streams of all rows, without the material."""
    rows: tuple[RobustnessRow, ...]
    """The rows."""


def evaluate_robustness(
    model: SizingModel, n_frames: int, solvents: tuple[SolventFile, ...], progress: Progress
) -> Section:
    """Run the robustness suite.

    Parameters
    ----------
    model
        Model.
    n_frames
        Number of frames per row, rounded up to a multiple of 32.
    solvents
        Measured solvents; they add one row.
    progress
        Called for each row.

    Returns
    -------
    The table.

    Raises
    ------
    PhysicsError
        A measured solvent does not cover the Q range of the frames.
    """
    base, rows = load_robustness_rows()
    if solvents:
        changes = {"known_solvents": (), "measured_solvents": [s.model_dump() for s in solvents]}
        rows.append(RobustnessRow(name="measured solvents in half of the frames", changes=changes))
    table: list[tuple[Cell, ...]] = []
    for done, row in enumerate(rows):
        progress(row.name, done, len(rows))
        recipe = robustness_stream(base, row, model)
        batches = drawn(FrameStream(recipe, SEED), n_frames)
        table.append(robustness_cells(row, size_frames(model, recipe.grid.centres * row.q_factor, batches)))
    progress("done", len(rows), len(rows))
    return Section(
        "Robustness",
        f"Simulated frames of {model.card.material}, at least {n_frames} per row, sized with all acceptance "
        "checks; errors are for the frames that were sized. The photons' limit is the half-width due to "
        "counting noise alone.",
        COLUMNS,
        tuple(table),
    )


def load_robustness_rows() -> tuple[dict[str, Any], list[RobustnessRow]]:
    """Load the rows of the package.

    Returns
    -------
    Settings common to the streams of all rows, and the rows.
    """
    settings = load_toml(_RobustnessFile, Path(str(files(__package__) / "robustness.toml")))
    return settings.base, list(settings.rows)


def robustness_stream(base: dict[str, Any], row: RobustnessRow, model: SizingModel) -> StreamRecipe:
    """Recipe of the frames of one row, for the material and size range of a model.

    Parameters
    ----------
    base
        Settings common to all rows.
    row
        The row.
    model
        Model.

    Returns
    -------
    The recipe.
    """
    plain = {**base, **row.changes}
    low, high = model.card.size_range_nm
    plain["mean_diameter_nm"] = (
        max(low, plain["mean_diameter_nm"][0]),
        min(high, plain["mean_diameter_nm"][1]),
    )
    plain["structures"] = {**plain["structures"], "material": model.card.material}
    return StreamRecipe.model_validate(plain)


def robustness_cells(row: RobustnessRow, frames: SizedFrames) -> tuple[Cell, ...]:
    """Summarize the sized frames of one row.

    Parameters
    ----------
    row
        The row.
    frames
        Its frames.

    Returns
    -------
    The cells, in the order of the columns of the table.
    """
    accepted = frames.take(frames.sized)
    rejected = Counter(frames.status[~frames.sized].tolist())
    statuses = ", ".join(f"{status} {n / frames.status.size:.1%}" for status, n in rejected.most_common())
    if not accepted.truth_nm.size:
        return row.name, row.published_error_nm, 0.0, None, None, None, None, None, statuses
    return (
        row.name,
        row.published_error_nm,
        float(frames.sized.mean()),
        float(accepted.error_nm.mean()),
        float(accepted.error_nm.max()),
        accepted.coverage[0],
        float(np.median(accepted.half_width_nm)),
        float(np.median(accepted.limit_nm)),
        statuses,
    )

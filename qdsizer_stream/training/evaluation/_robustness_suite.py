"""What a model with its guards makes of frames that a beamline has changed, one thing at a time."""

from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from ...configuration import Config, load_toml
from ...models import SizingModel
from ...simulation import FrameStream, SolventFile, StreamRecipe
from .._progress import Progress
from ._report import Cell, Section
from ._sized_frames import SizedFrames, drawn, size_frames

__all__ = ["evaluate_robustness"]

COLUMNS = (
    "frames",
    "published error (nm)",
    "sized %",
    "mean error (nm)",
    "largest error (nm)",
    "truth in the 95 % interval, %",
    "median half-width (nm)",
    "photons' limit (nm)",
    "refused as",
)

SEED = 2
"""Of the frames: not that of any training."""


class _Row(Config):
    name: str
    """What is done to the frames."""
    published_error_nm: str | None = None
    """Mean error of the published network, nm."""
    q_factor: float = Field(default=1.0, gt=0.5, lt=2)
    """Q as the program believes it over the true Q: a wrong wavelength."""
    changes: dict[str, Any] = Field(default={})
    """Settings of the stream that differ from the base; a table is replaced whole."""


class _Rows(Config):
    base: dict[str, Any]
    """Settings of the stream of every row, without the material."""
    rows: tuple[_Row, ...]
    """Rows."""


def evaluate_robustness(
    model: SizingModel, n_frames: int, solvents: tuple[SolventFile, ...], progress: Progress
) -> Section:
    """Run the suite.

    Parameters
    ----------
    model
        Model.
    n_frames
        Frames a row, rounded up to a multiple of 32.
    solvents
        Measured solvents; one row more where there are any.
    progress
        Told of each row.

    Returns
    -------
    The table.

    Raises
    ------
    PhysicsError
        A measured solvent does not cover the range of the frames.
    """
    base, rows = load_rows()
    if solvents:
        changes = {"known_solvents": (), "measured_solvents": [s.model_dump() for s in solvents]}
        rows.append(_Row(name="solvents as measured, half of the frames", changes=changes))
    table: list[tuple[Cell, ...]] = []
    for done, row in enumerate(rows):
        progress(row.name, done, len(rows))
        recipe = _stream(base, row, model)
        batches = drawn(FrameStream(recipe, SEED), n_frames)
        table.append(_summary(row, size_frames(model, recipe.grid.centres * row.q_factor, batches)))
    progress("done", len(rows), len(rows))
    return Section(
        "Robustness",
        f"Frames of {model.card.material} from the frame stream, {n_frames} a row or a few more, through "
        "the whole path with its refusals; errors are those of the frames that were sized. The photons' "
        "limit is the half-width that counting noise alone would leave.",
        COLUMNS,
        tuple(table),
    )


def load_rows() -> tuple[dict[str, Any], list[_Row]]:
    """Settings that all rows share, and the rows."""
    settings = load_toml(_Rows, Path(str(files(__package__) / "robustness.toml")))
    return settings.base, list(settings.rows)


def _stream(base: dict[str, Any], row: _Row, model: SizingModel) -> StreamRecipe:
    plain = {**base, **row.changes}
    low, high = model.card.size_range_nm
    plain["mean_diameter_nm"] = (
        max(low, plain["mean_diameter_nm"][0]),
        min(high, plain["mean_diameter_nm"][1]),
    )
    plain["structures"] = {**plain["structures"], "material": model.card.material}
    return StreamRecipe.model_validate(plain)


def _summary(row: _Row, frames: SizedFrames) -> tuple[Cell, ...]:
    shown = frames.take(frames.sized)
    refused = Counter(frames.status[~frames.sized].tolist())
    told = ", ".join(f"{status} {n / frames.status.size:.1%}" for status, n in refused.most_common())
    if not shown.truth_nm.size:
        return row.name, row.published_error_nm, 0.0, None, None, None, None, None, told
    return (
        row.name,
        row.published_error_nm,
        float(frames.sized.mean()),
        float(shown.error_nm.mean()),
        float(shown.error_nm.max()),
        shown.coverage[0],
        float(np.median(shown.half_width_nm)),
        float(np.median(shown.limit_nm)),
        told,
    )

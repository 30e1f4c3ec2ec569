"""What a model with its guards makes of frames that a beamline has changed, one thing at a time."""

from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from ...configuration import Config, load_toml
from ...models import SizingModel
from ...patterns import Pattern
from ...simulation import FrameBatch, FrameStream, SolventFile, StreamRecipe
from ...sizing import SizeEstimate, Sizer, SizingConfig, Status
from .._progress import Progress
from ._report import Cell, Section

__all__ = ["evaluate_robustness"]

COLUMNS = (
    "frames",
    "published error (nm)",
    "sized %",
    "mean error (nm)",
    "largest error (nm)",
    "truth in the 95 % interval, %",
    "median half-width (nm)",
    "refused as",
)

SEED = 2
"""Of the frames: not that of any training."""

DRAWN_TOGETHER = 32
"""The stream draws frames in groups of this."""


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
    sizer = Sizer(SizingConfig(model=str(model.path)))
    groups = -(-n_frames // DRAWN_TOGETHER)
    table: list[tuple[Cell, ...]] = []
    for done, row in enumerate(rows):
        progress(row.name, done, len(rows))
        recipe = _stream(base, row, model)
        batch = FrameStream(recipe, SEED).batch(groups * DRAWN_TOGETHER)
        q = recipe.grid.centres * row.q_factor
        estimates = [sizer.size(Pattern(q, *frame)) for frame in _frames(batch)]
        table.append(_summary(row, batch, estimates))
    progress("done", len(rows), len(rows))
    return Section(
        "Robustness",
        f"Frames of {model.card.material} from the frame stream, {groups * DRAWN_TOGETHER} a row, through "
        "the whole path with its refusals; errors are those of the frames that were sized.",
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


def _frames(batch: FrameBatch) -> "zip[tuple[Any, ...]]":
    return zip(batch.intensity, batch.sigma, batch.mask, strict=True)


def _summary(row: _Row, batch: FrameBatch, estimates: list[SizeEstimate]) -> tuple[Cell, ...]:
    sized = [number for number, e in enumerate(estimates) if e.status is Status.SIZED]
    refused = Counter(e.status.value for e in estimates if e.status is not Status.SIZED)
    told = ", ".join(f"{status} {n / len(estimates):.1%}" for status, n in refused.most_common())
    if not sized:
        return row.name, row.published_error_nm, 0.0, None, None, None, None, told
    truth = batch.number_mean_nm[sized]
    size, low, high = (
        np.array([getattr(estimates[number], name) for number in sized])
        for name in ("size_nm", "size_low_nm", "size_high_nm")
    )
    error = np.abs(size - truth)
    return (
        row.name,
        row.published_error_nm,
        len(sized) / len(estimates),
        float(error.mean()),
        float(error.max()),
        float(np.mean((low <= truth) & (truth <= high))),
        float(np.median((high - low) / 2)),
        told,
    )

"""Frames that must not be sized, or not wrongly: how often a model is fooled."""

import math
from collections import Counter, defaultdict

from ...models import SizingModel
from ...simulation import (
    NEGATIVE_CONTROL_KINDS,
    NegativeControl,
    SolventFile,
    negative_controls,
    read_solvent,
)
from ...sizing import SizeEstimate, Sizer, SizingConfig, Status
from .._progress import Progress
from ._report import Cell, Section

__all__ = ["confidently_wrong", "evaluate_hostile"]

COLUMNS = ("frames", "number", "sized", "confidently wrong", "refused as")

SEED = 3
"""Of the frames: not that of any training."""


def evaluate_hostile(
    model: SizingModel, n_frames: int, solvents: tuple[SolventFile, ...], progress: Progress
) -> Section:
    """Offer a model frames of every hostile kind.

    Parameters
    ----------
    model
        Model.
    n_frames
        Frames of each kind.
    solvents
        Measured solvents, which are kinds of their own.
    progress
        Told of each frame.

    Returns
    -------
    The table; a frame is confidently wrong where it was sized and has no dots of the material to find, or
    its truth lies outside the 95 % interval.
    """
    sizer = Sizer(SizingConfig(model=str(model.path)))
    measured = [read_solvent(file.path, file.wavelength_angstrom, file.axis) for file in solvents]
    total = n_frames * (len(NEGATIVE_CONTROL_KINDS) + len(measured))
    found: dict[str, list[tuple[NegativeControl, SizeEstimate]]] = defaultdict(list)
    for done, frame in enumerate(negative_controls(model.card.material, SEED, n_frames, measured)):
        progress(frame.kind, done, total)
        found[frame.kind].append((frame, sizer.size(frame.pattern)))
    progress("done", total, total)
    rows = [_row(kind, pairs) for kind, pairs in found.items()]
    sums = [sum(int(row[column] or 0) for row in rows) for column in (1, 2, 3)]
    return Section(
        "Hostile frames",
        "Frames without dots of the material, outside the range, or spoilt, through the whole path with its "
        "refusals. The published network sizes every frame, a flat line with a softmax of 0.9999994.",
        COLUMNS,
        (*rows, ("all", *sums, "")),
    )


def _row(kind: str, pairs: list[tuple[NegativeControl, SizeEstimate]]) -> tuple[Cell, ...]:
    refused = Counter(e.status.value for _, e in pairs if e.status is not Status.SIZED)
    told = ", ".join(f"{status} {n}" for status, n in refused.most_common())
    wrong = sum(confidently_wrong(frame, estimate) for frame, estimate in pairs)
    return kind, len(pairs), len(pairs) - refused.total(), wrong, told


def confidently_wrong(frame: NegativeControl, estimate: SizeEstimate) -> bool:
    """Whether an estimate is one that must not be.

    Parameters
    ----------
    frame
        Frame with its truth.
    estimate
        What was made of it.

    Returns
    -------
    True where the frame was sized, and there is nothing to size or the interval misses the truth.
    """
    if estimate.status is not Status.SIZED:
        return False
    return math.isnan(frame.size_nm) or not estimate.size_low_nm <= frame.size_nm <= estimate.size_high_nm

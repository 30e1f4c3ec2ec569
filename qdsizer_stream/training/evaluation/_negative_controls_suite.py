"""The negative-controls suite: out-of-distribution frames, and how often a model sizes them wrongly."""

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

__all__ = ["confidently_wrong", "evaluate_negative_controls"]

COLUMNS = ("kind", "frames", "sized", "confidently wrong", "rejected as")

SEED = 3
"""Seed of the frames, which differs from those of all trainings."""


def evaluate_negative_controls(
    model: SizingModel, n_frames: int, solvents: tuple[SolventFile, ...], progress: Progress
) -> Section:
    """Size negative controls of every kind.

    Parameters
    ----------
    model
        Model.
    n_frames
        Number of frames of each kind.
    solvents
        Measured solvents; each is an additional kind.
    progress
        Called for each frame.

    Returns
    -------
    The table. A frame is confidently wrong if it was sized although it contains no dots of the material, or
    with a 95 % interval that does not contain the true size.
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
        "Negative controls",
        "Frames without dots of the material, outside the size range, or corrupted, sized with all "
        "acceptance checks. The published network sizes every frame, a flat line with a probability of "
        "0.9999994.",
        COLUMNS,
        (*rows, ("all", *sums, "")),
    )


def _row(kind: str, pairs: list[tuple[NegativeControl, SizeEstimate]]) -> tuple[Cell, ...]:
    rejected = Counter(e.status.value for _, e in pairs if e.status is not Status.SIZED)
    statuses = ", ".join(f"{status} {n}" for status, n in rejected.most_common())
    wrong = sum(confidently_wrong(frame, estimate) for frame, estimate in pairs)
    return kind, len(pairs), len(pairs) - rejected.total(), wrong, statuses


def confidently_wrong(frame: NegativeControl, estimate: SizeEstimate) -> bool:
    """Whether a negative control was sized although it should have been rejected.

    Parameters
    ----------
    frame
        Frame with its true size.
    estimate
        Estimate of the frame.

    Returns
    -------
    True if the frame was sized and contains no dots or its interval does not contain the true size.
    """
    if estimate.status is not Status.SIZED:
        return False
    return math.isnan(frame.size_nm) or not estimate.size_low_nm <= frame.size_nm <= estimate.size_high_nm

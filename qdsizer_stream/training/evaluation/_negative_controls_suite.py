"""The negative-controls suite: out-of-distribution frames, and how often a model sizes them wrongly."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

from ...models import SizingModel
from ...simulation import (
    INDISTINGUISHABLE,
    NEGATIVE_CONTROL_KINDS,
    NegativeControl,
    Progress,
    SolventFile,
    look_alike_frames,
    look_alike_names,
    negative_controls,
    read_solvent,
)
from ...sizing import SizeEstimate, Sizer, SizingConfig, Status
from ._report import Cell, Section

__all__ = ["confidently_wrong", "evaluate_look_alikes", "evaluate_negative_controls"]

COLUMNS = ("kind", "frames", "sized", "confidently wrong", "rejected as")

LOOK_ALIKE_COLUMNS = (
    "crystal",
    "frames",
    "sized in a film",
    "sized in a film %",
    "sized in a solvent",
    "sized in a solvent %",
    "rejected as",
)

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
        found[frame.kind].append((frame, sizer.size(frame.pattern, resolution_inv_angstrom=0.0)))
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


def evaluate_look_alikes(
    model: SizingModel, per_crystal: int, progress: Progress, names: Sequence[str] | None = None
) -> Section:
    """Size frames of other crystals, with the right wavelength and with a wrong one.

    Parameters
    ----------
    model
        Model.
    per_crystal
        Number of frames of each crystal.
    progress
        Called for each crystal.
    names
        Crystals, some of `look_alike_names`; None for all of them.

    Returns
    -------
    The table: frames that were sized, all of them wrongly, where a preferred orientation is accepted and
    where it is not.
    """
    film, solvent = (Sizer(SizingConfig(model=str(model.path), texture=texture)) for texture in (True, False))
    material = model.card.material
    names = look_alike_names(material) if names is None else names
    same = INDISTINGUISHABLE.get(material, ())
    rows: list[tuple[Cell, ...]] = []
    totals = [0, 0, 0]
    for done, name in enumerate(names):
        progress(name, done, len(names))
        frames = [frame.pattern for frame in look_alike_frames(material, SEED, per_crystal, [name])]
        in_film = [film.size(frame).status for frame in frames]
        sized = in_film.count(Status.SIZED), sum(solvent.size(f).status is Status.SIZED for f in frames)
        rejected = Counter(status.value for status in in_film if status is not Status.SIZED)
        statuses = ", ".join(f"{status} {n}" for status, n in rejected.most_common())
        rows.append((name, len(frames), *_counted(sized, len(frames)), statuses))
        if name not in same:
            totals = [total + n for total, n in zip(totals, (len(frames), *sized), strict=True)]
    progress("done", len(names), len(names))
    rows.sort(key=lambda row: -int(row[2] or 0))
    total = f"all but {', '.join(same)}" if same else "all"
    return Section(
        "Other crystals",
        f"Nanocrystals of 1.5 to 11 nm and bulk powders of {len(names)} crystals, half of them with a "
        "wavelength that is wrong by a factor of 0.55 to 1.7, in solvents and on backgrounds, Q from 0.9–1.6 "
        "up to 2.5–15 Å⁻¹. None should be sized."
        + (f" With the lattice and the peak heights of {material}: {', '.join(same)}." if same else ""),
        LOOK_ALIKE_COLUMNS,
        (*rows, (total, totals[0], *_counted((totals[1], totals[2]), totals[0]), "")),
    )


def _counted(sized: tuple[int, int], n_frames: int) -> tuple[Cell, ...]:
    """Numbers of sized frames, each followed by its fraction."""
    return tuple(cell for n in sized for cell in (n, n / n_frames))


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

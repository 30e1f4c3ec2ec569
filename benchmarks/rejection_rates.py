"""How often the default model errs: on good frames of physics it never saw, and on hostile ones.

    python benchmarks/refusals.py [--model NAME] [--frames N] [--structures N] [--hostile N] [--seed SEED]

Good frames come from the `held_out` part of the recipe of `pbs`: shapes, textures, liquids and distortions
kept out of training, an eighth or so without dots. Hostile frames are those of the corpus. Seeds differ from
those that set the limits. Structures of dots are tabulated first, which takes most of the three minutes.
"""

import argparse
from collections import Counter

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from qdsizer_stream.models import BinnedInput
from qdsizer_stream.patterns import Pattern
from qdsizer_stream.simulation import FrameBatch, FrameStream, negative_controls
from qdsizer_stream.sizing import SizeEstimate, Sizer, SizingConfig, Status
from qdsizer_stream.training import load_training_recipe

GROUPS = {
    "area fraction ≥ 0.37": (0.37, 1.1),
    "area fraction below 0.37": (0.0001, 0.37),
    "no dots": (-1.0, 0.0001),
}


def good(sizer: Sizer, n_frames: int, n_structures: int, seed: int) -> None:
    recipe = load_training_recipe("pbs").held_out.model_copy(update={"n_structures": n_structures})
    if isinstance(sizer.model.card.input, BinnedInput):
        recipe = recipe.model_copy(update={"grid": sizer.model.card.input.grid})
    with Console(stderr=True).status(f"tabulating {n_structures} structures"):
        stream = FrameStream(recipe, seed)
    batch = stream.batch(n_frames)
    estimates: list[SizeEstimate] = [
        sizer.size(Pattern(recipe.grid.centres, np.where(mask, np.nan, intensity), sigma, mask))
        for intensity, sigma, mask in track(
            zip(batch.intensity, batch.sigma, batch.mask, strict=True), "good frames", total=n_frames
        )
    ]
    table = Table(title=f"{n_frames} frames of held-out physics, model {sizer.model.name}")
    for heading in ("frames", "sized", "refused as", "mean error (nm)", "in 95 % interval"):
        table.add_column(heading, justify="left" if heading in ("frames", "refused as") else "right")
    for name, (low, high) in GROUPS.items():
        rows = np.flatnonzero((batch.area_fraction >= low) & (batch.area_fraction < high))
        table.add_row(f"{name} ({rows.size})", *_row(batch, estimates, rows, dots=low > 0))
    Console().print(table)
    reasons = Counter(
        estimate.reason
        for estimate, present in zip(estimates, batch.present, strict=True)
        if present and estimate.status is Status.OUT_OF_DOMAIN
    )
    for reason, _ in reasons.most_common(10):
        print("  good, but:", reason)


def _row(batch: FrameBatch, estimates: list[SizeEstimate], rows: np.ndarray, dots: bool) -> list[str]:
    statuses = Counter(estimates[row].status for row in rows)
    sized = [row for row in rows if estimates[row].status is Status.SIZED]
    errors = [abs(estimates[row].size_nm - batch.number_mean_nm[row]) for row in sized]
    inside = [
        estimates[row].size_low_nm <= batch.number_mean_nm[row] <= estimates[row].size_high_nm
        for row in sized
    ]
    return [
        f"{len(sized) / max(rows.size, 1):.1%}",
        ", ".join(f"{status} {n / rows.size:.1%}" for status, n in statuses.items() if status != "sized"),
        f"{np.mean(errors):.3f}" if dots and sized else "",
        f"{np.mean(inside):.1%}" if dots and sized else "",
    ]


def hostile(sizer: Sizer, per_kind: int, seed: int) -> None:
    table = Table("kind", "frames", "sized rightly", "sized wrongly", "refused as", title="hostile frames")
    found: dict[str, list[tuple[float, SizeEstimate]]] = {}
    for frame in negative_controls(sizer.model.card.material, seed, per_kind):
        found.setdefault(frame.kind, []).append((frame.size_nm, sizer.size(frame.pattern)))
    total = 0
    for kind, pairs in found.items():
        sized = [(size, e) for size, e in pairs if e.status is Status.SIZED]
        right = sum(e.size_low_nm <= size <= e.size_high_nm for size, e in sized)
        total += len(sized) - right
        refused = Counter(e.status.value for _, e in pairs if e.status is not Status.SIZED)
        told = ", ".join(f"{status} {n}" for status, n in refused.items())
        table.add_row(kind, str(len(pairs)), str(right), str(len(sized) - right), told)
    Console().print(table)
    print(f"{total} hostile frames sized with an interval that misses the truth")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="pbs")
    parser.add_argument("--frames", type=int, default=4096)
    parser.add_argument("--structures", type=int, default=6)
    parser.add_argument("--hostile", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    sizer = Sizer(SizingConfig(model=arguments.model))
    good(sizer, arguments.frames, arguments.structures, arguments.seed)
    hostile(sizer, arguments.hostile, arguments.seed)


if __name__ == "__main__":
    main()

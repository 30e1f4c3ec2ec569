"""Error rates of a model: on good frames of the held-out simulations, and on negative controls.

    python -m benchmarks.rejection_rates [--model NAME] [--frames N] [--structures N] [--controls N]
                                         [--seed SEED] [--json FILE]

Good frames come from the `held_out` part of the recipe of `pbs`: shapes, textures, solvents and distortions
held out from training; about one eighth contain no dots. Seeds differ from those that set the thresholds.
Structures of dots are tabulated first, which takes most of the three minutes.
"""

from collections import Counter

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks._report import BenchmarkReport, argument_parser
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


def measure_good_frames(
    report: BenchmarkReport, sizer: Sizer, n_frames: int, n_structures: int, seed: int
) -> None:
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
    table = Table(title=f"{n_frames} frames of held-out simulations, model {sizer.model.name}")
    for heading in ("frames", "sized", "rejected as", "mean error (nm)", "in 95 % interval"):
        table.add_column(heading, justify="left" if heading in ("frames", "rejected as") else "right")
    for name, (low, high) in GROUPS.items():
        rows = np.flatnonzero((batch.area_fraction >= low) & (batch.area_fraction < high))
        table.add_row(f"{name} ({rows.size})", *_row(report, name, batch, estimates, rows, low > 0))
    Console().print(table)
    reasons = Counter(
        estimate.reason
        for estimate, present in zip(estimates, batch.present, strict=True)
        if present and estimate.status is Status.OUT_OF_DOMAIN
    )
    for reason, _ in reasons.most_common(10):
        print("  rejected although good:", reason)


def _row(
    report: BenchmarkReport,
    name: str,
    batch: FrameBatch,
    estimates: list[SizeEstimate],
    rows: np.ndarray,
    dots: bool,
) -> list[str]:
    statuses = Counter(estimates[row].status for row in rows)
    sized = [row for row in rows if estimates[row].status is Status.SIZED]
    errors = [abs(estimates[row].size_nm - batch.number_mean_nm[row]) for row in sized]
    inside = [
        estimates[row].size_low_nm <= batch.number_mean_nm[row] <= estimates[row].size_high_nm
        for row in sized
    ]
    report.add(f"{name}: frames", rows.size, "1", show=False)
    report.add(f"{name}: sized", 100 * len(sized) / max(rows.size, 1), "%", show=False)
    if dots and sized:
        report.add(f"{name}: mean error", np.mean(errors), "nm", show=False)
        report.add(f"{name}: true size in 95 % interval", 100 * np.mean(inside), "%", show=False)
    return [
        f"{len(sized) / max(rows.size, 1):.1%}",
        ", ".join(f"{status} {n / rows.size:.1%}" for status, n in statuses.items() if status != "sized"),
        f"{np.mean(errors):.3f}" if dots and sized else "",
        f"{np.mean(inside):.1%}" if dots and sized else "",
    ]


def measure_negative_controls(report: BenchmarkReport, sizer: Sizer, per_kind: int, seed: int) -> None:
    columns = ("kind", "frames", "sized correctly", "sized wrongly", "rejected as")
    table = Table(*columns, title="negative controls")
    found: dict[str, list[tuple[float, SizeEstimate]]] = {}
    for frame in negative_controls(sizer.model.card.material, seed, per_kind):
        found.setdefault(frame.kind, []).append(
            (frame.size_nm, sizer.size(frame.pattern, resolution_inv_angstrom=0.0))
        )
    n_wrong = 0
    for kind, pairs in found.items():
        sized = [(size, e) for size, e in pairs if e.status is Status.SIZED]
        n_correct = sum(e.size_low_nm <= size <= e.size_high_nm for size, e in sized)
        n_wrong += len(sized) - n_correct
        rejected = Counter(e.status.value for _, e in pairs if e.status is not Status.SIZED)
        statuses = ", ".join(f"{status} {n}" for status, n in rejected.items())
        table.add_row(kind, str(len(pairs)), str(n_correct), str(len(sized) - n_correct), statuses)
    Console().print(table)
    report.add("negative controls sized with an interval that misses the true size", n_wrong, "1", at_most=0)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--model", default="pbs")
    parser.add_argument("--frames", type=int, default=4096)
    parser.add_argument("--structures", type=int, default=6)
    parser.add_argument("--controls", type=int, default=20, help="frames of each kind of negative control")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    sizer = Sizer(SizingConfig(model=arguments.model))
    report = BenchmarkReport("rejection_rates", arguments.json)
    measure_good_frames(report, sizer, arguments.frames, arguments.structures, arguments.seed)
    measure_negative_controls(report, sizer, arguments.controls, arguments.seed)
    report.write()


if __name__ == "__main__":
    main()

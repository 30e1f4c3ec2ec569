"""How often the default model errs on frames whose physics it never saw.

    python benchmarks/refusals.py [--frames N] [--seed SEED]

Frames come from the `held_out` part of the model's recipe, with a seed of their own: another sphere
definition, other wavelengths, no computed solvent, twice the distortions; an eighth holds no dots at all.
"""

import argparse
from collections import Counter

import numpy as np
from rich.console import Console
from rich.table import Table

from qdsizer_stream.patterns import Pattern
from qdsizer_stream.simulation import FrameGenerator, GeneratorRecipe
from qdsizer_stream.sizing import SizeEstimate, Sizer, SizingConfig, Status

GROUPS = {
    "area fraction ≥ 0.37": (0.37, 1.1),
    "area fraction 0.12 to 0.37": (0.0001, 0.37),
    "no dots": (-1.0, 0.0001),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=4096)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    sizer = Sizer(SizingConfig())
    recipe = GeneratorRecipe.model_validate(sizer.model.card.recipe["held_out"])
    batch = FrameGenerator(recipe, arguments.seed).batch(arguments.frames)
    estimates: list[SizeEstimate] = [
        sizer.size(Pattern(recipe.grid.centres, np.where(mask, np.nan, intensity), sigma, mask))
        for intensity, sigma, mask in zip(batch.intensity, batch.sigma, batch.mask, strict=True)
    ]
    table = Table(title=f"{arguments.frames} frames of held-out physics, model {sizer.model.name}")
    for heading in ("frames", "sized", "refused as", "mean error (nm)", "in 95 % interval"):
        table.add_column(heading, justify="left" if heading in ("frames", "refused as") else "right")
    for name, (low, high) in GROUPS.items():
        rows = np.flatnonzero((batch.area_fraction >= low) & (batch.area_fraction < high))
        statuses = Counter(estimates[row].status for row in rows)
        sized = [row for row in rows if estimates[row].status is Status.SIZED]
        errors = [abs(estimates[row].size_nm - batch.number_mean_nm[row]) for row in sized]
        inside = [
            estimates[row].size_low_nm <= batch.number_mean_nm[row] <= estimates[row].size_high_nm
            for row in sized
        ]
        dots = low > 0
        table.add_row(
            f"{name} ({rows.size})",
            f"{len(sized) / rows.size:.1%}",
            ", ".join(f"{status} {n / rows.size:.1%}" for status, n in statuses.items() if status != "sized"),
            f"{np.mean(errors):.3f}" if dots else "",
            f"{np.mean(inside):.1%}" if dots else "",
        )
    Console().print(table)


if __name__ == "__main__":
    main()

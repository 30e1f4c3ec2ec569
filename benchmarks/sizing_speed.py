"""Time from a pattern of 5004 points to an estimate, by step, and effect of batches on the last bits.

    python -m benchmarks.sizing_speed [--frames N] [--model NAME] [--json FILE]

All libraries use one thread, which is set before they load. CPU time hardly depends on the load of the
machine; wall time does.
"""

import os
import time
from collections.abc import Callable

os.environ.update({f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")})

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks._report import BenchmarkReport, argument_parser
from qdsizer_stream.models import BinnedInput, binned_vector
from qdsizer_stream.patterns import PAPER_GRID, Pattern, bin_pattern, paper_vector
from qdsizer_stream.simulation import GrowingDots, SynthesisRecipe
from qdsizer_stream.sizing import Sizer, SizingConfig

COUNTS = (30.0, 1000.0)
"""Photons per point: alternating short and long exposures."""


TARGETS_MS = {"median": 1.0, "99 % quantile": 3.0}
"""Targets for the time from pattern to estimate, ms."""


def patterns(n: int) -> list[Pattern]:
    q = PAPER_GRID.q_inv_angstrom
    dots = GrowingDots(SynthesisRecipe(wavelength_angstrom=0.56), q_max_inv_angstrom=15.2)
    rng = np.random.default_rng(0)
    frames = []
    for i, elapsed_s in enumerate(np.linspace(60.0, 3000.0, n)):
        expected = dots(q, float(elapsed_s))
        counts = rng.poisson(COUNTS[i % len(COUNTS)] * expected / expected.mean())
        frames.append(Pattern.from_arrays(q, counts))
    return frames


def milliseconds(one: Callable[[Pattern], object], frames: list[Pattern]) -> dict[str, float]:
    """Median and 99 % quantile of wall time and CPU time, ms, after a warm-up."""
    for frame in frames[:10]:
        one(frame)
    wall, cpu = [], []
    for frame in frames:
        wall_start, cpu_start = time.perf_counter(), time.thread_time()
        one(frame)
        wall.append(1e3 * (time.perf_counter() - wall_start))
        cpu.append(1e3 * (time.thread_time() - cpu_start))
    return {
        "median": float(np.median(wall)),
        "99 % quantile": float(np.quantile(wall, 0.99)),
        "CPU median": float(np.median(cpu)),
        "CPU 99 % quantile": float(np.quantile(cpu, 0.99)),
    }


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--frames", type=int, default=256)
    parser.add_argument("--model", default="pbs")
    arguments = parser.parse_args()
    report = BenchmarkReport("sizing_speed", arguments.json)
    sizer = Sizer(SizingConfig(model=arguments.model))
    model, frames = sizer.model, patterns(arguments.frames)
    grid = sizer._grid
    parts: dict[str, Callable[[Pattern], object]] = {
        "pattern to estimate": sizer.size,
        "binning for the physics check": lambda pattern: bin_pattern(pattern, grid),
    }
    binned = [bin_pattern(frame, grid) for frame in frames]
    if isinstance(model.card.input, BinnedInput):
        vectors = np.stack([binned_vector(one, grid) for one in binned])
        parts["network, including its input vector"] = lambda pattern: model.answer_binned(pattern)
        inputs = {"network, including its input vector": binned}
    else:
        vectors = np.stack([paper_vector(frame, model.card.input.grid) for frame in frames])
        parts["network, including its input vector"] = model.answer
        inputs = {}
    answers = [model.answer(frame) for frame in frames]
    by_frame = {id(one): answer for one, answer in zip(binned, answers, strict=True)}
    parts["physics check"] = lambda one: sizer._check.fit(
        one, by_frame[id(one)].size_low_nm, by_frame[id(one)].size_high_nm, by_frame[id(one)].dispersion
    )
    inputs["physics check"] = binned
    times = {name: milliseconds(one, inputs.get(name, frames)) for name, one in parts.items()}
    table = Table("step", *next(iter(times.values())), title=f"{model.name}, milliseconds per frame")
    for name, row in times.items():
        table.add_row(name, *(f"{value:.3f}" for value in row.values()))
        for statistic, value in row.items():
            target = TARGETS_MS.get(statistic) if name == "pattern to estimate" else None
            report.add(f"{name}, {statistic}", value, "ms", at_most=target, show=False)
    Console().print(table)

    batched = model._run(vectors)
    single = [model._run(vector[None]) for vector in vectors]
    changed = [
        any(not np.array_equal(out[0], many[row]) for out, many in zip(one, batched, strict=True))
        for row, one in enumerate(single)
    ]
    wall_start, cpu_start = time.perf_counter(), time.process_time()
    for frame in frames:
        sizer.size(frame)
    report.add("rate", len(frames) / (time.perf_counter() - wall_start), "frames/s")
    report.add("rate in CPU time", len(frames) / (time.process_time() - cpu_start), "frames/s")
    report.add("frames whose network output differs in a batch", 100 * float(np.mean(changed)), "%")
    report.write()


if __name__ == "__main__":
    main()

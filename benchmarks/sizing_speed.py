"""Time from a pattern of 5004 points to an estimate, where it goes, and whether batches give the same bits.

    python benchmarks/sizing_speed.py [--frames N] [--model NAME] [--json FILE]

One thread throughout: the libraries are told so before they load. Processor time hardly depends on what
else the machine does; time by the clock does.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

os.environ.update({f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")})

import numpy as np
from rich.console import Console
from rich.table import Table

from qdsizer_stream.models import BinnedInput, binned_vector
from qdsizer_stream.patterns import PAPER_GRID, Pattern, bin_pattern, paper_vector
from qdsizer_stream.simulation import GrowingDots, SynthesisRecipe
from qdsizer_stream.sizing import Sizer, SizingConfig

COUNTS = (30.0, 1000.0)
"""Photons a point: a fast frame and a good one, in turn."""


def patterns(n: int) -> list[Pattern]:
    q = PAPER_GRID.q_inv_angstrom
    dots = GrowingDots(SynthesisRecipe(wavelength_angstrom=0.56), q_max_inv_angstrom=15.2)
    rng = np.random.default_rng(0)
    frames = []
    for number, elapsed_s in enumerate(np.linspace(60.0, 3000.0, n)):
        expected = dots(q, float(elapsed_s))
        counts = rng.poisson(COUNTS[number % len(COUNTS)] * expected / expected.mean())
        frames.append(Pattern.from_arrays(q, counts))
    return frames


def milliseconds(one: Callable[[Pattern], object], frames: list[Pattern]) -> dict[str, float]:
    """Median and 99th percentile by the clock, and median of processor time, after a warm-up."""
    for frame in frames[:10]:
        one(frame)
    clock, processor = [], []
    for frame in frames:
        began, used = time.perf_counter(), time.thread_time()
        one(frame)
        clock.append(1e3 * (time.perf_counter() - began))
        processor.append(1e3 * (time.thread_time() - used))
    return {
        "median": float(np.median(clock)),
        "p99": float(np.quantile(clock, 0.99)),
        "processor median": float(np.median(processor)),
        "processor p99": float(np.quantile(processor, 0.99)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=256)
    parser.add_argument("--model", default="pbs")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    arguments = parser.parse_args()
    sizer = Sizer(SizingConfig(model=arguments.model))
    model, frames = sizer.model, patterns(arguments.frames)
    grid = sizer._grid
    parts: dict[str, Callable[[Pattern], object]] = {
        "all: pattern to estimate": sizer.size,
        "bins of the check": lambda pattern: bin_pattern(pattern, grid),
    }
    binned = [bin_pattern(frame, grid) for frame in frames]
    if isinstance(model.card.input, BinnedInput):
        vectors = np.stack([binned_vector(one, grid) for one in binned])
        parts["network, its vector included"] = lambda pattern: model.answer_binned(pattern)
        inputs = {"network, its vector included": binned}
    else:
        vectors = np.stack([paper_vector(frame, model.card.input.grid) for frame in frames])
        parts["network, its vector included"] = model.answer
        inputs = {}
    answers = [model.answer(frame) for frame in frames]
    by_frame = {id(one): answer for one, answer in zip(binned, answers, strict=True)}
    parts["physics check"] = lambda one: sizer._check.fit(
        one, by_frame[id(one)].size_low_nm, by_frame[id(one)].size_high_nm, by_frame[id(one)].dispersion
    )
    inputs["physics check"] = binned
    numbers = {name: milliseconds(one, inputs.get(name, frames)) for name, one in parts.items()}
    table = Table("what", *next(iter(numbers.values())), title=f"{model.name}, milliseconds a frame")
    for name, row in numbers.items():
        table.add_row(name, *(f"{value:.3f}" for value in row.values()))
    Console().print(table)

    together = model._run(vectors)
    alone = [model._run(vector[None]) for vector in vectors]
    changed = [
        any(not np.array_equal(out[0], many[row]) for out, many in zip(one, together, strict=True))
        for row, one in enumerate(alone)
    ]
    began, used = time.perf_counter(), time.process_time()
    for frame in frames:
        sizer.size(frame)
    rate = len(frames) / (time.perf_counter() - began), len(frames) / (time.process_time() - used)
    numbers["batch"] = {
        "frames a second": rate[0],
        "frames a second of processor time": rate[1],
        "share of frames that a batch rounds differently": float(np.mean(changed)),
    }
    print(
        f"{rate[0]:.0f} frames a second, {rate[1]:.0f} of processor time; run as one batch, the network "
        f"rounds {np.mean(changed):.0%} of the frames differently"
    )
    print("load:", *(f"{load:.1f}" for load in os.getloadavg()))
    if arguments.json:
        arguments.json.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

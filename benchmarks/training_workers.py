"""Steps per second of a training in one process with two threads, and in two processes with one thread each.

    python -m benchmarks.training_workers [--steps N] [--structures N] [--rounds N] [--json FILE]

The recipe is that of the model `pbs` with fewer structures and no by-products, whose simulation would take an
hour. The two take turns, so that the ratio of a round depends little on the load of the machine. Times of the
start, of the structures and of the first ten steps are not counted.
"""

import contextlib
import statistics
import time
from collections.abc import Callable

import torch

from benchmarks._report import BenchmarkReport, argument_parser
from qdsizer_stream.training import SizeRecipe, fit_size, load_training_recipe

N_THREADS = 2
"""Threads of one process, or of all together."""

FIRST_STEP = 10
"""Step from which time counts; progress is reported every ten steps."""


class FinishedError(Exception):
    """All steps are done; what follows them is not measured."""


def short_recipe(steps: int, n_structures: int) -> SizeRecipe:
    """The recipe with few steps and structures."""
    recipe = load_training_recipe("pbs")
    assert isinstance(recipe, SizeRecipe)
    changes = {"n_structures": n_structures, "by_product_materials": ()}
    generator = recipe.generator.model_copy(update=changes)
    return recipe.model_copy(update={"steps": steps, "generator": generator})


def timed(
    recipe: SizeRecipe, times: dict[int, float], losses: list[float]
) -> Callable[[str, int, int], None]:
    """Progress callback that notes when each reported step was done."""

    def report(what: str, done: int, total: int) -> None:
        if what.startswith("training"):
            times[done] = time.perf_counter()
            losses.append(float(what.rpartition(" ")[2]))
            if done == recipe.steps:
                raise FinishedError

    return report


def measure(recipe: SizeRecipe, n_workers: int) -> tuple[float, float]:
    """Steps per second, and the loss at the end."""
    times: dict[int, float] = {}
    losses: list[float] = []
    with contextlib.suppress(FinishedError):
        fit_size(recipe, timed(recipe, times, losses), n_workers=n_workers)
    return (recipe.steps - FIRST_STEP) / (times[recipe.steps] - times[FIRST_STEP]), losses[-1]


def main() -> None:
    """Measure and report."""
    parser = argument_parser(__doc__)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--structures", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(N_THREADS)
    report = BenchmarkReport("training_workers", options.json)
    recipe = short_recipe(options.steps, options.structures)
    rates: dict[int, list[float]] = {1: [], 2: []}
    for number in range(1, options.rounds + 1):
        for n_workers, found in rates.items():
            rate, loss = measure(recipe, n_workers)
            found.append(rate)
            name = "1 process of 2 threads" if n_workers == 1 else "2 processes of 1 thread"
            report.add(f"round {number}: {name}", rate * recipe.batch_size, "frames/s")
            report.add(f"round {number}: {name}, loss", loss, "1")
    ratios = [two / one for one, two in zip(rates[1], rates[2], strict=True)]
    report.add("two processes / one process", statistics.median(ratios), "1", at_least=1.0)
    report.write()


if __name__ == "__main__":
    main()

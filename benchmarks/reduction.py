"""Speed of the reduction: time per frame, and ratios to `numpy.histogram` in the same run.

    OMP_NUM_THREADS=1 python -m benchmarks.reduction [--json FILE]

Every measurement reduces whole frames, from the integers of the detector to a pattern, with all counting
corrections (saturation, bad strips, dead time, flat field, monitor, exposure) and Q bins. The ratio is
relative to one `numpy.histogram` of the same strips with precomputed Q and without corrections. Times
depend on the machine and its load, ratios less so.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._report import BenchmarkReport, argument_parser
from qdsizer_stream.patterns import BinGrid, q_from_two_theta
from qdsizer_stream.reduction import (
    AccumulationConfig,
    DeadTime,
    FlatField,
    FlatFieldFile,
    FlatLayout,
    FrameAccumulator,
    Reducer,
    ReductionConfig,
    StripDetector,
    nominal_detector,
    write_flat_field,
)

WAVELENGTH_ANGSTROM = 0.5636  # 22 keV
GRID = BinGrid(q_first_inv_angstrom=0.5, q_step_inv_angstrom=0.02, n_bins=900)
REPEATS = 200


def median_ms(work: Callable[[], Any]) -> float:
    """Median of many runs, ms, after a warm-up."""
    work()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))


def reducer(detector: StripDetector, folder: Path, **settings: Any) -> Reducer:
    rng = np.random.default_rng(0)
    n_strips = detector.n_strips
    path = folder / f"flat_{n_strips}.raw"
    write_flat_field(path, FlatField.from_counts(rng.poisson(1e5, n_strips).astype(float)), detector)
    return Reducer(
        ReductionConfig(
            detector=detector,
            arm_deg=0.0,
            flat_field=FlatFieldFile(path=path, layout=FlatLayout.COUNTS, energy_ev=22_000),
            dead_time=DeadTime(shaping="standard"),
            bad_strips=tuple(range(0, n_strips, 500)),
            normalise_exposure=True,
            normalise_monitor=True,
            bins=GRID,
            **settings,
        )
    )


def measure(folder: Path, report: BenchmarkReport) -> None:
    rng = np.random.default_rng(1)
    ring = nominal_detector(24, 2.0)
    frame = rng.poisson(200, ring.n_strips).astype(np.uint32)
    q = q_from_two_theta(ring.two_theta(0.0), WAVELENGTH_ANGSTROM)
    histogram = median_ms(lambda: np.histogram(q, GRID.edges, weights=frame))

    def row(name: str, max_ms: float | None, work: Callable[[], Any]) -> None:
        ms = median_ms(work)
        report.add(name, ms, "ms", at_most=max_ms)
        report.add(f"{name} / histogram", ms / histogram, "1")

    full = reducer(ring, folder)
    metadata = {"exposure_s": 1.0, "monitor": 1e5}
    row(
        "30 720 strips, all corrections, bins",
        1.0,
        lambda: full.reduce(frame, WAVELENGTH_ANGSTROM, **metadata),
    )
    saturated = frame.copy()
    saturated[::1000] = 2**24 - 1
    row(
        "with saturated strips",
        1.0,
        lambda: full.reduce(saturated, WAVELENGTH_ANGSTROM, **metadata),
    )
    fast = rng.poisson(20_000, ring.n_strips).astype(np.uint32)
    row(
        "with every strip at 200 kcps (Lambert W throughout)",
        None,
        lambda: full.reduce(fast, WAVELENGTH_ANGSTROM, exposure_s=0.1, monitor=1e5),
    )
    arms = iter(np.linspace(0, 1, 10_000))
    row(
        "with another arm angle for every frame",
        None,
        lambda: full.reduce(frame, WAVELENGTH_ANGSTROM, float(next(arms)), **metadata),
    )
    bare = Reducer(ring)
    row("30 720 strips, no corrections, no bins", None, lambda: bare.reduce(frame, WAVELENGTH_ANGSTROM))

    double = StripDetector(modules=ring.modules * 2, global_offset_deg=2.0)
    three = [reducer(double, folder, n_counters=3, counter=counter) for counter in range(3)]
    frame3 = rng.poisson(200, (double.n_strips, 3)).astype(np.uint32)
    row(
        "61 440 strips × 3 counters, all three reduced",
        4.0,
        lambda: [r.reduce(frame3, WAVELENGTH_ANGSTROM, **metadata) for r in three],
    )
    pooled = full.pool(frame, WAVELENGTH_ANGSTROM, **metadata)
    clock = iter(range(1_000_000))
    rolling = FrameAccumulator(
        AccumulationConfig(mode="rolling", min_counts=1000 * pooled.total_counts, max_seconds=1e9)
    )
    for _ in range(1200):
        rolling.add(pooled, next(clock))
    row("rolling sum of 1000 frames, one more frame", None, lambda: rolling.add(pooled, next(clock)))


def main() -> None:
    report = BenchmarkReport("reduction", argument_parser(__doc__).parse_args().json)
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), report)
    report.write()


if __name__ == "__main__":
    main()

"""Closed loop: time from the read-out of a frame to the decision of a plan that uses its size.

    python -m benchmarks.closed_loop [--frames N] [--json FILE]

A simulated MYTHEN of 30 720 strips, a real RunEngine, a LiveSizer and the plan `size_until`. The clock
starts when the frame is in the detector's signal and stops when the plan triggers the next frame. The time
therefore includes the event, the sizing, the reading of the size and the step of the plan. For comparison,
the time of the sizing alone is measured in the same process.
"""

import time
from typing import Any

import numpy as np
from bluesky import RunEngine
from numpy.typing import NDArray

from benchmarks._detector import DETECTOR, LIVE, WAVELENGTH_ANGSTROM, synthesis
from benchmarks._report import BenchmarkReport, argument_parser
from qdsizer_stream.callbacks import LiveSizer
from qdsizer_stream.devices import SimMythen
from qdsizer_stream.devices.plans import size_until
from qdsizer_stream.sizing import Sizer

MAX_DECISION_MS = 20.0
"""Target for the time from frame to decision, ms."""

WARM_UP_FRAMES = 5
"""Frames that are not evaluated: the first ones create descriptors, buffers and caches."""


class TimedMythen(SimMythen):
    """A simulated MYTHEN that records when it is triggered and when its frames are available."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.triggered: list[float] = []
        self.read_out: list[float] = []

    def trigger(self) -> Any:
        """Record the time and expose a frame."""
        self.triggered.append(time.perf_counter())
        return super().trigger()

    def _read_out(self, counts: NDArray[np.uint32]) -> None:
        super()._read_out(counts)
        self.read_out.append(time.perf_counter())


def add_quantiles(report: BenchmarkReport, name: str, seconds: NDArray[np.float64]) -> None:
    """Record median, 99 % quantile and maximum, ms."""
    for label, quantile in (("median", 0.5), ("99 % quantile", 0.99), ("maximum", 1.0)):
        report.add(f"{name}, {label}", 1e3 * float(np.quantile(seconds, quantile)), "ms")


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--frames", type=int, default=200)
    arguments = parser.parse_args()
    frames = arguments.frames + WARM_UP_FRAMES
    report = BenchmarkReport("closed_loop", arguments.json)
    sizer = Sizer(LIVE.sizing)
    mythen = TimedMythen(
        name="mythen",
        scene=synthesis(),
        detector=DETECTOR,
        wavelength_angstrom=WAVELENGTH_ANGSTROM,
        counts_per_second=1.0,
        exposure_s=10.0,
        speed=200.0,  # one frame in 50 ms
    )
    live = LiveSizer(LIVE, sizer)
    engine: Any = RunEngine({}, call_returns_result=True)
    engine.subscribe(live)
    # The target size is never reached and unsized frames do not end the plan: it decides on every frame.
    plan = size_until(mythen, live, 50.0, 0.1, frames, 3600.0, max_unsized=frames)
    outcome = engine(plan).plan_result
    end = time.perf_counter()
    live.close()
    decided = np.array([*mythen.triggered[1:], end])
    loop = (decided - np.array(mythen.read_out))[WARM_UP_FRAMES:-1]  # the last one also closes the run
    sizing = []
    for _ in range(50):
        start = time.perf_counter()
        sizer.size_frame(mythen.image.get(), WAVELENGTH_ANGSTROM)
        sizing.append(time.perf_counter() - start)
    print(f"{DETECTOR.n_strips} strips, {outcome.n_frames} frames; {live.counters.sized} sized")
    add_quantiles(report, "frame to decision", loop)
    add_quantiles(report, "sizing alone", np.array(sizing))
    within = 100 * float(np.mean(1e3 * loop <= MAX_DECISION_MS))
    report.add(f"decisions within {MAX_DECISION_MS:g} ms", within, "%")
    report.write()


if __name__ == "__main__":
    main()

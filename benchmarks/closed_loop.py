"""Closed loop: from a frame that is read out to the decision of a plan that acts on its size.

    python -m benchmarks.closed_loop [--frames N]

A simulated MYTHEN of 30 720 strips, a real RunEngine, a LiveSizer and the plan `size_until`. The clock
starts when the frame is in the detector's signal and stops when the plan asks for the next frame: so it
includes the event, the sizing, the reading of the size and the plan's own step. Beside it, in the same run,
what the sizing alone takes.
"""

import argparse
import time
from typing import Any

import numpy as np
from bluesky import RunEngine
from numpy.typing import NDArray

from qdsizer_stream.callbacks import LiveConfig, LiveSizer, WavelengthSource
from qdsizer_stream.devices import SimMythen
from qdsizer_stream.devices.plans import size_until
from qdsizer_stream.patterns import q_from_two_theta
from qdsizer_stream.reduction import ReductionConfig, nominal_detector
from qdsizer_stream.simulation import GrowingDots, SynthesisRecipe
from qdsizer_stream.sizing import Sizer, SizingConfig

WAVELENGTH_ANGSTROM = 0.5637
DETECTOR = nominal_detector(24, 0.0)

TARGET_S = 0.020
"""What the loop is to stay below, s."""

WARM_UP_FRAMES = 5
"""Frames that are not counted: the first ones make descriptors, buffers and caches."""


class TimedMythen(SimMythen):
    """A simulated MYTHEN that notes when it is triggered and when its frames are there."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.triggered: list[float] = []
        self.read_out: list[float] = []

    def trigger(self) -> Any:
        """Note the time and expose a frame."""
        self.triggered.append(time.perf_counter())
        return super().trigger()

    def _read_out(self, counts: NDArray[np.uint32]) -> None:
        super()._read_out(counts)
        self.read_out.append(time.perf_counter())


def said(name: str, seconds: NDArray[np.float64]) -> str:
    """Quantiles in milliseconds."""
    median, most, largest = 1e3 * np.quantile(seconds, [0.5, 0.99, 1.0])
    return f"{name:<22} median {median:6.2f} ms   99 % below {most:6.2f} ms   largest {largest:6.2f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=200)
    frames = parser.parse_args().frames + WARM_UP_FRAMES
    config = LiveConfig(
        sizing=SizingConfig(reduction=ReductionConfig(detector=DETECTOR, arm_deg=0.0)),
        wavelength=WavelengthSource(configuration_key="mythen_wavelength"),
    )
    sizer = Sizer(config.sizing)
    q_max = float(q_from_two_theta(DETECTOR.two_theta(0.0), WAVELENGTH_ANGSTROM).max())
    mythen = TimedMythen(
        name="mythen",
        scene=GrowingDots(SynthesisRecipe(wavelength_angstrom=WAVELENGTH_ANGSTROM), q_max),
        detector=DETECTOR,
        wavelength_angstrom=WAVELENGTH_ANGSTROM,
        counts_per_second=1.0,
        exposure_s=10.0,
        speed=200.0,  # a frame in 50 ms
    )
    live = LiveSizer(config, sizer)
    engine: Any = RunEngine({}, call_returns_result=True)
    engine.subscribe(live)
    # A target out of reach, and no end for frames without a size: every frame is decided upon.
    plan = size_until(mythen, live, 50.0, 0.1, frames, 3600.0, max_unsized=frames)
    outcome = engine(plan).plan_result
    ended = time.perf_counter()
    live.close()
    decided = np.array([*mythen.triggered[1:], ended])
    loop = (decided - np.array(mythen.read_out))[WARM_UP_FRAMES:-1]  # the last one closes the run as well
    alone = []
    for _ in range(50):
        begin = time.perf_counter()
        sizer.size_frame(mythen.image.get(), WAVELENGTH_ANGSTROM)
        alone.append(time.perf_counter() - begin)
    print(f"{DETECTOR.n_strips} strips, {outcome.n_frames} frames; {live.counters.sized} sized")
    print(said("frame to decision", loop))
    print(said("sizing alone", np.array(alone)))
    print(f"{np.mean(loop <= TARGET_S):.1%} of the decisions within {1e3 * TARGET_S:g} ms")


if __name__ == "__main__":
    main()

"""Many runs through one live sizer: nothing lost, nothing out of order, memory flat.

``python -m benchmarks.live_soak [--frames 100000] [--runs 200]``; exit code 1 where one of these fails.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from bluesky import RunEngine
from bluesky.plans import count

from benchmarks.live_path import DETECTOR, WAVELENGTH_ANGSTROM, StoredMythen, frame
from qdsizer_stream.callbacks import LiveConfig, LiveSizer, QueuePolicy, WavelengthSource
from qdsizer_stream.patterns import q_from_two_theta
from qdsizer_stream.reduction import ReductionConfig
from qdsizer_stream.simulation import GrowingDots, SynthesisRecipe
from qdsizer_stream.sizing import SizingConfig

WARM_UP_RUNS = 3
"""Runs until every buffer and cache has its size."""

PAGE_MB = 4096 / 1e6


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_MB


class Ledger:
    """Checks order as documents arrive."""

    def __init__(self) -> None:
        self.expected = 1
        self.wrong = 0
        self.frames = 0

    def __call__(self, name: str, doc: Any) -> None:
        """Take a document."""
        if name == "start":
            self.expected = 1
        elif name == "event" and "qdsizer_size" in doc["data"]:
            self.wrong += not doc["seq_num"] == doc["data"]["qdsizer_frame_seq_num"] == self.expected
            self.expected += 1
            self.frames += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=200)
    arguments = parser.parse_args()
    config = LiveConfig(
        sizing=SizingConfig(reduction=ReductionConfig(detector=DETECTOR, arm_deg=0.0)),
        wavelength=WavelengthSource(configuration_key="mythen_wavelength"),
        queue_policy=QueuePolicy.WAIT,
        queue_frames=50,
    )
    q_max = float(q_from_two_theta(DETECTOR.two_theta(0.0), WAVELENGTH_ANGSTROM).max())
    detector = StoredMythen(name="mythen")
    detector.image.put(frame(GrowingDots(SynthesisRecipe(wavelength_angstrom=WAVELENGTH_ANGSTROM), q_max), 0))
    live, ledger, engine = LiveSizer(config), Ledger(), RunEngine({})
    live.subscribe(ledger)
    engine.subscribe(live)
    begin, memory = time.perf_counter(), []
    for _ in range(arguments.runs):
        engine(count([detector], arguments.frames // arguments.runs))
        live.wait()
        memory.append(resident_mb())
    spent = time.perf_counter() - begin
    live.close()
    asked = arguments.runs * (arguments.frames // arguments.runs)
    warm = memory[min(WARM_UP_RUNS, len(memory) - 1)]
    growth = np.max(memory[WARM_UP_RUNS:] or memory) / warm - 1
    print(f"{ledger.frames} of {asked} frames in {arguments.runs} runs, {ledger.frames / spent:.0f} frames/s")
    print(f"{ledger.wrong} out of order, {live.counters.contained} errors, {live.counters.marked} marked")
    print(f"memory {warm:.0f} MB after {WARM_UP_RUNS} runs, at most {growth:+.1%} later")
    sys.exit(bool(ledger.frames != asked or ledger.wrong or live.counters.contained or growth > 0.05))


if __name__ == "__main__":
    main()

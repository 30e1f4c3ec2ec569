"""Cost of live sizing: time added to the RunEngine, latency, rate and burst, each beside its target.

Run it on an idle machine: ``python -m benchmarks.live_path [--frames N] [--turns N]``; two to three minutes.
What is added to an event is a ratio taken turn by turn within one run, so that a busy machine falls on all
alike. Three sizers show where it goes: one that passes documents on, one whose frames are handed over,
reduced and added up but not sized, and one that does all; and the last with a thread instead of a process.
What a machine loses as soon as another of its cores is at work, with no callback at all, stands above them.
"""

import argparse
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from bluesky import RunEngine
from bluesky.plans import count
from ophyd import Component, Device, DeviceStatus, Kind

from qdsizer_stream.callbacks import LiveConfig, LiveSizer, WavelengthSource
from qdsizer_stream.devices import SimMythenHdf5, UnitSignal
from qdsizer_stream.patterns import q_from_two_theta
from qdsizer_stream.reduction import AccumulationConfig, ReductionConfig, nominal_detector
from qdsizer_stream.simulation import GrowingDots, SynthesisRecipe
from qdsizer_stream.sizing import Sizer, SizingConfig

WAVELENGTH_ANGSTROM = 0.5637
DETECTOR = nominal_detector(24, 0.0)

MOST_ADDED = 0.10
MOST_P50_MS, MOST_P99_MS = 3.0, 10.0
LEAST_FRAMES_PER_S = 200.0

NEVER = AccumulationConfig(mode="reset", min_counts=1e300, max_seconds=1e9)
"""Adds frames up to the end of the run: they are handed over and reduced, but not sized."""

Documents = list[tuple[str, Any]]


class StoredMythen(Device):
    """A detector that hands out a frame made beforehand: what is timed is not the simulation."""

    image = Component(UnitSignal, value=np.zeros(DETECTOR.n_strips, np.uint32), unit="counts")
    wavelength = Component(UnitSignal, value=WAVELENGTH_ANGSTROM, unit="angstrom", kind=Kind.config)
    exposure_s = 0.0

    def trigger(self) -> DeviceStatus:
        """Wait for the exposure."""
        status = DeviceStatus(self)
        if self.exposure_s:
            threading.Timer(self.exposure_s, status.set_finished).start()
        else:
            status.set_finished()
        return status


def scene() -> GrowingDots:
    """A synthesis, as far as the detector sees."""
    q_max = float(q_from_two_theta(DETECTOR.two_theta(0.0), WAVELENGTH_ANGSTROM).max())
    return GrowingDots(SynthesisRecipe(wavelength_angstrom=WAVELENGTH_ANGSTROM), q_max)


def frame(dots: GrowingDots, seed: int) -> np.ndarray:
    """Photons after five minutes of it."""
    q = q_from_two_theta(DETECTOR.two_theta(0.0), WAVELENGTH_ANGSTROM)
    expected = np.zeros(q.size)
    expected[q > 0] = 30 * dots(q[q > 0], 300.0)
    return np.random.default_rng(seed).poisson(expected).astype(np.uint32)


def told(what: str, measured: str, target: str = "", met: bool | None = None) -> None:
    """Print a line of the table."""
    verdict = "" if met is None else "PASS" if met else "short"
    print(f"{what:<42}{measured:>16}  {target:<12}{verdict}", flush=True)


def run_engine_cost(config: LiveConfig, sizer: Sizer, detector: Device, frames: int, turns: int) -> None:
    """Time per event with no callback and with each kind of sizer, in turns."""
    lives = {
        "documents passed on": LiveSizer(config.model_copy(update={"data_key": "none", "workers": 0}), sizer),
        "frames handed over, not sized": LiveSizer(config.model_copy(update={"accumulation": NEVER}), sizer),
        "frames sized in a process": LiveSizer(config, sizer),
        "frames sized in a thread": LiveSizer(config.model_copy(update={"workers": 0}), sizer),
    }
    alone = RunEngine({})
    engines = {name: RunEngine({}) for name in lives}
    for name, live in lives.items():
        engines[name].subscribe(live)
    for what, exposure_s, n in (("at 20 ms exposures", 0.02, frames // 4), ("at full speed", 0.0, frames)):
        detector.exposure_s = exposure_s
        without: list[float] = []
        added: dict[str, list[float]] = {name: [] for name in ("no callback, another core at work", *lives)}
        for turn in range(turns + 1):
            base = per_event_ms(alone, detector, n)
            with busy_core():
                each = per_event_ms(alone, detector, n)
            if turn:
                added["no callback, another core at work"].append(each / base - 1)
            for name, live in lives.items():
                each = per_event_ms(engines[name], detector, n)
                live.wait()  # the next turn starts clean
                if turn:  # the first one loads and warms up
                    added[name].append(each / base - 1)
            without.append(base)
        told(f"added to an event {what}", f"of {statistics.median(without[1:]):.2f} ms")
        for name, ratios in added.items():
            ratio = statistics.median(ratios)
            if name == "frames sized in a process":
                told(f"  {name}", f"{ratio:+.1%}", f"<= {MOST_ADDED:.0%}", ratio <= MOST_ADDED)
            else:
                told(f"  {name}", f"{ratio:+.1%}")
    detector.exposure_s = 0.0
    for live in lives.values():
        live.close()


@contextmanager
def busy_core() -> Iterator[None]:
    """A program that has nothing to do with the plan, of the priority of the sizing process."""
    spin = "import os; os.nice(10); print(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", spin], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


def per_event_ms(engine: Any, detector: Device, frames: int) -> float:
    begin = time.perf_counter()
    engine(count([detector], frames))
    return 1000 * (time.perf_counter() - begin) / frames


def run_of(detector: Device, frames: int) -> Documents:
    """A run as a RunEngine tells it."""
    documents: Documents = []
    RunEngine({})(count([detector], frames), lambda name, doc: documents.append((name, doc)))
    return documents


def warmed_up(config: LiveConfig, sizer: Sizer, documents: Documents) -> LiveSizer:
    """A live sizer that has had a run of its own: the process has loaded its model then."""
    live = LiveSizer(config, sizer)
    named = ("uid", "run_start", "descriptor", "stream_resource")
    for name, doc in documents[:5] + documents[-1:]:
        live(name, {**doc, **{key: f"warm-{doc[key]}" for key in named if key in doc}})
    live.wait()
    return live


def latency(what: str, config: LiveConfig, sizer: Sizer, documents: Documents, rate_hz: float) -> None:
    """Raw event in, derived event out, at a pace."""
    live = warmed_up(config, sizer, documents)
    arrived: list[float] = []
    live.subscribe(
        lambda n, d: arrived.append(time.perf_counter()) if "qdsizer_size" in d["data"] else None, "event"
    )
    sent: list[float] = []
    in_callback: list[float] = []
    for name, doc in documents:
        if name == "event":
            time.sleep(1 / rate_hz)
            sent.append(time.perf_counter())
        live(name, doc)
        if name == "event":
            in_callback.append(time.perf_counter() - sent[-1])
    live.close()
    p50, p99 = np.percentile(1000 * (np.array(arrived) - np.array(sent)), [50, 99])
    told(f"event to estimate, {what}, median", f"{p50:.2f} ms", f"<= {MOST_P50_MS:g} ms", p50 <= MOST_P50_MS)
    told("  99 % within", f"{p99:.2f} ms", f"<= {MOST_P99_MS:g} ms", p99 <= MOST_P99_MS)
    told("  of which the callback holds the plan", f"{1000 * statistics.median(in_callback):.3f} ms")


def sustained(what: str, config: LiveConfig, sizer: Sizer, documents: Documents) -> None:
    """All documents at once: nothing may be lost, and the rate is the sustained one."""
    live = warmed_up(config, sizer, documents)
    before = live.counters.frames
    events: list[int] = []
    live.subscribe(lambda n, d: events.append(d["data"].get("qdsizer_frame_seq_num", 0)), "event")
    begin = time.perf_counter()
    for name, doc in documents:
        live(name, doc)
    live.wait()
    spent = time.perf_counter() - begin
    live.close()
    n = live.counters.frames - before
    rate = n / spent
    told(
        f"sustained, {what}", f"{rate:.0f} frames/s", f">= {LEAST_FRAMES_PER_S:g}", rate >= LEAST_FRAMES_PER_S
    )
    in_order = [number for number in events if number] == list(range(1, n + 1))
    lost = live.counters.marked + live.counters.contained
    told(f"  of a burst of {n}, not sized in their order", f"{lost}", "0", lost == 0 and in_order)


def stages(config: LiveConfig, sizer: Sizer, documents: Documents) -> None:
    """What sizing alone takes here, one frame after another."""
    counts = next(doc["data"]["mythen_image"] for name, doc in documents if name == "event")
    begin = time.perf_counter()
    for _ in range(100):
        sizer.size_frame(counts, WAVELENGTH_ANGSTROM)
    told("a frame through the sizer alone", f"{10 * (time.perf_counter() - begin):.2f} ms")


def in_files(folder: Path, frames: int) -> Documents:
    """A run whose frames lie in a file."""
    device = SimMythenHdf5(
        directory=folder, name="mythen", scene=scene(), detector=DETECTOR, counts_per_second=1.0,
        wavelength_angstrom=WAVELENGTH_ANGSTROM, exposure_s=30.0, speed=np.inf,
    )  # fmt: skip
    return run_of(device, frames)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=200, help="frames of a turn, and of each pace")
    parser.add_argument("--turns", type=int, default=7)
    arguments = parser.parse_args()
    logging.getLogger("qdsizer_stream").setLevel(logging.ERROR)  # runs without frames are meant to be here
    config = LiveConfig(
        sizing=SizingConfig(reduction=ReductionConfig(detector=DETECTOR, arm_deg=0.0)),
        wavelength=WavelengthSource(configuration_key="mythen_wavelength"),
    )
    thread = config.model_copy(update={"workers": 0})
    sizer = Sizer(config.sizing)
    detector = StoredMythen(name="mythen")
    detector.image.put(frame(scene(), 0))
    sizer.size_frame(detector.image.get(), WAVELENGTH_ANGSTROM)
    print(
        f"{DETECTOR.n_strips} strips, {arguments.frames} frames, load {os.getloadavg()[0]:.1f} at the start"
    )
    run_engine_cost(config, sizer, detector, arguments.frames, arguments.turns)
    documents, many = run_of(detector, arguments.frames), run_of(detector, 1000)
    stages(config, sizer, documents)
    latency("process", config, sizer, documents, 20.0)
    latency("thread", thread, sizer, documents, 20.0)
    sustained("inline, process", config, sizer, many)
    sustained("inline, thread", thread, sizer, many)
    with tempfile.TemporaryDirectory() as folder:
        sustained("stream_datum into HDF5", config, sizer, in_files(Path(folder), arguments.frames))
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()

"""Cost of live sizing: time added to the RunEngine, latency, sustained rate and burst.

Run it on an idle machine: ``python -m benchmarks.live_path [--frames N] [--turns N]``. Ratios are taken
within one run, with the cases in turns, so that a busy machine falls on all alike.
"""

import argparse
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from bluesky import RunEngine
from bluesky.plans import count
from ophyd import Component, Device, DeviceStatus, Kind

from qdsizer_stream.callbacks import LiveConfig, LiveSizer, WavelengthSource
from qdsizer_stream.callbacks._source import FrameSource
from qdsizer_stream.devices import SimMythenHdf5, UnitSignal
from qdsizer_stream.patterns import q_from_two_theta
from qdsizer_stream.reduction import ReductionConfig, nominal_detector
from qdsizer_stream.simulation import GrowingDots, SynthesisRecipe
from qdsizer_stream.sizing import Sizer, SizingConfig

WAVELENGTH_ANGSTROM = 0.5637
DETECTOR = nominal_detector(24, 0.0)


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


def frame(scene: Any, seed: int) -> np.ndarray:
    q = q_from_two_theta(DETECTOR.two_theta(0.0), WAVELENGTH_ANGSTROM)
    expected = np.zeros(q.size)
    expected[q > 0] = 30 * scene(q[q > 0], 300.0)
    return np.random.default_rng(seed).poisson(expected).astype(np.uint32)


def per_event_ms(engine: Any, detector: Device, frames: int) -> float:
    begin = time.perf_counter()
    engine(count([detector], frames))
    return 1000 * (time.perf_counter() - begin) / frames


def run_engine_cost(config: LiveConfig, sizer: Sizer, detector: Device, frames: int, turns: int) -> None:
    """Time per event with no callback, with a thread that sizes and with a process, in turns."""
    engines: dict[str, Any] = {"no callback": RunEngine({})}
    lives = {
        name: LiveSizer(config.model_copy(update={"workers": workers}), sizer)
        for name, workers in (("thread", 0), ("process", 1))
    }
    spent: list[float] = []
    for name, live in lives.items():

        def timed(kind: str, doc: Any, live: LiveSizer = live) -> None:
            begin = time.perf_counter()
            live(kind, doc)
            if kind == "event":
                spent.append(1000 * (time.perf_counter() - begin))

        engines[name] = RunEngine({})
        engines[name].subscribe(timed)
    for what, exposure_s, n in (("20 ms exposures", 0.02, frames // 4), ("at full speed", 0.0, frames)):
        detector.exposure_s = exposure_s
        taken: dict[str, list[float]] = {name: [] for name in engines}
        for turn in range(turns + 1):
            for name, engine in engines.items():
                each = per_event_ms(engine, detector, n)
                for live in lives.values():
                    live.wait()  # the next turn starts clean
                if turn:  # the first one loads and warms up
                    taken[name].append(each)
        base = statistics.median(taken["no callback"])
        print(f"RunEngine, {what:18} {base:6.3f} ms/event with no callback")
        for name in lives:
            # Ratios within a turn: a machine that becomes busy does so for all three.
            added = statistics.median(
                one / other - 1 for one, other in zip(taken[name], taken["no callback"], strict=True)
            )
            print(f"{'':30}{statistics.median(taken[name]):6.3f} with a sizing {name} ({added:+.1%})")
    detector.exposure_s = 0.0
    for live in lives.values():
        live.close()
    print(
        f"in the callback itself        {statistics.median(spent):.4f} ms/event median, "
        f"{np.percentile(spent, 99):.4f} p99"
    )


def warm_up(live: LiveSizer, documents: list[tuple[str, Any]]) -> None:
    """Send a run of its own and wait: the process has loaded its model then."""
    named = ("uid", "run_start", "descriptor", "stream_resource")
    for name, doc in documents[:5] + documents[-1:]:
        live(name, {**doc, **{key: f"warm-{doc[key]}" for key in named if key in doc}})
    live.wait()


def latency(config: LiveConfig, sizer: Sizer, documents: list[tuple[str, Any]], rate_hz: float) -> None:
    """Raw event in, derived event out, at a pace."""
    live = LiveSizer(config, sizer)
    warm_up(live, documents)
    arrived: list[float] = []
    live.subscribe(
        lambda n, d: arrived.append(time.perf_counter()) if "qdsizer_size" in d["data"] else None, "event"
    )
    sent: list[float] = []
    for name, doc in documents:
        if name == "event":
            time.sleep(1 / rate_hz)
            sent.append(time.perf_counter())
        live(name, doc)
    live.close()
    waits = 1000 * (np.array(arrived) - np.array(sent))
    p50, p99 = np.percentile(waits, [50, 99])
    print(f"latency at {rate_hz:.0f} Hz            p50 {p50:.2f} ms, p99 {p99:.2f} ms")


def burst(config: LiveConfig, sizer: Sizer, documents: list[tuple[str, Any]]) -> None:
    """All documents at once: nothing may be lost, and the rate is the sustained one."""
    live = LiveSizer(config, sizer)
    warm_up(live, documents)
    before = live.counters.frames
    begin = time.perf_counter()
    for name, doc in documents:
        live(name, doc)
    taken = time.perf_counter() - begin
    live.wait()
    spent = time.perf_counter() - begin
    live.close()
    counters = live.counters
    frames = counters.frames - before
    print(
        f"burst of {frames} inline frames    taken in {1000 * taken:.0f} ms, sized at "
        f"{frames / spent:.0f} frames/s, {counters.marked} marked, {counters.contained} errors"
    )


def stages(config: LiveConfig, sizer: Sizer, documents: list[tuple[str, Any]]) -> None:
    """Where the time of a frame goes."""
    source = FrameSource(config, documents[0][1])
    begin = time.perf_counter()
    frames = [f for name, doc in documents for f in source.frames(name, doc, 0.0)]
    got = time.perf_counter()
    for one in frames:
        sizer.size_frame(**one.readings)
    sized = time.perf_counter()
    print(
        f"of which                      frame out of document {1000 * (got - begin) / len(frames):.3f} ms, "
        f"sizing {1000 * (sized - got) / len(frames):.2f} ms"
    )


def stream_datum(config: LiveConfig, sizer: Sizer, scene: Any, frames: int) -> None:
    """Frames from a file that is being written."""
    with tempfile.TemporaryDirectory() as folder:
        device = SimMythenHdf5(
            directory=Path(folder), name="mythen", scene=scene, detector=DETECTOR, counts_per_second=1.0,
            wavelength_angstrom=WAVELENGTH_ANGSTROM, exposure_s=30.0, speed=np.inf,
        )  # fmt: skip
        documents: list[tuple[str, Any]] = []
        RunEngine({})(count([device], frames), lambda name, doc: documents.append((name, doc)))
        live = LiveSizer(config, sizer)
        warm_up(live, documents)
        begin = time.perf_counter()
        for name, doc in documents:
            live(name, doc)
        live.wait()
        spent = time.perf_counter() - begin
        live.close()
        print(f"stream_datum into HDF5        sized at {frames / spent:.0f} frames/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    frames = arguments.frames
    config = LiveConfig(
        sizing=SizingConfig(reduction=ReductionConfig(detector=DETECTOR, arm_deg=0.0)),
        wavelength=WavelengthSource(configuration_key="mythen_wavelength"),
    )
    sizer = Sizer(config.sizing)
    q_max = float(q_from_two_theta(DETECTOR.two_theta(0.0), WAVELENGTH_ANGSTROM).max())
    scene = GrowingDots(SynthesisRecipe(wavelength_angstrom=WAVELENGTH_ANGSTROM), q_max)
    detector = StoredMythen(name="mythen")
    detector.image.put(frame(scene, 0))
    sizer.size_frame(detector.image.get(), WAVELENGTH_ANGSTROM)
    print(f"{DETECTOR.n_strips} strips, {frames} frames, load {os.getloadavg()[0]:.1f} at the start")
    run_engine_cost(config, sizer, detector, frames, arguments.turns)
    documents: list[tuple[str, Any]] = []
    RunEngine({})(count([detector], frames), lambda name, doc: documents.append((name, doc)))
    many: list[tuple[str, Any]] = []
    RunEngine({})(count([detector], 1000), lambda name, doc: many.append((name, doc)))
    stages(config, sizer, documents)
    latency(config, sizer, documents, 20.0)
    burst(config, sizer, many)
    stream_datum(config, sizer, scene, min(frames, 100))
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()

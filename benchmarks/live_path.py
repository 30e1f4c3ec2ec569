"""Cost of live sizing: time added to the RunEngine, latency, sustained rate and burst.

Run it on an idle machine: ``python -m benchmarks.live_path [--frames N]``. Ratios are taken within one
run, with the cases in turns, so that a busy machine falls on all alike.
"""

import argparse
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


def run_engine_cost(config: LiveConfig, sizer: Sizer, detector: Device, frames: int) -> None:
    """Time per event with and without a live sizer, in turns; frames are paced as a detector would."""
    live = LiveSizer(config, sizer)
    bare, subscribed = RunEngine({}), RunEngine({})
    bare.subscribe(lambda name, doc: None)
    spent: list[float] = []

    def timed(name: str, doc: Any) -> None:
        begin = time.perf_counter()
        live(name, doc)
        if name == "event":
            spent.append(1000 * (time.perf_counter() - begin))

    subscribed.subscribe(timed)
    per_event_ms(bare, detector, 20), per_event_ms(subscribed, detector, 20)
    live.wait()
    spent.clear()
    without, with_sizer = [], []
    for _ in range(5):
        without.append(per_event_ms(bare, detector, frames))
        with_sizer.append(per_event_ms(subscribed, detector, frames))
        live.wait()  # what is sized meanwhile takes the GIL from the plan; the next turn starts clean
    base = statistics.median(without)
    print(f"RunEngine, no sizer           {base:.3f} ms/event")
    in_callback = list(spent)
    detector.exposure_s = 0.02
    slow_without = [per_event_ms(bare, detector, frames) for _ in range(2)]
    slow_with = [per_event_ms(subscribed, detector, frames) for _ in range(2)]
    detector.exposure_s = 0.0
    live.close()
    added = statistics.median(slow_with) - statistics.median(slow_without)
    print(
        f"RunEngine, 20 ms exposures    {statistics.median(slow_without):.3f} ms/event without, "
        f"{statistics.median(slow_with):.3f} with ({added / statistics.median(slow_without):+.1%})"
    )
    print(
        f"RunEngine, sizing meanwhile   {statistics.median(with_sizer):.3f} ms/event "
        f"({statistics.median(with_sizer) / base - 1:+.0%}: both share one GIL at full speed)"
    )
    print(
        f"in the callback itself        {statistics.median(in_callback):.4f} ms/event median, "
        f"{np.percentile(in_callback, 99):.4f} p99 ({statistics.median(in_callback) / base:.1%} of an event)"
    )


def latency(config: LiveConfig, sizer: Sizer, documents: list[tuple[str, Any]], rate_hz: float) -> None:
    """Raw event in, derived event out, at a pace."""
    live = LiveSizer(config, sizer)
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
    waits = 1000 * (np.array(arrived) - np.array(sent))[10:]
    p50, p99 = np.percentile(waits, [50, 99])
    print(f"latency at {rate_hz:.0f} Hz            p50 {p50:.2f} ms, p99 {p99:.2f} ms")


def burst(config: LiveConfig, sizer: Sizer, documents: list[tuple[str, Any]]) -> None:
    """All documents at once: nothing may be lost, and the rate is the sustained one."""
    live = LiveSizer(config, sizer)
    begin = time.perf_counter()
    for name, doc in documents:
        live(name, doc)
    taken = time.perf_counter() - begin
    live.close()
    spent = time.perf_counter() - begin
    counters = live.counters
    print(
        f"burst of {counters.frames} inline frames    taken in {1000 * taken:.0f} ms, sized at "
        f"{counters.frames / spent:.0f} frames/s, {counters.marked} marked, {counters.contained} errors"
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
        begin = time.perf_counter()
        for name, doc in documents:
            live(name, doc)
        live.close()
        spent = time.perf_counter() - begin
        print(f"stream_datum into HDF5        sized at {live.counters.frames / spent:.0f} frames/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=200)
    frames = parser.parse_args().frames
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
    print(f"{DETECTOR.n_strips} strips, {frames} frames, {threading.active_count()} threads at the start")
    run_engine_cost(config, sizer, detector, frames)
    documents: list[tuple[str, Any]] = []
    RunEngine({})(count([detector], frames), lambda name, doc: documents.append((name, doc)))
    stages(config, sizer, documents)
    latency(config, sizer, documents, 20.0)
    burst(config, sizer, documents)
    stream_datum(config, sizer, scene, min(frames, 100))


if __name__ == "__main__":
    main()

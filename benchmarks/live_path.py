"""Cost of live sizing: time added to the RunEngine, latency, sustained rate and bursts, with targets.

    python -m benchmarks.live_path [--frames N] [--turns N] [--json FILE]

Run it on an idle machine; it takes two to three minutes. The time added to an event is a ratio measured in
alternating turns of one run, so that the load of the machine affects all variants equally. Four variants
show where the time goes: a sizer that only forwards documents; one whose frames are transferred, reduced and
added up but not sized; one that sizes in a process; and one that sizes in a thread. For comparison, the
ratio is also measured without a callback while another core is busy.
"""

import logging
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

from benchmarks._detector import DETECTOR, LIVE, Q_INV_ANGSTROM, WAVELENGTH_ANGSTROM, synthesis
from benchmarks._report import BenchmarkReport, argument_parser
from qdsizer_stream.callbacks import LiveConfig, LiveSizer
from qdsizer_stream.devices import SimMythenHdf5, UnitSignal
from qdsizer_stream.reduction import AccumulationConfig
from qdsizer_stream.simulation import GrowingDots
from qdsizer_stream.sizing import Sizer

MAX_ADDED_PERCENT = 10.0
MAX_P50_MS, MAX_P99_MS = 3.0, 10.0
MIN_FRAMES_PER_S = 200.0

NEVER = AccumulationConfig(mode="reset", min_counts=1e300, max_seconds=1e9)
"""Adds frames until the end of the run: they are transferred and reduced, but not sized."""

Documents = list[tuple[str, Any]]


class StoredMythen(Device):
    """A detector that returns a stored frame, so that the simulation is not timed."""

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


def frame(dots: GrowingDots, seed: int) -> np.ndarray:
    """Photon counts of the strips after five minutes of synthesis."""
    q = Q_INV_ANGSTROM
    expected = np.zeros(q.size)
    expected[q > 0] = 30 * dots(q[q > 0], 300.0)
    return np.random.default_rng(seed).poisson(expected).astype(np.uint32)


def measure_added_time(
    report: BenchmarkReport, config: LiveConfig, sizer: Sizer, detector: Device, frames: int, turns: int
) -> None:
    """Time per event without a callback and with each variant, in alternating turns."""
    lives = {
        "documents forwarded": LiveSizer(config.model_copy(update={"data_key": "none", "workers": 0}), sizer),
        "frames transferred, not sized": LiveSizer(config.model_copy(update={"accumulation": NEVER}), sizer),
        "frames sized in a process": LiveSizer(config, sizer),
        "frames sized in a thread": LiveSizer(config.model_copy(update={"workers": 0}), sizer),
    }
    without_callback = RunEngine({})
    engines = {name: RunEngine({}) for name in lives}
    for name, live in lives.items():
        engines[name].subscribe(live)
    for speed, exposure_s, n in (("at 20 ms exposures", 0.02, frames // 4), ("at full speed", 0.0, frames)):
        detector.exposure_s = exposure_s
        without: list[float] = []
        added: dict[str, list[float]] = {name: [] for name in ("no callback, another core busy", *lives)}
        for turn in range(turns + 1):
            base = per_event_ms(without_callback, detector, n)
            with busy_core():
                each = per_event_ms(without_callback, detector, n)
            if turn:
                added["no callback, another core busy"].append(each / base - 1)
            for name, live in lives.items():
                each = per_event_ms(engines[name], detector, n)
                live.wait()  # finishes all frames before the next turn
                if turn:  # the first turn is the warm-up
                    added[name].append(each / base - 1)
            without.append(base)
        report.add(f"event {speed} without callback", statistics.median(without[1:]), "ms")
        for name, ratios in added.items():
            target = MAX_ADDED_PERCENT if name == "frames sized in a process" else None
            percent = 100 * statistics.median(ratios)
            report.add(f"added to an event {speed}: {name}", percent, "%", at_most=target)
    detector.exposure_s = 0.0
    for live in lives.values():
        live.close()


@contextmanager
def busy_core() -> Iterator[None]:
    """Keep another core busy with a process of the same priority as the sizing process."""
    spin = "import os; os.nice(10); print(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", spin], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


def per_event_ms(engine: Any, detector: Device, frames: int) -> float:
    start = time.perf_counter()
    engine(count([detector], frames))
    return 1000 * (time.perf_counter() - start) / frames


def run_of(detector: Device, frames: int) -> Documents:
    """Documents of a run of a RunEngine."""
    documents: Documents = []
    RunEngine({})(count([detector], frames), lambda name, doc: documents.append((name, doc)))
    return documents


def warmed_up(config: LiveConfig, sizer: Sizer, documents: Documents) -> LiveSizer:
    """A live sizer that has processed one short run, so that its process has loaded the model."""
    live = LiveSizer(config, sizer)
    named = ("uid", "run_start", "descriptor", "stream_resource")
    for name, doc in documents[:5] + documents[-1:]:
        live(name, {**doc, **{key: f"warm-{doc[key]}" for key in named if key in doc}})
    live.wait()
    return live


def measure_latency(
    report: BenchmarkReport,
    name: str,
    config: LiveConfig,
    sizer: Sizer,
    documents: Documents,
    rate_hz: float,
) -> None:
    """Time from a raw event to its derived event, at a constant rate."""
    live = warmed_up(config, sizer, documents)
    arrived: list[float] = []
    live.subscribe(
        lambda n, d: arrived.append(time.perf_counter()) if "qdsizer_size" in d["data"] else None, "event"
    )
    sent: list[float] = []
    in_callback: list[float] = []
    for kind, doc in documents:
        if kind == "event":
            time.sleep(1 / rate_hz)
            sent.append(time.perf_counter())
        live(kind, doc)
        if kind == "event":
            in_callback.append(time.perf_counter() - sent[-1])
    live.close()
    p50, p99 = np.percentile(1000 * (np.array(arrived) - np.array(sent)), [50, 99])
    report.add(f"event to estimate, {name}, median", p50, "ms", at_most=MAX_P50_MS)
    report.add(f"event to estimate, {name}, 99 % quantile", p99, "ms", at_most=MAX_P99_MS)
    report.add(f"callback blocks the plan, {name}, median", 1000 * statistics.median(in_callback), "ms")


def measure_sustained_rate(
    report: BenchmarkReport, name: str, config: LiveConfig, sizer: Sizer, documents: Documents
) -> None:
    """Rate when all documents arrive at once; no frame may be lost."""
    live = warmed_up(config, sizer, documents)
    before = live.counters.frames
    events: list[int] = []
    live.subscribe(lambda n, d: events.append(d["data"].get("qdsizer_frame_seq_num", 0)), "event")
    start = time.perf_counter()
    for kind, doc in documents:
        live(kind, doc)
    live.wait()
    seconds = time.perf_counter() - start
    live.close()
    n = live.counters.frames - before
    report.add(f"sustained rate, {name}", n / seconds, "frames/s", at_least=MIN_FRAMES_PER_S)
    misplaced = sum(found != expected for expected, found in enumerate(filter(None, events), start=1))
    lost = live.counters.marked + live.counters.contained + abs(n - sum(map(bool, events)))
    report.add(f"frames of a burst of {n} lost, {name}", lost, "1", at_most=0)
    report.add(f"frames of a burst of {n} out of order, {name}", misplaced, "1", at_most=0)


def measure_sizing(report: BenchmarkReport, sizer: Sizer, documents: Documents) -> None:
    """Time of sizing alone, one frame after another."""
    counts = next(doc["data"]["mythen_image"] for name, doc in documents if name == "event")
    start = time.perf_counter()
    for _ in range(100):
        sizer.size_frame(counts, WAVELENGTH_ANGSTROM)
    report.add("sizing of one frame, without documents", 10 * (time.perf_counter() - start), "ms")


def in_files(folder: Path, frames: int) -> Documents:
    """Documents of a run whose frames are in an HDF5 file."""
    device = SimMythenHdf5(
        directory=folder, name="mythen", scene=synthesis(), detector=DETECTOR, counts_per_second=1.0,
        wavelength_angstrom=WAVELENGTH_ANGSTROM, exposure_s=30.0, speed=np.inf,
    )  # fmt: skip
    return run_of(device, frames)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--frames", type=int, default=200, help="frames of each turn and of the latency test")
    parser.add_argument("--turns", type=int, default=7)
    arguments = parser.parse_args()
    logging.getLogger("qdsizer_stream").setLevel(
        logging.ERROR
    )  # one variant warns that its runs contain no frames
    config = LIVE
    thread = config.model_copy(update={"workers": 0})
    sizer = Sizer(config.sizing)
    detector = StoredMythen(name="mythen")
    detector.image.put(frame(synthesis(), 0))
    sizer.size_frame(detector.image.get(), WAVELENGTH_ANGSTROM)
    report = BenchmarkReport("live_path", arguments.json)
    print(f"{DETECTOR.n_strips} strips, {arguments.frames} frames")
    measure_added_time(report, config, sizer, detector, arguments.frames, arguments.turns)
    documents, many = run_of(detector, arguments.frames), run_of(detector, 1000)
    measure_sizing(report, sizer, documents)
    measure_latency(report, "process", config, sizer, documents, 20.0)
    measure_latency(report, "thread", thread, sizer, documents, 20.0)
    measure_sustained_rate(report, "inline, process", config, sizer, many)
    measure_sustained_rate(report, "inline, thread", thread, sizer, many)
    with tempfile.TemporaryDirectory() as folder:
        in_hdf5 = in_files(Path(folder), arguments.frames)
        measure_sustained_rate(report, "stream_datum into HDF5", config, sizer, in_hdf5)
    report.write()


if __name__ == "__main__":
    main()

"""Many runs through one live sizer: nothing lost, nothing out of order, memory flat.

``python -m benchmarks.live_soak [--frames 100000] [--runs 200] [--minutes 60] [--spool FOLDER]``; exit
code 1 where one of these fails. A run at a time is measured by a RunEngine, sized and counted; a line is
printed every tenth of the way, with the memory of this process and of the one that sizes.

The frames are whole ones, of 30 720 strips. Smaller ones would hardly come faster, since a RunEngine takes
1.4 ms for an event and a sizing a millisecond or two, of either size, and would hide what grows with the
frames. At 500 frames a second 100 000 take a little over three minutes; at 300, five and a half.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

from bluesky import RunEngine
from bluesky.plans import count

from benchmarks.live_path import DETECTOR, StoredMythen, frame, scene, told
from qdsizer_stream.callbacks import LiveConfig, LiveSizer, QueuePolicy, WavelengthSource
from qdsizer_stream.reduction import ReductionConfig
from qdsizer_stream.sizing import SizingConfig

WARM_UP = 0.1
"""Share of the runs until every buffer and cache has its size."""

GROWTH_ALLOWED = 0.05
"""Memory after warm-up may grow by a twentieth: what an allocator keeps in hand."""

PAGE_MB = 4096 / 1e6


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_MB


class Ledger:
    """Checks order and completeness as documents arrive."""

    def __init__(self) -> None:
        self.expected = 1
        self.wrong = 0
        self.frames = 0
        self.short_stops = 0

    def __call__(self, name: str, doc: Any) -> None:
        """Take a document."""
        if name == "start":
            self.expected = 1
        elif name == "event" and "qdsizer_size" in doc["data"]:
            self.wrong += not doc["seq_num"] == doc["data"]["qdsizer_frame_seq_num"] == self.expected
            self.expected += 1
            self.frames += 1
        elif name == "stop":
            events = doc["num_events"]
            self.short_stops += not events["qd_size"] == events["primary"] == self.expected - 1


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--spool", type=Path, help="folder for a spooled writer behind the sizer")
    arguments = parser.parse_args()
    config = LiveConfig(
        sizing=SizingConfig(reduction=ReductionConfig(detector=DETECTOR, arm_deg=0.0)),
        wavelength=WavelengthSource(configuration_key="mythen_wavelength"),
        queue_policy=QueuePolicy.WAIT,
        queue_frames=50,
    )
    dots = scene()
    detector = StoredMythen(name="mythen")
    live, ledger, engine = LiveSizer(config), Ledger(), RunEngine({})
    live.subscribe(ledger)
    spooled = None
    if arguments.spool is not None:
        from qdsizer_stream.archive import SpooledWriter

        spooled = SpooledWriter(lambda name, doc: None, arguments.spool)
        live.subscribe(spooled)
    engine.subscribe(live)
    each = arguments.frames // arguments.runs
    processes = (os.getpid(), live.worker_pid)
    warm_up, report = max(1, int(WARM_UP * arguments.runs)), max(1, arguments.runs // 10)
    warm, most = [0.0, 0.0], [0.0, 0.0]
    print(f"{arguments.frames} frames of {DETECTOR.n_strips} strips in {arguments.runs} runs")
    print(f"{'run':>6}{'frames':>9}{'frames/s':>10}{'session MB':>12}{'sizing MB':>11}{'load':>7}")
    begin = time.perf_counter()
    done = 0
    for run in range(1, arguments.runs + 1):
        detector.image.put(frame(dots, run))
        engine(count([detector], each))
        live.wait()
        if spooled is not None:
            spooled.wait()
        done += each
        memory = [resident_mb(pid) for pid in processes]
        if run <= warm_up:
            warm = memory
        most = [max(pair) for pair in zip(most, memory, strict=True)]
        elapsed = time.perf_counter() - begin
        if run % report == 0:
            rate, load = done / elapsed, os.getloadavg()[0]
            print(
                f"{run:>6}{done:>9}{rate:>10.0f}{memory[0]:>12.1f}{memory[1]:>11.1f}{load:>7.1f}", flush=True
            )
        if elapsed > 60 * arguments.minutes:
            print(f"stopped after {arguments.minutes:g} minutes, at run {run} of {arguments.runs}")
            break
    live.close()
    if spooled is not None:
        spooled.close()
    counters = live.counters
    growth = max(top / base - 1 for top, base in zip(most, warm, strict=True))
    failures = {
        "frames lost": done - ledger.frames,
        "out of order": ledger.wrong,
        "stops that count wrongly": ledger.short_stops,
        "errors": counters.contained,
        "marked": counters.marked,
        "restarts": counters.restarts,
        "not sized": done - counters.sized,
        "runs not measured": arguments.runs - run,
        "journals left": len(list(arguments.spool.iterdir())) if arguments.spool is not None else 0,
    }
    for what, n in failures.items():
        told(what, str(n), "0", n == 0)
    flat = growth <= GROWTH_ALLOWED
    told("memory after warm-up, most", f"{growth:+.1%}", f"<= {GROWTH_ALLOWED:.0%}", flat)
    sys.exit(any(failures.values()) or not flat)


if __name__ == "__main__":
    main()

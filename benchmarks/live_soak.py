"""Soak test: many runs through one live sizer, with no frame lost or out of order and constant memory.

    python -m benchmarks.live_soak [--frames 100000] [--runs 200] [--minutes 60] [--spool FOLDER] [--json
    FILE]

The exit code is 1 if any of these conditions fails. A RunEngine measures one run after another; all frames
are sized and counted. Ten progress lines show the memory of this process and of the sizing process.

The frames have 30 720 strips. Smaller frames would hardly be faster, since a RunEngine takes 1.4 ms per
event and sizing one or two milliseconds at any size, and they would hide memory that grows with the frames.
At 500 frames per second, 100 000 frames take a little over three minutes; at 300, five and a half.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

from bluesky import RunEngine
from bluesky.plans import count

from benchmarks._detector import DETECTOR, LIVE, synthesis
from benchmarks._report import BenchmarkReport, argument_parser
from benchmarks.live_path import StoredMythen, frame
from qdsizer_stream.callbacks import LiveSizer, QueuePolicy

WARM_UP = 0.1
"""Fraction of the runs after which all buffers and caches have their final size."""

MAX_GROWTH_PERCENT = 5.0
"""Maximum growth of the memory after the warm-up, for memory that the allocator retains."""

PAGE_MB = 4096 / 1e6


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_MB


class Ledger:
    """Checks order and completeness as documents arrive."""

    def __init__(self) -> None:
        self.expected = 1
        self.n_misplaced = 0
        self.frames = 0
        self.n_wrong_stops = 0

    def __call__(self, name: str, doc: Any) -> None:
        """Check one document."""
        if name == "start":
            self.expected = 1
        elif name == "event" and "qdsizer_size" in doc["data"]:
            self.n_misplaced += not doc["seq_num"] == doc["data"]["qdsizer_frame_seq_num"] == self.expected
            self.expected += 1
            self.frames += 1
        elif name == "stop":
            events = doc["num_events"]
            self.n_wrong_stops += not events["qd_size"] == events["primary"] == self.expected - 1


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument(
        "--spool", type=Path, help="folder of a spooled writer that receives the documents of the sizer"
    )
    arguments = parser.parse_args()
    config = LIVE.model_copy(update={"queue_policy": QueuePolicy.WAIT, "queue_frames": 50})
    dots = synthesis()
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
    warm_up, interval = max(1, int(WARM_UP * arguments.runs)), max(1, arguments.runs // 10)
    warm, peak = [0.0, 0.0], [0.0, 0.0]
    report = BenchmarkReport("live_soak", arguments.json)
    print(f"{arguments.frames} frames of {DETECTOR.n_strips} strips in {arguments.runs} runs")
    print(f"{'run':>6}{'frames':>9}{'frames/s':>10}{'session MB':>12}{'sizing MB':>11}{'load':>7}")
    start = time.perf_counter()
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
        peak = [max(pair) for pair in zip(peak, memory, strict=True)]
        elapsed = time.perf_counter() - start
        if run % interval == 0:
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
    growth_percent = 100 * max(top / base - 1 for top, base in zip(peak, warm, strict=True))
    failures = {
        "frames lost": done - ledger.frames,
        "frames out of order": ledger.n_misplaced,
        "stop documents with a wrong count": ledger.n_wrong_stops,
        "errors": counters.contained,
        "frames marked as not sized": counters.marked,
        "restarts of the sizing process": counters.restarts,
        "frames not sized": done - counters.sized,
        "runs not measured": arguments.runs - run,
        "remaining journals": len(list(arguments.spool.iterdir())) if arguments.spool is not None else 0,
    }
    for name, n in failures.items():
        report.add(name, n, "1", at_least=0, at_most=0)
    report.add("maximum growth of memory after warm-up", growth_percent, "%", at_most=MAX_GROWTH_PERCENT)
    report.add("rate", done / elapsed, "frames/s")
    report.write()
    sys.exit(not all(measurement.met is not False for measurement in report.measurements))


if __name__ == "__main__":
    main()

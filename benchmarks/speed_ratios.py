"""Speed of this checkout over that of another: an earlier commit, or one to be compared.

    git worktree add --detach ../before COMMIT
    python -m benchmarks.speed_ratios ../before [--rounds N] [--only NAME …] [--json FILE]

Each case runs in new processes of either checkout in turns, with one thread. What is compared is the time of
the processor, which depends less on the load of the machine than that of a clock; of the turns, the median of
their ratios. Frames are simulated once, by this checkout, and are the same for both. The cases "live" and
"replay" take a clock, since a plan waits by it: run them on an idle machine, and look at their ratio only.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import replay
from benchmarks._report import BenchmarkReport, argument_parser
from qdsizer_stream.patterns import PAPER_GRID, q_from_two_theta
from qdsizer_stream.reduction import nominal_detector
from qdsizer_stream.simulation import GrowingDots, SynthesisRecipe

HERE = Path(__file__).parents[1]

WAVELENGTH_ANGSTROM = 0.5637

COUNTS = (30.0, 1000.0)
"""Photons per point: alternating short and long exposures."""

START = """
import json, sys, time
import numpy as np
from qdsizer_stream.patterns import Pattern
from qdsizer_stream.reduction import ReductionConfig, nominal_detector
from qdsizer_stream.sizing import Sizer, SizingConfig
frames = np.load(sys.argv[1])
sizer = Sizer(SizingConfig(
    model="pbs", reduction=ReductionConfig(detector=nominal_detector(24, 0.0), arm_deg=0.0)
))
patterns = [Pattern.from_arrays(frames["q"], one) for one in frames["patterns"]]
def milliseconds(call, items):
    for item in items[:8]:
        call(item)
    spent = []
    for item in items:
        begin = time.thread_time()
        call(item)
        spent.append(1e3 * (time.thread_time() - begin))
    return spent
"""

SESSION = """
import json, sys, time
import bluesky, bluesky.run_engine, event_model, ophyd
engine = bluesky.RunEngine({})
begin = time.process_time()
from qdsizer_stream.profiles import install, uninstall
imported = time.process_time() - begin
live = install(engine, sys.argv[1])
installed = time.process_time() - begin
live.wait()
memory = dict(line.split(":") for line in open("/proc/self/status"))["VmRSS"].split()[0]
print(json.dumps({"import": imported, "install": installed, "memory": int(memory) / 1e3}))
uninstall(engine)
"""


LIVE = """
import json, logging, sys, time
import numpy as np
from bluesky import RunEngine
from bluesky.plans import count
from ophyd import Component, Device, DeviceStatus, Kind
from qdsizer_stream.callbacks import LiveConfig, LiveSizer, WavelengthSource
from qdsizer_stream.devices import UnitSignal
from qdsizer_stream.reduction import ReductionConfig, nominal_detector
from qdsizer_stream.sizing import SizingConfig
logging.getLogger("qdsizer_stream").setLevel(logging.ERROR)
class Stored(Device):
    image = Component(UnitSignal, value=np.zeros(30720, np.uint32), unit="counts")
    wavelength = Component(UnitSignal, value=0.5637, unit="angstrom", kind=Kind.config)
    def trigger(self):
        status = DeviceStatus(self)
        status.set_finished()
        return status
detector = Stored(name="mythen")
detector.image.put(np.load(sys.argv[1])["frames"][50])
config = LiveConfig(
    sizing=SizingConfig(reduction=ReductionConfig(detector=nominal_detector(24, 0.0), arm_deg=0.0)),
    wavelength=WavelengthSource(configuration_key="mythen_wavelength"),
)
live = LiveSizer(config)
without, engine = RunEngine({}), RunEngine({})
engine.subscribe(live)
def per_event(engine):
    begin = time.perf_counter()
    engine(count([detector], 50))
    return (time.perf_counter() - begin) / 50
ratios = []
for turn in range(9):
    alone = per_event(without)
    ratios.append(per_event(engine) / alone)
    live.wait()
documents = []
without(count([detector], 200), lambda name, doc: documents.append((name, doc)))
sent, arrived = [], []
live.subscribe(
    lambda name, doc: arrived.append(time.perf_counter()) if "qdsizer_size" in doc["data"] else None, "event"
)
for name, doc in documents:
    if name == "event":
        time.sleep(0.05)
        sent.append(time.perf_counter())
    live(name, doc)
live.close()
p50, p99 = np.percentile(1e3 * (np.array(arrived) - np.array(sent)), [50, 99])
print(json.dumps({"event": float(np.median(ratios[2:])), "p50": p50, "p99": p99}))
"""

REPLAY = """
import json, sys, time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from qdsizer_stream.archive import open_archive, replay_into
from qdsizer_stream.callbacks import LiveConfig, WavelengthSource
from qdsizer_stream.errors import ArchiveError
from qdsizer_stream.reduction import ReductionConfig, nominal_detector
from qdsizer_stream.sizing import Sizer, SizingConfig
class Rejecting:
    def find(self, *_):
        pass
    def write(self, run, documents):
        raise ArchiveError("this destination rejects all documents")
config = LiveConfig(
    sizing=SizingConfig(reduction=ReductionConfig(detector=nominal_detector(24, 0.0), arm_deg=0.0)),
    wavelength=WavelengthSource(configuration_key="mythen_wavelength"),
)
sizer = Sizer(config.sizing)
archive = Path(sys.argv[1])
with open_archive(archive) as catalog, TemporaryDirectory() as journals:
    run = catalog[next(iter(catalog))]
    n = run.metadata["stop"]["num_events"]["primary"]
    begin, used = time.perf_counter(), time.process_time()
    with suppress(ArchiveError):
        replay_into(run, config, Rejecting(), Path(journals), sizer)
    spent, used = time.perf_counter() - begin, time.process_time() - used
print(json.dumps({"rate": n / spent, "processor": 1e3 * used / n}))
"""


class Result(NamedTuple):
    """A result of a case."""

    what: str
    """What was measured."""
    unit: str
    wanted: float
    """Wanted ratio to the other checkout; the wanted value where `is_ratio`."""
    more: bool = False
    """Whether more is better."""
    is_ratio: bool = False
    """Whether the value itself is a ratio of two times of the same checkout, in turns."""


@dataclass(frozen=True)
class Case:
    """Code that prints its results as JSON, by name."""

    code: str
    results: dict[str, Result]
    argument: str = "frames"
    """What the code is given: the file of frames or of settings, or the folder of an archive."""


CASES = {
    "pattern": Case(
        START
        + """
spent = milliseconds(sizer.size, patterns)
begin = time.thread_time()
if hasattr(sizer, "size_patterns"):
    sizer.size_patterns(patterns)
else:
    for one in patterns:
        sizer.size(one)
print(json.dumps({
    "median": float(np.median(spent)),
    "p99": float(np.quantile(spent, 0.99)),
    "rate": len(patterns) / (time.thread_time() - begin),
}))
""",
        {
            "median": Result("pattern of 5004 points to an estimate, median", "ms", 0.65, False),
            "p99": Result("pattern of 5004 points to an estimate, 99 %", "ms", 0.65, False),
            "rate": Result("patterns of 5004 points to estimates, one thread", "frames/s", 3.0, True),
        },
    ),
    "frame": Case(
        START
        + """
spent = milliseconds(lambda counts: sizer.size_frame(counts, 0.5637), list(frames["frames"]))
print(json.dumps({"median": float(np.median(spent)), "p99": float(np.quantile(spent, 0.99))}))
""",
        {
            "median": Result("frame of 30 720 strips to an estimate, median", "ms", 0.65, False),
            "p99": Result("frame of 30 720 strips to an estimate, 99 %", "ms", 0.65, False),
        },
    ),
    "frames": Case(
        START
        + """
frames = frames["frames"]
for one in frames[:8]:
    sizer.size_frame(one, 0.5637)
begin = time.thread_time()
if hasattr(sizer, "examine_frames"):
    from qdsizer_stream.sizing import RawFrame
    for first in range(0, len(frames), 16):
        block = [RawFrame(counts=one, wavelength_angstrom=0.5637) for one in frames[first : first + 16]]
        sizer.examine_frames(block)
else:
    for one in frames:
        sizer.size_frame(one, 0.5637)
print(json.dumps({"rate": len(frames) / (time.thread_time() - begin)}))
""",
        {"rate": Result("frames of 30 720 strips to estimates, one thread", "frames/s", 3.0, True)},
    ),
    "kernel": Case(
        """
import json, time
import numpy as np
try:
    from qdsizer_stream.simulation.scattering._sines import sine_sums
except ImportError:
    from qdsizer_stream.simulation._sines import sine_sums
random = np.random.default_rng(0)
distances, weights = np.sort(random.uniform(2, 110, 900)), random.standard_normal((900, 160))
q = 0.99 + 0.0028 * np.arange(5004)
spent = []
for _ in range(3):
    begin = time.thread_time()
    sine_sums(distances, weights, q, np, "cpu")
    spent.append(1e3 * (time.thread_time() - begin))
print(json.dumps({"kernel": min(spent)}))
""",
        {"kernel": Result("sums of sines, 900 distances of 160 clusters at 5004 points", "ms", 0.7, False)},
    ),
    "session": Case(
        SESSION,
        {
            "import": Result("import of qdsizer_stream.profiles, on top of Bluesky's", "s", 0.6, False),
            "install": Result("import and install(RE, settings)", "s", 0.6, False),
            "memory": Result("resident memory of a session with a sizer, idle", "MB", 0.7, False),
        },
        argument="settings",
    ),
    "live": Case(
        LIVE,
        {
            "event": Result(
                "event of 30 720 strips at full speed, sized, over one without", "1", 1.2, False, True
            ),
            "p50": Result("event of 30 720 strips to its estimate, 20 per second, median", "ms", 0.7, False),
            "p99": Result("event of 30 720 strips to its estimate, 20 per second, 99 %", "ms", 0.7, False),
        },
    ),
    "replay": Case(
        REPLAY,
        {
            "rate": Result("replay from a local Tiled server, one thread", "frames/s", 3.0, True),
            "processor": Result("replay from a local Tiled server, processor per frame", "ms", 1 / 3, False),
        },
        argument="archive",
    ),
}
"""By name, for ``--only``."""

SETTINGS = """
[sizing]
model = "pbs"
[sizing.reduction]
arm_deg = 0.0
[sizing.reduction.detector]
global_offset_deg = 0.0
modules = [{modules}]
[wavelength]
value = 0.5637
unit = "angstrom"
"""

MODULES = ", ".join(
    f"{{centre_strip = 639.5, conversion_rad_per_strip = 6.579e-5, offset_deg = {5 * n}.0}}"
    for n in range(24)
)


def simulate(path: Path, n_patterns: int, n_frames: int) -> None:
    """Store patterns and raw frames of a synthesis."""
    rng = np.random.default_rng(0)
    strips = q_from_two_theta(nominal_detector(24, 0.0).two_theta(0.0), WAVELENGTH_ANGSTROM)
    dots = GrowingDots(SynthesisRecipe(wavelength_angstrom=WAVELENGTH_ANGSTROM), float(strips.max()))
    q = PAPER_GRID.q_inv_angstrom
    patterns, frames = [], []
    for i, elapsed_s in enumerate(np.linspace(60.0, 3000.0, n_patterns)):
        expected = dots(q, float(elapsed_s))
        patterns.append(rng.poisson(COUNTS[i % len(COUNTS)] * expected / expected.mean()))
    for elapsed_s in np.linspace(60.0, 600.0, n_frames):
        expected = np.zeros(strips.size)
        expected[strips > 0] = 30 * dots(strips[strips > 0], float(elapsed_s))
        frames.append(rng.poisson(expected).astype(np.uint32))
    np.savez(path, q=q, patterns=np.array(patterns, float), frames=np.array(frames))


def measured(checkout: Path, code: str, argument: Path) -> dict[str, float]:
    """Results of a case in a new process of a checkout."""
    threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, argument],
        env={**os.environ, **threads, "PYTHONPATH": str(checkout)},
        cwd=argument.parent,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"a case failed in {checkout}: {done.stderr[-2000:]}")
    results: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return results


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("other", type=Path, help="checkout to compare with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--inputs", type=Path, help="file in which the frames are kept for another time")
    parser.add_argument("--patterns", type=int, default=256)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--replayed", type=int, default=10_000, help="frames of the replay")
    options = parser.parse_args()
    report = BenchmarkReport("speed_ratios", options.json)
    with tempfile.TemporaryDirectory() as name, ExitStack() as opened:
        folder = Path(name)
        arguments = {
            "frames": folder / "frames.npz" if options.inputs is None else options.inputs.resolve(),
            "settings": folder / "settings.toml",
            "archive": folder / "archive",
        }
        needed = {CASES[case_name].argument for case_name in options.only}
        if "frames" in needed and not arguments["frames"].exists():
            simulate(arguments["frames"], options.patterns, options.frames)
        arguments["settings"].write_text(SETTINGS.format(modules=MODULES))
        if "archive" in needed:
            arguments["archive"].mkdir()
            opened.enter_context(replay.server(arguments["archive"], options.replayed))
        for case_name in options.only:
            case = CASES[case_name]
            rounds = [
                [
                    measured(checkout, case.code, arguments[case.argument])
                    for checkout in (HERE, options.other.resolve())
                ]
                for _ in range(options.rounds)
            ]
            for key, (what, unit, wanted, more, is_ratio) in case.results.items():
                here, other = ([one[i][key] for one in rounds] for i in (0, 1))
                at_least, at_most = (wanted, None) if more else (None, wanted)
                now, before = statistics.median(here), statistics.median(other)
                if is_ratio:
                    report.add(what, now, unit, at_least=at_least, at_most=at_most)
                    report.add(f"{what}: the other", before, unit)
                    continue
                report.add(what, now, unit)
                report.add(f"{what}: the other", before, unit)
                ratio = statistics.median(a / b for a, b in zip(here, other, strict=True))
                report.add(f"{what}: ratio", ratio, "1", at_least=at_least, at_most=at_most)
    report.write()


if __name__ == "__main__":
    main()

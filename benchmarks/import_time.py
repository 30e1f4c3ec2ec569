"""Start-up time that live sizing adds to a Bluesky session: medians of new processes.

    python -m benchmarks.import_time [--runs N] [--json FILE]

Measures the import on top of Bluesky and ophyd; then a complete start-up file, import and ``install(RE,
settings)`` with the default model, until a plan can start, and until the sizing process, which loads in
parallel, has sized a frame; and ``qdsizer-stream profile check`` from the start to the end of its process.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks._report import BenchmarkReport, argument_parser

BEFORE = """
import time
import bluesky, bluesky.run_engine, event_model, ophyd
engine = bluesky.RunEngine({})
start = time.perf_counter()
"""

IMPORT = """
import {module}
print(time.perf_counter() - start)
import sys
assert "torch" not in sys.modules and "matplotlib" not in sys.modules
"""

INSTALL = """
from qdsizer_stream.profiles import install, uninstall
live = install(engine, {settings!r})
print(time.perf_counter() - start)
import numpy as np
frame = np.ones(30720)
live("start", {{"uid": "s", "time": 0.0}})
keys = {{"image": {{"dtype": "array", "shape": [30720], "source": "benchmark"}}}}
live("descriptor", {{"uid": "d", "run_start": "s", "name": "primary", "data_keys": keys, "time": 0.0}})
live("event", {{"uid": "e", "descriptor": "d", "seq_num": 1, "time": 0.0, "data": {{"image": frame}}}})
live.wait()
print(time.perf_counter() - start)
assert live.newest is not None
uninstall(engine)
"""

SETTINGS = """
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


def printed_times(code: str, runs: int) -> list[list[float]]:
    """Times that code prints, s: one list per printed line, with one value per new process."""
    outputs = [
        subprocess.run(
            [sys.executable, "-c", BEFORE + code], check=True, capture_output=True, text=True
        ).stdout
        for _ in range(runs)
    ]
    return [
        [float(line) for line in lines] for lines in zip(*(output.split() for output in outputs), strict=True)
    ]


CHECK = "from qdsizer_stream.cli import main; main()"


def profile_check_times(settings: Path, runs: int) -> list[float]:
    """Times of ``profile check`` in new processes, s."""
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", CHECK, "profile", "check", settings], check=True, capture_output=True
        )
        seconds.append(time.perf_counter() - start)
    return seconds


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    runs = arguments.runs
    report = BenchmarkReport("import_time", arguments.json)
    seconds: dict[str, list[float]] = {}
    for module in ("qdsizer_stream.callbacks", "qdsizer_stream.profiles"):
        seconds[f"import {module}, after bluesky and ophyd"] = printed_times(
            IMPORT.format(module=module), runs
        )[0]
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "qdsizer.toml"
        settings.write_text(SETTINGS.format(modules=MODULES))
        installed, sized = printed_times(INSTALL.format(settings=str(settings)), runs)
        seconds["import and install(RE, …)"] = installed
        seconds["import and install(RE, …), until the first frame is sized"] = sized
        seconds["profile check"] = profile_check_times(settings, runs)
    for name, values in seconds.items():
        report.add(f"{name}, median", statistics.median(values), "s")
        report.add(f"{name}, maximum", max(values), "s")
    report.write()


if __name__ == "__main__":
    main()

"""What the live half adds to the start of a session that has Bluesky already: median of fresh processes.

``python benchmarks/import_time.py [--runs N]``; then a whole start-up file: import and ``install(RE,
settings)`` with the default model, until a plan could begin, and until the sizing process, which loads
meanwhile, has sized a frame. Last ``qdsizer-stream profile check``, from the start of its process to its end.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BEFORE = """
import time
import bluesky, bluesky.run_engine, event_model, ophyd
engine = bluesky.RunEngine({})
began = time.perf_counter()
"""

IMPORT = """
import {module}
print(time.perf_counter() - began)
import sys
assert "torch" not in sys.modules and "matplotlib" not in sys.modules
"""

INSTALL = """
from qdsizer_stream.profiles import install, uninstall
live = install(engine, {settings!r})
print(time.perf_counter() - began)
import numpy as np
frame = np.ones(30720)
live("start", {{"uid": "s", "time": 0.0}})
keys = {{"image": {{"dtype": "array", "shape": [30720], "source": "benchmark"}}}}
live("descriptor", {{"uid": "d", "run_start": "s", "name": "primary", "data_keys": keys, "time": 0.0}})
live("event", {{"uid": "e", "descriptor": "d", "seq_num": 1, "time": 0.0, "data": {{"image": frame}}}})
live.wait()
print(time.perf_counter() - began)
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


def timed(code: str, runs: int) -> list[list[float]]:
    """Run code in fresh processes; give what each printed, seconds."""
    said = [
        subprocess.run(
            [sys.executable, "-c", BEFORE + code], check=True, capture_output=True, text=True
        ).stdout
        for _ in range(runs)
    ]
    return [[float(line) for line in lines] for lines in zip(*(one.split() for one in said), strict=True)]


CHECK = "from qdsizer_stream.cli import main; main()"


def checked(settings: Path, runs: int) -> list[float]:
    """Check a profile in fresh processes; give how long each took, seconds."""
    spent = []
    for _ in range(runs):
        begin = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", CHECK, "profile", "check", settings], check=True, capture_output=True
        )
        spent.append(time.perf_counter() - begin)
    return spent


def report(what: str, seconds: list[float]) -> None:
    print(
        f"{what}: {statistics.median(seconds):.2f} s "
        f"(median of {len(seconds)}, {min(seconds):.2f} to {max(seconds):.2f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    print("on top of bluesky and ophyd:")
    for module in ("qdsizer_stream.callbacks", "qdsizer_stream.profiles"):
        report(f"import {module}", timed(IMPORT.format(module=module), runs)[0])
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "qdsizer.toml"
        settings.write_text(SETTINGS.format(modules=MODULES))
        installed, sized = timed(INSTALL.format(settings=str(settings)), runs)
        whole = checked(settings, runs)
    report("import and install(RE, …)", installed)
    report("the same until the first frame is sized", sized)
    print("by itself:")
    report("profile check", whole)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()

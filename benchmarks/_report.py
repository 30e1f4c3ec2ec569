"""Results of a benchmark: printed as they are measured, and written as JSON for comparison over time."""

import argparse
import importlib.metadata
import json
import math
import os
import platform
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("qdsizer-stream", "numpy", "scipy", "onnxruntime", "bluesky", "ophyd", "tiled", "torch")
"""Distributions whose versions influence the results."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables that set the number of threads of numerical libraries."""


@dataclass(frozen=True)
class Measurement:
    """One measured value, with its target if there is one."""

    name: str
    value: float | None
    unit: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the value meets its target; None without a target."""
        if self.at_least is None and self.at_most is None:
            return None
        if self.value is None:
            return False
        low = -float("inf") if self.at_least is None else self.at_least
        return low <= self.value <= (float("inf") if self.at_most is None else self.at_most)

    def line(self) -> str:
        """The measurement as one line of text."""
        target = ""
        if self.at_least is not None and self.at_least == self.at_most:
            target = f"= {self.at_least:g}"
        elif self.at_least is not None:
            target = f">= {self.at_least:g}"
        elif self.at_most is not None:
            target = f"<= {self.at_most:g}"
        result = "" if self.met is None else "met" if self.met else "missed"
        value = "–" if self.value is None else f"{self.value:,.4g} {self.unit if self.unit != '1' else ''}"
        return f"{self.name:<66}{value:>22}  {target:<10} {result}".rstrip()


class BenchmarkReport:
    """Collects measurements, prints each one, and writes them to the file given with ``--json``.

    Parameters
    ----------
    name
        Name of the benchmark.
    path
        JSON file; None to write nothing.
    """

    def __init__(self, name: str, path: Path | None) -> None:
        self.measurements: list[Measurement] = []
        self._name = name
        self._path = path
        self._load_at_start = os.getloadavg()

    def add(
        self,
        name: str,
        value: float | None,
        unit: str,
        *,
        at_least: float | None = None,
        at_most: float | None = None,
        show: bool = True,
    ) -> None:
        """Record one measurement.

        Parameters
        ----------
        name
            What was measured.
        value
            Result, in `unit`; None if it could not be measured.
        unit
            Unit of the value: "1" for counts and ratios.
        at_least, at_most
            Target of the value.
        show
            Whether to print the measurement; False if it is already in a table.
        """
        measurement = Measurement(name, None if value is None else float(value), unit, at_least, at_most)
        self.measurements.append(measurement)
        if show:
            print(measurement.line(), flush=True)

    def write(self) -> None:
        """Write the JSON file, if one was given."""
        if self._path is None:
            return
        content = {
            "benchmark": self._name,
            "command": command(),
            "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "cpu": {"model": cpu_model(), "cores": os.cpu_count()},
            "load": {"start": list(self._load_at_start), "end": list(os.getloadavg())},
            "threads": {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
            "versions": versions(),
            "measurements": [
                {
                    "name": m.name,
                    # JSON has no infinity: an interval without an upper end.
                    "value": m.value if m.value is None or math.isfinite(m.value) else str(m.value),
                    "unit": m.unit,
                    **({} if m.at_least is None else {"at_least": m.at_least}),
                    **({} if m.at_most is None else {"at_most": m.at_most}),
                    **({} if m.met is None else {"met": m.met}),
                }
                for m in self.measurements
            ],
        }
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
        self._path.write_text(text + "\n", encoding="utf-8")


def argument_parser(description: str | None) -> argparse.ArgumentParser:
    """Argument parser of a benchmark, with the option ``--json``.

    Parameters
    ----------
    description
        Docstring of the benchmark.

    Returns
    -------
    The parser.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to this file")
    return parser


def command() -> str:
    """Command line of this process, from the name of the benchmark on."""
    return shlex.join(["python", "-m", f"benchmarks.{Path(sys.argv[0]).stem}", *sys.argv[1:]])


def cpu_model() -> str:
    """Name of the processor, from the kernel where it is available."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that are installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found

"""Instructions that sizing one pattern and one frame takes, counted by valgrind.

    python -m benchmarks.instructions [../before] [--items N] [--only NAME …] [--json FILE]

Unlike times, they are the same on a busy machine. Two processes of each checkout are counted, one of which
sizes N items more than the other, so that their start is left out. It takes a minute or more for each
process. Valgrind offers the libraries no AVX-512, so that they take more instructions than elsewhere: compare
counts with one another only.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks._report import BenchmarkReport, argument_parser
from benchmarks.speed_ratios import HERE, START, simulate

N_WARM = 2
"""Items that both processes size, which load what the first ones need."""

ITEMS = {
    "pattern": (
        "pattern of 5004 points to an estimate",
        "for item in patterns[:int(sys.argv[2])]:\n    sizer.size(item)\n",
    ),
    "frame": (
        "frame of 30 720 strips to an estimate",
        'for item in frames["frames"][:int(sys.argv[2])]:\n    sizer.size_frame(item, 0.5637)\n',
    ),
}
"""What is counted, and the code that sizes a number of them, by name for ``--only``."""


def instructions(checkout: Path, code: str, frames: Path, n_items: int) -> int:
    """Count the instructions of a process that sizes a number of items.

    Parameters
    ----------
    checkout
        Checkout of the package.
    code
        Code that sizes them.
    frames
        File of patterns and frames.
    n_items
        Number of items.

    Returns
    -------
    Instructions, those of the start included.
    """
    threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
    command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    done = subprocess.run(
        [*command, sys.executable, "-P", "-c", START + code, frames, str(n_items)],
        env={**os.environ, **threads, "PYTHONPATH": str(checkout), "PYTHONHASHSEED": "0"},
        cwd=frames.parent,
        capture_output=True,
        text=True,
    )
    counted = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    if done.returncode or counted is None:
        raise RuntimeError(f"no instructions were counted in {checkout}: {done.stderr[-2000:]}")
    return int(counted[1].replace(",", ""))


def main() -> None:
    """Count and report."""
    parser = argument_parser(__doc__)
    parser.add_argument("other", type=Path, nargs="?", help="checkout to compare with")
    parser.add_argument("--items", type=int, default=24)
    parser.add_argument("--only", nargs="+", choices=ITEMS, default=list(ITEMS))
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        parser.error("valgrind is not installed: apt-get install valgrind")
    report = BenchmarkReport("instructions", options.json)
    checkouts = {"": HERE} | ({} if options.other is None else {": the other": options.other.resolve()})
    with tempfile.TemporaryDirectory() as name:
        frames = Path(name) / "frames.npz"
        simulate(frames, N_WARM + options.items, N_WARM + options.items)
        for what, code in (ITEMS[name] for name in options.only):
            found = []
            for suffix, checkout in checkouts.items():
                start, end = (instructions(checkout, code, frames, N_WARM + n) for n in (0, options.items))
                found.append((end - start) / options.items / 1e6)
                report.add(f"{what}{suffix}", found[-1], "million")
            if len(found) == 2:
                report.add(f"{what}: ratio", found[0] / found[1], "1")
    report.write()


if __name__ == "__main__":
    main()

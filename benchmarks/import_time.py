"""What the live half adds to the start of a session that has Bluesky already: median of fresh processes.

python benchmarks/import_time.py [--runs N]
"""

import argparse
import statistics
import subprocess
import sys

TIMED = """
import time
import bluesky, bluesky.run_engine, event_model, ophyd
began = time.perf_counter()
import {module}
print(time.perf_counter() - began)
import sys
assert "torch" not in sys.modules and "matplotlib" not in sys.modules
"""

MODULES = ("qdsizer_stream.callbacks", "qdsizer_stream.profiles")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    for module in MODULES:
        seconds = [
            float(
                subprocess.run(
                    [sys.executable, "-c", TIMED.format(module=module)],
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout
            )
            for _ in range(runs)
        ]
        print(
            f"import {module}: {statistics.median(seconds):.2f} s on top of bluesky and ophyd "
            f"(median of {runs}, {min(seconds):.2f} to {max(seconds):.2f})"
        )


if __name__ == "__main__":
    main()

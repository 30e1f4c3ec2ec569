"""Sizes of patterns that another program simulated, against the truth in their file names.

    python benchmarks/foreign_patterns.py FOLDER

FOLDER holds files like PbS_Str0.9975_SD15_Avg4.50_SolvTOL_Conc65_noisy30.00.csv (Q, intensity): strain,
dispersion in per cent, number-weighted mean diameter in nm, solvent, area fraction in per cent, counting
scale. They are part of the paper's published data and cannot be part of this repository.
"""

import argparse
import math
import re
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from qdsizer_stream.patterns import Axis, read_pattern
from qdsizer_stream.sizing import Sizer, SizingConfig

NAME = re.compile(
    r"SD(?P<sd>\d+)_Avg(?P<mean>[\d.]+)_Solv(?P<solvent>\w+?)_Conc(?P<share>\d+)_noisy(?P<scale>[\d.]+)\.csv"
)

CLASSIFIERS = ("pbs-paper", "pbs-paper-cut")

WAVELENGTH_ANGSTROM = 0.56
"""Of the simulations; files on a Q axis need it for the reach in Q alone."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    paths = sorted(folder.glob("*.csv"), key=lambda p: float(NAME.search(p.name)["mean"]))
    if not paths:
        parser.error(f"{folder} holds no .csv file: give the folder of the patterns themselves")
    default, *classifiers = (Sizer(SizingConfig(model=model)) for model in ("pbs", *CLASSIFIERS))
    table = Table(title="number-weighted mean diameter, nm", box=box.SIMPLE, padding=0, collapse_padding=True)
    for heading in ("truth", "sd %", "in", "area %", "scale", "pbs", "95 %", "error", *CLASSIFIERS):
        table.add_column(heading, justify="right")
    truths, errors, covered, classes = [], [], [], []
    for path in paths:
        name = NAME.search(path.name)
        truth = float(name["mean"])
        pattern = read_pattern(path, WAVELENGTH_ANGSTROM, Axis.Q)
        estimate = default.size(pattern)
        read = [sizer.size(pattern) for sizer in classifiers]
        error = estimate.size_nm - truth
        truths.append(truth)
        errors.append(error)
        covered.append(estimate.size_low_nm <= truth <= estimate.size_high_nm)
        classes.append([one.class_nm for one in read])
        table.add_row(
            f"{truth:.1f}",
            name["sd"],
            name["solvent"].lower(),
            name["share"],
            f"{float(name['scale']):g}",
            f"{estimate.size_nm:.2f}" if not math.isnan(error) else f"{estimate.status}: {estimate.reason}",
            f"{estimate.size_low_nm:.2f}–{estimate.size_high_nm:.2f}",
            f"{error:+.2f}",
            *(str(one.status) if math.isnan(one.class_nm) else f"{one.class_nm:.1f}" for one in read),
        )
    Console().print(table)
    absolute = np.abs(errors)
    print(
        f"pbs: {np.sum(absolute <= 0.25)} of {len(errors)} within 0.25 nm, "
        f"mean error {np.nanmean(absolute):.3f} nm, largest {np.nanmax(absolute):.3f} nm, "
        f"{np.sum(covered)} within the 95 % interval"
    )
    for name, column in zip(CLASSIFIERS, np.array(classes).T, strict=True):
        off = np.abs(column - truths)
        print(
            f"{name}: {np.sum(off == 0)} of {len(errors)} in their class, "
            f"{np.sum(off <= 0.5)} within one class, {np.sum(np.isnan(off))} refused"
        )


if __name__ == "__main__":
    main()

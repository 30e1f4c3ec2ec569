"""Accuracy on patterns that were simulated by another program, whose file names contain the true sizes.

    python -m benchmarks.third_party_patterns FOLDER [--powers POWER ...] [--json FILE]

FOLDER contains files like PbS_Str0.9975_SD15_Avg4.50_SolvTOL_Conc65_noisy30.00.csv (Q, intensity): strain,
dispersion in per cent, number-weighted mean diameter in nm, solvent, area fraction in per cent, counting
scale. They are part of the published data of the paper and cannot be included in this repository. With
`--powers` the intensities are raised to each power as well, as detectors or programs that are not linear
leave them, and the wrong sizes are counted.
"""

import math
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks._report import BenchmarkReport, argument_parser
from qdsizer_stream.patterns import Axis, read_pattern
from qdsizer_stream.sizing import Sizer, SizingConfig, Status

NAME = re.compile(
    r"SD(?P<sd>\d+)_Avg(?P<mean>[\d.]+)_Solv(?P<solvent>\w+?)_Conc(?P<area>\d+)_noisy(?P<scale>[\d.]+)\.csv"
)

CLASSIFIERS = ("pbs-paper", "pbs-paper-cut")

WAVELENGTH_ANGSTROM = 0.56
"""Wavelength of the simulations; for files with a Q axis it only limits the range of Q."""


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--powers", type=float, nargs="*", default=[], help="powers of the intensities")
    arguments = parser.parse_args()
    folder = arguments.folder
    report = BenchmarkReport("third_party_patterns", arguments.json)
    paths = sorted(folder.glob("*.csv"), key=lambda p: float(NAME.search(p.name)["mean"]))
    if not paths:
        parser.error(f"{folder} contains no .csv file: give the folder of the patterns")
    default, *classifiers = (Sizer(SizingConfig(model=model)) for model in ("pbs", *CLASSIFIERS))
    table = Table(title="number-weighted mean diameter, nm", box=box.SIMPLE, padding=0, collapse_padding=True)
    for heading in ("truth", "sd %", "in", "area %", "scale", "pbs", "95 %", "error", *CLASSIFIERS):
        table.add_column(heading, justify="right")
    truths, errors, covered, classes = [], [], [], []
    mass_errors, mass_covered = [], []
    for path in paths:
        name = NAME.search(path.name)
        truth, mass_truth = _truth(path)
        pattern = read_pattern(path, WAVELENGTH_ANGSTROM, Axis.Q)
        estimate = default.size(pattern, resolution_inv_angstrom=0.0)
        classified = [sizer.size(pattern, resolution_inv_angstrom=0.0) for sizer in classifiers]
        error = estimate.size_nm - truth
        truths.append(truth)
        errors.append(error)
        covered.append(estimate.size_low_nm <= truth <= estimate.size_high_nm)
        mass_errors.append(estimate.mass_mean_nm - mass_truth)
        mass_covered.append(estimate.mass_mean_low_nm <= mass_truth <= estimate.mass_mean_high_nm)
        classes.append([one.class_nm for one in classified])
        table.add_row(
            f"{truth:.1f}",
            name["sd"],
            name["solvent"].lower(),
            name["area"],
            f"{float(name['scale']):g}",
            f"{estimate.size_nm:.2f}" if not math.isnan(error) else f"{estimate.status}: {estimate.reason}",
            f"{estimate.size_low_nm:.2f}–{estimate.size_high_nm:.2f}",
            f"{error:+.2f}",
            *(str(one.status) if math.isnan(one.class_nm) else f"{one.class_nm:.1f}" for one in classified),
        )
    Console().print(table)
    absolute = np.abs(errors)
    report.add("patterns", len(errors), "1")
    report.add("pbs: within 0.25 nm", np.sum(absolute <= 0.25), "1")
    report.add("pbs: mean error", np.nanmean(absolute), "nm", at_most=0.05)
    report.add("pbs: maximum error", np.nanmax(absolute), "nm", at_most=0.20)
    report.add("pbs: true size within the 95 % interval", np.sum(covered), "1")
    report.add("pbs: mean error of the mass mean", np.nanmean(np.abs(mass_errors)), "nm", at_most=0.05)
    report.add("pbs: maximum error of the mass mean", np.nanmax(np.abs(mass_errors)), "nm", at_most=0.20)
    report.add("pbs: true mass mean within the 95 % interval", np.sum(mass_covered), "1")
    for name, column in zip(CLASSIFIERS, np.array(classes).T, strict=True):
        deviation = np.abs(column - truths)
        report.add(f"{name}: correct class", np.sum(deviation == 0), "1")
        report.add(f"{name}: within one class", np.sum(deviation <= 0.5), "1")
        report.add(f"{name}: rejected", np.sum(np.isnan(deviation)), "1")
    for power in arguments.powers:
        sized, missed = _to_a_power(default, paths, power)
        report.add(f"pbs: intensities to the power {power:g}: sized", sized, "1")
        report.add(f"pbs: intensities to the power {power:g}: of these a mean missed", missed, "1", at_most=0)
    report.write()


def _truth(path: Path) -> tuple[float, float]:
    """Number mean and mass mean of a pattern, nm; populations are log-normal."""
    name = NAME.search(path.name)
    mean = float(name["mean"])
    return mean, mean * (1 + (float(name["sd"]) / 100) ** 2) ** 3


def _to_a_power(sizer: Sizer, paths: list[Path], power: float) -> tuple[int, int]:
    """Number of patterns sized with intensities to a power, and of those that miss either mean."""
    sized = missed = 0
    with TemporaryDirectory() as folder:
        for path in paths:
            q, intensity = np.loadtxt(path, delimiter=",", skiprows=1, unpack=True)
            raised = Path(folder) / "raised.csv"
            np.savetxt(raised, np.stack([q, intensity**power], axis=1), delimiter=",")
            estimate = sizer.size(
                read_pattern(raised, WAVELENGTH_ANGSTROM, Axis.Q), resolution_inv_angstrom=0.0
            )
            if estimate.status is not Status.SIZED:
                continue
            number, mass = _truth(path)
            sized += 1
            missed += not (
                estimate.size_low_nm <= number <= estimate.size_high_nm
                and estimate.mass_mean_low_nm <= mass <= estimate.mass_mean_high_nm
            )
    return sized, missed


if __name__ == "__main__":
    main()

"""Textured films in copper radiation, computed from Bragg peaks: another physics than any training.

    python benchmarks/bragg_films.py [--films N] [--model NAME] [--json FILE]

Nothing here calls the simulation of the package. Peaks of rock salt stand at their Bragg angles with the
squares of their structure factors, multiplicities and March-Dollase weights (J. Appl. Cryst. 19 (1986) 267);
their shapes are Fourier transforms of the common volume of a sphere and its shifted self (Guinier 1963),
over log-normal diameters. Copper's doublet, the polarisation of a diffractometer without a monochromator,
a resolution, a falling background with a hump, and photons.
"""

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
import xraydb
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from qdsizer_stream.patterns import Pattern
from qdsizer_stream.sizing import Sizer, SizingConfig, Status

Curve = NDArray[np.float64]

LATTICE_PARAMETER_ANGSTROM = 5.936
COPPER = ((1.540593, 2 / 3), (1.544427, 1 / 3))
"""Wavelength, Å, and share of each line."""
MEAN_WAVELENGTH_ANGSTROM = 1.541871
STEP_DEG = 0.02
AXES = {"none": None, "{100}": (1, 0, 0), "{110}": (1, 1, 0), "{111}": (1, 1, 1)}
"""Planes that lie in the film."""


def reflections(q_high_inv_angstrom: float, lattice_parameter_angstrom: float) -> list[tuple[float, Curve]]:
    """Q of each family of planes, Å⁻¹, and its indices: all even or all odd."""
    made = []
    for square in range(3, int((q_high_inv_angstrom * lattice_parameter_angstrom / 2 / np.pi) ** 2) + 1):
        planes = [
            plane
            for plane in itertools.product(range(-9, 10), repeat=3)
            if sum(i * i for i in plane) == square and len({i % 2 for i in plane}) == 1
        ]
        if planes:
            made.append((2 * np.pi * np.sqrt(square) / lattice_parameter_angstrom, np.array(planes, float)))
    return made


def peak(distance_inv_angstrom: Curve, median_nm: float, spread: float) -> tuple[Curve, float]:
    """Shape of a peak of spheres with log-normal diameters, and their number mean, nm."""
    away = np.linspace(-3, 3, 31)
    diameter, number = 10 * median_nm * np.exp(spread * away), np.exp(-0.5 * away**2)
    x = np.linspace(0, diameter.max(), 600)
    share = np.minimum(x / diameter[:, None], 1)
    common = (number * diameter**3) @ (1 - 1.5 * share + 0.5 * share**3)
    shape = np.trapezoid(common / common[0] * np.cos(distance_inv_angstrom[:, None] * x), x, axis=1)
    return shape, 0.1 * float(number @ diameter / number.sum())


def film(
    rng: np.random.Generator, median_nm: float, axis: tuple[int, int, int] | None
) -> tuple[Pattern, float]:
    """A film, and its number mean, nm."""
    two_theta = np.arange(rng.choice([15.0, 20.0]), rng.uniform(79, 124), STEP_DEG)
    lattice = LATTICE_PARAMETER_ANGSTROM * (1 + rng.uniform(-3e-3, 3e-3))
    b_angstrom2, march = rng.uniform(0.9, 2.2), np.exp(rng.uniform(np.log(0.65), np.log(1.5)))
    distance = np.arange(-4, 4.005, 0.01)
    shape, mean_nm = peak(distance, median_nm, rng.uniform(0.05, 0.14))
    # A film that lies 0.1 mm too high on a goniometer of 200 mm shifts peaks by 0.06° cos θ.
    seen = two_theta + rng.uniform(-0.03, 0.03) * np.cos(np.radians(two_theta / 2))
    intensity = np.zeros_like(two_theta)
    for wavelength, line in COPPER:
        q = 4 * np.pi / wavelength * np.sin(np.radians(seen / 2))
        for centre, planes in reflections(q.max() + 2, lattice):
            s = centre / 4 / np.pi
            lead, sulphur = (xraydb.f0(element, s)[0] for element in ("Pb", "S"))
            sign = -1 if planes[0, 0] % 2 else 1
            weight = len(planes) * (lead + sign * sulphur) ** 2 * np.exp(-2 * b_angstrom2 * s**2)
            if axis is not None:
                cosine2 = (planes @ axis) ** 2 / (planes[0] @ planes[0]) / np.dot(axis, axis)
                weight *= np.mean((march**2 * cosine2 + (1 - cosine2) / march) ** -1.5)
            intensity += line * weight * np.interp(q - centre, distance, shape, left=0, right=0) / q**2
    intensity *= 1 + np.cos(np.radians(two_theta)) ** 2
    kernel = np.exp(-0.5 * (np.arange(-0.2, 0.21, STEP_DEG) / 0.06 * 2.355) ** 2)  # 0.06° wide at half height
    intensity = np.convolve(intensity, kernel, "same")
    background = np.exp(-two_theta / 40) + 0.25
    background += 0.6 * rng.random() * np.exp(-0.5 * ((two_theta - 24) / 5) ** 2)
    share, counts = rng.uniform(0.2, 0.7), np.exp(rng.uniform(np.log(200), np.log(2000)))
    expected = (1 - share) * intensity / intensity.mean() + share * background / background.mean()
    q = 4 * np.pi / MEAN_WAVELENGTH_ANGSTROM * np.sin(np.radians(two_theta / 2))
    return Pattern.from_arrays(q, rng.poisson(expected * counts)), mean_nm


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--films", type=int, default=50, help="of each texture")
    parser.add_argument("--model", default="pbs")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    arguments = parser.parse_args()
    sizer, rng = Sizer(SizingConfig(model=arguments.model)), np.random.default_rng(0)
    table = Table("planes", "films", "sized %", "mean error (nm)", "bias (nm)", "largest", "covered %")
    numbers: dict[str, dict[str, float]] = {}
    for name, axis in AXES.items():
        errors, covered, reasons = [], [], []
        for median_nm in rng.uniform(2.8, 9.0, arguments.films):
            pattern, truth = film(rng, median_nm, axis)
            estimate = sizer.size(pattern)
            if estimate.status is not Status.SIZED:
                reasons.append(f"{truth:.2f} nm: {estimate.reason}")
                continue
            errors.append(estimate.size_nm - truth)
            covered.append(estimate.size_low_nm <= truth <= estimate.size_high_nm)
        numbers[name] = {
            "sized %": 100 * len(errors) / arguments.films,
            "mean error (nm)": float(np.mean(np.abs(errors))),
            "bias (nm)": float(np.mean(errors)),
            "largest (nm)": float(np.max(np.abs(errors))),
            "covered %": 100 * float(np.mean(covered)),
        }
        sized, *rest, share = numbers[name].values()
        lengths = (f"{value:.3f}" for value in rest)
        table.add_row(name, str(arguments.films), f"{sized:.0f}", *lengths, f"{share:.0f}")
        for reason in reasons:
            print(f"refused, {name}, {reason}")
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Accuracy on textured films in copper radiation, computed from Bragg peaks rather than the Debye equation.

    python -m benchmarks.bragg_films [--films N] [--model NAME] [--json FILE]

The benchmark does not use the simulation of the package. The Bragg peaks of rock salt have the squares of
their structure factors, multiplicities and March-Dollase weights (J. Appl. Cryst. 19 (1986) 267). Their
shapes are Fourier transforms of the common volume of a sphere and its shifted copy (Guinier 1963), averaged
over log-normal diameters. The frames include the doublet of copper, the polarisation of a diffractometer
without monochromator, a resolution, a falling background with a hump, and counting noise.
"""

import itertools

import numpy as np
import xraydb
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks._report import BenchmarkReport, argument_parser
from qdsizer_stream.patterns import Pattern
from qdsizer_stream.sizing import Sizer, SizingConfig, Status

Curve = NDArray[np.float64]

LATTICE_PARAMETER_ANGSTROM = 5.936
COPPER = ((1.540593, 2 / 3), (1.544427, 1 / 3))
"""Wavelength, Å, and fraction of the intensity of each line."""
MEAN_WAVELENGTH_ANGSTROM = 1.541871
STEP_DEG = 0.02
AXES = {"none": None, "{100}": (1, 0, 0), "{110}": (1, 1, 0), "{111}": (1, 1, 1)}
"""Lattice planes parallel to the film, by name of the texture."""


def reflections(q_max_inv_angstrom: float, lattice_parameter_angstrom: float) -> list[tuple[float, Curve]]:
    """Q of each family of planes, Å⁻¹, and its Miller indices, which are all even or all odd."""
    families = []
    for square in range(3, int((q_max_inv_angstrom * lattice_parameter_angstrom / 2 / np.pi) ** 2) + 1):
        planes = [
            plane
            for plane in itertools.product(range(-9, 10), repeat=3)
            if sum(i * i for i in plane) == square and len({i % 2 for i in plane}) == 1
        ]
        if planes:
            q = 2 * np.pi * np.sqrt(square) / lattice_parameter_angstrom
            families.append((q, np.array(planes, float)))
    return families


def peak(distance_inv_angstrom: Curve, median_nm: float, dispersion: float) -> tuple[Curve, float]:
    """Peak shape of spheres with log-normal diameters, and their number-weighted mean diameter, nm."""
    deviation = np.linspace(-3, 3, 31)
    diameter, weight = 10 * median_nm * np.exp(dispersion * deviation), np.exp(-0.5 * deviation**2)
    x = np.linspace(0, diameter.max(), 600)
    ratio = np.minimum(x / diameter[:, None], 1)
    common_volume = (weight * diameter**3) @ (1 - 1.5 * ratio + 0.5 * ratio**3)
    cosines = np.cos(distance_inv_angstrom[:, None] * x)
    shape = np.trapezoid(common_volume / common_volume[0] * cosines, x, axis=1)
    return shape, 0.1 * float(weight @ diameter / weight.sum())


def film(
    rng: np.random.Generator, median_nm: float, axis: tuple[int, int, int] | None
) -> tuple[Pattern, float]:
    """Pattern of a film, and its number-weighted mean diameter, nm."""
    two_theta = np.arange(rng.choice([15.0, 20.0]), rng.uniform(79, 124), STEP_DEG)
    lattice = LATTICE_PARAMETER_ANGSTROM * (1 + rng.uniform(-3e-3, 3e-3))
    b_angstrom2, march = rng.uniform(0.9, 2.2), np.exp(rng.uniform(np.log(0.65), np.log(1.5)))
    distance = np.arange(-4, 4.005, 0.01)
    shape, mean_nm = peak(distance, median_nm, rng.uniform(0.05, 0.14))
    # A film mounted 0.1 mm too high on a goniometer of 200 mm radius shifts peaks by 0.06° cos θ.
    shifted = two_theta + rng.uniform(-0.03, 0.03) * np.cos(np.radians(two_theta / 2))
    intensity = np.zeros_like(two_theta)
    for wavelength, line in COPPER:
        q = 4 * np.pi / wavelength * np.sin(np.radians(shifted / 2))
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
    kernel = np.exp(-0.5 * (np.arange(-0.2, 0.21, STEP_DEG) / 0.06 * 2.355) ** 2)  # FWHM of 0.06°
    intensity = np.convolve(intensity, kernel, "same")
    background = np.exp(-two_theta / 40) + 0.25
    background += 0.6 * rng.random() * np.exp(-0.5 * ((two_theta - 24) / 5) ** 2)
    fraction, counts = rng.uniform(0.2, 0.7), np.exp(rng.uniform(np.log(200), np.log(2000)))
    expected = (1 - fraction) * intensity / intensity.mean() + fraction * background / background.mean()
    q = 4 * np.pi / MEAN_WAVELENGTH_ANGSTROM * np.sin(np.radians(two_theta / 2))
    return Pattern.from_arrays(q, rng.poisson(expected * counts)), mean_nm


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--films", type=int, default=50, help="number of films of each texture")
    parser.add_argument("--model", default="pbs")
    arguments = parser.parse_args()
    report = BenchmarkReport("bragg_films", arguments.json)
    sizer, rng = Sizer(SizingConfig(model=arguments.model)), np.random.default_rng(0)
    columns = {
        "sized": "%",
        "mean error": "nm",
        "bias": "nm",
        "maximum error": "nm",
        "true size in 95 % interval": "%",
    }
    table = Table("planes", "films", *(f"{name} ({unit})" for name, unit in columns.items()))
    for texture, axis in AXES.items():
        errors, covered = [], []
        for median_nm in rng.uniform(2.8, 9.0, arguments.films):
            pattern, truth = film(rng, median_nm, axis)
            estimate = sizer.size(pattern, resolution_inv_angstrom=0.0)
            if estimate.status is not Status.SIZED:
                print(f"rejected, {texture}, {truth:.2f} nm: {estimate.reason}")
                continue
            errors.append(estimate.size_nm - truth)
            covered.append(estimate.size_low_nm <= truth <= estimate.size_high_nm)
        values = [100 * len(errors) / arguments.films, None, None, None, None]
        if errors:
            magnitudes = np.abs(errors)
            values[1:] = [magnitudes.mean(), np.mean(errors), magnitudes.max(), 100 * np.mean(covered)]
        for (name, unit), value in zip(columns.items(), values, strict=True):
            report.add(f"texture {texture}: {name}", value, unit, show=False)
        texts = ("–" if value is None else f"{value:.3f}" for value in values)
        table.add_row(texture, str(arguments.films), *texts)
    Console().print(table)
    report.write()


if __name__ == "__main__":
    main()

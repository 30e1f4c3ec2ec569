"""What a frame can tell of the two mean diameters: half-widths of 95 % intervals, from photons alone.

    python -m benchmarks.number_mean_limit [--json FILE]

Ideal PbS spheres of a log-normal population in toluene, a perfect instrument, Q from 1 to 12 Å⁻¹, half of the
intensity from the dots. Amounts of solvent and background, B and the lattice parameter are fitted along.

Either mean, its half-width in per cent:

* "log-normal": the shape of the distribution is known, its mean and dispersion are fitted (Cramér–Rao bound).
* "… physics": the correlated motion and the amount of a disordered part are fitted too.
* "any": any distribution of dots above 1.8 nm is possible (profile of χ² over the mean).
* "any, physics": likewise, with correlated motion and a disordered part fitted.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table
from scipy.optimize import brentq, nnls

from benchmarks._report import BenchmarkReport, argument_parser
from qdsizer_stream.simulation import (
    CorrelatedMotion,
    averaged_sphere_pairs,
    compton_intensity,
    correlated_sums,
    debye_wavenumber,
    form_factors,
    load_material,
    load_solvent,
    lognormal_weights,
    pattern_sums,
)

SIZES_NM = (3.0, 5.0, 8.0)
DISPERSION = 0.12
COUNTS = (1e4, 1e6)
"""Mean photons per bin of 0.02 Å⁻¹."""

DIAMETERS_NM = np.arange(1.0, 16.0, 0.1)
SMALLEST_NM = 1.8
"""Smallest dots of the free distributions: the lower end of the default model."""

COHERENCE_NM = 1.4
"""Coherence length of the disordered part, as of PbS dots."""

WAVELENGTH_ANGSTROM = 0.56
Q = np.arange(1.0, 12.0, 0.02)
N_BACKGROUND = 6
CHI2_95 = 3.84
"""χ² above its minimum at the ends of a 95 % interval."""

TWO_SIDED_95 = 1.96
STEP = 1e-3
"""Relative step of numerical derivatives."""

HEAVY = 1e4
"""Weight of the row that holds a mean at a value, in units of the heaviest other column."""


@dataclass(frozen=True)
class Limits:
    """Half-widths over the mean, %."""

    mass: float
    number: float


def main() -> None:
    parser = argument_parser(__doc__)
    arguments = parser.parse_args()
    report = BenchmarkReport("number_mean_limit", arguments.json)
    table = Table(box=box.SIMPLE, padding=0, collapse_padding=True)
    cases = ("log-normal", "… physics", "any", "any, physics")
    table.add_column("number mean, nm")
    table.add_column("photons per bin", justify="right")
    for case in cases:
        table.add_column(f"{case}, %", justify="right")
    patterns = Patterns()
    for size_nm in SIZES_NM:
        for counts in COUNTS:
            frame = Frame(patterns, size_nm, counts)
            found = (frame.lognormal(False), frame.lognormal(True), frame.free(False), frame.free(True))
            cells = [f"{limits.mass:.2g} / {limits.number:.2g}" for limits in found]
            table.add_row(f"{size_nm:g}", f"{counts:g}", *cells)
            for case, limits in zip(cases, found, strict=True):
                what = f"{size_nm:g} nm, {counts:g} photons, {case}"
                report.add(f"{what}: half-width of the mass mean", limits.mass, "%", show=False)
                report.add(f"{what}: half-width of the number mean", limits.number, "%", show=False)
    print("half-width of the mass-weighted mean / of the number-weighted mean")
    Console(width=90).print(table)
    report.write()


class Patterns:
    """Intensity of one dot of each diameter, with two amplitudes of the correlated motion."""

    def __init__(self) -> None:
        material = load_material("PbS")
        diameters = np.append(DIAMETERS_NM, COHERENCE_NM)
        table = averaged_sphere_pairs(material, 10 * diameters)
        factors = form_factors(material, Q, WAVELENGTH_ANGSTROM)
        compton = compton_intensity(material, Q, WAVELENGTH_ANGSTROM, list(table.self_terms))

        def intensity(amplitude_angstrom2: float) -> NDArray[np.float64]:
            motion = CorrelatedMotion(amplitude_angstrom2, debye_wavenumber(material))
            sums = correlated_sums(table, Q, motion)
            return (pattern_sums(material, table, sums, Q, factors) + compton).T

        self.dots = intensity(0.8)
        self.by_motion = (intensity(0.8 + STEP) - self.dots) / STEP
        self.solvent = load_solvent("toluene").extended_intensity(Q, WAVELENGTH_ANGSTROM)


class Frame:
    """One noise-free frame and what is fitted to it, divided by the noise."""

    def __init__(self, patterns: Patterns, size_nm: float, counts: float) -> None:
        self._patterns = patterns
        self._size_nm = size_nm
        shape = self._shape(size_nm, DISPERSION)
        dots = shape @ patterns.dots
        self._scale = 0.5 * counts / dots.mean()
        dots = dots * self._scale
        solvent = patterns.solvent * 0.5 * counts / patterns.solvent.mean()
        self._sigma = np.sqrt(dots + solvent)
        x = (Q - Q[0]) / (Q[-1] - Q[0])
        background = [counts * np.cos(np.pi * k * x) for k in range(N_BACKGROUND)]
        by_b = -(Q**2) / (8 * np.pi**2) * dots
        by_strain = Q * np.gradient(dots, Q)
        self._nuisance = np.array([solvent, *background, by_b, by_strain]) / self._sigma
        piece = patterns.dots[-1] * dots.mean() / patterns.dots[-1].mean()
        by_motion = shape @ patterns.by_motion * self._scale
        self._physics = np.array([by_motion, piece]) / self._sigma
        self._target = dots / self._sigma

    def lognormal(self, physics: bool) -> Limits:
        """Cramér–Rao bound with the shape known."""

        def pattern(values: NDArray[np.float64]) -> NDArray[np.float64]:
            shape = self._shape(float(np.exp(values[0])), float(values[1]))
            return np.asarray(shape @ self._patterns.dots * self._scale / self._sigma)

        values = np.array([np.log(self._size_nm), DISPERSION])
        steps = STEP * np.eye(2)
        slopes = np.array([(pattern(values + s) - pattern(values - s)) / (2 * STEP) for s in steps])
        columns = np.vstack([slopes, self._target, self._nuisance, *([self._physics] if physics else [])])
        norm = np.linalg.norm(columns, axis=1)
        unit = (columns / norm[:, None]).T
        covariance = np.linalg.inv(unit.T @ unit) / np.outer(norm, norm)

        def half_width(mean: int) -> float:
            slope = np.array(
                [
                    (np.log(self._means(values + s)[mean]) - np.log(self._means(values - s)[mean]))
                    / (2 * STEP)
                    for s in steps
                ]
            )
            return float(100 * TWO_SIDED_95 * np.sqrt(slope @ covariance[:2, :2] @ slope))

        return Limits(half_width(1), half_width(0))

    def free(self, physics: bool) -> Limits:
        """Ends of the profile of χ² over either mean, for any distribution of dots."""
        allowed = np.flatnonzero(DIAMETERS_NM >= SMALLEST_NM - 1e-9)
        dots = self._patterns.dots[allowed] * self._scale / self._sigma
        both = self._nuisance
        if physics:
            both = np.vstack([both, self._physics[0]])  # a disordered part cannot be negative
            dots = np.vstack([dots, self._physics[1]])
        columns = np.vstack([dots, both, -both]).T
        norm = np.linalg.norm(columns, axis=0)
        columns = columns / norm
        diameters = DIAMETERS_NM[allowed]
        number, mass = self._means(np.array([np.log(self._size_nm), DISPERSION]))

        def chi2(mean_nm: float, power: int) -> float:
            row = np.zeros(columns.shape[1])
            row[: diameters.size] = diameters**power * (diameters - mean_nm) / norm[: diameters.size]
            row *= HEAVY / np.abs(row).max()
            found, _ = nnls(np.vstack([columns, row]), np.append(self._target, 0.0), maxiter=100 * row.size)
            left = self._target - columns @ found
            return float(left @ left)

        def half_width(mean_nm: float, power: int) -> float:
            ends = []
            for direction in (-1, 1):
                # Ever farther from the truth, until χ² has risen.
                distance = 1e-3
                while distance < 0.9 and chi2(mean_nm * (1 + direction * distance), power) < CHI2_95:
                    distance *= 1.5
                if distance >= 0.9:
                    ends.append(0.9)
                    continue
                ends.append(
                    brentq(
                        lambda d, sign=direction: chi2(mean_nm * (1 + sign * d), power) - CHI2_95,
                        0.0,
                        distance,
                        xtol=1e-4,
                    )
                )
            return 100 * sum(ends) / 2

        return Limits(half_width(mass, 3), half_width(number, 0))

    def _shape(self, size_nm: float, dispersion: float) -> NDArray[np.float64]:
        weights = lognormal_weights(
            DIAMETERS_NM, np.array([size_nm]), np.array([dispersion]), min_fraction=0.0
        )
        return np.append(weights[:, 0], 0.0)

    def _means(self, values: NDArray[np.float64]) -> tuple[float, float]:
        """Number mean and mass mean of a log-normal population, nm."""
        weights = self._shape(float(np.exp(values[0])), float(values[1]))[:-1]
        moments = [float(weights @ DIAMETERS_NM**k) for k in (0, 1, 3, 4)]
        return moments[1] / moments[0], moments[3] / moments[2]


if __name__ == "__main__":
    main()

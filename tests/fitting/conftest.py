"""Frames of known truth, simulated without the templates of the fit."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from qdsizer_stream.fitting import TemplateRecipe, simulate_fit_templates
from qdsizer_stream.models.fit import FitTemplates
from qdsizer_stream.patterns import Pattern
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

WAVELENGTH = 0.56
B = {"Pb": 1.3, "S": 1.6}
AMPLITUDE = 1.0
"""Correlated motion, Å²."""
Q_LAST = 8.0


@dataclass(frozen=True)
class Truth:
    number_mean_nm: float
    mass_mean_nm: float
    dispersion: float
    strain: float
    zero_deg: float
    fraction: float
    disordered_nm: float


@pytest.fixture(scope="session")
def templates() -> FitTemplates:
    recipe = TemplateRecipe(wavelength_angstrom=WAVELENGTH, q_last_inv_angstrom=8.4, last_nm=10.0)
    return simulate_fit_templates(load_material("PbS"), recipe)


@pytest.fixture(scope="session")
def frame() -> Callable[..., tuple[Pattern, Truth]]:
    """Frames of PbS: clusters in equal steps, exact sums, Poisson counts of dots, toluene, background."""
    material = load_material("PbS").with_b(B)
    diameters = np.arange(0.9, 10.0, 0.07)
    with_part = np.append(diameters, 1.4)
    table = averaged_sphere_pairs(material, 10 * with_part)
    fine = np.arange(0.9, Q_LAST + 0.3, 0.006)
    motion = CorrelatedMotion(AMPLITUDE, debye_wavenumber(material))
    sums = correlated_sums(table, fine, motion)
    factors = form_factors(material, fine, WAVELENGTH)
    patterns = pattern_sums(material, table, sums, fine, factors)
    patterns += compton_intensity(material, fine, WAVELENGTH, list(table.self_terms))
    solvent = load_solvent("toluene")

    def make(
        number: int,
        *,
        strain: float = 0.0,
        photons: float | None = None,
        blur_deg: float = 0.0,
        **fixed: float,
    ) -> tuple[Pattern, Truth]:
        rng = np.random.default_rng([20261128, number])
        mean = fixed.get("mean", rng.uniform(2.5, 5.5))
        spread = fixed.get("dispersion", rng.uniform(0.07, 0.18))
        fraction, zero = (
            fixed.get("fraction", rng.uniform(0.3, 1.0)),
            fixed.get("zero", rng.uniform(-0.02, 0.02)),
        )
        part = fixed.get("part", rng.uniform(0.1, 0.4))
        counts = 10 ** rng.uniform(3.0, 4.0) if photons is None else photons
        weights = lognormal_weights(diameters, np.array([mean]), np.array([spread]), min_fraction=0.0)[:, 0]
        number_mean = float(weights @ diameters)
        mass_mean = float((weights @ diameters**4) / (weights @ diameters**3))
        dispersion = float(np.sqrt(weights @ diameters**2 - number_mean**2) / number_mean)
        pieces = part / number_mean * (weights @ diameters**3) / 1.4**3
        dots = patterns @ np.append(weights, pieces)
        if blur_deg:
            dots = _blurred(fine, dots, blur_deg)
        q = np.linspace(1.0, Q_LAST, 1000)
        by_angle = 2 * np.pi / WAVELENGTH * np.sqrt(1 - (WAVELENGTH * q / (4 * np.pi)) ** 2)
        # The structure factor alone is stretched; the smooth factors change by less than the noise.
        shown = CubicSpline(fine, dots)((q - np.radians(zero) * by_angle) * (1 + strain))
        liquid = solvent.intensity(q, WAVELENGTH)
        expected = fraction * shown / shown.mean() + (1 - fraction) * liquid / liquid.mean()
        expected += 0.1 + 0.2 * np.exp(-(q - 1) / 3)
        observed = rng.poisson(counts * expected / expected.mean()).astype(float)
        pattern = Pattern(q, observed, np.sqrt(np.maximum(observed, 1)), np.zeros(q.size, bool))
        return pattern, Truth(number_mean, mass_mean, dispersion, strain, zero, fraction, part)

    return make


def _blurred(q: NDArray[np.float64], intensity: NDArray[np.float64], fwhm_deg: float) -> NDArray[np.float64]:
    """Gaussian of constant width in 2θ, by a double loop over the points."""
    cos = np.sqrt(1 - (WAVELENGTH * q / (4 * np.pi)) ** 2)
    sd = np.radians(fwhm_deg) * 2 * np.pi / WAVELENGTH * cos / np.sqrt(8 * np.log(2))
    kernel = np.exp(-0.5 * ((q[:, None] - q) / sd[:, None]) ** 2)
    return np.asarray(kernel @ intensity / kernel.sum(axis=1))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("QDSIZER_CACHE", str(folder))
    return folder

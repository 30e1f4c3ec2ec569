"""Intensities that are a power of the photons: seen by their noise, allowed for in the intervals."""

import math

import numpy as np
import pytest

from qdsizer_stream.models import load_model
from qdsizer_stream.patterns import BinGrid, Pattern, q_from_two_theta
from qdsizer_stream.reduction import ReductionConfig, nominal_detector, observed_rate
from qdsizer_stream.simulation import crystal_patterns, load_material, load_solvent
from qdsizer_stream.sizing import FrameEvidence, Sizer, Status

Q = np.arange(1.0, 12.0, 0.0022)
WAVELENGTH = 0.56
MEAN_NM, DISPERSION = 7.0, 0.1
MASS_MEAN_NM = MEAN_NM * (1 + DISPERSION**2) ** 3
"""Of a log-normal population."""


@pytest.mark.parametrize(
    ("power", "sd", "exponent"),
    [
        (0.75, 0.1, 0.8),
        (0.81, 0.1, 1.0),  # two standard deviations from counts are no evidence
        (1.2, 0.09, 1.25),
        (1.2, 0.11, 1.0),
        (1.9, 0.1, 1.5),  # grains have the power 2
        (2.3, 0.1, 1.5),
        (1.0, 0.0, 1.0),
    ],
)
def test_the_exponent_of_a_noise(power: float, sd: float, exponent: float) -> None:
    grid = BinGrid(q_first_inv_angstrom=1.0, q_step_inv_angstrom=0.01, n_bins=1000)
    evidence = FrameEvidence(
        thresholds=load_model("pbs").card.thresholds,
        grid=grid,
        solvent=None,
        n_usable=grid.n_bins,
        n_fitted=grid.n_bins,
        q_min_inv_angstrom=1.0,
        q_max_inv_angstrom=11.0,
        mean_intensity=1.0,
        negative_fraction={2.0: 0.0, 5.0: 0.0},
        counts=1e6,
        noise_power=power,
        noise_power_sd=sd,
    )
    assert evidence.intensity_exponent == pytest.approx(exponent)


@pytest.mark.parametrize("exponent", [0.8, 1.25])
def test_an_interval_holds_the_size_of_intensities_to_a_power(exponent: float) -> None:
    dots = crystal_patterns(load_material("PbS"), Q, np.array([MEAN_NM]), DISPERSION, WAVELENGTH)[0]
    toluene = load_solvent("toluene").intensity(Q, WAVELENGTH)
    expected = 1e4 * (0.6 * dots / dots.mean() + 0.4 * toluene / toluene.mean())
    counts = np.random.default_rng(3).poisson(expected).astype(float)
    raised = counts**exponent
    # What the scatter of neighbouring points shows, as of a file without a column of sigma.
    pattern = Pattern.from_arrays(Q, raised, np.sqrt(raised * np.median(exponent**2 * raised / counts)))
    examined = Sizer(model="pbs").examine(pattern, resolution_inv_angstrom=0.0)
    estimate = examined.estimate
    assert estimate.status is Status.SIZED, estimate.reason
    assert (
        math.log(estimate.mass_mean_nm / MASS_MEAN_NM) / math.log(exponent) > 0.1
    )  # it is not that of the dots
    assert estimate.mass_mean_low_nm < MASS_MEAN_NM < estimate.mass_mean_high_nm
    assert estimate.size_low_nm < MEAN_NM < estimate.size_high_nm
    (warning,) = examined.warnings
    assert "(1 for photons): the intervals allow for intensities that are photons to the power" in warning


def test_an_interval_holds_the_size_of_dots_whose_strong_strips_lose_photons() -> None:
    detector, tau_s, loss, exposure_s = nominal_detector(24, 0.0), 170e-9, 0.3, 0.02
    q = q_from_two_theta(detector.two_theta(0.0), WAVELENGTH)
    dots = crystal_patterns(load_material("PbS"), Q, np.array([MEAN_NM]), DISPERSION, WAVELENGTH)[0]
    expected = np.interp(q, Q, dots)
    rate_cps = expected / expected.max() * -math.log(1 - loss) / tau_s
    counts = np.random.default_rng(5).poisson(observed_rate(rate_cps, tau_s) * exposure_s)
    sizer = Sizer(model="pbs", reduction=ReductionConfig(detector=detector, arm_deg=0.0))
    estimate = sizer.size_frame(counts, WAVELENGTH, exposure_s=exposure_s)
    unknown = sizer.size_frame(counts, WAVELENGTH)
    assert estimate.mass_mean_nm < 0.97 * MASS_MEAN_NM
    assert estimate.mass_mean_low_nm < MASS_MEAN_NM < estimate.mass_mean_high_nm
    # The same without an exposure, from which no rate is known: the interval of photons that are all counted.
    assert unknown.mass_mean_nm == estimate.mass_mean_nm
    assert unknown.mass_mean_low_nm == estimate.mass_mean_low_nm
    assert estimate.mass_mean_high_nm / unknown.mass_mean_high_nm == pytest.approx(0.7**-0.5, rel=5e-3)


def test_counts_have_no_warning_and_the_interval_of_counts() -> None:
    dots = crystal_patterns(load_material("PbS"), Q, np.array([MEAN_NM]), DISPERSION, WAVELENGTH)[0]
    counts = np.random.default_rng(4).poisson(1e4 * dots / dots.mean()).astype(float)
    examined = Sizer(model="pbs").examine(Pattern.from_arrays(Q, counts), resolution_inv_angstrom=0.0)
    estimate = examined.estimate
    assert examined.warnings == ()
    assert estimate.mass_mean_high_nm / estimate.mass_mean_low_nm < 1.1
    assert estimate.mass_mean_low_nm < MASS_MEAN_NM < estimate.mass_mean_high_nm

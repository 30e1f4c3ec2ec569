import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from qdsizer_stream.errors import PhysicsError
from qdsizer_stream.reduction import Capillary, Polarisation, paalman_pings
from qdsizer_stream.simulation import (
    COPPER_K_ALPHA,
    Displacement,
    Gaps,
    Instrument,
    SpectralLine,
    cylinder_absorption,
    monochromator_polarised_fraction,
    polarisation_factor,
)

ANGLES = np.linspace(5, 120, 116)
ONE_LINE = (SpectralLine(wavelength_angstrom=1.0),)


def bragg_peak(q: NDArray[np.float64], wavelength: float) -> NDArray[np.float64]:
    """A peak at 2 Å⁻¹ that is 0.0005 Å⁻¹ wide."""
    return np.exp(-0.5 * ((q - 2) / 0.0005) ** 2)


@pytest.mark.parametrize(
    ("share", "polarisation"),
    [
        (1.0, Polarisation(fraction=1, plane="vertical")),
        (0.5, Polarisation(fraction=0, plane="vertical")),
        (0.0, Polarisation(fraction=1, plane="horizontal")),
        (0.975, Polarisation(fraction=0.95, plane="vertical")),
    ],
)
def test_polarisation_is_what_the_reduction_takes_out(share: float, polarisation: Polarisation) -> None:
    np.testing.assert_allclose(polarisation_factor(ANGLES, share), polarisation.factor(ANGLES), atol=1e-12)


def test_polarisation_behind_a_monochromator() -> None:
    """(1 + cos² 2θ_m cos² 2θ)/(1 + cos² 2θ_m), graphite 26.6°, at 60°: (1 + 0.7995/4)/1.7995."""
    factor = polarisation_factor(np.array([60.0]), monochromator_polarised_fraction(26.6))
    assert factor[0] == pytest.approx((1 + 0.7995 / 4) / 1.7995, abs=1e-4)


@pytest.mark.parametrize(
    ("mu_r", "error"), [(0.0, 1e-12), (0.1, 0.002), (0.5, 0.004), (0.8, 0.004), (1.0, 0.012)]
)
def test_absorption_of_a_cylinder(mu_r: float, error: float) -> None:
    """The integral over the cross-section, from the reduction."""
    no_wall = Capillary(outer_diameter_mm=2.0, wall_mm=1e-9, wall_attenuation_per_cm=0.0)
    integral = paalman_pings(no_wall, mu_r / 0.1, ANGLES).sample_in_both
    np.testing.assert_allclose(cylinder_absorption(ANGLES, mu_r), integral, rtol=error)


def test_absorption_that_the_formula_does_not_know() -> None:
    with pytest.raises(PhysicsError, match=r"absorption μR = 6\.6 is out of the formula's range"):
        cylinder_absorption(ANGLES, 6.6)


@settings(deadline=None)
@given(distance=st.floats(-1, 1), angle=st.floats(1, 170))
def test_displacement_of_a_capillary(distance: float, angle: float) -> None:
    """A ray that leaves (0, s) at 2θ meets the circle of the detector elsewhere than one from the centre."""
    radius = 760.0
    direction = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    start = np.array([0.0, distance])
    along = -start @ direction + np.sqrt((start @ direction) ** 2 + radius**2 - distance**2)
    hit = start + along * direction
    apparent = np.degrees(np.arctan2(hit[1], hit[0]))
    shift = Displacement(geometry="capillary", distance_mm=distance, radius_mm=radius).shift_deg(
        np.array([angle])
    )[0]
    assert shift == pytest.approx(apparent - angle, abs=1.5 * np.degrees((distance / radius) ** 2) + 1e-9)


@settings(deadline=None)
@given(distance=st.floats(-0.3, 0.3), angle=st.floats(5, 150))
def test_displacement_of_a_plate(distance: float, angle: float) -> None:
    """The plate's normal is at θ + 90° of the beam; the beam meets it early or late along its direction."""
    radius, theta = 200.0, np.radians(angle / 2)
    start = np.array([-distance / np.sin(theta), 0.0])  # beam along x meets the raised plate here
    direction = np.array([np.cos(2 * theta), np.sin(2 * theta)])
    along = -start @ direction + np.sqrt((start @ direction) ** 2 + radius**2 - start @ start)
    hit = start + along * direction
    apparent = np.degrees(np.arctan2(hit[1], hit[0]))
    shift = Displacement(geometry="reflection", distance_mm=distance, radius_mm=radius).shift_deg(
        np.array([angle])
    )[0]
    assert shift == pytest.approx(apparent - angle, abs=1.5 * np.degrees((start[0] / radius) ** 2) + 1e-9)


def test_the_copper_doublet_makes_two_peaks() -> None:
    instrument = Instrument(lines=COPPER_K_ALPHA)
    angles = np.arange(27.5, 29.0, 0.0005)
    seen = instrument.observed(bragg_peak, angles)
    first, second = (2 * np.degrees(np.arcsin(2 * w / (4 * np.pi))) for w in (1.540593, 1.544427))
    # 2 tan θ Δλ/λ in degrees
    splitting = np.degrees(2 * np.tan(np.radians(first / 2)) * 0.003834 / 1.540593)
    assert second - first == pytest.approx(splitting, abs=2e-4)
    for angle, height in ((first, 2 / 3), (second, 1 / 3)):
        near = np.abs(angles - angle) < 0.02
        assert angles[near][np.argmax(seen[near])] == pytest.approx(angle, abs=5e-4)
        assert seen[near].max() == pytest.approx(height, rel=1e-3)


def test_a_zero_shift_and_a_displacement_move_a_peak() -> None:
    true = 2 * np.degrees(np.arcsin(2 / (4 * np.pi)))
    moved = Instrument(
        lines=ONE_LINE,
        zero_shift_deg=0.10,
        displacement=Displacement(geometry="capillary", distance_mm=0.5, radius_mm=760),
    )
    angles = np.arange(17.5, 19.5, 0.0005)
    peak = angles[np.argmax(moved.observed(bragg_peak, angles))]
    expected = true + 0.10 + np.degrees(0.5 / 760) * np.cos(np.radians(true))
    assert peak == pytest.approx(expected, abs=6e-4)


@pytest.mark.slow
@settings(deadline=None)
@given(fwhm=st.floats(0.02, 0.5), period=st.floats(0.2, 5))
def test_resolution_damps_a_wave(fwhm: float, period: float) -> None:
    """A Gaussian of standard deviation σ leaves exp(-σ²k²/2) of a wave."""
    sharp = Instrument(lines=ONE_LINE, resolution_fwhm_deg=fwhm)

    def wave(q: NDArray[np.float64], wavelength: float) -> NDArray[np.float64]:
        two_theta = 2 * np.degrees(np.arcsin(q / (4 * np.pi)))
        return 1 + np.cos(2 * np.pi * two_theta / period)

    angles = np.linspace(20, 30, 997)
    k = 2 * np.pi / period
    left = np.exp(-((fwhm / 2.354820045 * k) ** 2) / 2)
    np.testing.assert_allclose(sharp.observed(wave, angles), 1 + left * np.cos(k * angles), atol=2e-6)


def test_gaps_of_a_mythen() -> None:
    gaps = Gaps(pitch_deg=5.0, gap_deg=0.17, first_deg=2.0)
    mask = gaps.mask(np.array([2.0, 6.82, 6.84, 6.99, 7.0, 11.9, 1.9, 1.8]))
    np.testing.assert_array_equal(mask, [False, False, True, True, False, True, True, False])


def test_angles_beyond_the_circle() -> None:
    instrument = Instrument(lines=ONE_LINE, zero_shift_deg=1.0)
    with pytest.raises(PhysicsError, match=r"true angles from -0\.5 to 9° .* leave 0 … 180°"):
        instrument.observed(bragg_peak, np.array([0.5, 10.0]))


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ValidationError, match=r"add up to 1\.5: they must add up to 1"):
        Instrument(
            lines=(
                SpectralLine(wavelength_angstrom=1.0),
                SpectralLine(wavelength_angstrom=2.0, share=0.5),
            )
        )
    with pytest.raises(ValidationError, match=r"a gap of 6\.0° fills the pitch of 5\.0°"):
        Gaps(pitch_deg=5.0, gap_deg=6.0)

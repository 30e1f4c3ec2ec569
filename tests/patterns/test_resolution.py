"""Width of the instrument's lines."""

from pathlib import Path

import numpy as np
import pytest

from qdsizer_stream.configuration import load_toml, validated
from qdsizer_stream.errors import ConfigurationError
from qdsizer_stream.patterns import InstrumentResolution, WidthFile, q_from_two_theta, two_theta_from_q

Q = np.array([1.0, 2.1, 5.0, 11.0])
WAVELENGTH_ANGSTROM = 0.5637


def width_between(half_deg: np.ndarray, wavelength_angstrom: float) -> np.ndarray:
    """FWHM in Q as the distance of the two half-maximum angles, each converted to Q."""
    centre = two_theta_from_q(Q, wavelength_angstrom)
    return q_from_two_theta(centre + half_deg, wavelength_angstrom) - q_from_two_theta(
        centre - half_deg, wavelength_angstrom
    )


def test_a_width_in_q_is_the_same_everywhere() -> None:
    one = InstrumentResolution(fwhm_inv_angstrom=0.02)
    np.testing.assert_array_equal(one.fwhm_inv_angstrom_at(Q), np.full(4, 0.02))
    assert not one.needs_wavelength


@pytest.mark.parametrize("wavelength_angstrom", [0.2, 0.5637, 1.0])
def test_a_width_in_degrees_is_the_distance_of_its_ends_in_q(wavelength_angstrom: float) -> None:
    one = InstrumentResolution(fwhm_deg=0.05)
    np.testing.assert_allclose(
        one.fwhm_inv_angstrom_at(Q, wavelength_angstrom),
        width_between(np.full(4, 0.025), wavelength_angstrom),
        rtol=1e-6,
    )


def test_caglioti_against_its_formula_in_angles() -> None:
    u, v, w = 0.003, -0.001, 0.0009
    tangent = np.tan(np.radians(two_theta_from_q(Q, WAVELENGTH_ANGSTROM) / 2))
    half_deg = np.sqrt(u * tangent**2 + v * tangent + w) / 2
    one = InstrumentResolution(caglioti_deg2=(u, v, w))
    np.testing.assert_allclose(
        one.fwhm_inv_angstrom_at(Q, WAVELENGTH_ANGSTROM),
        width_between(half_deg, WAVELENGTH_ANGSTROM),
        rtol=1e-6,
    )


def test_a_bandwidth_is_in_proportion_to_q_and_added_in_quadrature() -> None:
    alone = InstrumentResolution(bandwidth=0.01)
    np.testing.assert_allclose(alone.fwhm_inv_angstrom_at(Q), [0.01, 0.021, 0.05, 0.11], rtol=1e-12)
    both = InstrumentResolution(bandwidth=0.01, fwhm_inv_angstrom=0.03)
    np.testing.assert_allclose(
        both.fwhm_inv_angstrom_at(Q),
        np.sqrt(np.array([0.0001, 0.000441, 0.0025, 0.0121]) + 0.0009),
        rtol=1e-12,
    )


def test_angles_need_a_wavelength() -> None:
    for settings in ({"fwhm_deg": 0.05}, {"caglioti_deg2": (0.0, 0.0, 0.01)}):
        with pytest.raises(ConfigurationError, match="in degrees and the wavelength is unknown: give"):
            InstrumentResolution(**settings).fwhm_inv_angstrom_at(Q)


def test_no_width_is_infinite_or_negative_where_nothing_can_be_measured() -> None:
    beyond = np.array([0.0, 30.0])  # 4π/λ is 22.3 Å⁻¹
    found = InstrumentResolution(caglioti_deg2=(0.01, 0.0, 0.01)).fwhm_inv_angstrom_at(beyond, 0.5637)
    # At 180° √U remains of U tan²θ, times dQ/d(2θ) without its cosine.
    np.testing.assert_allclose(found, np.radians(2 * np.pi / 0.5637) * 0.1, rtol=1e-9)
    assert InstrumentResolution(fwhm_deg=0.1).fwhm_inv_angstrom_at(beyond, 0.5637)[1] == 0.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "no width is given: give one of fwhm_inv_angstrom, fwhm_deg, caglioti_deg2, bandwidth or file"),
        ({"fwhm_deg": 0.1, "fwhm_inv_angstrom": 0.1}, "fwhm_inv_angstrom and fwhm_deg are given"),
        ({"bandwidth": 0.1, "file": "a.toml"}, "bandwidth and file are given: give one of"),
        ({"caglioti_deg2": (1.0, -3.0, 1.0)}, "is not the square of a width at every angle"),
        ({"caglioti_deg2": (0.0, 0.1, 0.0)}, "is not the square of a width at every angle"),
        ({"caglioti_deg2": (0.0, -0.1, 9.0)}, "U must be 0 or more, W above 0 and, for V below 0"),
        ({"fwhm_inv_angstrom": 0.0}, "greater than 0"),
        ({"fwhm": 0.1}, r"there is no key 'fwhm': did you mean 'fwhm_deg'\?"),
    ],
)
def test_settings_that_are_no_width(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        validated(InstrumentResolution, settings, "[instrument]")


def test_v_below_zero_is_a_width_as_long_as_its_minimum_is_above_zero() -> None:
    assert InstrumentResolution(caglioti_deg2=(1.0, -1.99, 1.0)).caglioti_deg2 == (1.0, -1.99, 1.0)


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("0.02", {"fwhm_inv_angstrom": 0.02}),
        ("0.02/A", {"fwhm_inv_angstrom": 0.02}),
        ("0.02 1/Å", {"fwhm_inv_angstrom": 0.02}),
        (" 2e-2 Å⁻¹ ", {"fwhm_inv_angstrom": 0.02}),
        ("0.02 A^-1", {"fwhm_inv_angstrom": 0.02}),
        ("0.05deg", {"fwhm_deg": 0.05}),
        ("0.05°", {"fwhm_deg": 0.05}),
        ("0.05 degrees", {"fwhm_deg": 0.05}),
    ],
)
def test_widths_as_text(text: str, settings: dict[str, float]) -> None:
    assert InstrumentResolution.from_text(text) == InstrumentResolution(**settings)


@pytest.mark.parametrize("text", ["", "wide", "0.02 nm", "-0.02/A", "0.02/A/A", "1.2.3/A", "nan"])
def test_texts_that_are_no_width(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is not a width: give a number with its unit, 0\.02/A"):
        InstrumentResolution.from_text(text)


def test_texts_out_of_range() -> None:
    with pytest.raises(
        ConfigurationError, match=r"'2/A' is out of range: it must be above 0 and at most 0\.5 Å"
    ):
        InstrumentResolution.from_text("2/A")
    with pytest.raises(ConfigurationError, match="'0deg' is out of range: it must be above 0 and at most 5"):
        InstrumentResolution.from_text("0deg")


def test_a_width_from_a_file_relative_to_the_settings(tmp_path: Path) -> None:
    (tmp_path / "width.toml").write_text("[instrument]\nfwhm_deg = 0.07\nbandwidth = 0.01\n")
    (tmp_path / "settings.toml").write_text('[instrument]\nfile = "width.toml"\n')
    one = load_toml(WidthFile, tmp_path / "settings.toml").instrument
    assert one.file == tmp_path / "width.toml"
    assert one.loaded() == InstrumentResolution(fwhm_deg=0.07, bandwidth=0.01)
    np.testing.assert_array_equal(
        one.fwhm_inv_angstrom_at(Q, WAVELENGTH_ANGSTROM),
        one.loaded().fwhm_inv_angstrom_at(Q, WAVELENGTH_ANGSTROM),
    )


def test_files_that_hold_no_width(tmp_path: Path) -> None:
    (tmp_path / "chain.toml").write_text('[instrument]\nfile = "other.toml"\n')
    with pytest.raises(ConfigurationError, match="refers to another file"):
        InstrumentResolution(file=tmp_path / "chain.toml").loaded()
    with pytest.raises(ConfigurationError, match=r"cannot read configuration .*none\.toml"):
        InstrumentResolution(file=tmp_path / "none.toml").loaded()

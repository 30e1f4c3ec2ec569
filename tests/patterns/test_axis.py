import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdsizer_stream.errors import PatternError
from qdsizer_stream.patterns import (
    check_wavelength,
    energy_ev_from_wavelength,
    q_from_two_theta,
    two_theta_from_q,
)


def test_sixty_degrees_at_22_kev() -> None:
    wavelength_angstrom = 12.398419843320026 / 22
    assert q_from_two_theta(np.array([60.0]), wavelength_angstrom)[0] == pytest.approx(11.149007, abs=1e-5)


def test_energy_of_the_paper() -> None:
    assert energy_ev_from_wavelength(0.56) == pytest.approx(22140.0354, abs=1e-3)


@given(two_theta=st.floats(0.01, 179.9), wavelength=st.floats(0.05, 5))
def test_angle_comes_back(two_theta: float, wavelength: float) -> None:
    q = q_from_two_theta(np.array([two_theta]), wavelength)
    # near 180° the sine is flat, and the angle comes back to a millionth of a degree only
    assert two_theta_from_q(q, wavelength)[0] == pytest.approx(two_theta, abs=1e-5)


def test_q_out_of_reach() -> None:
    with pytest.raises(
        PatternError, match=r"Q = 9 Å⁻¹ cannot be measured at 1\.54 Å: the limit is 4π/λ = 8\.16 Å⁻¹"
    ):
        two_theta_from_q(np.array([9.0]), 1.54)


@pytest.mark.parametrize("wavelength", [0.0, -1.0, 22.0, float("nan"), float("inf")])
def test_impossible_wavelength(wavelength: float) -> None:
    with pytest.raises(PatternError, match=r"is not an X-ray wavelength: give it in Å, between 0\.05 and 5"):
        q_from_two_theta(np.array([10.0]), wavelength)


@pytest.mark.parametrize("wavelength", [0.05, 5.0])
def test_wavelengths_up_to_the_limits_are_accepted(wavelength: float) -> None:
    assert check_wavelength(wavelength) == wavelength


@pytest.mark.parametrize("wavelength", [0.0499, 5.01, -0.56, np.inf, np.nan])
def test_wavelengths_beyond_the_limits_are_rejected(wavelength: float) -> None:
    with pytest.raises(PatternError, match=r"is not an X-ray wavelength: give it in Å, between 0\.05 and 5"):
        check_wavelength(wavelength)


def test_a_negative_q_is_limited_too() -> None:
    with pytest.raises(PatternError, match=r"Q = 23 Å⁻¹ cannot be measured at 0\.56 Å"):
        two_theta_from_q(np.array([-23.0]), 0.56)

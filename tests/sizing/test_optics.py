"""Sizes against absorption peaks."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from qdsizer_stream.errors import ConfigurationError
from qdsizer_stream.sizing import (
    MOREELS_2009,
    OpticsAgreement,
    SizeEstimate,
    SizingCurve,
    Status,
    compare_with_peak,
)

LINEAR = SizingCurve(
    name="no square term", gap_ev=0.4, a_per_ev_nm2=0.0, b_per_ev_nm=0.5, smallest_nm=1.0, largest_nm=10.0
)


def sized(size_nm: float, half_nm: float = 0.1) -> SizeEstimate:
    return SizeEstimate(
        status=Status.SIZED, size_nm=size_nm, size_low_nm=size_nm - half_nm, size_high_nm=size_nm + half_nm
    )


@pytest.mark.parametrize(
    ("diameter_nm", "energy_ev"),
    [
        # by hand: 0.0252 * 9 + 0.283 * 3 = 1.0758; * 25 + * 5 = 2.045; * 49 + * 7 = 3.2158
        (3.0, 0.41 + 1 / 1.0758),
        (5.0, 0.41 + 1 / 2.045),
        (7.0, 0.41 + 1 / 3.2158),
    ],
)
def test_the_curve_of_moreels(diameter_nm: float, energy_ev: float) -> None:
    assert MOREELS_2009.energy_ev(diameter_nm) == pytest.approx(energy_ev, rel=1e-12)


@pytest.mark.parametrize("curve", [MOREELS_2009, LINEAR])
@given(share=st.floats(0, 1))
def test_diameter_is_the_inverse(curve: SizingCurve, share: float) -> None:
    diameter = 1e-6 + curve.smallest_nm + share * (curve.largest_nm - curve.smallest_nm - 2e-6)
    assert curve.diameter_nm(curve.energy_ev(diameter)) == pytest.approx(diameter, rel=1e-9)


@given(small=st.floats(2.5, 8), large=st.floats(2.5, 8))
def test_larger_dots_absorb_further_in_the_red(small: float, large: float) -> None:
    if small < large:
        assert MOREELS_2009.energy_ev(small) >= MOREELS_2009.energy_ev(large)


@pytest.mark.parametrize("diameter_nm", [2.0, 9.0, math.nan, -1.0])
def test_no_energy_outside_the_curve(diameter_nm: float) -> None:
    assert math.isnan(MOREELS_2009.energy_ev(diameter_nm))


@pytest.mark.parametrize("energy_ev", [0.3, 0.41, 0.5, 3.0, math.nan, math.inf])
def test_no_diameter_outside_the_curve(energy_ev: float) -> None:
    assert math.isnan(MOREELS_2009.diameter_nm(energy_ev))


@pytest.mark.parametrize(
    ("size_nm", "peak_nm", "agreement"),
    [
        (5.0, 5.0, OpticsAgreement.AGREE),
        (5.0, 5.29, OpticsAgreement.AGREE),
        (5.0, 4.71, OpticsAgreement.AGREE),
        (5.0, 5.31, OpticsAgreement.DISAGREE),
        (5.0, 4.69, OpticsAgreement.DISAGREE),
        (1.9, 3.0, OpticsAgreement.OUTSIDE),
    ],
)
def test_the_peak_agrees_within_interval_and_tolerance(
    size_nm: float, peak_nm: float, agreement: OpticsAgreement
) -> None:
    check = compare_with_peak(sized(size_nm), MOREELS_2009.energy_ev(peak_nm), MOREELS_2009, 0.2)
    assert check.agreement is agreement
    assert check.optical_size_nm == pytest.approx(peak_nm)


def test_the_interval_of_the_size_becomes_one_of_energy() -> None:
    check = compare_with_peak(sized(5.0), math.nan, MOREELS_2009, 0.2)
    assert check.agreement is OpticsAgreement.NO_PEAK
    assert check.expected_low_ev == MOREELS_2009.energy_ev(5.1)
    assert check.expected_high_ev == MOREELS_2009.energy_ev(4.9)
    assert check.expected_low_ev < check.expected_ev < check.expected_high_ev
    assert math.isnan(check.optical_size_nm)


def test_a_peak_that_no_dot_has_disagrees() -> None:
    assert compare_with_peak(sized(5.0), 0.35, MOREELS_2009, 0.2).agreement is OpticsAgreement.DISAGREE


def test_a_frame_without_size_is_not_compared() -> None:
    check = compare_with_peak(SizeEstimate(status=Status.LOW_COUNTS), 0.9, MOREELS_2009, 0.2)
    assert check.agreement is OpticsAgreement.NO_SIZE
    assert math.isnan(check.expected_ev)
    assert check.optical_size_nm == MOREELS_2009.diameter_nm(0.9)


def test_bad_settings_say_what_is_allowed() -> None:
    with pytest.raises(ConfigurationError, match="optical tolerance is -1 nm: it must be 0 or more"):
        compare_with_peak(sized(5.0), 0.9, MOREELS_2009, -1)
    with pytest.raises(ValidationError, match="greater than 0"):
        SizingCurve(**{**LINEAR.model_dump(), "b_per_ev_nm": 0.0})


@pytest.mark.parametrize(
    ("field", "allowed", "refused"),
    [
        ("gap_ev", [1e-6, 0.5], [0.0, -0.4]),
        ("a_per_ev_nm2", [0.0, 0.5], [-1e-9]),
        ("b_per_ev_nm", [1e-6, 0.5], [0.0, -0.4]),
        ("smallest_nm", [1e-6, 0.5], [0.0, -0.4]),
        ("largest_nm", [1e-6, 0.5], [0.0, -0.4]),
    ],
)
def test_what_each_setting_of_a_curve_allows(
    check_limits: Callable[..., None], field: str, allowed: list[float], refused: list[float]
) -> None:
    check_limits(LINEAR, field, allowed, refused)

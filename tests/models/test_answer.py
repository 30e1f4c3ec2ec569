"""Answers of networks in physical units, and the one formula of their intervals."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdsizer_stream.models import (
    TWO_SIDED_95,
    Answer,
    ClassOutput,
    GaussianOutput,
    IntervalCalibration,
    SizeOutput,
    allowing_for_exponent,
    allowing_for_phases,
    class_answer,
    corrected_for_width,
    gaussian_answer,
    load_model,
    log_size_sd,
    raised_for_width,
    raised_to,
    size_answer,
    upper_widening,
    with_widening,
)
from qdsizer_stream.patterns import Pattern

CLASSES = ClassOutput(classes_nm=(2.0, 2.5, 3.0, 3.5))


def logits(*probabilities: float) -> np.ndarray:
    return np.log(np.array(probabilities, np.float32))


def test_the_most_probable_class_and_its_quantiles() -> None:
    answer = class_answer(CLASSES, logits(0.01, 0.34, 0.6, 0.05))
    assert answer.size_nm == answer.class_nm == 3.0
    assert answer.class_probability == pytest.approx(0.6, rel=1e-6)
    # the 2.5 % quantile lies in class 2.5, the 97.5 % one in class 3.5; 1.5 classes on either side
    assert (answer.size_low_nm, answer.size_high_nm) == (1.75, 4.25)
    # the quantiles are 1 nm apart, and a class is 0.5 nm wide; the margin of 0.75 nm is common to all frames
    assert answer.size_frame_sd_nm == pytest.approx(math.sqrt((1 / 3.919928) ** 2 + 0.25 / 12))
    assert answer.size_shared_sd_nm == pytest.approx(0.75 / 1.959964)
    assert np.isnan(answer.mass_mean_nm)
    assert np.isnan(answer.presence)


@pytest.mark.parametrize(
    ("in_the_tail", "low_nm", "high_nm"), [(0.0249, 2.5, 3.0), (0.0251, 2.0, 3.5)], ids=["below", "above"]
)
def test_the_interval_of_a_classifier_ends_at_the_quantiles_of_95_percent(
    in_the_tail: float, low_nm: float, high_nm: float
) -> None:
    answer = class_answer(CLASSES, logits(in_the_tail, 0.45, 0.55 - 2 * in_the_tail, in_the_tail))
    assert (answer.size_low_nm, answer.size_high_nm) == (low_nm - 0.75, high_nm + 0.75)


def test_a_certain_classifier_may_be_a_class_off() -> None:
    answer = class_answer(CLASSES, np.array([0, 0, 90, 0], np.float32))
    assert (answer.size_low_nm, answer.size_high_nm) == (2.25, 3.75)
    assert answer.class_probability == pytest.approx(1.0)


def test_a_regression_has_one_width_for_all() -> None:
    answer = size_answer(SizeOutput(offset_nm=6.0, scale_nm=2.0, half_width_nm=0.3), -0.5)
    assert (answer.size_nm, answer.size_low_nm, answer.size_high_nm) == (5.0, 4.7, 5.3)
    assert answer.size_frame_sd_nm == answer.size_shared_sd_nm == pytest.approx(0.3 / 1.959964)


def test_intervals_widen_by_scale_and_floor() -> None:
    output = GaussianOutput(
        target_offset=(np.log(5), np.log(5), 0.1, 0.0),
        target_scale=(0.5, 0.5, 0.05, 0.004),
        interval_scale=2.0,
        interval_floor=0.03,
        interval_floor_nm=0.1,
    )
    mean = np.array([0.1, 0.2, 1.0, -0.5], np.float32)
    answer = gaussian_answer(output, mean, np.log(np.array([0.04, 0.06, 9.0, 9.0], np.float32)), 1.0)
    size = 5 * math.exp(0.5 * 0.1)
    assert answer.size_nm == pytest.approx(size)
    sd = math.sqrt((2 * 0.5 * 0.04) ** 2 + 0.03**2 + (0.1 / size) ** 2)
    assert answer.size_low_nm == pytest.approx(size * np.exp(-1.959964 * sd))
    assert answer.size_high_nm == pytest.approx(size * np.exp(1.959964 * sd))
    assert answer.size_frame_sd_nm == pytest.approx(size * 2 * 0.5 * 0.04)
    assert answer.size_shared_sd_nm == pytest.approx(math.hypot(size * 0.03, 0.1))
    mass = 5 * math.exp(0.1)
    assert answer.mass_mean_nm == pytest.approx(mass)
    assert answer.mass_mean_frame_sd_nm == pytest.approx(mass * 2 * 0.5 * 0.06)
    assert answer.mass_mean_shared_sd_nm == pytest.approx(math.hypot(mass * 0.03, 0.1))
    mass_sd = math.sqrt((2 * 0.5 * 0.06) ** 2 + 0.03**2 + (0.1 / mass) ** 2)
    assert answer.mass_mean_low_nm == pytest.approx(mass * math.exp(-1.959964 * mass_sd))
    assert answer.mass_mean_high_nm == pytest.approx(mass * math.exp(1.959964 * mass_sd))
    assert answer.dispersion == pytest.approx(0.15)
    assert answer.strain == pytest.approx(-0.002)
    assert answer.presence == pytest.approx(1 / (1 + math.exp(-1)))


def test_each_mean_may_have_its_own_interval() -> None:
    output = GaussianOutput(
        target_offset=(np.log(5), np.log(5), 0.1, 0.0),
        target_scale=(0.5, 0.5, 0.05, 0.004),
        interval_scale=2.0,
        interval_floor=0.03,
        interval_floor_nm=0.1,
        interval_floor_dispersion=1.3,
        mass_interval=IntervalCalibration(scale=1.5, floor=0.01, floor_nm=0.02, floor_dispersion=0.4),
        dispersion_interval=IntervalCalibration(scale=1.2, floor=0.015),
    )
    mean = np.array([0.1, 0.2, 1.0, -0.5], np.float32)
    answer = gaussian_answer(output, mean, np.log(np.array([0.04, 0.06, 0.5, 9.0], np.float32)), 1.0)
    mass = 5 * math.exp(0.1)
    broad = 0.15**2  # the squared dispersion
    sd = math.sqrt((1.5 * 0.5 * 0.06) ** 2 + 0.01**2 + (0.02 / mass) ** 2 + (0.4 * broad) ** 2)
    assert answer.mass_mean_low_nm == pytest.approx(mass * math.exp(-1.959964 * sd))
    assert answer.mass_mean_high_nm == pytest.approx(mass * math.exp(1.959964 * sd))
    assert answer.mass_mean_frame_sd_nm == pytest.approx(mass * 1.5 * 0.5 * 0.06)
    assert answer.mass_mean_shared_sd_nm == pytest.approx(math.hypot(mass * 0.01, 0.02, mass * 0.4 * broad))
    half = 1.959964 * math.hypot(1.2 * 0.05 * 0.5, 0.015)
    assert answer.dispersion_low == pytest.approx(0.15 - half)
    assert answer.dispersion_high == pytest.approx(0.15 + half)
    # The number mean keeps its own.
    size = 5 * math.exp(0.05)
    number_sd = math.sqrt((2 * 0.5 * 0.04) ** 2 + 0.03**2 + (0.1 / size) ** 2 + (1.3 * broad) ** 2)
    assert answer.size_high_nm == pytest.approx(size * math.exp(1.959964 * number_sd))


def test_a_dispersion_is_not_negative() -> None:
    output = GaussianOutput(
        target_offset=(np.log(5), np.log(5), 0.1, 0.0),
        target_scale=(0.5, 0.5, 0.05, 0.004),
        interval_scale=1.0,
        interval_floor=0.0,
        interval_floor_nm=0.0,
        dispersion_interval=IntervalCalibration(scale=1.0, floor=0.0),
    )
    answer = gaussian_answer(output, np.array([0, 0, -1.0, 0], np.float32), np.zeros(4, np.float32), 1.0)
    assert answer.dispersion == pytest.approx(0.05)
    assert answer.dispersion_low == 0.0
    assert answer.dispersion_high == pytest.approx(0.05 + 1.959964 * 0.05)


@given(
    network=st.floats(1e-4, 1), size=st.floats(1, 12), scale=st.floats(1, 3), floor=st.floats(0, 0.2),
    floor_nm=st.floats(0, 0.5),
)  # fmt: skip
def test_variances_of_the_interval_add_up(
    network: float, size: float, scale: float, floor: float, floor_nm: float
) -> None:
    sd = log_size_sd(network, size, scale=scale, floor=floor, floor_nm=floor_nm)
    assert sd**2 == pytest.approx((scale * network) ** 2 + floor**2 + floor_nm**2 / size**2)


def test_95_percent_of_a_normal_distribution() -> None:
    assert math.erf(TWO_SIDED_95 / math.sqrt(2)) == pytest.approx(0.95, abs=1e-7)


def test_wide_channels_hide_the_broadening_that_they_cause() -> None:
    # Peaks of a dot of 6.44 nm, made wider by channels, are those of one of 6.0 nm.
    hidden = 6.0 / math.sqrt(1 - (1.3 * 6.0) ** 2 * (0.05**2 - 0.01**2))
    assert upper_widening(6.0, 0.05, 0.01) == pytest.approx(hidden / 6.0, rel=1e-12)
    assert upper_widening(6.0, 0.01, 0.01) == 1.0
    assert upper_widening(6.0, 0.002, 0.01) == 1.0


@pytest.mark.parametrize(("diameter_nm", "width"), [(3.0, 0.028), (6.0, 0.042), (10.0, 0.056)])
def test_a_dot_behind_wide_channels_is_within_the_widening(diameter_nm: float, width: float) -> None:
    looks_like_nm = diameter_nm / math.sqrt(1 + (1.3 * width * diameter_nm) ** 2)
    assert looks_like_nm * upper_widening(looks_like_nm, width, 0.0) == pytest.approx(diameter_nm, rel=1e-12)


def test_the_widening_stays_finite() -> None:
    assert upper_widening(6.0, 1.0, 0.01) == pytest.approx(1 / math.sqrt(0.05))


@pytest.mark.parametrize(("every", "factor"), [(1, 1.0), (4, upper_widening(6.0, 0.04, 0.01))])
def test_a_model_widens_by_the_usual_distance_of_the_bins_with_data(every: int, factor: float) -> None:
    model = load_model("pbs")
    q = model.card.input.grid.centres
    mask = np.arange(q.size) % every != 0
    mask[600:640] = True  # a gap is not a distance
    binned = Pattern(q, np.where(mask, np.nan, 10.0), np.where(mask, np.nan, 1.0), mask)
    answer = Answer(
        size_nm=6.0, size_low_nm=5.7, size_high_nm=6.3,
        mass_mean_nm=6.2, mass_mean_low_nm=6.0, mass_mean_high_nm=6.4,
        size_frame_sd_nm=0.1, size_shared_sd_nm=0.1, mass_mean_frame_sd_nm=0.05, mass_mean_shared_sd_nm=0.1,
        dispersion=0.1, strain=0.0, class_nm=6.0, class_probability=1.0, presence=1.0,
    )  # fmt: skip
    wide = model.allow_for_channels(answer, binned)
    assert wide.size_high_nm == pytest.approx(6.3 * factor, rel=1e-12)
    assert (wide.size_nm, wide.size_low_nm) == (6.0, 5.7)
    assert wide.mass_mean_high_nm == pytest.approx(6.4 * factor, rel=1e-12)
    assert (wide.mass_mean_nm, wide.mass_mean_low_nm, wide.size_frame_sd_nm) == (6.2, 6.0, 0.1)
    assert load_model("pbs-paper").allow_for_channels(answer, binned) == answer
    nothing = Pattern(q, np.full(q.size, np.nan), np.full(q.size, np.nan), np.ones(q.size, bool))
    assert model.allow_for_channels(answer, nothing) == answer


@pytest.mark.parametrize("width", [0.02, 0.045, 0.09])
@pytest.mark.parametrize("diameter_nm", [3.0, 4.5])
def test_a_declared_width_is_taken_off(diameter_nm: float, width: float) -> None:
    looks_like_nm = diameter_nm / math.sqrt(1 + (2.0 * diameter_nm) ** 2 * (width**2 - 0.008**2))
    answer = Answer(
        size_nm=looks_like_nm, size_low_nm=0.98 * looks_like_nm, size_high_nm=1.02 * looks_like_nm,
        mass_mean_nm=1.05 * looks_like_nm, size_frame_sd_nm=0.01, size_shared_sd_nm=0.02, dispersion=0.1,
    )  # fmt: skip
    found = corrected_for_width(answer, width, 0.008)
    assert found.size_nm == pytest.approx(diameter_nm, rel=1e-12)
    assert found.mass_mean_nm == pytest.approx(1.05 * diameter_nm, rel=1e-12)
    for constant, end, side in ((1.8, 0.98, found.size_low_nm), (2.2, 1.02, found.size_high_nm)):
        seen = end * looks_like_nm
        assert side == pytest.approx(
            seen / math.sqrt(1 - (constant * seen) ** 2 * (width**2 - 0.008**2)), rel=1e-12
        )
    # What differs from frame to frame grows as the slope of the correction, by finite differences.
    nearby = dataclasses.replace(answer, size_nm=looks_like_nm * (1 + 1e-6))
    slope = (corrected_for_width(nearby, width, 0.008).size_nm - found.size_nm) / (1e-6 * looks_like_nm)
    assert found.size_frame_sd_nm == pytest.approx(0.01 * slope, rel=1e-4)
    assert found.size_shared_sd_nm == pytest.approx(0.02 * slope, rel=1e-4)
    assert found.dispersion == 0.1


def test_widths_of_the_training_change_nothing() -> None:
    answer = Answer(
        size_nm=5.0,
        size_low_nm=4.8,
        size_high_nm=5.2,
        mass_mean_nm=5.1,
        mass_mean_low_nm=5.0,
        mass_mean_high_nm=5.2,
    )
    assert corrected_for_width(answer, 0.008, 0.008) is answer
    assert raised_for_width(answer, 0.0, 0.008) == answer
    widths = {name: load_model(name) for name in ("pbs", "pbs-paper")}
    assert {name: (m.trained_width_inv_angstrom, m.takes_resolution) for name, m in widths.items()} == {
        "pbs": (0.002, True),
        "pbs-paper": (0.008, False),
    }


def test_an_undeclared_width_raises_the_upper_end_alone() -> None:
    answer = Answer(size_nm=3.0, size_low_nm=2.9, size_high_nm=3.1, mass_mean_nm=3.2, mass_mean_high_nm=3.3)
    raised = raised_for_width(answer, 0.06, 0.0)
    factor = 1 / math.sqrt(1 - (2.2 * 0.06 * 3.1) ** 2)
    assert raised.size_high_nm == pytest.approx(3.1 * factor, rel=1e-12)
    assert raised.mass_mean_high_nm == pytest.approx(3.3 * factor, rel=1e-12)
    assert (raised.size_nm, raised.size_low_nm, raised.mass_mean_nm) == (3.0, 2.9, 3.2)
    large = dataclasses.replace(answer, size_high_nm=9.0)
    assert raised_for_width(large, 0.09, 0.0).size_high_nm == pytest.approx(9.0 / math.sqrt(0.05))


@pytest.mark.parametrize(("exponent", "down", "up"), [(0.64, 1.0, 1.25), (1.5625, 0.8, 1.0), (1.0, 1.0, 1.0)])
def test_a_power_of_the_photons_moves_one_end(exponent: float, down: float, up: float) -> None:
    answer = Answer(
        size_nm=5.0,
        size_low_nm=4.6,
        size_high_nm=5.8,
        mass_mean_nm=5.2,
        mass_mean_low_nm=5.0,
        mass_mean_high_nm=5.5,
    )
    moved = allowing_for_exponent(answer, exponent)
    assert (moved.size_nm, moved.mass_mean_nm) == (5.0, 5.2)
    assert (moved.size_low_nm, moved.mass_mean_low_nm) == pytest.approx((4.6 * down, 5.0 * down))
    assert (moved.size_high_nm, moved.mass_mean_high_nm) == pytest.approx((5.8 * up, 5.5 * up))
    assert (moved.lower_factor, moved.upper_factor) == pytest.approx((down, up))


def test_what_no_frame_shows_adds_up() -> None:
    """Each cause moves the ends; the answer keeps by how much all of them together did."""
    answer = Answer(
        size_nm=5.0,
        size_low_nm=4.5,
        size_high_nm=5.5,
        mass_mean_nm=5.2,
        mass_mean_low_nm=5.0,
        mass_mean_high_nm=5.4,
    )
    assert (answer.lower_factor, answer.upper_factor) == (1.0, 1.0)
    moved = with_widening(with_widening(with_widening(answer, 1.25), 0.8), 1.2)
    assert (moved.lower_factor, moved.upper_factor) == pytest.approx((0.8, 1.5))
    assert (moved.size_low_nm, moved.size_high_nm) == pytest.approx((3.6, 8.25))
    assert (moved.mass_mean_low_nm, moved.mass_mean_high_nm) == pytest.approx((4.0, 8.1))
    raised = raised_for_width(answer, 0.03, 0.0)
    assert raised.upper_factor == pytest.approx(1 / math.sqrt(1 - (2.2 * 0.03 * 5.5) ** 2))
    # An answer for the widest instrument: the mean that it raises by more counts.
    wide = dataclasses.replace(answer, size_high_nm=6.6, mass_mean_high_nm=8.1)
    higher = raised_to(with_widening(answer, 1.1), wide)
    assert (higher.size_high_nm, higher.mass_mean_high_nm) == pytest.approx((6.6, 8.1))
    assert (higher.size_low_nm, higher.size_nm, higher.mass_mean_low_nm) == (4.5, 5.0, 5.0)
    assert higher.upper_factor == pytest.approx(8.1 / 5.4)
    lower = raised_to(answer, dataclasses.replace(answer, size_high_nm=5.2, mass_mean_high_nm=5.3))
    assert lower == answer
    without_mass = Answer(size_nm=5.0, size_low_nm=4.5, size_high_nm=5.5)
    assert raised_to(without_mass, wide).upper_factor == pytest.approx(6.6 / 5.5)


def test_other_crystals_widen_the_intervals() -> None:
    """In quadrature in ln size, at both ends, and in what all frames of a sample share."""
    answer = Answer(
        size_nm=5.0,
        size_low_nm=4.6,
        size_high_nm=5.8,
        size_shared_sd_nm=0.1,
        mass_mean_nm=5.2,
        mass_mean_low_nm=5.0,
        mass_mean_high_nm=5.5,
        mass_mean_shared_sd_nm=0.05,
        dispersion=0.12,
    )
    wider = allowing_for_phases(answer, 0.05)
    size_sd, mass_sd = 1.6 * 0.05, 1.2 * 0.05
    for value, end, before, sd in (
        (5.0, wider.size_low_nm, 4.6, size_sd),
        (5.0, wider.size_high_nm, 5.8, size_sd),
        (5.2, wider.mass_mean_low_nm, 5.0, mass_sd),
        (5.2, wider.mass_mean_high_nm, 5.5, mass_sd),
    ):
        expected = np.hypot(np.log(before / value), 1.959964 * sd)
        assert abs(np.log(end / value)) == pytest.approx(expected, rel=1e-9)
        assert (end > value) == (before > value)
    assert wider.size_shared_sd_nm == pytest.approx(np.hypot(0.1, 5.0 * size_sd))
    assert wider.mass_mean_shared_sd_nm == pytest.approx(np.hypot(0.05, 5.2 * mass_sd))
    assert (wider.size_nm, wider.mass_mean_nm, wider.dispersion) == (5.0, 5.2, 0.12)
    same = allowing_for_phases(answer, 0.0)
    assert same.size_high_nm == pytest.approx(answer.size_high_nm)
    without_mass = Answer(size_nm=5.0, size_low_nm=4.6, size_high_nm=5.8)
    assert np.isnan(allowing_for_phases(without_mass, 0.05).mass_mean_high_nm)

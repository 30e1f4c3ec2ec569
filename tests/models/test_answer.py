import math

import numpy as np
import pytest

from qdsizer_stream.models._answer import Answer, allowing_for_channels, class_answer, gaussian_answer
from qdsizer_stream.models._card import ClassOutput, GaussianOutput


def test_the_most_probable_class_and_its_quantiles() -> None:
    output = ClassOutput(classes_nm=(2.0, 2.5, 3.0, 3.5))
    answer = class_answer(output, np.log(np.array([0.01, 0.34, 0.6, 0.05], np.float32)))
    assert answer.size_nm == answer.class_nm == 3.0
    assert answer.class_probability == pytest.approx(0.6, rel=1e-6)
    # the 2.5 % quantile lies in class 2.5, the 97.5 % one in class 3.5; 1.5 classes on either side
    assert (answer.size_low_nm, answer.size_high_nm) == (1.75, 4.25)
    assert np.isnan(answer.mass_mean_nm)
    assert np.isnan(answer.presence)


def test_intervals_widen_by_scale_and_floor() -> None:
    output = GaussianOutput(
        target_offset=(np.log(5), np.log(5), 0.1, 0.0),
        target_scale=(0.5, 0.5, 0.05, 0.004),
        interval_scale=2.0,
        interval_floor=0.03,
        interval_floor_nm=0.1,
    )
    mean = np.array([0.0, 0.2, 1.0, -0.5], np.float32)
    answer = gaussian_answer(output, mean, np.log(np.full(4, 0.04, np.float32)), 0.0)
    assert answer.size_nm == pytest.approx(5.0)
    sd = math.sqrt((2 * 0.5 * 0.04) ** 2 + 0.03**2 + (0.1 / 5) ** 2)
    assert answer.size_low_nm == pytest.approx(5 * np.exp(-1.959964 * sd))
    assert answer.size_high_nm == pytest.approx(5 * np.exp(1.959964 * sd))
    assert answer.mass_mean_nm == pytest.approx(5 * np.exp(0.1))
    assert answer.dispersion == pytest.approx(0.15)
    assert answer.strain == pytest.approx(-0.002)
    assert answer.presence == 0.5


def test_wide_channels_raise_the_upper_end_only() -> None:
    answer = Answer(size_nm=6.0, size_low_nm=5.7, size_high_nm=6.3)
    assert allowing_for_channels(answer, 0.01, 0.01) == answer
    assert allowing_for_channels(answer, 0.002, 0.01) == answer
    wide = allowing_for_channels(answer, 0.05, 0.01)
    # Peaks of a dot of 6.44 nm, made wider by channels, are those of one of 6.0 nm.
    hidden = 6.0 / math.sqrt(1 - (1.3 * 6.0) ** 2 * (0.05**2 - 0.01**2))
    assert wide.size_high_nm == pytest.approx(6.3 * hidden / 6.0)
    assert (wide.size_nm, wide.size_low_nm) == (6.0, 5.7)
    assert wide.raised == pytest.approx(hidden / 6.0)
    assert math.isfinite(allowing_for_channels(answer, 1.0, 0.01).size_high_nm)

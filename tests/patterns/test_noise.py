import numpy as np
import pytest

from qdsizer_stream.patterns import counting_scale


@pytest.mark.parametrize("scale", [0.01, 1.0, 40.0])
def test_scale_of_scaled_counts_is_found_under_peaks(scale: float) -> None:
    rng = np.random.default_rng(0)
    q = np.linspace(1, 15, 5000)
    expected = 200 * (1 + 3 * np.exp(-((np.sin(2 * q)) ** 2) / 0.02))
    intensity = scale * rng.poisson(expected)
    assert counting_scale(intensity) == pytest.approx(scale, rel=0.1)


def test_few_points_tell_nothing() -> None:
    assert np.isnan(counting_scale(np.ones(23)))
    assert np.isnan(counting_scale(np.zeros(1000)))

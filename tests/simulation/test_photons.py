import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from qdsizer_stream.simulation.frames import fast_poisson


@pytest.mark.parametrize("expected", [0.3, 20.0, 99.0, 101.0, 1000.0])
def test_counts_have_the_distribution_of_poisson(expected: float) -> None:
    """Shares of 200 000 numbers below each of ten quantiles, to five standard deviations."""
    counts = fast_poisson(np.random.default_rng(1), np.full(200_000, expected, np.float32))
    for quantile in np.unique(scipy.stats.poisson.ppf(np.linspace(0.05, 0.95, 10), expected)):
        share = scipy.stats.poisson.cdf(quantile, expected)
        found = np.mean(counts <= quantile)
        assert abs(found - share) < 5 * np.sqrt(share * (1 - share) / counts.size) + 3e-4


@pytest.mark.slow
@settings(deadline=None)
@given(expected=st.floats(100, 1e6), seed=st.integers(0, 2**31))
def test_many_photons_are_skewed_as_they_should_be(expected: float, seed: int) -> None:
    """Mean λ, variance λ, third central moment λ."""
    n = 20_000
    counts = fast_poisson(np.random.default_rng(seed), np.full(n, expected, np.float32)).astype(np.float64)
    standard = (counts - expected) / np.sqrt(expected)
    assert np.mean(standard) == pytest.approx(0, abs=6 / np.sqrt(n))
    assert np.var(standard) == pytest.approx(1, abs=6 * np.sqrt(2 / n))
    assert np.mean(standard**3) == pytest.approx(expected**-0.5, abs=6 * np.sqrt(15 / n))
    assert np.all(counts == np.rint(counts))

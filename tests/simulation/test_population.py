import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdsizer_stream.errors import PhysicsError
from qdsizer_stream.simulation import (
    Sampling,
    Weighting,
    histogram_weights,
    lognormal_weights,
    population_moments,
)

FINE = np.linspace(0.2, 40, 20_000)
PAPER = 0.4637970736422045 * np.arange(1, 46)


@pytest.mark.slow
@settings(deadline=None)
@given(mean=st.floats(2, 10), dispersion=st.floats(0.04, 0.25))
def test_moments_of_a_log_normal(mean: float, dispersion: float) -> None:
    weights = lognormal_weights(FINE, np.array([mean]), np.array([dispersion]))
    moments = population_moments(FINE, weights)
    assert moments.number_mean_nm[0] == pytest.approx(mean, rel=1e-4)
    assert moments.dispersion[0] == pytest.approx(dispersion, rel=1e-3)
    # mass mean of a number log-normal: D (1 + r²)³
    assert moments.mass_mean_nm[0] == pytest.approx(mean * (1 + dispersion**2) ** 3, rel=1e-3)


@pytest.mark.slow
@settings(deadline=None)
@given(mean=st.floats(3, 10), dispersion=st.floats(0.05, 0.2))
def test_a_mass_log_normal_weighs_its_mean(mean: float, dispersion: float) -> None:
    weights = lognormal_weights(FINE, np.array([mean]), np.array([dispersion]), Weighting.MASS)
    assert population_moments(FINE, weights).mass_mean_nm[0] == pytest.approx(mean, rel=1e-3)


@pytest.mark.parametrize(("nominal", "realised"), [(2.0, 1.868), (2.5, 2.408)])
def test_the_papers_steps_are_coarse_for_narrow_populations(nominal: float, realised: float) -> None:
    weights = lognormal_weights(PAPER, np.array([nominal]), np.array([0.05]))
    assert population_moments(PAPER, weights).number_mean_nm[0] == pytest.approx(realised, abs=5e-4)


@pytest.mark.parametrize(
    ("sampling", "nominal", "realised", "spread"),
    [
        (Sampling.POINTS, 2.0, 1.868, 0.0402),
        (Sampling.BINS, 2.0, 1.943, 0.094),
        (Sampling.BINS, 2.5, 2.474, 0.0885),
        (Sampling.EXACT_MEAN, 2.0, 2.0, 0.107),
        (Sampling.EXACT_MEAN, 2.5, 2.5, 0.0905),
    ],
)
def test_narrow_populations_three_ways(
    sampling: Sampling, nominal: float, realised: float, spread: float
) -> None:
    weights = lognormal_weights(PAPER, np.array([nominal]), np.array([0.05]), sampling=sampling)
    moments = population_moments(PAPER, weights)
    assert moments.number_mean_nm[0] == pytest.approx(realised, abs=5e-4)
    assert moments.dispersion[0] == pytest.approx(spread, abs=5e-4)


def test_an_exact_mean_of_two_clusters() -> None:
    weights = lognormal_weights(PAPER, np.array([2.0]), np.array([0.05]), sampling=Sampling.EXACT_MEAN)
    assert weights[3:5, 0] == pytest.approx([0.688, 0.312], abs=5e-4)


@settings(deadline=None)
@given(
    mean=st.floats(1.5, 10),
    dispersion=st.floats(0.03, 0.2),
    weighting=st.sampled_from(Weighting),
)
def test_an_exact_mean_is_exact(mean: float, dispersion: float, weighting: Weighting) -> None:
    """Whatever the distribution counts has the mean that was asked for."""
    weights = lognormal_weights(
        PAPER, np.array([mean]), np.array([dispersion]), weighting, Sampling.EXACT_MEAN
    )
    moments = population_moments(PAPER, weights)
    found = moments.number_mean_nm if weighting is Weighting.NUMBER else moments.mass_mean_nm
    assert found[0] == pytest.approx(mean, rel=1e-10)


@pytest.mark.parametrize("weighting", Weighting)
@pytest.mark.parametrize("sampling", Sampling)
def test_all_ways_agree_where_the_clusters_are_close(weighting: Weighting, sampling: Sampling) -> None:
    points = lognormal_weights(FINE, np.array([5.0]), np.array([0.1]), weighting)
    other = lognormal_weights(FINE, np.array([5.0]), np.array([0.1]), weighting, sampling)
    np.testing.assert_allclose(other, points, atol=1e-5 * points.max())


def test_a_population_that_is_cut_says_so() -> None:
    """84.134 % of a log-normal lie below exp(μ + s)."""
    s = np.sqrt(np.log1p(0.2**2))
    step = 0.001
    clusters = np.arange(0.5, 10 * np.exp(-(s**2) / 2 + s), step)
    with pytest.warns(UserWarning, match=r"84\.1..% of the population of 10 nm .* the rest is left out"):
        weights = lognormal_weights(clusters, np.array([10.0]), np.array([0.2]))
    assert population_moments(clusters, weights).number_mean_nm[0] < 9.6
    silent = lognormal_weights(clusters, np.array([10.0]), np.array([0.2]), min_fraction=0.0)
    np.testing.assert_array_equal(silent, weights)


def test_a_histogram_of_micrographs() -> None:
    """Clusters at 1, 2, 3 and 4 nm take half of each bin between them."""
    clusters = np.array([1.0, 2.0, 3.0, 4.0])
    edges, counts = np.array([1.0, 2.0, 3.0]), np.array([10.0, 30.0])
    weights = histogram_weights(clusters, edges, counts)
    assert weights[:, 0] == pytest.approx([5 / 40, 20 / 40, 15 / 40, 0])
    by_mass = histogram_weights(clusters, edges, counts, Weighting.MASS)[:, 0]
    assert by_mass == pytest.approx(np.array([5, 20 / 8, 15 / 27, 0]) / (5 + 20 / 8 + 15 / 27))


@pytest.mark.slow
@settings(deadline=None)
@given(counts=st.lists(st.integers(0, 1000), min_size=1, max_size=30).filter(lambda c: sum(c) > 0))
def test_a_histogram_keeps_its_mean(counts: list[int]) -> None:
    edges = np.linspace(2, 9, len(counts) + 1)
    weights = histogram_weights(FINE, edges, np.array(counts, float))
    mean = np.dot((edges[1:] + edges[:-1]) / 2, counts) / sum(counts)
    assert population_moments(FINE, weights).number_mean_nm[0] == pytest.approx(mean, abs=1e-3)


@pytest.mark.parametrize(
    ("edges", "counts", "message"),
    [
        ([1.0, 2.0], [1.0, 1.0], "2 edges and 2 counts: a histogram needs one edge more"),
        ([2.0, 1.0], [1.0], "in ascending order"),
        ([1.0, 2.0], [-1.0], "run from -1 to -1: give finite numbers"),
        ([1.0, 2.0], [0.0], "not all 0"),
        ([1.0, 2.0], [np.nan], "give finite numbers"),
        ([10.0, 30.0], [1.0], r"55\.\d+% of the histogram \(10 … 30 nm\) are among the clusters"),
    ],
)
def test_histograms_that_cannot_be(edges: list[float], counts: list[float], message: str) -> None:
    with pytest.raises(PhysicsError, match=message):
        histogram_weights(PAPER, np.array(edges), np.array(counts))


@pytest.mark.parametrize(
    ("mean", "dispersion", "message"),
    [
        (0.0, 0.1, "means and dispersions of populations must be positive, found means from 0"),
        (5.0, 0.0, "dispersions from 0"),
        (np.nan, 0.1, "means from nan"),
        (25.0, 0.1, r"mean diameters from 25 to 25 nm leave the clusters \(0\.4638 … 20\.87 nm\)"),
    ],
)
def test_populations_that_cannot_be(mean: float, dispersion: float, message: str) -> None:
    with pytest.raises(PhysicsError, match=message):
        lognormal_weights(PAPER, np.array([mean]), np.array([dispersion]))

import numpy as np
import pytest
from scipy.integrate import trapezoid

from qdsizer_stream.errors import PatternError
from qdsizer_stream.patterns import PAPER_GRID, Pattern, paper_vector

Q = PAPER_GRID.q_inv_angstrom


def curve(q: np.ndarray) -> np.ndarray:
    return 3 + np.sin(q) + 0.1 * q


def test_grid_of_the_published_networks() -> None:
    assert Q.size == 5004
    assert Q[0] == pytest.approx(0.99)
    assert Q[-1] == pytest.approx(14.9984)


def test_long_pattern_is_cut_and_gets_mean_one() -> None:
    q = np.linspace(0.3, 20, 22_000)
    vector = paper_vector(Pattern.from_arrays(q, curve(q)))
    assert vector.shape == (5004,)
    assert vector.dtype == np.float32
    expected = curve(Q) / (trapezoid(curve(Q), Q) / (Q[-1] - Q[0]))
    np.testing.assert_allclose(vector, expected, rtol=1e-6)


def test_short_pattern_is_padded_with_the_mean_of_five() -> None:
    q = np.linspace(2.0, 8.0, 3000)
    intensity = curve(q)
    vector = paper_vector(Pattern.from_arrays(q, intensity))
    scale = vector[(Q > 4) & (Q < 5)].mean() / curve(Q[(Q > 4) & (Q < 5)]).mean()
    np.testing.assert_allclose(vector[q[0] > Q], intensity[:5].mean() * scale, rtol=1e-5)
    np.testing.assert_allclose(vector[q[-1] < Q], intensity[-5:].mean() * scale, rtol=1e-5)
    assert trapezoid(vector, Q) / (Q[-1] - Q[0]) == pytest.approx(1, abs=1e-6)


def test_a_spline_passes_through_coarse_points() -> None:
    coarse = Q[::4]  # 1251 points, as in the paper's coarsening
    vector = paper_vector(Pattern.from_arrays(coarse, curve(coarse)))
    inside = coarse[-1] >= Q
    np.testing.assert_allclose((vector / vector[0])[inside], (curve(Q) / curve(Q[0]))[inside], rtol=1e-6)


def test_a_module_gap_is_bridged_by_a_line() -> None:
    rng = np.random.default_rng(0)
    q = np.linspace(0.9, 15.1, 20_000)
    counts = rng.poisson(100.0, q.size)
    gap = (q > 5.0) & (q < 5.04)
    vector = paper_vector(Pattern.from_arrays(q, counts, mask=gap))
    # noise is 10 %: a cubic through both banks would swing by whole units
    assert np.all(np.abs(vector[(Q > 5.0) & (Q < 5.04)] - 1) < 0.4)


@pytest.mark.parametrize(("missing", "bridged"), [(5, True), (3, False)])
def test_a_gap_of_more_than_five_steps_is_bridged(missing: int, bridged: bool) -> None:
    step = Q[1] - Q[0]
    points = Q[0] + 10 * step * np.arange(500)
    keep = np.ones(points.size, bool)
    keep[200 : 200 + missing] = False
    intensity = 3 + np.sin(3 * points)
    vector = paper_vector(Pattern.from_arrays(points[keep], intensity[keep]))
    inside = (points[200] < Q) & (points[199 + missing] > Q)
    outside = (points[100] < Q) & (points[180] > Q)
    scale = (vector[outside] / (3 + np.sin(3 * Q[outside]))).mean()
    line = np.interp(Q[inside], points[keep], intensity[keep])
    assert np.allclose(vector[inside] / scale, line, rtol=1e-4) is bridged


@pytest.mark.parametrize(
    ("q", "intensity", "message"),
    [
        (
            np.linspace(1, 2, 9),
            np.ones(9),
            r"9 usable points between 0\.99 and 15 Å⁻¹: there must be at least 10",
        ),
        (np.linspace(1, 15, 99), np.zeros(99), "a mean intensity of 0: it must be positive to be normalised"),
    ],
)
def test_what_cannot_be_standardized(q: np.ndarray, intensity: np.ndarray, message: str) -> None:
    with pytest.raises(PatternError, match=message):
        paper_vector(Pattern.from_arrays(q, intensity))

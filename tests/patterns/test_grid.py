import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdsizer_stream.patterns import BinGrid, Pattern, bin_pattern

GRID = BinGrid(q_first_inv_angstrom=1.0, q_step_inv_angstrom=0.1, n_bins=20)


@pytest.mark.slow
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 200))
def test_bins_agree_with_a_loop_over_points(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    pattern = Pattern.from_arrays(rng.uniform(0.5, 3.5, n), rng.poisson(5.0, n), mask=rng.random(n) < 0.2)
    binned = bin_pattern(pattern, GRID)
    for number in range(GRID.n_bins):
        low, high = GRID.edges[number], GRID.edges[number + 1]
        inside = (pattern.q_inv_angstrom >= low) & (pattern.q_inv_angstrom < high) & ~pattern.mask
        assert binned.mask[number] == (not inside.any())
        if inside.any():
            np.testing.assert_allclose(binned.intensity[number], pattern.intensity[inside].mean())
            expected = np.sqrt((pattern.sigma[inside] ** 2).sum()) / inside.sum()
            np.testing.assert_allclose(binned.sigma[number], expected)
            mean_q = pattern.q_inv_angstrom[inside].mean()
            np.testing.assert_allclose(binned.q_inv_angstrom[number], mean_q)
        else:
            assert binned.q_inv_angstrom[number] == GRID.centres[number]


def test_no_photon_is_lost() -> None:
    rng = np.random.default_rng(1)
    q = np.linspace(0.96, 2.94, 5000)
    counts = rng.poisson(3.0, q.size).astype(float)
    binned = bin_pattern(Pattern.from_arrays(q, counts), GRID)
    points = np.histogram(q, GRID.edges)[0]
    assert np.sum(binned.intensity * points) == np.sum(counts)


def test_a_gap_stays_a_gap() -> None:
    q = np.concatenate([np.linspace(1.0, 1.5, 100), np.linspace(2.0, 2.9, 100)])
    binned = bin_pattern(Pattern.from_arrays(q, np.ones(200)), GRID)
    gap = (binned.q_inv_angstrom > 1.56) & (binned.q_inv_angstrom < 1.94)
    assert np.all(binned.mask[gap])
    assert np.all(np.isnan(binned.intensity[gap]))
    assert not np.any(binned.mask[~gap])


def test_a_pattern_off_the_grid_is_all_masked() -> None:
    binned = bin_pattern(Pattern.from_arrays([5.0, 6.0], [1.0, 1.0]), GRID)
    assert np.all(binned.mask)


def test_a_pattern_on_the_bins_stays_as_it_is() -> None:
    pattern = Pattern.from_arrays(GRID.centres, np.ones(GRID.n_bins))
    assert bin_pattern(pattern, GRID) is pattern

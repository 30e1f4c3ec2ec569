import numpy as np
import pytest

from qdsizer_stream.models import binned_vector, binned_vectors
from qdsizer_stream.patterns import BinGrid, Pattern, bin_pattern

GRID = BinGrid(q_first_inv_angstrom=1.0, q_step_inv_angstrom=0.01, n_bins=300)


def falling(q: np.ndarray) -> np.ndarray:
    """A pattern whose logarithm is a straight line: whatever interpolates that one is exact."""
    return 1e4 * np.exp(-0.8 * q)


@pytest.mark.parametrize("step", [0.0028, 0.013, 0.056])
def test_it_does_not_matter_where_in_its_bin_a_point_fell(step: float) -> None:
    q = np.arange(0.99, 4.2, step)
    vector = binned_vector(bin_pattern(Pattern.from_arrays(q, falling(q)), GRID), GRID)
    inside = np.flatnonzero(vector[2] > 0)[1:-1]
    expected = np.log(falling(GRID.centres))
    off = (vector[0] - expected)[inside]
    # Means of several points curve a little; points alone do not. Off their centres they would be 1 % off.
    np.testing.assert_allclose(off, off.mean(), atol=3e-4)


def test_a_gap_is_bridged_and_nothing_is_said_outside() -> None:
    mask = np.zeros((1, 300), bool)
    mask[0, :20], mask[0, 100:140], mask[0, 280:] = True, True, True
    intensity = np.where(mask, np.nan, falling(GRID.centres))
    vector = binned_vectors(intensity, np.where(mask, np.nan, 2.0), mask)[0]
    assert np.all(np.isfinite(vector))
    np.testing.assert_array_equal(vector[:, :20], 0)
    np.testing.assert_array_equal(vector[:, 280:], 0)
    np.testing.assert_array_equal(vector[2, 100:140], 0.5)
    np.testing.assert_array_equal(vector[1, 100:140], 0)
    np.testing.assert_array_equal(vector[2, 20:100], 1)
    slope = np.diff(vector[0, 20:280])
    np.testing.assert_allclose(slope, -0.008, atol=1e-5)


def test_counts_do_not_scale_the_vector_but_its_noise() -> None:
    mask = np.zeros((1, 300), bool)
    one, many = (
        binned_vectors(n * falling(GRID.centres)[None], np.sqrt(n * falling(GRID.centres))[None], mask)[0]
        for n in (1, 100)
    )
    np.testing.assert_allclose(one[0], many[0], atol=1e-5)
    np.testing.assert_allclose(one[1] - many[1], 1.0, atol=1e-5)


def test_a_frame_without_data_or_light_is_silent() -> None:
    mask = np.ones((2, 300), bool)
    mask[1, :50] = False
    vectors = binned_vectors(np.zeros((2, 300)), np.ones((2, 300)), mask)
    np.testing.assert_array_equal(vectors[0], 0)
    assert np.all(np.isfinite(vectors[1]))


def test_the_width_of_the_instrument_joins_by_its_logarithm() -> None:
    mask = np.zeros((2, 300), bool)
    frames = np.tile(falling(GRID.centres), (2, 1))
    width = np.stack([np.full(300, 0.02), np.linspace(0.0, 0.5, 300)])
    vectors = binned_vectors(frames, np.sqrt(frames), mask, resolution_inv_angstrom=width)
    np.testing.assert_array_equal(vectors[:, :3], binned_vectors(frames, np.sqrt(frames), mask))
    np.testing.assert_allclose(vectors[0, 3], 0.0, atol=1e-6)  # the middle of 0.002 and 0.2
    assert vectors[1, 3, 0] == pytest.approx(-1.0)
    assert vectors[1, 3, 12] == pytest.approx(np.log10(width[1, 12] / 0.02), abs=1e-6)
    assert vectors[1, 3, -1] == pytest.approx(1.0)
    q = GRID.centres
    one = binned_vector(bin_pattern(Pattern.from_arrays(q, falling(q)), GRID), GRID, np.full(300, 0.2))
    assert one.shape == (4, 300)
    np.testing.assert_allclose(one[3], 1.0, atol=1e-6)

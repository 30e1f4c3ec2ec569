import numpy as np
import pytest

from qdsizer_stream.errors import PatternError
from qdsizer_stream.patterns import Pattern


def test_points_are_sorted_and_unusable_ones_masked() -> None:
    pattern = Pattern.from_arrays(
        [3.0, 1.0, 2.0, 4.0], [30.0, np.nan, 20.0, np.inf], [1.0, 1.0, 0.0, 1.0], [False, False, False, False]
    )
    np.testing.assert_array_equal(pattern.q_inv_angstrom, [1, 2, 3, 4])
    np.testing.assert_array_equal(pattern.mask, [True, True, False, True])
    assert len(pattern) == 4


def test_counts_without_sigma_are_poisson_and_never_certain() -> None:
    pattern = Pattern.from_arrays([1.0, 2.0], [0.0, 99.0])
    np.testing.assert_allclose(pattern.sigma, [1.0, 10.0])


def test_descending_angles_come_out_ascending() -> None:
    pattern = Pattern.from_two_theta([30.0, 20.0, 10.0], [3.0, 2.0, 1.0], 0.56)
    assert np.all(np.diff(pattern.q_inv_angstrom) > 0)
    np.testing.assert_array_equal(pattern.intensity, [1, 2, 3])


def test_of_two_points_at_one_q_the_first_stays() -> None:
    pattern = Pattern.from_arrays([2.0, 1.0, 2.0], [5.0, 1.0, 7.0])
    np.testing.assert_array_equal(pattern.intensity, [1, 5])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, 2.0], [1.0]), r"needs 1-D arrays of equal length, found Q \(2,\), intensity \(1,\)"),
        (([[1.0], [2.0]], [[1.0], [1.0]]), r"needs 1-D arrays of equal length"),
        (([1.0], [1.0]), r"at least 2 points, found 1"),
        (([np.nan, np.nan], [1.0, 1.0]), r"at least 2 points, found 0"),
    ],
)
def test_arrays_that_are_no_pattern(arguments: tuple[list[float], list[float]], message: str) -> None:
    with pytest.raises(PatternError, match=message):
        Pattern.from_arrays(*arguments)


def test_constructor_takes_only_what_is_already_right() -> None:
    q, ones, usable = np.array([2.0, 1.0]), np.ones(2), np.zeros(2, bool)
    with pytest.raises(PatternError, match=r"found 2 then 1 at point 0: sort the points by Q"):
        Pattern(q, ones, ones, usable)
    with pytest.raises(PatternError, match="sigma must be finite and positive at usable points"):
        Pattern(q[::-1], ones, np.zeros(2), usable)
    with pytest.raises(PatternError, match="sigma must be finite and positive at usable points"):
        Pattern(q[::-1], ones, np.array([1.0, np.inf]), usable)
    with pytest.raises(PatternError, match="intensity is NaN or infinite at usable points"):
        Pattern(q[::-1], np.full(2, np.nan), ones, usable)


def test_pattern_describes_itself() -> None:
    pattern = Pattern.from_arrays([1.0, 2.0, 3.5], [5.0, np.nan, 7.0])
    assert repr(pattern) == "<Pattern: 3 points, 1 masked, Q 1 to 3.5 Å⁻¹>"


@pytest.mark.parametrize(
    ("mask", "span"),
    [
        ("....", slice(0, 4)),
        ("##.#", slice(2, 3)),
        ("#..#", slice(1, 3)),
        ("...#", slice(0, 3)),
        (".#..", None),
        ("####", None),
    ],
)
def test_usable_points_that_are_neighbours(mask: str, span: slice | None) -> None:
    masked = np.array([point == "#" for point in mask])
    assert Pattern(np.arange(1.0, 5.0), np.ones(4), np.ones(4), masked).span == span

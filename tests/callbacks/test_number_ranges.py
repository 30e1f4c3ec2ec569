"""Numbers of frames that were given without their event."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from qdsizer_stream.callbacks.documents import NumberRanges


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 12)), max_size=60))
def test_they_are_a_multiset(changes: list[tuple[bool, int]]) -> None:
    ranges, expected = NumberRanges(), Counter[int]()
    for adds, number in changes:
        if adds:
            ranges.add(number)
            expected[number] += 1
        else:
            assert ranges.remove(number) == (expected[number] > 0)
            expected[number] = max(expected[number] - 1, 0)
        assert len(ranges) == expected.total()


def test_a_hundred_thousand_successive_numbers_are_one_range() -> None:
    ranges = NumberRanges()
    for number in range(1, 100_001):
        ranges.add(number)
    assert len(ranges) == 100_000
    assert ranges.n_ranges == 1
    assert ranges.remove(50_000)
    assert not ranges.remove(50_000)
    assert ranges.n_ranges == 2


def test_the_oldest_of_too_many_are_forgotten() -> None:
    ranges = NumberRanges()
    for number in range(0, 40_000, 2):
        ranges.add(number)
    assert ranges.n_ranges == 10_000
    assert ranges.remove(39_998)
    assert not ranges.remove(0)

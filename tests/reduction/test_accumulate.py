from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdsizer_stream.errors import CalibrationError
from qdsizer_stream.patterns import BinGrid
from qdsizer_stream.reduction import (
    AccumulationConfig,
    FrameAccumulator,
    PooledCounts,
    Reducer,
    ReductionConfig,
    nominal_detector,
)

DETECTOR = nominal_detector(1, 2.0)
REDUCER = Reducer(
    ReductionConfig(
        detector=DETECTOR,
        arm_deg=0.0,
        bins=BinGrid(q_first_inv_angstrom=0.45, q_step_inv_angstrom=0.02, n_bins=30),
    )
)


def frame(per_strip: int) -> PooledCounts:
    return REDUCER.pool(np.full(1280, per_strip), 0.5636, exposure_s=0.001)


def test_an_intensity_past_the_largest_number_is_infinite_and_warns_of_nothing() -> None:
    """Monitors may count in any unit: the frame is rejected later, with its reason."""
    one = frame(10)
    exposure = np.where(one.exposure > 0, 1e-320, 0.0)
    intensity = replace(one, exposure=exposure).intensity()
    assert np.array_equal(np.isinf(intensity), exposure > 0)
    assert np.array_equal(np.isnan(intensity), exposure == 0)


IN_ONE = frame(1).total_counts
"""Photons of a frame with one count a strip: strips outside the bins do not count."""


def accumulator(mode: str, frames: float, seconds: float = 1e6) -> FrameAccumulator:
    return FrameAccumulator(
        AccumulationConfig.model_validate(
            {"mode": mode, "min_counts": frames * IN_ONE, "max_seconds": seconds}
        )
    )


def test_reset_counts_every_frame_once() -> None:
    adder = accumulator("reset", frames=4)
    sizes = [[s.n_frames for s in adder.add(frame(1), 0.1 * n)] for n in range(10)]
    assert sizes == [[], [], [], [4], [], [], [], [4], [], []]
    (rest,) = adder.flush()
    assert rest.n_frames == 2
    assert adder.flush() == []


def test_rolling_keeps_the_newest_frames_that_suffice() -> None:
    adder = accumulator("rolling", frames=3)
    sums = [adder.add(frame(n + 1), 0.1 * n) for n in range(6)]
    assert [[s.n_frames for s in one] for one in sums] == [[], [2], [1], [1], [1], [1]]
    assert sums[1][0].total_counts == 3 * IN_ONE
    assert adder.flush() == []


def test_all_keeps_every_frame_that_is_young_enough() -> None:
    adder = accumulator("all", frames=3, seconds=4.0)
    sums = [adder.add(frame(1), float(n)) for n in range(8)]
    assert [[s.n_frames for s in one] for one in sums] == [[], [], [3], [4], [5], [5], [5], [5]]
    assert sums[4][0].total_counts == 5 * IN_ONE
    assert adder.flush() == []


def test_sum_that_runs_out_of_time_goes_out_before_the_frame() -> None:
    adder = accumulator("reset", frames=2, seconds=1.0)
    assert adder.add(frame(1), 0.0) == []
    late = adder.add(frame(5), 100.0)
    assert [(s.n_frames, s.total_counts) for s in late] == [(1, IN_ONE), (1, 5 * IN_ONE)]


def test_reset_sum_goes_out_when_its_time_is_up() -> None:
    adder = accumulator("reset", frames=1000, seconds=1.0)
    sizes = [[s.n_frames for s in adder.add(frame(1), 0.5 * n)] for n in range(5)]
    assert sizes == [[], [], [3], [], []]


def test_rolling_sum_with_too_few_photons_is_shown_once_its_time_is_full() -> None:
    adder = accumulator("rolling", frames=1000, seconds=1.0)
    sizes = [[s.n_frames for s in adder.add(frame(1), 0.5 * n)] for n in range(5)]
    assert sizes == [[], [], [], [3], [3]]


def test_sum_is_one_exposure_of_all_its_frames() -> None:
    adder = accumulator("reset", frames=5)
    for n in range(4):
        adder.add(frame(1), 0.1 * n)
    (total,) = adder.add(frame(1), 0.4)
    once = frame(5)
    assert np.array_equal(total.counts, once.counts)
    assert total.intensity() * 5 == pytest.approx(once.intensity(), nan_ok=True)
    assert total.exposure_s == pytest.approx(0.005)
    assert total.n_frames == 5
    assert np.array_equal(total.n_strips, 5 * once.n_strips)


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.integers(0, 4), st.floats(0, 2)), min_size=1, max_size=40),
    st.integers(1, 12),
    st.floats(0.5, 5),
)
def test_rolling_window_is_what_a_loop_finds(
    frames: list[tuple[int, float]], needed: int, seconds: float
) -> None:
    adder = accumulator("rolling", frames=needed, seconds=seconds)
    times = np.cumsum([pause for _, pause in frames])
    counts = [n for n, _ in frames]
    for newest in range(len(frames)):
        first = newest
        while (
            first > 0
            and sum(counts[first : newest + 1]) < needed
            and times[newest] - times[first - 1] <= seconds
        ):
            first -= 1
        found = adder.add(frame(counts[newest]), float(times[newest]))
        if sum(counts[first : newest + 1]) >= needed:
            (total,) = found
            # Frames without photons at the old end may stay or go.
            assert total.total_counts >= needed * IN_ONE
            assert total.total_counts == sum(counts[newest + 1 - total.n_frames : newest + 1]) * IN_ONE
            assert total.n_frames >= newest + 1 - first
            assert times[newest] - times[newest + 1 - total.n_frames] <= seconds
            assert total.total_counts - counts[newest + 1 - total.n_frames] * IN_ONE < needed * IN_ONE


@pytest.mark.slow
@given(st.lists(st.integers(0, 5), max_size=30), st.integers(1, 9))
def test_reset_loses_no_photon(counts: list[int], needed: int) -> None:
    adder = accumulator("reset", frames=needed)
    out = [total for n, c in enumerate(counts) for total in adder.add(frame(c), float(n))] + adder.flush()
    assert sum(total.total_counts for total in out) == sum(counts) * IN_ONE
    assert sum(total.n_frames for total in out) == len(counts)


def test_frames_on_other_points_are_refused() -> None:
    adder = accumulator("reset", frames=9)
    adder.add(frame(1), 0.0)
    other = Reducer(DETECTOR).pool(np.ones(1280), 0.5636)
    with pytest.raises(CalibrationError, match="at different Q cannot be added"):
        adder.add(other, 1.0)


def test_a_sum_can_be_asked_for_before_the_frame_that_comes_too_late() -> None:
    adder = accumulator("reset", frames=100, seconds=1.0)
    assert adder.expire(0.0) == []
    adder.add(frame(1), 0.0)
    adder.add(frame(2), 0.5)
    assert adder.expire(1.0) == []
    (late,) = adder.expire(1.1)
    assert late.n_frames == 2
    assert adder.add(frame(3), 1.1) == []
    (rest,) = adder.flush()
    assert rest.n_frames == 1


def test_rolling_sums_do_not_expire() -> None:
    adder = accumulator("rolling", frames=100, seconds=1.0)
    adder.add(frame(1), 0.0)
    assert adder.expire(10.0) == []
    (total,) = adder.add(frame(1), 10.0)
    assert total.n_frames == 1


@pytest.mark.parametrize(
    ("field", "allowed", "refused"),
    [("min_counts", [1.0, 1.5], [0.999, 0.0]), ("max_seconds", [1e-6, 0.5], [0.0, -1.0])],
)
def test_what_each_setting_allows(
    check_limits: Callable[..., None], field: str, allowed: list[float], refused: list[float]
) -> None:
    check_limits(AccumulationConfig(mode="all", min_counts=100.0, max_seconds=10.0), field, allowed, refused)

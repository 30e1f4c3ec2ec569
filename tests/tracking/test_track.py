"""The track of a run: what it reaches on simulated syntheses, and on bad input."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from qdsizer_stream.tracking import Change, Measurement, Track, TrackPoint

PERIOD_S = 20.0
FLOOR = 0.015
Truth = Callable[[np.ndarray], np.ndarray]


def measurements(
    truth: Truth, n: int = 120, scatter: float = 0.01, seed: int = 0, common: float = 0.0, drift: float = 0.0
) -> list[Measurement]:
    """Frames of a synthesis of `truth` (nm of minutes), with a common error and one that drifts over 20
    frames."""
    rng = np.random.default_rng(seed)
    times = np.cumsum(PERIOD_S * rng.uniform(0.9, 1.1, n))
    wander = np.zeros(n)
    kept = math.exp(-1 / 20)
    for i in range(1, n):
        wander[i] = kept * wander[i - 1] + math.sqrt(1 - kept**2) * rng.standard_normal()
    mass = np.log(truth(times / 60)) + common + scatter * (rng.standard_normal(n) + drift * wander)
    size = mass - 0.05 + 2 * scatter * rng.standard_normal(n)
    return [
        Measurement(
            time_s=float(t),
            mass_mean=float(m),
            mass_mean_sd=1.1 * scatter,
            mass_mean_shared_sd=FLOOR,
            size=float(s),
            size_sd=2.2 * scatter,
            size_shared_sd=FLOOR,
        )
        for t, m, s in zip(times, mass, size, strict=True)
    ]


def filtered(frames: Sequence[Measurement], target_nm: float = math.nan) -> list[TrackPoint]:
    track = Track(target_nm)
    return [track.update(frame.time_s, frame) for frame in frames]


def linear(minutes: np.ndarray) -> np.ndarray:
    return 3.0 + 0.05 * minutes


def stepped(minutes: np.ndarray) -> np.ndarray:
    """Growth by 0.05 nm/min that triples after 20 min, at frame 60."""
    return 3.0 + 0.05 * minutes + 0.1 * np.maximum(minutes - 20, 0)


def approach(minutes: np.ndarray) -> np.ndarray:
    return 6.0 - 3.5 * np.exp(-minutes / 15)


def ripening(minutes: np.ndarray) -> np.ndarray:
    return np.asarray(np.cbrt(27.0 + 4.5 * minutes))


def same(one: TrackPoint, other: TrackPoint) -> bool:
    return repr(one) == repr(other)  # NaN equals NaN


@pytest.mark.slow
def test_the_same_frames_give_the_same_track_and_later_ones_change_nothing() -> None:
    frames = measurements(stepped, common=0.01)
    whole = filtered(frames, 5.0)
    assert all(map(same, whole, filtered(frames, 5.0)))
    assert all(map(same, whole, filtered(frames[:71], 5.0)))
    assert {point.change for point in whole} == {None, Change.RATE}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("truth", "live", "smoothed"),
    [(linear, 0.34, 0.18), (ripening, 0.34, 0.18), (approach, 0.62, 0.33), (stepped, 0.5, 0.32)],
)
def test_size_and_growth_are_better_known_than_those_of_one_frame(
    truth: Truth, live: float, smoothed: float
) -> None:
    errors, smoothed_errors, single, inside, smoothed_inside, widths = [], [], [], [], [], []
    for seed in range(6):
        frames = measurements(truth, seed=seed)
        track = Track()
        points = [track.update(frame.time_s, frame) for frame in frames]
        minutes = np.array([frame.time_s for frame in frames]) / 60
        true, rate = truth(minutes), (truth(minutes + 1e-3) - truth(minutes - 1e-3)) / 2e-3
        for found, out, held in (
            (points, errors, inside),
            (track.smoothed(), smoothed_errors, smoothed_inside),
        ):
            out += [p.mass_mean_nm - t for p, t in zip(found[10:], true[10:], strict=True)]
            held += [
                p.growth_low_nm_per_min <= r <= p.growth_high_nm_per_min
                for p, r in zip(found[10:], rate[10:], strict=True)
            ]
        single += [math.exp(f.mass_mean) - t for f, t in zip(frames[10:], true[10:], strict=True)]
        widths += [p.growth_high_nm_per_min - p.growth_low_nm_per_min for p in points[30:]]
    rms = [float(np.sqrt(np.mean(np.square(one)))) for one in (errors, smoothed_errors, single)]
    assert rms[0] < live * rms[2]
    assert rms[1] < smoothed * rms[2]
    assert 0.90 <= np.mean(inside) <= 1.0
    assert np.mean(smoothed_inside) >= 0.93
    assert np.median(widths) / 2 < 0.07  # nm/min, of growth by 0.05 to 0.2


def test_a_shared_error_does_not_narrow_and_an_unshared_one_does() -> None:
    truth = np.log(linear(np.array([40.0])))[0]
    for common in (0.0, 1.5 * FLOOR, -1.5 * FLOOR):
        last = filtered(measurements(linear, common=common))[-1]
        assert last.mass_mean_low_nm < math.exp(truth) < last.mass_mean_high_nm
        half = math.log(last.mass_mean_high_nm / last.mass_mean_nm)
        assert 1.96 * FLOOR < half < 1.96 * 1.4 * FLOOR
        # The error of its changes is a third of that of one frame.
        assert last.mass_mean_sd_nm < 0.5 * 0.01 * last.mass_mean_nm
    # Frames that scatter by a tenth of what they state share the rest of it.
    quiet = [replace(one, mass_mean_sd=0.1) for one in measurements(linear)]
    last = filtered(quiet)[-1]
    assert math.log(last.mass_mean_high_nm / last.mass_mean_nm) == pytest.approx(1.96 * 0.1, rel=0.1)
    assert last.growth_high_nm_per_min - last.growth_low_nm_per_min < 0.05


@pytest.mark.parametrize("sign", [1, -1])
def test_what_no_frame_shows_moves_the_ends_of_the_track(sign: int) -> None:
    """Sizes that may be larger, or smaller: one end of the size by that factor, one of growth by its cube."""
    frames = measurements(lambda minutes: 5.0 + sign * 0.05 * minutes, n=40)
    last = filtered(frames)[-1]
    larger = filtered([replace(one, above=0.2) for one in frames])[-1]
    smaller = filtered([replace(one, below=0.2) for one in frames])[-1]
    for name in ("mass_mean", "size"):
        low, middle, high = (f"{name}{end}_nm" for end in ("_low", "", "_high"))
        for moved in (larger, smaller):
            assert getattr(moved, middle) == getattr(last, middle)
            assert getattr(moved, f"{name}_sd_nm") == getattr(last, f"{name}_sd_nm")
        assert getattr(larger, low) == getattr(last, low)
        assert getattr(larger, high) == pytest.approx(math.exp(0.2) * getattr(last, high))
        assert getattr(smaller, low) == pytest.approx(math.exp(-0.2) * getattr(last, low))
        assert getattr(smaller, high) == getattr(last, high)
    ends = (last.growth_low_nm_per_min, last.growth_high_nm_per_min)
    assert math.copysign(1, ends[0]) == math.copysign(1, ends[1]) == sign
    # Faster growth where sizes are larger; slower where they are smaller.
    fast, slow = (1, 0) if sign > 0 else (0, 1)
    for moved, end, factor in ((larger, fast, math.exp(0.6)), (smaller, slow, math.exp(-0.6))):
        found = (moved.growth_low_nm_per_min, moved.growth_high_nm_per_min)
        assert found[end] == pytest.approx(factor * ends[end])
        assert found[1 - end] == ends[1 - end]


def test_a_target_above_may_have_been_reached_where_sizes_may_be_larger() -> None:
    frames = measurements(linear, n=40)  # ends at 3.0 + 0.05 · 13 = 3.65 nm, of the number 5 % less
    last = filtered(frames)[-1]
    target = 1.05 * last.size_high_nm
    assert filtered(frames, target)[-1].probability_reached < 0.01
    larger = filtered([replace(one, above=0.2) for one in frames], target)[-1]
    sd = math.log(math.exp(0.2) * last.size_high_nm / last.size_nm) / 1.959964
    assert larger.probability_reached == pytest.approx(
        0.5 * math.erfc(math.log(target / last.size_nm) / sd / math.sqrt(2)), rel=1e-3
    )
    # It would be no less certain that a target below has been passed.
    passed = [filtered([replace(one, above=above) for one in frames], 3.2)[-1] for above in (0.0, 0.2)]
    assert passed[0].probability_reached == passed[1].probability_reached > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("scatter", [0.004, 0.01])
def test_a_rate_that_triples_is_found_within_five_frames(scatter: float) -> None:
    found = []
    for seed in range(8):
        changes = [
            (index, point.change)
            for index, point in enumerate(filtered(measurements(stepped, scatter=scatter, seed=seed)))
            if point.change
        ]
        found += [index for index, change in changes if 60 <= index <= 66 and change is Change.RATE]
        assert sum(not 60 <= index <= 75 for index, _ in changes) <= 1
    assert len(found) >= 7


@pytest.mark.slow
def test_false_alarms_are_fewer_than_one_in_300_frames() -> None:
    alarms = sum(
        point.change is not None
        for seed in range(8)
        for point in filtered(measurements(approach, n=150, seed=seed))
    )
    assert alarms <= 4


def test_another_sample_is_a_jump_and_not_an_average() -> None:
    frames = measurements(linear, n=60)
    other = [replace(one, mass_mean=one.mass_mean + 0.3, size=one.size + 0.3) for one in frames[40:]]
    points = filtered([*frames[:40], *other])
    changes = [(index, point.change) for index, point in enumerate(points) if point.change]
    assert changes == [(42, Change.JUMP)]
    minutes = frames[43].time_s / 60
    assert points[43].mass_mean_nm == pytest.approx(1.35 * linear(np.array([minutes]))[0], rel=0.03)
    # Until the third frame of it the old size holds: two bubbles are not a new sample.
    assert points[41].mass_mean_nm == pytest.approx(points[39].mass_mean_nm, rel=0.05)


def test_single_outliers_do_not_move_the_track() -> None:
    frames = measurements(linear)
    spoilt = [
        replace(one, mass_mean=one.mass_mean + 0.5) if index % 20 == 15 else one
        for index, one in enumerate(frames)
    ]
    plain, robust = filtered(frames), filtered(spoilt)
    assert not any(point.change for point in robust)
    for index in (15, 55, 95, 119):
        assert abs(robust[index].mass_mean_nm - plain[index].mass_mean_nm) < 0.03


@pytest.mark.slow
def test_a_drifting_error_is_not_growth() -> None:
    """An error as large as the scatter, which drifts over 20 frames, as a flat field may."""
    inside = []
    for seed in range(12):
        frames = measurements(linear, n=150, seed=seed, drift=1.0)
        inside += [p.growth_low_nm_per_min <= 0.05 <= p.growth_high_nm_per_min for p in filtered(frames)[10:]]
    assert np.mean(inside) >= 0.90


@pytest.mark.slow
def test_the_target_is_reached_when_the_track_says() -> None:
    covered, halves = [], []
    for seed in range(10):
        frames = measurements(linear, n=130, scatter=0.005, seed=seed)
        offset = math.exp(-0.05)
        points = filtered(frames, target_nm=4.5 * offset)
        true_s = 30 * 60.0
        for index in range(30, 75, 5):
            point = points[index]
            left_s = true_s - frames[index].time_s
            high_s = math.inf if math.isnan(point.time_to_target_high_s) else point.time_to_target_high_s
            covered.append(point.time_to_target_low_s <= left_s <= high_s)
            if index == 45:
                halves.append((high_s - point.time_to_target_low_s) / 2 / left_s)
                assert point.time_to_target_s == pytest.approx(left_s, rel=0.35)
        assert points[20].probability_reached < 0.05
        assert points[-1].probability_reached > 0.95
        assert points[-1].time_to_target_s == 0.0
    assert np.mean(covered) >= 0.9
    assert np.median(halves) < 0.6


def test_dots_that_shrink_reach_a_smaller_target() -> None:
    points = filtered(measurements(lambda minutes: 6 - 0.05 * minutes, scatter=0.005), target_nm=4.5)
    assert points[30].growth_high_nm_per_min < 0
    assert 0 < points[30].time_to_target_s < 2400
    assert points[-1].probability_reached > 0.9


@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_frames(n: int) -> None:
    frames = measurements(linear, n=n)
    track = Track(4.0)
    point = [track.update(frame.time_s, frame) for frame in frames][-1]
    assert point.mass_mean_nm == pytest.approx(math.exp(frames[-1].mass_mean), rel=0.02)
    assert point.mass_mean_low_nm < math.exp(frames[-1].mass_mean) < point.mass_mean_high_nm
    assert math.isnan(point.growth_nm_per_min)
    assert math.isnan(point.time_to_target_s)
    assert track.smoothed()[-1].mass_mean_nm == pytest.approx(point.mass_mean_nm, rel=1e-3)


def test_rejections_alone_give_no_size() -> None:
    track = Track(4.0)
    bad = Measurement(time_s=0.0, mass_mean=math.nan, mass_mean_sd=0.1, size=1.2, size_sd=0.0)
    points = [track.update(20.0 * i, None if i % 2 else bad) for i in range(30)]
    assert all(math.isnan(p.mass_mean_nm) and math.isnan(p.growth_nm_per_min) for p in points)
    assert all(math.isnan(p.size_nm) for p in track.smoothed())
    assert len(track.smoothed()) == 30
    assert track.n_measured == 0


def test_intervals_widen_while_nothing_is_measured() -> None:
    frames = measurements(linear, n=60)
    track = Track()
    before = [track.update(frame.time_s, frame) for frame in frames][-1]
    widths = [
        (
            point.mass_mean_high_nm - point.mass_mean_low_nm,
            point.growth_high_nm_per_min - point.growth_low_nm_per_min,
        )
        for point in (track.update(frames[-1].time_s + 20.0 * i) for i in range(1, 20))
    ]
    assert all(later[0] > earlier[0] for earlier, later in pairwise(widths))
    assert widths[0][0] > before.mass_mean_high_nm - before.mass_mean_low_nm
    assert widths[-1][1] > before.growth_high_nm_per_min - before.growth_low_nm_per_min


def test_after_hours_nothing_is_concluded_from_before() -> None:
    frames = measurements(linear, n=60)
    track = Track()
    for frame in frames:
        track.update(frame.time_s, frame)
    later = replace(
        frames[-1], time_s=frames[-1].time_s + 3 * 3600.0, mass_mean=math.log(7.0), size=math.log(6.8)
    )
    point = track.update(later.time_s, later)
    assert point.mass_mean_nm == pytest.approx(7.0, rel=0.01)
    assert point.growth_low_nm_per_min < 0 < point.growth_high_nm_per_min
    # Frames that are all hours apart have a rate per hour.
    slow = filtered([replace(one, time_s=500 * one.time_s) for one in frames])
    quick = filtered(frames)
    assert slow[-1].growth_nm_per_min == pytest.approx(quick[-1].growth_nm_per_min / 500, rel=1e-6)


def test_a_clock_that_is_set_back_goes_on() -> None:
    frames = measurements(linear)
    back = [replace(one, time_s=one.time_s - 3600.0 * (index >= 60)) for index, one in enumerate(frames)]
    plain, stepped_back = filtered(frames), filtered(back)
    assert stepped_back[-1].growth_nm_per_min == pytest.approx(plain[-1].growth_nm_per_min, rel=0.02)
    assert not any(point.change for point in stepped_back)
    nowhen = filtered([replace(one, time_s=math.nan) for one in frames[:20]])
    assert math.isfinite(nowhen[-1].mass_mean_nm)


def test_frames_of_one_time_have_no_growth_between_them() -> None:
    frames = [replace(one, time_s=100.0) for one in measurements(linear, n=12)]
    point = filtered(frames)[-1]
    assert point.growth_low_nm_per_min < 0 < point.growth_high_nm_per_min
    assert point.mass_mean_nm == pytest.approx(
        float(np.exp(np.mean([f.mass_mean for f in frames]))), rel=0.01
    )


def test_a_model_without_the_mass_weighted_mean_is_tracked_by_its_size() -> None:
    frames = [
        replace(one, mass_mean=math.nan, mass_mean_sd=math.nan, mass_mean_shared_sd=math.nan)
        for one in measurements(linear, n=60)
    ]
    track = Track(4.0)
    points = [track.update(frame.time_s, frame) for frame in frames]
    assert math.isnan(points[-1].mass_mean_nm)
    assert points[-1].size_low_nm < 4.0 * math.exp(-0.05) < points[-1].size_high_nm
    assert points[-1].size_nm == pytest.approx(4.0 * math.exp(-0.05), rel=0.03)
    assert points[-1].growth_low_nm_per_min < 0.05 < points[-1].growth_high_nm_per_min
    assert 0 <= points[-1].probability_reached <= 1
    only_mass = filtered([replace(one, size=math.nan) for one in measurements(linear, n=60)])
    assert only_mass[-1].size_nm == only_mass[-1].mass_mean_nm


def test_a_frame_that_is_added_is_smoothed_as_one_that_is_updated() -> None:
    frames = measurements(stepped, n=80)
    one, other = Track(), Track()
    changes = [one.add(frame.time_s, frame) for frame in frames]
    assert changes == [other.update(frame.time_s, frame).change for frame in frames]
    assert all(map(same, one.smoothed(), other.smoothed()))

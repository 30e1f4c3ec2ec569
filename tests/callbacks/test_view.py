"""Words and numbers of the picture of a synthesis."""

import math
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from qdsizer_stream.callbacks import SizedFrame, SynthesisRecord
from qdsizer_stream.callbacks.display import (
    LOOKS,
    STALE_COLOUR,
    Growth,
    describe_failed_check,
    describe_frame,
    distribution,
    footer,
    forecast_words,
    freshness,
    growth,
    growth_words,
    headline,
    residual_limit_sd,
    size_limits_nm,
    subject,
    waterfall,
)
from qdsizer_stream.sizing import CheckResult, Examination, SizeEstimate, Status

NAN = math.nan


class Nobody:
    examination = None


def frame(number: int, size_nm: float = NAN, status: Status = Status.SIZED, **more: Any) -> SizedFrame:
    defaults = {"minutes": number / 2, "signal_sd": np.empty(0), "reason": "", "truth_nm": NAN}
    return SizedFrame(
        number=number,
        seq_num=number,
        time=1e9 + 30 * number,
        size_nm=size_nm,
        low_nm=size_nm - 0.1,
        high_nm=size_nm + 0.1,
        dispersion=0.1,
        status=status,
        **{**defaults, **more},
    )


def record(*frames: SizedFrame) -> SynthesisRecord:
    made = SynthesisRecord(Nobody())
    made.frames = list(frames)
    made.n_frames = len(frames)
    for one in frames:
        if one.status is Status.SIZED:
            made.n_sized += 1
        else:
            made.n_rejected[one.status] += 1
    made.q_inv_angstrom = np.array([1.0, 1.5, 2.0])
    return made


def test_nothing_yet() -> None:
    line = headline(record())
    assert (line.size, line.growth, line.status, line.counts) == ("no frame yet", "", "", "0 frames")
    assert footer(record()) == ""
    assert waterfall(record()) is None


def test_the_top_line_of_a_sized_frame() -> None:
    line = headline(
        record(frame(0, 4.0), frame(1, 4.1), frame(2, status=Status.LOW_COUNTS), frame(3, 4.3), frame(4, 4.4))
    )
    assert line.size == "4.40 nm  [4.30, 4.50]"
    assert line.mean == "number-weighted mean diameter"  # as of a model without a mass-weighted mean
    assert line.number == ""
    assert line.growth == ""  # as of a run that was sized before there was a track
    assert line.status == "● sized"
    assert line.reason == ""
    assert line.counts == "5 frames: 4 sized, 1 rejected (1 low counts)"


def test_the_top_line_shows_the_mass_weighted_mean_and_the_other_beside_it() -> None:
    both = {"mass_mean_nm": 4.8, "mass_mean_low_nm": 4.71, "mass_mean_high_nm": 4.93}
    line = headline(record(frame(0, 4.0), frame(1, 4.4, **both)))
    assert line.size == "4.80 nm  [4.71, 4.93]"
    assert line.mean == "mass-weighted mean diameter"
    assert line.number == "number-weighted mean 4.40 nm  [4.30, 4.50]"
    assert line.title.startswith("4.80 nm · ")
    # A frame that was not sized shows none of the earlier ones.
    line = headline(record(frame(0, 4.4, **both), frame(1, status=Status.NO_CRYSTAL)))
    assert (line.size, line.mean, line.number) == ("— nm", "", "")


def test_the_subject_names_material_sample_run_and_date() -> None:
    one = record()
    assert subject(one) == ""
    one("start", {"uid": "5e3c0f1a-2b7d-4c59", "time": 1e9, "sample": "PbS 7"})
    began = datetime.fromtimestamp(1e9).strftime("%Y-%m-%d %H:%M")
    assert subject(one) == f"sample PbS 7   ·   run 5e3c0f1a   ·   {began}"
    settings = {"qdsizer": {"data": {"qdsizer_material": "PbS"}}}
    one("descriptor", {"uid": "d", "name": "qd_size", "configuration": settings})
    assert subject(one).startswith("PbS   ·   sample PbS 7   ·   ")
    assert headline(one).subject == subject(one)


def test_the_top_line_of_a_rejected_frame_shows_its_reason_and_no_size() -> None:
    line = headline(
        record(
            frame(0, 4.0),
            frame(1, status=Status.BAD_FRAME),
            frame(2, status=Status.BAD_FRAME, reason="too few photons: expose 4 times longer"),
        )
    )
    assert line.size == "— nm"
    assert line.mean == ""
    assert line.status == "✕ bad frame"
    assert line.reason == "too few photons: expose 4 times longer"
    assert line.counts == "3 frames: 1 sized, 2 rejected (2 bad frame)"


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        ((NAN, NAN, NAN), ""),
        ((0.2, 0.15, 0.25), "+0.20 ± 0.05 nm/min"),
        ((-0.2, -0.25, -0.15), "-0.20 ± 0.05 nm/min"),
        ((0.02, -0.01, 0.05), "no growth seen"),
        ((0.0123, 0.0103, 0.0143), "+0.012 ± 0.002 nm/min"),
        ((1.0, 1.0, 1.0), "+1.0000 ± 0.0000 nm/min"),
    ],
)
def test_growth_in_words(rate: tuple[float, float, float], words: str) -> None:
    assert growth_words(Growth(*rate)) == words
    frames = [
        frame(0, 4.0, growth=Growth(1.0, 0.9, 1.1)),
        frame(1, status=Status.LOW_COUNTS, growth=Growth(*rate)),
    ]
    assert repr(growth(frames)) == repr(Growth(*rate))
    # Of the newest frame, also where it was not sized: the track goes on.
    assert headline(record(*frames)).growth == words


def test_there_is_no_growth_without_frames() -> None:
    assert math.isnan(growth([]).nm_per_minute)


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ((NAN, NAN, NAN), ""),
        ((240.0, 180.0, 300.0), "3.5 nm in 4 ± 1 min"),
        ((40.0, 30.0, 52.0), "3.5 nm in 40 ± 11 s"),
        ((7200.0, 5400.0, 9000.0), "3.5 nm in 2 ± 0.5 h"),
        ((1500.0, 1200.0, 1900.0), "3.5 nm in 25 ± 5.8 min"),
        ((240.0, 180.0, NAN), "3.5 nm not before 3 min"),
        ((NAN, 180.0, NAN), "3.5 nm not before 3 min"),
        ((0.0, 0.0, 0.0), "3.5 nm reached"),
    ],
)
def test_the_forecast_in_words(times: tuple[float, float, float], words: str) -> None:
    assert forecast_words(3.5, times) == words
    assert forecast_words(NAN, times) == ""
    one = record()
    one("start", {"uid": "run", "time": 1e9, "target_nm": 3.5})
    one.frames = [frame(0, 3.0, time_to_target_s=times)]
    assert headline(one).forecast == words


def test_the_age_of_the_newest_frame_is_always_shown() -> None:
    one = record(*(frame(number, 4.0) for number in range(5)))  # a frame every 30 s
    one("start", {"uid": "run", "time": 1e9})
    one.frames = [frame(number, 4.0) for number in range(5)]
    newest = one.frames[-1].time
    for age_s, words, stale in (
        (0.4, "newest frame 0 s ago", False),
        (47.0, "newest frame 40 s ago", False),
        (89.0, "newest frame 1 min ago", False),
        (91.0, "newest frame 1 min ago", True),  # three periods of 30 s
        (3 * 3600 + 65 * 60, "newest frame 4 h 05 min ago", True),
        (-5.0, "newest frame 0 s ago", False),  # clocks of two machines
    ):
        age = freshness(one, newest + age_s)
        assert (age.words, age.stale) == (words, stale)
    line = headline(one, newest + 91.0)
    assert line.stale
    assert line.colour == STALE_COLOUR
    assert line.title == "4.00 nm · waiting"
    assert headline(one, newest + 5.0).title == "4.00 nm · sized"


def test_short_exposures_are_not_stale_within_ten_seconds() -> None:
    one = record(*(frame(number, 4.0, minutes=number / 600) for number in range(3)))
    one.frames = [replace(each, time=1e9 + 0.1 * each.number) for each in one.frames]
    assert not freshness(one, one.frames[-1].time + 9.9).stale
    assert freshness(one, one.frames[-1].time + 10.1).stale


def test_an_archive_that_does_not_answer_is_named_and_the_size_is_stale() -> None:
    one = record(frame(0, 4.0), frame(1, 4.1))
    one.archive_read_time = one.frames[-1].time
    assert not freshness(one, one.archive_read_time + 4.9).stale
    age = freshness(one, one.archive_read_time + 5.1)
    since = datetime.fromtimestamp(one.archive_read_time)
    assert age.words == f"no news from the archive since {since:%H:%M:%S}"
    a_day_later = freshness(one, one.archive_read_time + 86400).words
    assert a_day_later == f"no news from the archive since {since:%Y-%m-%d %H:%M:%S}"
    assert age.stale
    assert headline(one, one.archive_read_time + 6.0).title == "4.10 nm · no news"


def test_the_end_of_a_run_is_shown_with_its_status() -> None:
    one = record()
    one("start", {"uid": "run", "time": 1e9, "sample": {"name": "PbS 7"}})
    assert freshness(one, 2e9).words == "waiting for the first frame"
    one.frames = [frame(0, 4.0)]
    one("stop", {"run_start": "another", "exit_status": "fail", "time": 1e9 + 5})
    assert one.exit_status == ""
    one("stop", {"run_start": "run", "exit_status": "abort", "time": 1e9 + 60})
    at = datetime.fromtimestamp(1e9 + 60)
    assert headline(one, 1e9 + 65).freshness == f"ended {at:%H:%M:%S}, abort"
    # Another day: a time alone would be taken for today's.
    line = headline(one, 2e9)
    assert line.freshness == f"ended {at:%Y-%m-%d %H:%M:%S}, abort"
    assert not line.stale
    assert line.title == "4.00 nm · ended"
    assert one.sample == "PbS 7"
    one("start", {"uid": "next", "time": 2e9})
    assert one.exit_status == ""


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("colour", [*(look.text_colour for look in LOOKS.values()), STALE_COLOUR])
def test_words_can_be_read_on_white(colour: str) -> None:
    assert 1.05 / (luminance(colour) + 0.05) >= 4.5


def test_every_status_has_its_own_look() -> None:
    assert set(LOOKS) == set(Status)
    for what in ("words", "colour", "text_colour", "sign", "marker", "glyph"):
        assert len({getattr(look, what) for look in LOOKS.values()}) == len(Status)


def test_the_description_of_a_frame_states_its_reason() -> None:
    rejected = frame(7, status=Status.LOW_COUNTS, reason="300 counts, at least 1000 are needed")
    description = describe_frame(rejected)
    assert description.startswith("frame 7, ")
    assert description.endswith(": low counts: 300 counts, at least 1000 are needed")
    assert describe_frame(frame(8, 4.0)).endswith(": 4.00 nm [3.90, 4.10] number mean")
    assert describe_frame(frame(8, 4.0, mass_mean_nm=4.3)).endswith("number mean, 4.30 nm mass mean")


def test_a_failed_check_is_described_with_its_margin() -> None:
    limits = {"status": Status.OUT_OF_DOMAIN, "message": "…"}
    passed = CheckResult(name="photons", value=5e4, minimum=300.0, **limits)
    misfit = CheckResult(name="χ² per bin", value=12.34, maximum=8.7, **limits)
    size = CheckResult(name="size", value=12.5, minimum=1.8, maximum=11.0, unit="nm", **limits)
    estimate = SizeEstimate(status=Status.OUT_OF_DOMAIN)
    assert describe_failed_check(Examination(estimate, checks=(passed,))) == ""
    assert (
        describe_failed_check(Examination(estimate, checks=(passed, misfit, size)))
        == "χ² per bin: 12.3 (threshold ≤ 8.7, missed by 3.64)"
    )
    assert (
        describe_failed_check(Examination(estimate, checks=(size,)))
        == "size: 12.5 nm (threshold 1.8 to 11 nm, missed by 1.5 nm)"
    )


def test_limits_hold_all_that_is_shown() -> None:
    low, high = size_limits_nm(record(frame(0, 4.0), frame(1), frame(2, 5.0, truth_nm=6.0)))
    assert low < 3.9
    assert 6.0 < high < 6.5
    _, high = size_limits_nm(record(frame(0, 4.0, mass_mean_nm=7.0)))
    assert high > 7.0
    assert size_limits_nm(record(frame(0))) == (0.0, 10.0)


@pytest.mark.parametrize(
    ("residual", "limit"),
    [([], 6.0), ([NAN], 6.0), ([1.0, -2.0, NAN], 6.0), ([5.9], 6.49), ([1.0, -20.0], 22.0)],
)
def test_no_residual_is_cut(residual: list[float], limit: float) -> None:
    assert residual_limit_sd(np.array(residual)) == pytest.approx(limit)


def test_a_distribution_has_the_means_that_it_was_drawn_for() -> None:
    curves = distribution(5.0, 0.2)
    assert curves is not None
    d = curves.diameters_nm

    def mean(density: Any) -> float:
        return float(np.trapezoid(d * density, d))

    assert np.trapezoid(curves.number_per_nm, d) == pytest.approx(1, abs=1e-3)
    assert np.trapezoid(curves.mass_per_nm, d) == pytest.approx(1, abs=1e-3)
    assert mean(curves.number_per_nm) == pytest.approx(5.0, rel=1e-3)
    second = float(np.trapezoid(d**2 * curves.number_per_nm, d))
    assert math.sqrt(second - 25.0) / 5.0 == pytest.approx(0.2, rel=2e-3)
    # ∫D⁴n/∫D³n, by sums over the number distribution alone.
    third, fourth = (float(np.trapezoid(d**power * curves.number_per_nm, d)) for power in (3, 4))
    assert mean(curves.mass_per_nm) == pytest.approx(fourth / third, rel=1e-3)
    for nothing in ((NAN, 0.1), (4.0, NAN), (4.0, 0.0)):
        assert distribution(*nothing) is None


def test_a_waterfall_is_even_in_time_and_blank_where_nothing_was_measured() -> None:
    shown = waterfall(
        record(*(frame(number, 4.0, signal_sd=np.full(3, float(number))) for number in (0, 1, 2, 6, 7)))
    )
    assert shown is not None
    assert shown.minutes == (-0.25, 3.75)
    assert shown.q_inv_angstrom == (0.75, 2.25)
    # The pause holds rows 3 to 5; at most one usual step is bridged at either end.
    np.testing.assert_array_equal(shown.image[:, 0], [0, 1, 2, 2, NAN, 6, 6, 7])
    assert shown.highest == 10


def test_a_colour_scale_hardly_ever_changes() -> None:
    ends = [
        waterfall(record(frame(0, 4.0, signal_sd=np.full(3, value)))).highest  # type: ignore[union-attr]
        for value in (0.0, 11.0, 19.0, 21.0, 49.0, 51.0)
    ]
    assert ends == [1, 20, 20, 50, 50, 100]


def test_a_waterfall_of_a_long_run_has_as_many_rows_as_a_screen() -> None:
    frames = [frame(number, 4.0, signal_sd=np.full(3, float(number))) for number in range(4000)]
    shown = waterfall(record(*frames))
    assert shown is not None
    assert shown.image.shape == (400, 3)
    assert np.all(np.diff(shown.image[:, 0]) > 0)


def test_frames_of_another_grid_and_a_clock_that_stepped_back_do_no_harm() -> None:
    shown = waterfall(
        record(
            frame(0, 4.0, signal_sd=np.zeros(5)),
            frame(1, 4.0, signal_sd=np.full(3, 2.0), minutes=5.0),
            frame(2, 4.0, signal_sd=np.full(3, 1.0), minutes=4.0),
            frame(3, 4.0, signal_sd=np.full(3, NAN), minutes=6.0),
        )
    )
    assert shown is not None
    np.testing.assert_array_equal(shown.image[:, 0], [1, 2, NAN])

"""What a picture of a synthesis says."""

import math
from typing import Any

import numpy as np
import pytest

from qdsizer_stream.callbacks import SizedFrame, SynthesisRecord
from qdsizer_stream.callbacks.display import (
    LOOKS,
    footer,
    growth_nm_per_minute,
    headline,
    size_limits_nm,
    tell_frame,
    waterfall,
)
from qdsizer_stream.sizing import Status

NAN = math.nan


class Nobody:
    examination = None


def frame(number: int, size_nm: float = NAN, status: Status = Status.SIZED, **more: Any) -> SizedFrame:
    said = {"minutes": number / 2, "pattern": np.empty(0), "reason": "", "truth_nm": NAN}
    return SizedFrame(
        number=number,
        time=1e9 + 30 * number,
        size_nm=size_nm,
        low_nm=size_nm - 0.1,
        high_nm=size_nm + 0.1,
        dispersion=0.1,
        status=status,
        **{**said, **more},
    )


def record(*frames: SizedFrame) -> SynthesisRecord:
    made = SynthesisRecord(Nobody())
    made.frames = list(frames)
    made.n_frames = len(frames)
    for one in frames:
        if one.status is Status.SIZED:
            made.n_sized += 1
        else:
            made.n_refused[one.status] += 1
    made.q_inv_angstrom = np.array([1.0, 1.5, 2.0])
    return made


def test_nothing_yet() -> None:
    said = headline(record())
    assert (said.size, said.growth, said.status, said.counts) == ("no frame yet", "", "", "0 frames")
    assert footer(record()) == ""
    assert waterfall(record()) is None


def test_the_top_line_of_a_sized_frame() -> None:
    said = headline(record(frame(0, 4.0), frame(1, status=Status.LOW_COUNTS), frame(2, 4.2), frame(4, 4.4)))
    assert said.size == "4.40 nm  [4.30, 4.50]"
    # Through (0, 4.0), (1, 4.2), (2, 4.4) in minutes, by hand: 0.2 nm/min.
    assert said.growth == "+0.20 nm/min"
    assert said.status == "● sized"
    assert said.counts == "4 frames: 3 sized, 1 refused (1 low counts)"


def test_the_top_line_of_a_refused_frame_shows_no_size() -> None:
    said = headline(
        record(frame(0, 4.0), frame(1, status=Status.BAD_FRAME), frame(2, status=Status.BAD_FRAME))
    )
    assert said.size == "— nm"
    assert said.status == "✕ bad frame"
    assert said.counts == "3 frames: 1 sized, 2 refused (2 bad frame)"


@pytest.mark.parametrize("sizes", [[], [4.0], [4.0, 4.1]])
def test_no_growth_before_three_sizes(sizes: list[float]) -> None:
    assert math.isnan(growth_nm_per_minute([frame(number, size) for number, size in enumerate(sizes)]))


def test_growth_is_of_the_newest_ten_and_agrees_with_a_polynomial_fit() -> None:
    rng = np.random.default_rng(1)
    frames = [frame(number, 3 + 0.3 * np.sqrt(number) + rng.normal(0, 0.05)) for number in range(40)]
    frames[35] = frame(35, status=Status.NO_CRYSTAL)
    last = [one for one in frames if one.status is Status.SIZED][-10:]
    slope = np.polyfit([one.minutes for one in last], [one.size_nm for one in last], 1)[0]
    assert growth_nm_per_minute(frames) == pytest.approx(slope, rel=1e-9)
    assert math.isnan(growth_nm_per_minute([frame(3, size, minutes=1.0) for size in (1.0, 2.0, 3.0)]))


def test_every_status_has_its_own_look() -> None:
    assert set(LOOKS) == set(Status)
    for what in ("words", "colour", "sign", "marker", "glyph"):
        assert len({getattr(look, what) for look in LOOKS.values()}) == len(Status)


def test_a_frame_pointed_at_tells_its_reason() -> None:
    refused = frame(7, status=Status.LOW_COUNTS, reason="300 counts, at least 1000 are needed")
    told = tell_frame(refused)
    assert told.startswith("frame 7, ")
    assert told.endswith(": low counts: 300 counts, at least 1000 are needed")
    assert tell_frame(frame(8, 4.0)).endswith(": 4.00 nm [3.90, 4.10]")


def test_limits_hold_all_that_is_shown() -> None:
    low, high = size_limits_nm(record(frame(0, 4.0), frame(1), frame(2, 5.0, truth_nm=6.0)))
    assert low < 3.9
    assert 6.0 < high < 6.5
    assert size_limits_nm(record(frame(0))) == (0.0, 10.0)


def test_a_waterfall_is_even_in_time_and_blank_where_nothing_was_measured() -> None:
    shown = waterfall(
        record(*(frame(number, 4.0, pattern=np.full(3, float(number))) for number in (0, 1, 2, 6, 7)))
    )
    assert shown is not None
    assert shown.minutes == (-0.25, 3.75)
    assert shown.q_inv_angstrom == (0.75, 2.25)
    # The pause holds rows 3 to 5; at most one usual step is bridged at either end.
    np.testing.assert_array_equal(shown.image[:, 0], [0, 1, 2, 2, NAN, 6, 6, 7])
    assert shown.highest == 10


def test_a_colour_scale_hardly_ever_changes() -> None:
    ends = [
        waterfall(record(frame(0, 4.0, pattern=np.full(3, value)))).highest  # type: ignore[union-attr]
        for value in (0.0, 11.0, 19.0, 21.0, 49.0, 51.0)
    ]
    assert ends == [1, 20, 20, 50, 50, 100]


def test_a_waterfall_of_a_long_run_has_as_many_rows_as_a_screen() -> None:
    frames = [frame(number, 4.0, pattern=np.full(3, float(number))) for number in range(4000)]
    shown = waterfall(record(*frames))
    assert shown is not None
    assert shown.image.shape == (400, 3)
    assert np.all(np.diff(shown.image[:, 0]) > 0)


def test_frames_of_another_grid_and_a_clock_that_stepped_back_do_no_harm() -> None:
    shown = waterfall(
        record(
            frame(0, 4.0, pattern=np.zeros(5)),
            frame(1, 4.0, pattern=np.full(3, 2.0), minutes=5.0),
            frame(2, 4.0, pattern=np.full(3, 1.0), minutes=4.0),
            frame(3, 4.0, pattern=np.full(3, NAN), minutes=6.0),
        )
    )
    assert shown is not None
    np.testing.assert_array_equal(shown.image[:, 0], [1, 2, NAN])

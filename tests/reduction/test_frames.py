import numpy as np
import pytest

from qdsizer_stream.errors import CalibrationError
from qdsizer_stream.reduction import AppliedCorrections, strip_counts

ROW = np.arange(2560)


@pytest.mark.parametrize(
    "frame",
    [
        ROW,
        ROW[None, :],
        ROW.reshape(2, 1280),
        ROW.reshape(2, 1, 1280),
        ROW.tolist(),
        ROW.astype("f8"),
        ROW.astype("u4"),
    ],
)
def test_layouts_of_one_counter(frame: object) -> None:
    counts = strip_counts(frame, 2560)  # type: ignore[arg-type]
    assert counts.dtype == np.float64
    assert np.array_equal(counts, ROW)


@pytest.mark.parametrize("counter", [0, 1, 2])
@pytest.mark.parametrize("shape", [(2560, 3), (7680,), (1, 7680), (2, 3840), (2, 1280, 3), (1, 2560, 3)])
def test_layouts_of_three_counters(shape: tuple[int, ...], counter: int) -> None:
    interleaved = np.stack([ROW, ROW + 10_000, ROW + 20_000], axis=1)
    counts = strip_counts(interleaved.reshape(shape), 2560, n_counters=3, counter=counter)
    assert np.array_equal(counts, ROW + 10_000 * counter)


def test_one_module_with_counters() -> None:
    frame = np.stack([np.arange(1280), np.zeros(1280)], axis=1)
    assert np.array_equal(strip_counts(frame, 1280, 2, 0), np.arange(1280))
    assert np.array_equal(strip_counts(frame.ravel(), 1280, 2, 0), np.arange(1280))


def test_frame_is_not_changed() -> None:
    frame = np.ones(1280)
    strip_counts(frame, 1280)[:] = 5
    assert np.all(frame == 1)


@pytest.mark.parametrize(
    ("frame", "n_counters", "message"),
    [
        (
            np.zeros(1281),
            1,
            r"the frame has 1281 values, not a multiple of 1280: part of a module is missing",
        ),
        (
            np.zeros(23 * 1280),
            1,
            r"29440 values \(23 modules\); the calibration is for 2560 strips",
        ),
        (np.zeros(2560), 3, r"2560 values \(2 modules\); .* 2560 strips × 3 counters"),
        (
            np.zeros((3, 2560)),
            3,
            r"the frame has shape \(3, 2560\): give one frame of 2560 strips, counters last: \(7680,\) or",
        ),
        (np.zeros((1280, 2)), 1, r"the frame has shape \(1280, 2\)"),
        ("counts", 1, "the frame contains <U6, not numbers"),
        (np.zeros(2560, complex), 1, "the frame contains complex128, not numbers"),
        ([[1, 2], [3]], 1, "the frame is not an array of numbers"),
        (None, 1, "the frame contains object, not numbers"),
        (np.zeros(0), 1, "the frame has 0 values"),
    ],
)
def test_frame_of_another_layout_is_refused(frame: object, n_counters: int, message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        strip_counts(frame, 2560, n_counters)  # type: ignore[arg-type]


def test_switches_of_admythen() -> None:
    # The driver's defaults: everything on.
    on = {"UseFlatField": 1, "UseCountRate": 1, "UseBadChanIntrpl": 1, "Tau": -1, "ReadMode": "Corrected"}
    every = AppliedCorrections(flat_field=True, rate=True, bad_strip_interpolation=True)
    assert AppliedCorrections.from_readings(on) == every
    assert AppliedCorrections.from_readings({**on, "ReadMode": "Raw"}) == AppliedCorrections()
    assert AppliedCorrections.from_readings({**on, "ReadMode": 0}) == AppliedCorrections()
    assert AppliedCorrections.from_readings({**on, "ReadMode": "Processed"}) == every
    assert AppliedCorrections.from_readings({**on, "ReadMode": 1}) == every
    assert AppliedCorrections.from_readings({**on, "UseFlatField": 0}).flat_field is False


def test_what_is_read_back_counts_more_than_what_was_asked() -> None:
    readings = {"UseCountRate": 0, "UseCountRate_RBV": 1}
    assert AppliedCorrections.from_readings(readings).rate


def test_switches_of_lima() -> None:
    readings = {"flatFieldCorrection": True, "rateCorrection": False, "badChannelInterpolation": "On"}
    assert AppliedCorrections.from_readings(readings) == AppliedCorrections(
        flat_field=True, bad_strip_interpolation=True
    )


def test_no_switch_means_nothing_applied() -> None:
    assert AppliedCorrections.from_readings({"temperature": 25.0}) == AppliedCorrections()


@pytest.mark.parametrize(
    ("readings", "message"),
    [
        ({"UseFlatField": 2}, r"UseFlatField is 2: it must be 0 \(not applied\) or 1"),
        ({"ReadMode": "Fast"}, r"ReadMode is 'Fast': it must be Raw \(0\) or Corrected \(1\)"),
    ],
)
def test_switch_that_is_neither_on_nor_off(readings: dict[str, object], message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        AppliedCorrections.from_readings(readings)

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdsizer_stream.errors import CalibrationError, ConfigurationError
from qdsizer_stream.reduction import (
    AngleConvention,
    FlatField,
    FlatLayout,
    StripDetector,
    StripModule,
    nominal_detector,
    read_angle_calibration,
    read_bad_strips,
    read_flat_field,
    two_theta,
    write_angle_calibration,
    write_bad_strips,
    write_flat_field,
)

# Lines as beamlines write them: blanks in front, uneven blanks, a flipped module.
OFF_FILE = (
    " module 0 center 643.320033188550 +- 0.0000 conversion 0.657661167459868E-04 +- 0.0000 "
    "offset  0.00000000000000     +- 0.0000 \n"
    "module 1 center 633.044070300816 +- 0.0000 conversion -0.6581179125e-4 +- 0.0000 "
    "offset 5.00486981153634 +- 0.0000\n"
)


def test_angle_calibration_of_a_beamline(tmp_path: Path, x04sa_module: StripModule) -> None:
    path = tmp_path / "ang.off"
    path.write_text(OFF_FILE)
    first, second = read_angle_calibration(path, AngleConvention.PSI)
    assert first == x04sa_module
    assert second.conversion_rad_per_strip == -0.6581179125e-4
    assert second.offset_deg == 5.00486981153634


def test_gda_convention_replaces_the_centre_angle(tmp_path: Path) -> None:
    path = tmp_path / "ang.off"
    path.write_text(OFF_FILE.splitlines()[0])
    (module,) = read_angle_calibration(path, AngleConvention.GDA)
    strip = np.array([100.0])
    by_hand = 2.404350 + math.degrees(math.atan((100 - 643.320033188550) * 0.657661167459868e-4))
    assert two_theta(module, strip, 0.0)[0] == pytest.approx(by_hand, abs=1e-12)
    # The two conventions differ by 0.02 degree here: they must never be mixed up.
    (psi,) = read_angle_calibration(path, AngleConvention.PSI)
    assert two_theta(psi, strip, 0.0)[0] - by_hand == pytest.approx(2.42411 - 2.40435, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("convention", list(AngleConvention))
@given(centre=st.floats(-1000, 2000), conversion=st.floats(5e-5, 9e-5), offset=st.floats(-10, 130))
def test_angle_calibration_survives_a_round_trip(
    tmp_path_factory: pytest.TempPathFactory,
    convention: AngleConvention,
    centre: float,
    conversion: float,
    offset: float,
) -> None:
    modules = tuple(
        StripModule(centre_strip=centre, conversion_rad_per_strip=k, offset_deg=offset)
        for k in (conversion, -conversion)
    )
    path = tmp_path_factory.mktemp("off") / "ang.off"
    write_angle_calibration(path, modules, convention)
    for before, after in zip(modules, read_angle_calibration(path, convention), strict=True):
        assert after.conversion_rad_per_strip == before.conversion_rad_per_strip
        assert after.centre_strip == before.centre_strip
        assert after.offset_deg == pytest.approx(before.offset_deg, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "contains no module: it must have lines 'module N center …'"),
        ("module 0 pitch 0.05 tilt 0.1\n", "line 1: 'module 0 pitch 0.05 tilt 0.1' is not a module"),
        (OFF_FILE + OFF_FILE, "line 3: module 0 is given twice"),
        (OFF_FILE.splitlines()[1], r"modules \[0\] of 0 … 1 are missing: give one line per module"),
    ],
)
def test_angle_calibration_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "ang.off"
    path.write_text(text)
    with pytest.raises(CalibrationError, match=message):
        read_angle_calibration(path, AngleConvention.PSI)


def test_conversion_out_of_range_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "ang.off"
    path.write_text(OFF_FILE.replace("E-04", "E-01"))
    with pytest.raises(ConfigurationError, match=r"line 1: conversion_rad_per_strip: .* less than 0.001"):
        read_angle_calibration(path, AngleConvention.PSI)


def test_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"cannot read angle calibration .*No such file"):
        read_angle_calibration(tmp_path / "none.off", AngleConvention.PSI)


def test_module_that_stands_still_does_not_fit_the_format(tmp_path: Path, x04sa_module: StripModule) -> None:
    still = x04sa_module.model_copy(update={"arm_factor": 0})
    with pytest.raises(CalibrationError, match="module 0 has arm_factor 0"):
        write_angle_calibration(tmp_path / "ang.off", [still], AngleConvention.PSI)


def test_bad_strips_with_ranges(tmp_path: Path) -> None:
    path = tmp_path / "bad.chans"
    path.write_text("1279\n20-22\n21 # again\n\n0\n")
    assert read_bad_strips(path, 1280).tolist() == [0, 20, 21, 22, 1279]


def test_empty_bad_strip_list_is_a_list(tmp_path: Path) -> None:
    path = tmp_path / "bad.chans"
    path.write_text("")
    assert read_bad_strips(path, 1280).size == 0


@given(st.sets(st.integers(0, 1279)))
def test_bad_strips_survive_a_round_trip(tmp_path_factory: pytest.TempPathFactory, strips: set[int]) -> None:
    path = tmp_path_factory.mktemp("bad") / "bad.chans"
    write_bad_strips(path, strips)
    assert read_bad_strips(path, 1280).tolist() == sorted(strips)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1280", "line 1: strips 1280 to 1280 are not on a detector of 1280 strips: give 0 … 1279"),
        ("42-20", "strips 42 to 20 are not on a detector"),
        ("12,13", "line 1: '12,13' is neither a strip number nor a range such as 20-42"),
    ],
)
def test_bad_strip_list_that_cannot_be_used(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "bad.chans"
    path.write_text(line)
    with pytest.raises(CalibrationError, match=message):
        read_bad_strips(path, 1280)


def test_flat_of_counts(tmp_path: Path) -> None:
    path = tmp_path / "flat.raw"
    counts = np.full(1280, 10000)
    counts[3], counts[7] = 12100, 0
    path.write_text("".join(f"{strip} {count}\n" for strip, count in enumerate(counts)))
    flat = read_flat_field(path, 1280, FlatLayout.COUNTS)
    assert flat.holds_width
    assert np.isnan(flat.response[7])
    assert flat.response[3] / flat.response[0] == pytest.approx(1.21)
    assert np.nanmean(flat.response) == pytest.approx(1.0)
    assert flat.sigma[0] / flat.response[0] == pytest.approx(0.01)  # 1/sqrt(10 000)


@pytest.mark.parametrize("between", ["# a comment\n", "\n", "  # indented\n"])
def test_lines_without_numbers_are_passed_over(tmp_path: Path, between: str) -> None:
    """In all three kinds of files, first, last and in the middle."""
    flat, angles, bad = tmp_path / "flat.raw", tmp_path / "ang.off", tmp_path / "bad.chans"
    rows = [f"{strip} {1 + (strip == 3)}\n" for strip in range(1280)]
    flat.write_text(between + "".join(rows[:5]) + between + "".join(rows[5:]) + between)
    angles.write_text(between.join(["", *OFF_FILE.splitlines(keepends=True), ""]))
    bad.write_text(between.join(["", "7\n", "20-22\n", ""]))
    response = read_flat_field(flat, 1280, FlatLayout.COUNTS).response
    assert response[3] / response[1279] == pytest.approx(2.0)
    (tmp_path / "plain.off").write_text(OFF_FILE)
    plain = read_angle_calibration(tmp_path / "plain.off", AngleConvention.PSI)
    assert read_angle_calibration(angles, AngleConvention.PSI) == plain
    assert len(plain) == 2
    assert read_bad_strips(bad, 1280).tolist() == [7, 20, 21, 22]


def test_flat_of_five_columns(tmp_path: Path) -> None:
    path = tmp_path / "flat.txt"
    rows = [f"{strip} {2.0 if strip else -1.0} 0.02 4e-9 0.00377" for strip in range(1280)]
    path.write_text("channel flat error solid_angle width\n" + "\n".join(rows))
    flat = read_flat_field(path, 1280, FlatLayout.ANGCAL)
    assert not flat.holds_width
    assert np.isnan(flat.response[0])
    assert flat.response[1] == pytest.approx(1.0)
    assert flat.sigma[1] == pytest.approx(0.01)


@pytest.mark.parametrize("holds_width", [True, False])
def test_flat_survives_a_round_trip(tmp_path: Path, holds_width: bool) -> None:
    counts = np.random.default_rng(1).poisson(1e4, 2560).astype(float)
    counts[5] = 0
    flat = FlatField.from_counts(counts)
    if not holds_width:
        flat = FlatField(flat.response, flat.sigma, holds_width=False)
    path = tmp_path / "flat.txt"
    write_flat_field(path, flat, nominal_detector(2, 0.0))
    again = read_flat_field(path, 2560, FlatLayout.COUNTS if holds_width else FlatLayout.ANGCAL)
    assert again.holds_width == holds_width
    assert again.response == pytest.approx(flat.response, rel=1e-9, nan_ok=True)
    assert again.sigma == pytest.approx(flat.sigma, rel=1e-9, nan_ok=True)


def test_written_solid_angles_are_those_of_the_strips(tmp_path: Path, x04sa_pair: StripDetector) -> None:
    flat = FlatField(np.ones(2560), np.full(2560, 0.01), holds_width=False)
    write_flat_field(tmp_path / "flat.txt", flat, x04sa_pair)
    solid_angle = np.loadtxt(tmp_path / "flat.txt", skiprows=1)[:, 3]
    # Normal strip: 0.05 mm × 8 mm at 760.27 mm.
    assert solid_angle[643] == pytest.approx(0.05 * 8 / 760.27**2, rel=1e-5)
    # Strips at the edge: farther away, and seen at a slant.
    distance, foot = 0.05 / 0.657661167459868e-4, 643.320033188550
    for strip in (0, 1279):
        across = (strip - foot) * 0.05
        expected = 0.05 * 8 * distance / (distance**2 + across**2) ** 1.5
        assert solid_angle[strip] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("text", "layout", "message"),
    [
        (
            "0 1 2 3 4\n",
            FlatLayout.COUNTS,
            "5 columns, but layout 'counts' has 2: give the layout of this file",
        ),
        (
            "0 1\n",
            FlatLayout.COUNTS,
            "has 1 rows, the detector strips 0 … 1279: every strip must appear exactly once",
        ),
        ("", FlatLayout.ANGCAL, "has 0 rows"),
        ("0 1\nx y\n", FlatLayout.COUNTS, "line 2: 'x y' is not a row of numbers"),
        (
            "".join(f"{strip} {'inf' if strip == 7 else 1}\n" for strip in range(1280)),
            FlatLayout.COUNTS,
            "strip 7 has an infinite value: give 0 for strips without counts",
        ),
    ],
)
def test_flat_that_cannot_be_used(tmp_path: Path, text: str, layout: FlatLayout, message: str) -> None:
    path = tmp_path / "flat.raw"
    path.write_text(text)
    with pytest.raises(CalibrationError, match=message):
        read_flat_field(path, 1280, layout)


def test_flat_without_light_is_refused() -> None:
    with pytest.raises(CalibrationError, match="no strip with a positive response"):
        FlatField.from_counts(np.zeros(1280))
    with pytest.raises(CalibrationError, match="0 strips: it must have whole modules of 1280"):
        FlatField(np.zeros(0), np.zeros(0), holds_width=False)
    with pytest.raises(CalibrationError, match="1281 strips: it must have whole modules of 1280"):
        FlatField.from_counts(np.ones(1281))
    with pytest.raises(CalibrationError, match="the flat field has 1280 strips, the detector 2560"):
        write_flat_field(Path("x"), FlatField.from_counts(np.ones(1280)), nominal_detector(2, 0.0))

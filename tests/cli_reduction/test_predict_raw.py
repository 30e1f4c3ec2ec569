"""Sizes of raw frames in files: the three formats give one answer."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from qdsizer_stream.patterns import q_from_two_theta
from qdsizer_stream.reduction import (
    AngleConvention,
    RawFrame,
    ReductionConfig,
    nominal_detector,
    write_angle_calibration,
    write_nxmonopd,
    write_raw_text,
)
from qdsizer_stream.simulation import GrowingDots, SynthesisRecipe
from qdsizer_stream.sizing import Sizer, SizingConfig

from ..conftest import Run

WAVELENGTH = 0.5637
DETECTOR = nominal_detector(24, 0.0)

TABLES = """
[{table}]
arm_deg = 0.0
[{table}.detector]
path = "ang.off"
convention = "psi"
strip_origin = "centre"
global_offset_deg = 0.0
"""


@pytest.fixture(scope="module")
def frame() -> np.ndarray:
    """Counts of dots in solvent."""
    q = np.abs(q_from_two_theta(DETECTOR.two_theta(0.0), WAVELENGTH))
    dots = GrowingDots(
        SynthesisRecipe(wavelength_angstrom=WAVELENGTH, growth_time_s=100.0), q_max_inv_angstrom=q.max()
    )
    return np.random.default_rng(2).poisson(40 * dots(q, 200.0))


@pytest.fixture(scope="module")
def expected(frame: np.ndarray) -> dict[str, Any]:
    sizer = Sizer(SizingConfig(reduction=ReductionConfig(detector=DETECTOR, arm_deg=0.0)))
    return sizer.size_frame(frame, WAVELENGTH).to_dict()


def beamline(folder: Path, table: str = "reduction") -> Path:
    write_angle_calibration(folder / "ang.off", DETECTOR.modules, AngleConvention.PSI)
    path = folder / "qdsizer.toml"
    path.write_text(TABLES.format(table=table))
    return path


def as_text(path: Path, frame: np.ndarray) -> Path:
    write_raw_text(path.with_suffix(".raw"), frame)
    return path.with_suffix(".raw")


def as_x04sa(path: Path, frame: np.ndarray) -> Path:
    with h5py.File(path.with_suffix(".h5"), "w") as file:
        file["entry/instrument/detector/data"] = frame[None].astype(np.uint32)
        file["entry/instrument/NDAttributes/AcquireTime"] = [30.0]
        file["entry/instrument/NDAttributes/DetectorAngle"] = [0.0]
    return path.with_suffix(".h5")


def as_nxmonopd(path: Path, frame: np.ndarray) -> Path:
    raw = RawFrame(counts=frame, exposure_s=30.0, arm_deg=0.0, wavelength_angstrom=WAVELENGTH)
    write_nxmonopd(
        path.with_suffix(".nxs"), raw, DETECTOR,
        title="dots", sample="PbS", source="simulated", start_time=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    return path.with_suffix(".nxs")


@pytest.mark.slow
@pytest.mark.parametrize("write", [as_text, as_x04sa, as_nxmonopd])
@pytest.mark.parametrize("table", ["reduction", "sizing.reduction"])
def test_a_raw_frame_is_sized_as_in_memory(
    run: Run, tmp_path: Path, frame: np.ndarray, expected: dict[str, Any], write: Any, table: str
) -> None:
    file = write(tmp_path / "dots", frame)
    given = [] if write is as_nxmonopd else ["--wavelength", WAVELENGTH]  # it brings its own
    result = run("predict", file, "--raw", "--config", beamline(tmp_path, table), *given, "--json")
    assert result.code == 0, result.err
    row = json.loads(result.out)
    assert row["status"] == "sized"
    assert (row["file"], row["frame"], row["warnings"]) == (str(file), 0, [])
    for key in ("size_nm", "size_low_nm", "size_high_nm", "counts"):
        assert row[key] == pytest.approx(expected[key], rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("table", ["instrument", "sizing.instrument"])
def test_the_width_of_the_instrument_is_read_from_the_settings(
    run: Run, tmp_path: Path, frame: np.ndarray, table: str
) -> None:
    file, config = as_text(tmp_path / "dots", frame), beamline(tmp_path)
    config.write_text(f"{config.read_text()}\n[{table}]\nfwhm_inv_angstrom = 0.03\n")
    given = ("predict", file, "--raw", "--config", config, "--wavelength", WAVELENGTH, "--json")
    assert json.loads(run(*given).out)["resolution_inv_angstrom"] == pytest.approx(0.03, rel=1e-12)
    other = json.loads(run(*given, "--resolution", "0.02/A").out)
    assert other["resolution_inv_angstrom"] == pytest.approx(0.02, rel=1e-12)


def test_the_width_of_the_instrument_is_in_one_table(run: Run, tmp_path: Path, frame: np.ndarray) -> None:
    file, config = as_text(tmp_path / "dots", frame), beamline(tmp_path)
    tables = "[instrument]\nfwhm_deg = 0.03\n[sizing.instrument]\nfwhm_deg = 0.03\n"
    config.write_text(f"{config.read_text()}\n{tables}")
    result = run("predict", file, "--raw", "--config", config, "--wavelength", WAVELENGTH, "--json")
    assert result.code == 1
    assert "has tables [instrument] and [sizing.instrument]: keep only one of them" in result.err


def test_every_frame_of_a_file_has_its_line(run: Run, tmp_path: Path, frame: np.ndarray) -> None:
    hurt = frame.astype(np.int64)
    hurt[100:110] = -1
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["entry/instrument/detector/data"] = np.stack([frame, hurt, np.full_like(hurt, -1)])
    result = run(
        "predict", tmp_path / "two.h5", "--raw", "--config", beamline(tmp_path), "--wavelength", WAVELENGTH
    )
    rows = [json.loads(line) for line in result.out.splitlines()]
    assert [row["frame"] for row in rows] == [0, 1, 2]
    assert [row["status"] for row in rows] == ["sized", "sized", "bad_frame"]
    assert rows[1]["warnings"] == ["10 strips with a negative or missing count"]
    assert "no usable strip in the frame" in rows[2]["reason"]


@pytest.mark.slow
def test_raw_frames_without_what_they_need(run: Run, tmp_path: Path, frame: np.ndarray) -> None:
    file = as_text(tmp_path / "dots", frame)
    without_settings = run("predict", file, "--raw", "--wavelength", WAVELENGTH)
    assert without_settings.code != 0
    assert "raw frames require both --raw and --config" in without_settings.err
    without_light = run("predict", file, "--raw", "--config", beamline(tmp_path))
    assert without_light.code != 0
    assert "does not state the wavelength: give --wavelength in Å" in without_light.err
    reduced = run("predict", file, "--config", beamline(tmp_path), "--wavelength", WAVELENGTH)
    assert "patterns neither" in reduced.err

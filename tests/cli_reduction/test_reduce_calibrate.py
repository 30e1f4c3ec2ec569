import json
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pytest

# Importing the modules registers their commands.
from qdsizer_stream.patterns import Axis, read_pattern, two_theta_from_q
from qdsizer_stream.reduction import (
    AngleConvention,
    RawFrame,
    StripDetector,
    StripSimulator,
    nominal_detector,
    read_reduced,
    write_angle_calibration,
    write_nxmonopd,
    write_raw_text,
)

from ..conftest import Run

WAVELENGTH = 0.5637
DETECTOR = nominal_detector(12, 2.0)


@pytest.fixture
def beamline(tmp_path: Path) -> Path:
    write_angle_calibration(tmp_path / "ang.off", DETECTOR.modules, AngleConvention.PSI)
    path = tmp_path / "qdsizer.toml"
    path.write_text(
        """
        [reduction]
        [reduction.detector]
        path = "ang.off"
        convention = "psi"
        strip_origin = "centre"
        global_offset_deg = 2.0
        [reduction.bins]
        q_first_inv_angstrom = 0.5
        q_step_inv_angstrom = 0.02
        n_bins = 500
        """
    )
    return path


def counts(seed: int = 0, level: float = 20.0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(level, DETECTOR.n_strips)


def test_reduce_writes_a_nexus_file_beside_the_frame(run: Run, beamline: Path, tmp_path: Path) -> None:
    write_raw_text(tmp_path / "frame.raw", counts())
    result = run(
        "reduce", tmp_path / "frame.raw", "--config", beamline, "--wavelength", WAVELENGTH, "--arm", 0
    )
    assert result.code == 0
    pattern, provenance = read_reduced(tmp_path / "frame.reduced.h5")
    assert np.median(pattern.intensity[pattern.usable]) == pytest.approx(20, rel=0.02)
    assert provenance["wavelength_angstrom"] == WAVELENGTH
    assert list(provenance["sha256"]) == [str(tmp_path / "ang.off")]
    assert f"{tmp_path / 'frame.reduced.h5'}: " in result.out
    assert " counts of 1 frames" in result.out


@pytest.mark.parametrize(("name", "suffix", "axis"), [("q", "q.dat", Axis.Q), ("xye", "xye", Axis.TWO_THETA)])
def test_reduce_writes_text_that_predict_reads(
    run: Run, beamline: Path, tmp_path: Path, name: str, suffix: str, axis: Axis
) -> None:
    write_raw_text(tmp_path / "frame.raw", counts())
    result = run(
        "reduce", tmp_path / "frame.raw", "--config", beamline, "--wavelength", WAVELENGTH, "--arm", 0,
        "--format", name, "--out", tmp_path / "new" / "folder", "--json",
    )  # fmt: skip
    row = json.loads(result.out)
    assert row["file"] == str(tmp_path / "new" / "folder" / f"frame.{suffix}")
    pattern = read_pattern(Path(row["file"]), WAVELENGTH, axis)
    assert len(pattern) == row["points"]


def test_reduce_exports_the_customary_grid(run: Run, beamline: Path, tmp_path: Path) -> None:
    write_raw_text(tmp_path / "frame.raw", counts())
    result = run(
        "reduce", tmp_path / "frame.raw", "--config", beamline, "--wavelength", WAVELENGTH, "--arm", 0,
        "--format", "xye", "--angle-step", 0.0036, "--json",
    )  # fmt: skip
    assert result.code == 0
    angles, intensity, _ = np.loadtxt(tmp_path / "frame.xye").T
    steps = angles / 0.0036
    assert steps == pytest.approx(np.rint(steps), abs=1e-6)
    # Strips are wider than the bins: every strip that is alone in its bin, and no bin without one.
    assert 0.93 < angles.size / DETECTOR.n_strips <= 1
    assert json.loads(result.out)["counts"] == counts().sum()
    assert intensity.mean() == pytest.approx(20, rel=0.01)


def test_reduce_takes_what_the_file_knows(run: Run, beamline: Path, tmp_path: Path) -> None:
    frame = RawFrame(counts=counts(), exposure_s=2.0, arm_deg=1.5, wavelength_angstrom=0.62)
    write_nxmonopd(
        tmp_path / "frame.nxs", frame, DETECTOR, title="t", sample="s", source="r",
        start_time=datetime(2026, 5, 4, tzinfo=UTC),
    )  # fmt: skip
    assert run("reduce", tmp_path / "frame.nxs", "--config", beamline).code == 0
    pattern, provenance = read_reduced(tmp_path / "frame.reduced.h5")
    assert provenance["wavelength_angstrom"] == 0.62
    lowest = two_theta_from_q(pattern.q_inv_angstrom[pattern.usable][:1], 0.62)[0]
    assert lowest == pytest.approx(3.5, abs=0.2)


def test_reduce_adds_the_frames_of_a_stack_or_keeps_them_apart(
    run: Run, beamline: Path, tmp_path: Path
) -> None:
    with h5py.File(tmp_path / "stack.h5", "w") as file:
        file["entry/instrument/detector/data"] = np.stack([counts(1), counts(2)]).astype("u4")
        file["entry/instrument/NDAttributes/DetectorAngle"] = np.array([0.0, 0.5])
    command = ("reduce", tmp_path / "stack.h5", "--config", beamline, "--wavelength", WAVELENGTH, "--json")
    apart = [json.loads(line) for line in run(*command).out.splitlines()]
    assert [Path(row["file"]).name for row in apart] == ["stack_0000.reduced.h5", "stack_0001.reduced.h5"]
    together = json.loads(run(*command, "--together").out)
    assert Path(together["file"]).name == "stack_sum.reduced.h5"
    assert together["n_frames"] == 2
    assert together["counts"] == sum(row["counts"] for row in apart)
    # The second position fills the gaps of the first.
    assert together["points"] > max(row["points"] for row in apart)


def test_reduce_goes_on_after_a_bad_file_and_fails(run: Run, beamline: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.raw").write_text("0 12\n")
    write_raw_text(tmp_path / "good.raw", counts())
    result = run(
        "reduce", tmp_path / "bad.raw", tmp_path / "good.raw", "--config", beamline,
        "--wavelength", WAVELENGTH, "--arm", 0,
    )  # fmt: skip
    assert result.code == 1
    assert "bad.raw: the frame has 1280 values (1 module); the calibration is for 15360 strips" in result.err
    assert (tmp_path / "good.reduced.h5").exists()


def test_reduce_warns_of_masked_strips(run: Run, beamline: Path, tmp_path: Path) -> None:
    frame = counts()
    frame[1280:2560] = 0
    write_raw_text(tmp_path / "frame.raw", frame)
    result = run(
        "reduce", tmp_path / "frame.raw", "--config", beamline, "--wavelength", WAVELENGTH, "--arm", 0
    )
    assert result.code == 0
    assert "frame: modules [1] have no counts" in result.err


def test_reduce_asks_for_what_is_missing(run: Run, beamline: Path, tmp_path: Path) -> None:
    write_raw_text(tmp_path / "frame.raw", counts())
    no_light = run("reduce", tmp_path / "frame.raw", "--config", beamline)
    assert no_light.code == 2
    assert "does not state the wavelength" in no_light.err
    no_arm = run("reduce", tmp_path / "frame.raw", "--config", beamline, "--wavelength", WAVELENGTH)
    assert no_arm.code == 1
    assert "the frame has no arm angle" in no_arm.err
    assert "set arm_deg in [reduction] for an arm that never moves" in no_arm.err
    no_config = run("reduce", tmp_path / "frame.raw", "--config", tmp_path / "none.toml")
    assert no_config.code == 1
    assert "cannot read configuration" in no_config.err


@pytest.mark.slow
def test_reduce_takes_backgrounds_off(run: Run, beamline: Path, tmp_path: Path) -> None:
    # The same command makes the background and, once the settings name it, takes it off.
    options = ("--config", beamline, "--wavelength", WAVELENGTH, "--arm", 0)
    for number in range(20):
        write_raw_text(tmp_path / f"solvent_{number}.raw", counts(100 + number, level=30))
    solvents = sorted(tmp_path.glob("solvent_*.raw"))
    together = json.loads(run("reduce", *solvents, *options, "--together", "--json").out)
    assert together["n_frames"] == 20
    beamline.write_text(
        beamline.read_text()
        + f"""
        [background]
        solvent_scale = 1.0
        [background.solvent]
        path = "{Path(together["file"]).name}"
        """
    )
    write_raw_text(tmp_path / "sample.raw", counts(5, level=70))
    assert run("reduce", tmp_path / "sample.raw", *options).code == 0
    pattern, provenance = read_reduced(tmp_path / "sample.reduced.h5")
    assert np.nanmean(pattern.intensity) == pytest.approx(70 - 30, rel=5e-3)
    assert provenance["solvent_scale"] == [1.0, 0.005]
    with h5py.File(tmp_path / "sample.reduced.h5") as file:
        assert {"Idev_background", "Idev_solvent_scale", "Idev_flat_field"} < set(file["entry/data"])


def test_reduce_says_which_background_is_missing(run: Run, beamline: Path, tmp_path: Path) -> None:
    beamline.write_text(beamline.read_text() + '[background.air]\npath = "none.h5"\n')
    write_raw_text(tmp_path / "frame.raw", counts())
    result = run(
        "reduce", tmp_path / "frame.raw", "--config", beamline, "--wavelength", WAVELENGTH, "--arm", 0
    )
    assert result.code == 1
    assert "cannot read" in result.err
    assert "none.h5" in result.err


def silicon(detector: StripDetector, path: Path) -> None:
    """A frame of silicon, lines in the order of their indices with round numbers for their strengths."""
    sums = (3, 8, 11, 16, 19, 24, 27, 32, 35, 40, 43, 48, 51, 56, 59, 64, 67, 72, 75, 80, 83, 88, 91, 96, 99)

    def intensity(q: np.ndarray) -> np.ndarray:
        angles = two_theta_from_q(q, WAVELENGTH)
        centres = 2 * np.degrees(np.arcsin(WAVELENGTH * np.sqrt(sums) / (2 * 5.431144)))
        return 20 + 2000 * sum(np.exp(-0.5 * ((angles - c) / 0.015) ** 2) for c in centres)

    simulator = StripSimulator(detector=detector)
    photons = simulator.photons(intensity, WAVELENGTH, 0.0, 1.0)
    write_raw_text(path, simulator.count(photons, 1.0, np.random.default_rng(3)))


@pytest.mark.slow
def test_calibrate_prints_offset_and_residuals(run: Run, beamline: Path, tmp_path: Path) -> None:
    silicon(DETECTOR.model_copy(update={"global_offset_deg": 2.02}), tmp_path / "si.raw")
    command = (
        "calibrate", tmp_path / "si.raw", "--config", beamline, "--standard", "Si",
        "--wavelength", 0.5636, "--arm", 0,
    )  # fmt: skip
    result = run(*command, "--json", "--picture", tmp_path / "residuals.png")
    assert result.code == 0
    found = json.loads(result.out)
    assert found["global_offset_deg"] == pytest.approx(2.02, abs=5e-4)
    assert found["wavelength_angstrom"] == pytest.approx(WAVELENGTH, rel=2e-5)
    assert found["modules_off"] == []
    assert (tmp_path / "residuals.png").stat().st_size > 10_000
    text = run(*command)
    assert text.code == 0
    assert "global_offset_deg = 2.0" in text.out
    assert "(was 2.00000); set it in [reduction.detector]" in text.out


def test_calibrate_says_when_a_module_is_off(run: Run, beamline: Path, tmp_path: Path) -> None:
    modules = list(DETECTOR.modules)
    modules[4] = modules[4].model_copy(update={"offset_deg": modules[4].offset_deg + 0.008})
    silicon(DETECTOR.model_copy(update={"modules": tuple(modules)}), tmp_path / "si.raw")
    command = (
        "calibrate", tmp_path / "si.raw", "--config", beamline, "--standard", "Si",
        "--wavelength", WAVELENGTH, "--arm", 0, "--hold-wavelength",
    )  # fmt: skip
    result = run(*command)
    assert result.code == 2
    assert "modules [4] are misaligned: recalibrate them" in result.out
    assert json.loads(run(*command, "--json").out)["modules_off"] == [4]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("--standard", "Cu"), "'Cu' is not a known standard: choose Si, LaB6, CeO2, Ni"),
        ((), "neither the frame file nor the settings state the angle of the arm"),
        (("--arm", "0"), "0 of 22 lines of Si found"),
    ],
)
def test_calibrate_refuses(
    run: Run, beamline: Path, tmp_path: Path, changes: tuple[str, ...], message: str
) -> None:
    write_raw_text(tmp_path / "flat.raw", counts())
    command = ["calibrate", tmp_path / "flat.raw", "--config", beamline, "--wavelength", WAVELENGTH]
    result = run(*command, *changes, *(() if "--standard" in changes else ("--standard", "Si")))
    assert result.code != 0
    assert message in " ".join(result.err.replace("│", " ").split())

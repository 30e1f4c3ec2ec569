import json
import os
from pathlib import Path

import numpy as np
import pytest
from rich.text import Text

from qdsizer_stream.simulation import GrowingDots, SynthesisRecipe, read_library

from ..conftest import Run


@pytest.fixture(scope="module")
def pattern_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five-nanometre dots in toluene, angles descending."""
    two_theta = np.linspace(80, 5, 12_000)
    q = 4 * np.pi * np.sin(np.radians(two_theta / 2)) / 0.5637
    dots = GrowingDots(
        SynthesisRecipe(wavelength_angstrom=0.5637, growth_time_s=1000.0), q_max_inv_angstrom=16.0
    )
    counts = np.random.default_rng(0).poisson(1000 * dots(q, 835.0))
    path = tmp_path_factory.mktemp("patterns") / "dots.xy"
    np.savetxt(path, np.column_stack([two_theta, counts]), header="two_theta counts")
    return path


@pytest.mark.slow
def test_predict_prints_one_json_object_a_file(run: Run, pattern_file: Path) -> None:
    result = run("predict", pattern_file, pattern_file, "--wavelength", 0.5637, "--json")
    assert result.code == 0, result.err
    first, second = map(json.loads, result.out.splitlines())
    assert first == second
    assert list(first) == [
        "file", "status", "reason", "size_nm", "size_low_nm", "size_high_nm", "size_frame_sd_nm",
        "size_shared_sd_nm", "mass_mean_nm", "mass_mean_low_nm", "mass_mean_high_nm", "mass_mean_frame_sd_nm",
        "mass_mean_shared_sd_nm", "dispersion", "dispersion_low", "dispersion_high", "population",
        "lattice_parameter_angstrom", "two_theta_shift_deg", "class_nm", "class_probability",
        "residual", "phases", "material", "counts", "q_min", "q_max", "resolution_inv_angstrom",
        "model", "warnings",
    ]  # fmt: skip
    assert first["status"] == "sized"
    assert first["size_nm"] == pytest.approx(5.0, abs=0.25)
    assert first["class_nm"] is None


@pytest.mark.slow
def test_predict_with_the_papers_classes(run: Run, pattern_file: Path) -> None:
    result = run("predict", pattern_file, "--wavelength", 0.5637, "--model", "pbs-paper", "--json")
    answer = json.loads(result.out)
    assert answer["status"] == "sized"
    assert answer["class_nm"] in (4.5, 5.0, 5.5)


def test_a_frame_without_dots_is_an_answer_not_a_failure(run: Run, tmp_path: Path) -> None:
    np.savetxt(tmp_path / "flat.xy", np.column_stack([np.linspace(5, 80, 3000), np.full(3000, 50.0)]))
    result = run("predict", tmp_path / "flat.xy", "--wavelength", 0.5637)
    answer = json.loads(result.out)
    assert (result.code, answer["status"], answer["size_nm"]) == (0, "no_crystal", None)
    assert answer["reason"]


@pytest.mark.slow
def test_explained_checks_as_json(run: Run, pattern_file: Path, tmp_path: Path) -> None:
    np.savetxt(tmp_path / "flat.xy", np.column_stack([np.linspace(5, 80, 3000), np.full(3000, 50.0)]))
    result = run("predict", pattern_file, tmp_path / "flat.xy", "--wavelength", 0.5637, "--explain", "--json")
    sized, rejected = (json.loads(line) for line in result.out.splitlines())
    assert all(check["passed"] for check in sized["checks"])
    assert [check["name"] for check in sized["checks"]][-1] == "relative interval"
    size = next(check for check in sized["checks"] if check["name"] == "size")
    assert (size["value"], size["minimum"], size["maximum"]) == (sized["size_nm"], 1.8, 11.0)
    first = next(check for check in rejected["checks"] if not check["passed"])
    assert first["message"] == rejected["reason"]
    assert first["name"] == "χ² fall by dots"
    # Checks after the first that fails have their values too.
    assert len(rejected["checks"]) == len(sized["checks"])


def test_explained_checks_in_a_terminal(
    run: Run, pattern_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    q_short = np.column_stack([np.linspace(1, 2.2, 500), np.full(500, 50.0)])
    np.savetxt(tmp_path / "short.xy", q_short)
    monkeypatch.setenv("FORCE_COLOR", "1")  # what makes a terminal of a pipe
    monkeypatch.setenv("COLUMNS", "80")
    options = ("--wavelength", 0.5637, "--axis", "q", "--explain")
    monkeypatch.setenv("TERM", "xterm")
    lines = Text.from_ansi(run("predict", tmp_path / "short.xy", *options).out).plain.splitlines()
    assert max(map(len, lines)) <= 80
    rows = {
        cells[0]: cells[1:] for line in lines if len(cells := [c.strip() for c in line.split("│")[1:-1]]) == 4
    }
    assert rows["last Q"] == ["2.198 Å⁻¹", "≥ 2.5 Å⁻¹", "failed"]
    assert rows["first Q"][-1] == rows["photons"][-1] == "passed"
    assert "size" not in rows  # no fit of a frame that is rejected before it
    lines = Text.from_ansi(run("predict", pattern_file, *options[:2], "--explain").out).plain.splitlines()
    assert max(map(len, lines)) <= 80
    (size,) = (line for line in lines if line.startswith("│ size "))
    assert "1.8 to 11 nm" in size
    assert "passed" in size


@pytest.mark.slow
def test_predict_needs_a_wavelength(run: Run, pattern_file: Path) -> None:
    result = run("predict", pattern_file)
    assert result.code == 1
    assert result.err.startswith(f"error: {pattern_file}: angles need a wavelength, and the file states none")
    given = run("predict", pattern_file, "--energy", "22keV", "--json")
    assert json.loads(given.out)["status"] == "sized"
    both = run("predict", pattern_file, "--energy", "22keV", "--wavelength", 0.5637)
    assert both.code != 0
    assert "give one of the two" in both.err
    kev = run("predict", pattern_file, "--wavelength", 22)
    assert "(22 looks like keV: 0.5636 Å)" in kev.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty: is it still being written, or was its disk full?"),
        (b"1\n2\n3\n", "1 column, there must be at least 2"),
        (b"not a pattern\nat all\n", "contains no numbers"),
        (bytes(range(256)), "is not a text file"),
    ],
)
def test_bad_files_fail_and_good_ones_are_still_sized(
    run: Run, pattern_file: Path, tmp_path: Path, content: bytes, message: str
) -> None:
    bad = tmp_path / "bad.xy"
    bad.write_bytes(content)
    result = run("predict", bad, pattern_file, "--wavelength", 0.5637, "--json")
    assert result.code == 1
    assert result.err.startswith(f"error: {bad}")
    assert message in result.err
    assert json.loads(result.out)["status"] == "sized"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--wavelength", "0", "wavelength 0.0 Å is not an X-ray wavelength"),
        ("--model", "gold", "model 'gold' is unknown: choose cdse, pbs, pbs-paper"),
        ("--solvent", "none.xy", "none.xy: cannot read this file"),
    ],
)
def test_wrong_options_are_one_line(
    run: Run, pattern_file: Path, option: str, value: str, message: str
) -> None:
    options = {"--wavelength": "0.5637", option: value}
    result = run("predict", pattern_file, *(word for pair in options.items() for word in pair))
    assert result.code == 1
    assert message in result.err
    assert "Traceback" not in result.err
    assert result.out == ""


def test_a_damaged_model_is_refused(run: Run, pattern_file: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"\x08\x07broken")
    result = run("predict", pattern_file, "--wavelength", 0.5637, "--model", tmp_path / "broken.onnx")
    assert result.code == 1
    assert "is damaged or not ONNX" in result.err


@pytest.mark.slow
def test_simulate_writes_a_library(run: Run, tmp_path: Path) -> None:
    recipe = (Path(__file__).parents[2] / "qdsizer_stream/simulation/frames/recipes/paper.toml").read_text()
    small = recipe.replace("n_clusters = 45", "n_clusters = 25").replace("n_strains = 19", "n_strains = 2")
    (tmp_path / "small.toml").write_text(small)
    result = run("simulate", "--recipe", tmp_path / "small.toml", "--out", tmp_path / "small.h5", "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["patterns"] == 2 * 17 * 4
    assert read_library(tmp_path / "small.h5").intensity.shape == (136, 5004)


def test_simulate_into_nowhere(run: Run, tmp_path: Path) -> None:
    result = run("simulate", "--out", tmp_path / "no" / "library.h5")
    assert result.code == 1
    assert "does not exist: create it first" in result.err


def test_models_are_listed_shown_and_verified(run: Run) -> None:
    assert "pbs-paper" in run("models", "list").out
    card = json.loads(run("models", "show", "pbs").out)["card"]
    assert card["input"]["kind"] == "binned"
    assert "pbs is intact" in run("models", "verify", "pbs").out


def test_unknown_training_recipe(run: Run, tmp_path: Path) -> None:
    result = run("train", "--recipe", "gold", "--out", tmp_path / "gold.onnx")
    assert result.code == 1
    assert "training recipe 'gold' is unknown: choose from cdse, pbs, pbs-paper, " in result.err
    assert list(tmp_path.iterdir()) == []


def test_more_workers_than_cores_are_said(run: Run, tmp_path: Path) -> None:
    result = run("train", "--recipe", "pbs", "--out", tmp_path / "no.onnx", "--workers", 1024)
    assert result.code == 1
    n_cores = len(os.sched_getaffinity(0))
    assert f"1024 workers share {n_cores} core" in result.err
    assert "workers = 1024: batch_size = 256 cannot be shared equally" in result.err

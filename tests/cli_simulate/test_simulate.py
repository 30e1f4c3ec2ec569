import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from qdsizer_stream.cli import main

SMALL = """
name = "small"
material = "PbS"
wavelength_angstrom = 0.56
cut = "node"
n_clusters = 8
weighting = "number"
mean_diameters_nm = [2.0, 2.5]
dispersions = [0.1]
strain_first = 0.0
strain_last = 0.0
n_strains = 1
compton = true
b_angstrom2 = {}
grid = { q_first_inv_angstrom = 1.0, q_step_inv_angstrom = 0.05, n_points = 200 }
"""


class Result(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line as a shell calls it."""
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["qdsizer-stream", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        return Result(int(stop.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


def test_a_library_is_built(run: Run, small: Path, tmp_path: Path) -> None:
    result = run("simulate", "--recipe", small, "--out", tmp_path / "library.h5", "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["patterns"] == 2
    assert "warning" not in result.err


def test_a_population_that_is_cut_is_told_in_a_line(run: Run, small: Path, tmp_path: Path) -> None:
    small.write_text(SMALL.replace("[2.0, 2.5]", "[2.0, 3.5]"))
    result = run("simulate", "--recipe", small, "--out", tmp_path / "library.h5")
    assert result.code == 0, result.err
    lines = [line for line in result.err.splitlines() if line.startswith("warning: ")]
    assert len(lines) == 1
    assert "of the population of 3.5 nm with dispersion 0.1 are among the clusters" in lines[0]

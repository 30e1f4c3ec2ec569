import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ..conftest import Run

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


def picture(path: Path) -> NDArray[np.float64]:
    """Colours of a PNG file, shape (height, width, 4)."""
    image = pytest.importorskip("matplotlib.image")
    return np.asarray(image.imread(path))


def test_a_recipe_is_drawn(run: Run, small: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    result = run("simulate", "plot", "--recipe", small, "--out", tmp_path / "small.png")
    assert result.code == 0, result.err
    assert "small: PbS, 0.56 Å, dispersion 0.1" in result.out
    colours = picture(tmp_path / "small.png")
    assert colours.shape[:2] == (975, 1650)
    # Lines cover a few per cent of the paper.
    assert 0.005 < np.mean(colours[..., 0] < 0.8) < 0.2
    assert not (tmp_path / "library.h5").exists()


def test_the_difference_of_a_recipe_to_itself_is_nothing(run: Run, small: Path, tmp_path: Path) -> None:
    """Two recipes that differ draw curves where one against itself draws straight lines."""
    pytest.importorskip("matplotlib")
    other = tmp_path / "other.toml"
    other.write_text(SMALL.replace('"node"', '"atom"').replace('"small"', '"other"'))
    shares = []
    for against in (small, other):
        result = run("simulate", "plot", "--recipe", small, "--against", against, "--out", tmp_path / "d.png")
        assert result.code == 0, result.err
        colours = picture(tmp_path / "d.png")
        shares.append(np.ptp(np.flatnonzero(np.any(colours[200:800, 200:800, 0] < 0.7, axis=1))))
    assert "small minus other: dispersion 0.1" in result.out
    assert shares[1] > shares[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--dispersion", "0.3"), "dispersion 0.3 is not in recipe small: choose 0.1"),
        (("--out", "no/picture.png"), "cannot write no/picture.png: the folder no does not exist, create it"),
        (("--against", "gold"), "recipe 'gold' is unknown: choose paper or give a TOML file"),
        (("--against", "far.toml"), "have no mean diameter of dispersion 0.1, or no Q, in common"),
    ],
)
def test_what_cannot_be_drawn(
    run: Run,
    small: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    options: tuple[str, str],
    message: str,
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    Path("far.toml").write_text(SMALL.replace("[2.0, 2.5]", "[2.2]").replace('"small"', '"far"'))
    result = run("simulate", "plot", "--recipe", small, *options)
    assert result.code == 1
    assert message in result.err


@pytest.mark.slow
def test_no_scheduler_answers(run: Run, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("qdsizer_stream._dask.CONNECT_TIMEOUT_S", 0.5)
    result = run(
        "simulate", "--recipe", small, "--out", tmp_path / "l.h5", "--scheduler", "tcp://127.0.0.1:9"
    )
    assert result.code == 1
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in result.err

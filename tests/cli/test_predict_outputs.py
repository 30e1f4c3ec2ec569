"""Tables and pictures of `predict`, and its exit status."""

import re
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest

from qdsizer_stream.simulation import GrowingDots, SynthesisRecipe

from ..conftest import Run


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """One pattern that is sized, and one without dots."""
    q = np.linspace(1.0, 12.0, 2200)
    rng = np.random.default_rng(0)
    dots = GrowingDots(SynthesisRecipe(wavelength_angstrom=0.5637, growth_time_s=1000.0), 16.0)
    files = []
    for name, curve in (("good.xye", 1000 * dots(q, 330.0)), ("flat.xye", np.full(q.size, 1000.0))):
        counts = rng.poisson(curve)
        files.append(tmp_path / name)
        columns = np.column_stack([q, counts, np.sqrt(np.maximum(counts, 1))])
        np.savetxt(files[-1], columns, header="Q(1/A) intensity sigma")
    return files[0], files[1]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".csv", ".xlsx", ".parquet"])
def test_tables_have_units_in_their_headings_and_no_empty_columns(
    run: Run, files: tuple[Path, Path], tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"sizes{suffix}"
    assert run("predict", *files, "--out", out).code == 0
    readers = {".csv": pandas.read_csv, ".xlsx": pandas.read_excel, ".parquet": pandas.read_parquet}
    table = readers[suffix](out)
    assert list(table)[:4] == ["file", "status", "mass-weighted mean (nm)", "mass-weighted mean, low (nm)"]
    assert list(table["status"]) == ["sized", "no_crystal"]
    sized = table.iloc[0]
    low, high = sized["number-weighted mean, low (nm)"], sized["number-weighted mean, high (nm)"]
    assert low < sized["number-weighted mean (nm)"] < high
    assert not table.isna().all().any()
    assert "class (nm)" not in table  # pbs has no classes
    assert pandas.isna(table["mass-weighted mean (nm)"][1])


@pytest.mark.slow
def test_a_picture_is_drawn_of_the_last(run: Run, files: tuple[Path, Path], tmp_path: Path) -> None:
    assert run("predict", files[0], "--picture", tmp_path / "fit.png").code == 0
    assert (tmp_path / "fit.png").read_bytes().startswith(b"\x89PNG")
    assert run("predict", files[1], "--picture", tmp_path / "fit.svg").code == 0
    drawn = (tmp_path / "fit.svg").read_text()
    assert "<svg" in drawn


@pytest.mark.slow
def test_rejected_frames_may_fail_a_script(run: Run, files: tuple[Path, Path]) -> None:
    assert run("predict", *files).code == 0
    assert run("predict", *files, "--fail-on-rejected").code == 1
    assert run("predict", files[0], "--fail-on-rejected").code == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "name", "message"),
    [
        ("--out", "sizes.txt", "cannot write a table to .*: its name must end in .csv, .xlsx, .parquet"),
        ("--out", "none/sizes.csv", "the folder .*none does not exist, create it"),
        ("--picture", "fit.bmp", "cannot write a picture to .*: its name must end in .png, .svg, .pdf"),
    ],
)
def test_outputs_are_checked_before_anything_is_sized(
    run: Run,
    files: tuple[Path, Path],
    tmp_path: Path,
    option: str,
    name: str,
    message: str,
) -> None:
    result = run("predict", files[0], option, tmp_path / name)
    assert result.code != 0
    assert result.out == ""
    assert re.search(message, " ".join(result.err.split()))


@pytest.mark.parametrize(
    "command",
    [
        ("simulate", "plot", "--out"),
        ("materials", "show", "PbS", "--preview"),
        ("materials", "from-cif", "some.cif", "--preview"),
        ("refine", "some.xye", "--wavelength", "0.56", "--picture"),
        ("predict", "some.xye", "--picture"),
        ("calibrate", "width", "some.xye", "--material", "LaB6", "--wavelength", "0.56", "--picture"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_without_matplotlib_a_picture_is_rejected_before_the_work(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: tuple[str, ...]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.chdir(tmp_path)
    for name in ("some.xye", "some.cif"):
        Path(name).write_text("not read\n")
    result = run(*command, "picture.png")
    assert result.code != 0
    assert 'pictures need the package matplotlib: pip install "qdsizer-stream[plot]"' in result.err

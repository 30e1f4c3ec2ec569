"""Width of the instrument from the pattern of a standard, on the command line."""

import json
import math
import tomllib
from pathlib import Path

import numpy as np
import pytest

from qdsizer_stream.patterns import two_theta_from_q

from ..conftest import Run

WAVELENGTH = 0.5637


@pytest.fixture
def standard(tmp_path: Path) -> Path:
    """LaB6 with Gaussian lines 0.03 Å⁻¹ wide, in angles."""
    q = np.arange(1.0, 6.5, 0.002)
    expected = np.full(q.size, 60.0)
    for square_sum in (1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 16, 17, 18):
        centre = 2 * math.pi * math.sqrt(square_sum) / 4.156826
        expected += 3000 * np.exp(-4 * math.log(2) * ((q - centre) / 0.03) ** 2)
    counts = np.random.default_rng(0).poisson(expected)
    path = tmp_path / "lab6.xy"
    rows = np.column_stack([two_theta_from_q(q, WAVELENGTH), counts])
    np.savetxt(path, rows, fmt="%.8g", header="2theta I")
    return path


def test_the_width_is_written_as_settings_with_a_picture(run: Run, standard: Path, tmp_path: Path) -> None:
    out, picture = tmp_path / "width.toml", tmp_path / "width.png"
    result = run(
        "calibrate", "width", standard, "--material", "LaB6", "--wavelength", WAVELENGTH,
        "--crystallite", 100000, "--out", out, "--picture", picture,
    )  # fmt: skip
    assert result.code == 0, result.err
    assert "16 lines of LaB6, width constant in Q" in result.out
    assert f'written to {out}; set file = "{out}" in [sizing.instrument]' in result.out
    settings = tomllib.loads(out.read_text())
    assert settings == {"instrument": {"fwhm_inv_angstrom": pytest.approx(0.03, rel=0.01)}}
    assert out.read_text().startswith("# Width of the instrument, constant in Q, from 16 lines of LaB6\n")
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_as_json_and_on_the_screen(run: Run, standard: Path) -> None:
    command = ("calibrate", "width", standard, "--material", "LaB6", "--energy", "21.9945keV")
    summary = json.loads(run(*command, "--json").out)
    assert summary["law"] == "constant in Q"
    assert summary["n_lines"] == 16
    assert summary["crystallite_nm"] == 500.0
    assert summary["fwhm_inv_angstrom"] == pytest.approx([0.03] * 3, rel=0.03)
    assert all(0 < sigma < 4e-4 for sigma in summary["sigma_inv_angstrom"])
    printed = run(*command).out
    assert "[instrument]\nfwhm_inv_angstrom = 0.0" in printed


@pytest.mark.slow
def test_predict_takes_the_standard_itself(run: Run, standard: Path) -> None:
    result = run(
        "predict",
        standard,
        "--wavelength",
        WAVELENGTH,
        "--standard",
        standard,
        "--standard-material",
        "LaB6",
        "--json",
    )
    row = json.loads(result.out)
    assert row["resolution_inv_angstrom"] == pytest.approx(0.0295, rel=0.02)
    assert row["status"] != "sized"  # LaB6 is not PbS
    for options in (("--standard", standard), ("--standard-material", "LaB6")):
        alone = run("predict", standard, "--wavelength", WAVELENGTH, *options)
        assert alone.code == 2
        assert "give a standard with its material, or a resolution" in alone.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--material", "Cu"), "'Cu' is not a known standard: choose Si, LaB6, CeO2, Ni"),
        (("--material", "LaB6", "--wavelength", "0.7"), "separate lines of LaB6 found between"),
        (("--material", "LaB6", "--wavelength", "0.56", "--energy", "22keV"), "give one of the two"),
        (("--material", "LaB6"), "angles need a wavelength"),
    ],
)
def test_what_cannot_be_fitted(run: Run, standard: Path, options: tuple[str, ...], message: str) -> None:
    result = run("calibrate", "width", standard, *options)
    assert result.code != 0
    assert message in result.err

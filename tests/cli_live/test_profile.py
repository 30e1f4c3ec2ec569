"""The lines of a start-up file, run as a start-up file."""

from pathlib import Path

import pytest
from bluesky import RunEngine
from typer.testing import CliRunner

from qdsizer_stream.cli import app
from qdsizer_stream.profiles import installed, uninstall

TOML = """
[sizing.reduction]
arm_deg = 0.0

[sizing.reduction.detector]
global_offset_deg = 0.0
modules = [{ centre_strip = 639.5, conversion_rad_per_strip = 6.579e-5, offset_deg = 0.0 }]
"""


def test_the_lines_install_a_sizer(tmp_path: Path) -> None:
    config = tmp_path / "qdsizer.toml"
    config.write_text(TOML + '\n[wavelength]\nvalue = 22.0\nunit = "keV"\n')
    result = CliRunner().invoke(app, ["profile", str(config)])
    assert result.exit_code == 0, result.output
    assert "1280 strips, wavelength from value in the configuration" in result.stderr
    engine = RunEngine({})
    for _ in range(2):  # %run, then %run again
        exec(compile(result.stdout, "startup.py", "exec"), {"RE": engine})
    assert installed(engine) is not None
    assert uninstall(engine)


def test_a_missing_wavelength_is_told(tmp_path: Path) -> None:
    config = tmp_path / "qdsizer.toml"
    config.write_text(TOML)
    result = CliRunner().invoke(app, ["profile", str(config)])
    assert result.exit_code == 0
    assert "wavelength from nowhere: no frame will be sized unless a run says it" in result.stderr


@pytest.mark.parametrize("text", ["", "[sizing]\nmodel = 'nothing'\n" + TOML])
def test_wrong_settings_give_no_lines(tmp_path: Path, text: str) -> None:
    config = tmp_path / "qdsizer.toml"
    config.write_text(text)
    result = CliRunner().invoke(app, ["profile", str(config)])
    assert result.exit_code != 0
    assert not result.stdout

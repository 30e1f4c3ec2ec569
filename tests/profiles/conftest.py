"""Settings of the simulated detector, for sessions that are started by themselves."""

from pathlib import Path

import pytest

TOML = """
[sizing.reduction]
arm_deg = 0.0

[sizing.reduction.detector]
global_offset_deg = 0.0
modules = [{ centre_strip = 639.5, conversion_rad_per_strip = 6.579e-5, offset_deg = 0.0 }]

[wavelength]
configuration_key = "mythen_wavelength"
"""


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    path = tmp_path / "qdsizer.toml"
    path.write_text(TOML)
    return path

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


@pytest.fixture(autouse=True)
def state_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of the raw journals, apart from that of the user."""
    folder = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return folder / "qdsizer_stream" / "spool"


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    path = tmp_path / "qdsizer.toml"
    path.write_text(TOML)
    return path

"""Settings of the live path in a beamline's TOML file."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from qdsizer_stream.callbacks import LiveConfig
from qdsizer_stream.configuration import load_toml
from qdsizer_stream.errors import ConfigurationError
from qdsizer_stream.reduction import (
    AngleConvention,
    load_reduction,
    nominal_detector,
    write_angle_calibration,
)
from qdsizer_stream.sizing import Sizer

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "size-frames-live.md"


@pytest.fixture
def beamline(tmp_path: Path) -> Path:
    """The file of the how-to, with its calibration beside it."""
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    # What is commented out there is allowed too.
    text = re.sub(r"^# (\[|mode|min|max)", r"\1", text, flags=re.MULTILINE)
    write_angle_calibration(tmp_path / "ang.off", nominal_detector(24, 0.0).modules, AngleConvention.PSI)
    path = tmp_path / "qdsizer.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_file_of_the_how_to_is_valid(beamline: Path) -> None:
    config = load_toml(LiveConfig, beamline)
    assert config.accumulation is not None
    assert config.applied == {"UseFlatField_RBV": "mythen_use_flat_field"}
    assert config.sizing.reduction == load_reduction(beamline)
    assert LiveConfig.model_validate_json(config.model_dump_json()) == config


def test_paths_start_at_the_file(beamline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    reducer = Sizer(load_toml(LiveConfig, beamline).sizing).reducer
    assert reducer is not None
    assert list(reducer.provenance()["sha256"]) == [str(beamline.parent / "ang.off")]
    assert reducer.detector.n_strips == 30720


def test_a_switch_that_no_control_system_has_is_refused(beamline: Path) -> None:
    # A misspelt switch that was not looked at would let a correction be made twice.
    beamline.write_text(beamline.read_text().replace("UseFlatField_RBV =", "UseFlatfield ="))
    message = (
        "applied: Value error, UseFlatfield: not a switch of a known control system, allowed are ReadMode, "
    )
    with pytest.raises(ConfigurationError, match=message):
        load_toml(LiveConfig, beamline)


@pytest.mark.parametrize(
    ("field", "allowed", "refused"),
    [
        ("workers", [0, 1], [-1, 2]),
        ("queue_frames", [1, 2, 100_000], [0, 100_001]),
        ("file_timeout_s", [0.0, 0.5, 600.0], [-1e-9, 600.1]),
    ],
)
def test_what_each_setting_allows(
    config: LiveConfig,
    check_limits: Callable[..., None],
    field: str,
    allowed: Sequence[float],
    refused: Sequence[float],
) -> None:
    check_limits(config, field, allowed, refused)


def test_settings_that_are_left_out(config: LiveConfig) -> None:
    left_out = LiveConfig(sizing=config.sizing, wavelength=config.wavelength)
    assert (left_out.workers, left_out.queue_frames, left_out.file_timeout_s) == (1, 1000, 5)
    assert (left_out.queue_policy, left_out.destination) == ("mark", "same-run")


def test_a_tolerance_is_not_negative(config: LiveConfig, check_limits: Callable[..., None]) -> None:
    optics = LiveConfig.model_validate({**config.model_dump(), "optics": {}}).optics
    check_limits(optics, "tolerance_nm", [0.0, 0.5], [-1e-9])

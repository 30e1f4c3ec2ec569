"""Settings of the live path."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from ...configuration import Config, SettingsPath, validated
from ...errors import ConfigurationError
from ...models import model_names
from ...reduction import SWITCHES, AccumulationConfig
from ...sizing import SizingConfig
from ._number_source import NumberSource
from ._optics import OpticsConfig
from ._quantity import AngleSource, ExposureSource, WavelengthSource

__all__ = ["ROWS_KEY", "RUN_KEY", "Destination", "LiveConfig", "QueuePolicy", "config_of_run"]

ROWS_KEY = "rows_not_in_order"
"""Key of the account in the stop: streams whose frames are not the rows of their files one after another."""

RUN_KEY = "qdsizer"
"""Key of the start document under which a run overrides settings."""


class QueuePolicy(StrEnum):
    """What happens to a frame that arrives while the queue is full."""

    WAIT = "wait"
    """The plan waits until there is room: every frame is sized."""
    MARK = "mark"
    """The frame is recorded as not sized, with the reason: the plan is never held up."""
    NEWEST = "newest"
    """The frame that has waited longest is recorded as not sized, so that the newest is: for sizes that are
    looked at or acted on, with `queue_frames` small."""


class Destination(StrEnum):
    """Where the estimates go."""

    SAME_RUN = "same-run"
    """Into the stream `qd_size` of the run of their frames."""
    LINKED_RUN = "linked-run"
    """Into a separate run, whose start document holds the uid of the run of the frames."""


class ReportConfig(Config):
    """Reports of runs."""

    folder: SettingsPath
    """Folder that the report of each run is written to when it has ended, as one HTML file."""


class LiveConfig(Config):
    """Settings of the live path."""

    sizing: SizingConfig
    """Model, detector with its corrections, and solvent."""
    wavelength: WavelengthSource | None = None
    """Source of the wavelength; there is no default, and without it no frame is sized."""
    arm_angle: AngleSource | None = None
    """Source of the angle of the detector arm; None where it never moves and is given by
    `sizing.reduction.arm_deg`."""
    exposure: ExposureSource | None = None
    """Source of the exposure; required for dead time and where counts are divided by it."""
    monitor: NumberSource | None = None
    """Source of the monitor (I0) reading, any unit; required where counts are divided by it."""
    applied: dict[str, str] = Field(default_factory=dict)
    """Corrections that the control system makes to the counts: each of its switches, such as
    `UseFlatField_RBV`, with its key in the data or the configuration of the frames' descriptor."""
    accumulation: AccumulationConfig | None = None
    """How frames are summed before they are sized; None to size every frame separately."""
    optics: OpticsConfig | None = None
    """Comparison of sizes with an absorption peak in the same event; None for no comparison."""
    report: ReportConfig | None = None
    """Report of each run for the lab book, by `install`; None for none."""
    model_folder: SettingsPath | None = None
    """Folder of the model files that a run may name in its start document; None where a run may name models
    of the package alone."""
    data_key: str | None = None
    """Data key of the frames; None for the only array in a descriptor that fits the detector."""
    stream: str | None = None
    """Stream of the frames; None for the first of a run that has any."""
    destination: Destination = Destination.SAME_RUN
    """Where the estimates go."""
    workers: int = Field(default=1, ge=0, le=1)
    """Sizing processes: with 1 the plan keeps its interpreter to itself, with 0 a thread of it sizes."""
    queue_frames: int = Field(default=1000, ge=1, le=100_000)
    """Frames that may wait to be sized; 1000 of 30 720 strips are 123 to 246 MB."""
    queue_policy: QueuePolicy = QueuePolicy.MARK
    """What happens to a frame that arrives while the queue is full."""
    file_timeout_s: float = Field(default=5.0, ge=0, le=600)
    """How long to wait for an announced frame to appear in its file, s."""

    @field_validator("applied")
    @classmethod
    def _known_switches(cls, value: dict[str, str]) -> dict[str, str]:
        if unknown := sorted(value.keys() - set(SWITCHES)):
            raise ValueError(
                f"{', '.join(unknown)}: not a switch of a known control system, "
                f"allowed are {', '.join(SWITCHES)}"
            )
        return value

    @model_validator(mode="after")
    def _needs_a_detector(self) -> Self:
        if self.sizing.reduction is None:
            raise ValueError(
                "sizing.reduction is missing: live frames are raw counts, give the detector's calibration"
            )
        return self


def config_of_run(config: LiveConfig, start: Mapping[str, Any]) -> LiveConfig:
    """Apply the settings that a run overrides.

    Parameters
    ----------
    config
        Settings of the beamline.
    start
        Start document; `start["qdsizer"]` holds settings as in the TOML file. Tables are replaced
        whole, but for `sizing`, of which single settings may be given.

    Returns
    -------
    Settings of this run.

    Raises
    ------
    ConfigurationError
        A setting is unknown or out of range.
    """
    overrides = start.get(RUN_KEY)
    if overrides is None:
        return config
    where = f"start document, key {RUN_KEY!r}"
    if not isinstance(overrides, Mapping) or not isinstance(overrides.get("sizing", {}), Mapping):
        raise ConfigurationError(f"{where}: found {overrides!r}, allowed is a table as in the TOML file")
    values = config.model_dump(mode="json")
    sizing = {**values["sizing"], **overrides.get("sizing", {})}
    if sizing["model"] != values["sizing"]["model"]:
        sizing["model"] = _model_of_run(sizing["model"], config.model_folder, where)
    return validated(LiveConfig, {**values, **overrides, "sizing": sizing}, where)


def _model_of_run(model: Any, folder: Path | None, where: str) -> Any:
    """Check the model that a start document names: whoever can write one must not have any file opened."""
    if not isinstance(model, str) or model in model_names() or Path(model).name == model == Path(model).stem:
        return model  # another name is reported with those that there are
    allowed = "allowed are names of `qdsizer-stream models list`"
    if folder is None:
        raise ConfigurationError(
            f"{where}: found the file {model!r} as model, {allowed}, and files in model_folder, which the "
            "settings of the beamline do not give"
        )
    path = (folder / model).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise ConfigurationError(
            f"{where}: found the file {model!r} as model, {allowed}, and regular files in {folder}"
        )
    return str(path)

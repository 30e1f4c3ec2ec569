"""Settings of the reduction."""

import os
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from ..configuration import Config, SettingsPath, toml_table, validated
from ..errors import ConfigurationError
from ..patterns import BinGrid
from ._calibration_files import (
    AngleConvention,
    FlatField,
    FlatLayout,
    read_angle_calibration,
    read_bad_strips,
    read_flat_field,
)
from ._counting import DeadTime
from ._geometry import Placement, StripDetector, StripOrigin

__all__ = [
    "AngleGrid",
    "BadStripFile",
    "CalibrationFile",
    "FlatFieldFile",
    "Polarisation",
    "ReductionConfig",
    "load_reduction",
]


class CalibrationFile(Placement):
    """A detector whose angle calibration is in a file."""

    path: SettingsPath
    """Angle calibration (`.off`)."""
    convention: AngleConvention
    """Reference of its offsets."""
    strip_origin: StripOrigin
    """Meaning of an integer strip number in the code that fitted it."""

    def load(self) -> StripDetector:
        """Read the file.

        Returns
        -------
        The detector.

        Raises
        ------
        CalibrationError
            The file cannot be used.
        """
        placement = self.model_dump(exclude={"path", "convention"})
        return StripDetector(modules=read_angle_calibration(self.path, self.convention), **placement)


class FlatFieldFile(Config):
    """A flat field in a file."""

    path: SettingsPath
    """Text file."""
    layout: FlatLayout
    """Meaning of its columns."""
    energy_ev: float = Field(gt=2_000, lt=250_000)
    """Photon energy at which it was measured, eV; it is not valid at any other."""

    def load(self, n_strips: int) -> FlatField:
        """Read the file.

        Parameters
        ----------
        n_strips
            Number of strips of the detector.

        Returns
        -------
        The flat field.

        Raises
        ------
        CalibrationError
            The file cannot be used.
        """
        return read_flat_field(self.path, n_strips, self.layout)


class BadStripFile(Config):
    """A list of bad strips in a file."""

    path: SettingsPath
    """Text file with one strip or one range per line."""


class AngleGrid(Config):
    """Equal bins in 2θ, for programs that expect them; bins in Q are better for sizing."""

    first_deg: float = Field(gt=0, lt=180)
    """Centre of the first bin, degrees."""
    step_deg: float = Field(default=0.0036, gt=0, lt=10)
    """Width of a bin, degrees; the customary 0.0036 is less than a strip, so that one bin in twenty is
    empty."""
    n_bins: int = Field(ge=2, le=100_000)
    """Number of bins."""

    @model_validator(mode="after")
    def _ends_before_180(self) -> Self:
        if self.edges[-1] > 180:
            raise ValueError(
                f"the bins end at {self.edges[-1]:.6g}°: choose n_bins and step_deg that stay below 180"
            )
        return self

    @property
    def centres(self) -> NDArray[np.float64]:
        """Bin centres, degrees, shape (n_bins,)."""
        return np.asarray(self.first_deg + self.step_deg * np.arange(self.n_bins, dtype=np.float64))

    @property
    def edges(self) -> NDArray[np.float64]:
        """Bin edges, degrees, shape (n_bins + 1,)."""
        return np.asarray(
            self.first_deg + self.step_deg * (np.arange(self.n_bins + 1, dtype=np.float64) - 0.5)
        )


class Polarisation(Config):
    """Polarisation of the beam: P = ½ [1 + cos² 2θ - f cos 2χ sin² 2θ]."""

    fraction: float = Field(ge=-1, le=1)
    """f = (horizontal - vertical)/(horizontal + vertical); 0.95 to 1 at a synchrotron."""
    plane: Literal["vertical", "horizontal"]
    """Plane in which the detector measures 2θ: χ = 90° or 0°."""

    def factor(self, two_theta_deg: NDArray[np.float64]) -> NDArray[np.float64]:
        """Factor by which polarisation reduces the scattering.

        Parameters
        ----------
        two_theta_deg
            Scattering angles, degrees, any shape.

        Returns
        -------
        P, in the same shape, at most 1.
        """
        sine_squared = np.sin(np.radians(two_theta_deg)) ** 2
        cos_2chi = -1.0 if self.plane == "vertical" else 1.0
        return np.asarray(0.5 * (2 - sine_squared - self.fraction * cos_2chi * sine_squared))


class ReductionConfig(Config):
    """A detector and the corrections that its counts need."""

    detector: StripDetector | CalibrationFile
    """Angle calibration, in full or as a file."""
    arm_deg: float | None = None
    """Angle of an arm that never moves, degrees; None if every frame has its own."""
    n_counters: int = Field(default=1, ge=1, le=3)
    """Counters that the detector writes per strip: 1, or up to 3 with MYTHEN III."""
    counter: int = Field(default=0, ge=0, le=2)
    """Index of the counter to use, from 0."""
    bit_depth: Literal[4, 8, 16, 24, 32] = 24
    """Bits per counter; a strip within 1 % of the maximum count is masked."""
    dead_time: DeadTime | None = None
    """Dead time; None for no correction."""
    flat_field: FlatFieldFile | None = None
    """Response of the strips; None for equal responses."""
    bad_strips: tuple[int, ...] | BadStripFile | None = None
    """Strips that are never used (1280 × module + strip); () for none, None if they are not known."""
    edge_strips: int = Field(default=0, ge=0, lt=640)
    """Strips not used at either end of every module."""
    normalise_exposure: bool = False
    """Whether to divide by the exposure of the frame."""
    normalise_monitor: bool = False
    """Whether to divide by the monitor (I0) of the frame."""
    monitor_relative_sigma: float = Field(default=0.0, ge=0, lt=1)
    """Relative error of the monitor, common to all points of a pattern."""
    polarisation: Polarisation | None = None
    """Polarisation of the beam; None for no correction."""
    bins: BinGrid | AngleGrid | None = None
    """Bins of the pattern; None for one point per strip."""

    @field_validator("bad_strips")
    @classmethod
    def _no_negative_strip(cls, value: Any) -> Any:
        if isinstance(value, tuple) and min(value, default=0) < 0:
            raise ValueError(f"bad strip {min(value)} is negative: count from 0 over all modules")
        return value

    @model_validator(mode="after")
    def _counter_exists(self) -> Self:
        if self.counter >= self.n_counters:
            raise ValueError(f"counter {self.counter} of {self.n_counters}: choose 0 … {self.n_counters - 1}")
        return self

    def load_detector(self) -> StripDetector:
        """Return the detector with its angle calibration.

        Returns
        -------
        The detector.

        Raises
        ------
        CalibrationError
            The file cannot be used.
        """
        return self.detector.load() if isinstance(self.detector, CalibrationFile) else self.detector

    def load_bad_strips(self, n_strips: int) -> NDArray[np.intp]:
        """List the strips that are never used.

        Parameters
        ----------
        n_strips
            Number of strips of the detector.

        Returns
        -------
        Strip numbers over all modules.

        Raises
        ------
        CalibrationError
            The file cannot be used.
        ConfigurationError
            A strip is not on the detector.
        """
        if isinstance(self.bad_strips, BadStripFile):
            return read_bad_strips(self.bad_strips.path, n_strips)
        strips = np.array(self.bad_strips or (), dtype=np.intp)
        if strips.size and strips.max() >= n_strips:
            raise ConfigurationError(
                f"bad strip {strips.max()} is not on a detector of {n_strips} strips: give 0 … {n_strips - 1}"
            )
        return strips


def load_reduction(path: str | os.PathLike[str]) -> ReductionConfig:
    """Read the table ``[reduction]``, or ``[sizing.reduction]``, of a beamline's TOML file.

    Parameters
    ----------
    path
        TOML file; paths in the table are relative to its folder. The table is at the top level, or inside
        ``[sizing]`` if the file also configures the live path. Other tables are ignored.

    Returns
    -------
    The validated settings.

    Raises
    ------
    ConfigurationError
        The file is missing, not TOML, has neither or both of the tables, or a setting in it is wrong.
    """
    path = Path(path)
    tables = {
        "reduction": toml_table(path, "reduction"),
        "sizing.reduction": (toml_table(path, "sizing") or {}).get("reduction"),
    }
    found = {name: table for name, table in tables.items() if table is not None}
    if not found:
        raise ConfigurationError(f"configuration {path} has no table [reduction]: raw frames need one")
    if len(found) > 1:
        raise ConfigurationError(
            f"configuration {path} has tables [reduction] and [sizing.reduction]: keep only one of them"
        )
    ((name, values),) = found.items()
    return validated(ReductionConfig, values, f"{path} [{name}]", path.parent)

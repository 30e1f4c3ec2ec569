"""Settings of a sizer."""

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ValidationInfo, field_validator

from ..configuration import Config, SettingsPath, toml_table, validated
from ..errors import ConfigurationError
from ..models import CURVES_SUFFIX
from ..patterns import InstrumentResolution
from ..reduction import ReductionConfig

__all__ = ["SizingConfig", "load_instrument"]


def _text(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _beside_settings(source: str, info: ValidationInfo) -> str:
    folder = (info.context or {}).get("folder")
    return str(folder / source) if folder is not None and Path(source).suffix == CURVES_SUFFIX else source


CrystalSource = Annotated[str, BeforeValidator(_text), AfterValidator(_beside_settings)]
"""A crystal of the package, or a file of curves relative to the folder of the settings file."""


class SizingConfig(Config):
    """Settings of a sizer: model, reduction, solvent and instrument."""

    model: Annotated[str, BeforeValidator(_text)] = "pbs"
    """Model: a name from `qdsizer-stream models list`, or the path of a model file."""
    reduction: ReductionConfig | None = None
    """Detector and corrections of raw frames; None for patterns that are already reduced. Where the model has
    bins, frames are pooled in those, and a setting of bins here is ignored."""
    solvent: SettingsPath | None = None
    """Measured pattern of the pure solvent, two or three columns: Q (Å⁻¹), intensity, sigma."""
    instrument: InstrumentResolution | None = None
    """Width of the instrument's lines; None where it is not known. A width that is not given may be mistaken
    for small dots, so that the interval of the size must allow for it."""
    texture: bool = True
    """Whether the nanocrystals may have a preferred orientation, as in a film. Set false for dots in a
    solvent: the heights of their peaks then distinguish them more surely from other crystals with peaks at
    about the same Q."""
    phases: tuple[CrystalSource, ...] = ()
    """Other crystals that may be beside the dots, besides those that the model has curves of: names of the
    package such as ``"Pb"``, or files that ``qdsizer-stream materials curves oxide.cif`` writes. Those that a
    frame shows are reported, and its intervals allow for them."""
    materials: tuple[CrystalSource, ...] = ()
    """Materials that each frame is compared with, two or more, that of the model among them: names of the
    package or files as in `phases`. The estimate states the probabilities, and a frame that is certainly of
    another one is rejected. Empty for no comparison, which takes some 10 ms per frame and material."""

    @field_validator("materials")
    @classmethod
    def _several(cls, materials: tuple[str, ...]) -> tuple[str, ...]:
        if len(materials) == 1:
            raise ValueError(f"only {materials[0]} is given: give at least two materials to compare, or none")
        return materials


def load_instrument(path: str | os.PathLike[str]) -> InstrumentResolution | None:
    """Read the table ``[instrument]``, or ``[sizing.instrument]``, of a beamline's TOML file.

    Parameters
    ----------
    path
        TOML file; a path in the table is relative to its folder. Other tables are ignored.

    Returns
    -------
    The width of the instrument; None where the file has neither table.

    Raises
    ------
    ConfigurationError
        The file is missing, not TOML, has both tables, or a setting in the table is wrong.
    """
    path = Path(path)
    tables = {
        "instrument": toml_table(path, "instrument"),
        "sizing.instrument": (toml_table(path, "sizing") or {}).get("instrument"),
    }
    found = {name: table for name, table in tables.items() if table is not None}
    if not found:
        return None
    if len(found) > 1:
        raise ConfigurationError(
            f"configuration {path} has tables [instrument] and [sizing.instrument]: keep only one of them"
        )
    ((name, values),) = found.items()
    return validated(InstrumentResolution, values, f"{path} [{name}]", path.parent)

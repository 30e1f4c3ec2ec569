"""Settings of a sizer."""

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from ..configuration import Config, SettingsPath, toml_table, validated
from ..errors import ConfigurationError
from ..patterns import InstrumentResolution
from ..reduction import ReductionConfig

__all__ = ["SizingConfig", "load_instrument"]


def _text(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


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

"""Settings of a sizer."""

import os
from typing import Annotated, Any

from pydantic import BeforeValidator

from ..configuration import Config, SettingsPath
from ..reduction import ReductionConfig

__all__ = ["SizingConfig"]


def _text(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


class SizingConfig(Config):
    """Settings of a sizer: model, reduction and solvent."""

    model: Annotated[str, BeforeValidator(_text)] = "pbs"
    """Model: a name from `qdsizer-stream models list`, or the path of a model file."""
    reduction: ReductionConfig | None = None
    """Detector and corrections of raw frames; None for patterns that are already reduced. Where the model has
    bins, frames are pooled in those, and a setting of bins here is ignored."""
    solvent: SettingsPath | None = None
    """Measured pattern of the pure solvent, two or three columns: Q (Å⁻¹), intensity, sigma."""

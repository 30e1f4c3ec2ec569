"""Settings of a sizer."""

from pathlib import Path

from ..configuration import Config
from ..reduction import StripDetector

__all__ = ["SizingConfig"]


class SizingConfig(Config):
    """What a sizer needs to know besides the frame and its wavelength."""

    model: str = "pbs"
    """Model that sizes: a name from `qdsizer-stream models`, or the path of a model file."""
    detector: StripDetector | None = None
    """Calibration of the strip detector; None where patterns come already reduced."""
    solvent: Path | None = None
    """Measured pattern of the pure solvent, two or three columns: Q (Å⁻¹), intensity, sigma."""

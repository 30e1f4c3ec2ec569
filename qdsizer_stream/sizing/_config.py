"""Settings of a sizer."""

from ..configuration import Config, SettingsPath
from ..reduction import ReductionConfig

__all__ = ["SizingConfig"]


class SizingConfig(Config):
    """What a sizer needs to know besides the frame and its wavelength."""

    model: str = "pbs"
    """Model that sizes: a name from `qdsizer-stream models`, or the path of a model file."""
    reduction: ReductionConfig | None = None
    """Detector and corrections of raw frames; None where patterns come already reduced. Frames are pooled
    in the bins of the model where it has bins, whatever this says of bins."""
    solvent: SettingsPath | None = None
    """Measured pattern of the pure solvent, two or three columns: Q (Å⁻¹), intensity, sigma."""

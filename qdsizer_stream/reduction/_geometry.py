"""Strip angles of a MYTHEN detector."""

import math

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..configuration import Config
from ..errors import CalibrationError

__all__ = ["MODULE_STRIPS", "StripDetector", "StripModule", "nominal_detector", "two_theta"]

MODULE_STRIPS = 1280
"""Strips of a MYTHEN module: ten chips of 128."""


class StripModule(Config):
    """Angular calibration of one module (Bergamaschi et al., J. Synchrotron Rad. 17, 653, 2010)."""

    centre_strip: float = Field(gt=-1280, lt=2560)
    """Strip on which the sample's normal falls, in strips; may lie outside the module."""
    conversion_rad_per_strip: float = Field(gt=-1e-3, lt=1e-3)
    """Strip pitch over sample distance; 6.6e-5 for 50 µm at 760 mm; negative for a flipped module."""
    offset_deg: float
    """Angle of the module relative to module 0."""


class StripDetector(Config):
    """A ring of MYTHEN modules."""

    modules: tuple[StripModule, ...] = Field(min_length=1)
    """Calibration of each module, in the order of the strips."""
    global_offset_deg: float
    """Angle of strip 0 of module 0 with the arm at zero, from a standard of known lattice parameter."""

    @property
    def n_strips(self) -> int:
        """Strips of all modules."""
        return MODULE_STRIPS * len(self.modules)

    def two_theta(self, arm_deg: float) -> NDArray[np.float64]:
        """Scattering angle of every strip centre.

        Parameters
        ----------
        arm_deg
            Angle of the detector arm, degrees.

        Returns
        -------
        Angles, degrees, shape (n_strips,), in the order of the strips.
        """
        strips = np.arange(MODULE_STRIPS, dtype=np.float64)
        return np.concatenate(
            [two_theta(module, strips, arm_deg + self.global_offset_deg) for module in self.modules]
        )


def two_theta(module: StripModule, strips: NDArray[np.floating], arm_deg: float) -> NDArray[np.float64]:
    """Scattering angle of strip centres.

    2θ_j = o + (180/π) [c|k| + atan((j - c)|k|)] + arm; a module with k < 0 is mounted flipped and
    counts its strips from the other end (PSI convention).

    Parameters
    ----------
    module
        Calibration of the module.
    strips
        Strip numbers, shape (n,), centre of strip j at j.
    arm_deg
        Angle of the detector arm, degrees.

    Returns
    -------
    Angles, degrees, shape (n,), in the order of `strips`.

    Raises
    ------
    CalibrationError
        A strip lies outside 0…1279.
    """
    if strips.size and not (strips.min() >= 0 and strips.max() <= MODULE_STRIPS - 1):
        raise CalibrationError(
            f"strips {strips.min():g} to {strips.max():g} are not all on the module: "
            f"give 0 … {MODULE_STRIPS - 1}"
        )
    conversion = abs(module.conversion_rad_per_strip)
    position = strips if module.conversion_rad_per_strip > 0 else MODULE_STRIPS - 1 - strips
    angle = module.centre_strip * conversion + np.arctan((position - module.centre_strip) * conversion)
    return np.asarray(module.offset_deg + np.degrees(angle) + arm_deg)


def nominal_detector(n_modules: int, global_offset_deg: float) -> StripDetector:
    """A detector as built, before anyone calibrated it: 50 µm strips at 760 mm.

    Parameters
    ----------
    n_modules
        Modules on the ring, at the 5.005° of the X04SA detector (49 strips are missing between two).
    global_offset_deg
        Angle of strip 0.

    Returns
    -------
    The detector.

    Raises
    ------
    CalibrationError
        Not 1 to 48 modules.
    """
    if not 1 <= n_modules <= 48:
        raise CalibrationError(f"{n_modules} modules: a MYTHEN ring has 1 to 48")
    pitch_mm, distance_mm, module_step_deg = 0.05, 760.0, 5.005
    modules = tuple(
        StripModule(
            centre_strip=(MODULE_STRIPS - 1) / 2,
            conversion_rad_per_strip=math.atan(pitch_mm / distance_mm),
            offset_deg=number * module_step_deg,
        )
        for number in range(n_modules)
    )
    return StripDetector(modules=modules, global_offset_deg=global_offset_deg)

"""Strip angles of a MYTHEN detector."""

import math
from enum import StrEnum
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ..configuration import Config, choice
from ..errors import CalibrationError

__all__ = [
    "MODULE_STRIPS",
    "PITCH_MM",
    "Placement",
    "StripDetector",
    "StripModule",
    "StripOrigin",
    "nominal_detector",
    "strip_module_from_ee",
    "two_theta",
]

MODULE_STRIPS = 1280
"""Strips of a MYTHEN module: ten chips of 128."""

PITCH_MM = 0.05
"""Strip pitch of MYTHEN II and III."""


class StripOrigin(StrEnum):
    """Meaning of an integer strip number in a calibration."""

    CENTRE = "centre"
    """The middle of the strip: edges at j ± 1/2 (MYTHEN manuals)."""
    EDGE = "edge"
    """Its first edge: edges at j and j + 1 (the present PSI anglecalibration code)."""


class StripModule(Config):
    """Angular calibration of one module (Bergamaschi et al., J. Synchrotron Rad. 17, 653, 2010)."""

    centre_strip: float = Field(gt=-1280, lt=2560)
    """Strip at the foot of the normal from the sample, in strips; it may lie outside the module."""
    conversion_rad_per_strip: float = Field(gt=-1e-3, lt=1e-3)
    """Strip pitch over sample distance; 6.6e-5 for 50 µm at 760 mm; negative for a flipped module."""
    offset_deg: float
    """Angle of the module relative to module 0."""
    arm_factor: Literal[-1, 0, 1] = 1
    """Rotation relative to the arm: 1 with it, 0 for a fixed module, -1 against it."""

    @model_validator(mode="after")
    def _has_distance(self) -> Self:
        # |k| < 1e-6 means a sample 50 m away: a placeholder that was not filled in.
        if abs(self.conversion_rad_per_strip) < 1e-6:
            raise ValueError(
                f"conversion {self.conversion_rad_per_strip:g} rad per strip puts the sample more than 50 m "
                "away: give strip pitch over distance, about 6.6e-5"
            )
        return self

    @property
    def distance_mm(self) -> float:
        """Sample to module along the module's normal, mm."""
        return PITCH_MM / abs(self.conversion_rad_per_strip)


class Placement(Config):
    """Position of the ring of modules, which a calibration file does not contain."""

    global_offset_deg: float
    """Angle of strip 0 of module 0 with the arm at zero, from a standard of known lattice parameter."""
    fine_offset_deg: float = 0.0
    """Small offset of one experiment, added to `global_offset_deg`."""
    direction: Literal[-1, 1] = 1
    """+1 if strip numbers rise with the angle, -1 if they fall (PSI `angdir`)."""
    strip_origin: StripOrigin = StripOrigin.CENTRE
    """Meaning of an integer strip number in the code that fitted this calibration; the wrong one shifts a
    pattern by half a strip, 0.0019°."""
    arm_torsion_deg: float = Field(default=0.0, gt=-1, lt=1)
    """Amplitude f of the arm's elastic torsion: true angle = arm - f sin(arm - arm_torsion_zero_deg)."""
    arm_torsion_zero_deg: float = 0.0
    """Arm angle without torsion."""
    sample_along_beam_mm: float = Field(default=0.0, gt=-20, lt=20)
    """Position of the sample along the beam, downstream of the centre of the arm."""
    sample_across_beam_mm: float = Field(default=0.0, gt=-20, lt=20)
    """Position of the sample across the beam, towards positive angles."""


class StripDetector(Placement):
    """A ring of MYTHEN modules."""

    modules: tuple[StripModule, ...] = Field(min_length=1, max_length=48)
    """Calibration of each module, in the order of the strips."""

    @property
    def n_strips(self) -> int:
        """Number of strips of all modules."""
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

        Raises
        ------
        CalibrationError
            The arm angle is not a finite number.
        """
        if not math.isfinite(arm_deg):
            raise CalibrationError(
                f"arm angle {arm_deg} is not a finite number of degrees: read it from the event or set "
                "arm_deg"
            )
        torsion = self.arm_torsion_deg * math.sin(math.radians(arm_deg - self.arm_torsion_zero_deg))
        strips = np.arange(MODULE_STRIPS, dtype=np.float64)
        angles = np.concatenate(
            [
                two_theta(
                    module,
                    strips,
                    module.arm_factor * (arm_deg - torsion) + self.global_offset_deg + self.fine_offset_deg,
                    direction=self.direction,
                    strip_origin=self.strip_origin,
                )
                for module in self.modules
            ]
        )
        if self.sample_along_beam_mm == 0 and self.sample_across_beam_mm == 0:
            return angles
        # Each strip has its own distance from the centre; the angle is measured from the displaced sample.
        distance = np.concatenate([m.distance_mm / np.cos(self._angles_to_normal(m)) for m in self.modules])
        from_sample = np.arctan2(
            distance * np.sin(np.radians(angles)) - self.sample_across_beam_mm,
            distance * np.cos(np.radians(angles)) - self.sample_along_beam_mm,
        )
        return np.asarray(np.degrees(from_sample))

    def strip_width_deg(self) -> NDArray[np.float64]:
        """Angular width of every strip, which falls as the squared cosine of the angle to the normal.

        Returns
        -------
        Widths, degrees, shape (n_strips,), in the order of the strips.
        """
        return np.concatenate(
            [
                np.degrees(abs(m.conversion_rad_per_strip)) * np.cos(self._angles_to_normal(m)) ** 2
                for m in self.modules
            ]
        )

    def _angles_to_normal(self, module: StripModule) -> NDArray[np.float64]:
        """Angles between the normal of a module and the direction to its strips, radians, shape (1280,)."""
        position = _positions(module, np.arange(MODULE_STRIPS, dtype=np.float64), self.strip_origin)
        return np.asarray(np.arctan((position - module.centre_strip) * abs(module.conversion_rad_per_strip)))


def two_theta(
    module: StripModule,
    strips: NDArray[np.floating],
    arm_deg: float,
    *,
    direction: Literal[-1, 1] = 1,
    strip_origin: StripOrigin | str = StripOrigin.CENTRE,
) -> NDArray[np.float64]:
    """Scattering angle of strip centres.

    2θ_j = o + (180/π) [c|k| + D atan((j - c)|k|)] + arm; a module with k < 0 is mounted flipped and
    counts its strips from the other end (PSI convention).

    Parameters
    ----------
    module
        Calibration of the module.
    strips
        Strip numbers, shape (n,), centre of strip j at j.
    arm_deg
        Angle of the detector arm, degrees.
    direction
        D, +1 if strip numbers rise with the angle.
    strip_origin
        Meaning of an integer strip number in the code that fitted the calibration.

    Returns
    -------
    Angles, degrees, shape (n,), in the order of `strips`.

    Raises
    ------
    CalibrationError
        A strip lies outside 0…1279.
    ConfigurationError
        The strip origin is not known.
    """
    strip_origin = choice(StripOrigin, strip_origin, "strip_origin")
    if strips.size and not (strips.min() >= 0 and strips.max() <= MODULE_STRIPS - 1):
        raise CalibrationError(
            f"strips {strips.min():g} to {strips.max():g} are not all on the module: "
            f"give 0 … {MODULE_STRIPS - 1}"
        )
    conversion = abs(module.conversion_rad_per_strip)
    position = _positions(module, strips, strip_origin)
    angle = module.centre_strip * conversion + direction * np.arctan(
        (position - module.centre_strip) * conversion
    )
    return np.asarray(module.offset_deg + np.degrees(angle) + arm_deg)


def _positions(
    module: StripModule, strips: NDArray[np.floating], strip_origin: StripOrigin
) -> NDArray[np.floating]:
    """Strip centres in the strip numbers of the calibration, in reverse order for a flipped module."""
    counted = strips if module.conversion_rad_per_strip > 0 else MODULE_STRIPS - 1 - strips
    return counted + 0.5 if strip_origin is StripOrigin.EDGE else counted


def strip_module_from_ee(
    distance_mm: float, normal_mm: float, angle_deg: float, pitch_mm: float = PITCH_MM
) -> StripModule:
    """Convert a calibration in the EE convention to a `StripModule`.

    In the EE convention the angle of a strip is α_j = Φ - (180/π) atan((D - pj)/R), so that c = D/p, k = p/R
    and o = Φ - (180/π) D/R.

    Parameters
    ----------
    distance_mm
        R, sample to module along its normal, mm.
    normal_mm
        D, strip 0 to the foot of that normal, mm.
    angle_deg
        Φ, angle of the normal, degrees.
    pitch_mm
        p, strip pitch, mm.

    Returns
    -------
    The module.

    Raises
    ------
    CalibrationError
        The distance is not positive.
    """
    if not distance_mm > 0:
        raise CalibrationError(
            f"distance {distance_mm} mm must be positive: give R of the EE calibration, about 760 mm"
        )
    return StripModule(
        centre_strip=normal_mm / pitch_mm,
        conversion_rad_per_strip=pitch_mm / distance_mm,
        offset_deg=angle_deg - math.degrees(normal_mm / distance_mm),
    )


def nominal_detector(n_modules: int, global_offset_deg: float) -> StripDetector:
    """Create a nominal, uncalibrated detector: 50 µm strips at 760 mm.

    Parameters
    ----------
    n_modules
        Modules on the ring, 5.005° apart as in the X04SA detector (a gap of 49 strips between two).
    global_offset_deg
        Angle of strip 0.

    Returns
    -------
    The detector.

    Raises
    ------
    CalibrationError
        The number of modules is not 1 to 48.
    """
    if not 1 <= n_modules <= 48:
        raise CalibrationError(f"n_modules is {n_modules}: a MYTHEN ring has 1 to 48")
    distance_mm, module_step_deg = 760.0, 5.005
    modules = tuple(
        StripModule(
            centre_strip=(MODULE_STRIPS - 1) / 2,
            conversion_rad_per_strip=PITCH_MM / distance_mm,
            offset_deg=index * module_step_deg,
        )
        for index in range(n_modules)
    )
    return StripDetector(modules=modules, global_offset_deg=global_offset_deg)

"""Corrections that a control system made before it delivered a frame."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from ..errors import CalibrationError

__all__ = ["NOTHING_APPLIED", "SWITCHES", "AppliedCorrections"]

FLAT_FIELD_KEYS = ("UseFlatField", "flatFieldCorrection")
RATE_KEYS = ("UseCountRate", "rateCorrection")
INTERPOLATION_KEYS = ("UseBadChanIntrpl", "badChannelInterpolation")
READ_MODE_KEY = "ReadMode"
"""ADMythen delivers uncorrected counts in this mode, whatever the other switches say."""
READ_MODES: dict[Any, bool] = {"Raw": True, "Corrected": False, "Processed": False, 0: True, 1: False}

SWITCHES = tuple(
    f"{key}{suffix}"
    for key in (READ_MODE_KEY, *FLAT_FIELD_KEYS, *RATE_KEYS, *INTERPOLATION_KEYS)
    for suffix in ("", "_RBV")
)
"""Names of all switches that `AppliedCorrections.from_readings` looks at."""


@dataclass(frozen=True, kw_only=True)
class AppliedCorrections:
    """What was done to the counts already and must not be done again.

    Parameters
    ----------
    flat_field
        Divided by a flat field.
    rate
        Corrected for dead time.
    bad_strip_interpolation
        Bad strips replaced by what their neighbours counted.
    """

    flat_field: bool = False
    rate: bool = False
    bad_strip_interpolation: bool = False

    @classmethod
    def from_readings(cls, readings: Mapping[str, Any]) -> Self:
        """Read the switches of a MYTHEN control system.

        Parameters
        ----------
        readings
            Values by the last part of their names, as EPICS (``UseFlatField``, ``UseCountRate``,
            ``UseBadChanIntrpl``, ``ReadMode``, each also with ``_RBV``) or Lima (``flatFieldCorrection``,
            ``rateCorrection``, ``badChannelInterpolation``) call them; others are not looked at, one
            that is missing is off.

        Returns
        -------
        What was applied.

        Raises
        ------
        CalibrationError
            A switch is neither on nor off.
        """
        mode = _reading(readings, READ_MODE_KEY)
        if mode is not None:
            if mode not in READ_MODES:
                raise CalibrationError(f"{READ_MODE_KEY} is {mode!r}: Raw (0) or Corrected (1) is needed")
            if READ_MODES[mode]:
                return cls()
        return cls(
            flat_field=_on(readings, FLAT_FIELD_KEYS),
            rate=_on(readings, RATE_KEYS),
            bad_strip_interpolation=_on(readings, INTERPOLATION_KEYS),
        )


NOTHING_APPLIED = AppliedCorrections()
"""Plain counts."""


def _reading(readings: Mapping[str, Any], key: str) -> Any:
    """Value of a switch; what the device reads back counts more than what was asked of it."""
    return readings.get(f"{key}_RBV", readings.get(key))


def _on(readings: Mapping[str, Any], keys: tuple[str, ...]) -> bool:
    for key in keys:
        value = _reading(readings, key)
        if value is None:
            continue
        if value in (0, 1):  # also False and True
            return bool(value)
        if value in ("On", "Off", "Yes", "No"):
            return value in ("On", "Yes")
        raise CalibrationError(f"{key} is {value!r}: 0 or 1 is needed to know whether it was applied")
    return False

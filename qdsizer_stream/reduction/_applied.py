"""Corrections that a control system made before delivering a frame."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from ..errors import CalibrationError

__all__ = ["NOTHING_APPLIED", "SWITCHES", "AppliedCorrections"]

FLAT_FIELD_KEYS = ("UseFlatField", "flatFieldCorrection")
RATE_KEYS = ("UseCountRate", "rateCorrection")
INTERPOLATION_KEYS = ("UseBadChanIntrpl", "badChannelInterpolation")
READ_MODE_KEY = "ReadMode"
"""Switch of ADMythen that, if set to Raw, overrides all the others: the counts are uncorrected."""
READ_MODES: dict[Any, bool] = {"Raw": True, "Corrected": False, "Processed": False, 0: True, 1: False}

SWITCHES = tuple(
    f"{key}{suffix}"
    for key in (READ_MODE_KEY, *FLAT_FIELD_KEYS, *RATE_KEYS, *INTERPOLATION_KEYS)
    for suffix in ("", "_RBV")
)
"""Names of all switches that `AppliedCorrections.from_readings` uses."""


@dataclass(frozen=True, kw_only=True)
class AppliedCorrections:
    """Corrections already made to the counts, which must not be made again.

    Parameters
    ----------
    flat_field
        The counts were divided by a flat field.
    rate
        The counts were corrected for dead time.
    bad_strip_interpolation
        The counts of bad strips were replaced by those of their neighbours.
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
            Values by the last part of their names in EPICS (``UseFlatField``, ``UseCountRate``,
            ``UseBadChanIntrpl``, ``ReadMode``, each also with ``_RBV``) or Lima (``flatFieldCorrection``,
            ``rateCorrection``, ``badChannelInterpolation``); other names are ignored, and a missing
            switch counts as off.

        Returns
        -------
        The corrections applied.

        Raises
        ------
        CalibrationError
            A switch is neither on nor off.
        """
        mode = _reading(readings, READ_MODE_KEY)
        if mode is not None:
            if mode not in READ_MODES:
                raise CalibrationError(f"{READ_MODE_KEY} is {mode!r}: it must be Raw (0) or Corrected (1)")
            if READ_MODES[mode]:
                return cls()
        return cls(
            flat_field=_on(readings, FLAT_FIELD_KEYS),
            rate=_on(readings, RATE_KEYS),
            bad_strip_interpolation=_on(readings, INTERPOLATION_KEYS),
        )


NOTHING_APPLIED = AppliedCorrections()
"""Uncorrected counts."""


def _reading(readings: Mapping[str, Any], key: str) -> Any:
    """Value of a switch; its readback takes precedence over its setpoint."""
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
        raise CalibrationError(f"{key} is {value!r}: it must be 0 (not applied) or 1 (applied)")
    return False

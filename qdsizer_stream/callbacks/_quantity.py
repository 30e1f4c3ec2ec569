"""Numbers that a frame needs besides its counts, read from documents by an explicit mapping."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, Self

from pydantic import model_validator

from ..configuration import Config
from ..errors import ConfigurationError, PatternError
from ..patterns import check_wavelength, energy_ev_from_wavelength

__all__ = ["AngleSource", "NumberSource", "WavelengthSource", "read_angle", "read_wavelength"]

WAVELENGTH_UNITS = {
    "angstrom": "angstrom",
    "angstroms": "angstrom",
    "a": "angstrom",
    "å": "angstrom",
    "nm": "nm",
    "kev": "keV",
    "ev": "eV",
}
"""What control systems write as units of wavelength and energy, lower case, and what it means."""

ANGLE_UNITS = {"deg": "deg", "degree": "deg", "degrees": "deg", "°": "deg", "rad": "rad", "radian": "rad"}
"""What control systems write as units of angle, lower case, and what it means."""


class NumberSource(Config):
    """Where one number is read from: exactly one of the four places."""

    value: float | None = None
    """The number itself, for a beamline where it never changes."""
    configuration_key: str | None = None
    """Key in the configuration of the frames' descriptor, such as `mythen_wavelength`."""
    data_key: str | None = None
    """Key in the data of the frame's own event, such as `mono_energy`."""
    start_key: str | None = None
    """Key in the start document, such as `wavelength`."""

    @model_validator(mode="after")
    def _exactly_one_place(self) -> Self:
        given = [place for place in PLACES if getattr(self, place) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(PLACES)}, found {', '.join(given) or 'none'}")
        return self

    def describe(self) -> str:
        """Name the place.

        Returns
        -------
        One phrase, such as `configuration key mythen_wavelength`.
        """
        if self.value is not None:
            return "value in the configuration"
        place = next(place for place in PLACES if getattr(self, place) is not None)
        return f"{place.replace('_', ' ')} {getattr(self, place)}"


PLACES = ("value", "configuration_key", "data_key", "start_key")


class WavelengthSource(NumberSource):
    """Where the wavelength, or the photon energy, is read from."""

    unit: Literal["angstrom", "nm", "keV", "eV"] | None = None
    """Unit of the number; None where the descriptor states it for the key."""


class AngleSource(NumberSource):
    """Where the angle of the detector arm is read from."""

    unit: Literal["deg", "rad"] | None = None
    """Unit of the number; None where the descriptor states it for the key."""


def read_wavelength(
    source: WavelengthSource | None,
    start: Mapping[str, Any],
    descriptor: Mapping[str, Any],
    data: Mapping[str, Any],
) -> float:
    """Read the wavelength of one frame.

    Parameters
    ----------
    source
        Where to read it; None where nobody said.
    start
        Start document of the run.
    descriptor
        Descriptor of the frame's stream.
    data
        Data of the frame's event; empty where it has none.

    Returns
    -------
    Wavelength, Å.

    Raises
    ------
    ConfigurationError
        It is not where the mapping says, has no unit or two, or is no X-ray wavelength.
    """
    if source is None:
        raise ConfigurationError(
            "no wavelength: set [wavelength] in the configuration to one of "
            f"{', '.join(PLACES)}, with its unit; there is no default"
        )
    number, unit = _read("wavelength", source, source.unit, WAVELENGTH_UNITS, start, descriptor, data)
    hc_ev_angstrom = energy_ev_from_wavelength(1.0)
    to_angstrom: dict[str, Callable[[float], float]] = {
        "angstrom": lambda wavelength: wavelength,
        "nm": lambda wavelength: 10 * wavelength,
        "keV": lambda energy: hc_ev_angstrom / (1000 * energy),
        "eV": lambda energy: hc_ev_angstrom / energy,
    }
    try:
        return check_wavelength(to_angstrom[unit](number))
    except (PatternError, ZeroDivisionError) as error:
        raise ConfigurationError(f"wavelength from {source.describe()}, {number} {unit}: {error}") from error


def read_angle(
    source: AngleSource,
    start: Mapping[str, Any],
    descriptor: Mapping[str, Any],
    data: Mapping[str, Any],
) -> float:
    """Read the angle of the detector arm for one frame.

    Parameters
    ----------
    source, start, descriptor, data
        As in `read_wavelength`.

    Returns
    -------
    Angle, degrees.

    Raises
    ------
    ConfigurationError
        It is not where the mapping says, has no unit or two, or is not finite.
    """
    number, unit = _read("arm_angle", source, source.unit, ANGLE_UNITS, start, descriptor, data)
    if not math.isfinite(number):
        raise ConfigurationError(f"arm_angle from {source.describe()} is {number}: a finite angle is needed")
    return math.degrees(number) if unit == "rad" else number


def _read(
    name: str,
    source: NumberSource,
    stated_unit: str | None,
    units: Mapping[str, str],
    start: Mapping[str, Any],
    descriptor: Mapping[str, Any],
    data: Mapping[str, Any],
) -> tuple[float, str]:
    """Find a number and its unit, refusing to guess either."""
    if source.value is not None:
        found: Any = source.value
        written_unit = None
    elif source.start_key is not None:
        found = start.get(source.start_key)
        written_unit = None
    elif source.data_key is not None:
        found = data.get(source.data_key)
        written_unit = descriptor.get("data_keys", {}).get(source.data_key, {}).get("units")
    else:
        found, written_unit = _in_configuration(source.configuration_key, descriptor)
    if found is None:
        raise ConfigurationError(
            f"no {name}: {source.describe()} is not there, only "
            f"{_candidates(source, start, descriptor, data)}; set [{name}] to where it is"
        )
    allowed = ", ".join(sorted(set(units.values())))
    # A unit that is written but unknown ("mm", "counts") must stop us: it says the key is another quantity.
    known_unit = units.get(str(written_unit).strip().lower()) if written_unit else None
    if written_unit and known_unit is None:
        raise ConfigurationError(
            f"{name} from {source.describe()} is in {written_unit!r}: allowed are {allowed}"
        )
    if stated_unit and known_unit and stated_unit != known_unit:
        raise ConfigurationError(
            f"{name} from {source.describe()}: the configuration says {stated_unit}, the descriptor "
            f"{written_unit}; correct {name}.unit"
        )
    unit = stated_unit or known_unit
    if unit is None:
        raise ConfigurationError(
            f"{name} from {source.describe()} has no unit: set {name}.unit to one of {allowed}"
        )
    try:
        return float(found), unit
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"{name} from {source.describe()} is {found!r}: a number is needed"
        ) from error


def _in_configuration(key: str | None, descriptor: Mapping[str, Any]) -> tuple[Any, Any]:
    """Value and unit of a configuration key; devices prefix their keys, so keys are unique."""
    for device in descriptor.get("configuration", {}).values():
        if key in device.get("data", {}):
            return device["data"][key], device.get("data_keys", {}).get(key, {}).get("units")
    return None, None


def _candidates(
    source: NumberSource, start: Mapping[str, Any], descriptor: Mapping[str, Any], data: Mapping[str, Any]
) -> str:
    """Keys that stand in the place where the number was looked for."""
    if source.start_key is not None:
        keys = sorted(start)
    elif source.data_key is not None:
        keys = sorted(data)
    else:
        keys = sorted(
            key for device in descriptor.get("configuration", {}).values() for key in device.get("data", {})
        )
    return ", ".join(keys) or "nothing"

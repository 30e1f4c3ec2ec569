"""Numbers that a frame needs besides its counts, read from documents by an explicit mapping."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, Self

from pydantic import model_validator

from ..configuration import Config
from ..errors import ConfigurationError, PatternError
from ..patterns import check_wavelength, energy_ev_from_wavelength

__all__ = [
    "AngleSource",
    "ExposureSource",
    "NumberSource",
    "PeakSource",
    "WavelengthSource",
    "read_angle",
    "read_exposure",
    "read_monitor",
    "read_peak",
    "read_switches",
    "read_wavelength",
]

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

PEAK_UNITS = {"ev": "eV", "nm": "nm", "nanometer": "nm", "nanometers": "nm"}
"""What spectrometers write as units of an absorption peak, lower case, and what it means."""

ANGLE_UNITS = {"deg": "deg", "degree": "deg", "degrees": "deg", "°": "deg", "rad": "rad", "radian": "rad"}
"""What control systems write as units of angle, lower case, and what it means."""

TIME_UNITS = {
    "s": "s",
    "sec": "s",
    "second": "s",
    "seconds": "s",
    "ms": "ms",
    "us": "us",
    "µs": "us",
    "ns": "ns",
}
"""What control systems write as units of time, lower case, and what it means."""

PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
"""Units of time in a second: dividing by them keeps 30 000 ms exactly 30 s."""


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


class ExposureSource(NumberSource):
    """Where the exposure of a frame is read from."""

    unit: Literal["s", "ms", "us", "ns"] | None = None
    """Unit of the number; None where the descriptor states it for the key."""


class PeakSource(NumberSource):
    """Where an absorption peak is read from, as an energy or as a wavelength of light."""

    unit: Literal["eV", "nm"] | None = None
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


def read_exposure(
    source: ExposureSource,
    start: Mapping[str, Any],
    descriptor: Mapping[str, Any],
    data: Mapping[str, Any],
) -> float:
    """Read the exposure of one frame.

    Parameters
    ----------
    source, start, descriptor, data
        As in `read_wavelength`.

    Returns
    -------
    Exposure, s; whether it can be one is for the reduction to say.

    Raises
    ------
    ConfigurationError
        It is not where the mapping says, or has no unit or two.
    """
    number, unit = _read("exposure", source, source.unit, TIME_UNITS, start, descriptor, data)
    return number / PER_SECOND[unit]


def read_monitor(
    source: NumberSource,
    start: Mapping[str, Any],
    descriptor: Mapping[str, Any],
    data: Mapping[str, Any],
) -> float:
    """Read the monitor (I0) of one frame, in the unit that it has.

    Parameters
    ----------
    source, start, descriptor, data
        As in `read_wavelength`.

    Returns
    -------
    The reading; whether it can be divided by is for the reduction to say.

    Raises
    ------
    ConfigurationError
        It is not where the mapping says, or no number.
    """
    found, _ = _find("monitor", source, start, descriptor, data)
    return _number("monitor", source, found)


def read_peak(
    source: PeakSource,
    start: Mapping[str, Any],
    descriptor: Mapping[str, Any],
    data: Mapping[str, Any],
) -> float:
    """Read the absorption peak of one frame.

    Parameters
    ----------
    source, start, descriptor, data
        As in `read_wavelength`.

    Returns
    -------
    Energy, eV; NaN where the reading is no positive number, as of a spectrum without a peak.

    Raises
    ------
    ConfigurationError
        It is not where the mapping says, or has no unit or two.
    """
    number, unit = _read("optics.peak", source, source.unit, PEAK_UNITS, start, descriptor, data)
    if not 0 < number < math.inf:
        return math.nan
    hc_ev_angstrom = energy_ev_from_wavelength(1.0)
    return number if unit == "eV" else hc_ev_angstrom / (10 * number)


def read_switches(
    keys: Mapping[str, str], descriptor: Mapping[str, Any], data: Mapping[str, Any]
) -> dict[str, Any]:
    """Read what the control system says it does to the counts.

    Parameters
    ----------
    keys
        Key of each switch in the data or the descriptor's configuration.
    descriptor, data
        As in `read_wavelength`.

    Returns
    -------
    Values by name of the switch.

    Raises
    ------
    ConfigurationError
        A key is in neither place.
    """
    readings = {}
    for switch, key in keys.items():
        value = data.get(key)
        if value is None:
            value, _ = _in_configuration(key, descriptor)
        if value is None:
            raise ConfigurationError(
                f"no {switch}: {key} is neither in the data nor in the configuration of the frames' "
                "descriptor; set [applied] to where it is"
            )
        readings[switch] = value
    return readings


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
    found, written_unit = _find(name, source, start, descriptor, data)
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
    return _number(name, source, found), unit


def _number(name: str, source: NumberSource, found: Any) -> float:
    try:
        return float(found)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"{name} from {source.describe()} is {found!r}: a number is needed"
        ) from error


def _find(
    name: str,
    source: NumberSource,
    start: Mapping[str, Any],
    descriptor: Mapping[str, Any],
    data: Mapping[str, Any],
) -> tuple[Any, Any]:
    """Find a value where it is said to be, with the unit that is written there."""
    written_unit: Any = None
    if source.value is not None:
        found: Any = source.value
    elif source.start_key is not None:
        found = start.get(source.start_key)
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
    return found, written_unit


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

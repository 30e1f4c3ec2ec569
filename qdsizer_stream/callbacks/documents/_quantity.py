"""Quantities that sizing a frame requires besides its counts: numbers whose units are never guessed."""

import math
from collections.abc import Callable, Mapping
from typing import Literal

from ...errors import ConfigurationError, PatternError
from ...patterns import check_wavelength, energy_ev_from_wavelength
from ._number_source import NUMBER_SOURCES, FrameDocuments, NumberSource

__all__ = [
    "AngleSource",
    "ExposureSource",
    "PeakSource",
    "WavelengthSource",
    "fixed_wavelength_angstrom",
    "read_angle",
    "read_exposure",
    "read_peak",
    "read_wavelength",
]

HC_EV_ANGSTROM = energy_ev_from_wavelength(1.0)
"""Photon energy times wavelength, eV Å."""

WAVELENGTH_UNITS = {
    "angstrom": "angstrom",
    "angstroms": "angstrom",
    "a": "angstrom",
    "å": "angstrom",
    "nm": "nm",
    "kev": "keV",
    "ev": "eV",
}
"""Units of wavelength and energy as control systems write them, in lower case, and the meaning of each."""

TO_ANGSTROM: Mapping[str, Callable[[float], float]] = {
    "angstrom": lambda wavelength: wavelength,
    "nm": lambda wavelength: 10 * wavelength,
    "keV": lambda energy: HC_EV_ANGSTROM / (1000 * energy),
    "eV": lambda energy: HC_EV_ANGSTROM / energy,
}
"""Wavelength in Å from a number of each unit."""

PEAK_UNITS = {"ev": "eV", "nm": "nm", "nanometer": "nm", "nanometers": "nm"}
"""Units of an absorption peak as spectrometers write them, in lower case, and the meaning of each."""

ANGLE_UNITS = {"deg": "deg", "degree": "deg", "degrees": "deg", "°": "deg", "rad": "rad", "radian": "rad"}
"""Units of angle as control systems write them, in lower case, and the meaning of each."""

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
"""Units of time as control systems write them, in lower case, and the meaning of each."""

PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
"""Units of time per second: dividing by them keeps 30 000 ms exactly 30 s."""


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


def read_wavelength(source: WavelengthSource | None, documents: FrameDocuments) -> float:
    """Read the wavelength of one frame.

    Parameters
    ----------
    source
        Where to read it; None where the settings give no source.
    documents
        The frame's documents.

    Returns
    -------
    Wavelength, Å.

    Raises
    ------
    ConfigurationError
        It is not at its source, has no unit or two different ones, or is not a wavelength of X-rays.
    """
    if source is None:
        raise ConfigurationError(
            "no wavelength: set [wavelength] in the configuration to one of "
            f"{', '.join(NUMBER_SOURCES)}, with its unit; there is no default"
        )
    number, unit = _read("wavelength", source, WAVELENGTH_UNITS, documents)
    try:
        return check_wavelength(TO_ANGSTROM[unit](number))
    except (PatternError, ZeroDivisionError) as error:
        raise ConfigurationError(f"wavelength from {source.describe()}, {number} {unit}: {error}") from error


def fixed_wavelength_angstrom(source: WavelengthSource) -> float | None:
    """Convert the wavelength that the settings themselves give.

    Parameters
    ----------
    source
        Where the wavelength is read from.

    Returns
    -------
    Wavelength, Å; None where it is read from documents.

    Raises
    ------
    ConfigurationError
        The value has no unit, or is not a wavelength of X-rays; the message names a unit in which it would
        be one.
    """
    if source.value is None:
        return None
    number, unit = source.value, source.unit
    if unit is None:
        raise ConfigurationError(f"{number:g} has no unit: set wavelength.unit; {_allowed(WAVELENGTH_UNITS)}")
    try:
        return check_wavelength(TO_ANGSTROM[unit](number))
    except (PatternError, ZeroDivisionError) as error:
        likely = [other for other, convert in TO_ANGSTROM.items() if number and _usual(convert(number))]
        hint = f"; {number:g} looks like {likely[0]}: set wavelength.unit" if likely else ""
        raise ConfigurationError(f"{number:g} {unit}: {error}{hint}") from error


def _usual(wavelength_angstrom: float) -> bool:
    """Whether a wavelength is one of powder diffraction: chromium to 120 keV."""
    return 0.1 <= wavelength_angstrom <= 2.3


def read_angle(source: AngleSource, documents: FrameDocuments) -> float:
    """Read the angle of the detector arm for one frame.

    Parameters
    ----------
    source, documents
        As in `read_wavelength`.

    Returns
    -------
    Angle, degrees.

    Raises
    ------
    ConfigurationError
        It is not at its source, has no unit or two different ones, or is not finite.
    """
    number, unit = _read("arm_angle", source, ANGLE_UNITS, documents)
    if not math.isfinite(number):
        raise ConfigurationError(
            f"arm_angle from {source.describe()} is {number}, which is not finite: correct it there"
        )
    return math.degrees(number) if unit == "rad" else number


def read_exposure(source: ExposureSource, documents: FrameDocuments) -> float:
    """Read the exposure of one frame.

    Parameters
    ----------
    source, documents
        As in `read_wavelength`.

    Returns
    -------
    Exposure, s; the reduction checks its value.

    Raises
    ------
    ConfigurationError
        It is not at its source, or has no unit or two different ones.
    """
    number, unit = _read("exposure", source, TIME_UNITS, documents)
    return number / PER_SECOND[unit]


def read_peak(source: PeakSource, documents: FrameDocuments) -> float:
    """Read the absorption peak of one frame.

    Parameters
    ----------
    source, documents
        As in `read_wavelength`.

    Returns
    -------
    Energy, eV; NaN where the reading is not a positive number, as from a spectrum without a peak.

    Raises
    ------
    ConfigurationError
        It is not at its source, or has no unit or two different ones.
    """
    number, unit = _read("optics.peak", source, PEAK_UNITS, documents)
    if not 0 < number < math.inf:
        return math.nan
    return number if unit == "eV" else HC_EV_ANGSTROM / (10 * number)


def _read(
    name: str,
    source: WavelengthSource | AngleSource | ExposureSource | PeakSource,
    units: Mapping[str, str],
    documents: FrameDocuments,
) -> tuple[float, str]:
    """Read a number with its unit; neither is guessed."""
    number, written = source.read(name, documents)
    # A unit that is written but unknown ("mm", "counts") is an error: the key holds another quantity.
    known = units.get(str(written).strip().lower()) if written else None
    if written and known is None:
        raise ConfigurationError(f"{name} from {source.describe()} is in {written!r}: {_allowed(units)}")
    if source.unit and known and source.unit != known:
        raise ConfigurationError(
            f"{name} from {source.describe()}: the configuration gives the unit {source.unit}, "
            f"the descriptor {written}; correct {name}.unit"
        )
    unit = source.unit or known
    if unit is None:
        raise ConfigurationError(
            f"{name} from {source.describe()} has no unit: set {name}.unit; {_allowed(units)}"
        )
    return number, unit


def _allowed(units: Mapping[str, str]) -> str:
    return f"allowed are {', '.join(sorted(set(units.values())))}"

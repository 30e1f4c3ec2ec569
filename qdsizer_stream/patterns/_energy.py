"""Photon energies as people write them."""

import re

from ..errors import ConfigurationError, PatternError
from ._axis import HC_EV_ANGSTROM, check_wavelength

__all__ = ["given_wavelength", "wavelength_from_energy"]

ENERGY = re.compile(r"\s*([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*(keV|eV)\s*", re.IGNORECASE)
"""A number and its unit, with or without a blank between them."""

EV_PER_UNIT = {"ev": 1.0, "kev": 1000.0}


def wavelength_from_energy(energy: str) -> float:
    """Convert a photon energy with its unit to a wavelength.

    Parameters
    ----------
    energy
        Photon energy with its unit, such as "22 keV", "22keV" or "21995 eV".

    Returns
    -------
    Wavelength, Å.

    Raises
    ------
    PatternError
        The text has no unit, is not a number, or is not the energy of an X-ray photon.
    """
    match = ENERGY.fullmatch(energy)
    try:
        energy_ev = float(match[1]) * EV_PER_UNIT[match[2].lower()] if match else 0.0
    except ValueError:  # two decimal points
        energy_ev = 0.0
    if not energy_ev > 0:
        raise PatternError(
            f"energy {energy!r} is not a photon energy: give a number and its unit, such as '22 keV'"
            + _as_wavelength(energy)
        )
    try:
        return check_wavelength(HC_EV_ANGSTROM / energy_ev)
    except PatternError as error:
        raise PatternError(
            f"energy {energy!r} is {energy_ev / 1000:g} keV: it must be between 2.5 and 250 keV"
        ) from error


def _as_wavelength(energy: str) -> str:
    """Hint where a number without a unit would be a usual wavelength."""
    try:
        value = float(energy)
    except ValueError:
        return ""
    return f" ({energy.strip()} looks like Å: give it as the wavelength)" if 0.05 <= value <= 2.3 else ""


def given_wavelength(wavelength_angstrom: float | None, energy: str | None) -> float | None:
    """Take the wavelength from whichever of two settings was given.

    Parameters
    ----------
    wavelength_angstrom
        Wavelength, Å.
    energy
        Photon energy with its unit.

    Returns
    -------
    Wavelength, Å; None where neither was given.

    Raises
    ------
    ConfigurationError
        Both are given.
    PatternError
        It is not the wavelength of an X-ray.
    """
    if wavelength_angstrom is not None and energy is not None:
        raise ConfigurationError(
            f"wavelength {wavelength_angstrom} Å and energy {energy!r} are both given: give one of the two"
        )
    if energy is not None:
        return wavelength_from_energy(energy)
    return None if wavelength_angstrom is None else check_wavelength(wavelength_angstrom)

"""Scattering angle and momentum transfer."""

import math
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ..errors import PatternError

__all__ = [
    "Axis",
    "check_wavelength",
    "energy_ev_from_wavelength",
    "q_from_two_theta",
    "two_theta_from_q",
]

HC_EV_ANGSTROM = 12398.419843320026
"""Planck constant times speed of light (exact in the SI since 2019), eV Å."""


class Axis(StrEnum):
    """Quantity in the first column of a file."""

    TWO_THETA = "two-theta"
    """Scattering angle, degrees."""
    Q = "q"
    """Momentum transfer, Å⁻¹."""


def check_wavelength(wavelength_angstrom: float) -> float:
    """Check that a wavelength is one of X-rays.

    Parameters
    ----------
    wavelength_angstrom
        Wavelength, Å.

    Returns
    -------
    The same wavelength.

    Raises
    ------
    PatternError
        It is not a finite number between 0.05 and 5 Å (250 to 2.5 keV).
    """
    if not (math.isfinite(wavelength_angstrom) and 0.05 <= wavelength_angstrom <= 5.0):
        raise PatternError(
            f"wavelength {wavelength_angstrom} Å is not an X-ray wavelength: give it in Å, between 0.05 and 5"
            + _other_unit(wavelength_angstrom)
        )
    return wavelength_angstrom


def _other_unit(value: float) -> str:
    """Hint at the unit in which a number would be an X-ray wavelength or energy."""
    if 5 < value <= 250:
        return f" ({value:g} looks like keV: {HC_EV_ANGSTROM / 1000 / value:.4f} Å)"
    if 2_000 <= value <= 250_000:
        return f" ({value:g} looks like eV: {HC_EV_ANGSTROM / value:.4f} Å)"
    if 5e-12 <= value <= 5e-10:
        return f" ({value:g} looks like metres: {value * 1e10:.4f} Å)"
    if 0.005 <= value < 0.05:
        return f" ({value:g} looks like nm: {value * 10:.4f} Å)"
    return ""


def energy_ev_from_wavelength(wavelength_angstrom: float) -> float:
    """Photon energy.

    Parameters
    ----------
    wavelength_angstrom
        Wavelength, Å.

    Returns
    -------
    Photon energy, eV.

    Raises
    ------
    PatternError
        The wavelength is not that of X-rays.
    """
    return HC_EV_ANGSTROM / check_wavelength(wavelength_angstrom)


def q_from_two_theta(two_theta_deg: NDArray[np.floating], wavelength_angstrom: float) -> NDArray[np.float64]:
    """Momentum transfer Q = 4π sin θ / λ.

    Parameters
    ----------
    two_theta_deg
        Scattering angles, degrees, any shape.
    wavelength_angstrom
        Wavelength, Å.

    Returns
    -------
    Q, Å⁻¹, in the shape of `two_theta_deg`.

    Raises
    ------
    PatternError
        The wavelength is not that of X-rays.
    """
    half_angle = np.radians(np.asarray(two_theta_deg, dtype=np.float64)) / 2
    return np.asarray(4 * np.pi * np.sin(half_angle) / check_wavelength(wavelength_angstrom))


def two_theta_from_q(q_inv_angstrom: NDArray[np.floating], wavelength_angstrom: float) -> NDArray[np.float64]:
    """Scattering angle, the inverse of `q_from_two_theta`.

    Parameters
    ----------
    q_inv_angstrom
        Q, Å⁻¹, any shape.
    wavelength_angstrom
        Wavelength, Å.

    Returns
    -------
    Angles, degrees, in the shape of `q_inv_angstrom`.

    Raises
    ------
    PatternError
        The wavelength is not that of X-rays, or a Q is beyond 4π/λ, the value at 180°.
    """
    sine = np.asarray(q_inv_angstrom, dtype=np.float64) * check_wavelength(wavelength_angstrom) / (4 * np.pi)
    if np.any(np.abs(sine) > 1):
        limit = 4 * np.pi / wavelength_angstrom
        raise PatternError(
            f"Q = {np.max(np.abs(q_inv_angstrom)):.4g} Å⁻¹ cannot be measured at {wavelength_angstrom} Å: "
            f"the limit is 4π/λ = {limit:.4g} Å⁻¹"
        )
    return np.asarray(2 * np.degrees(np.arcsin(sine)))

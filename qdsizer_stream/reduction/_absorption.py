"""Absorption in a filled capillary."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..configuration import Config
from ..errors import ConfigurationError
from ..patterns import energy_ev_from_wavelength

__all__ = [
    "AbsorptionFactors",
    "Capillary",
    "attenuation_from_transmission",
    "attenuation_per_cm",
    "paalman_pings",
    "straight_transmission",
]

N_RADII, N_AZIMUTHS = 40, 240
"""Points of the quadrature; twice as many of each change the factors by less than 2e-5."""

N_ANGLES = 37
"""Angles between 0 and 180° at which the factors are computed; they vary so little that a spline through
these is exact to 1e-6."""


class Capillary(Config):
    """A round capillary across the scattering plane, in a beam wider than itself."""

    outer_diameter_mm: float = Field(gt=0.01, lt=20)
    """Outer diameter, mm."""
    wall_mm: float = Field(gt=0, lt=10)
    """Thickness of the wall, mm."""
    wall_attenuation_per_cm: float = Field(ge=0, lt=1e4)
    """Linear attenuation coefficient of the wall, cm⁻¹."""

    @property
    def outer_cm(self) -> float:
        """Outer radius, cm."""
        return self.outer_diameter_mm / 20

    @property
    def inner_cm(self) -> float:
        """Inner radius, cm."""
        inner = self.outer_cm - self.wall_mm / 10
        if inner <= 0:
            raise ConfigurationError(
                f"wall_mm {self.wall_mm} is too thick for a capillary of {self.outer_diameter_mm} mm: it "
                "must be less than half the outer diameter"
            )
        return inner


@dataclass(frozen=True, eq=False)
class AbsorptionFactors:
    """Paalman-Pings factors: transmitted fraction of the scattering of sample and capillary wall.

    Parameters
    ----------
    sample_in_both
        A_s,sc: scattered in the sample, absorbed in sample and capillary, shape (n,).
    wall_in_both
        A_c,sc: scattered in the capillary, absorbed in sample and capillary, shape (n,).
    wall_in_wall
        A_c,c: scattered in the empty capillary, absorbed there, shape (n,).
    """

    sample_in_both: NDArray[np.float64]
    wall_in_both: NDArray[np.float64]
    wall_in_wall: NDArray[np.float64]


def paalman_pings(
    capillary: Capillary, sample_attenuation_per_cm: float, two_theta_deg: NDArray[np.float64]
) -> AbsorptionFactors:
    """Integrate absorption over the cross-section of a capillary.

    A = (1/V) ∫ exp(-Σ μ (ℓ_in + ℓ_out)) dV (Paalman & Pings, J. Appl. Phys. 33, 2635, 1962; for the
    annulus Kendig & Pings, J. Appl. Phys. 36, 1692, 1965), by Gauss-Legendre points in the radius and
    equal steps in the azimuth, which are exact for periodic functions.

    Parameters
    ----------
    capillary
        Capillary.
    sample_attenuation_per_cm
        Linear attenuation coefficient of its contents, cm⁻¹.
    two_theta_deg
        Scattering angles, degrees, shape (n,).

    Returns
    -------
    The factors.

    Raises
    ------
    ConfigurationError
        The wall is thicker than the capillary's radius, or the attenuation is negative.
    """
    if not sample_attenuation_per_cm >= 0:
        raise ConfigurationError(
            f"attenuation {sample_attenuation_per_cm} cm⁻¹ of the sample must not be negative"
        )
    from scipy.interpolate import CubicSpline

    inner, outer = capillary.inner_cm, capillary.outer_cm
    wall = capillary.wall_attenuation_per_cm
    angles = np.linspace(0.0, 180.0, N_ANGLES)

    def mean(low_cm: float, high_cm: float, inside: float) -> NDArray[np.float64]:
        x, y, weight = _ring(low_cm, high_cm)
        incoming = _path(x, y, -1.0, 0.0, inner), _path(x, y, -1.0, 0.0, outer)
        values = []
        for angle in np.radians(angles):
            cosine, sine = float(np.cos(angle)), float(np.sin(angle))
            in_sample = incoming[0] + _path(x, y, cosine, sine, inner)
            in_all = incoming[1] + _path(x, y, cosine, sine, outer)
            values.append(weight @ np.exp(-inside * in_sample - wall * (in_all - in_sample)))
        spline = CubicSpline(np.cos(np.radians(angles[::-1])), values[::-1])
        return np.asarray(spline(np.cos(np.radians(two_theta_deg))))

    return AbsorptionFactors(
        sample_in_both=mean(0.0, inner, sample_attenuation_per_cm),
        wall_in_both=mean(inner, outer, sample_attenuation_per_cm),
        wall_in_wall=mean(inner, outer, 0.0),
    )


def _ring(
    low_cm: float, high_cm: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Points of a ring and the fraction of its area that each represents."""
    nodes, weights = np.polynomial.legendre.leggauss(N_RADII)
    radius = low_cm + (high_cm - low_cm) * (nodes + 1) / 2
    azimuth = 2 * np.pi * (np.arange(N_AZIMUTHS) + 0.5) / N_AZIMUTHS
    x = np.outer(radius, np.cos(azimuth)).ravel()
    y = np.outer(radius, np.sin(azimuth)).ravel()
    area = np.repeat(weights * radius, N_AZIMUTHS)
    return x, y, area / area.sum()


def _path(
    x: NDArray[np.float64], y: NDArray[np.float64], along_x: float, along_y: float, radius: float
) -> NDArray[np.float64]:
    """Path length inside a circle of rays from points in one direction."""
    ahead = -(x * along_x + y * along_y)  # to the foot of the normal from the centre
    half_chord = np.sqrt(np.maximum(radius**2 - (x**2 + y**2) + ahead**2, 0.0))
    return np.asarray(np.maximum(ahead + half_chord, 0) - np.maximum(ahead - half_chord, 0))


def straight_transmission(capillary: Capillary, sample_attenuation_per_cm: float) -> float:
    """Compute the transmission through the middle of a filled capillary.

    Parameters
    ----------
    capillary
        Capillary.
    sample_attenuation_per_cm
        Linear attenuation coefficient of its contents, cm⁻¹; 0 for an empty one.

    Returns
    -------
    T = exp(-2 μ_s R_s - 2 μ_c t).

    Raises
    ------
    ConfigurationError
        The wall is thicker than the capillary's radius.
    """
    wall = capillary.wall_attenuation_per_cm * (capillary.outer_cm - capillary.inner_cm)
    return float(np.exp(-2 * (sample_attenuation_per_cm * capillary.inner_cm + wall)))


def attenuation_from_transmission(capillary: Capillary, transmission: float) -> float:
    """Attenuation of a sample from the transmission measured by a diode behind the capillary.

    Parameters
    ----------
    capillary
        Capillary.
    transmission
        Measured transmission through its middle, relative to no capillary.

    Returns
    -------
    Linear attenuation coefficient of the sample, cm⁻¹.

    Raises
    ------
    ConfigurationError
        The transmission is not possible for a filled capillary.
    """
    empty = straight_transmission(capillary, 0.0)
    if not 0 < transmission <= empty:
        raise ConfigurationError(
            f"transmission {transmission} is not possible for a filled capillary: give a value above 0 and "
            f"at most {empty:.4g}, that of the empty capillary"
        )
    return float(np.log(empty / transmission) / (2 * capillary.inner_cm))


def attenuation_per_cm(formula: str, density_g_cm3: float, wavelength_angstrom: float) -> float:
    """Look up a linear attenuation coefficient (xraydb, extra `simulate`).

    Parameters
    ----------
    formula
        Chemical formula, such as C7H8; upper and lower case matter: CO is carbon monoxide, Co cobalt.
    density_g_cm3
        Density, g/cm³.
    wavelength_angstrom
        Wavelength, Å.

    Returns
    -------
    Linear attenuation coefficient, cm⁻¹.

    Raises
    ------
    ConfigurationError
        The formula is not valid, or the density is not positive.
    PatternError
        The wavelength is not that of X-rays.
    """
    import xraydb  # 1 s to load, and not part of the live installation

    if not density_g_cm3 > 0:
        raise ConfigurationError(f"density {density_g_cm3} g/cm³ of {formula} must be positive")
    try:
        composition = xraydb.chemparse(formula)
    except ValueError:
        composition = {}
    if not composition:
        raise ConfigurationError(f"{formula!r} is not a chemical formula: give one such as C7H8")
    # Element by element: `xraydb.material_mu` looks names of materials up first, whatever their case, and
    # takes CO, carbon monoxide, for cobalt.
    energy_ev = energy_ev_from_wavelength(wavelength_angstrom)
    masses = {element: count * xraydb.atomic_mass(element) for element, count in composition.items()}
    mass_attenuation = sum(
        mass * float(xraydb.mu_elam(element, energy_ev)) for element, mass in masses.items()
    )
    return float(density_g_cm3 * mass_attenuation / sum(masses.values()))

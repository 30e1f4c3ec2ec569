"""Absorption edges near a wavelength, where free-atom tables mislead."""

import warnings

import xraydb

from ...patterns import energy_ev_from_wavelength
from ..crystal import Material

__all__ = ["warn_near_edges"]

NEAR = 0.01
"""Relative distance from an edge within which f' and f'' change by electrons and depend on bonding."""


def warn_near_edges(material: Material, wavelength_angstrom: float) -> None:
    """Warn where f' and f'' of free atoms are not those of the crystal.

    Parameters
    ----------
    material
        Crystal.
    wavelength_angstrom
        Wavelength, Å.

    Raises
    ------
    PatternError
        The wavelength is not that of X-rays.
    """
    energy = energy_ev_from_wavelength(wavelength_angstrom)
    for element in sorted({site.element for site in material.sites}):
        for name, edge in xraydb.xray_edges(element).items():
            if abs(energy - edge.energy) < NEAR * edge.energy:
                warnings.warn(
                    f"{wavelength_angstrom} Å ({energy / 1000:.3f} keV) is at the {name} edge of {element} "
                    f"({edge.energy / 1000:.3f} keV), where f' and f'' of free atoms do not hold: "
                    "intensities will be off by per cents; measure 1 % away from it, or do not trust them",
                    stacklevel=3,
                )

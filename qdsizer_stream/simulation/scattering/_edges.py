"""Warnings near absorption edges, where tabulated free-atom f' and f'' are wrong."""

import warnings

import xraydb

from ...patterns import energy_ev_from_wavelength
from ..crystal import Material

__all__ = ["warn_near_edges"]

EDGE_MARGIN = 0.01
"""Relative distance in energy from an edge within which f' and f'' vary by electrons and depend on
bonding."""


def warn_near_edges(material: Material, wavelength_angstrom: float) -> None:
    """Warn if the wavelength is close to an absorption edge of the crystal.

    Parameters
    ----------
    material
        Crystal.
    wavelength_angstrom
        Wavelength, Å.

    Raises
    ------
    PatternError
        The wavelength is not an X-ray wavelength.
    """
    energy = energy_ev_from_wavelength(wavelength_angstrom)
    for element in sorted({site.element for site in material.sites}):
        for name, edge in xraydb.xray_edges(element).items():
            if abs(energy - edge.energy) < EDGE_MARGIN * edge.energy:
                warnings.warn(
                    f"{wavelength_angstrom} Å ({energy / 1000:.3f} keV) is at the {name} edge of {element} "
                    f"({edge.energy / 1000:.3f} keV), where f' and f'' of free atoms are wrong: "
                    "expect intensities wrong by several per cent, or measure 1 % away from the edge",
                    stacklevel=3,
                )

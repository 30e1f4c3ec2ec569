"""Scattering of free atoms: form factors and Compton scattering."""

from collections.abc import Sequence

import numpy as np
import xraydb
import xraylib
from numpy.typing import NDArray

from ...errors import PhysicsError
from ...patterns import energy_ev_from_wavelength
from ..crystal import Material
from ._edges import warn_near_edges

__all__ = ["compton_intensity", "compton_per_atom", "form_factors", "recoil"]

COMPTON_WAVELENGTH_ANGSTROM = 0.0242631
"""Compton wavelength of the electron, h / (m c), Å."""

MAX_ATOMIC_NUMBER = 92
"""Last element of Chantler's tables."""

MAX_F0_Q_INV_ANGSTROM = 6.0 * 4 * np.pi
"""Upper end of the tables of f0: Waasmaier and Kirfel fitted it for sin θ/λ up to 6 Å⁻¹."""


def form_factors(
    material: Material, q_inv_angstrom: NDArray[np.float64], wavelength_angstrom: float
) -> list[NDArray[np.complex128]]:
    """Complex form factor f0 + f' + if'' of each site, with a warning near an absorption edge.

    f0 of neutral atoms: Waasmaier & Kirfel, Acta Cryst. A51, 416 (1995); f', f'': Chantler,
    J. Phys. Chem. Ref. Data 29, 597 (2000); both through xraydb.

    Parameters
    ----------
    material
        Crystal.
    q_inv_angstrom
        Momentum transfers, Å⁻¹, shape (n_q,).
    wavelength_angstrom
        Wavelength, Å.

    Returns
    -------
    One array of shape (n_q,) for each site.

    Raises
    ------
    PhysicsError
        A Q lies beyond the tables (75.4 Å⁻¹) or is negative, or an element is not in them.
    """
    for element in {site.element for site in material.sites}:
        if (number := xraydb.atomic_number(element)) > MAX_ATOMIC_NUMBER:
            raise PhysicsError(
                f"{element} (atomic number {number}) of {material.name} has no dispersion corrections in the "
                f"tables, which end at uranium ({MAX_ATOMIC_NUMBER}): choose a material without it"
            )
    if q_inv_angstrom.min() < 0 or q_inv_angstrom.max() > MAX_F0_Q_INV_ANGSTROM:
        raise PhysicsError(
            f"Q from {q_inv_angstrom.min():.4g} to {q_inv_angstrom.max():.4g} Å⁻¹ is outside the form-factor "
            f"tables: give Q from 0 to {MAX_F0_Q_INV_ANGSTROM:.1f} Å⁻¹"
        )
    warn_near_edges(material, wavelength_angstrom)
    energy = energy_ev_from_wavelength(wavelength_angstrom)
    by_element = {
        element: xraydb.f0(element, q_inv_angstrom / (4 * np.pi))
        + xraydb.f1_chantler(element, energy)
        + 1j * xraydb.f2_chantler(element, energy)
        for element in {site.element for site in material.sites}
    }
    return [by_element[site.element] for site in material.sites]


def recoil(q_inv_angstrom: NDArray[np.float64], wavelength_angstrom: float) -> NDArray[np.float64]:
    """Breit-Dirac recoil factor of Compton scattering for a detector that counts photons.

    R = (E'/E)², E/E' = 1 + (λ_C/λ)(1 - cos 2θ), 1 - cos 2θ = 2 (λQ/4π)².

    Parameters
    ----------
    q_inv_angstrom
        Momentum transfers, Å⁻¹, shape (n_q,).
    wavelength_angstrom
        Wavelength, Å.

    Returns
    -------
    Factor of the incoherent scattering function, shape (n_q,).
    """
    sine_squared = (wavelength_angstrom * q_inv_angstrom / (4 * np.pi)) ** 2
    return np.asarray(1 / (1 + COMPTON_WAVELENGTH_ANGSTROM / wavelength_angstrom * 2 * sine_squared) ** 2)


def compton_per_atom(element: str, q_inv_angstrom: NDArray[np.float64]) -> NDArray[np.float64]:
    """Incoherent scattering function S(Q) of a free atom (xraylib), electron units, shape (n_q,)."""
    atomic_number = xraydb.atomic_number(element)
    # The table starts at sin θ/λ = 1e-4 Å⁻¹; at 1e-3 Å⁻¹, S is still negligible.
    argument = np.maximum(q_inv_angstrom / (4 * np.pi), 1e-3)
    return np.array([xraylib.SF_Compt(atomic_number, float(s)) for s in argument])


def compton_intensity(
    material: Material,
    q_inv_angstrom: NDArray[np.float64],
    wavelength_angstrom: float,
    atoms: Sequence[NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Compton scattering of clusters: the sum over their free atoms.

    Parameters
    ----------
    material
        Crystal.
    q_inv_angstrom
        Momentum transfers, Å⁻¹, shape (n_q,).
    wavelength_angstrom
        Wavelength, Å.
    atoms
        Number of atoms of each site in each cluster, each of shape (n_clusters,).

    Returns
    -------
    Intensity, electron units, shape (n_q, n_clusters).
    """
    factor = recoil(q_inv_angstrom, wavelength_angstrom)
    curves = {site.element: compton_per_atom(site.element, q_inv_angstrom) for site in material.sites}
    total = sum(
        (factor * curves[site.element])[:, None] * count
        for site, count in zip(material.sites, atoms, strict=True)
    )
    return np.asarray(total)

"""Patterns of nanocrystals of any crystal, spheres averaged over their centre."""

import numpy as np
from numpy.typing import NDArray

from ..crystal import Material
from ..scattering import averaged_sphere_pairs, compton_intensity, form_factors, pattern_sums, structure_sums
from ._population import lognormal_weights

__all__ = ["crystal_patterns"]

MAX_OVER_MEAN = 1.4
"""Largest sphere over the largest mean."""


def crystal_patterns(
    material: Material,
    q_inv_angstrom: NDArray[np.float64],
    mean_nm: NDArray[np.float64],
    dispersion: float,
    wavelength_angstrom: float,
) -> NDArray[np.float64]:
    """Simulate patterns of log-normal populations of spheres.

    Parameters
    ----------
    material
        Crystal.
    q_inv_angstrom
        Momentum transfers, Å⁻¹, shape (n_q,).
    mean_nm
        Number-weighted mean diameters, nm, shape (n_sizes,).
    dispersion
        Relative standard deviation of all populations.
    wavelength_angstrom
        Wavelength of f', f'' and the Compton recoil, Å.

    Returns
    -------
    Intensities, coherent and Compton, in electron units per population, shape (n_sizes, n_q).

    Raises
    ------
    PhysicsError
        An element or Q is outside the tables of form factors.
    """
    unit = material.unit_diameter_angstrom
    diameters = np.arange(1.0, 10 * float(np.max(mean_nm)) * MAX_OVER_MEAN / unit, 1.0) * unit
    weights = lognormal_weights(diameters / 10, mean_nm, np.full(len(mean_nm), dispersion), min_fraction=0.0)
    table = averaged_sphere_pairs(material, diameters)
    factors = form_factors(material, q_inv_angstrom, wavelength_angstrom)
    sums = structure_sums(table, q_inv_angstrom)
    coherent = pattern_sums(material, table, sums, q_inv_angstrom, factors) @ weights
    compton = compton_intensity(
        material, q_inv_angstrom, wavelength_angstrom, list(table.self_terms @ weights)
    )
    return np.ascontiguousarray((coherent + compton).T)

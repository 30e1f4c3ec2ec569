"""Curves of the physics check, simulated once and shipped in the model file."""

import numpy as np

from ..models import Templates
from ..patterns import BinGrid
from ..simulation import (
    averaged_sphere_pairs,
    compton_intensity,
    form_factors,
    load_material,
    load_solvent,
    lognormal_weights,
    pattern_sums,
    solvent_names,
    structure_sums,
)

__all__ = ["simulate_templates"]

SIZES_NM = (1.5, 1.8, 2.1, 2.5, 3.0, 3.6, 4.3, 5.2, 6.2, 7.5, 9.0, 11.0)
"""Steps of a fifth: mixtures of neighbours make every size and dispersion between."""

DISPERSION = 0.1
"""Dispersion of each template; wider populations are mixtures."""

EXTRA_B_ANGSTROM2 = (0.0, 1.5)
"""Added to the bulk's B: cold and disordered; mixtures lie between."""

STRETCHES = (0.96, 1.0, 1.04)
"""Stretches of the solvents' Q axis: other temperatures, other alkanes."""

FINENESS = 2
"""Template points per bin, so that a strained template can be interpolated."""

MARGIN = 0.02
"""Relative reach past the bins on either side: the strains that will be tried."""


def simulate_templates(material_name: str, grid: BinGrid, wavelength_angstrom: float) -> Templates:
    """Simulate the curves that a frame is checked against.

    Parameters
    ----------
    material_name
        Material of the package.
    grid
        Bins of the frames.
    wavelength_angstrom
        Wavelength of f', f'' and the Compton recoil, Å; the check grants the templates far more error than
        another wavelength makes.

    Returns
    -------
    Patterns of dots of twelve sizes and two B, and the solvents of the package at three stretches.
    """
    material = load_material(material_name)
    low, high = grid.edges[0] * (1 - MARGIN), grid.edges[-1] * (1 + MARGIN)
    q = np.arange(low, high, grid.q_step_inv_angstrom / FINENESS)
    unit = material.unit_diameter_angstrom
    diameters = np.arange(2.0, 20 * max(SIZES_NM) / unit, 0.5) * unit
    table = averaged_sphere_pairs(material, diameters)
    sums = structure_sums(table, q)
    factors = form_factors(material, q, wavelength_angstrom)
    sizes = np.array(SIZES_NM)
    weights = lognormal_weights(diameters / 10, sizes, np.full(sizes.size, DISPERSION))
    incoherent = compton_intensity(material, q, wavelength_angstrom, list(table.self_terms)) @ weights
    dots = []
    for extra in EXTRA_B_ANGSTROM2:
        warm = material.with_b({site.element: site.b_angstrom2 + extra for site in material.sites})
        dots.append((pattern_sums(warm, table, sums, q, factors) @ weights + incoherent).T)
    curves = np.vstack(dots)
    # The solvents' curves end at 0.3 and 20 Å⁻¹, beyond any stretch of the grid.
    liquids = np.array(
        [
            load_solvent(name).intensity(q * stretch, wavelength_angstrom)
            for name in solvent_names()
            for stretch in STRETCHES
        ]
    )
    return Templates(
        q_inv_angstrom=q,
        sizes_nm=np.tile(sizes, len(EXTRA_B_ANGSTROM2)),
        dots=curves / curves.mean(axis=1, keepdims=True),
        liquids=liquids / liquids.mean(axis=1, keepdims=True),
    )

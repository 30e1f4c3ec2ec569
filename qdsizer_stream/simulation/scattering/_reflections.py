"""Powder reflections of a crystal."""

from dataclasses import dataclass

import numpy as np

from ..crystal import Crystal, material_from_crystal
from ._scattering import form_factors

__all__ = ["Reflection", "reflections"]

SAME_Q_INV_ANGSTROM = 1e-5
"""Reflections closer than this are one line: equivalent ones agree to rounding."""

MIN_INTENSITY = 1e-4
"""Intensity relative to the strongest line below which a reflection is extinct or too weak to list."""


@dataclass(frozen=True)
class Reflection:
    """One line of a powder pattern."""

    hkl: tuple[int, int, int]
    """Miller indices in the conventional cell, of one of the equivalent reflections."""
    q_inv_angstrom: float
    """Position, Å⁻¹."""
    spacing_angstrom: float
    """Lattice spacing, Å."""
    multiplicity: int
    """Number of reflections at this position."""
    relative_intensity: float
    """Area of the line in Q without the Lorentz and polarisation factors of a diffractometer,
    ``Σ F F*/Q²``, over that of the strongest."""


def reflections(crystal: Crystal, q_max_inv_angstrom: float, wavelength_angstrom: float) -> list[Reflection]:
    """List the powder reflections of a crystal.

    Parameters
    ----------
    crystal
        Crystal structure.
    q_max_inv_angstrom
        Last momentum transfer, Å⁻¹.
    wavelength_angstrom
        Wavelength of the dispersion corrections, Å.

    Returns
    -------
    Reflections in order of Q; those weaker than 1e-4 of the strongest are left out.

    Raises
    ------
    PhysicsError
        An element has no form factor.
    """
    material = material_from_crystal(crystal)
    reciprocal = 2 * np.pi * np.linalg.inv(material.cell_angstrom).T
    reach = np.floor(
        q_max_inv_angstrom * np.linalg.norm(material.cell_angstrom, axis=1) / (2 * np.pi)
    ).astype(int)
    vectors = (np.array(list(np.ndindex(*(2 * reach + 1)))) - reach) @ reciprocal
    length = np.linalg.norm(vectors, axis=1)
    kept = (length > 1e-9) & (length <= q_max_inv_angstrom)
    vectors, length = vectors[kept], length[kept]
    if not length.size:
        return []
    order = np.argsort(length, kind="stable")
    vectors, length = vectors[order], length[order]
    amplitude = np.zeros(length.size, np.complex128)
    factors = form_factors(material, length, wavelength_angstrom)
    for site, position, f in zip(material.sites, material.positions_angstrom, factors, strict=True):
        damping = np.exp(-site.b_angstrom2 * (length / (4 * np.pi)) ** 2)
        amplitude += site.occupancy * f * damping * np.exp(1j * vectors @ position)
    strength = np.abs(amplitude) ** 2 / length**2
    hkl = np.rint(vectors @ crystal.conventional_vectors_angstrom.T / (2 * np.pi)).astype(int)
    starts = np.flatnonzero(np.diff(length, prepend=-1.0) > SAME_Q_INV_ANGSTROM)
    area = np.add.reduceat(strength, starts)
    counts = np.diff(np.append(starts, length.size))
    lines = []
    for start, total, count in zip(starts, area, counts, strict=True):
        if total >= MIN_INTENSITY * area.max():
            h, k, ell = max(map(tuple, hkl[start : start + count].tolist()))
            q = float(length[start])
            lines.append(Reflection((h, k, ell), q, 2 * np.pi / q, int(count), float(total / area.max())))
    return lines

"""Dots with a shell of another crystal, and dots whose outermost atoms have lost the order of the lattice."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...errors import PhysicsError
from ..crystal import Cluster, Material, Site, Sphere, nanocrystal

__all__ = ["core_shell", "disordered_surface", "surface_damping"]

TETRAHEDRAL = (0.25, 0.25, 0.25)
"""Site of the shell's metal: a quarter of the diagonal from the anions of rock salt, as in zinc blende."""

OTHER_B = 1e-6
"""Added to the B of atoms of the surface, Å², so that they are a species of their own."""

MAX_DISORDERED = 0.3
"""Largest depth of a disordered surface over the diameter: some core remains."""

ROUNDING = 1 + 1e-9
"""Includes nodes exactly on a radius despite rounding."""


def core_shell(
    material: Material, element: str, thickness_angstrom: float, diameters_angstrom: NDArray[np.float64]
) -> tuple[Material, list[Cluster]]:
    """Cut spheres of rock salt in a zinc-blende shell on the same anions, as PbS in CdS.

    Parameters
    ----------
    material
        Rock salt, cation first.
    element
        Metal of the shell.
    thickness_angstrom
        Thickness of the shell, Å.
    diameters_angstrom
        Diameters of the cores, Å.

    Returns
    -------
    The crystal with the sites of both, and the clusters.

    Raises
    ------
    PhysicsError
        The material is not rock salt.
    """
    if len(material.sites) != 2 or not np.allclose(np.abs(material.sites[1].position), 0.5):
        raise PhysicsError(f"{material.name} is not rock salt: only rock salt has a zinc-blende shell")
    metal = Site(element=element, position=TETRAHEDRAL, b_angstrom2=material.sites[0].b_angstrom2)
    both = material.model_copy(update={"sites": (*material.sites, metal)})
    clusters = []
    for diameter in diameters_angstrom:
        (whole, *_) = nanocrystal(both, Sphere(), diameter + 2 * thickness_angstrom).occupancy
        core = np.where(_radii(both, whole) <= ROUNDING * diameter / 2, whole, 0.0)
        clusters.append(Cluster((core, whole, whole - core), diameter / 10))
    return both, clusters


def disordered_surface(
    material: Material, depth_angstrom: float, diameters_angstrom: NDArray[np.float64]
) -> tuple[Material, list[Cluster]]:
    """Cut spheres whose atoms near the surface are species of their own.

    Parameters
    ----------
    material
        Crystal.
    depth_angstrom
        Depth of the disordered layer, Å; at most `MAX_DISORDERED` of a diameter.
    diameters_angstrom
        Diameters, Å.

    Returns
    -------
    The crystal, in which each site of the core is followed by all sites of the surface, and the clusters.
    """
    loose = [s.model_copy(update={"b_angstrom2": s.b_angstrom2 + OTHER_B}) for s in material.sites]
    both = material.model_copy(update={"sites": (*material.sites, *loose)})
    clusters = []
    for diameter in diameters_angstrom:
        (whole, *_) = nanocrystal(material, Sphere(), diameter).occupancy
        depth = min(depth_angstrom, MAX_DISORDERED * diameter)
        core = np.where(_radii(material, whole) <= diameter / 2 - depth, whole, 0.0)
        n = len(material.sites)
        clusters.append(Cluster((core,) * n + (whole - core,) * n, diameter / 10))
    return both, clusters


def surface_damping(
    material: Material,
    groups: Sequence[tuple[int, int]],
    sd_angstrom: float,
    q_inv_angstrom: NDArray[np.float64],
) -> list[NDArray[np.float64]]:
    """Damping of the pairs of each group by static displacements of the surface.

    Displacements are normal, isotropic and independent, with this standard deviation along each axis: a pair
    is damped by exp(-Q²s²/2) for each of its atoms that is in the surface.

    Parameters
    ----------
    material
        Result of `disordered_surface`.
    groups
        Pairs of species, by the indices of their first sites.
    sd_angstrom
        Standard deviation along each axis, Å.
    q_inv_angstrom
        Momentum transfers, Å⁻¹, shape (n_q,).

    Returns
    -------
    Factors, one array of shape (n_q,) for each pair of species.
    """
    first_loose = len(material.sites) // 2
    one = np.exp(-0.5 * (q_inv_angstrom * sd_angstrom) ** 2)
    return [one ** sum(site >= first_loose for site in pair) for pair in groups]


def _radii(material: Material, occupancy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances of the nodes of a cluster from its centre, Å, in the shape of the occupancy."""
    steps = [np.arange(n) - n // 2 for n in occupancy.shape]
    grid = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1)
    return np.asarray(np.linalg.norm(grid @ material.cell_angstrom, axis=-1))

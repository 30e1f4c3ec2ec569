"""Clusters: nanocrystals cut from a crystal."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ..errors import PhysicsError
from ._material import Material

__all__ = ["Cluster", "SphereCut", "sphere"]


class SphereCut(StrEnum):
    """How a sphere decides which atoms it holds."""

    NODE = "node"
    """Lattice nodes within the radius of a central node, each with its whole primitive cell of atoms:
    stoichiometric."""
    CORNER_SHARED = "corner-shared"
    """As `NODE`, the atoms of every site but the first shared out over the eight corners of the
    primitive cell around the node, an eighth each: smeared surface."""
    ATOM = "atom"
    """Atoms within the radius of a central atom of the first site: not stoichiometric."""


@dataclass(frozen=True, eq=False)
class Cluster:
    """Occupancies of the lattice nodes of one nanocrystal.

    Parameters
    ----------
    occupancy
        Occupancy of each site at each node, 0 to 1: one array of shape (n1, n2, n3) a site, all of
        one shape; arrays may be the same object.
    diameter_nm
        Nominal diameter, nm.
    """

    occupancy: tuple[NDArray[np.float64], ...]
    diameter_nm: float

    @property
    def n_atoms(self) -> NDArray[np.float64]:
        """Atoms of each site, occupancy summed, shape (n_sites,)."""
        return np.array([occupancy.sum() for occupancy in self.occupancy])


def sphere(material: Material, diameter_angstrom: float, cut: SphereCut = SphereCut.NODE) -> Cluster:
    """Cut a sphere.

    Parameters
    ----------
    material
        Crystal to cut from.
    diameter_angstrom
        Diameter, Å.
    cut
        Which atoms belong to it.

    Returns
    -------
    The cluster, centred on a node.

    Raises
    ------
    PhysicsError
        The diameter is not positive or so large (> 100 nm) that the lattice would not fit in memory.
    """
    if not 0 < diameter_angstrom <= 1000:
        raise PhysicsError(f"sphere diameter {diameter_angstrom} Å is out of range: give 0 < diameter ≤ 1000 Å")
    radius = diameter_angstrom / 2
    cell = material.cell_angstrom
    # Nodes of one lattice plane family are 1/|b| apart; one more layer makes room for atoms off the nodes.
    plane_spacing = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    half = np.ceil(radius / plane_spacing).astype(int) + 1
    axes = np.ix_(*[np.arange(-n, n + 1, dtype=np.float64) for n in half])
    nodes = [sum(axes[i] * cell[i, component] for i in range(3)) for component in range(3)]

    def inside(shift: NDArray[np.float64]) -> NDArray[np.float64]:
        squared = sum((nodes[component] + shift[component]) ** 2 for component in range(3))
        # A node on the surface belongs to the sphere, whatever the last bit of its distance says.
        return np.asarray(squared <= radius**2 * (1 + 1e-10), dtype=np.float64)

    first = inside(np.zeros(3))
    if cut is SphereCut.NODE:
        occupancy = tuple(first for _ in material.sites)
    elif cut is SphereCut.ATOM:
        offsets = material.positions_angstrom - material.positions_angstrom[0]
        occupancy = tuple(first if i == 0 else inside(offset) for i, offset in enumerate(offsets))
    else:
        occupancy = (first, *(_shared_over_corners(first) for _ in material.sites[1:]))
    return Cluster(occupancy, diameter_angstrom / 10)


def _shared_over_corners(nodes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give an eighth of each node to the corners of its cell: corner (½,½,½) + n belongs to node n."""
    shared = np.zeros_like(nodes)
    for shift in np.ndindex(2, 2, 2):
        shared += np.roll(nodes, [-s for s in shift], axis=(0, 1, 2))
    return shared / 8

"""Clusters: nanocrystals cut from a crystal."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...configuration import Config
from ...errors import PhysicsError
from ._material import Material, Vector
from ._shapes import Shape, Sphere

__all__ = ["Cluster", "SphereCut", "Surface", "nanocrystal", "sphere"]

ON_THE_SURFACE = 1 + 5e-11
"""A node on the surface belongs to the shape, whatever the last bit of its distance says."""


class SphereCut(StrEnum):
    """How a shape decides which atoms it holds."""

    NODE = "node"
    """Lattice nodes within the shape, each with its whole primitive cell of atoms: stoichiometric."""
    CORNER_SHARED = "corner-shared"
    """As `NODE`, the atoms of every site but the first shared out over the eight corners of the
    primitive cell around the node, an eighth each: smeared surface."""
    ATOM = "atom"
    """Atoms within the shape: not stoichiometric."""


class Surface(Config):
    """An outermost layer that lacks atoms of some elements: metal-rich where they are the anions."""

    elements: tuple[str, ...] = Field(min_length=1)
    """Chemical symbols of the elements that are missing."""
    thickness_angstrom: float = Field(gt=0, lt=100)
    """Depth of the layer below the surface, Å, measured on the sphere of equal volume."""
    occupancy: float = Field(ge=0, lt=1)
    """Share of these atoms that is left in the layer, each independent of the others."""


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
    The cluster, centred on a node, or for `SphereCut.ATOM` on an atom of the first site.

    Raises
    ------
    PhysicsError
        The diameter is not positive or so large (> 100 nm) that the lattice would not fit in memory,
        or the material has no sites at the corners that are to be shared out.
    """
    return nanocrystal(material, Sphere(), diameter_angstrom, cut)


def nanocrystal(
    material: Material,
    shape: Shape,
    diameter_angstrom: float,
    cut: SphereCut = SphereCut.NODE,
    *,
    centre: Vector = (0.0, 0.0, 0.0),
    surface: Surface | None = None,
) -> Cluster:
    """Cut a nanocrystal of any shape.

    Parameters
    ----------
    material
        Crystal to cut from.
    shape
        Shape, in the Cartesian axes of the crystal.
    diameter_angstrom
        Diameter of the sphere of equal volume, Å.
    cut
        Which atoms belong to it.
    centre
        Centre of the shape in fractions of the primitive cell, from a node, or for `SphereCut.ATOM`
        from an atom of the first site.
    surface
        Layer that lacks atoms.

    Returns
    -------
    The cluster.

    Raises
    ------
    PhysicsError
        The diameter is not positive or so large (> 100 nm) that the lattice would not fit in memory, no
        atom lies inside, the material has no sites at the corners that are to be shared out, or none
        of the elements that the surface lacks.
    """
    if not 0 < diameter_angstrom <= 1000:
        raise PhysicsError(
            f"{shape.kind} diameter {diameter_angstrom} Å is out of range: give 0 < diameter ≤ 1000 Å"
        )
    if cut is SphereCut.CORNER_SHARED:
        _check_corners(material)
    if surface is not None and (unknown := set(surface.elements) - {site.element for site in material.sites}):
        raise PhysicsError(f"the surface lacks {sorted(unknown)}, which {material.name} does not hold")
    radius = diameter_angstrom / 2
    gauges = _gauges(material, shape, radius, cut, np.asarray(centre))
    made: dict[tuple[int, float, bool, bool], NDArray[np.float64]] = {}
    occupancies = []
    for number, (site, gauge) in enumerate(zip(material.sites, gauges, strict=True)):
        stripped = surface is not None and site.element in surface.elements
        shared = cut is SphereCut.CORNER_SHARED and number > 0
        # Sites that are occupied alike share one array: their pairs are then counted once.
        key = (id(gauge), site.occupancy, stripped, shared)
        if key not in made:
            occupancy = np.where(gauge <= radius * ON_THE_SURFACE, site.occupancy, 0.0)
            if stripped and surface is not None:
                occupancy[gauge > radius - surface.thickness_angstrom] *= surface.occupancy
            made[key] = _shared_over_corners(occupancy) if shared else occupancy
        occupancies.append(made[key])
    if not any(occupancy.any() for occupancy in occupancies):
        raise PhysicsError(
            f"no atom in a {shape.kind} of {diameter_angstrom} Å centred at {centre}: give a larger one"
        )
    return Cluster(tuple(occupancies), diameter_angstrom / 10)


def _gauges(
    material: Material, shape: Shape, radius: float, cut: SphereCut, centre: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """Gauge of each node for each site; one array for all sites unless each atom decides for itself."""
    cell = material.cell_angstrom
    offsets = material.positions_angstrom - material.positions_angstrom[0]
    if cut is not SphereCut.ATOM:
        offsets = np.zeros((1, 3))
    # Nodes of one lattice plane family are 1/|b| apart; atoms off the nodes and shared corners need more.
    plane_spacing = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    off_node = np.abs(offsets @ np.linalg.inv(cell) - centre).max(axis=0)
    margin = 1 if cut is SphereCut.CORNER_SHARED else 0
    half = np.ceil(radius * shape.reach / plane_spacing + off_node).astype(int) + margin
    axes = np.ix_(*[np.arange(-n, n + 1, dtype=np.float64) for n in half])
    nodes = [sum(axes[i] * cell[i, component] for i in range(3)) for component in range(3)]
    gauges = [
        shape.gauge([np.asarray(nodes[k] + shift[k]) for k in range(3)]) for shift in offsets - centre @ cell
    ]
    return gauges if cut is SphereCut.ATOM else gauges * len(material.sites)


def _check_corners(material: Material) -> None:
    """Refuse to share out atoms that are not at the corners of the cell around the node."""
    offsets = (material.positions_angstrom - material.positions_angstrom[0]) @ np.linalg.inv(
        material.cell_angstrom
    )
    if not np.allclose(offsets[1:], 0.5, atol=1e-6):
        raise PhysicsError(
            f"{material.name} cannot be cut {SphereCut.CORNER_SHARED.value}: its further sites are not at "
            f"(½, ½, ½) of the primitive cell; use {SphereCut.NODE.value} or {SphereCut.ATOM.value}"
        )


def _shared_over_corners(nodes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give an eighth of each node to the corners of its cell: corner (½,½,½) + n belongs to node n."""
    shared = np.zeros_like(nodes)
    for shift in np.ndindex(2, 2, 2):  # nothing wraps around: the nodes have an empty margin
        shared += np.roll(nodes, [-s for s in shift], axis=(0, 1, 2))
    return shared / 8

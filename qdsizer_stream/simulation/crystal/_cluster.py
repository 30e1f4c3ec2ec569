"""Clusters: nanocrystals cut from a crystal."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...configuration import Config, choice
from ...errors import PhysicsError
from ._fused import FusedSpheres
from ._material import Material, Vector
from ._shapes import Shape, Sphere

__all__ = ["Cluster", "SphereCut", "Surface", "nanocrystal", "sphere"]

SURFACE_TOLERANCE = 1 + 5e-11
"""Relative tolerance that includes nodes exactly on the surface despite rounding of their distance."""


class SphereCut(StrEnum):
    """Rule that decides which atoms belong to a shape."""

    NODE = "node"
    """Lattice nodes inside the shape, each with all atoms of its primitive cell: stoichiometric."""
    CORNER_SHARED = "corner-shared"
    """As `NODE`, but the atoms of every site after the first are distributed over the eight corners of
    the primitive cell around the node, one eighth each: a smeared surface."""
    ATOM = "atom"
    """Atoms inside the shape: not stoichiometric."""


class Surface(Config):
    """Outermost layer depleted of some elements; metal-rich if these are the anions."""

    elements: tuple[str, ...] = Field(min_length=1)
    """Chemical symbols of the depleted elements."""
    thickness_angstrom: float = Field(gt=0, lt=100)
    """Depth of the layer below the surface, Å, measured on the sphere of equal volume."""
    occupancy: float = Field(ge=0, lt=1)
    """Fraction of these atoms that remains in the layer, each atom independent of the others."""


@dataclass(frozen=True, eq=False)
class Cluster:
    """Occupancies of the lattice nodes of one nanocrystal.

    Parameters
    ----------
    occupancy
        Occupancy of each site at each node, 0 to 1: one array of shape (n1, n2, n3) per site, all of
        the same shape. Equivalent sites share one array object, which lets their pairs be counted once.
    diameter_nm
        Nominal diameter, nm.
    """

    occupancy: tuple[NDArray[np.float64], ...]
    diameter_nm: float

    @property
    def n_atoms(self) -> NDArray[np.float64]:
        """Number of atoms of each site (sum of occupancies), shape (n_sites,)."""
        return np.array([occupancy.sum() for occupancy in self.occupancy])


def sphere(material: Material, diameter_angstrom: float, cut: SphereCut | str = SphereCut.NODE) -> Cluster:
    """Cut a spherical nanocrystal.

    Parameters
    ----------
    material
        Crystal to cut from.
    diameter_angstrom
        Diameter, Å.
    cut
        Which atoms belong to it, a `SphereCut` or its name.

    Returns
    -------
    The cluster, centred on a node, or for `SphereCut.ATOM` on an atom of the first site.

    Raises
    ------
    PhysicsError
        The diameter is not positive or larger than 100 nm (the lattice would not fit in memory), or the
        cut is corner-shared and the material does not allow it.
    ConfigurationError
        The name of the cut is unknown.
    """
    return nanocrystal(material, Sphere(), diameter_angstrom, cut)


def nanocrystal(
    material: Material,
    shape: Shape,
    diameter_angstrom: float,
    cut: SphereCut | str = SphereCut.NODE,
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
        Which atoms belong to it, a `SphereCut` or its name.
    centre
        Centre of the shape in fractions of the primitive cell, relative to a node, or for
        `SphereCut.ATOM` to an atom of the first site.
    surface
        Depleted outermost layer; None for a complete surface.

    Returns
    -------
    The cluster.

    Raises
    ------
    PhysicsError
        The diameter is not positive or larger than 100 nm (the lattice would not fit in memory), no
        atom lies inside, the cut is corner-shared and the material does not allow it, or the surface
        depletes an element that the material does not contain.
    ConfigurationError
        The name of the cut is unknown.
    """
    if not 0 < diameter_angstrom <= 1000:
        raise PhysicsError(
            f"{shape.kind} diameter {diameter_angstrom} Å is out of range: give 0 < diameter ≤ 1000 Å"
        )
    cut = choice(SphereCut, cut, "cut")
    if cut is SphereCut.CORNER_SHARED:
        _check_corners(material)
    if surface is not None and (unknown := set(surface.elements) - {site.element for site in material.sites}):
        raise PhysicsError(
            f"the surface depletes {sorted(unknown)}, which {material.name} does not contain: "
            f"choose from {sorted({site.element for site in material.sites})}"
        )
    radius = diameter_angstrom / 2
    gauges = _gauges(material, shape, radius, cut, np.asarray(centre))
    distinct: dict[tuple[int, float, bool, bool], NDArray[np.float64]] = {}
    occupancies = []
    for s, (site, gauge) in enumerate(zip(material.sites, gauges, strict=True)):
        depleted = surface is not None and site.element in surface.elements
        distributed = cut is SphereCut.CORNER_SHARED and s > 0
        # Equivalent sites share one array, so that their pairs are counted once.
        key = (id(gauge), site.occupancy, depleted, distributed)
        if key not in distinct:
            occupancy = np.where(gauge <= radius * SURFACE_TOLERANCE, site.occupancy, 0.0)
            if depleted and surface is not None:
                occupancy[gauge > radius - surface.thickness_angstrom] *= surface.occupancy
            distinct[key] = _distribute_over_corners(occupancy) if distributed else occupancy
        occupancies.append(distinct[key])
    if not any(occupancy.any() for occupancy in occupancies):
        raise PhysicsError(
            f"no atom in a {shape.kind} of {diameter_angstrom} Å centred at {centre}: give a larger diameter"
        )
    return Cluster(tuple(occupancies), diameter_angstrom / 10)


def _gauges(
    material: Material, shape: Shape, radius: float, cut: SphereCut, centre: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """Gauge of each node for each site; all sites share one array unless atoms are cut individually."""
    cell = material.cell_angstrom
    offsets = material.positions_angstrom - material.positions_angstrom[0]
    if cut is not SphereCut.ATOM:
        offsets = np.zeros((1, 3))
    # Adjacent lattice planes are 1/|b| apart; atoms off the nodes and shared corners need a margin.
    plane_spacing = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    off_node = np.abs(offsets @ np.linalg.inv(cell) - centre).max(axis=0)
    margin = 1 if cut is SphereCut.CORNER_SHARED else 0
    n_half = np.ceil(radius * shape.reach / plane_spacing + off_node).astype(int) + margin
    axes = np.ix_(*[np.arange(-n, n + 1, dtype=np.float64) for n in n_half])
    nodes = [sum(axes[i] * cell[i, component] for i in range(3)) for component in range(3)]
    body = shape.sized(radius) if isinstance(shape, FusedSpheres) else shape
    gauges = [
        body.gauge([np.asarray(nodes[k] + shift[k]) for k in range(3)]) for shift in offsets - centre @ cell
    ]
    return gauges if cut is SphereCut.ATOM else gauges * len(material.sites)


def _check_corners(material: Material) -> None:
    """Reject a material whose other sites are not at the corners of the cell around the node."""
    offsets = (material.positions_angstrom - material.positions_angstrom[0]) @ np.linalg.inv(
        material.cell_angstrom
    )
    if not np.allclose(offsets[1:], 0.5, atol=1e-6):
        raise PhysicsError(
            f"{material.name} cannot be cut {SphereCut.CORNER_SHARED.value}: not all its other sites are at "
            f"(½, ½, ½) of the primitive cell; use {SphereCut.NODE.value} or {SphereCut.ATOM.value}"
        )


def _distribute_over_corners(nodes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move one eighth of each node to each corner of its cell; corner (½,½,½) + n is stored at node n."""
    corners = np.zeros_like(nodes)
    for shift in np.ndindex(2, 2, 2):  # nothing wraps around: the nodes have an empty margin
        corners += np.roll(nodes, [-s for s in shift], axis=(0, 1, 2))
    return corners / 8

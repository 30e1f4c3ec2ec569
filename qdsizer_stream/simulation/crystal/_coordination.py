"""Surfaces by coordination: atoms with too few neighbours of the other elements are missing."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...errors import PhysicsError
from ._cluster import Cluster
from ._material import Material

__all__ = ["coordinated"]

SHELL = 1.15
"""Neighbours are within this many nearest distances: the bonds of a distorted octahedron or tetrahedron are
nearer, the second shell of every crystal of the package is farther away."""

REACH = 2
"""Nodes to either side that can hold a neighbour."""

WHOLE = 1e-9
"""Slack of a coordination number summed from occupancies."""


def coordinated(
    material: Material,
    cluster: Cluster,
    elements: Sequence[str],
    minimum: int,
    bond_angstrom: float | None = None,
) -> Cluster:
    """Remove the atoms of some elements that have too few neighbours of the others.

    Metal-rich surfaces of colloidal dots: in PbS, sulphur with fewer than 5 of its 6 lead neighbours is
    missing, and lead stays.

    Parameters
    ----------
    material
        Crystal that the cluster was cut from.
    cluster
        Complete cluster.
    elements
        Elements that may be missing.
    minimum
        Fewest neighbours of the other elements with which an atom stays; 0 for a complete surface.
    bond_angstrom
        Length of a bond, Å; the shortest distance of the elements in the crystal where left out. Layers of
        which twins are stacked hold alternative positions at shorter distances, and need it.

    Returns
    -------
    The cluster without these atoms.

    Raises
    ------
    PhysicsError
        An element is not in the material, no element is left, or the minimum exceeds the coordination of
        the crystal.
    """
    known = {site.element for site in material.sites}
    if not set(elements) < known:
        raise PhysicsError(
            f"{sorted(elements)} cannot be removed by their neighbours in {material.name}: choose some, not "
            f"all, of {sorted(known)}"
        )
    if minimum == 0:
        return cluster
    occupancies = []
    for s, (site, occupancy) in enumerate(zip(material.sites, cluster.occupancy, strict=True)):
        if site.element not in elements:
            occupancies.append(occupancy)
            continue
        neighbours = _neighbours(material, s, elements, bond_angstrom)
        if minimum > len(neighbours):
            raise PhysicsError(
                f"a minimum of {minimum} neighbours would remove all {site.element} of {material.name}, "
                f"where each has {len(neighbours)}: give 0 to {len(neighbours)}"
            )
        count = np.zeros(occupancy.shape)
        for t, shift in neighbours:
            count += _shifted(cluster.occupancy[t], shift) / material.sites[t].occupancy
        occupancies.append(np.where(count >= minimum - WHOLE, occupancy, 0.0))
    return Cluster(tuple(occupancies), cluster.diameter_nm)


def _neighbours(
    material: Material, s: int, elements: Sequence[str], bond_angstrom: float | None
) -> list[tuple[int, tuple[int, ...]]]:
    """Site and lattice shift of the nearest atoms of other elements."""
    shifts = [tuple(n - REACH for n in index) for index in np.ndindex(*(2 * REACH + 1,) * 3)]
    found = [
        (float(np.linalg.norm(np.array(shift) @ material.cell_angstrom + vector)), t, shift)
        for t, site in enumerate(material.sites)
        if site.element not in elements
        for vector in [material.positions_angstrom[t] - material.positions_angstrom[s]]
        for shift in shifts
    ]
    bond = min(distance for distance, _, _ in found) if bond_angstrom is None else bond_angstrom
    return [(t, shift) for distance, t, shift in found if bond / SHELL <= distance <= SHELL * bond]


def _shifted(occupancy: NDArray[np.float64], shift: tuple[int, ...]) -> NDArray[np.float64]:
    """Occupancy at the node that lies a lattice vector away; nothing beyond the box."""
    padded = np.pad(occupancy, REACH)
    window = tuple(slice(REACH + n, REACH + n + size) for n, size in zip(shift, occupancy.shape, strict=True))
    return np.asarray(padded[window])

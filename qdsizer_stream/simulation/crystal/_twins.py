"""(111) twins of rock salt and zinc blende: one crystal, mirrored in its stacking across a plane."""

import numpy as np
from numpy.typing import NDArray

from ...errors import PhysicsError
from ._cluster import SURFACE_TOLERANCE, Cluster
from ._material import Material

__all__ = ["twin_layers", "twinned_sphere"]

LATERAL_POSITIONS = 3
"""A close-packed layer lies in one of three lateral positions: A, B or C."""

LENGTH_TOLERANCE = 0.01
"""Relative tolerance of lengths compared with the cubic structure."""

ANION_HEIGHT = {"rock salt": 1 / 2, "zinc blende": 3 / 4}
"""Height of the anions above their layer of cations, in units of the distance of the layers."""

BOND = {"rock salt": 1 / np.sqrt(2), "zinc blende": np.sqrt(3 / 8)}
"""Bond length over the distance of neighbouring cations."""


def twin_layers(material: Material) -> Material:
    """Decompose rock salt or zinc blende into the close-packed layers that twins are stacked from.

    The layer crystal contains all three lateral positions of every layer: its sites are the cations of A, B
    and C, then the anions of A, B and C. Its third primitive vector is the distance of the layers; z is
    [111].

    Parameters
    ----------
    material
        Rock salt or zinc blende crystal with a cation and an anion in its primitive cell.

    Returns
    -------
    The layer crystal, for `twinned_sphere`.

    Raises
    ------
    PhysicsError
        The material is neither.
    """
    kind = _kind(material)
    a = float(np.linalg.norm(material.cell_angstrom[0]))
    height = float(np.sqrt(2 / 3))
    to_next = np.array([0.5, 0.5 / np.sqrt(3), 0.0])
    sites = [
        {**dict(site), "position": tuple(lateral * to_next + [0.0, 0.0, z * height])}
        for site, z in zip(material.sites, (0.0, ANION_HEIGHT[kind]), strict=True)
        for lateral in range(LATERAL_POSITIONS)
    ]
    return Material.model_validate(
        {
            "name": f"layers of {material.name}",
            "lattice_parameter_angstrom": a,
            "lattice_source": material.lattice_source,
            "b_source": material.b_source,
            "cell": ((1.0, 0.0, 0.0), (-0.5, np.sqrt(3) / 2, 0.0), (0.0, 0.0, height)),
            "sites": sites,
            "diameter_range_nm": material.diameter_range_nm,
        }
    )


def twinned_sphere(layers: Material, diameter_angstrom: float, plane: float) -> Cluster:
    """Cut a sphere with one twin plane.

    Parameters
    ----------
    layers
        Result of `twin_layers`.
    diameter_angstrom
        Diameter, Å.
    plane
        Height of the twin plane above the centre over the radius; the layer of cations next to it is the
        plane. Beyond ±1 there is no twin.

    Returns
    -------
    All atoms within the sphere, which is centred on a cation.

    Raises
    ------
    PhysicsError
        The diameter is not positive or larger than 100 nm.
    """
    if not 0 < diameter_angstrom <= 1000:
        raise PhysicsError(f"diameter {diameter_angstrom} Å is out of range: give 0 < diameter ≤ 1000 Å")
    radius = diameter_angstrom / 2
    cell = layers.cell_angstrom
    spacing = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    n_half = np.ceil(radius / spacing).astype(int) + 2
    axes = np.ix_(*[np.arange(-n, n + 1) for n in n_half])
    layer = axes[2][0, 0]
    mirror = round(plane * radius / cell[2, 2])
    cations = np.abs(layer - mirror) % LATERAL_POSITIONS
    following = np.abs(layer + 1 - mirror) % LATERAL_POSITIONS
    height = layers.positions_angstrom[LATERAL_POSITIONS, 2] / cell[2, 2]
    # Anions of rock salt are in the third position, half-way to the next layer; those of zinc blende are
    # above their own cation.
    anions = (0 - cations - following) % LATERAL_POSITIONS if height < 0.6 else cations
    centre = layers.positions_angstrom[int(cations[n_half[2]])]
    occupancies = []
    for s, site in enumerate(layers.sites):
        shift = layers.positions_angstrom[s] - centre
        squared: NDArray[np.float64] = sum(
            ((sum(axes[i] * cell[i, k] for i in range(3)) + shift[k]) ** 2 for k in range(3)),
            np.zeros((1, 1, 1)),
        )
        stacked = (cations if s < LATERAL_POSITIONS else anions) == s % LATERAL_POSITIONS
        inside = (squared <= (radius * SURFACE_TOLERANCE) ** 2) & stacked
        occupancies.append(np.where(inside, site.occupancy, 0.0))
    return Cluster(tuple(occupancies), diameter_angstrom / 10)


def _kind(material: Material) -> str:
    gram = material.cell_angstrom @ material.cell_angstrom.T
    a = float(np.sqrt(gram[0, 0]))
    cubic = np.allclose(gram / a**2, 0.5 + 0.5 * np.eye(3), atol=LENGTH_TOLERANCE)
    if len(material.sites) == 2 and cubic:
        bond = material.min_distance_angstrom(0, 1) / a
        for kind, ideal in BOND.items():
            if abs(bond - ideal) <= LENGTH_TOLERANCE * ideal:
                return kind
    raise PhysicsError(
        f"{material.name} is neither rock salt nor zinc blende: only these have (111) twins; leave twins out"
    )

"""Materials: primitive cells from which clusters are cut."""

from collections.abc import Mapping
from typing import Any

import gemmi
import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, model_validator

from ...configuration import Config, validated
from ...errors import PhysicsError
from ._crystal import Crystal

__all__ = [
    "MAX_B_ANGSTROM2",
    "OVERLAP_ANGSTROM",
    "Material",
    "Site",
    "Vector",
    "axial_strain",
    "material_from_crystal",
    "unit_vector",
]

Vector = tuple[float, float, float]

OVERLAP_ANGSTROM = 0.7
"""Sites closer than this cannot be occupied at the same time (the shortest bond, H-H, is 0.74 Å). They are
alternatives for one atom, as in alloys and split positions, and form no pair."""

GRAMS_PER_DALTON = 1.66053906892e-24
"""Unified atomic mass unit, g (CODATA 2022)."""

MAX_B_ANGSTROM2 = 20.0
"""Upper limit of displacement parameters: at √⟨u²⟩ = 0.5 Å the solid is no longer crystalline."""


class Site(Config):
    """One atom of the primitive cell."""

    element: str = Field(pattern=r"^[A-Z][a-z]?$")
    """Chemical symbol."""
    position: Vector
    """Cartesian position in units of the lattice parameter."""
    b_angstrom2: float = Field(ge=0, lt=MAX_B_ANGSTROM2)
    """Isotropic displacement parameter B = 8π²⟨u²⟩, Å²."""
    occupancy: float = Field(default=1.0, gt=0, le=1)
    """Fraction of the cells in which the atom is present, each cell independent of the others."""


class Material(Config):
    """A crystal: its primitive cell, atoms and constants."""

    name: str
    """Chemical formula, followed by the structure type if the material has several."""
    lattice_parameter_angstrom: float = Field(gt=1, lt=50)
    """Lattice parameter a of the bulk, Å, at room temperature unless the reference states otherwise."""
    lattice_source: str
    """Reference of the lattice parameters."""
    b_source: str
    """Reference of the displacement parameters."""
    cell: tuple[Vector, Vector, Vector]
    """Primitive vectors in units of the lattice parameter, one per row."""
    sites: tuple[Site, ...] = Field(min_length=1)
    """Atoms of the primitive cell."""
    diameter_range_nm: tuple[float, float] = (1.0, 20.0)
    """Smallest and largest diameter expected of its quantum dots, nm."""
    notes: tuple[str, ...] = ()
    """What was assumed where the source of the structure leaves it open, one line each."""

    @model_validator(mode="after")
    def _check_overlap(self) -> "Material":
        if self.cell_volume_angstrom3 < 1:
            raise ValueError(
                f"the primitive vectors span {self.cell_volume_angstrom3:.3g} Å³: "
                "give three vectors that are not coplanar"
            )
        for s, site in enumerate(self.sites):
            for t, other in enumerate(self.sites[: s + 1]):
                distance = self.min_distance_angstrom(s, t)
                total = site.occupancy + other.occupancy if s != t else np.inf
                if distance < OVERLAP_ANGSTROM and total > 1 + 1e-6:
                    raise ValueError(
                        f"sites {t} ({other.element}) and {s} ({site.element}) are {distance:.3g} Å apart: "
                        f"separate them by at least {OVERLAP_ANGSTROM} Å, or "
                        "give occupancies that sum to at most 1"
                    )
        return self

    @property
    def cell_angstrom(self) -> NDArray[np.float64]:
        """Primitive vectors, Å, shape (3, 3), one per row."""
        return np.array(self.cell) * self.lattice_parameter_angstrom

    @property
    def positions_angstrom(self) -> NDArray[np.float64]:
        """Atom positions, Å, shape (n_sites, 3)."""
        return np.array([site.position for site in self.sites]) * self.lattice_parameter_angstrom

    @property
    def cell_volume_angstrom3(self) -> float:
        """Volume of the primitive cell, Å³."""
        return float(abs(np.linalg.det(self.cell_angstrom)))

    @property
    def density_g_per_cm3(self) -> float:
        """Density of the bulk, g/cm³."""
        mass = sum(gemmi.Element(site.element).weight * site.occupancy for site in self.sites)
        return mass * GRAMS_PER_DALTON / (self.cell_volume_angstrom3 * 1e-24)

    @property
    def unit_diameter_angstrom(self) -> float:
        """Diameter of the sphere whose volume is one primitive cell, Å: the size step of the paper."""
        return float((6 / np.pi * self.cell_volume_angstrom3) ** (1 / 3))

    @property
    def species(self) -> tuple[int, ...]:
        """Index of the first site with the same element and B as each site, shape (n_sites,)."""
        kinds = [(site.element, site.b_angstrom2) for site in self.sites]
        return tuple(kinds.index(kind) for kind in kinds)

    def min_distance_angstrom(self, s: int, t: int) -> float:
        """Distance between the nearest images of two sites.

        Parameters
        ----------
        s, t
            Indices of the sites.

        Returns
        -------
        Distance, Å; for s = t the length of the shortest lattice vector.
        """
        cells = np.array(list(np.ndindex(5, 5, 5))) - 2
        offset = (self.positions_angstrom[s] - self.positions_angstrom[t]) @ np.linalg.inv(self.cell_angstrom)
        distances = np.linalg.norm((cells + offset - np.rint(offset)) @ self.cell_angstrom, axis=1)
        return float(np.min(distances[distances > 0]) if s == t else np.min(distances))

    def with_b(self, b_angstrom2: Mapping[str, float]) -> "Material":
        """Replace displacement parameters by element.

        Parameters
        ----------
        b_angstrom2
            B by chemical symbol, Å².

        Returns
        -------
        A material that differs only in B.

        Raises
        ------
        PhysicsError
            An element is not in the material, or a B is negative or at least 20 Å².
        """
        self._check_elements("B", b_angstrom2)
        for element, b in b_angstrom2.items():
            if not 0 <= b < MAX_B_ANGSTROM2:
                raise PhysicsError(f"B = {b} Å² given for {element}: give 0 ≤ B < {MAX_B_ANGSTROM2:g} Å²")
        return self._changed(
            sites=[{**dict(s), "b_angstrom2": b_angstrom2.get(s.element, s.b_angstrom2)} for s in self.sites]
        )

    def with_occupancy(self, occupancy: Mapping[str, float]) -> "Material":
        """Add random vacancies, by element.

        Parameters
        ----------
        occupancy
            Fraction of the atoms that remains, by chemical symbol.

        Returns
        -------
        A material with its occupancies multiplied by these fractions.

        Raises
        ------
        PhysicsError
            An element is not in the material, or a fraction is not in 0 < occupancy ≤ 1.
        """
        self._check_elements("occupancy", occupancy)
        for element, fraction in occupancy.items():
            if not 0 < fraction <= 1:
                raise PhysicsError(f"occupancy {fraction} given for {element}: give 0 < occupancy ≤ 1")
        return self._changed(
            sites=[{**dict(s), "occupancy": s.occupancy * occupancy.get(s.element, 1.0)} for s in self.sites]
        )

    def strained(self, strain: ArrayLike) -> "Material":
        """Deform the crystal; clusters cut from the undeformed crystal keep their atoms.

        Parameters
        ----------
        strain
            A scalar for isotropic strain, or a symmetric matrix ε, shape (3, 3), in the Cartesian axes
            of the crystal (`axial_strain`): every vector x becomes (1 + ε) x.

        Returns
        -------
        The deformed material, with which pairs of clusters cut from this one are counted.

        Raises
        ------
        PhysicsError
            The strain is neither, or exceeds 0.2.
        """
        matrix = np.asarray(strain, dtype=np.float64)
        matrix = matrix * np.eye(3) if matrix.ndim == 0 else matrix
        if matrix.shape != (3, 3) or not np.allclose(matrix, matrix.T) or not np.abs(matrix).max() <= 0.2:
            raise PhysicsError(f"strain {strain!r} is not a scalar or a symmetric 3 × 3 matrix within ±0.2")
        deform = np.eye(3) + matrix
        return self._changed(
            cell=[tuple(deform @ np.array(vector)) for vector in self.cell],
            sites=[{**dict(s), "position": tuple(deform @ np.array(s.position))} for s in self.sites],
        )

    def _check_elements(self, quantity: str, by_element: Mapping[str, float]) -> None:
        known = {site.element for site in self.sites}
        if unknown := set(by_element) - known:
            raise PhysicsError(
                f"{quantity} given for {sorted(unknown)}, {self.name} contains {sorted(known)}"
            )

    def _changed(self, **fields: Any) -> "Material":
        """Create a validated material; `model_copy` would skip the validation."""
        return Material.model_validate({**dict(self), **fields})


def axial_strain(axis: Vector, along: float, across: float = 0.0) -> NDArray[np.float64]:
    """Strain along one axis; along a body diagonal, it makes a cubic crystal rhombohedral.

    Parameters
    ----------
    axis
        Direction in the Cartesian axes of the crystal; its length is ignored.
    along
        Strain along the axis, such as 0.007 for the PbS dots of Bertolotti et al., ACS Nano 10, 1579 (2016).
    across
        Strain in all directions normal to the axis.

    Returns
    -------
    Strain matrix for `Material.strained`, shape (3, 3).

    Raises
    ------
    PhysicsError
        The axis has no direction.
    """
    unit = unit_vector(axis)
    return np.asarray(across * np.eye(3) + (along - across) * np.outer(unit, unit))


def unit_vector(axis: Vector) -> NDArray[np.float64]:
    """Direction of an axis.

    Parameters
    ----------
    axis
        Vector of any non-zero length.

    Returns
    -------
    Vector of length 1, shape (3,).

    Raises
    ------
    PhysicsError
        The axis has no direction.
    """
    length = np.linalg.norm(axis)
    if not (np.isfinite(length) and length > 0):
        raise PhysicsError(f"axis {axis} has no direction: give a vector of finite length > 0")
    return np.asarray(axis) / float(length)


def material_from_crystal(crystal: Crystal) -> Material:
    """Reduce a crystal structure to its primitive cell.

    Parameters
    ----------
    crystal
        Structure. The first image of each atom stays at its given coordinates, so these determine which
        atoms belong to a lattice node.

    Returns
    -------
    The material.

    Raises
    ------
    ConfigurationError
        Atoms overlap, or a B is 20 Å² or more.
    """
    primitive = crystal.primitive_cell()
    a = crystal.lengths_angstrom[0]
    values = {
        "name": crystal.name,
        "lattice_parameter_angstrom": a,
        "lattice_source": crystal.lattice_source,
        "b_source": crystal.b_source,
        "cell": [tuple(vector / a) for vector in primitive.vectors_angstrom],
        "sites": [
            {**dict(crystal.sites[origin]), "position": tuple(position / a)}
            for origin, position in zip(primitive.origins, primitive.positions_angstrom, strict=True)
        ],
        "diameter_range_nm": crystal.diameter_range_nm,
        "notes": crystal.notes,
    }
    return validated(Material, values, f"material {crystal.name}")

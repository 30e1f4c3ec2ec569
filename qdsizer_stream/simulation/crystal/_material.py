"""Crystals: what the clusters are cut from."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, model_validator

from ...configuration import Config, validated
from ...errors import PhysicsError
from ._crystal import Crystal

__all__ = [
    "OVERLAP_ANGSTROM",
    "Material",
    "Site",
    "Vector",
    "axial_strain",
    "load_material",
    "material_from_crystal",
    "material_names",
    "read_crystal",
    "unit_vector",
]

Vector = tuple[float, float, float]

OVERLAP_ANGSTROM = 0.7
"""Sites closer than this (no bond is shorter: H-H is 0.74 Å) cannot be occupied at once: they share
one atom, as in alloys and split positions, and form no pair."""

B_LIMIT_ANGSTROM2 = 20.0
"""Displacement parameters end here: √⟨u²⟩ = 0.5 Å is no crystal any more."""


class Site(Config):
    """One atom of the primitive cell."""

    element: str = Field(pattern=r"^[A-Z][a-z]?$")
    """Chemical symbol."""
    position: Vector
    """Cartesian position in units of the lattice parameter."""
    b_angstrom2: float = Field(ge=0, lt=B_LIMIT_ANGSTROM2)
    """Isotropic displacement parameter B = 8π²⟨u²⟩, Å²."""
    occupancy: float = Field(default=1.0, gt=0, le=1)
    """Share of the cells in which the atom is present, each cell independent of the others."""


class Material(Config):
    """A crystal and its constants."""

    name: str
    """Chemical formula, with the structure where there are several."""
    lattice_parameter_angstrom: float = Field(gt=1, lt=50)
    """Lattice parameter a of the bulk, Å: at room temperature where the source does not say else."""
    lattice_source: str
    """Where the lattice parameters come from."""
    b_source: str
    """Where the displacement parameters come from."""
    cell: tuple[Vector, Vector, Vector]
    """Primitive vectors in units of the lattice parameter, one a row."""
    sites: tuple[Site, ...] = Field(min_length=1)
    """Atoms of the primitive cell."""
    diameter_range_nm: tuple[float, float] = (1.0, 20.0)
    """Smallest and largest diameter to expect of its quantum dots, nm."""

    @model_validator(mode="after")
    def _check_overlap(self) -> "Material":
        if self.cell_volume_angstrom3 < 1:
            raise ValueError(
                f"the primitive vectors span {self.cell_volume_angstrom3:.3g} Å³: "
                "give three that are not in a plane"
            )
        for s, site in enumerate(self.sites):
            for t, other in enumerate(self.sites[: s + 1]):
                distance = self.shortest_distance(s, t)
                shared = site.occupancy + other.occupancy if s != t else np.inf
                if distance < OVERLAP_ANGSTROM and shared > 1 + 1e-6:
                    raise ValueError(
                        f"sites {t} ({other.element}) and {s} ({site.element}) are {distance:.3g} Å apart: "
                        f"keep {OVERLAP_ANGSTROM} Å, or give occupancies that sum to 1 or less"
                    )
        return self

    @property
    def cell_angstrom(self) -> NDArray[np.float64]:
        """Primitive vectors, Å, shape (3, 3), one a row."""
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
    def unit_diameter_angstrom(self) -> float:
        """Diameter of the sphere with the volume of one primitive cell, Å: the paper's size step."""
        return float((6 / np.pi * self.cell_volume_angstrom3) ** (1 / 3))

    @property
    def species(self) -> tuple[int, ...]:
        """First site that scatters as each site does (the same element and B), shape (n_sites,)."""
        kinds = [(site.element, site.b_angstrom2) for site in self.sites]
        return tuple(kinds.index(kind) for kind in kinds)

    def shortest_distance(self, s: int, t: int) -> float:
        """Distance of the nearest images of two sites.

        Parameters
        ----------
        s, t
            Numbers of the sites.

        Returns
        -------
        Distance, Å; for s = t the length of the shortest lattice vector.
        """
        near = np.array(list(np.ndindex(5, 5, 5))) - 2
        offset = (self.positions_angstrom[s] - self.positions_angstrom[t]) @ np.linalg.inv(self.cell_angstrom)
        distances = np.linalg.norm((near + offset - np.rint(offset)) @ self.cell_angstrom, axis=1)
        return float(np.min(distances[distances > 0]) if s == t else np.min(distances))

    def with_b(self, b_angstrom2: Mapping[str, float]) -> "Material":
        """Replace displacement parameters by element.

        Parameters
        ----------
        b_angstrom2
            B by chemical symbol, Å².

        Returns
        -------
        A material that differs in B alone.

        Raises
        ------
        PhysicsError
            An element is not in the material, or a B is negative or not below 20 Å².
        """
        self._check_elements("B", b_angstrom2)
        for element, b in b_angstrom2.items():
            if not 0 <= b < B_LIMIT_ANGSTROM2:
                raise PhysicsError(f"B = {b} Å² given for {element}: give 0 ≤ B < {B_LIMIT_ANGSTROM2:g} Å²")
        return self._changed(
            sites=[{**dict(s), "b_angstrom2": b_angstrom2.get(s.element, s.b_angstrom2)} for s in self.sites]
        )

    def with_occupancy(self, occupancy: Mapping[str, float]) -> "Material":
        """Empty sites at random, by element: vacancies.

        Parameters
        ----------
        occupancy
            Share of the atoms that are left, by chemical symbol.

        Returns
        -------
        A material whose occupancies are multiplied by these.

        Raises
        ------
        PhysicsError
            An element is not in the material, or a share is not above 0 and up to 1.
        """
        self._check_elements("occupancy", occupancy)
        for element, share in occupancy.items():
            if not 0 < share <= 1:
                raise PhysicsError(f"occupancy {share} given for {element}: give 0 < occupancy ≤ 1")
        return self._changed(
            sites=[{**dict(s), "occupancy": s.occupancy * occupancy.get(s.element, 1.0)} for s in self.sites]
        )

    def strained(self, strain: ArrayLike) -> "Material":
        """Deform the crystal; clusters that were cut from it keep their atoms.

        Parameters
        ----------
        strain
            A number for equal strain in all directions, or a symmetric matrix ε, shape (3, 3), in the
            Cartesian axes of the crystal (`axial_strain`): every vector x becomes (1 + ε) x.

        Returns
        -------
        The deformed material, to count the pairs of clusters cut from this one.

        Raises
        ------
        PhysicsError
            The strain is neither, or larger than 0.2.
        """
        matrix = np.asarray(strain, dtype=np.float64)
        matrix = matrix * np.eye(3) if matrix.ndim == 0 else matrix
        if matrix.shape != (3, 3) or not np.allclose(matrix, matrix.T) or not np.abs(matrix).max() <= 0.2:
            raise PhysicsError(f"strain {strain!r} is not a number or a symmetric 3 × 3 matrix within ±0.2")
        deform = np.eye(3) + matrix
        return self._changed(
            cell=[tuple(deform @ np.array(vector)) for vector in self.cell],
            sites=[{**dict(s), "position": tuple(deform @ np.array(s.position))} for s in self.sites],
        )

    def _check_elements(self, what: str, by_element: Mapping[str, float]) -> None:
        known = {site.element for site in self.sites}
        if unknown := set(by_element) - known:
            raise PhysicsError(f"{what} given for {sorted(unknown)}, {self.name} holds {sorted(known)}")

    def _changed(self, **fields: Any) -> "Material":
        """Make a material anew, so that it is checked: a copy would not be."""
        return Material.model_validate({**dict(self), **fields})


def axial_strain(axis: Vector, along: float, across: float = 0.0) -> NDArray[np.float64]:
    """Strain along one axis; along a body diagonal it makes a cubic crystal rhombohedral.

    Parameters
    ----------
    axis
        Direction in the Cartesian axes of the crystal, of any length.
    along
        Strain along the axis; 0.007 for the PbS dots of Bertolotti et al., ACS Nano 10, 1579 (2016).
    across
        Strain in all directions normal to it.

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
        Vector of any length but zero.

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
        Structure; each of its atoms stays where it was given, so that the choice of coordinates says
        which atoms go with a lattice node.

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
    }
    return validated(Material, values, f"material {crystal.name}")


def material_names() -> list[str]:
    """List the materials of the package.

    Returns
    -------
    Names in alphabetical order.
    """
    folder = files(__package__) / "materials"
    return sorted(
        entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")
    )


def read_crystal(name: str) -> Crystal:
    """Read the crystal structure of a material of the package, with its reference values.

    Parameters
    ----------
    name
        Name as in `material_names`.

    Returns
    -------
    The structure.

    Raises
    ------
    PhysicsError
        The package has no material of this name.
    """
    if name not in material_names():
        raise PhysicsError(f"material {name!r} is unknown: choose from {', '.join(material_names())}")
    resource = files(__package__) / "materials" / f"{name}.toml"
    return validated(Crystal, tomllib.loads(resource.read_text(encoding="utf-8")), f"material {name}")


def load_material(name: str) -> Material:
    """Load a material of the package.

    Parameters
    ----------
    name
        Name as in `material_names`.

    Returns
    -------
    The material.

    Raises
    ------
    PhysicsError
        The package has no material of this name.
    """
    return material_from_crystal(read_crystal(name))

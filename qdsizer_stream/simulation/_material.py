"""Crystals: what the clusters are cut from."""

import tomllib
from functools import cached_property
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..configuration import Config, validated
from ..errors import PhysicsError

__all__ = ["Material", "Site", "load_material", "material_names"]

Vector = tuple[float, float, float]


class Site(Config):
    """One atom of the primitive cell."""

    element: str = Field(pattern=r"^[A-Z][a-z]?$")
    """Chemical symbol."""
    position: Vector
    """Cartesian position in units of the lattice parameter."""
    b_angstrom2: float = Field(ge=0, lt=20)
    """Isotropic displacement parameter B = 8π²⟨u²⟩, Å²."""


class Material(Config):
    """A crystal and its constants."""

    name: str
    """Chemical formula."""
    lattice_parameter_angstrom: float = Field(gt=1, lt=50)
    """Lattice parameter of the bulk at room temperature, Å."""
    lattice_source: str
    """Where the lattice parameter comes from."""
    b_source: str
    """Where the displacement parameters come from."""
    cell: tuple[Vector, Vector, Vector]
    """Primitive vectors in units of the lattice parameter, one a row."""
    sites: tuple[Site, ...] = Field(min_length=1)
    """Atoms of the primitive cell."""

    @cached_property
    def cell_angstrom(self) -> NDArray[np.float64]:
        """Primitive vectors, Å, shape (3, 3), one a row."""
        return np.array(self.cell) * self.lattice_parameter_angstrom

    @cached_property
    def positions_angstrom(self) -> NDArray[np.float64]:
        """Atom positions, Å, shape (n_sites, 3)."""
        return np.array([site.position for site in self.sites]) * self.lattice_parameter_angstrom

    @cached_property
    def cell_volume_angstrom3(self) -> float:
        """Volume of the primitive cell, Å³."""
        return float(abs(np.linalg.det(self.cell_angstrom)))

    @cached_property
    def unit_diameter_angstrom(self) -> float:
        """Diameter of the sphere with the volume of one primitive cell, Å: the paper's size step."""
        return float((6 / np.pi * self.cell_volume_angstrom3) ** (1 / 3))

    def with_b(self, b_angstrom2: dict[str, float]) -> "Material":
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
            An element is not in the material.
        """
        known = {site.element for site in self.sites}
        if unknown := set(b_angstrom2) - known:
            raise PhysicsError(f"B given for {sorted(unknown)}, {self.name} holds {sorted(known)}")
        sites = tuple(
            site.model_copy(update={"b_angstrom2": b_angstrom2.get(site.element, site.b_angstrom2)})
            for site in self.sites
        )
        return self.model_copy(update={"sites": sites})


def material_names() -> list[str]:
    """List the materials of the package.

    Returns
    -------
    Names in alphabetical order.
    """
    folder = files(__package__) / "materials"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


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


    if name not in material_names():
        raise PhysicsError(f"material {name!r} is unknown: choose from {', '.join(material_names())}")
    resource = files(__package__) / "materials" / f"{name}.toml"
    return validated(Material, tomllib.loads(resource.read_text(encoding="utf-8")), f"material {name}")

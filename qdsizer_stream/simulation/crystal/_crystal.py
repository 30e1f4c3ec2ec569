"""Crystal structures in crystallographic notation: space group, cell and asymmetric unit."""

import gemmi
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from ...configuration import Config
from ._symmetry import PrimitiveCell, primitive_cell

__all__ = ["Crystal", "CrystalSite", "Reference"]


class CrystalSite(Config):
    """One atom of the asymmetric unit."""

    element: str
    """Chemical symbol."""
    position: tuple[float, float, float]
    """Fractional coordinates in the conventional cell."""
    b_angstrom2: float = Field(ge=0)
    """Isotropic displacement parameter B = 8π²⟨u²⟩, Å²."""
    occupancy: float = Field(default=1.0, gt=0, le=1)
    """Fraction of the cells in which the atom is present."""

    @field_validator("element")
    @classmethod
    def _check_element(cls, element: str) -> str:
        if gemmi.Element(element).atomic_number == 0 or gemmi.Element(element).name != element:
            raise ValueError("not a chemical element: give a symbol of the periodic table, such as Pb")
        return element


class Reference(Config):
    """Measured values of the bulk crystal that the structure must reproduce."""

    density_g_per_cm3: float = Field(gt=0)
    """Density, g/cm³."""
    spacings_angstrom: tuple[float, ...] = Field(min_length=2)
    """Lattice spacings of strong powder lines, Å."""
    source: str
    """Reference of these values."""


class Crystal(Config):
    """A crystal structure with its literature references."""

    name: str
    """Chemical formula, followed by the structure type if the material has several."""
    space_group: str
    """Hermann-Mauguin symbol of the setting used."""
    lengths_angstrom: tuple[float, float, float]
    """a, b and c of the conventional cell, Å."""
    angles_deg: tuple[float, float, float] = (90.0, 90.0, 90.0)
    """α, β and γ, degrees."""
    lattice_source: str
    """Reference of cell and coordinates."""
    b_source: str
    """Reference of the displacement parameters."""
    diameter_range_nm: tuple[float, float] = (1.0, 20.0)
    """Smallest and largest diameter expected of its quantum dots, nm."""
    sites: tuple[CrystalSite, ...] = Field(min_length=1)
    """Atoms of the asymmetric unit."""
    reference: Reference | None = None
    """Measured values to test against."""
    notes: tuple[str, ...] = ()
    """What was assumed where the source of the structure leaves it open, one line each."""

    @model_validator(mode="after")
    def _check_symmetry(self) -> "Crystal":
        group = gemmi.find_spacegroup_by_name(self.space_group, *self.angles_deg[::2])
        if group is None:
            raise ValueError(
                f"space group {self.space_group!r} is unknown: "
                "give a Hermann-Mauguin symbol such as 'F m -3 m'"
            )
        if not np.isfinite(self._cell.volume) or self._cell.volume < 1:
            raise ValueError(
                f"cell {self.lengths_angstrom} Å, {self.angles_deg}° has no "
                "volume: correct its lengths or angles"
            )
        if not self._cell.is_compatible_with_spacegroup(group):
            raise ValueError(
                f"cell {self.lengths_angstrom} Å, {self.angles_deg}° does not have the symmetry of "
                f"{self.space_group!r}: correct the cell or the space group"
            )
        return self

    @property
    def _cell(self) -> gemmi.UnitCell:
        return gemmi.UnitCell(*self.lengths_angstrom, *self.angles_deg)

    @property
    def conventional_vectors_angstrom(self) -> NDArray[np.float64]:
        """Vectors of the conventional cell, Å, shape (3, 3), one per row; a along x, b in the xy plane."""
        return np.array(self._cell.orth.mat.tolist()).T

    def primitive_cell(self) -> PrimitiveCell:
        """Apply the symmetry operations to the asymmetric unit.

        Returns
        -------
        The primitive cell and all its atoms.

        Raises
        ------
        PhysicsError
            It contains more than 200 atoms.
        """
        group = gemmi.find_spacegroup_by_name(self.space_group, *self.angles_deg[::2])
        assert group is not None  # validated when the crystal was created
        return primitive_cell(group.operations(), self._cell, [site.position for site in self.sites])

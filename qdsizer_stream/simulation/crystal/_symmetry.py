"""Primitive cells from a space group and the atoms of the asymmetric unit."""

from collections.abc import Sequence
from dataclasses import dataclass

import gemmi
import numpy as np
from numpy.typing import NDArray

from ...errors import PhysicsError

__all__ = ["MAX_ATOMS", "SAME_ATOM_ANGSTROM", "PrimitiveCell", "primitive_cell"]

SAME_ATOM_ANGSTROM = 0.1
"""Images of one atom closer than this are the same atom on a special position. Coordinates are often given
to three digits (1/3 as 0.333, an error of 0.003 Å), and atoms of a crystal never come this close."""

MAX_ATOMS = 200
"""Largest number of atoms in a primitive cell: pairs of sites are counted one by one, and crystals of quantum
dots have 1 to 40 atoms."""

CELL_BORDER = 1e-6
"""Tolerance below 0 within which a fractional coordinate counts as 0, so that rounding does not move an
atom by a whole cell."""


@dataclass(frozen=True, eq=False)
class PrimitiveCell:
    """A primitive cell and all its atoms.

    Parameters
    ----------
    vectors_angstrom
        Primitive vectors, Å, shape (3, 3), one per row; a along x, b in the xy plane.
    positions_angstrom
        Cartesian positions, Å, shape (n_atoms, 3).
    origins
        Index of the atom of the asymmetric unit of which each atom is an image, length n_atoms.
    """

    vectors_angstrom: NDArray[np.float64]
    positions_angstrom: NDArray[np.float64]
    origins: tuple[int, ...]


def primitive_cell(
    operations: gemmi.GroupOps,
    cell: gemmi.UnitCell,
    fractional: Sequence[Sequence[float]],
    max_atoms: int | None = MAX_ATOMS,
) -> PrimitiveCell:
    """Fill the primitive cell with the images of the atoms of the asymmetric unit.

    Parameters
    ----------
    operations
        Symmetry operations of the conventional cell.
    cell
        Conventional cell.
    fractional
        Fractional coordinates of the asymmetric unit in the conventional cell, shape (n, 3).
    max_atoms
        Largest number of atoms; None for any.

    Returns
    -------
    The primitive cell; the first image of each atom stays at its given coordinates, the others lie in
    the cell at the origin.

    Raises
    ------
    PhysicsError
        It contains more atoms than `max_atoms`.
    """
    space_group = gemmi.find_spacegroup_by_ops(operations)
    # An unlisted setting keeps its conventional cell, which describes the same crystal with more atoms.
    centring = np.eye(3)
    if space_group is not None:
        reduction = space_group.centred_to_primitive()
        centring = np.array(reduction.rot, dtype=np.float64) / gemmi.Op.DEN
    vectors = (np.array(cell.orth.mat.tolist()) @ centring).T
    to_primitive = np.linalg.inv(centring)
    images = [(np.array(op.rot) / op.DEN, np.array(op.tran) / op.DEN) for op in operations]
    positions: list[NDArray[np.float64]] = []
    origins: list[int] = []
    for origin, atom in enumerate(np.asarray(fractional, dtype=np.float64)):
        remaining = np.array([to_primitive @ (rotation @ atom + shift) for rotation, shift in images])
        given = to_primitive @ atom
        while len(remaining):
            nearest = remaining - np.rint(remaining - remaining[0])
            same = np.linalg.norm((nearest - remaining[0]) @ vectors, axis=1) < SAME_ATOM_ANGSTROM
            image = nearest[same].mean(axis=0)  # the mean lies on the special position
            is_given = np.linalg.norm((image - given - np.rint(image - given)) @ vectors) < SAME_ATOM_ANGSTROM
            image -= np.rint(image - given) if is_given else np.floor(image + CELL_BORDER)
            positions.append(image @ vectors)
            origins.append(origin)
            remaining = remaining[~same]
    if max_atoms is not None and len(positions) > max_atoms:
        raise PhysicsError(
            f"the primitive cell contains {len(positions)} atoms: at most {max_atoms} are supported; give "
            "the smallest cell that describes the crystal"
        )
    return PrimitiveCell(vectors, np.array(positions), tuple(origins))

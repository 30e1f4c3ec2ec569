"""Crystal structures from CIF files, as databases and refinement programs write them."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import gemmi
import numpy as np
from numpy.typing import NDArray

from ...configuration import validated
from ...errors import PhysicsError
from ._crystal import Crystal
from ._material import MAX_B_ANGSTROM2, Material, material_from_crystal
from ._symmetry import MAX_ATOMS, SAME_ATOM_ANGSTROM, primitive_cell

__all__ = ["ASSUMED_B_ANGSTROM2", "crystal_from_cif", "material_from_cif"]

ASSUMED_B_ANGSTROM2 = 0.8
"""B of atoms for which a file has none, Å². Elements and binary compounds have 0.3 (Pt, CeO2) to 2 Å² (lead
salts, halides) at room temperature; a fit refines it, and sizes hardly depend on it."""

MAX_MOLECULAR_ATOMIC_NUMBER = 10
"""A crystal with hydrogen and no atom beyond this atomic number is one of organic molecules."""

SETTING_SUFFIXES = {"Z": ":2", "S": ":1", "HR": ":H", "H": ":H", "RS": ":R", "R": ":R"}
"""Endings by which the ICSD marks origin and axes, such as 'F d -3 m Z'."""

FRACTIONAL = "_atom_site_fract_x"
CARTESIAN = ("_atom_site_cartn_x", "_atom_site.cartn_x", "_chem_comp_atom.x")
DISPERSION = "_atom_type_scat_dispersion_real"


class _Atom(NamedTuple):
    """An atom of the asymmetric unit."""

    label: str
    where: str
    """Label and line, for messages."""
    element: str
    position: tuple[float, float, float]
    b_angstrom2: float
    """B of the file; NaN where it has none."""
    occupancy: float


def material_from_cif(
    path: str | os.PathLike[str], *, b_angstrom2: Mapping[str, float] | None = None, block: str | None = None
) -> Material:
    """Read a material from a CIF file.

    Parameters
    ----------
    path
        CIF file.
    b_angstrom2
        Isotropic displacement parameters B by chemical symbol, Å²; they replace those of the file.
    block
        Name of the data block; optional if only one block contains atoms.

    Returns
    -------
    The material of `crystal_from_cif`.

    Raises
    ------
    PhysicsError, ConfigurationError
        As `crystal_from_cif`, and where atoms overlap that are not alternatives of each other.
    """
    return material_from_crystal(crystal_from_cif(path, b_angstrom2=b_angstrom2, block=block))


def crystal_from_cif(
    path: str | os.PathLike[str], *, b_angstrom2: Mapping[str, float] | None = None, block: str | None = None
) -> Crystal:
    """Read a crystal structure from a CIF file.

    Parameters
    ----------
    path
        CIF file.
    b_angstrom2
        Isotropic displacement parameters B by chemical symbol, Å²; they replace those of the file.
    block
        Name of the data block; optional if only one block contains atoms.

    Returns
    -------
    The structure, named after the block, with the occupancies of the file and the equivalent isotropic
    displacement parameters of anisotropic ones. Its notes list what was assumed: a B where the file has
    none, atoms that are listed twice, ions as neutral atoms, dispersion corrections from tables.

    Raises
    ------
    PhysicsError
        The file cannot be read, has no cell, no atoms or no known space group, contradicts itself, describes
        a molecule, or an atom has no position.
    ConfigurationError
        An element is unknown, a B is negative or 20 Å² and more, an occupancy is above 1, or the cell does
        not have the symmetry of the space group.
    """
    path = Path(path)
    found, structure = _structure(path, block)
    lines = _Lines(path, found)
    _check_cell(path, structure)
    notes: list[str] = []
    group, operations = _symmetry(path, structure, found, notes)
    given = dict(b_angstrom2 or {})
    if unknown := set(given) - {site.element.name for site in structure.sites}:
        raise PhysicsError(
            f"b_angstrom2 has {sorted(unknown)}, which CIF {path} does not contain: remove them"
        )
    if len(structure.sites) > MAX_ATOMS:
        raise PhysicsError(
            f"CIF {path} lists {len(structure.sites)} atoms: at most {MAX_ATOMS} in a primitive cell are "
            "supported; for a nanocrystal of that many atoms give the unit cell of its crystal"
        )
    atoms = [_atom(path, structure, site, lines, given) for site in structure.sites]
    absent = [atom.where for atom in atoms if atom.occupancy == 0]
    if absent:
        notes.append(f"occupancy 0, left out: {', '.join(absent)}")
    atoms = _once([atom for atom in atoms if atom.occupancy != 0], operations, structure.cell, notes)
    _check_not_molecular(path, atoms)
    assumed = sorted({atom.element for atom in atoms if math.isnan(atom.b_angstrom2)})
    if assumed:
        notes.append(
            f"no displacement parameter for {', '.join(assumed)}: B = {ASSUMED_B_ANGSTROM2} Å² was assumed"
        )
    if charged := sorted({site.element.name for site in structure.sites if site.charge}):
        notes.append(f"charges of {', '.join(charged)} are ignored: form factors are those of neutral atoms")
    if found.find_loop(DISPERSION):
        notes.append("f' and f'' of the file hold for one wavelength: those of Chantler's tables are used")
    if group is None:  # a setting without a name: all images are listed instead
        atoms = _all_images(atoms, operations, structure.cell)
        notes.append("the symmetry operations are of a setting without a symbol: all images were listed")
    b_source = f"CIF {path.name}" + (f", given for {', '.join(sorted(given))}" if given else "")
    if assumed:
        b_source += f", {ASSUMED_B_ANGSTROM2} Å² assumed for {', '.join(assumed)}"
    values = {
        "name": structure.name,
        "space_group": "P 1" if group is None else group.xhm(),
        "lengths_angstrom": (structure.cell.a, structure.cell.b, structure.cell.c),
        "angles_deg": (structure.cell.alpha, structure.cell.beta, structure.cell.gamma),
        "lattice_source": f"CIF {path.name}",
        "b_source": b_source,
        "sites": [
            {
                "element": atom.element,
                "position": atom.position,
                "b_angstrom2": ASSUMED_B_ANGSTROM2 if math.isnan(atom.b_angstrom2) else atom.b_angstrom2,
                "occupancy": atom.occupancy,
            }
            for atom in atoms
        ],
        "notes": notes,
    }
    return validated(Crystal, values, f"CIF {path}")


class _Lines:
    """Lines of a file on which atoms are listed."""

    def __init__(self, path: Path, block: gemmi.cif.Block) -> None:
        first = next(
            (item.line_number for item in block if item.loop is not None and FRACTIONAL in _tags(item.loop)),
            None,
        )
        self._of_label: dict[str, list[int]] = {}
        if first is not None:
            text = path.read_text(encoding="utf-8", errors="replace").splitlines()
            for number, line in enumerate(text[first - 1 :], first):
                if words := line.split(maxsplit=1):
                    self._of_label.setdefault(words[0].strip("'\""), []).append(number)

    def where(self, label: str) -> str:
        """Label with the next line that lists it; the label alone where no line begins with it."""
        found = self._of_label.get(label)
        return f"{label} (line {found.pop(0)})" if found else label


def _tags(loop: gemmi.cif.Loop) -> list[str]:
    return [tag.lower() for tag in loop.tags]


def _structure(path: Path, block: str | None) -> tuple[gemmi.cif.Block, gemmi.SmallStructure]:
    """Read the requested block, or the only one that contains atoms."""
    try:
        document = gemmi.cif.read(str(path))
        structures = {found.name: (found, gemmi.make_small_structure_from_block(found)) for found in document}
    except OSError as error:
        raise PhysicsError(f"cannot read CIF {path}: {error.strerror or error}") from error
    except (ValueError, RuntimeError) as error:
        raise PhysicsError(f"{path} is not a valid CIF: {error}") from error
    with_atoms = {name: pair for name, pair in structures.items() if pair[0].find_loop(FRACTIONAL)}
    if not with_atoms:
        cartesian = [tag for found in document for item in found if item.loop for tag in _tags(item.loop)]
        if any(tag in CARTESIAN for tag in cartesian):
            raise PhysicsError(
                f"CIF {path} lists Cartesian coordinates, as of a molecule or a cluster: give the crystal's "
                "cell and a loop of _atom_site_fract_x, _y and _z"
            )
        raise PhysicsError(
            f"CIF {path} contains no atoms: it must have a loop of _atom_site_fract_x, _y and _z"
        )
    if block is None and len(with_atoms) == 1:
        return next(iter(with_atoms.values()))
    if block not in with_atoms:
        raise PhysicsError(
            f"CIF {path} has no block {block!r} with atoms: give block as one of {', '.join(with_atoms)}"
        )
    return with_atoms[block]


def _check_cell(path: Path, structure: gemmi.SmallStructure) -> None:
    cell = structure.cell
    # The parser gives a file without a cell one of 1 Å.
    if not cell.is_crystal():
        raise PhysicsError(
            f"CIF {path} has no unit cell: give _cell_length_a, _b, _c and _cell_angle_alpha, _beta, _gamma"
        )


def _symmetry(
    path: Path, structure: gemmi.SmallStructure, block: gemmi.cif.Block, notes: list[str]
) -> tuple[gemmi.SpaceGroup | None, gemmi.GroupOps]:
    """Space group with its operations; None for operations of a setting that has no symbol."""
    group: gemmi.SpaceGroup | None = structure.spacegroup
    symbol = structure.spacegroup_hm
    if group is None and symbol and not structure.symops:
        for suffix, setting in SETTING_SUFFIXES.items():
            if symbol.endswith(suffix):
                group = gemmi.find_spacegroup_by_name(symbol.removesuffix(suffix).strip() + setting)
                if group is not None:
                    return group, group.operations()
    contradiction = structure.check_spacegroup().strip()
    if group is None and structure.symops:
        operations = gemmi.GroupOps([gemmi.Op(text) for text in structure.symops])
        if not _is_group(operations):
            raise PhysicsError(
                f"CIF {path} lists {len(structure.symops)} symmetry operations that are not a group: "
                "complete them"
            )
        return None, operations
    if contradiction:
        raise PhysicsError(
            f"CIF {path} contradicts itself: {contradiction}; correct its space group or symmetry operations"
        )
    if group is None and 1 <= structure.spacegroup_number <= 230:
        group = gemmi.find_spacegroup_by_number(structure.spacegroup_number)
        notes.append(
            f"only the number {structure.spacegroup_number} of the space group is given: {group.hm!r} was "
            "assumed"
        )
    if group is None:
        raise PhysicsError(
            f"CIF {path} has no known space group: give its Hermann-Mauguin symbol or its symmetry operations"
        )
    if group.ext in ("1", "2") and not (structure.symops or ":" in symbol or structure.spacegroup_hall):
        group = _likelier_origin(structure, group)
        notes.append(
            f"{group.hm!r} has two origins and the file does not state its own: {group.ext} was chosen, with "
            "which the atoms lie on more special positions"
        )
    return group, group.operations()


def _likelier_origin(structure: gemmi.SmallStructure, group: gemmi.SpaceGroup) -> gemmi.SpaceGroup:
    """Origin with which the cell holds fewer atoms; the second, the standard of today, if both are equal."""
    settings = [gemmi.find_spacegroup_by_name(f"{group.hm}:{ext}") for ext in ("2", "1")]
    positions = [site.fract.tolist() for site in structure.sites]

    def n_atoms(setting: gemmi.SpaceGroup) -> int:
        if not np.all(np.isfinite(positions)):
            return 0  # the atom without a position is reported later
        filled = primitive_cell(setting.operations(), structure.cell, positions, max_atoms=None)
        return len(filled.origins)

    return min((one for one in settings if one is not None), key=n_atoms)


def _is_group(operations: gemmi.GroupOps) -> bool:
    """Whether the product of any two operations is one of them."""
    listed = {op.wrap().triplet() for op in operations}
    return all((a * b).wrap().triplet() in listed for a in operations for b in operations)


def _atom(
    path: Path,
    structure: gemmi.SmallStructure,
    site: gemmi.SmallStructure.Site,
    lines: _Lines,
    given: Mapping[str, float],
) -> _Atom:
    where = lines.where(site.label)
    element = site.element.name if site.element.atomic_number else site.type_symbol or site.label
    if not np.all(np.isfinite(site.fract.tolist())):
        raise PhysicsError(
            f"CIF {path}: atom {where} has no position ('?' or '.'): give its fractional coordinates, or "
            "remove the line"
        )
    if math.isnan(site.occ) or site.occ < 0:
        raise PhysicsError(f"CIF {path}: atom {where} has occupancy {site.occ:g}: give 0 to 1")
    u = structure.cell.calculate_u_eq(site.aniso) if site.aniso.nonzero() else site.u_iso
    b = given.get(site.element.name, 8 * math.pi**2 * u)
    if b == 0 and site.element.name not in given:
        b = math.nan  # how the parser reads '?', and how files without displacements state it
    if b < 0 or b >= MAX_B_ANGSTROM2:
        raise PhysicsError(
            f"CIF {path}: atom {where} has B = {b:.3g} Å² (U = {b / (8 * math.pi**2):.3g} Å²): "
            f"give 0 ≤ B < {MAX_B_ANGSTROM2:g} Å², for example b_angstrom2={{'{element}': "
            f"{ASSUMED_B_ANGSTROM2}}}"
        )
    x, y, z = site.fract.tolist()
    # Deuterium scatters X-rays as hydrogen does.
    return _Atom(site.label, where, "H" if element == "D" else element, (x, y, z), b, site.occ)


def _once(
    atoms: Sequence[_Atom], operations: gemmi.GroupOps, cell: gemmi.UnitCell, notes: list[str]
) -> list[_Atom]:
    """Leave out atoms that are images of atoms listed before: files may list the whole cell."""
    kept: list[_Atom] = []
    images: list[NDArray[np.float64]] = []
    orthogonal = np.array(cell.orth.mat.tolist())
    for atom in atoms:
        for earlier, places in zip(kept, images, strict=True):
            if earlier.element != atom.element or earlier.occupancy + atom.occupancy <= 1 + 1e-6:
                continue  # other elements, and fractions of one atom, may share a place
            shift = places - np.array(atom.position)
            near = np.linalg.norm((shift - np.rint(shift)) @ orthogonal.T, axis=1) < SAME_ATOM_ANGSTROM
            if near.any():
                notes.append(f"atom {atom.where} is an image of {earlier.label}: it was counted once")
                break
        else:
            kept.append(atom)
            images.append(_images(atom.position, operations))
    return kept


def _images(position: Sequence[float], operations: gemmi.GroupOps) -> NDArray[np.float64]:
    """All images of a position, fractional, shape (n_operations, 3)."""
    return np.array([op.apply_to_xyz(list(position)) for op in operations])


def _all_images(atoms: Sequence[_Atom], operations: gemmi.GroupOps, cell: gemmi.UnitCell) -> list[_Atom]:
    """List every atom of the cell."""
    identity = gemmi.GroupOps([gemmi.Op("x,y,z")])
    listed = []
    for atom in atoms:
        places = _images(atom.position, operations).tolist()
        # Only images of the same atom are compared here: alternatives of it stay.
        whole = [atom._replace(position=(x, y, z), occupancy=1.0) for x, y, z in places]
        listed += [one._replace(occupancy=atom.occupancy) for one in _once(whole, identity, cell, [])]
    return listed


def _check_not_molecular(path: Path, atoms: Sequence[_Atom]) -> None:
    numbers = {gemmi.Element(atom.element).atomic_number for atom in atoms}
    if 1 in numbers and max(numbers) <= MAX_MOLECULAR_ATOMIC_NUMBER:
        raise PhysicsError(
            f"CIF {path} contains only {', '.join(sorted({atom.element for atom in atoms}))}: it describes a "
            "molecule, not an inorganic crystal; give the crystal of the nanocrystals' core"
        )

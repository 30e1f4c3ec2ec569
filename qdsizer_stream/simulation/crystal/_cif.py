"""Materials from CIF files."""

import math
import os
from collections.abc import Mapping
from pathlib import Path

import gemmi

from ...configuration import validated
from ...errors import PhysicsError
from ._crystal import Crystal
from ._material import Material, material_from_crystal

__all__ = ["material_from_cif"]


def material_from_cif(
    path: str | os.PathLike[str], *, b_angstrom2: Mapping[str, float] | None = None, block: str | None = None
) -> Material:
    """Read a crystal structure from a CIF file.

    Parameters
    ----------
    path
        CIF file.
    b_angstrom2
        Isotropic displacement parameters B by chemical symbol, Å²; they replace those of the file and
        supply missing ones.
    block
        Name of the data block; optional if only one block contains atoms.

    Returns
    -------
    The material, named after the block, with the occupancies of the file and the equivalent isotropic
    displacement parameters of anisotropic ones.

    Raises
    ------
    PhysicsError
        The file cannot be read, contains no atoms or no known space group, contradicts itself, or lacks
        a displacement parameter.
    ConfigurationError
        An element is unknown, a B is negative, an occupancy is outside 0 to 1, atoms overlap, or the
        cell does not have the symmetry of the space group.
    """
    path = Path(path)
    structure = _structure(path, block)
    if contradiction := structure.check_spacegroup().strip():
        raise PhysicsError(
            f"CIF {path} contradicts itself: {contradiction}; correct its space group or symmetry operations"
        )
    if structure.spacegroup is None:
        raise PhysicsError(
            f"CIF {path} has no known space group: give its Hermann-Mauguin symbol or its symmetry operations"
        )
    given = dict(b_angstrom2 or {})
    if unknown := set(given) - {site.element.name for site in structure.sites}:
        raise PhysicsError(
            f"b_angstrom2 has {sorted(unknown)}, which CIF {path} does not contain: remove them"
        )
    sites = []
    for site in structure.sites:
        u = structure.cell.calculate_u_eq(site.aniso) if site.aniso.nonzero() else site.u_iso
        if site.element.name not in given and u == 0:
            raise PhysicsError(
                f"CIF {path} has no displacement parameter for {site.label}: "
                f"pass b_angstrom2={{'{site.element.name}': B}}, about 1 Å² in inorganic crystals"
            )
        sites.append(
            {
                "element": site.element.name
                if site.element.atomic_number
                else site.type_symbol or site.label,
                "position": tuple(site.fract.tolist()),
                "b_angstrom2": given.get(site.element.name, 8 * math.pi**2 * u),
                "occupancy": site.occ,
            }
        )
    values = {
        "name": structure.name,
        "space_group": structure.spacegroup.xhm(),
        "lengths_angstrom": (structure.cell.a, structure.cell.b, structure.cell.c),
        "angles_deg": (structure.cell.alpha, structure.cell.beta, structure.cell.gamma),
        "lattice_source": f"CIF {path.name}",
        "b_source": f"CIF {path.name}" + (f", given for {', '.join(sorted(given))}" if given else ""),
        "sites": sites,
    }
    return material_from_crystal(validated(Crystal, values, f"CIF {path}"))


def _structure(path: Path, block: str | None) -> gemmi.SmallStructure:
    """Read the requested block, or the only one that contains atoms."""
    try:
        document = gemmi.cif.read(str(path))
    except OSError as error:
        raise PhysicsError(f"cannot read CIF {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise PhysicsError(f"{path} is not a valid CIF: {error}") from error
    structures = {found.name: gemmi.make_small_structure_from_block(found) for found in document}
    with_atoms = {name: structure for name, structure in structures.items() if len(structure.sites)}
    if not with_atoms:
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

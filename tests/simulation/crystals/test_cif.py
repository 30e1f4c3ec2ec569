"""Materials from CIF files: the same crystal as shipped, and files that are rejected."""

from pathlib import Path

import numpy as np
import pytest

from qdsizer_stream.errors import ConfigurationError, PhysicsError
from qdsizer_stream.simulation.crystal import load_material, material_from_cif
from qdsizer_stream.simulation.scattering import averaged_sphere_pairs, structure_sums

CUBIC = """\
_cell_length_a 5.934(1)
_cell_length_b 5.934(1)
_cell_length_c 5.934(1)
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt 'F m -3 m'
"""

NO_SYMMETRY = CUBIC.replace("_space_group_name_H-M_alt 'F m -3 m'\n", "")

LOOP = """\
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
_atom_site_B_iso_or_equiv
"""

ROCK_SALT = "Pb1 Pb2+ 0 0 0 1 1.20\nS1 S2- 0.5 0.5 0.5 0.9 1.17\n"

WURTZITE = """\
data_wurtzite
_cell_length_a 4.299
_cell_length_b 4.299
_cell_length_c 7.010
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 120
loop_
_symmetry_equiv_pos_as_xyz
'x, y, z'
'-y, x-y, z'
'-x+y, -x, z'
'-x, -y, z+1/2'
'y, -x+y, z+1/2'
'x-y, x, z+1/2'
'-y, -x, z'
'-x+y, y, z'
'x, x-y, z'
'y, x, z+1/2'
'x-y, -y, z+1/2'
'-x, -x+y, z+1/2'
loop_
_atom_site_label
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_U_iso_or_equiv
Cd1 0.3333 0.6667 0 0.020264
Se1 0.3333 0.6667 0.3767 ?
loop_
_atom_site_aniso_label
_atom_site_aniso_U_11
_atom_site_aniso_U_22
_atom_site_aniso_U_33
_atom_site_aniso_U_12
_atom_site_aniso_U_13
_atom_site_aniso_U_23
Se1 0.012 0.012 0.021 0.006 0 0
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "crystal.cif"
    path.write_text(text, encoding="utf-8")
    return path


def test_rock_salt_with_vacancies(tmp_path: Path) -> None:
    material = material_from_cif(write(tmp_path, f"data_galena\n{CUBIC}{LOOP}{ROCK_SALT}"))
    shipped = load_material("PbS")
    assert material.name == "galena"
    assert material.lattice_source == "CIF crystal.cif"
    assert [(s.element, s.occupancy) for s in material.sites] == [("Pb", 1.0), ("S", 0.9)]
    np.testing.assert_allclose([s.b_angstrom2 for s in material.sites], [1.20, 1.17], rtol=1e-12)
    np.testing.assert_allclose(material.cell_angstrom, shipped.cell_angstrom, atol=1e-12)
    np.testing.assert_allclose(material.positions_angstrom, shipped.positions_angstrom, atol=1e-12)


def test_wurtzite_from_operations(tmp_path: Path) -> None:
    material = material_from_cif(write(tmp_path, WURTZITE))
    # U to B, and a third of the trace of the anisotropic U: 8π² · 0.020264 and 8π² · 0.015
    np.testing.assert_allclose(
        [s.b_angstrom2 for s in material.sites], [1.6, 1.6, 1.18435, 1.18435], rtol=1e-4
    )
    q = np.linspace(1, 8, 30)
    diameter = np.array([30.0])
    sums = [
        structure_sums(averaged_sphere_pairs(crystal, diameter), q)
        for crystal in (material, load_material("CdSe-wurtzite"))
    ]
    for ours, shipped in zip(*sums, strict=True):
        np.testing.assert_allclose(ours, shipped, rtol=0, atol=1e-9 * np.abs(shipped).max())


def test_given_displacements(tmp_path: Path) -> None:
    text = f"data_x\n{CUBIC}{LOOP}" + ROCK_SALT.replace("1.17", "?")
    path = write(tmp_path, text)
    assert [s.b_angstrom2 for s in material_from_cif(path).sites] == pytest.approx([1.2, 0.8])
    assert material_from_cif(path).b_source == "CIF crystal.cif, 0.8 Å² assumed for S"
    material = material_from_cif(path, b_angstrom2={"S": 0.9})
    assert [round(site.b_angstrom2, 12) for site in material.sites] == [1.2, 0.9]
    assert material.b_source == "CIF crystal.cif, given for S"
    with pytest.raises(
        PhysicsError, match=r"b_angstrom2 has \['Se'\], which CIF .* does not contain: remove them"
    ):
        material_from_cif(path, b_angstrom2={"Se": 0.8})


def test_several_blocks(tmp_path: Path) -> None:
    rock_salt = f"{CUBIC}{LOOP}{ROCK_SALT}"
    path = write(tmp_path, f"data_notes\n_journal_year 1963\ndata_a\n{rock_salt}data_b\n{rock_salt}")
    with pytest.raises(PhysicsError, match=r"CIF .* has no block None with atoms: give block as one of a, b"):
        material_from_cif(path)
    assert material_from_cif(str(path), block="b").name == "b"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("hello", PhysicsError, r"is not a valid CIF"),
        (
            f"data_x\n{CUBIC}",
            PhysicsError,
            r"contains no atoms: it must have a loop of _atom_site_fract_x, _y and _z",
        ),
        (
            f"data_x\n{CUBIC}{LOOP}Qq1 Qq 0 0 0 1 1.0\n",
            ConfigurationError,
            r"sites.0.element: .*not a chemical element",
        ),
        (
            f"data_x\n{CUBIC}{LOOP}Pb1 Pb 0 0 0 1 -1.0\n",
            PhysicsError,
            r"atom Pb1 \(line 17\) has B = -1 Å² \(U = -0.0127 Å²\): give 0 ≤ B < 20 Å²",
        ),
        (
            f"data_x\n{CUBIC}{LOOP}Pb1 Pb 0 0 0 1.5 1.0\n",
            ConfigurationError,
            r"occupancy: .*less than or equal to 1",
        ),
        (
            f"data_x\n{CUBIC}{LOOP}Pb1 Pb 0 0 0 1 25.0\n",
            PhysicsError,
            r"has B = 25 Å² .*: give 0 ≤ B < 20",
        ),
        (
            f"data_x\n{CUBIC}{LOOP}{ROCK_SALT}S2 S 0.5 0.5 0.45 1 1.0\n",
            ConfigurationError,
            r"sites .* are 0.297 Å apart: separate them by at least 0.7 Å",
        ),
        (
            f"data_x\n{CUBIC.replace('F m -3 m', 'F m -3 q')}{LOOP}{ROCK_SALT}",
            PhysicsError,
            r"contradicts itself: H-M symbol \(F m -3 q\) not found in the table; correct its space group",
        ),
        (
            f"data_x\n{CUBIC.replace('F m -3 m', 'P 63 m c')}{LOOP}{ROCK_SALT}",
            ConfigurationError,
            r"does not have the symmetry of 'P 63 m c'",
        ),
        (
            f"data_x\n{CUBIC}loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\n-x,-y,-z\n{LOOP}{ROCK_SALT}",
            PhysicsError,
            r"contradicts itself: space group from H-M symbol",
        ),
        (
            f"data_x\n{NO_SYMMETRY}{LOOP}{ROCK_SALT}",
            PhysicsError,
            r"has no known space group: give its Hermann-Mauguin symbol",
        ),
    ],
)
def test_rejected_files(tmp_path: Path, text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        material_from_cif(write(tmp_path, text))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(PhysicsError, match=r"cannot read CIF .*none.cif: .*No such file"):
        material_from_cif(tmp_path / "none.cif")


def test_an_item_without_a_value(tmp_path: Path) -> None:
    path = tmp_path / "cut.cif"
    path.write_text("data_a\n_cell_length_a 5.936\n_cell_angle_beta\n_cell_angle_gamma 90\n")
    with pytest.raises(PhysicsError, match=r"cut.cif is not a valid CIF: .*_cell_angle_beta has no value"):
        material_from_cif(path)


def test_an_impossible_angle(tmp_path: Path) -> None:
    path = tmp_path / "flat.cif"
    path.write_text(
        "data_a\n_cell_length_a 5.9\n_cell_length_b 5.9\n_cell_length_c 5.9\n_cell_angle_alpha 90\n"
        "_cell_angle_beta 0\n_cell_angle_gamma 90\nloop_\n_atom_site_label\n_atom_site_fract_x\n"
        "_atom_site_fract_y\n_atom_site_fract_z\nPb 0 0 0\n"
    )
    with pytest.raises(PhysicsError, match=r"flat.cif is not a valid CIF: Impossible angle"):
        material_from_cif(path)

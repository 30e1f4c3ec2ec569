"""CIF files as databases hold them: eleven crystals from published constants, and what is refused."""

import math
from pathlib import Path

import gemmi
import numpy as np
import pytest

from qdsizer_stream.errors import ConfigurationError, PhysicsError
from qdsizer_stream.simulation import (
    crystal_from_cif,
    form_factors,
    load_material,
    material_from_cif,
    material_sha256,
    neighbours,
    read_crystal,
    reflections,
)

ATOMS = """\
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
"""


def cell(a: str, c: str | None = None, gamma: int = 90) -> str:
    return (
        f"data_crystal\n_cell_length_a {a}\n_cell_length_b {a}\n_cell_length_c {c or a}\n"
        f"_cell_angle_alpha 90\n_cell_angle_beta 90\n_cell_angle_gamma {gamma}\n"
    )


def operations(symbol: str) -> str:
    group = gemmi.find_spacegroup_by_name(symbol)
    assert group is not None
    lines = "\n".join(f"{i + 1} '{op.triplet()}'" for i, op in enumerate(group.operations()))
    return f"loop_\n_space_group_symop_id\n_space_group_symop_operation_xyz\n{lines}\n"


FILES = {
    "Au": cell("4.0782(2)") + "_symmetry_space_group_name_H-M 'Fm-3m'\n" + ATOMS + "Au1 Au 0 0 0\n",
    "Ag": cell("4.0862") + "_symmetry_Int_Tables_number 225\n" + ATOMS + "Ag1 Ag0+ 0 0 0\n",
    "Pt": cell("3.9231") + "_symmetry_space_group_name_H-M 'F m 3 m'\n" + ATOMS + "Pt Pt 0. 0. 0.\n",
    "Fe3O4": cell("8.396(1)")
    + "_symmetry_space_group_name_H-M 'F d -3 m Z'\n"
    + ATOMS
    + "_atom_site_B_iso_or_equiv\n_atom_site_attached_hydrogens\n"
    + "Fe1 Fe2.67+ 0.125 0.125 0.125 0.5(1) 0\nFe2 Fe3+ 0.5 0.5 0.5 0.56 0\n"
    + "O1 O2- 0.2549(1) 0.2549 0.2549 . 0\n",
    "TiO2": cell("3.7842", "9.5146")
    + "_space_group_name_H-M_alt 'I 41/a m d'\n"
    + ATOMS
    + "_atom_site_U_iso_or_equiv\nTi1 Ti4+ 0 0 0 0.006\nO1 O2- 0 0 0.2081(2) 0.008\n",
    "ZnO": cell("3.2498", "5.2066", 120)
    + operations("P 63 m c")
    + ATOMS
    + "Zn1 Zn2+ 0.3333 0.6667 0\nO1 O2- 0.3333 0.6667 0.3819(1)\n",
    "CeO2": cell("5.4113")
    + "_symmetry_space_group_name_H-M 'F m -3 m'\n_symmetry_Int_Tables_number 225\n"
    + operations("F m -3 m")
    + ATOMS
    + "_atom_site_occupancy\n_atom_site_U_iso_or_equiv\nCe1 Ce4+ 0 0 0 1 0.004\n"
    + "O1 O2- 0.25 0.25 0.25 ? ?\n",
    "Cu1.8S": cell("5.570")
    + "_symmetry_space_group_name_H-M 'F m -3 m'\n"
    + ATOMS
    + "_atom_site_occupancy\nS1 S2- 0 0 0 1.\nCu1 Cu1+ 0.25 0.25 0.25 0.9(1)\n",
    "CsPbI3": cell("6.2894")
    + "_symmetry_space_group_name_H-M 'P m -3 m'\n"
    + ATOMS
    + "_atom_site_B_iso_or_equiv\nCs1 Cs1+ 0.5 0.5 0.5 ?\nPb1 Pb2+ 0 0 0 2.2(3)\nI1 I1- 0.5 0 0 3.1\n",
    "InP": cell("5.8687")
    + "_symmetry_space_group_name_Hall 'F -4 2 3'\n"
    + ATOMS
    + "In1 In3+ 0 0 0\nP1 P3- 0.25 0.25 0.25\n",
    "CuInS2": cell("5.523", "11.141")
    + "_space_group_name_H-M_alt 'I -4 2 d'\n"
    + ATOMS
    + "_atom_site_occupancy\n_atom_site_disorder_group\n"
    + "Cu1 Cu+ 0 0 0 0.95 1\nIn1 In3+ 0 0 0.5 0.95 1\nCu2 Cu+ 0 0 0.5 0.05 2\nIn2 In3+ 0 0 0 0.05 2\n"
    + "S1 S2- 0.2295(4) 0.25 0.125 1 .\n",
}

# Density, g/cm³, and the shortest distance between different kinds of atoms, Å, of handbooks: CRC Handbook of
# Chemistry and Physics; Wyckoff, Crystal Structures; Cu2-xS: 4 (1.8 Cu + S) in 5.57 Å cubed.
EXPECTED = {
    "Au": (19.3, "Au", "Au", 2.884, 12),
    "Ag": (10.5, "Ag", "Ag", 2.889, 12),
    "Pt": (21.45, "Pt", "Pt", 2.774, 12),
    "Fe3O4": (5.20, "Fe", "O", 1.889, 4 / 3),
    "TiO2": (3.89, "O", "Ti", 1.934, 2),
    "ZnO": (5.67, "O", "Zn", 1.974, 3),
    "CeO2": (7.22, "Ce", "O", 2.343, 8),
    "Cu1.8S": (5.63, "Cu", "S", 2.412, 4),
    "CsPbI3": (4.81, "I", "Pb", 3.145, 2),
    "InP": (4.79, "In", "P", 2.541, 4),
    "CuInS2": (4.74, "Cu", "S", 2.335, 3.8),
}


@pytest.fixture
def saved(tmp_path: Path):
    def save(text: str) -> Path:
        path = tmp_path / "crystal.cif"
        path.write_text(text, encoding="utf-8")
        return path

    return save


@pytest.mark.parametrize("name", FILES)
def test_published_crystals(saved, name: str) -> None:
    material = material_from_cif(saved(FILES[name]))
    density, first, second, distance, count = EXPECTED[name]
    assert material.density_g_per_cm3 == pytest.approx(density, rel=0.004)
    shell = next(shell for shell in neighbours(material) if shell.elements == (first, second))
    assert shell.distance_angstrom == pytest.approx(distance, abs=0.003)
    assert shell.count == pytest.approx(count, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "notes"),
    [
        ("Au", ["no displacement parameter for Au: B = 0.8 Å² was assumed"]),
        ("Ag", ["only the number 225 of the space group is given: 'F m -3 m' was assumed"]),
        ("Fe3O4", ["no displacement parameter for O: B", "charges of Fe, O are ignored"]),
        ("TiO2", ["'I 41/a m d' has two origins and the file does not state its own: 1 was chosen"]),
    ],
)
def test_what_is_assumed_is_noted(saved, name: str, notes: list[str]) -> None:
    crystal = crystal_from_cif(saved(FILES[name]))
    for note in notes:
        assert any(note in found for found in crystal.notes), crystal.notes
    if name == "Fe3O4":
        np.testing.assert_allclose([site.b_angstrom2 for site in crystal.sites], [0.5, 0.56, 0.8])
        assert crystal.b_source == "CIF crystal.cif, 0.8 Å² assumed for O"


def test_second_origin_of_anatase(saved) -> None:
    """Ti at (0, 1/4, 3/8) and O at (0, 1/4, 0.1669) with the second origin: the same crystal."""
    moved = (
        FILES["TiO2"].replace("Ti4+ 0 0 0 ", "Ti4+ 0 0.25 0.375 ").replace("0 0 0.2081(2)", "0 0.25 0.1669")
    )
    crystal = crystal_from_cif(saved(moved))
    assert crystal.space_group == "I 41/a m d:2"
    shells = [neighbours(material_from_cif(saved(text))) for text in (moved, FILES["TiO2"])]
    assert [s.elements for s in shells[0]] == [s.elements for s in shells[1]]
    np.testing.assert_allclose(
        *[[(s.distance_angstrom, s.count) for s in of_one] for of_one in shells], atol=1e-3
    )


def test_magnetite_lines(saved) -> None:
    """Inverse spinel: 220, 311 (strongest), 400 and 440 at a/√(h²+k²+l²); 200 is extinct."""
    lines = {line.hkl: line for line in reflections(crystal_from_cif(saved(FILES["Fe3O4"])), 5.0, 0.56)}
    assert max(lines.values(), key=lambda line: line.relative_intensity).hkl == (3, 1, 1)
    assert lines[3, 1, 1].spacing_angstrom == pytest.approx(8.396 / math.sqrt(11), abs=1e-4)
    assert lines[3, 1, 1].multiplicity == 24
    assert {(2, 2, 0), (4, 0, 0), (4, 4, 0)} <= set(lines)
    assert (2, 0, 0) not in lines


def test_gold_lines_by_hand(saved) -> None:
    """Σ|F|²/Q² of fcc: 8 f² exp(-2Bu)/3 : 6 f² exp(-2Bu)/4 for 111 and 200."""
    crystal = crystal_from_cif(saved(FILES["Au"]))
    lines = reflections(crystal, 4.0, 0.56)
    q = np.array([line.q_inv_angstrom for line in lines])
    np.testing.assert_allclose(q[:2], 2 * np.pi / 4.0782 * np.sqrt([3, 4]), rtol=1e-12)
    f = np.abs(form_factors(load_material(str(saved(FILES["Au"]))), q[:2], 0.56)[0])
    by_hand = np.array([8, 6]) * f**2 * np.exp(-2 * 0.8 * (q[:2] / (4 * np.pi)) ** 2) / q[:2] ** 2
    found = lines[1].relative_intensity / lines[0].relative_intensity
    assert found == pytest.approx(by_hand[1] / by_hand[0], rel=1e-9)


def test_a_whole_cell_listed_beside_its_symmetry(saved) -> None:
    """All four atoms of gold listed although the symmetry makes them: counted once, and said so."""
    corners = "Au2 Au 0.5 0.5 0\nAu3 Au 0.5 0 0.5\nAu4 Au 0 0.5 0.5\n"
    crystal = crystal_from_cif(saved(FILES["Au"] + corners))
    assert len(crystal.sites) == 1
    assert "atom Au2 (line 16) is an image of Au1: it was counted once" in crystal.notes
    assert material_from_cif(saved(FILES["Au"])).cell_volume_angstrom3 == pytest.approx(4.0782**3 / 4)


def test_an_unlisted_setting(saved) -> None:
    """Operations of Fm-3m about an origin at (1/12, 1/8, 1/4), which has no symbol: the same distances."""
    group = gemmi.find_spacegroup_by_name("F m -3 m")
    assert group is not None
    exact = np.array([1 / 12, 1 / 8, 1 / 4])
    triplets = [
        "'"
        + op.translated(
            np.rint((exact - np.array(op.rot) // gemmi.Op.DEN @ exact) * gemmi.Op.DEN).astype(int).tolist()
        )
        .wrap()
        .triplet()
        + "'"
        for op in group.operations()
    ]
    listed = "loop_\n_symmetry_equiv_pos_as_xyz\n" + "\n".join(triplets) + "\n"
    path = saved(cell("4.0782") + listed + ATOMS + "Au1 Au 0.0833333 0.125 0.25\n")
    crystal = crystal_from_cif(path)
    assert any("setting without a symbol" in note for note in crystal.notes)
    material = material_from_cif(path)
    assert material.density_g_per_cm3 == pytest.approx(19.3, rel=0.004)
    shell = neighbours(material)[0]
    assert (shell.count, round(shell.distance_angstrom, 3)) == (12, 2.884)
    listed = "loop_\n_symmetry_equiv_pos_as_xyz\n" + "\n".join(triplets[1:]) + "\n"
    path = saved(cell("4.0782") + listed + ATOMS + "Au1 Au 0.0833333 0.125 0.25\n")
    with pytest.raises(
        PhysicsError, match=r"lists 191 symmetry operations that are not a group: complete them"
    ):
        crystal_from_cif(path)


GOLD = FILES["Au"]
MOLECULE = (
    cell("10.0")
    + "_symmetry_space_group_name_H-M 'P 1'\n"
    + ATOMS
    + "C1 C 0 0 0\nH1 H 0.1 0 0\nO1 O 0 0.14 0\n"
)
BROKEN = operations("P 2/m").replace("'-x,y,-z'", "'-x,y+1/3,-z'")
CARTESIAN = (
    "data_x\nloop_\n_atom_site_label\n_atom_site_Cartn_x\n_atom_site_Cartn_y\n_atom_site_Cartn_z\nC1 0 0 0\n"
)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (
            "data_x\n_symmetry_space_group_name_H-M 'Fm-3m'\n" + ATOMS + "Au1 Au 0 0 0\n",
            PhysicsError,
            r"has no unit cell: give _cell_length_a, _b, _c",
        ),
        (CARTESIAN, PhysicsError, r"lists Cartesian coordinates, as of a molecule or a cluster: give the"),
        (MOLECULE, PhysicsError, r"contains only C, H, O: it describes a molecule, not an inorganic crystal"),
        (
            GOLD + "Au2 Au ? ? ?\n",
            PhysicsError,
            r"atom Au2 \(line 16\) has no position \('\?' or '\.'\): give its fractional coordinates",
        ),
        (
            GOLD.replace("_atom_site_fract_z\n", "_atom_site_fract_z\n_atom_site_B_iso_or_equiv\n").replace(
                "Au 0 0 0", "Au 0 0 0 78"
            ),
            PhysicsError,
            r"atom Au1 \(line 16\) has B = 78 Å² \(U = 0\.988 Å²\): give 0 ≤ B < 20 Å²",
        ),
        (GOLD.replace("Au1 Au", "X1 Vac"), ConfigurationError, r"sites.0.element: .*not a chemical element"),
        (
            GOLD.replace(
                "_symmetry_space_group_name_H-M 'Fm-3m'", operations("F m -3 m").replace("-x,-y,z", "x,y,-z")
            ),
            PhysicsError,
            r"contradicts itself: symops list is incorrect or incomplete",
        ),
        (
            GOLD + "".join(f"Au{i} Au 0.{i:06d} 0.{7 * i % 999983:06d} 0.5\n" for i in range(2, 5000)),
            PhysicsError,
            r"lists 4999 atoms: at most 200 in a primitive cell",
        ),
        (
            cell("30.0")
            + "_symmetry_space_group_name_H-M 'F m -3 m'\n"
            + ATOMS
            + "".join(f"Au{i} Au 0.0{i} 0.1{i} 0.2{i}\n" for i in range(1, 9)),
            PhysicsError,
            r"the primitive cell contains 384 atoms: at most 200 are supported",
        ),
    ],
    ids=["cell", "cartesian", "molecule", "position", "b", "element", "operations", "listed", "symmetry"],
)
def test_refused_files(saved, text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        material_from_cif(saved(text))


@pytest.mark.slow
def test_a_million_atoms_are_refused_soon(saved) -> None:
    rows = "".join(f"A{i} Au 0.{i:06d} 0.5 0.5\n" for i in range(1_000_000))
    with pytest.raises(PhysicsError, match=r"lists 1000000 atoms: at most 200 .* give the unit cell"):
        material_from_cif(saved(cell("400") + "_symmetry_space_group_name_H-M 'P 1'\n" + ATOMS + rows))


def test_elements_without_dispersion_corrections(saved) -> None:
    plutonium = material_from_cif(saved(GOLD.replace("Au", "Pu")))
    with pytest.raises(PhysicsError, match=r"Pu \(atomic number 94\) of crystal has no dispersion"):
        form_factors(plutonium, np.array([1.0]), 0.56)


def test_materials_by_path(saved, tmp_path: Path) -> None:
    path = saved(GOLD)
    assert load_material(str(path)) == material_from_cif(path)
    assert len(material_sha256(str(path))) == 64
    assert material_sha256(str(path)) != material_sha256("PbS")
    with pytest.raises(PhysicsError, match=r"cannot read material .*none.cif: No such file"):
        material_sha256(str(tmp_path / "none.cif"))
    with pytest.raises(PhysicsError, match=r"material 'Au' is unknown: .* or give the path of a CIF or TOML"):
        read_crystal("Au")

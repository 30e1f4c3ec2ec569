"""``qdsizer-stream materials``, and recipes with a material of their own."""

import json
from pathlib import Path

import pytest

from qdsizer_stream.simulation import load_material, load_recipe, material_names

GOLD = """\
data_gold
_cell_length_a 4.0782(2)
_cell_length_b 4.0782(2)
_cell_length_c 4.0782(2)
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'F m -3 m'
loop_
_atom_site_label
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Au1 0 0 0
"""

RECIPE = """
name = "gold"
material = "crystals/Au.cif"
wavelength_angstrom = 0.56
cut = "node"
n_clusters = 8
weighting = "number"
mean_diameters_nm = [2.0, 2.5]
dispersions = [0.1]
strain_first = 0.0
strain_last = 0.0
n_strains = 1
compton = true
b_angstrom2 = { Au = 0.6 }
grid = { q_first_inv_angstrom = 1.0, q_step_inv_angstrom = 0.05, n_points = 200 }
"""


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    folder = tmp_path / "crystals"
    folder.mkdir()
    path = folder / "Au.cif"
    path.write_text(GOLD)
    return path


def test_from_cif_writes_the_same_crystal(run, gold: Path) -> None:
    code, out, err = run("materials", "from-cif", gold, "--b", "Au=0.62")
    assert code == 0, err
    assert "19.288 g/cm³" in out
    assert "Au–Au │        2.884 │         12" in out
    assert "1 1 1 │  2.6685 │ 2.3545 │            8 │ 100.0%" in out
    written = load_material(str(gold.with_suffix(".toml")))
    assert [site.b_angstrom2 for site in written.sites] == [0.62]
    assert written.with_b({"Au": 0.8}).cell == load_material(str(gold)).cell


def test_show_as_json(run, gold: Path) -> None:
    code, out, _ = run("materials", "show", gold, "--json")
    shown = json.loads(out)
    assert code == 0
    assert shown["density_g_per_cm3"] == pytest.approx(19.288, abs=1e-3)
    assert shown["notes"] == ["no displacement parameter for Au: B = 0.8 Å² was assumed"]
    assert shown["neighbours"][0]["count"] == 12
    assert [line["hkl"] for line in shown["reflections"][:3]] == [[1, 1, 1], [2, 0, 0], [2, 2, 0]]


def test_list_with_a_folder(run, gold: Path) -> None:
    (gold.parent / "bad.cif").write_text("data_x\n")
    (gold.parent / "settings.toml").write_text("[sizing]\n")
    code, out, _ = run("materials", "list", "--folder", gold.parent, "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert code == 0
    assert len(rows) == len(material_names()) + 2
    assert rows[str(gold)]["material"] == "gold"
    assert "contains no atoms" in rows[str(gold.parent / "bad.cif")]["error"]


@pytest.mark.slow
def test_picture(run, gold: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = gold.with_suffix(".png")
    code, _, err = run("materials", "show", gold, "--preview", picture)
    assert (code, picture.read_bytes()[:4]) == (0, b"\x89PNG")
    assert f"{picture}: patterns of" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("from-cif", "none.cif"), "cannot read CIF none.cif"),
        (("from-cif", "none.cif", "--b", "Au"), "'Au' is not ELEMENT=B"),
        (("show", "PbO"), "material 'PbO' is unknown"),
        (("list", "--folder", "nowhere"), "folder nowhere does not exist"),
        (("show", "PbS", "--wavelength", "-1"), "wavelength"),
    ],
)
def test_errors(run, arguments: tuple[str, ...], message: str) -> None:
    code, _, err = run("materials", *arguments)
    assert code != 0
    assert message in err


def test_a_recipe_names_a_file_beside_it(gold: Path, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    recipe = load_recipe(str(path))
    assert recipe.material == str(gold)
    assert recipe.crystal == load_material(str(gold)).with_b({"Au": 0.6})

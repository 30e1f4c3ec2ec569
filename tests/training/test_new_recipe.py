"""Recipes made for any crystal: valid, drawn from, and as those that were written by hand."""

import math
import tomllib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'qdsizer-stream[train]'")

from qdsizer_stream.errors import ConfigurationError, PhysicsError
from qdsizer_stream.simulation.frames import draw_structure
from qdsizer_stream.training import SizeRecipe, load_training_recipe, new_recipe, new_recipe_text

GOLD = """\
data_Au
_symmetry_space_group_name_H-M 'F m -3 m'
_cell_length_a 4.0786
_cell_length_b 4.0786
_cell_length_c 4.0786
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_U_iso_or_equiv
Au Au 0 0 0 0.0076
"""

ANION_FIRST = """\
name = "SIn"
space_group = "F m -3 m"
lengths_angstrom = [5.6, 5.6, 5.6]
lattice_source = "invented"
b_source = "invented"
diameter_range_nm = [1.5, 12.0]
sites = [
    { element = "S", position = [0.0, 0.0, 0.0], b_angstrom2 = 1.0 },
    { element = "In", position = [0.5, 0.5, 0.5], b_angstrom2 = 1.0 },
]
"""


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    path = tmp_path / "Au.cif"
    path.write_text(GOLD)
    return path


def by_hand(name: str) -> SizeRecipe:
    recipe = load_training_recipe(name)
    assert isinstance(recipe, SizeRecipe)
    return recipe


@pytest.mark.slow
@pytest.mark.parametrize(
    "material", ["PbSe", "CdSe-zincblende", "InP", "CdSe-wurtzite", "CsPbBr3-cubic", "Au.cif"]
)
def test_the_recipe_of_a_crystal_is_valid_and_structures_are_drawn_from_it(material: str, gold: Path) -> None:
    recipe = new_recipe(str(gold) if material == gold.name else material)
    for part in (recipe.generator, recipe.held_out):
        ranges = part.structures.model_copy(update={"max_cluster_nm": 4.0})
        for seed in range(3):
            rng, more = np.random.default_rng(seed), np.random.default_rng(seed + 100)
            table = draw_structure(ranges, rng, (0.96, 5.0), 0.01, 0.3, more=more, disordered=True)
            assert all(np.isfinite(sums).all() for sums in table.sums)
            assert 1.0 < table.sizes_nm[-1] < 4.2


def test_what_follows_from_the_crystal_is_as_in_the_recipes_that_were_written_by_hand() -> None:
    for material, name, also in (
        ("PbSe", "pbse", ["size_range_nm"]),
        ("CdSe-zincblende", "cdse", []),
    ):
        found, known = new_recipe(material), by_hand(name)
        for key in also:
            assert getattr(found, key) == getattr(known, key)
        for mine, theirs in ((found.generator, known.generator), (found.held_out, known.held_out)):
            same = {"max_cluster_nm"} if name == "cdse" else set()  # of dots up to 8 nm, here up to 10
            assert mine.structures.model_dump(exclude=same) == theirs.structures.model_dump(exclude=same)
            for key in (
                "distributions",
                "resolution",
                "sources",
                "strain",
                "known_solvents",
                "counts_per_bin",
            ):
                assert getattr(mine, key) == getattr(theirs, key)
            assert mine.q_high_inv_angstrom == theirs.q_high_inv_angstrom
            assert mine.q_low_inv_angstrom == pytest.approx(theirs.q_low_inv_angstrom, abs=0.16)
            assert mine.b_angstrom2[0] <= theirs.b_angstrom2[0] * 1.03
            assert mine.b_angstrom2[1] >= theirs.b_angstrom2[1]
        assert found.templates is not None
        assert known.templates is not None
        assert found.templates.reversal_probabilities == known.templates.reversal_probabilities
        assert found.templates.correlated_angstrom2 == pytest.approx(
            known.templates.correlated_angstrom2, abs=0.03
        )
        assert found.thresholds.min_q_high_inv_angstrom == known.thresholds.min_q_high_inv_angstrom


def test_gold_has_no_anion_and_its_frames_hold_its_first_reflections(gold: Path) -> None:
    recipe = new_recipe(str(gold))
    first, second = (2 * math.pi / 4.0786 * math.sqrt(n) for n in (3, 4))  # 111 and 200
    low, high = recipe.generator.q_low_inv_angstrom[1], recipe.generator.q_high_inv_angstrom[0]
    assert first - 0.21 < low <= first - 0.15
    assert high == pytest.approx(second + 0.3, abs=0.06)
    assert recipe.thresholds.max_q_low_inv_angstrom == low
    assert recipe.thresholds.min_q_high_inv_angstrom == high
    structures = recipe.generator.structures
    assert (structures.occupancy, structures.poor_elements, structures.twinned) == ({}, (), None)
    assert recipe.generator.b_angstrom2 == pytest.approx((0.45 * 0.6, 2.7 * 0.6), rel=0.02)
    assert recipe.generator.b_ratio == (1.0, 1.0)
    assert recipe.generator.by_product_materials == ("ice",)


def test_each_bromine_between_two_lead_may_leave_the_surface() -> None:
    structures = new_recipe("CsPbBr3-cubic").generator.structures
    assert structures.poor_elements == ("Br",)
    assert structures.min_coordination == (0, 1, 1, 1)


def test_wurtzite_is_the_other_end_of_the_stacking_and_has_no_cubic_axes() -> None:
    recipe = new_recipe("CdSe-wurtzite")
    structures = recipe.generator.structures
    assert structures.reversal_probability == (0.0, 0.98)
    assert recipe.templates is not None
    assert recipe.templates.reversal_probabilities == (0.0, 0.5, 0.8)
    assert (structures.twinned, structures.strain_axes, structures.textured) == (None, None, 0.0)
    assert structures.strain_along == (0.0, 0.0)


def test_sizes_stay_counted_in_atoms_that_a_metal_rich_surface_keeps(tmp_path: Path) -> None:
    (tmp_path / "anion-first.toml").write_text(ANION_FIRST)
    assert new_recipe(str(tmp_path / "anion-first.toml")).generator.structures.poor_elements == ()
    assert "List a metal first" in new_recipe_text(str(tmp_path / "anion-first.toml"))


def test_the_crystal_is_found_from_the_folder_of_the_recipe(gold: Path, tmp_path: Path) -> None:
    folder = tmp_path / "recipes"
    folder.mkdir()
    text = new_recipe_text(str(gold), folder)
    assert tomllib.loads(text)["model"]["generator"]["structures"]["material"] == "../Au.cif"
    (folder / "gold.toml").write_text(text)
    recipe = load_training_recipe(folder / "gold.toml")
    assert isinstance(recipe, SizeRecipe)
    assert Path(recipe.generator.structures.material).samefile(gold)


def test_a_recipe_and_its_file_are_one_training(
    gold: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint belongs to the hash of the recipe: either command continues the other."""
    monkeypatch.chdir(tmp_path)
    Path("gold.toml").write_text(new_recipe_text("Au.cif"))
    assert load_training_recipe("gold.toml").sha256 == new_recipe("Au.cif").sha256


def test_dots_of_a_size_that_cannot_be_trained(tmp_path: Path) -> None:
    large = ANION_FIRST.replace("[1.5, 12.0]", "[15.0, 30.0]")
    (tmp_path / "large.toml").write_text(large)
    with pytest.raises(ConfigurationError, match=r"diameter_range_nm is 15 to 30, .* 1\.8 to 11 nm: give"):
        new_recipe_text(str(tmp_path / "large.toml"))


def test_an_unknown_material() -> None:
    with pytest.raises(PhysicsError, match="material 'PbX' is unknown: choose from CdS-wurtzite, "):
        new_recipe_text("PbX")

import numpy as np
import pytest
from pydantic import ValidationError

pytest.importorskip("torch", reason="torch is not installed: pip install 'qdsizer-stream[train]'")

from qdsizer_stream.simulation import Library, LibraryRecipe, load_recipe, load_solvent, simulate
from qdsizer_stream.training import PaperAugmentation, augment, load_training_recipe, split_by_parent
from qdsizer_stream.training._networks import PaperNetwork


@pytest.fixture(scope="module")
def library() -> Library:
    small = {
        "n_clusters": 8,
        "mean_diameters_nm": (2.0, 2.5),
        "n_strains": 2,
        "grid": {"q_first_inv_angstrom": 0.99, "q_step_inv_angstrom": 0.05, "n_points": 280},
    }
    return simulate(LibraryRecipe.model_validate({**load_recipe("paper").model_dump(), **small}))


AUGMENTATION = PaperAugmentation(
    solvents=("toluene", "hexane"), area_fractions=(1.0, 0.15), counts_per_point=(1e6, 100.0)
)


def test_every_parent_is_seen_in_every_version(library: Library) -> None:
    patterns = augment(library, AUGMENTATION, seed=0)
    assert patterns.vectors.shape == (16 * 8, 280)
    np.testing.assert_array_equal(np.bincount(patterns.parent), np.full(16, 8))
    np.testing.assert_array_equal(
        patterns.classes_nm[patterns.class_index], library.nominal_mean_nm[patterns.parent]
    )
    np.testing.assert_allclose(patterns.vectors.mean(axis=1), 1, rtol=1e-5)


def test_versions_are_mixed_and_counted_as_asked(library: Library) -> None:
    vectors = augment(library, AUGMENTATION, seed=0).vectors.reshape(2, 2, 2, 16, 280)
    dots = library.intensity / library.intensity.mean(axis=1, keepdims=True)
    hexane = load_solvent("hexane").intensity(library.q_inv_angstrom, 0.56)
    expected = 0.15 * dots + 0.85 * hexane / hexane.mean()
    for counts, noisy in zip((1e6, 100.0), vectors[1, 1], strict=True):
        chi2 = np.mean((noisy - expected) ** 2 / (expected / counts))
        assert chi2 == pytest.approx(1, abs=0.1)


def test_patterns_drawn_anew_are_of_the_same_dots_and_solvents(library: Library) -> None:
    patterns = augment(library, AUGMENTATION, seed=0)
    rng = np.random.default_rng(1)
    rows = rng.permutation(len(patterns.vectors))
    again = patterns.drawn_anew(rows, (0.15, 0.15), rng)
    kept = rows // (16 * 2) % 2 == 1  # those whose area fraction was 0.15 before
    first = patterns.vectors[rows]
    assert not np.any(np.all(again == first, axis=1))
    counts = np.array(AUGMENTATION.counts_per_point)[rows // 16 % 2][:, None]
    # Two draws differ by twice the variance of one.
    chi2 = np.mean((again - first) ** 2 / (again + first) * counts, axis=1)
    np.testing.assert_allclose(chi2[kept], 1, atol=0.4)
    assert np.mean(chi2[kept]) == pytest.approx(1, abs=0.05)
    assert np.all(chi2[~kept & (counts[:, 0] > 1e5)] > 10)


def test_shares_are_drawn_within_their_range(library: Library) -> None:
    patterns = augment(library, AUGMENTATION, seed=0)
    rows = np.repeat(np.flatnonzero(np.arange(len(patterns.vectors)) // 16 % 2 == 0), 8)  # many photons
    again = patterns.drawn_anew(rows, (0.04, 0.4), np.random.default_rng(2))
    solvent, _, _, parent = np.unravel_index(rows, patterns.shape)
    liquids = patterns.solvents / patterns.solvents.mean(axis=1, keepdims=True)
    beyond = patterns.dots / patterns.dots.mean(axis=1, keepdims=True)
    along = beyond[parent] - liquids[solvent]
    shares = np.sum((again - liquids[solvent]) * along, axis=1) / np.sum(along**2, axis=1)
    assert np.all((shares > 0.039) & (shares < 0.41))
    assert np.mean(np.log(shares)) == pytest.approx(np.log(np.sqrt(0.04 * 0.4)), abs=0.15)


def test_some_are_drawn_in_liquids_that_nobody_measured(library: Library) -> None:
    asked = {"fresh_area_fraction": (0.15, 0.15), "random_liquid_share": 0.25}
    patterns = augment(library, AUGMENTATION.model_copy(update=asked), seed=0)
    rows = np.repeat(np.flatnonzero(np.arange(len(patterns.vectors)) // 16 % 2 == 0), 8)  # many photons
    again = patterns.drawn_anew(rows, (0.15, 0.15), np.random.default_rng(3), 0.25)
    solvent, _, _, parent = np.unravel_index(rows, patterns.shape)
    dots = patterns.dots[parent] / patterns.dots[parent].mean(axis=1, keepdims=True)
    poured = (again - 0.15 * dots) / 0.85
    known = patterns.solvents / patterns.solvents.mean(axis=1, keepdims=True)
    # 0.1 % of noise against liquids that differ by a tenth and more.
    off = np.sqrt(np.mean((poured - known[solvent]) ** 2, axis=1))
    other = off > 0.02
    assert np.mean(other) == pytest.approx(0.25, abs=0.06)
    liquids = patterns.liquids / patterns.liquids.mean(axis=1, keepdims=True)
    nearest = [np.sqrt(np.mean((one - liquids) ** 2, axis=1)).min() for one in poured[other]]
    assert max(nearest) < 0.02
    assert len({liquid.tobytes() for liquid in liquids}) == len(liquids)


def test_liquids_without_patterns_drawn_anew_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"random_liquid_share = 0\.25 is of patterns drawn anew: give"):
        PaperAugmentation(**AUGMENTATION.model_dump(exclude_none=True), random_liquid_share=0.25)


def test_the_papers_augmentation_makes_32_of_each() -> None:
    recipe = load_training_recipe("pbs-paper")
    assert recipe.kind == "paper"
    made = recipe.augmentation
    assert len(made.solvents) * len(made.area_fractions) * len(made.counts_per_point) == 32
    assert 1292 * 32 == 41_344


def test_no_parent_stands_on_two_sides() -> None:
    parent = np.tile(np.arange(50), 32)
    tested = []
    for fold in range(5):
        split = split_by_parent(parent, fold, 5, seed=3)
        sides = [set(parent[rows]) for rows in (split.train, split.validation, split.test)]
        assert sum(len(side) for side in sides) == len(set.union(*sides)) == 50
        assert [len(side) for side in sides] == [36, 4, 10]
        tested += sides[2]
    assert sorted(tested) == list(range(50))


def test_the_papers_network_has_15377_parameters() -> None:
    assert sum(parameter.numel() for parameter in PaperNetwork(17).parameters()) == 15_377

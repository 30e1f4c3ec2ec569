import numpy as np
import pytest
from pydantic import ValidationError

pytest.importorskip("torch", reason="torch is not installed: pip install 'qdsizer-stream[train]'")

from qdsizer_stream.simulation import Library, LibraryRecipe, load_recipe, load_solvent, simulate
from qdsizer_stream.training import (
    PaperAugmentation,
    PaperNetwork,
    augment,
    load_training_recipe,
    split_by_parent,
)


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


def test_versions_have_their_area_fractions_and_counts(library: Library) -> None:
    vectors = augment(library, AUGMENTATION, seed=0).vectors.reshape(2, 2, 2, 16, 280)
    dots = library.intensity / library.intensity.mean(axis=1, keepdims=True)
    hexane = load_solvent("hexane").intensity(library.q_inv_angstrom, 0.56)
    expected = 0.15 * dots + 0.85 * hexane / hexane.mean()
    for counts, noisy in zip((1e6, 100.0), vectors[1, 1], strict=True):
        chi2 = np.mean((noisy - expected) ** 2 / (expected / counts))
        assert chi2 == pytest.approx(1, abs=0.1)


def test_redrawn_patterns_have_the_same_dots_and_solvents(library: Library) -> None:
    patterns = augment(library, AUGMENTATION, seed=0)
    rng = np.random.default_rng(1)
    rows = rng.permutation(len(patterns.vectors))
    redrawn = patterns.redraw(rows, (0.15, 0.15), rng)
    kept = rows // (16 * 2) % 2 == 1  # rows whose area fraction was already 0.15
    first = patterns.vectors[rows]
    assert not np.any(np.all(redrawn == first, axis=1))
    counts = np.array(AUGMENTATION.counts_per_point)[rows // 16 % 2][:, None]
    # Two draws differ by twice the variance of one.
    chi2 = np.mean((redrawn - first) ** 2 / (redrawn + first) * counts, axis=1)
    np.testing.assert_allclose(chi2[kept], 1, atol=0.4)
    assert np.mean(chi2[kept]) == pytest.approx(1, abs=0.05)
    assert np.all(chi2[~kept & (counts[:, 0] > 1e5)] > 10)


def test_area_fractions_are_drawn_within_their_range(library: Library) -> None:
    patterns = augment(library, AUGMENTATION, seed=0)
    rows = np.repeat(np.flatnonzero(np.arange(len(patterns.vectors)) // 16 % 2 == 0), 8)  # many photons
    redrawn = patterns.redraw(rows, (0.04, 0.4), np.random.default_rng(2))
    solvent, _, _, parent = np.unravel_index(rows, patterns.shape)
    solvents = patterns.solvents / patterns.solvents.mean(axis=1, keepdims=True)
    dots = patterns.dots / patterns.dots.mean(axis=1, keepdims=True)
    along = dots[parent] - solvents[solvent]
    fractions = np.sum((redrawn - solvents[solvent]) * along, axis=1) / np.sum(along**2, axis=1)
    assert np.all((fractions > 0.039) & (fractions < 0.41))
    assert np.mean(np.log(fractions)) == pytest.approx(np.log(np.sqrt(0.04 * 0.4)), abs=0.15)


@pytest.mark.slow
def test_a_fraction_is_redrawn_in_random_solvents(library: Library) -> None:
    changes = {"fresh_area_fraction": (0.15, 0.15), "random_liquid_share": 0.25}
    patterns = augment(library, AUGMENTATION.model_copy(update=changes), seed=0)
    rows = np.repeat(np.flatnonzero(np.arange(len(patterns.vectors)) // 16 % 2 == 0), 8)  # many photons
    redrawn = patterns.redraw(rows, (0.15, 0.15), np.random.default_rng(3), 0.25)
    solvent, _, _, parent = np.unravel_index(rows, patterns.shape)
    dots = patterns.dots[parent] / patterns.dots[parent].mean(axis=1, keepdims=True)
    solvent_parts = (redrawn - 0.15 * dots) / 0.85
    package = patterns.solvents / patterns.solvents.mean(axis=1, keepdims=True)
    # 0.1 % of noise compared with solvents that differ by a tenth or more.
    deviation = np.sqrt(np.mean((solvent_parts - package[solvent]) ** 2, axis=1))
    is_random = deviation > 0.02
    assert np.mean(is_random) == pytest.approx(0.25, abs=0.06)
    solvents = patterns.random_solvents / patterns.random_solvents.mean(axis=1, keepdims=True)
    nearest = [np.sqrt(np.mean((one - solvents) ** 2, axis=1)).min() for one in solvent_parts[is_random]]
    assert max(nearest) < 0.02
    assert len({curve.tobytes() for curve in solvents}) == len(solvents)


def test_random_solvents_without_redrawn_patterns_are_rejected() -> None:
    with pytest.raises(
        ValidationError, match=r"random_liquid_share = 0\.25 applies to redrawn patterns: also give"
    ):
        PaperAugmentation(**AUGMENTATION.model_dump(exclude_none=True), random_liquid_share=0.25)


def test_the_papers_augmentation_makes_32_of_each() -> None:
    recipe = load_training_recipe("pbs-paper")
    assert recipe.kind == "paper"
    augmentation = recipe.augmentation
    assert (
        len(augmentation.solvents) * len(augmentation.area_fractions) * len(augmentation.counts_per_point)
        == 32
    )
    assert 1292 * 32 == 41_344


def test_every_parent_is_in_one_part() -> None:
    parent = np.tile(np.arange(50), 32)
    tested = []
    for fold in range(5):
        split = split_by_parent(parent, fold, 5, seed=3)
        parts = [set(parent[rows]) for rows in (split.train, split.validation, split.test)]
        assert sum(len(part) for part in parts) == len(set.union(*parts)) == 50
        assert [len(part) for part in parts] == [36, 4, 10]
        tested += parts[2]
    assert sorted(tested) == list(range(50))


def test_the_papers_network_has_15377_parameters() -> None:
    assert sum(parameter.numel() for parameter in PaperNetwork(17).parameters()) == 15_377

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import uniform_filter1d

pytest.importorskip("torch", reason="torch is not installed: pip install 'qdsizer-stream[train]'")

from qdsizer_stream.errors import ConfigurationError, ModelError
from qdsizer_stream.models import FittedCurves, FittedParts, PhysicsFit, RatioMisfit, Templates, load_model
from qdsizer_stream.patterns import Pattern
from qdsizer_stream.training import SizeRecipe, load_training_recipe, update_model_card
from qdsizer_stream.training.evaluation import (
    STRATUM_AXES,
    EvaluationSettings,
    Family,
    Report,
    SizedFrames,
    coverage_by_stratum,
    evaluate,
    frames_of,
    load_families,
    min_half_width_nm,
    needed_widening,
    recipe_without,
)


@pytest.fixture(scope="module")
def recipe() -> SizeRecipe:
    """Recipe of the default model, shortened to seconds: small centre-averaged dots, one structure."""
    plain = load_training_recipe("pbs").model_dump()
    for part in ("generator", "held_out"):
        small = {"max_cluster_nm": 6.0, "textured": 0.0, "centre_averaged": 1.0}
        plain[part]["structures"] |= small
        plain[part] |= {"n_structures": 1, "mean_diameter_nm": (2.0, 4.0), "dispersion": (0.05, 0.1)}
        plain[part]["sources"] = plain[part]["sources"][:1]
    short = {"name": "tiny", "steps": 8, "batch_size": 64, "calibration_frames": 64}
    return SizeRecipe.model_validate({**plain, **short})


@pytest.fixture(scope="module")
def model_path(recipe: SizeRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped network with the shortened recipe on its card."""
    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    path.write_bytes(load_model("pbs").path.read_bytes())
    update_model_card(path, name="tiny", recipe=recipe.model_dump(mode="json"), recipe_sha256=recipe.sha256)
    return path


def frames(n: int, **columns: object) -> SizedFrames:
    plain = {
        "group": np.arange(n),
        "truth_nm": np.full(n, 4.0),
        "area_fraction": np.ones(n),
        "counts_per_bin": np.full(n, 1e4),
        "q_high_inv_angstrom": np.full(n, 15.0),
        "status": np.full(n, "sized"),
        "size_nm": np.full(n, 4.0),
        "low_nm": np.full(n, 3.8),
        "high_nm": np.full(n, 4.2),
        "limit_nm": np.full(n, 0.1),
    }
    return SizedFrames(**{**plain, **columns})


def test_coverage_is_the_fraction_of_true_sizes_inside() -> None:
    low = np.where(np.arange(200) < 20, 4.1, 3.8)
    coverage, error = frames(200, low_nm=low).coverage
    assert coverage == 0.9
    assert error == pytest.approx(math.sqrt(0.9 * 0.1 / 200))


def test_correlated_frames_increase_the_error_of_the_coverage() -> None:
    """Ten groups, all frames of one group missed: the error is that of ten frames."""
    low = np.where(np.arange(200) < 20, 4.1, 3.8)
    _, error = frames(200, low_nm=low, group=np.arange(200) // 20).coverage
    assert error == pytest.approx(math.sqrt(0.9 * 0.1 / 10))


def test_full_coverage_has_an_error() -> None:
    assert frames(100).coverage == (1.0, pytest.approx(math.sqrt(0.95 * 0.05 / 100)))
    assert all(math.isnan(value) for value in frames(0).coverage)


def test_a_missing_prediction_covers_nothing() -> None:
    nothing = np.full(3, np.nan)
    assert not frames(3, size_nm=nothing, low_nm=nothing, high_nm=nothing).covered.any()


def test_widened_intervals_cover_90_percent() -> None:
    rng = np.random.default_rng(0)
    size_nm = 4.0 * np.exp(rng.normal(0, 0.1, 4000))
    some = frames(4000, size_nm=size_nm, low_nm=size_nm * np.exp(-0.05), high_nm=size_nm * np.exp(0.05))
    factor = needed_widening(some)
    assert factor == pytest.approx(1.645 * 0.1 / 0.05, rel=0.05)  # 90 % of a normal lie within 1.645
    wide = frames(
        4000,
        size_nm=size_nm,
        low_nm=size_nm * np.exp(-0.05 * factor),
        high_nm=size_nm * np.exp(0.05 * factor),
    )
    assert wide.coverage[0] == pytest.approx(0.9, abs=1e-3)
    assert needed_widening(frames(50)) == 1.0
    assert needed_widening(frames(0)) is None


def test_every_frame_is_in_one_stratum() -> None:
    rng = np.random.default_rng(1)
    some = frames(
        500,
        truth_nm=rng.uniform(1.8, 11, 500),
        area_fraction=np.where(rng.random(500) < 0.3, 1.0, rng.uniform(0.1, 0.999, 500)),
        counts_per_bin=10 ** rng.uniform(0.5, 7, 500),
        q_high_inv_angstrom=rng.uniform(2.5, 15, 500),
        low_nm=np.zeros(500),
        high_nm=np.full(500, 20.0),
    )
    coverage = coverage_by_stratum(some)
    assert coverage.shape == (4, 3, 3, 2)
    assert set(coverage[np.isfinite(coverage)]) == {1.0}
    for axis in STRATUM_AXES:
        assert len(axis.labels) == len(axis.edges) + 1
        assert set(axis.index(some)) == set(range(len(axis.labels)))
    assert {axis.labels[n] for axis in STRATUM_AXES[2:3] for n in axis.index(frames(3))} == {
        "1"
    }  # no solvent


def test_the_photons_limit_is_the_scatter_of_repeated_fits() -> None:
    """Fits of repeated counts of a frame scatter by the bound."""
    q = np.arange(1.0, 12.0, 0.01)
    means, dispersions = np.array([3.0, 3.05, 3.1]), np.array([0.06, 0.14])

    def dots(mean_nm: float, dispersion: float) -> np.ndarray:
        width = 1 / mean_nm
        peaks = sum(np.exp(-0.5 * ((q - c) / (0.4 * width)) ** 2) for c in (2.1, 3.0, 4.2, 5.4, 6.6))
        return 1 + peaks / width * np.exp(-dispersion)

    curves = np.array([dots(m, d) for m in means for d in dispersions])
    templates = Templates(
        q_inv_angstrom=q,
        mean_nm=np.repeat(means, 2),
        dispersion=np.tile(dispersions, 3),
        dots=curves,
        solvents=np.ones((1, q.size)),
        peaks_inv_angstrom=np.array([2.1, 3.0]),
    )
    truth, rng = 1e3 * dots(3.05, 0.06), np.random.default_rng(2)
    sigma = np.sqrt(truth)
    nothing = np.zeros(q.size)
    parts = FittedCurves(lambda: FittedParts(truth, nothing, nothing))
    fit = PhysicsFit(0, 1, 1e6, 1, 0, 3.05, 0, 0, RatioMisfit(0, 0), 0, 0, 1, (), parts)
    limit = min_half_width_nm(templates, Pattern.from_arrays(q, truth, sigma), fit, 3.05, 0.06)
    # The same model by explicit least squares: size, amount, dispersion, strain, B; the last three have
    # priors.
    slopes = [
        1e3 * (dots(3.1, 0.06) - dots(3.0, 0.06)) / 0.1,
        truth,
        1e3 * (dots(3.05, 0.14) - dots(3.05, 0.06)) / 0.08,
        np.gradient(truth, q) * q,
        -truth * q**2 / (8 * np.pi**2),
    ]
    design = np.block([[np.stack(slopes) / sigma, np.zeros((5, 3))[:, :3]]]).T
    design[-3:, 2:] = np.diag([1 / 0.06, 1 / 0.005, 1 / 0.8])
    found = []
    for _ in range(400):
        noise = np.append(rng.standard_normal(q.size), rng.standard_normal(3))
        found.append(np.linalg.lstsq(design, noise)[0][0])
    assert limit == pytest.approx(1.96 * np.std(found), rel=0.1)


def test_the_photons_limit_falls_with_the_square_root_of_the_photons() -> None:
    model = load_model("pbs")
    q = model.card.input.grid.centres
    row = int(np.argmin(np.abs(model.templates.mean_nm - 5.0)))
    shape = np.interp(q, model.templates.q_inv_angstrom, uniform_filter1d(model.templates.dots[row], 3))
    nothing = np.zeros(q.size)

    def limit(photons: float) -> float:
        counts = photons * shape
        parts = FittedCurves(lambda: FittedParts(counts, nothing, nothing))
        fit = PhysicsFit(0, 1, 1e6, 1, 0, 5.0, 0, 0, RatioMisfit(0, 0), 0, 0, 1, (), parts)
        return min_half_width_nm(
            model.templates, Pattern.from_arrays(q, counts, np.sqrt(counts)), fit, 5.0, 0.06
        )

    assert limit(1e5) / limit(1e7) == pytest.approx(10, rel=0.05)
    assert limit(1e6) < 0.05


def test_families_are_held_out_of_training_and_calibration() -> None:
    recipe = load_training_recipe("pbs")
    assert isinstance(recipe, SizeRecipe)
    families = {family.name: family for family in load_families()}
    cubes = recipe_without(recipe, families["cubes"], 100)
    assert cubes is not None
    assert cubes.steps == 100
    for stream in (cubes.generator, cubes.held_out):
        assert {shape.kind for shape in stream.structures.shapes}.isdisjoint({"cube"})
    assert {shape.kind for shape in frames_of(recipe, families["cubes"]).structures.shapes} == {"cube"}
    for family in families.values():
        derived = recipe_without(recipe, family, recipe.steps)
        assert derived is not None, family.name
        assert derived.generator != recipe.generator
        assert derived.thresholds == recipe.thresholds
        frames_of(recipe, family)
    hashes = {recipe_without(recipe, family, 100).sha256 for family in families.values()}
    assert len(hashes) == len(families)


def test_a_family_that_is_not_in_the_recipe(recipe: SizeRecipe) -> None:
    family = Family(name="texture", without={"structures": {"textured": 0.0}}, tested_on={})
    assert recipe_without(recipe, family, 10) is None


def test_a_family_with_all_entries_cannot_be_held_out(recipe: SizeRecipe) -> None:
    family = Family(name="spheres", drop={"sources": {}}, tested_on={})
    with pytest.raises(
        ConfigurationError,
        match="'spheres' contains all entries of sources: a model cannot be trained without it",
    ):
        recipe_without(recipe, family, 10)


@pytest.mark.slow
def test_the_intervals_suite(model_path: Path, tmp_path: Path) -> None:
    report = evaluate(str(model_path), tmp_path / "out", EvaluationSettings(suite="intervals", n_frames=4))
    assert [section.title for section in report.sections] == [
        "Intervals, training simulations",
        "Intervals, held-out simulations",
        "Intervals by stratum",
    ]
    every = report.sections[0].rows[0]
    assert every[0] == "all"
    assert 200 <= every[1] <= 256  # dots outside the size range are excluded
    assert every[3] > 0.8
    strata = report.sections[2].rows
    assert len(strata) == 72
    assert sum(row[4] for row in strata) <= every[1]
    assert (tmp_path / "out" / "intervals.png").read_bytes().startswith(b"\x89PNG")


def column(report: Report, name: str) -> list[object]:
    section = report.sections[0]
    return [row[section.columns.index(name)] for row in section.rows]


@pytest.mark.slow
def test_families_are_trained_once(recipe: SizeRecipe, model_path: Path, tmp_path: Path) -> None:
    upper = Family(
        name="B above 1.8 Å²", without={"b_angstrom2": (0.7, 1.8)}, tested_on={"b_angstrom2": (1.8, 3.2)}
    )
    absent = Family(name="texture", without={"structures": {"textured": 0.0}}, tested_on={})
    settings = EvaluationSettings(suite="families", n_frames=32, n_steps=4, families=(upper, absent))
    out = tmp_path / "out"
    empty = evaluate(str(model_path), out, settings)
    assert column(empty, "held-out family") == ["B above 1.8 Å²"]
    assert column(empty, "mean error (nm)") == [None]
    assert not (out / "trainings").exists()
    # The model with all families is already in the folder.
    complete = recipe_without(recipe, None, 4)
    (out / "trainings").mkdir()
    reference = out / "trainings" / f"tiny-{complete.sha256[:12]}.onnx"
    reference.write_bytes(model_path.read_bytes())
    training = dataclasses.replace(settings, may_train=True)
    report = evaluate(str(model_path), out, training)
    assert reference.read_bytes() == model_path.read_bytes()
    assert column(report, "trained with it (nm)")[0] < 0.5  # it is the shipped network
    kept = {file.name: file.stat().st_mtime_ns for file in (out / "trainings").iterdir()}
    assert [name.rsplit("-", 1)[0] for name in sorted(kept)] == ["tiny", "tiny-without-B-above-1-8---"]
    assert column(report, "frames")[0] <= 32
    assert column(report, "widen by, including rejected")[0] >= 1
    again = evaluate(str(model_path), out, settings)
    assert again.sections == report.sections
    assert kept == {file.name: file.stat().st_mtime_ns for file in (out / "trainings").iterdir()}


def test_a_paper_model_has_no_frame_streams(tmp_path: Path) -> None:
    for suite in ("intervals", "families"):
        with pytest.raises(
            ModelError, match="recipe of pbs-paper is of kind 'paper': give a model of kind 'size'"
        ):
            evaluate("pbs-paper", tmp_path, EvaluationSettings(suite=suite))

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.special import gammaln, logsumexp
from typer.testing import CliRunner

pytest.importorskip("torch", reason="torch is not installed: pip install 'qdsizer-stream[train]'")

from qdsizer_stream.cli import app
from qdsizer_stream.errors import ModelError
from qdsizer_stream.models import Card, load_model
from qdsizer_stream.patterns import PAPER_GRID, Axis, Pattern, paper_vector
from qdsizer_stream.simulation import (
    Library,
    LibraryRecipe,
    NegativeControl,
    area_fraction_from_weight_fraction,
    load_recipe,
    load_solvent,
    negative_controls,
    read_solvent,
    simulate,
)
from qdsizer_stream.sizing import SizeEstimate, Sizer, SizingConfig, Status
from qdsizer_stream.training import (
    PaperRecipe,
    export_model,
    fit_paper,
    load_training_recipe,
    silent,
    update_model_card,
)
from qdsizer_stream.training.evaluation import (
    PAPER_AREA_RATIO,
    PAPER_PERCENT,
    Benchmark,
    Condition,
    EvaluationSettings,
    Report,
    RobustnessRow,
    Section,
    SizedFrames,
    confidently_wrong,
    evaluate,
    evaluate_look_alikes,
    load_robustness_rows,
    most_probable_class_nm,
    patterns_of,
    robustness_cells,
    robustness_stream,
    within_class,
)

TINY_LIBRARY = {
    "n_strains": 2,
    "n_clusters": 17,
    "mean_diameters_nm": (2.0, 2.5, 3.0, 3.5, 4.0),
    "grid": {"q_first_inv_angstrom": 0.99, "q_step_inv_angstrom": 0.028, "n_points": 500},
}


@pytest.fixture(scope="module")
def library_recipe() -> LibraryRecipe:
    return LibraryRecipe.model_validate({**load_recipe("paper").model_dump(), **TINY_LIBRARY})


@pytest.fixture(scope="module")
def library(library_recipe: LibraryRecipe) -> Library:
    return simulate(library_recipe)


def benchmark_of(library: Library, counts_per_point: float | None = None) -> Benchmark:
    recipe = load_training_recipe("pbs-paper")
    assert isinstance(recipe, PaperRecipe)
    changes = {} if counts_per_point is None else {"counts_per_point": (counts_per_point,)}
    return Benchmark(library, recipe.augmentation.model_copy(update=changes))


@pytest.fixture(scope="module")
def benchmark(library: Library) -> Benchmark:
    return benchmark_of(library)


ALL = np.arange(40)
"""Parents of the tiny library."""


def test_a_sample_has_the_same_number_of_every_version(benchmark: Benchmark) -> None:
    sample = benchmark.sample(Condition(), ALL[:7], 64, seed=0)
    assert sample.counts.shape == (64, 500)  # 2 solvents, 4 dilutions, 4 count rates
    assert dict(zip(*np.unique(sample.area_fraction, return_counts=True), strict=True)) == {
        0.15: 16,
        0.37: 16,
        0.65: 16,
        1.0: 16,
    }
    assert set(sample.class_nm) <= set(benchmark.parent_class_nm[:7])
    means = np.sort(sample.counts.mean(axis=1).reshape(-1, 4, 2).mean(axis=(0, 2)))
    np.testing.assert_allclose(means, [214, 571, 2140, 14300], rtol=0.01)


@pytest.mark.slow
def test_the_limit_is_the_posterior_of_the_multinomial(library: Library) -> None:
    condition = Condition(q_high_inv_angstrom=4.4, every=3)
    faint = benchmark_of(library, 0.5)
    sample = faint.sample(condition, ALL, 40, seed=1)
    found = most_probable_class_nm(faint, condition, sample)
    classes = faint.classes_nm
    for row in range(0, 40, 5):
        n = sample.counts[row, sample.kept].astype(int)
        by_class = []
        for nm in classes:
            logs = []
            for solvent in ("toluene", "hexane"):
                for fraction in (1.0, 0.65, 0.37, 0.15):
                    for parent in np.flatnonzero(faint.parent_class_nm == nm):
                        p = faint.expected(np.array([parent]), solvent, fraction)[0, sample.kept]
                        p = p / p.sum()
                        logs.append(gammaln(n.sum() + 1) - gammaln(n + 1).sum() + np.sum(n * np.log(p)))
            by_class.append(logsumexp(logs))
        assert found[row] == classes[int(np.argmax(by_class))]


def test_the_limit_falls_with_the_photons(library: Library) -> None:
    def accuracy(counts: float) -> float:
        faint = benchmark_of(library, counts)
        sample = faint.sample(Condition(), ALL, 200, seed=2)
        return float(np.mean(most_probable_class_nm(faint, Condition(), sample) == sample.class_nm))

    assert accuracy(1e4) == 1.0
    assert 0.2 < accuracy(0.2) < 0.95
    assert accuracy(1e-3) < 0.6


@pytest.mark.parametrize("padding", ["mean", "zero"])
def test_patterns_keep_the_points_of_the_condition(
    benchmark: Benchmark, library: Library, padding: str
) -> None:
    condition = Condition(q_low_inv_angstrom=1.7, q_high_inv_angstrom=4.4, every=2, padding=padding)
    sample = benchmark.sample(condition, ALL, 32, seed=0)
    pattern = patterns_of(sample)[3]
    vector = paper_vector(pattern, library.recipe.grid)
    q = library.q_inv_angstrom
    low, high = q[sample.kept[[0, -1]]]
    assert (low, high) == (q[q >= 1.7][0], q[q >= 1.7][(q[q >= 1.7] <= 4.4)][::2][-1])
    outside = vector[(q < low - 1e-9) | (q > high + 1e-9)]
    if padding == "zero":
        np.testing.assert_allclose(outside, 0, atol=1e-6)  # a spline through zeros
    else:
        assert outside.min() > 0
        assert np.unique(outside).size == 2
    inside = vector[sample.kept]
    np.testing.assert_allclose(
        inside / inside.mean(),
        sample.counts[3, sample.kept] / sample.counts[3, sample.kept].mean(),
        rtol=1e-4,
    )


def test_the_rows_are_those_of_the_paper(benchmark: Benchmark) -> None:
    points = [PAPER_GRID.q_inv_angstrom[::every].size for every in (4, 20)]
    assert points == [1251, 251]
    fractions = [area_fraction_from_weight_fraction(p / 100, PAPER_AREA_RATIO) for p in (44, 20, 7)]
    np.testing.assert_allclose(fractions, [0.65, 0.37, 0.15], atol=0.002)
    assert len(PAPER_PERCENT) == 11
    assert PAPER_PERCENT[-1] == 2


def test_a_size_counts_as_the_nearest_class() -> None:
    classes = np.array([2.0, 2.5, 3.0])
    sizes = np.array([2.24, 2.26, 1.2, 9.0, math.nan, 2.5])
    truth = np.array([2.0, 2.0, 2.0, 3.0, 2.0, 2.5])
    np.testing.assert_array_equal(within_class(sizes, truth, classes), [True, False, True, True, False, True])


@pytest.fixture(scope="module")
def tiny_model(library_recipe: LibraryRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    plain = json.loads(library_recipe.model_dump_json(exclude_none=True))
    tables = {name: plain.pop(name) for name in ("b_angstrom2", "grid")}
    lines = [f"{key} = {json.dumps(value)}" for key, value in plain.items()]
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    (folder / "library.toml").write_text("\n".join(lines))
    plain = load_training_recipe("pbs-paper").model_dump()
    short = {
        "name": "tiny",
        "library": str(folder / "library.toml"),
        "learning_rates": (3e-3,),
        "max_epochs": 4,
    }
    recipe = PaperRecipe.model_validate({**plain, **short})
    fit = fit_paper(recipe, silent)
    # Card and templates of the shipped model, which take long to compute, with the tiny network.
    shipped = load_model("pbs-paper")
    own = {
        "name": recipe.name,
        "input": {"kind": "paper", "grid": library_recipe.grid},
        "output": {"kind": "classes", "classes_nm": tuple(fit.classes_nm)},
        "recipe": recipe.model_dump(mode="json"),
        "recipe_sha256": recipe.sha256,
    }
    card = Card.model_validate({**shipped.card.model_dump(), **own})
    references = np.random.default_rng(0).gamma(4.0, 0.25, (2, 500)).astype(np.float32)
    export_model(folder / "tiny.onnx", fit.network, card, shipped.templates, references)
    return folder / "tiny.onnx"


def rows_of(report: Report, title: str) -> dict[str, tuple[object, ...]]:
    section = next(section for section in report.sections if section.title == title)
    return {str(row[0]): row for row in section.rows}


@pytest.mark.slow
def test_the_paper_suite_keeps_its_trainings(tiny_model: Path, tmp_path: Path) -> None:
    settings = EvaluationSettings(suite="paper", n_folds=2, n_patterns=32, may_train=True)
    report = evaluate(str(tiny_model), tmp_path / "out", settings)
    kept = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "out" / "trainings").iterdir()}
    assert sorted(name.rsplit("-", 1)[0] for name in kept) == [
        "fold-2",
        "hexane-only",
        "regression",
        "toluene-only",
    ]
    full = rows_of(report, "Full range")
    assert full["mean of 2 of 5 folds"][2] == pytest.approx(
        (full["17 classes, held-out parents"][2] + full["fold 2"][2]) / 2
    )
    assert {"solvent-free (area fraction 1)", "regression (published: within 0.25 nm)"} < set(full)
    assert full["trained in toluene, tested in hexane"][1] == "~ 60"
    q_range = rows_of(report, "Q range")
    assert q_range["Qmax 2.5 Å⁻¹"][1] == "48"
    assert q_range["Qmin 1.7 Å⁻¹, zero padding"][1] == "41"
    assert len(rows_of(report, "Coarser steps")) == 20
    assert len(rows_of(report, "Concentration")) == 11
    for section in report.sections[:4]:
        for row in section.rows:
            if row[0] != "mean of 2 of 5 folds":
                assert 0 <= row[2] <= row[3] <= 1  # no classifier exceeds the limit
    confusion = np.array([row[1:] for row in rows_of(report, "Confusion matrix").values()])
    assert confusion.sum() == 64  # two folds
    assert [len(c["validation_loss"]) for c in report.curves.values()] == [4, 4, 4, 4]
    plain = json.loads((tmp_path / "out" / "report.json").read_text())
    assert plain["facts"]["model"] == "tiny"
    assert plain["sections"][0]["rows"][0]["limit %"] == full["17 classes, held-out parents"][3]
    text = (tmp_path / "out" / "report.md").read_text()
    assert "| Qmax 4.4 Å⁻¹ | > 97 |" in text
    trainings = rows_of(report, "Trainings")
    assert {name: row[1] for name, row in trainings.items()} == dict.fromkeys(report.curves, 4)
    for name in ("paper.png", "trainings.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")
    # A second evaluation trains nothing and gives the same results.
    again = evaluate(str(tiny_model), tmp_path / "out", settings)
    assert again.sections == report.sections
    assert kept == {file.name: file.stat().st_mtime_ns for file in (tmp_path / "out" / "trainings").iterdir()}


@pytest.mark.slow
def test_the_command_leaves_rows_of_missing_trainings_empty(tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    # One variant was trained separately, under another name.
    (out / "trainings").mkdir(parents=True)
    mine = out / "trainings" / "mine.onnx"
    mine.write_bytes(tiny_model.read_bytes())
    recipe = load_model(str(tiny_model)).card.recipe
    augmentation = {**recipe["augmentation"], "solvents": ["toluene"]}
    update_model_card(mine, name="mine", recipe={**recipe, "name": "mine", "augmentation": augmentation})
    command = ["evaluate", "--model", str(tiny_model), "--suite", "paper", "--patterns", "32"]
    result = CliRunner().invoke(app, [*command, "--json", "--out", str(out)])
    assert result.exit_code == 0, result.output
    plain = json.loads(result.stdout)
    full = {row["test"]: row["this model %"] for row in plain["sections"][0]["rows"]}
    assert full["fold 3"] is None
    assert full["trained in toluene, tested in hexane"] is not None
    assert full["trained in hexane, tested in toluene"] is None
    assert full["mean of 1 of 5 folds"] == full["17 classes, held-out parents"]
    assert sorted(file.name for file in out.iterdir()) == [
        "paper.png",
        "report.json",
        "report.md",
        "trainings",
    ]
    assert [file.name for file in (out / "trainings").iterdir()] == ["mine.onnx"]
    assert "| fold 3 | > 97 | – |" in (out / "report.md").read_text()


@pytest.mark.slow
def test_more_folds_than_the_recipe_has(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="n_folds = 6, but the recipe has 5 folds: give 1 to 5"):
        evaluate(str(tiny_model), tmp_path, EvaluationSettings(suite="paper", n_folds=6))


@pytest.mark.slow
def test_a_report_that_cannot_be_written(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match=r"cannot create the folder .*file: .*; choose a writable folder"):
        evaluate(str(tiny_model), tmp_path / "file", EvaluationSettings(suite="robustness"))


def test_missing_values_are_null_and_a_dash() -> None:
    section = Section("Rows", "Note.", ("what", "share %", "error (nm)"), (("a|b", 0.12345, math.nan),))
    report = Report("Title", {"model": "m"}, (section,))
    assert json.loads(report.to_json())["sections"][0]["rows"] == [
        {"what": "a|b", "share %": 0.12345, "error (nm)": None}
    ]
    assert "| a\\|b | 12.3 | – |" in report.to_markdown()


def test_every_robustness_row_has_the_material_of_the_model() -> None:
    model = load_model("pbs")
    base, rows = load_robustness_rows()
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        recipe = robustness_stream(base, row, model)
        assert recipe.structures.material == "PbS"
        assert recipe.mean_diameter_nm == (2.0, 10.0)


def test_the_cells_of_a_robustness_row() -> None:
    truth = np.linspace(2.0, 2.5, 32)
    index = np.arange(32)
    frames = SizedFrames(
        group=index // 32,
        truth_nm=truth,
        area_fraction=np.ones(32),
        counts_per_bin=np.ones(32),
        q_high_inv_angstrom=np.ones(32),
        status=np.where(index < 8, "no_crystal", "sized"),
        size_nm=np.where(index < 8, 9.0, truth + 0.1),
        low_nm=truth - 0.2 + 0.3 * (index < 12),
        high_nm=truth + 0.4,
        limit_nm=np.full(32, 0.05),
    )
    row = robustness_cells(RobustnessRow(name="small"), frames)
    name, published, sized, mean, largest, covered, half_width, limit, statuses = row
    assert (name, published, sized, statuses) == ("small", None, 0.75, "no_crystal 25.0%")
    assert mean == pytest.approx(0.1)
    assert largest == pytest.approx(0.1)
    assert covered == pytest.approx(20 / 24)
    assert half_width == pytest.approx(0.3)
    assert limit == 0.05


@pytest.mark.slow
def test_a_measured_solvent_is_a_negative_control_where_it_was_measured(tmp_path: Path) -> None:
    hexane = load_solvent("hexane")
    q = np.arange(1.2, 9.0, 0.01)
    np.savetxt(tmp_path / "mine.dat", np.column_stack([q, hexane.intensity(q, 0.56)]))
    mine = read_solvent(tmp_path / "mine.dat", 0.56, Axis.Q)
    frame = next(negative_controls("PbS", 0, 1, [mine]))
    assert frame.kind == "pure mine, measured"
    assert math.isnan(frame.size_nm)
    covered = frame.pattern.q_inv_angstrom[frame.pattern.usable]
    assert covered[0] == pytest.approx(1.2, abs=0.005)
    assert covered[-1] == pytest.approx(8.99, abs=0.005)
    assert Sizer(SizingConfig()).size(frame.pattern).status is not Status.SIZED


def test_a_row_without_sized_frames() -> None:
    nothing = np.full(4, math.nan)
    frames = SizedFrames(
        np.arange(4), np.ones(4), *[np.ones(4)] * 3, np.full(4, "low_counts"), *[nothing] * 4
    )
    assert robustness_cells(RobustnessRow(name="dark"), frames)[2:] == (0.0, *[None] * 5, "low_counts 100.0%")


@pytest.mark.parametrize(
    ("truth_nm", "status", "wrong"),
    [
        (4.0, Status.SIZED, False),
        (4.3, Status.SIZED, True),
        (math.nan, Status.SIZED, True),
        (math.nan, Status.NO_CRYSTAL, False),
        (4.3, Status.OUT_OF_RANGE, False),
    ],
)
def test_what_is_confidently_wrong(truth_nm: float, status: Status, wrong: bool) -> None:
    frame = NegativeControl("kind", Pattern.from_arrays([1.0, 2.0], [1.0, 2.0]), truth_nm)
    estimate = SizeEstimate(status=status, size_nm=4.0, size_low_nm=3.9, size_high_nm=4.2)
    assert confidently_wrong(frame, estimate) is wrong


@pytest.mark.slow
def test_other_crystals_are_counted_by_crystal() -> None:
    """EuS, whose patterns are those of PbS, is sized and counted apart."""
    section = evaluate_look_alikes(load_model("pbs"), 8, lambda *_: None, ["Au", "EuS"])
    first = section.rows[0][0]
    (name, frames, in_film, rate, in_solvent, _, _) = section.rows[-1]
    assert first == "EuS"
    assert (name, frames) == ("all but EuS", 8)
    assert in_film == in_solvent == rate == 0
    row = dict(zip(section.columns, section.rows[0], strict=True))
    assert 0 < row["sized in a film"] <= 8
    assert row["sized in a film %"] == row["sized in a film"] / row["frames"] == row["sized in a film"] / 8
    assert "out_of_domain" in str(row["rejected as"])


@pytest.mark.slow
def test_the_former_name_of_the_negative_controls_suite(tmp_path: Path) -> None:
    runner = CliRunner()
    command = ["evaluate", "--json", "--out", str(tmp_path)]
    current = runner.invoke(app, [*command, "--suite", "negative-controls", "--negative-controls", "1"])
    former = runner.invoke(app, [*command, "--suite", "hostile", "--hostile", "1"])
    assert current.exit_code == former.exit_code == 0, current.output + former.output
    sections = json.loads(current.stdout)["sections"]
    assert [section["title"] for section in sections] == ["Negative controls"]
    assert sections[0]["rows"][-1]["kind"] == "all"
    assert sections[0]["rows"][-1]["confidently wrong"] == 0
    assert json.loads(former.stdout)["sections"] == sections
    assert "hostile" not in runner.invoke(app, ["evaluate", "--help"]).output
    unknown = runner.invoke(app, [*command, "--suite", "unknown"])
    assert unknown.exit_code == 2
    assert "'unknown' is not one of paper, robustness," in unknown.output

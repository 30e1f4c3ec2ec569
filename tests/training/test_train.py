from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'qdsizer-stream[train]'")

from qdsizer_stream.errors import ConfigurationError, ModelError
from qdsizer_stream.models import GaussianOutput, load_model
from qdsizer_stream.patterns import Pattern
from qdsizer_stream.sizing import Sizer
from qdsizer_stream.training import PaperRecipe, SizeRecipe, _templates, load_training_recipe, train

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def short_recipe() -> SizeRecipe:
    """Recipe of the default model, shortened to seconds: fewer sizes, structures and steps."""
    recipe = load_training_recipe("pbs")
    assert isinstance(recipe, SizeRecipe)
    plain = recipe.model_dump()
    small = {"n_structures": 1, "mean_diameter_nm": (2.0, 4.0), "dispersion": (0.05, 0.1)}
    for part in ("generator", "held_out"):
        structures = {**plain[part]["structures"], "max_cluster_nm": 6.0, "textured": 0.0}
        plain[part] = {**plain[part], **small, "structures": structures}
    short = {"name": "short", "steps": 30, "batch_size": 64, "calibration_frames": 64}
    return SizeRecipe.model_validate({**plain, **short})


@pytest.fixture(scope="module")
def trained(short_recipe: SizeRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trained") / "short.onnx"
    train(short_recipe, path)
    return path


def test_a_training_ends_in_a_model_that_loads_and_answers(short_recipe: SizeRecipe, trained: Path) -> None:
    assert [file.name for file in trained.parent.iterdir()] == ["short.onnx"]
    model = load_model(str(trained))
    assert model.card.recipe_sha256 == short_recipe.sha256
    assert SizeRecipe.model_validate(model.card.recipe) == short_recipe
    assert model.card.training["patterns"] == 30 * 64
    assert model.card.evaluation["coverage of 95 % interval, held-out physics"] > 0.8
    q = np.linspace(1, 15, 3000)
    answer = model.answer(Pattern.from_arrays(q, 100 + 50 * np.sin(q)))
    assert answer.size_low_nm < answer.size_nm < answer.size_high_nm


def test_one_recipe_gives_one_model(short_recipe: SizeRecipe, trained: Path, tmp_path: Path) -> None:
    again = train(short_recipe, tmp_path / "again.onnx")
    pattern = Pattern.from_arrays(np.linspace(1, 15, 3000), np.full(3000, 100.0))
    assert again.answer(pattern).size_nm == pytest.approx(
        load_model(str(trained)).answer(pattern).size_nm, rel=1e-3
    )


def test_the_recipe_of_real_dots_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that it switches on, at a size that takes seconds."""
    monkeypatch.setattr(_templates, "MAX_CLUSTER_NM", 25.0)
    recipe = load_training_recipe("pbs")
    assert isinstance(recipe, SizeRecipe)
    plain = recipe.model_dump()
    for part in ("generator", "held_out"):
        structures = {**plain[part]["structures"], "max_cluster_nm": 5.0, "textured": 0.0}
        plain[part] = {
            **plain[part],
            "n_structures": 1,
            "mean_diameter_nm": (2.0, 3.5),
            "structures": structures,
        }
    short = {"name": "short", "steps": 2, "batch_size": 64, "calibration_frames": 64}
    model = train(SizeRecipe.model_validate({**plain, **short}), tmp_path / "short.onnx")
    stored = SizeRecipe.model_validate(model.card.recipe)
    assert stored.generator.resolution == recipe.generator.resolution
    assert stored.templates is not None
    assert stored.templates.correlated_angstrom2 == 1.0
    # Both means and the dispersion have their intervals, and the network listens to the instrument's width.
    assert isinstance(model.card.output, GaussianOutput)
    assert model.card.output.mass_interval is not None
    assert model.card.output.dispersion_interval is not None
    assert "coverage of 95 % interval of the mass mean, held-out physics" in model.card.evaluation
    pattern = Pattern.from_arrays(np.linspace(1, 15, 1400), 1e4 + 1e3 * np.sin(np.linspace(0, 400, 1400)))
    sharp, wide = (
        model.answer(pattern, np.full(recipe.generator.grid.n_bins, fwhm)) for fwhm in (0.002, 0.1)
    )
    assert sharp.size_nm != wide.size_nm
    assert model.answer(pattern).size_nm == sharp.size_nm
    sizer = Sizer(model=str(tmp_path / "short.onnx"))
    answers = [
        sizer.examine(pattern, resolution_inv_angstrom=np.full(sizer.bins.n_bins, fwhm)).answer
        for fwhm in (0.002, 0.1)
    ]
    for answer, expected in zip(answers, (sharp, wide), strict=True):
        assert answer is not None
        assert answer.size_nm == expected.size_nm


def test_the_papers_training_ends_in_a_classifier(tmp_path: Path) -> None:
    recipe = load_training_recipe("pbs-paper")
    assert isinstance(recipe, PaperRecipe)
    library = (Path(__file__).parents[2] / "qdsizer_stream/simulation/frames/recipes/paper.toml").read_text()
    library = library.replace("n_strains = 19", "n_strains = 1").replace("n_points = 5004", "n_points = 500")
    library = library.replace("q_step_inv_angstrom = 0.0028", "q_step_inv_angstrom = 0.028")
    (tmp_path / "library.toml").write_text(library)
    short = recipe.model_copy(
        update={"name": "short", "library": str(tmp_path / "library.toml"), "max_epochs": 2}
    )
    model = train(short, tmp_path / "short.onnx")
    assert len(model.card.output.classes_nm) == 17
    assert 0 <= model.card.evaluation["accuracy, parents never seen"] <= 1
    assert model.card.training["epochs"] == 2 * len(recipe.learning_rates)


def test_nowhere_to_write(short_recipe: SizeRecipe, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist: create it first"):
        train(short_recipe, tmp_path / "no" / "model.onnx")


def test_a_recipe_with_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[model]\nkind = "size"\nname = "mine"\nsteps = 0\n')
    with pytest.raises(ConfigurationError, match="steps: Input should be greater than or equal to 1"):
        load_training_recipe(str(tmp_path / "mine.toml"))


@pytest.mark.parametrize("name", ["pbs", "pbs-paper", "pbs-paper-cut"])
def test_the_recipes_of_shipped_models_keep_their_hashes(name: str) -> None:
    """Settings and thresholds that join later leave older recipes what they were."""
    assert load_training_recipe(name).sha256 == load_model(name).card.recipe_sha256

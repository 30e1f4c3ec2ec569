import json
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'qdsizer-stream[train]'")
nn = torch.nn

import qdsizer_stream.training
from qdsizer_stream.configuration import Config
from qdsizer_stream.errors import ModelError
from qdsizer_stream.models import load_model
from qdsizer_stream.patterns import PAPER_GRID, PaperGrid, Pattern, paper_vector
from qdsizer_stream.simulation import LibraryRecipe, load_recipe
from qdsizer_stream.training import (
    Checkpoint,
    Degradation,
    PaperFit,
    PaperNetwork,
    PaperRecipe,
    degrade,
    degrade_randomly,
    fit_paper,
    load_training_recipe,
    silent,
    train,
)

RECIPES = Path(qdsizer_stream.training.__file__).parent / "recipes"


def as_toml(config: Config, *above: str) -> str:
    """Text of the TOML file of a configuration."""
    plain = json.loads(config.model_dump_json(exclude_none=True))
    tables = {name: plain.pop(name) for name in [n for n, value in plain.items() if isinstance(value, dict)]}
    lines = [f"[{'.'.join(above)}]"] if above else []
    lines += [f"{key} = {json.dumps(value)}" for key, value in plain.items()]
    for name, table in tables.items():
        lines += [f"[{'.'.join((*above, name))}]", *(f"{k} = {json.dumps(v)}" for k, v in table.items())]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> PaperRecipe:
    """Recipe of the paper on a library of five sizes and 500 points, for three epochs per stage."""
    library = {
        "n_strains": 2,
        "n_clusters": 17,
        "mean_diameters_nm": (2.0, 2.5, 3.0, 3.5, 4.0),
        "grid": {"q_first_inv_angstrom": 0.99, "q_step_inv_angstrom": 0.028, "n_points": 500},
    }
    path = tmp_path_factory.mktemp("recipe") / "library.toml"
    path.write_text(as_toml(LibraryRecipe.model_validate({**load_recipe("paper").model_dump(), **library})))
    plain = load_training_recipe("pbs-paper").model_dump()
    short = {"name": "tiny", "library": str(path), "learning_rates": (1e-3, 1e-4), "max_epochs": 3}
    return PaperRecipe.model_validate({**plain, **short})


def degrading(recipe: PaperRecipe) -> PaperRecipe:
    degradation = Degradation(
        share=0.7,
        q_low_inv_angstrom=(1.0, 1.7),
        q_high_inv_angstrom=(2.5, 14.0),
        coarsest=4,
        padding="mean",
    )
    augmentation = recipe.augmentation.model_copy(update={"degradation": degradation})
    return recipe.model_copy(update={"augmentation": augmentation})


def positional(recipe: PaperRecipe) -> PaperRecipe:
    augmentation = degrading(recipe).augmentation.model_copy(update={"fresh_area_fraction": (0.1, 1.0)})
    return recipe.model_copy(update={"augmentation": augmentation, "n_hidden": 24})


class StoppedError(Exception):
    pass


def interrupted_after(epochs: int) -> "object":
    def report(step: str, done: int, total: int) -> None:
        nonlocal epochs
        if step.startswith("step"):
            epochs -= 1
            if epochs == 0:
                raise StoppedError

    return report


def weights(fit: PaperFit) -> dict[str, torch.Tensor]:
    return fit.network.state_dict()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["classifier", "regression", "degraded", "positional"])
def test_a_resumed_training_equals_an_uninterrupted_one(tiny: PaperRecipe, tmp_path: Path, kind: str) -> None:
    recipe = {
        "classifier": tiny,
        "regression": tiny.model_copy(update={"target": "size"}),
        "degraded": degrading(tiny),
        "positional": positional(tiny),
    }[kind]
    whole = fit_paper(recipe, silent)
    assert len(whole.history) == 6
    checkpoint = Checkpoint(tmp_path / "c", recipe.sha256)
    for epochs in (1, 3):  # within the first stage, and after the first epoch of the second
        with pytest.raises(StoppedError):
            fit_paper(recipe, interrupted_after(epochs), checkpoint)
    resumed = fit_paper(recipe, silent, checkpoint)
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(resumed)[name])
    assert resumed.history == whole.history
    assert resumed.accuracy == whole.accuracy
    again = fit_paper(recipe, interrupted_after(1), checkpoint)  # finished: no epoch is run
    assert again.history == whole.history


@pytest.mark.slow
def test_the_matrix_product_is_a_convolution() -> None:
    torch.manual_seed(0)
    network = PaperNetwork(17)
    vectors = torch.rand(5, 5004)
    x = vectors.unsqueeze(1)
    for layer, stride in zip(network.convolutions, network.STRIDES, strict=True):
        n_padding = -x.shape[-1] % stride
        x = torch.relu(layer(nn.functional.pad(x, (n_padding // 2, n_padding - n_padding // 2))))
    torch.testing.assert_close(network(vectors), network.head(x.mean(dim=-1)))


@pytest.mark.slow
@pytest.mark.parametrize("n_hidden", [None, 64], ids=["papers-network", "positional"])
def test_sizes_are_learned(tiny: PaperRecipe, n_hidden: int | None) -> None:
    quick = {"max_epochs": 25, "batch_size": 32, "learning_rates": (3e-3,), "n_hidden": n_hidden}
    fit = fit_paper(tiny.model_copy(update=quick), silent)
    assert fit.history[-1].train_loss < 0.8 * np.log(5)
    assert fit.accuracy > 0.4  # chance is 0.2


@pytest.mark.slow
def test_a_positional_network_becomes_a_model(tiny: PaperRecipe, tmp_path: Path) -> None:
    # The model file predicts one pattern as in a batch: no pattern is scaled by its batch.
    fit = fit_paper(positional(tiny), silent, Checkpoint(tmp_path / "c", "0" * 64))
    vectors = np.random.default_rng(0).gamma(9, 1 / 9, (3, 500)).astype(np.float32)
    together = fit.sizes_nm(vectors)
    np.testing.assert_array_equal(together, [fit.sizes_nm(vector[None])[0] for vector in vectors])
    model = train(positional(tiny), tmp_path / "tiny.onnx")
    assert model.card.output.kind == "classes"
    assert model.reference_error < 1e-3


@pytest.mark.slow
def test_a_regression_becomes_a_model_with_one_width(tiny: PaperRecipe, tmp_path: Path) -> None:
    model = train(
        tiny.model_copy(update={"target": "size", "name": "regression"}), tmp_path / "regression.onnx"
    )
    assert [file.name for file in tmp_path.iterdir()] == ["regression.onnx"]
    assert model.card.output.kind == "size"
    q = np.linspace(0.95, 15.1, 4000)
    answer = model.answer(Pattern.from_arrays(q, 100 + 50 * np.sin(q)))
    width = answer.size_high_nm - answer.size_low_nm
    assert width == pytest.approx(2 * model.card.output.half_width_nm)
    assert np.isnan(answer.class_nm)
    assert load_model(str(tmp_path / "regression.onnx")).sha256 == model.sha256


def test_a_checkpoint_of_another_recipe_beside_the_model_is_rejected(
    tiny: PaperRecipe, tmp_path: Path
) -> None:
    Checkpoint.beside(tmp_path / "a.onnx", "0" * 64).save({})
    with pytest.raises(ModelError, match="belongs to recipe 000000000000…"):
        train(tiny, tmp_path / "a.onnx")


@pytest.mark.slow
def test_an_interrupted_command_keeps_its_checkpoint(tiny: PaperRecipe, tmp_path: Path) -> None:
    recipe = tiny.model_copy(update={"max_epochs": 400, "patience": 400, "learning_rates": (1e-3,)})
    (tmp_path / "tiny.toml").write_text(as_toml(recipe, "model"))
    command = [sys.executable, "-c", "from qdsizer_stream.cli import main; main()"]
    command += ["train", "--recipe", str(tmp_path / "tiny.toml"), "--out", str(tmp_path / "tiny.onnx")]
    checkpoint = tmp_path / "tiny.onnx.checkpoint"
    # Background jobs of a shell ignore the interrupt, and the command would inherit that.
    interruptible = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=interruptible) as process:
        for _ in range(1200):
            if checkpoint.exists() or process.poll() is not None:
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=60)[1]
    assert process.returncode != 0
    assert f"interrupted; the same command continues from the checkpoint {checkpoint}" in output
    done = len(Checkpoint(checkpoint, recipe.sha256).load()["history"])
    assert 1 <= done < 400
    assert not (tmp_path / "tiny.onnx").exists()


@pytest.mark.parametrize("padding", ["mean", "zero"])
@pytest.mark.parametrize(
    ("first", "last", "every"), [(0, 5003, 1), (254, 5003, 1), (0, 1215, 1), (0, 5003, 4)]
)
def test_degraded_patterns_are_those_of_the_paper(first: int, last: int, every: int, padding: str) -> None:
    q = PAPER_GRID.q_inv_angstrom
    counts = np.random.default_rng(0).poisson(200 + 100 * np.sin(3 * q), (3, q.size)).astype(np.float32)
    degraded = degrade(counts, first, last, every, padding)
    kept = slice(first, last + 1, every)
    for row in range(3):
        pattern = Pattern.from_arrays(q[kept], counts[row, kept])
        expected = paper_vector(pattern).astype(np.float64)
        if padding == "zero":
            expected[(q < q[kept][0]) | (q > q[kept][-1])] = 0
            expected /= expected.mean()
        np.testing.assert_allclose(degraded[row], expected, rtol=2e-4, atol=2e-4)


def test_a_fraction_of_the_patterns_is_degraded() -> None:
    grid = PaperGrid(q_first_inv_angstrom=1.0, q_step_inv_angstrom=0.028, n_points=500)
    vectors = np.random.default_rng(0).gamma(9, 1 / 9, (640, 500)).astype(np.float32)
    degradation = Degradation(
        share=0.5, q_low_inv_angstrom=(1.2, 1.7), q_high_inv_angstrom=(2.5, 9.0), coarsest=5, padding="mean"
    )
    degraded = degrade_randomly(vectors, grid.q_inv_angstrom, degradation, np.random.default_rng(1))
    same = np.all(degraded == vectors, axis=1)
    # Half are not degraded, and one eighth of the others draws no loss.
    assert 0.4 < same.mean() < 0.75
    cut = np.all(degraded[:, -200:] == degraded[:, -1:], axis=1)
    assert 0.1 < cut.mean() < 0.4
    np.testing.assert_allclose(degraded[~same].mean(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_of_the_package_has_the_name_of_its_file(path: Path) -> None:
    assert load_training_recipe(path.stem).name == path.stem

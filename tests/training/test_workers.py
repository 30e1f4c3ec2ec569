import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'qdsizer-stream[train]'")

from qdsizer_stream.errors import ConfigurationError, ModelError, PhysicsError
from qdsizer_stream.patterns import BinGrid
from qdsizer_stream.training import (
    Checkpoint,
    ShuffledFrames,
    SizeLoss,
    SizeNetwork,
    SizeRecipe,
    check_workers,
    fit_size,
    load_training_recipe,
    silent,
    train,
)

GRID = BinGrid(q_first_inv_angstrom=0.96, q_step_inv_angstrom=0.02, n_bins=704)


@pytest.fixture(scope="module")
def recipe() -> SizeRecipe:
    """Recipe of the default model, shortened to seconds."""
    plain = load_training_recipe("pbs").model_dump()
    small = {"n_structures": 1, "mean_diameter_nm": (2.0, 4.0), "dispersion": (0.05, 0.1)}
    small |= {"by_product_materials": ()}
    for part in ("generator", "held_out"):
        structures = {**plain[part]["structures"], "max_cluster_nm": 6.0, "textured": 0.0}
        plain[part] = {**plain[part], **small, "structures": structures}
    return SizeRecipe.model_validate({**plain, "steps": 14, "batch_size": 128, "calibration_frames": 32})


def as_toml(recipe: SizeRecipe, path: Path) -> Path:
    """Write a recipe as the file of it."""
    lines: list[str] = []

    def add(table: dict[str, Any], *above: str) -> None:
        lines.append(f"[{'.'.join(above)}]")
        nested = {}
        for key, value in table.items():
            if isinstance(value, dict):
                nested[key] = value
            else:
                lines.append(f"{key} = {inline(value)}")
        for key, value in nested.items():
            add(value, *above, key)

    def inline(value: Any) -> str:
        match value:
            case bool():
                return str(value).lower()
            case str():
                return repr(value)
            case list():
                return f"[{', '.join(map(inline, value))}]"
            case dict():
                return f"{{ {', '.join(f'{key} = {inline(one)}' for key, one in value.items())} }}"
            case _:
                return repr(value)

    add(recipe.model_dump(mode="json", exclude_none=True), "model")
    path.write_text("\n".join(lines))
    return path


def weights(fit: Any) -> dict[str, Any]:
    state: dict[str, Any] = fit.network.state_dict()
    return state


def batch(n: int) -> tuple[Any, Any, Any]:
    """A fixed batch; of its first half a few frames have dots, of the second half most."""
    rng = np.random.default_rng(5)
    vectors = torch.from_numpy(rng.normal(-1, 0.2, (n, 3, GRID.n_bins)).astype(np.float32))
    vectors[:, 2] = 1.0
    targets = torch.from_numpy(rng.standard_normal((n, 4)).astype(np.float32))
    return vectors, targets, torch.arange(n) > 2 * n // 5


def gradients(worker: int | None) -> dict[str, Any]:
    """Gradients of the loss of a batch, or of the mean loss of two workers with half of it each."""
    torch.manual_seed(3)
    network = SizeNetwork(GRID, 4).eval()  # fixed statistics: frames do not depend on one another
    loss: torch.nn.Module = SizeLoss(network, reduced_precision=False)
    arrays = batch(64)
    if worker is not None:
        loss = torch.nn.parallel.DistributedDataParallel(loss)
        arrays = tuple(array[32 * worker : 32 * worker + 32] for array in arrays)
    loss(*arrays).backward()
    return {name: parameter.grad for name, parameter in network.named_parameters()}


WORK = """
import sys
from pathlib import Path
import torch
sys.path.insert(0, {folder!r})
from {module} import gradients
from qdsizer_stream.training import run_workers

def work(report):
    return gradients(torch.distributed.get_rank())

if __name__ == "__main__":
    torch.save(run_workers(work, 2), "gradients")
"""


@pytest.mark.slow
@pytest.mark.integration
def test_the_gradient_of_two_workers_is_that_of_their_batch(tmp_path: Path) -> None:
    here = Path(__file__)
    (tmp_path / "work.py").write_text(WORK.format(folder=str(here.parent), module=here.stem))
    subprocess.run([sys.executable, "work.py"], cwd=tmp_path, check=True, timeout=120)
    found = torch.load(tmp_path / "gradients", weights_only=True)
    for name, expected in gradients(None).items():
        torch.testing.assert_close(found[name], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.integration
def test_two_workers_train_as_well_as_one_process(recipe: SizeRecipe) -> None:
    """The loss falls as far, although the workers draw other frames."""
    losses: dict[int, float] = {}

    def report(what: str, done: int, total: int) -> None:
        if done == recipe.steps and what.startswith("training, loss "):
            losses[n_workers] = float(what.removeprefix("training, loss "))

    fits = {}
    for n_workers in (1, 2):
        fits[n_workers] = fit_size(recipe, report, n_workers=n_workers)
    assert losses[2] == pytest.approx(losses[1], rel=0.1)
    assert all(np.isfinite(value) for value in fits[2].evaluation.values())


@pytest.mark.slow
@pytest.mark.integration
def test_statistics_of_the_normalization_are_those_of_all_workers(recipe: SizeRecipe) -> None:
    """Their moving average, of momentum 0.1, where the weights stay what they were."""
    still = recipe.model_copy(update={"steps": 2, "learning_rate": 1e-20})
    found = weights(fit_size(still, silent, n_workers=2))
    torch.manual_seed(recipe.seed)
    network = SizeNetwork(recipe.generator.grid, 4, resolution=True)
    workers = [ShuffledFrames(still, 1, silent, worker, 2) for worker in range(2)]
    expected = torch.zeros(16)
    for _ in range(still.steps):
        drawn = torch.cat([frames.draw()[0] for frames in workers])
        with torch.no_grad():
            expected = 0.9 * expected + 0.1 * network.q_stem[0](drawn).mean(dim=(0, 2))
    torch.testing.assert_close(found["q_stem.1.running_mean"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.integration
def test_a_resumed_training_of_two_workers_is_the_uninterrupted_one(
    recipe: SizeRecipe, tmp_path: Path
) -> None:
    def interrupt(what: str, done: int, total: int) -> None:
        if what.startswith("training") and done == 10:
            raise KeyboardInterrupt

    whole = fit_size(recipe, silent, Checkpoint(tmp_path / "whole", recipe.sha256), 4, 2)
    with pytest.raises(KeyboardInterrupt):
        fit_size(recipe, interrupt, Checkpoint(tmp_path / "c", recipe.sha256), 4, 2)
    state = Checkpoint(tmp_path / "c", recipe.sha256).load()
    assert state is not None
    assert 8 <= state["step"] < recipe.steps
    with pytest.raises(ModelError, match="belongs to a training with workers = 2, this one has 1"):
        fit_size(recipe, silent, Checkpoint(tmp_path / "c", recipe.sha256))
    resumed = fit_size(recipe, silent, Checkpoint(tmp_path / "c", recipe.sha256), 4, 2)
    for name, value in weights(whole).items():
        torch.testing.assert_close(value, weights(resumed)[name], rtol=0, atol=0)
    assert resumed.evaluation == whole.evaluation


@pytest.mark.slow
@pytest.mark.integration
def test_a_killed_worker_ends_the_command(recipe: SizeRecipe, tmp_path: Path) -> None:
    path = as_toml(recipe.model_copy(update={"steps": 100000}), tmp_path / "long.toml")
    log = tmp_path / "log"
    with log.open("w") as stderr:
        command = subprocess.Popen(
            [sys.executable, "-m", "qdsizer_stream", "train", "--recipe", path, "--workers", "2"],
            cwd=tmp_path,
            stderr=stderr,
        )
    try:
        until = time.monotonic() + 120
        while "training, loss" not in log.read_text():
            assert command.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        workers = [p for p in psutil.Process(command.pid).children() if "spawn_main" in " ".join(p.cmdline())]
        assert len(workers) == 2
        os.kill(workers[1].pid, signal.SIGKILL)
        assert command.wait(30) == 1
    finally:
        command.kill()
        command.wait()
    assert "worker 2 of 2 was killed: " in log.read_text()
    assert "Traceback" not in log.read_text()
    assert not any(worker.is_running() for worker in workers)


@pytest.mark.slow
@pytest.mark.integration
def test_what_stops_a_worker_is_the_error_of_the_training(recipe: SizeRecipe) -> None:
    beyond = recipe.generator.model_copy(update={"known_solvents": ("mercury",)})
    with pytest.raises(PhysicsError, match="solvent 'mercury' is unknown: choose from"):
        fit_size(recipe.model_copy(update={"generator": beyond}), silent, n_workers=2)


@pytest.mark.slow
def test_each_worker_draws_frames_of_its_own(recipe: SizeRecipe) -> None:
    drawn = [ShuffledFrames(recipe, 1, silent, *place).draw()[0] for place in ((0, 1), (0, 2), (1, 2))]
    assert [len(vectors) for vectors in drawn] == [128, 64, 64]
    frames = {n: {frame.numpy().tobytes() for frame in vectors} for n, vectors in enumerate(drawn)}
    assert not frames[0] & frames[1]
    assert not frames[1] & frames[2]


@pytest.mark.parametrize(
    ("n_workers", "message"),
    [
        (0, "workers = 0: give 1 for a training in one process"),
        (-2, "workers = -2: give 1"),
        (3, "batch_size = 256 cannot be shared equally.*workers = 1 or 2 or 4, or a batch_size .* of 192"),
        (8, "workers = 8: batch_size = 256"),
    ],
)
def test_numbers_of_workers_that_cannot_share_a_batch(n_workers: int, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=message):
        check_workers(n_workers, 256)
    with pytest.raises(ConfigurationError, match=message):
        train(load_training_recipe("pbs"), tmp_path / "no.onnx", n_workers=n_workers)


@pytest.mark.parametrize("n_workers", [0, 2])
def test_the_papers_network_trains_in_one_process(n_workers: int, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=f"workers = {n_workers}: recipes of kind 'paper' train in one"
    ):
        train(load_training_recipe("pbs-paper"), tmp_path / "no.onnx", n_workers=n_workers)

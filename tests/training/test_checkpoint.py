import pickle
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'qdsizer-stream[train]'")

from qdsizer_stream.errors import ModelError
from qdsizer_stream.training import Checkpoint

RECIPE, ANOTHER = "a" * 64, "b" * 64


def test_no_state_before_the_first_save(tmp_path: Path) -> None:
    assert Checkpoint.beside(tmp_path / "mine.onnx", RECIPE).load() is None


@pytest.mark.slow
def test_a_state_is_restored_to_the_last_bit(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    network(torch.ones(3)).sum().backward()
    optimizer.step()
    rng = np.random.default_rng(7)
    state = {
        "epoch": 3,
        "best_loss": 0.1 + 0.2,
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "rng": rng.bit_generator.state,  # holds integers of 128 bits
        "torch_rng": torch.get_rng_state(),
        "history": [{"loss": float("inf")}],
    }
    Checkpoint.beside(tmp_path / "mine.onnx", RECIPE).save(state)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.onnx.checkpoint"]
    found = Checkpoint.beside(tmp_path / "mine.onnx", RECIPE).load()
    assert found is not None
    assert found["epoch"] == 3
    assert found["best_loss"] == 0.1 + 0.2
    assert found["rng"] == rng.bit_generator.state
    assert found["history"] == [{"loss": float("inf")}]
    assert torch.equal(found["network"]["weight"], network.weight)
    assert torch.equal(found["torch_rng"], torch.get_rng_state())
    other = torch.optim.Adam(torch.nn.Linear(3, 2).parameters(), 1.0)
    other.load_state_dict(found["optimizer"])
    assert other.param_groups[0]["lr"] == 1e-2


def test_the_checkpoint_of_another_recipe_is_rejected(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "c", RECIPE).save({"epoch": 1})
    with pytest.raises(
        ModelError, match="belongs to recipe aaaaaaaaaaaa…, this recipe is bbbbbbbbbbbb…: resume with the"
    ):
        Checkpoint(tmp_path / "c", ANOTHER).load()


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, pickle.dumps({"format": 1}, protocol=2)])
def test_another_file_is_rejected(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c").write_bytes(content)
    with pytest.raises(ModelError, match="delete it, or train with --no-resume"):
        Checkpoint(tmp_path / "c", RECIPE).load()


def test_code_in_a_checkpoint_is_not_executed(tmp_path: Path) -> None:
    class Touch:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "run",)

    torch.save({"format": "qdsizer_stream checkpoint 1", "state": Touch()}, tmp_path / "c")
    with pytest.raises(ModelError, match="is damaged or not a checkpoint"):
        Checkpoint(tmp_path / "c", RECIPE).load()
    assert not (tmp_path / "run").exists()


def test_a_truncated_checkpoint_is_rejected(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "c", RECIPE)
    checkpoint.save({"network": torch.nn.Linear(300, 20).state_dict()})
    content = checkpoint.path.read_bytes()
    for keep in (len(content) // 3, len(content) - 10):
        checkpoint.path.write_bytes(content[:keep])
        with pytest.raises(ModelError, match="is damaged or not a checkpoint"):
            checkpoint.load()


def test_a_failed_save_keeps_the_previous_state(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "c", RECIPE)
    checkpoint.save({"epoch": 1})
    with pytest.raises(AttributeError, match="pickle"):
        checkpoint.save({"epoch": lambda: 2})
    assert checkpoint.load() == {"epoch": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["c"]


def test_a_checkpoint_can_be_discarded(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "c", RECIPE)
    checkpoint.save({"epoch": 1})
    checkpoint.discard()
    checkpoint.discard()
    assert checkpoint.load() is None

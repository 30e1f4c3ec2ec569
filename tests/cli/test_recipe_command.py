"""``recipe new`` and ``train --material``."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'qdsizer-stream[train]'")

from qdsizer_stream.training import load_training_recipe

from ..conftest import Run


def test_a_recipe_is_written_with_reasons_and_never_overwritten(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("recipe", "new", "InP")
    assert result.code == 0, result.err
    assert "InP-recipe.toml: recipe for InP" in result.err
    path = tmp_path / "InP-recipe.toml"
    assert load_training_recipe(path).name == "inp"
    text = path.read_text()
    lines = text.splitlines()
    for key in ("size_range_nm", "b_angstrom2", "q_low_inv_angstrom", "occupancy", "max_cluster_nm"):
        at = next(i for i, line in enumerate(lines) if line.startswith(f"{key} = "))
        assert lines[at - 1].startswith("# "), key
    path.write_text(text.replace("steps = 8000", "steps = 9000"))
    again = run("recipe", "new", "InP")
    assert again.code == 1
    assert "InP-recipe.toml exists: give another name with --out, or move that file first" in again.err
    assert load_training_recipe(path).steps == 9000  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("recipe", "new", "PbX"), "material 'PbX' is unknown: choose from "),
        (("recipe", "new", "InP", "--out", "no/InP.toml"), "the folder no does not exist, create it"),
        (("recipe", "new", "InP", "--out", "InP.onnx"), "its name must end in .toml"),
        (("train", "--material", "PbX"), "material 'PbX' is unknown: choose from "),
        (("train", "--material", "InP", "--recipe", "pbs"), "--recipe and --material exclude each other"),
        (("train", "--material", "InP", "--workers", 3), "workers = 3: batch_size = 256 cannot be shared"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[object, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.code == 1
    assert message in result.err
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_key_is_said_at_once(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("recipe", "new", "PbSe", "--out", "mine.toml").code == 0
    recipe = Path("mine.toml")
    recipe.write_text(recipe.read_text().replace("b_ratio", "b_ration", 1))
    result = run("train", "--recipe", "mine.toml")
    assert result.code == 1
    assert "has no key 'b_ration': did you mean 'b_ratio'?" in result.err
    result = run("train", "--material", "mine.toml")
    assert result.code == 1
    assert "there is no key 'model'" in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]

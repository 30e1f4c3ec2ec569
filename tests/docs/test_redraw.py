"""Pictures and notebooks of the documentation: made with the shipped model, and notebooks that run."""

import os
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from PIL import Image

from qdsizer_stream.models import load_model

DOCS = Path(__file__).parents[2] / "docs"
PICTURES = sorted((DOCS / "images").glob("*"))
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
HASH_KEY = "qdsizer_model_sha256"


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def text(notebook: Any) -> str:
    """All that a notebook prints or shows as text."""
    return "\n".join(
        output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs(notebook)
    )


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_a_picture_was_drawn_with_the_shipped_model(path: Path) -> None:
    with Image.open(path) as picture:
        assert picture.info[HASH_KEY] == load_model("pbs").sha256, "run `make docs` to draw it again"


def test_there_are_four_notebooks() -> None:
    assert [path.stem for path in NOTEBOOKS] == [
        "archived-run",
        "my-own-material",
        "one-frame",
        "steer-a-synthesis",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_shows_outputs_of_the_shipped_model(path: Path) -> None:
    notebook = nbformat.read(path, 4)
    assert notebook.metadata[HASH_KEY] == load_model("pbs").sha256, "run `make docs` to run it again"
    assert outputs(notebook)
    assert not [output for output in outputs(notebook) if output.output_type == "error"]
    assert "/tmp/" not in text(notebook)
    assert path.stat().st_size < 600_000


SAID = {
    "archived-run": r"('nm', 'nm/min', 'angstrom')",
    "my-own-material": "mass-weighted mean 3.",
    "one-frame": ", sized",
    "steer-a-synthesis": "<Ending.REACHED: 'reached'>",
}
"""What a notebook says on every machine."""


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_it_showed(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("QDSIZER_CACHE", str(tmp_path / "cache"))
    before = nbformat.read(path, 4)
    notebook = nbformat.read(path, 4)
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    assert SAID[path.stem] in text(notebook)
    assert SAID[path.stem] in text(before)
    kinds = [sorted(output.get("data", {})) for output in outputs(notebook)]
    assert kinds == [sorted(output.get("data", {})) for output in outputs(before)]
    if path.stem != "my-own-material":
        assert any("image/png" in kind or "text/html" in kind for kind in kinds)

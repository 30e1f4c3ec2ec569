"""Benchmarks can be started: names that they import exist."""

from importlib import import_module
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'qdsizer-stream[train]'")

NAMES = sorted(path.stem for path in (Path(__file__).parents[2] / "benchmarks").glob("[a-z]*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_imports(name: str) -> None:
    import_module(f"benchmarks.{name}")

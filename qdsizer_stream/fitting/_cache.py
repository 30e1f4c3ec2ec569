"""Templates kept in the user's cache folder, so that the second fit of a material begins at once."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ..models.fit import FitTemplates
from ..simulation import Material
from ._simulate import Progress, TemplateRecipe, simulate_fit_templates

__all__ = ["CACHE_VARIABLE", "cache_folder", "cached_arrays", "cached_templates", "replace_file"]

CACHE_VARIABLE = "QDSIZER_CACHE"
"""Environment variable that names another cache folder."""

FORMAT = 2
"""Version of the cached files: one of another version is never read."""


def cache_folder() -> Path:
    """Folder of cached files.

    Returns
    -------
    The folder in the environment variable QDSIZER_CACHE, or `qdsizer-stream` in XDG_CACHE_HOME or ~/.cache.
    It need not exist.
    """
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "qdsizer-stream"


def cached_templates(
    material: Material, recipe: TemplateRecipe, progress: Progress = lambda *_: None
) -> tuple[FitTemplates, str]:
    """Load the templates of a material from the cache, or simulate them and store them there.

    Parameters
    ----------
    material
        Crystal.
    recipe
        Ranges of the templates.
    progress
        Called at each step of a simulation.

    Returns
    -------
    The templates, and why they could not be stored, one line; empty where they were.

    Raises
    ------
    PhysicsError
        As `simulate_fit_templates`.
    """
    arrays, trouble = cached_arrays(
        "templates",
        {"material": material.model_dump(mode="json"), "recipe": recipe.model_dump()},
        lambda: simulate_fit_templates(material, recipe, progress).to_arrays(),
    )
    return FitTemplates.from_arrays(arrays), trouble


def cached_arrays(
    kind: str, described: Mapping[str, Any], compute: Callable[[], Mapping[str, NDArray[Any]]]
) -> tuple[dict[str, NDArray[Any]], str]:
    """Load arrays from the cache, or compute them and store them there.

    Parameters
    ----------
    kind
        Beginning of the name of the file.
    described
        All that the arrays depend on, for JSON.
    compute
        Computes the arrays by name.

    Returns
    -------
    The arrays, and why they could not be stored, one line; empty where they were.
    """
    text = json.dumps({"format": FORMAT, **described}, sort_keys=True)
    path = cache_folder() / f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:32]}.npz"
    try:
        # The stream is closed here: a damaged archive leaves its own open.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}, ""
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        pass  # absent, or cut short by a full disk: compute them again
    arrays = dict(compute())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path) as temporary:
            np.savez(temporary, allow_pickle=False, **arrays)
    except OSError as error:
        return arrays, (
            f"the templates could not be stored in {path.parent} ({error.strerror or error}) and are "
            f"simulated each time: make room there, or name another folder in {CACHE_VARIABLE}"
        )
    return arrays, ""


class replace_file:  # noqa: N801  (used as a function)
    """Write a file under another name and rename it when it is whole, so that no reader sees half of it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)

    def __enter__(self) -> Path:
        number, name = tempfile.mkstemp(dir=self._path.parent, prefix=".", suffix=self._path.suffix)
        os.close(number)
        self._temporary = Path(name)
        return self._temporary

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            mask = os.umask(0)
            os.umask(mask)
            self._temporary.chmod(0o666 & ~mask)  # temporary files are readable by their owner alone
            self._temporary.replace(self._path)
        else:
            self._temporary.unlink(missing_ok=True)

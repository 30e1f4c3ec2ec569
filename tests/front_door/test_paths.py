"""Paths are accepted as text and as path objects by every public function."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import qdsizer_stream
from qdsizer_stream.archive import read_documents
from qdsizer_stream.errors import LibraryError, ModelError
from qdsizer_stream.models import write_crystal_curves
from qdsizer_stream.simulation import read_library

PACKAGES = [
    module.name
    for module in pkgutil.walk_packages(qdsizer_stream.__path__, "qdsizer_stream.")
    if "._" not in module.name and not module.name.endswith("__main__")
]


def functions(package: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Public functions of a package, and the constructors of its public classes that are no records."""
    try:
        module = importlib.import_module(package)
    except ModuleNotFoundError as error:
        pytest.skip(f"{error.name} is not installed")
    for name in getattr(module, "__all__", ()):
        found = getattr(module, name)
        if inspect.isfunction(found):
            yield name, found
        elif (
            inspect.isclass(found)
            and "__init__" in vars(found)
            and not hasattr(found, "__dataclass_fields__")
        ):
            yield name, vars(found)["__init__"]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_public_function_wants_path_objects(package: str) -> None:
    for name, function in functions(package):
        for parameter in inspect.signature(function).parameters.values():
            annotation = str(parameter.annotation)
            assert "pathlib.Path" not in annotation, (
                f"{package}.{name} has {parameter}: accept str | os.PathLike"
            )


def test_paths_as_text(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="does not exist: build it with"):
        read_library(str(tmp_path / "none.h5"))
    with pytest.raises(ModelError, match=r"give a name that ends in \.npz"):
        write_crystal_curves(str(tmp_path / "curves.txt"), ())
    empty = tmp_path / "empty.journal"
    empty.touch()
    assert list(read_documents(str(empty))) == []

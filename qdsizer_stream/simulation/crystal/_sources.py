"""Where materials come from: the package, a TOML file or a CIF file."""

import hashlib
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ValidationInfo

from ...configuration import load_toml, validated
from ...errors import PhysicsError
from ._cif import crystal_from_cif
from ._crystal import Crystal
from ._material import Material, material_from_crystal

__all__ = ["MaterialSource", "load_material", "material_names", "material_sha256", "read_crystal"]

SUFFIXES = (".cif", ".toml")
"""Endings of the files that describe a material."""


def _beside_settings(name: str, info: ValidationInfo) -> str:
    folder = (info.context or {}).get("folder")
    return str(folder / name) if folder is not None and _is_path(name) else name


MaterialSource = Annotated[str, AfterValidator(_beside_settings)]
"""A material in settings: a name of the package, or a TOML or CIF file relative to the folder of the settings
file."""


def _is_path(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES


def material_names() -> list[str]:
    """List the materials of the package.

    Returns
    -------
    Names in alphabetical order.
    """
    folder = files(__package__) / "materials"
    return sorted(
        entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")
    )


def read_crystal(source: str) -> Crystal:
    """Read the crystal structure of a material, including its reference values.

    Parameters
    ----------
    source
        One of `material_names`, or the path of a TOML or CIF file.

    Returns
    -------
    The structure.

    Raises
    ------
    PhysicsError
        There is no such material, or its CIF file cannot be used.
    ConfigurationError
        A value in its file is missing or out of range.
    """
    if _is_path(source):
        path = Path(source)
        return crystal_from_cif(path) if path.suffix.lower() == ".cif" else load_toml(Crystal, path)
    return validated(Crystal, tomllib.loads(_content(source).decode("utf-8")), f"material {source}")


def load_material(source: str) -> Material:
    """Load a material.

    Parameters
    ----------
    source
        One of `material_names`, or the path of a TOML or CIF file.

    Returns
    -------
    The material.

    Raises
    ------
    PhysicsError
        There is no such material, or its CIF file cannot be used.
    ConfigurationError
        A value in its file is missing or out of range, or atoms overlap.
    """
    return material_from_crystal(read_crystal(source))


def material_sha256(source: str) -> str:
    """Hash of the file that describes a material.

    Parameters
    ----------
    source
        One of `material_names`, or the path of a TOML or CIF file.

    Returns
    -------
    SHA-256, hexadecimal.

    Raises
    ------
    PhysicsError
        There is no such material, or its file cannot be read.
    """
    return hashlib.sha256(_content(source)).hexdigest()


def _content(source: str) -> bytes:
    if _is_path(source):
        try:
            return Path(source).read_bytes()
        except OSError as error:
            raise PhysicsError(f"cannot read material {source}: {error.strerror or error}") from error
    if source not in material_names():
        raise PhysicsError(
            f"material {source!r} is unknown: choose from {', '.join(material_names())}, or give the path "
            "of a CIF or TOML file"
        )
    return (files(__package__) / "materials" / f"{source}.toml").read_bytes()

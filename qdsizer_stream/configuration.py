"""Frozen configuration and its TOML files."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, ValidationInfo

from .errors import ConfigurationError

__all__ = ["Config", "SettingsPath", "load_toml", "validated"]


class Config(BaseModel):
    """A frozen group of settings; a key that is not known is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


ConfigT = TypeVar("ConfigT", bound=Config)


def _anchored(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder")
    return path if folder is None else folder / path


SettingsPath = Annotated[Path, AfterValidator(_anchored)]
"""A path among settings; a relative one in a file starts at the folder of the file."""


def load_toml(kind: type[ConfigT], path: Path) -> ConfigT:
    """Read one configuration from a TOML file.

    Parameters
    ----------
    kind
        Configuration to read.
    path
        TOML file.

    Returns
    -------
    The validated configuration.

    Raises
    ------
    ConfigurationError
        The file is missing or not TOML, or a setting in it is unknown, missing or out of range.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot read configuration {path}: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"configuration {path} is not TOML: {error}") from error
    return validated(kind, values, str(path), path.parent)


def validated(kind: type[ConfigT], values: dict[str, Any], where: str, folder: Path | None = None) -> ConfigT:
    """Validate settings, naming where they came from when they are wrong.

    Parameters
    ----------
    kind
        Configuration to make.
    values
        Settings by name.
    where
        Source of the settings, for the error message.
    folder
        Where relative paths among the settings start; None for the working folder.

    Returns
    -------
    The validated configuration.

    Raises
    ------
    ConfigurationError
        A setting is unknown, missing or out of range; one line for each.
    """
    try:
        return kind.model_validate(values, context={"folder": folder})
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or kind.__name__}: {problem['msg']}"
            + ("" if problem["type"] in ("missing", "extra_forbidden") else f" (found {problem['input']!r})")
            for problem in error.errors(include_url=False)
        )
        raise ConfigurationError(f"{where}: {problems}") from error

"""Frozen configuration and its TOML files."""

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import ConfigurationError

__all__ = ["Config", "load_toml", "validated"]


class Config(BaseModel):
    """A frozen group of settings; a key that is not known is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


ConfigT = TypeVar("ConfigT", bound=Config)


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
    return validated(kind, values, str(path))


def validated(kind: type[ConfigT], values: dict[str, Any], where: str) -> ConfigT:
    """Validate settings, naming where they came from when they are wrong.

    Parameters
    ----------
    kind
        Configuration to make.
    values
        Settings by name.
    where
        Source of the settings, for the error message.

    Returns
    -------
    The validated configuration.

    Raises
    ------
    ConfigurationError
        A setting is unknown, missing or out of range; one line for each.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or kind.__name__}: {problem['msg']}"
            + ("" if problem["type"] in ("missing", "extra_forbidden") else f" (found {problem['input']!r})")
            for problem in error.errors(include_url=False)
        )
        raise ConfigurationError(f"{where}: {problems}") from error

"""Held-out families: recipes without a family of simulations, and the frames of that family."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import Field

from ...configuration import Config, load_toml, validated
from ...errors import ConfigurationError
from ...simulation import StreamRecipe
from .._recipe import SizeRecipe

__all__ = ["Family", "frames_of", "load_families", "recipe_without"]


MAX_STRUCTURES = 32
"""Maximum number of structures of a short training: more take minutes to tabulate and are rarely drawn."""


class Family(Config):
    """Family of simulated samples that can be held out from training."""

    name: str
    """Name of the family."""
    drop: dict[str, Any] = Field(default={})
    """Entries to remove from lists of the training and calibration streams: the dotted key of the list, and
    the entry or some of its keys."""
    without: dict[str, Any] = Field(default={})
    """Settings to change in these streams; tables are merged."""
    tested_on: dict[str, Any]
    """Settings of the frames of the family, merged into the generator of the recipe."""

    @property
    def slug(self) -> str:
        """Name in file names: ASCII letters, digits and hyphens."""
        return "".join(c if c.isascii() and c.isalnum() else "-" for c in self.name)


class _FamiliesFile(Config):
    families: tuple[Family, ...]
    """The families."""


def load_families() -> tuple[Family, ...]:
    """Load the families of the package.

    Returns
    -------
    The families.
    """
    return load_toml(_FamiliesFile, Path(str(files(__package__) / "families.toml"))).families


def recipe_without(recipe: SizeRecipe, family: Family | None, steps: int) -> SizeRecipe | None:
    """Derive the recipe of a model that is trained without a family.

    Parameters
    ----------
    recipe
        Recipe of a model that includes the family.
    family
        Family to hold out; None for none.
    steps
        Number of training steps.

    Returns
    -------
    The recipe; None if the recipe contains no frames of that family, so that the test is meaningless.

    Raises
    ------
    ConfigurationError
        The family does not fit the recipe.
    """
    plain = recipe.model_dump()
    if family is not None:
        for part in ("generator", "held_out"):
            for key, entry in family.drop.items():
                _drop(plain[part], key.split("."), entry, family.name)
            plain[part] = _merged(plain[part], family.without)
        plain["name"] = f"{recipe.name}-without-{family.slug}"
    plain["steps"] = steps
    n_structures = min(recipe.generator.n_structures, MAX_STRUCTURES)
    plain["generator"]["n_structures"] = n_structures
    plain["held_out"]["n_structures"] = min(recipe.held_out.n_structures, (n_structures + 1) // 2)
    derived = validated(SizeRecipe, plain, f"the recipe of {recipe.name} without {_name(family)}")
    unchanged = derived.generator == recipe.generator.model_copy(update={"n_structures": n_structures})
    return None if family is not None and unchanged else derived


def frames_of(recipe: SizeRecipe, family: Family) -> StreamRecipe:
    """Recipe of frames that all belong to a family, with all other settings as in training.

    Parameters
    ----------
    recipe
        Recipe of a model that includes the family.
    family
        Family of the frames.

    Returns
    -------
    Recipe of the frame stream.

    Raises
    ------
    ConfigurationError
        The family does not fit the recipe.
    """
    plain = _merged(recipe.generator.model_dump(), family.tested_on)
    return validated(StreamRecipe, plain, f"the frames of {family.name}")


def _name(family: Family | None) -> str:
    return "any family" if family is None else family.name


def _merged(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(settings)
    for key, value in changes.items():
        merged[key] = _merged(merged[key], value) if isinstance(value, dict) else value
    return merged


def _drop(settings: dict[str, Any], keys: list[str], entry: Any, name: str) -> None:
    for key in keys[:-1]:
        settings = settings[key]
    remaining = tuple(other for other in settings[keys[-1]] if not _matches(other, entry))
    if not remaining:
        raise ConfigurationError(
            f"family {name!r} contains all entries of {'.'.join(keys)}: "
            "a model cannot be trained without it, "
            "hold out fewer"
        )
    settings[keys[-1]] = remaining


def _matches(other: Any, entry: Any) -> bool:
    if isinstance(entry, dict):
        return all(other.get(key) == value for key, value in entry.items())
    return bool(other == entry)

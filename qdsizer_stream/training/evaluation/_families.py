"""Recipes without a family of physics, and the frames of that family."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import Field

from ...configuration import Config, load_toml, validated
from ...errors import ConfigurationError
from ...simulation import StreamRecipe
from .._recipe import SizeRecipe

__all__ = ["Family", "frames_of", "load_families", "recipe_without"]


MOST_STRUCTURES = 32
"""Structures that a short training draws from: more take minutes to tabulate and are hardly seen."""


class Family(Config):
    """Physics that a model can be trained without."""

    name: str
    """What it is."""
    drop: dict[str, Any] = Field(default={})
    """Entries taken from lists of the streams that are trained and calibrated on: the list's place, and the
    entry, or some keys of it."""
    without: dict[str, Any] = Field(default={})
    """Settings of these streams; tables are merged into theirs."""
    tested_on: dict[str, Any]
    """Settings of the frames of the family, merged into the recipe's generator."""

    @property
    def slug(self) -> str:
        """Name of its files."""
        return "".join(c if c.isascii() and c.isalnum() else "-" for c in self.name)


class _File(Config):
    families: tuple[Family, ...]
    """All of them."""


def load_families() -> tuple[Family, ...]:
    """Load the families of the package.

    Returns
    -------
    The families.
    """
    return load_toml(_File, Path(str(files(__package__) / "families.toml"))).families


def recipe_without(recipe: SizeRecipe, family: Family | None, steps: int) -> SizeRecipe | None:
    """Derive the recipe of a model that never sees a family.

    Parameters
    ----------
    recipe
        Recipe of a model that does.
    family
        What is left out; None for nothing.
    steps
        Training steps.

    Returns
    -------
    The recipe; None where its frames never were of that family, so that nothing can be learned.

    Raises
    ------
    ConfigurationError
        The family does not fit the recipe.
    """
    plain = recipe.model_dump()
    if family is not None:
        for part in ("generator", "held_out"):
            for place, entry in family.drop.items():
                _drop(plain[part], place.split("."), entry, family.name)
            plain[part] = _merged(plain[part], family.without)
        plain["name"] = f"{recipe.name}-without-{family.slug}"
    plain["steps"] = steps
    few = min(recipe.generator.n_structures, MOST_STRUCTURES)
    plain["generator"]["n_structures"] = few
    plain["held_out"]["n_structures"] = min(recipe.held_out.n_structures, (few + 1) // 2)
    made = validated(SizeRecipe, plain, f"the recipe of {recipe.name} without {_name(family)}")
    unchanged = made.generator == recipe.generator.model_copy(update={"n_structures": few})
    return None if family is not None and unchanged else made


def frames_of(recipe: SizeRecipe, family: Family) -> StreamRecipe:
    """Frames that all belong to a family, everything else as in training.

    Parameters
    ----------
    recipe
        Recipe that has the family.
    family
        What all frames shall have.

    Returns
    -------
    What to draw them from.

    Raises
    ------
    ConfigurationError
        The family does not fit the recipe.
    """
    plain = _merged(recipe.generator.model_dump(), family.tested_on)
    return validated(StreamRecipe, plain, f"the frames of {family.name}")


def _name(family: Family | None) -> str:
    return "anything left out" if family is None else family.name


def _merged(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    made = dict(settings)
    for key, value in changes.items():
        made[key] = _merged(made[key], value) if isinstance(value, dict) else value
    return made


def _drop(settings: dict[str, Any], place: list[str], entry: Any, name: str) -> None:
    for key in place[:-1]:
        settings = settings[key]
    left = tuple(other for other in settings[place[-1]] if not _is(other, entry))
    if not left:
        raise ConfigurationError(
            f"family {name!r} is all there is in {'.'.join(place)}: a model cannot be trained without it"
        )
    settings[place[-1]] = left


def _is(other: Any, entry: Any) -> bool:
    if isinstance(entry, dict):
        return all(other.get(key) == value for key, value in entry.items())
    return bool(other == entry)

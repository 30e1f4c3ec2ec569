"""Settings as frozen models, and their TOML files."""

import ast
import inspect
import os
import re
import textwrap
import tomllib
from difflib import get_close_matches
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, ValidationInfo

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

from ._missing_file import not_found
from .errors import ConfigurationError

__all__ = ["Config", "SettingsPath", "choice", "field_descriptions", "load_toml", "toml_table", "validated"]


SAME_WORD = 0.8
"""Likeness from which a name is another one misspelt, as difflib measures it."""

TRUTHS = dict.fromkeys(("yes", "on", "true"), "true") | dict.fromkeys(("no", "off", "false"), "false")
"""What people write for the two truth values of TOML."""


class Config(BaseModel):
    """A frozen group of settings; an unknown key is an error, and so is a number that is not finite."""

    # The docstrings of fields are read when they are asked for: pydantic would read all of them at import,
    # which takes a quarter of that time.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: "CoreSchema", handler: "GetJsonSchemaHandler"
    ) -> "JsonSchemaValue":
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for name, text in field_descriptions(cls).items():
            field = cls.model_fields[name]
            key = field.alias if field.alias in properties else name
            if key in properties:
                properties[key].setdefault("description", text)
        return schema


def field_descriptions(kind: type[BaseModel]) -> dict[str, str]:
    """Read the docstrings beneath the fields of settings.

    Parameters
    ----------
    kind
        Class of the settings.

    Returns
    -------
    Docstring by name of the field, also of inherited fields; those without one are left out.
    """
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if not issubclass(one, BaseModel) or one is BaseModel:
            continue
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(one))).body
        assert isinstance(definition, ast.ClassDef)
        for statement, following in pairwise(definition.body):
            match statement, following:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ) if name in kind.model_fields:
                    found[name] = inspect.cleandoc(text)
    return found


ConfigT = TypeVar("ConfigT", bound=Config)
ChoiceT = TypeVar("ChoiceT", bound=StrEnum)


def _anchored(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder")
    return path if folder is None else folder / path


SettingsPath = Annotated[Path, AfterValidator(_anchored)]
"""A path in settings; in a file, it is relative to the folder of that file."""


def choice(kind: type[ChoiceT], value: ChoiceT | str, name: str) -> ChoiceT:
    """Look up the member of an enumeration, given itself or as its string.

    Parameters
    ----------
    kind
        Enumeration.
    value
        Member, or its string such as "q".
    name
        Name of the argument, for the error message.

    Returns
    -------
    The member.

    Raises
    ------
    ConfigurationError
        The enumeration has no such member.
    """
    try:
        return kind(value)
    except ValueError:
        raise ConfigurationError(f"{name} is {value!r}: it must be one of {', '.join(kind)}") from None


def load_toml(kind: type[ConfigT], path: str | os.PathLike[str]) -> ConfigT:
    """Read one configuration from a TOML file.

    Parameters
    ----------
    kind
        Class of the settings.
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
    path = Path(path)
    values = _toml(path)
    return validated(kind, values, str(path), path.parent)


def toml_table(path: str | os.PathLike[str], name: str) -> dict[str, Any] | None:
    """Read one table of a TOML file.

    Parameters
    ----------
    path
        TOML file.
    name
        Name of the table.

    Returns
    -------
    The table; None if the file has no such table.

    Raises
    ------
    ConfigurationError
        The file is missing or not TOML, that name is not a table, or is misspelt.
    """
    path = Path(path)
    values = _toml(path)
    table = values.get(name)
    if table is None:
        if nearest := get_close_matches(name, values, 1, SAME_WORD):
            raise ConfigurationError(
                f"configuration {path} has a table [{nearest[0]}]: did you mean [{name}]?"
            )
        return None
    if not isinstance(table, dict):
        raise ConfigurationError(f"configuration {path}: {name} is {table!r}, but must be a table [{name}]")
    return table


def _toml(path: Path) -> dict[str, Any]:
    """Content of a TOML file."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"cannot read configuration {path}: {error.strerror}{not_found(path)}"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"configuration {path} is not TOML: {error}") from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(
            f"configuration {path} is not TOML: {error}{_syntax_hint(f'{error}', text)}"
        ) from error


def _syntax_hint(error: str, text: str) -> str:
    """The line of a mistake in a TOML file, and what may be meant."""
    place = re.search(r"at line (\d+)", error)
    lines = text.splitlines()
    if place is None or not 0 < int(place[1]) <= len(lines):
        return ""
    line = lines[int(place[1]) - 1].strip()
    key, _, value = (part.strip() for part in line.partition("="))
    hint = ""
    if "\\" in value:
        hint = ", write / or '…' in a path"
    elif value.lower() in TRUTHS:
        hint = f", did you mean {key} = {TRUTHS[value.lower()]}?"
    elif re.fullmatch(r"[A-Za-z_./~][^\"'#]*", value):
        hint = f', did you mean {key} = "{value}"?'
    elif re.fullmatch(r"[+-]?\d+,\d+", value):
        hint = f", did you mean {key} = {value.replace(',', '.')}?"
    elif "overwrite" in error:
        hint = ", which is there twice"
    return f" in {line!r}{hint}"


def validated(
    kind: type[ConfigT], values: dict[str, Any], where: str, folder: str | os.PathLike[str] | None = None
) -> ConfigT:
    """Validate settings, with errors that name their source.

    Parameters
    ----------
    kind
        Class of the settings.
    values
        Settings by name.
    where
        Source of the settings, for the error message.
    folder
        Folder for relative paths in the settings; None for the working folder.

    Returns
    -------
    The validated configuration.

    Raises
    ------
    ConfigurationError
        A setting is unknown, missing or out of range; the message lists each.
    """
    try:
        return kind.model_validate(values, context={"folder": None if folder is None else Path(folder)})
    except ValidationError as error:
        problems = "; ".join(
            _unknown_key(kind, problem["loc"])
            if problem["type"] == "extra_forbidden"
            else _invalid(kind, dict(problem))
            for problem in error.errors(include_url=False)
        )
        raise ConfigurationError(f"{where}: {problems}") from error


def _invalid(kind: type[BaseModel], problem: dict[str, Any]) -> str:
    """Message for a value that is missing or not allowed, with the nearest of the allowed words."""
    text = f"{'.'.join(map(str, problem['loc'])) or kind.__name__}: {problem['msg']}"
    if problem["type"] == "missing":
        return text
    context = problem.get("ctx", {})
    found = context.get("tag", problem["input"])
    text += f" (found {found!r})"
    allowed = re.findall(r"'([^']+)'", str(context.get("expected_tags", context.get("expected", ""))))
    nearest = get_close_matches(str(found), allowed, 1)
    return f"{text}, did you mean {nearest[0]!r}?" if nearest else text


def _unknown_key(kind: type[BaseModel], location: tuple[int | str, ...]) -> str:
    """Message for a key that does not exist: its table, the allowed keys and the nearest of them."""
    *tables, key = location
    at: list[type[BaseModel]] = [kind]
    for table in tables:
        # An index, or the name or tag of one kind of several, names no field.
        field = at[0].model_fields.get(f"{table}") if len(at) == 1 else None
        if field is not None:
            at = _tables_of(field.annotation)
        elif named := [one for one in at if table == one.__name__ or _has_tag(one, table)]:
            at = named
    table_name = ".".join(map(str, tables))
    missing = f"table [{table_name}] has no key {key!r}" if tables else f"there is no key {key!r}"
    if len(at) != 1:
        return missing
    allowed = sorted(at[0].model_fields)
    nearest = get_close_matches(f"{key}", allowed, 1)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    return f"{missing}: {hint}allowed are {', '.join(allowed)}"


def _has_tag(model: type[BaseModel], tag: int | str) -> bool:
    """Whether a kind of several is chosen by a word, its `kind`."""
    return any(tag in get_args(field.annotation) for field in model.model_fields.values())


def _tables_of(annotation: Any) -> list[type[BaseModel]]:
    """The models of a field, also behind `| None`, in lists and in unions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for one in get_args(annotation) for model in _tables_of(one)]

"""The directive `settings`: tables of a TOML file, from the fields of a configuration."""

import types
from collections.abc import Iterator
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from docutils import nodes
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

from qdsizer_stream.configuration import field_descriptions

KINDS = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path"}
SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}


class Settings(SphinxDirective):
    """Sections for a configuration and every table within it.

    The arguments are the class, as module:name, and the table of the file that holds it, if any.
    """

    required_arguments = 1
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make the sections."""
        module, _, name = self.arguments[0].partition(":")
        self.env.note_dependency(import_module(module).__file__)
        shown: set[type[BaseModel]] = set()
        table = self.arguments[1] if len(self.arguments) > 1 else ""
        model = getattr(import_module(module), name)
        return list(self._sections(model, table, f"`[{table}]`" if table else "The file itself", shown))

    def _sections(
        self, model: type[BaseModel], table: str, title: str, shown: set[type[BaseModel]]
    ) -> Iterator[nodes.Node]:
        shown.add(model)
        section = nodes.section(ids=[nodes.make_id(f"{self.arguments[0]} {table} {model.__name__}")])
        section += nodes.title("", "", *plain(title), nodes.Text(f" ({model.__name__})"))
        section += nodes.paragraph("", "", *plain((model.__doc__ or "").split("\n\n")[0]))
        listing = nodes.definition_list()
        inner: list[tuple[type[BaseModel], str, str]] = []
        descriptions = field_descriptions(model)
        for name, field in model.model_fields.items():
            path = f"{table}.{name}" if table else name
            for one in alternatives(field.annotation):
                header = f"`[[{path}]]`" if get_origin(one) in (tuple, list) else f"`[{path}]`"
                inner += [(kind, path, header) for kind in models_in(one)]
            listing += self._entry(name, field, descriptions.get(name, ""))
        section += listing
        self.state.document.note_explicit_target(section)
        yield section
        for kind, path, header in inner:
            if kind not in shown:
                yield from self._sections(kind, path, header, shown)

    def _entry(self, name: str, field: FieldInfo, description: str) -> nodes.definition_list_item:
        what = [kind_of(field.annotation), *limits(field), default(field)]
        text = " ".join(description.split())
        definition = nodes.definition("", nodes.paragraph("", "", *plain(text)))
        for enum in enums_in(field.annotation):
            definition += choices(enum)
        return nodes.definition_list_item(
            "",
            nodes.term(
                "",
                "",
                nodes.strong("", "", nodes.literal("", name)),
                nodes.Text("  "),
                *plain(", ".join(what)),
            ),
            definition,
        )


def plain(text: str) -> list[nodes.Node]:
    """Text in which single backticks enclose code."""
    parts = " ".join(text.split()).split("`")
    return [nodes.literal("", p) if odd % 2 else nodes.Text(p) for odd, p in enumerate(parts) if p]


def alternatives(annotation: Any) -> list[Any]:
    """What a union or an optional annotation allows, None aside."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return alternatives(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [one for part in get_args(annotation) for one in alternatives(part)]
    return [] if annotation is types.NoneType else [annotation]


def kind_of(annotation: Any) -> str:
    """The kind of a value, in the words of a TOML file."""
    return " or ".join(dict.fromkeys(_kind(one) for one in alternatives(annotation)))


def _kind(one: Any) -> str:
    origin, arguments = get_origin(one), get_args(one)
    if origin is Literal:
        return " or ".join(f"`{value!r}`".replace("'", '"') for value in arguments)
    if origin in (tuple, list) and len(arguments) == 2 and arguments[1] is not Ellipsis:
        return f"pair of {kind_of(arguments[0])}s"
    if origin in (tuple, list):
        return f"list of {kind_of(arguments[0])}s"
    if origin is dict:
        return f"table of {kind_of(arguments[1])}"
    if isinstance(one, type) and issubclass(one, Enum):
        return " or ".join(f'`"{member.value}"`' for member in one)
    if isinstance(one, type) and issubclass(one, BaseModel):
        return "table"
    return KINDS.get(one, getattr(one, "__name__", str(one)))


def limits(field: FieldInfo) -> list[str]:
    """Bounds of a value."""
    return [
        f"{sign} {getattr(rule, bound):g}"
        for rule in field.metadata
        for bound, sign in SIGNS.items()
        if getattr(rule, bound, None) is not None
    ]


def default(field: FieldInfo) -> str:
    """What holds where a setting is left out."""
    if field.is_required():
        return "required"
    value = field.default if field.default is not PydanticUndefined else field.default_factory()  # type: ignore[misc,call-arg]
    if value is None or value in ({}, ()):
        return "may be left out"
    if isinstance(value, BaseModel):
        return "has a default"
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return f"default `{str(value).lower()}`"
    return f"default `{value!r}`".replace("'", '"')


def _parts(annotation: Any) -> Iterator[Any]:
    for one in alternatives(annotation):
        yield one
        for argument in get_args(one):
            yield from _parts(argument) if get_origin(one) is not Literal else ()


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Tables that a field may hold."""
    return [one for one in _parts(annotation) if isinstance(one, type) and issubclass(one, BaseModel)]


def enums_in(annotation: Any) -> list[type[Enum]]:
    """Sets of words that a field chooses from."""
    return [one for one in _parts(annotation) if isinstance(one, type) and issubclass(one, Enum)]


def choices(enum: type[Enum]) -> nodes.bullet_list:
    """The words, with what is said below each in the source."""
    said = ModuleAnalyzer.for_module(enum.__module__).find_attr_docs()
    listing = nodes.bullet_list()
    for member in enum:
        text = " ".join(said.get((enum.__name__, member.name), []))
        words = plain(f'`"{member.value}"`' + (f": {text}" if text.strip() else ""))
        listing += nodes.list_item("", nodes.paragraph("", "", *words))
    return listing


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("settings", Settings)
    return {"parallel_read_safe": True}

"""NumPy sections of docstrings whose types stand in annotations alone.

napoleon and numpydoc take the first line below Returns for a type, and what stands before a colon in the
docstring of an attribute too. Here both are sentences.
"""

import re

from sphinx.application import Sphinx

FIELDS = {"Parameters": "param", "Raises": "raises"}
"""Sections of names with descriptions, and the field that each name becomes."""

TEXTS = {"Returns": "returns", "Yields": "yields"}
"""Sections of one description, and the field that it becomes."""

HEADING = re.compile(rf"^({'|'.join(FIELDS | TEXTS)})\n-{{3,}}\n", re.MULTILINE)


def as_fields(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Turn the sections of a docstring into fields."""
    before, *parts = HEADING.split("\n".join(lines))
    fields = [
        field
        for section, body in zip(parts[::2], parts[1::2], strict=True)
        for field in (_named(section, body) if section in FIELDS else _text(section, body))
    ]
    lines[:] = [*before.split("\n"), *fields, ""]


def _named(section: str, body: str) -> list[str]:
    """Fields of lines such as `run, config`, each above its indented description."""
    fields: list[str] = []
    names: list[str] = []
    for line in body.strip("\n").split("\n"):
        if line and not line.startswith(" "):
            names = line.replace("*", r"\*").split(", ")
            fields += [f":{FIELDS[section]} {name}:" for name in names]
        else:
            for index in range(len(fields) - len(names), len(fields)):
                fields[index] += f"\n{line}"
    return "\n".join(fields).split("\n")


def _text(section: str, body: str) -> list[str]:
    return [f":{TEXTS[section]}:", *(f"    {line}" for line in body.strip("\n").split("\n"))]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", as_fields)
    return {"parallel_read_safe": True}

"""Settings as the text of a TOML file, with a comment above the values that need a reason."""

import json
import textwrap
from collections.abc import Mapping
from typing import Any

__all__ = ["toml_text"]

WIDTH = 118
"""Length from which a comment is wrapped and a list has a line for each entry, characters."""

TABLES = 3
"""Tables as deep as `[model.generator.structures]` have a header; deeper ones are inline."""


def toml_text(values: Mapping[str, Any], comments: Mapping[str, str]) -> str:
    """Write settings as TOML.

    Parameters
    ----------
    values
        Settings: numbers, truth values, text, lists and tables.
    comments
        Comment of a value or table, by its path, such as ``model.generator.strain``.

    Returns
    -------
    The text.
    """
    return "\n".join(_table(values, "", comments)).strip() + "\n"


def _table(values: Mapping[str, Any], path: str, comments: Mapping[str, str]) -> list[str]:
    depth = path.count(".") + 1 if path else 0
    prefix = f"{path}." if path else ""
    lines, tables = [], []
    for key, value in values.items():
        where = prefix + key
        if isinstance(value, Mapping) and depth < TABLES:
            tables += ["", *_comment(where, comments), f"[{where}]", *_table(value, where, comments)]
            continue
        entries = [_value(one) for one in value] if isinstance(value, list) else []
        if any(len(one) > WIDTH for one in entries):
            for one in value:
                tables += ["", f"[[{where}]]", *_table(one, where, {})]
            continue
        lines += _comment(where, comments)
        line = f"{key} = {_value(value)}"
        if len(line) > WIDTH and entries and all(isinstance(one, str) and " " not in one for one in value):
            lines += [f"{key} = [", *_wrapped(", ".join(entries), "    "), "]"]
        elif len(line) > WIDTH and entries:
            lines += [f"{key} = [", *(f"    {one}," for one in entries), "]"]
        else:
            lines.append(line)
    return lines + tables


def _comment(where: str, comments: Mapping[str, str]) -> list[str]:
    return _wrapped(comments.get(where, ""), "# ")


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _value(value: Any) -> str:
    match value:
        case Mapping():
            return "{ " + ", ".join(f"{key} = {_value(one)}" for key, one in value.items()) + " }"
        case list() | tuple():
            return "[" + ", ".join(map(_value, value)) + "]"
        case bool() | str():
            return json.dumps(value, ensure_ascii=False)  # the escapes of JSON are those of TOML
        case _:
            return repr(value)

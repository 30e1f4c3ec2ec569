"""How objects of the package are shown in a notebook."""

from collections.abc import Mapping
from html import escape

__all__ = ["html_table"]


def html_table(title: str, rows: Mapping[str, str]) -> str:
    """Make a small HTML table, as a notebook shows it.

    Parameters
    ----------
    title
        Heading of the table.
    rows
        Texts by name.

    Returns
    -------
    The table, all texts escaped.
    """
    lines = "".join(
        f'<tr><th style="text-align:left">{escape(name)}</th>'
        f'<td style="text-align:left">{escape(text)}</td></tr>'
        for name, text in rows.items()
    )
    return f"<table><caption>{escape(title)}</caption>{lines}</table>"

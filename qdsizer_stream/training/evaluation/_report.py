"""Reports: sections with tables and figures, as Markdown and JSON."""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import ModelError

__all__ = ["Cell", "Report", "Section", "write_report"]

Cell = str | float | int | None
"""One entry of a table; fractions are from 0 to 1, None means not measured."""


@dataclass(frozen=True)
class Section:
    """One table with its explanation."""

    title: str
    """Heading."""
    note: str
    """Explanation, one paragraph."""
    columns: tuple[str, ...]
    """Headings of the columns; those ending in ``%`` contain fractions, shown in per cent."""
    rows: tuple[tuple[Cell, ...], ...]
    """Rows, each with one cell per column."""
    figure: str | None = None
    """File name of the figure of this section."""
    detail: bool = False
    """Whether the table is too large for a terminal and only written to the report."""

    def texts(self) -> list[list[str]]:
        """Rows as text: fractions in per cent, other numbers with three decimals, – for missing values."""
        return [
            [_text(name, cell) for name, cell in zip(self.columns, row, strict=True)] for row in self.rows
        ]


@dataclass(frozen=True)
class Report:
    """Results of an evaluation."""

    title: str
    """Heading."""
    facts: Mapping[str, str | float | int]
    """Model, hashes, versions and settings."""
    sections: tuple[Section, ...]
    """Sections of the report."""
    curves: Mapping[str, Mapping[str, list[float]]] = field(default_factory=dict)
    """Loss and accuracy after every epoch of the trained variants, by name."""

    def to_json(self) -> str:
        """Report as JSON; values that were not measured are null."""
        plain = {
            "title": self.title,
            "facts": dict(self.facts),
            "sections": [
                {
                    "title": section.title,
                    "note": section.note,
                    "rows": [
                        {name: _json_value(cell) for name, cell in zip(section.columns, row, strict=True)}
                        for row in section.rows
                    ],
                }
                for section in self.sections
            ],
            "curves": {name: dict(curves) for name, curves in self.curves.items()},
        }
        return json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False)

    def to_markdown(self) -> str:
        """Report as Markdown."""
        lines = [f"# {self.title}", ""]
        lines += [f"* {name}: {value}" for name, value in self.facts.items()]
        for section in self.sections:
            lines += ["", f"## {section.title}", "", section.note, ""]
            if section.figure is not None:
                lines += [f"![{section.title}]({section.figure})", ""]
            lines.append("| " + " | ".join(section.columns) + " |")
            lines.append(
                "|" + "|".join("---" if i == 0 else "--:" for i in range(len(section.columns))) + "|"
            )
            for row in section.texts():
                lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
        return "\n".join(lines) + "\n"


def write_report(report: Report, folder: str | os.PathLike[str]) -> None:
    """Write ``report.md`` and ``report.json``.

    Parameters
    ----------
    report
        The report.
    folder
        Folder of the files; created if it does not exist.

    Raises
    ------
    ModelError
        The files cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.md").write_text(report.to_markdown(), encoding="utf-8")
        (folder / "report.json").write_text(report.to_json() + "\n", encoding="utf-8")
    except OSError as error:
        raise ModelError(
            f"cannot write the report into {folder}: {error.strerror}; choose a writable folder"
        ) from error


def _json_value(cell: Cell) -> Cell:
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell


def _text(column: str, cell: Cell) -> str:
    if cell is None or (isinstance(cell, float) and not math.isfinite(cell)):
        return "–"
    if isinstance(cell, str):
        return cell
    if column.endswith("%"):
        return f"{100 * cell:.1f}"
    return f"{cell:.3f}" if isinstance(cell, float) else str(cell)

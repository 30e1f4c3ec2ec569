"""A report: sections of tables and figures, as Markdown and as JSON."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import ModelError

__all__ = ["Cell", "Report", "Section", "write_report"]

Cell = str | float | int | None
"""One entry of a table; shares are numbers from 0 to 1, None is what was not measured."""


@dataclass(frozen=True)
class Section:
    """One table with what it means."""

    title: str
    """Heading."""
    note: str
    """What was done, one paragraph."""
    columns: tuple[str, ...]
    """Headings of the columns; one that ends in ``%`` holds shares."""
    rows: tuple[tuple[Cell, ...], ...]
    """Rows."""
    figure: str | None = None
    """File name of the figure that shows it."""
    detail: bool = False
    """Whether it is for the report alone, too large for a screen."""

    def texts(self) -> list[list[str]]:
        """Rows as people read them: shares in per cent, lengths with three decimals, – for nothing."""
        return [
            [_text(name, cell) for name, cell in zip(self.columns, row, strict=True)] for row in self.rows
        ]


@dataclass(frozen=True)
class Report:
    """What an evaluation has found."""

    title: str
    """Heading."""
    facts: Mapping[str, str | float | int]
    """Model, hashes, versions, sizes of samples."""
    sections: tuple[Section, ...]
    """Tables."""
    curves: Mapping[str, Mapping[str, list[float]]] = field(default_factory=dict)
    """Loss and accuracy of every epoch of the trained variants, by name."""

    def to_json(self) -> str:
        """The report for machines; what was not measured is null."""
        plain = {
            "title": self.title,
            "facts": dict(self.facts),
            "sections": [
                {
                    "title": section.title,
                    "note": section.note,
                    "rows": [
                        {name: _number(cell) for name, cell in zip(section.columns, row, strict=True)}
                        for row in section.rows
                    ],
                }
                for section in self.sections
            ],
            "curves": {name: dict(curves) for name, curves in self.curves.items()},
        }
        return json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False)

    def to_markdown(self) -> str:
        """The report for people."""
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


def write_report(report: Report, folder: Path) -> None:
    """Write a report into a folder, as ``report.md`` and ``report.json``.

    Parameters
    ----------
    report
        What was found.
    folder
        Folder; made if it is not there.

    Raises
    ------
    ModelError
        The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.md").write_text(report.to_markdown(), encoding="utf-8")
        (folder / "report.json").write_text(report.to_json() + "\n", encoding="utf-8")
    except OSError as error:
        raise ModelError(f"cannot write the report into {folder}: {error.strerror}") from error


def _number(cell: Cell) -> Cell:
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell


def _text(column: str, cell: Cell) -> str:
    if cell is None or (isinstance(cell, float) and not math.isfinite(cell)):
        return "–"
    if isinstance(cell, str):
        return cell
    if column.endswith("%"):
        return f"{100 * cell:.1f}"
    return f"{cell:.3f}" if isinstance(cell, float) else str(cell)

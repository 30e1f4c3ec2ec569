"""The directive `decisions`: tables of decision records by topic, from the first lines of their pages."""

import re
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

TOPICS = (
    "sizing",
    "models",
    "live path",
    "documents",
    "archive",
    "services",
    "displays",
    "plans",
    "devices",
    "profiles",
    "simulation",
    "training",
    "evaluation",
    "package",
)
"""Topics, in the order of their tables."""

HEAD = re.compile(r"# (\d{4}): (.+)\n\n\*(\d{4}-\d\d-\d\d[^·]*) · ([^·]+) · ([^·]+)\*\n")
"""First lines of a record: number and title; date, status and topic."""


class Record(NamedTuple):
    """What the index shows of a page."""

    topic: str
    number: str
    title: str
    date: str
    status: str
    page: str


def read_record(path: Path) -> Record:
    """Read the first lines of a page.

    Raises
    ------
    ValueError
        The lines do not have the form of a record, or the topic is unknown.
    """
    head = HEAD.match(path.read_text(encoding="utf-8"))
    if head is None or head[5] not in TOPICS:
        raise ValueError(
            f"{path.name} must begin with '# 0000: title' and '*2026-01-31 · accepted · topic*', "
            f"where topic is one of {', '.join(TOPICS)}"
        )
    number, title, date, status, topic = head.groups()
    if not path.name.startswith(number):
        raise ValueError(f"{path.name} has the number {number} in its title: both must be the same")
    return Record(
        topic, number, title[0].upper() + title[1:], date, status, f"{path.parent.name}/{path.name}"
    )


class Decisions(SphinxDirective):
    """One table per topic."""

    def run(self) -> list[nodes.Node]:
        """Make the tables."""
        folder = Path(self.env.srcdir) / "decisions"
        self.env.note_reread()
        records = sorted(
            map(read_record, folder.glob("*.md")), key=lambda r: (TOPICS.index(r.topic), r.number)
        )
        lines = [
            line
            for topic, group in groupby(records, key=lambda record: record.topic)
            for line in (
                f"**{topic.capitalize()}**",
                "",
                "| | decision | date | status |",
                "|---|---|---|---|",
                *(f"| {r.number} | [{r.title}]({r.page}) | {r.date} | {r.status} |" for r in group),
                "",
            )
        ]
        container = nodes.container()
        self.state.nested_parse(StringList(lines, source="decisions"), 0, container)
        return [*container.children]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("decisions", Decisions)
    return {"parallel_read_safe": True}

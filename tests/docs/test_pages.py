"""What pages name exists: files, links, commands and options, names for users, findings, decision records."""

import importlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from qdsizer_stream.cli import app
from qdsizer_stream.sizing import CHECKS

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for path in (
        *(ROOT / "docs").rglob("*.md"),
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "CHANGELOG.md",
        ROOT / "findings/README.md",
    )
    if "_build" not in path.parts
)
FINDINGS = sorted((ROOT / "findings").glob("*.sh"))

FOLDERS = "benchmarks|docs|findings|tests|qdsizer_stream"
"""Folders of the repository."""

PACKAGES = (
    "archive|callbacks|devices|fitting|models|patterns|profiles|reduction|services|simulation|sizing|training"
)
"""Packages, under which pages name modules and data files without the name of the whole."""


def page_id(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_to_files(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if not link.startswith(("http", "#")):
            assert (page.parent / link.partition("#")[0]).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_files_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for path in re.findall(rf"(?<![\w/.-])(?:{FOLDERS})/[\w./-]+\.(?:py|md|toml|sh|cff)", text):
        assert "NAME" in path or (ROOT / path).exists() or (page.parent / path).exists(), path
    for path in re.findall(rf"`((?:{PACKAGES})/[\w./-]+)`", text):
        assert (ROOT / "qdsizer_stream" / path).exists(), path
    for name in re.findall(r"python -m benchmarks\.(\w+)", text):
        assert (ROOT / f"benchmarks/{name}.py").exists(), name


def commands(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if command.hidden:  # an earlier name, which pages do not use
            continue
        yield f"{path}{name}", command
        if hasattr(command, "commands"):
            yield from commands(command, f"{path}{name} ")


OPTIONS = {
    name: {
        option
        for parameter in command.params
        if not getattr(parameter, "hidden", False)
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    for name, command in commands(typer.main.get_command(app))
}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_commands_and_options_that_are_named_exist(page: Path) -> None:
    for line in re.findall(r"qdsizer-stream ([a-z][^\n`|#]*)", page.read_text(encoding="utf-8")):
        words = line.split()
        name = next((name for name in (" ".join(words[:2]), words[0]) if name in OPTIONS), None)
        assert name is not None, line
        for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", line):
            assert option in OPTIONS[name] | {"--help"}, f"{line}: {option}"


@pytest.mark.slow
def test_names_for_users_are_public_and_about_sixty() -> None:
    page = (ROOT / "docs/reference/api/users.md").read_text(encoding="utf-8")
    names = re.findall(r"^\| \{py:obj\}`~([\w.]+)`", page, re.MULTILINE)
    assert len(set(names)) == len(names)
    assert 50 <= len(names) <= 75
    for name in names:
        module, _, attribute = name.rpartition(".")
        assert attribute in importlib.import_module(module).__all__, name


def test_the_acceptance_checks_are_listed_in_order() -> None:
    page = (ROOT / "docs/reference/estimate.md").read_text(encoding="utf-8")
    table = page.partition("| check |")[2].partition("\n\n")[0].splitlines()[2:]
    listed = [re.split(r"(?<=first Q), |; ", row.split(" | ")[0].removeprefix("| ")) for row in table]
    names = [re.sub(r"−[\d.]+ σ", "−… σ", check.name) for check in CHECKS]
    assert [name for row in listed for name in row] == list(dict.fromkeys(names))


@pytest.mark.parametrize("script", FINDINGS, ids=lambda path: path.stem)
def test_a_finding_has_its_form(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    comment = text.partition("set -euo pipefail")[0]
    assert re.match(r"#!/usr/bin/env bash\n# .*\d+\.\d+", comment), "the first line names library and version"
    assert [part for part in ("# Expected:", "# Seen:", "# Why it matters:") if part not in comment] == []
    assert "folder=$(mktemp -d)\ntrap 'rm -rf \"$folder\"' EXIT\n" in text
    installed = re.search(r"pip\" install --quiet (.*?)\n\n", text, re.DOTALL)
    assert installed is not None
    requirements = installed[1].replace("\\", " ").split()
    assert [one for one in requirements if "==" not in one] == [], "every package is pinned"
    assert "sys.exit(" in text
    assert "qdsizer" not in text.partition("PYTHON")[2], "a finding runs without this package"


def test_there_are_findings() -> None:
    assert len(FINDINGS) >= 5

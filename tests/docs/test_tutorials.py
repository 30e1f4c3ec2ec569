"""The tutorials, followed to the letter: files are saved, commands typed, outputs compared."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

pytestmark = [pytest.mark.integration, pytest.mark.slow]

PROGRAMS = Path(os.environ.get("QDSIZER_PROGRAMS", Path(sys.executable).parent))
"""Folder of the programs that a reader has installed; `.ci/packages.py` gives an empty environment's."""

TUTORIALS = Path(__file__).parents[2] / "docs/tutorials"
PAGES = sorted(page.name for page in TUTORIALS.glob("*.md") if page.name != "index.md")

STARTED_WITHIN_S = 180.0
"""How long a program in a second terminal may take to say its first words."""

HIDDEN = ("XDG_", "PYTEST_") + ("PYTHONPATH",) * ("QDSIZER_PROGRAMS" in os.environ)
"""Variables that a reader's terminal does not have."""

ANYTHING = "…"
"""Stands in an output of a page for what differs from machine to machine, or from model to model."""

SAME_TERMINAL, SAVED = 'if [ -e "$EXPORTED" ]; then . "$EXPORTED"; fi', 'export -p > "$EXPORTED"'
"""What a block exports holds in those below it, as in one terminal."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: ```language, or ```{code-block} language with a caption."""

    language: str
    caption: str
    text: str
    line: int


def blocks(page: Path) -> Iterator[Block]:
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        if token.type == "fence" and token.map is not None:
            language, text, caption = token.info.removeprefix("{code-block} "), token.content, ""
            if match := re.match(r":caption: (.*)\n\n", text):
                caption, text = match[1], text[match.end() :]
            yield Block(language, caption, text, token.map[0] + 1)


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """What a reader's terminal knows: the installed commands, and a home of its own."""
    home = tmp_path / "home"
    home.mkdir()
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith(HIDDEN)},
        "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "EXPORTED": str(tmp_path / "exported.sh"),
        "COLUMNS": "120",
        "TERM": "dumb",
        "MPLBACKEND": "agg",
    }


@contextmanager
def second_terminal(command: str, folder: Path, shell: dict[str, str], log: Path) -> Iterator[None]:
    """Run a program until the page ends; it has to end well when it is interrupted."""
    with log.open("wb") as output:
        program = subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=folder, env=shell, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + STARTED_WITHIN_S
        while not log.read_bytes():
            assert program.poll() is None, f"{command} ended by itself"
            assert time.monotonic() < deadline, f"{command} says nothing"
            time.sleep(0.2)
        yield
        program.send_signal(signal.SIGINT)
        assert program.wait(60) == 0, log.read_text()
    finally:
        program.kill()
        program.wait()


def assert_looks_like(output: str, shown: str, where: str) -> None:
    """Compare an output with what the page shows, line by line, blank lines and spacing aside."""
    pattern = r"\s*\n\s*".join(
        r"\s+".join(".*?".join(map(re.escape, word.split(ANYTHING))) for word in line.split())
        for line in shown.strip().splitlines()
        if line.strip()
    )
    assert re.search(rf"^\s*{pattern}\s*$", output, re.MULTILINE), f"{where}: the output is\n{output}"


@pytest.mark.parametrize("name", PAGES)
def test_a_tutorial_does_what_it_says(name: str, tmp_path: Path, shell: dict[str, str]) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    output = ""
    with ExitStack() as open_terminals:
        for block in blocks(TUTORIALS / name):
            where = f"{name}, line {block.line}"
            if block.language == "sh" and block.caption:
                log = tmp_path / f"terminal-{block.line}.log"
                open_terminals.enter_context(second_terminal(block.text.strip(), folder, shell, log))
                output = log.read_text()
            elif block.language == "sh":
                done = subprocess.run(
                    ["bash", "-euo", "pipefail", "-c", f"{SAME_TERMINAL}\n{block.text}\n{SAVED}"],
                    cwd=folder,
                    env=shell,
                    capture_output=True,
                    text=True,
                    timeout=600,
                )
                assert done.returncode == 0, f"{where}: {done.stdout}\n{done.stderr}"
                output = done.stdout
            elif block.caption:
                (folder / block.caption).write_text(block.text, encoding="utf-8")
            else:
                assert block.language == "text", f"{where}: nothing tests a block of {block.language!r}"
                assert_looks_like(output, block.text, where)


def test_there_are_four() -> None:
    assert PAGES == [
        "deploy-to-your-beamline.md",
        "replay-an-archive.md",
        "train-your-own-material.md",
        "watch-a-synthesis.md",
    ]

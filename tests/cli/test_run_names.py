"""Runs as they are named on the command line: short identifiers, -1, --newest, and what a mistake gives."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from qdsizer_stream.archive import find_run
from qdsizer_stream.cli import app
from qdsizer_stream.errors import ArchiveError

Run = Callable[..., tuple[int, str, str]]


class Runs(dict[str, str]):
    """Runs of an archive in the order in which they were written, as a catalog of Tiled gives them."""

    def __getitem__(self, uid: str) -> str:
        found = [value for key, value in self.items() if key.startswith(uid)]
        if len(uid) < 5 or len(found) > 1:
            raise ValueError("too short, or several")
        if not found:
            raise KeyError(uid)
        return found[0]

    def keys(self) -> Any:
        return Keys(super().keys())

    def values(self) -> Any:
        return list(super().values())


class Keys(list[str]):
    def tail(self, n: int) -> list[str]:
        return self[-n:]


RUNS = Runs({"5e3c0f1a-2b7d": "first", "5e3c0f9b-11aa": "second", "1c9d7e52-0a4b": "third"})


@pytest.mark.parametrize(
    ("name", "run"),
    [
        ("-1", "third"),
        ("newest", "third"),
        ("-2", "second"),
        ("-3", "first"),
        ("1c9d7", "third"),
        ("5e3c0f9", "second"),
        ("5e3c0f1a-2b7d", "first"),
    ],
)
def test_a_run_is_found_by_its_place_or_its_first_characters(name: str, run: str) -> None:
    assert find_run(RUNS, name) == run


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("5e3c0", "5e3c0 could be 5e3c0f1a-2b7d or 5e3c0f9b-11aa: give more characters of the identifier"),
        ("1c9d7f52", "no run 1c9d7f52 among the 3 of this archive, newest: .*; did you mean 1c9d7e52?"),
        ("-4", "no run -4 among the 3 of this archive"),
        ("1c9", "give the identifier, 5 or more of its first characters, or -1 for the newest run"),
    ],
)
def test_a_run_that_is_not_there(name: str, message: str) -> None:
    with pytest.raises(ArchiveError, match=message.replace("?", r"\?")):
        find_run(RUNS, name)


@pytest.mark.slow
@pytest.mark.parametrize("runs", [["-1"], ["-1", "-12"], ["--newest"]])
def test_newest_runs_are_arguments_and_options_stay_options(
    run: Run, runs: list[str], tmp_path: Path
) -> None:
    code, _, err = run("compare", "nowhere", *runs, "--picture", tmp_path / "a.png", "--json")
    assert code == 1
    assert "nowhere is not an archive" in err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-1", "--pictrue", "a.png"], "No such option: --pictrue Did you mean --picture?"),
        (["-0"], "No such option: -0"),
        (["--newst"], "No such option: --newst Did you mean --newest?"),
    ],
)
def test_a_mistyped_option_is_not_taken_for_a_run(run: Run, arguments: list[str], message: str) -> None:
    code, _, err = run("compare", "nowhere", *arguments)
    assert code == 2
    assert message in re.sub(r"[│\s]+", " ", err)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["replay", "report", "compare", "watch"])
def test_every_command_that_names_a_run_takes_the_newest(command: str) -> None:
    page = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "300", "TERM": "dumb"}).output
    assert "-1 or --newest for the newest, -2 for the one before" in page
    wrong = CliRunner().invoke(app, [command, "demo", "--newst"], env={"COLUMNS": "300", "TERM": "dumb"})
    assert "Did you mean --newest?" in wrong.stderr

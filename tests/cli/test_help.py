"""Help pages, version, suggestions, and the schema of the settings."""

import json
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
import typer
from typer.testing import CliRunner

import qdsizer_stream
from qdsizer_stream.cli import app, main
from qdsizer_stream.profiles import settings_schema, settings_text

ROOT = Path(__file__).parents[2]


def commands() -> Iterator[tuple[str, ...]]:
    """Every command and group of commands that is not hidden."""

    def walk(command: object, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield path
        for name, inner in getattr(command, "commands", {}).items():
            if not inner.hidden:
                yield from walk(inner, (*path, name))

    yield from walk(typer.main.get_command(app), ())


@pytest.mark.slow
@pytest.mark.parametrize("path", list(commands()), ids=" ".join)
def test_every_help_page_has_two_examples_that_parse(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert result.exit_code == 0, result.output
    assert "Examples" in result.output
    examples = [
        line.strip() for line in result.output.splitlines() if line.strip().startswith("qdsizer-stream ")
    ]
    assert len(examples) == 2, examples
    known = set(commands())
    for example in examples:
        words = example.split()[1:]
        assert tuple(words[: len(path)]) == path
        command = max((one for one in known if tuple(words[: len(one)]) == one), key=len)
        page = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"}).output
        for word in words:
            assert not word.startswith("--") or word in page, (example, word)


def test_version() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"qdsizer-stream {qdsizer_stream.__version__}\n")


def test_a_mistyped_command_is_corrected(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["qdsizer-stream", "replya", "demo/archive"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert "Did you mean 'replay'?" in capsys.readouterr().err


def test_the_former_name_of_set_thresholds_still_works() -> None:
    result = CliRunner().invoke(app, ["models", "limit", "--help"])
    assert result.exit_code == 0
    listed = CliRunner().invoke(app, ["models", "--help"]).output
    assert "set-thresholds" in listed
    assert " limit " not in listed


@pytest.mark.slow
def test_the_committed_schema_is_current() -> None:
    printed = CliRunner().invoke(app, ["profile", "schema"]).output
    assert printed == settings_schema()
    committed = (ROOT / "docs/reference/qdsizer.schema.json").read_text(encoding="utf-8")
    assert committed == printed, "run `qdsizer-stream profile schema > docs/reference/qdsizer.schema.json`"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"wavelenght": {"value": 22, "unit": "keV"}}, "'wavelenght' was unexpected"),
        ({"queue_policy": "newset"}, "'newset' is not one of"),
    ],
)
def test_the_schema_accepts_the_template_and_finds_mistakes(change: dict[str, object], message: str) -> None:
    text = settings_text(wavelength=(22.0, "keV"))
    assert text.startswith("#:schema ./qdsizer.schema.json\n")
    schema = json.loads(settings_schema())
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    settings = tomllib.loads(text)
    validator.validate(settings)
    with pytest.raises(jsonschema.ValidationError, match=message):
        validator.validate({**settings, **change})


def test_every_setting_is_described_in_the_schema() -> None:
    """Also where it is a table or a choice, and inherited."""
    schema = json.loads(settings_schema())
    tables = [schema, *schema["$defs"].values()]
    settings = [one for table in tables for one in table.get("properties", {}).items()]
    assert len(settings) > 60
    # What distinguishes the kinds of a table needs no description.
    assert {name for name, one in settings if "description" not in one and "const" not in one} == set()
    queue = schema["properties"]["queue_policy"]
    assert queue["description"] == "What happens to a frame that arrives while the queue is full."

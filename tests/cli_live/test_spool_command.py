"""``qdsizer-stream spool`` against a real archive on disk."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bluesky import RunEngine
from bluesky.plans import count
from typer.testing import CliRunner

from qdsizer_stream.archive import SpooledWriter, open_archive
from qdsizer_stream.cli import app
from qdsizer_stream.devices import SimMythen
from qdsizer_stream.errors import ArchiveError

run = CliRunner()


@pytest.fixture
def spool(tmp_path: Path, mythen: Callable[..., SimMythen]) -> tuple[Path, str]:
    """A spool with one run, and one journal that is none."""

    def refuse(name: str, doc: Any) -> None:
        raise ConnectionError("the archive is away")

    folder = tmp_path / "spool"
    writer = SpooledWriter(refuse, folder)
    engine = RunEngine({})
    engine.subscribe(writer)
    (uid,) = engine(count([mythen()], 2))
    assert writer.close(30)
    (folder / "damaged.spool").write_bytes(b"")
    return folder, uid


@pytest.mark.slow
def test_one_bad_journal_does_not_keep_the_others(spool: tuple[Path, str], tmp_path: Path) -> None:
    folder, uid = spool
    listed = [
        json.loads(line)
        for line in run.invoke(app, ["spool", "list", str(folder), "--json"]).stdout.split("\n")[:-1]
    ]
    assert {Path(one["journal"]).name for one in listed} == {f"{uid}.spool", "damaged.spool"}
    assert max(one["megabytes"] for one in listed) > 0.2  # two frames of 30 720 strips
    with open_archive(tmp_path / "archive", create=True):
        pass  # an upload makes no archive: it would be a slip of the pen
    result = run.invoke(app, ["spool", "upload", str(folder), str(tmp_path / "archive"), "--json"])
    assert result.exit_code == 1
    told = {Path(one["journal"]).stem: one for one in map(json.loads, result.stdout.splitlines())}
    assert told[uid]["run"] == uid
    assert "names no run: it is empty, damaged or not a journal" in told["damaged"]["error"]
    assert [path.name for path in folder.iterdir()] == ["damaged.spool"]


def test_an_empty_spool_opens_no_archive(tmp_path: Path) -> None:
    result = run.invoke(app, ["spool", "upload", str(tmp_path), "https://nowhere.invalid"])
    assert result.exit_code == 0
    assert result.stdout == f"{tmp_path}: no runs waiting\n"


def test_a_spool_that_is_none(tmp_path: Path) -> None:
    result = run.invoke(app, ["spool", "upload", str(tmp_path / "none"), str(tmp_path)])
    assert isinstance(result.exception, ArchiveError)

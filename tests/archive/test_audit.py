"""The audit finds what is doubled, short, unfinished or orphaned, and mends what can be mended."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky_tiled_plugins import TiledWriter
from typer.testing import CliRunner

from qdsizer_stream.archive import LinkedRuns, audit, replay_into
from qdsizer_stream.callbacks import LiveConfig
from qdsizer_stream.cli import app
from qdsizer_stream.devices import SimMythen
from qdsizer_stream.sizing import Sizer

pytestmark = pytest.mark.slow  # an archive with four runs


@pytest.fixture
def runs(
    archive: Any, mythen: Callable[..., SimMythen], config: LiveConfig, sizer: Sizer, tmp_path: Path
) -> tuple[str, str]:
    """A measured run and the run of its sizes."""
    for uid in list(archive):
        archive.delete_contents([uid], recursive=True, external_only=False)
    engine = RunEngine({})
    engine.subscribe(TiledWriter(archive))
    (uid,) = engine(count([mythen()], 4))
    derived = replay_into(archive[uid], config, LinkedRuns(archive), tmp_path, sizer).written
    return uid, str(derived)


def found(archive: Any, **options: Any) -> list[tuple[str, str, str, str]]:
    return [(one.run, one.fault, one.what, one.mended) for one in audit(archive, **options)]


def double(archive: Any, uid: str, stream: str) -> None:
    table = archive[uid][stream].base["internal"]
    table.append_partition(0, pyarrow.Table.from_pandas(table.read().tail(2), preserve_index=False))


@pytest.mark.usefixtures("runs")
def test_an_archive_in_order_has_no_faults(archive: Any) -> None:
    assert found(archive) == []


@pytest.mark.parametrize(("which", "stream"), [(0, "primary"), (1, "qd_size"), (1, "qd_size_smoothed")])
def test_doubled_rows_are_found_and_removed(
    which: int, stream: str, archive: Any, runs: tuple[str, str], tmp_path: Path
) -> None:
    uid = runs[which]
    before = archive[uid][stream].base["internal"].read()
    double(archive, uid, stream)
    fault = (uid, "doubled", f"2 of 6 rows in {stream} are there twice")
    assert found(archive) == [(*fault, "")]
    assert found(archive, mend=True, backup=tmp_path / "backup") == [(*fault, "repeated rows removed")]
    assert found(archive) == []
    after = archive[uid][stream].base["internal"].read()
    assert list(after.columns) == list(before.columns)
    np.testing.assert_equal(after.to_dict("list"), before.to_dict("list"))
    assert not list((tmp_path / "backup").iterdir())


def test_short_and_unfinished_runs_are_found(archive: Any, runs: tuple[str, str]) -> None:
    measured, derived = runs
    for uid in runs:
        stop = archive[uid].metadata["stop"]
        stream = next(iter(stop["num_events"]))
        archive[uid].update_metadata({"stop": {"num_events": {stream: 7}}})
    assert found(archive) == [
        (measured, "short", "4 of 7 events in primary", ""),
        (derived, "short", "4 of 7 events in qd_size", ""),
    ]
    assert found(archive, mend=True)[1] == (derived, "short", "4 of 7 events in qd_size", "deleted")
    assert list(archive) == [measured]  # what was measured is never deleted


def test_a_smoothed_track_that_is_missing_is_found(archive: Any, runs: tuple[str, str]) -> None:
    measured, derived = runs
    archive[derived].base.delete_contents(["qd_size_smoothed"], recursive=True, external_only=False)
    fault = (derived, "short", "0 of 4 events in qd_size_smoothed")
    assert found(archive, mend=True) == [(*fault, "deleted")]
    assert list(archive) == [measured]


def test_an_orphan_is_reported_and_kept(archive: Any, runs: tuple[str, str]) -> None:
    measured, derived = runs
    archive.delete_contents([measured], recursive=True, external_only=False)
    expected = [(derived, "orphaned", f"its original run {measured} is not in this archive", "")]
    assert found(archive, mend=True) == expected
    assert list(archive) == [derived]


def test_the_command(
    archive: Any, runs: tuple[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TILED_API_KEY", archive.context.api_key)
    uri = str(archive.context.api_uri)
    double(archive, runs[0], "primary")
    result = CliRunner().invoke(app, ["audit", uri])
    assert result.exit_code == 1
    assert result.output.splitlines()[-2:] == [
        f"doubled: run {runs[0]}: 2 of 6 rows in primary are there twice",
        "2 runs: 1 doubled",
    ]
    mended = CliRunner().invoke(app, ["audit", uri, "--mend", "--backup", str(tmp_path)])
    assert (mended.exit_code, mended.output.splitlines()[-2][-23:]) == (0, ": repeated rows removed")
    assert CliRunner().invoke(app, ["audit", uri]).output.splitlines()[-1] == "2 runs: no faults"

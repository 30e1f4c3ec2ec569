"""Raw documents are safe on disk, whatever happens behind the sizer."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partialmethod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky_tiled_plugins import TiledWriter

from qdsizer_stream.archive import embedded_tiled, inspect_journal, read_documents, spooled_runs
from qdsizer_stream.callbacks import LiveConfig, LiveSizer
from qdsizer_stream.devices import SimMythen
from qdsizer_stream.profiles import default_spool, install, uninstall


def test_the_journal_of_a_run_goes_once_its_writers_have_it(
    config: LiveConfig, mythen: Callable[..., SimMythen], state_folder: Path
) -> None:
    engine, seen = RunEngine({}), list[str]()
    during: list[str] = []

    def writer(name: str, doc: Any) -> None:
        seen.append(name)
        if name == "stop":
            during.extend(path.name for path in state_folder.iterdir())

    install(engine, config, writer)
    assert default_spool() == state_folder
    (uid,) = engine(count([mythen()], 2))
    assert uninstall(engine)
    assert during == [f"{uid}.raw"]
    assert seen.count("event") == 4
    assert not list(state_folder.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("error", [ConnectionError("gone"), SystemExit(2)])
def test_the_journal_of_a_run_stays_where_a_writer_fails(
    error: BaseException, config: LiveConfig, mythen: Callable[..., SimMythen], state_folder: Path
) -> None:
    engine = RunEngine({})

    def failing(name: str, doc: Any) -> None:
        if name == "descriptor":
            raise error

    sizer = install(engine, config, failing)
    (uid,) = engine(count([mythen()], 3))
    assert uninstall(engine)
    assert sizer.counters.restarts == 0
    (journal,) = spooled_runs(state_folder)
    report = inspect_journal(journal)
    assert (journal.name, report.problems, report.tally.counts["primary"].rows) == (f"{uid}.raw", [], 3)


@pytest.mark.slow
def test_the_journals_of_runs_that_a_hanging_writer_misses_stay(
    config: LiveConfig, mythen: Callable[..., SimMythen], state_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LiveSizer, "subscribe", partialmethod(LiveSizer.subscribe, timeout_s=0.3))
    engine, go, starts = RunEngine({}), threading.Event(), list[str]()

    def hanging(name: str, doc: Any) -> None:
        if name == "start":
            starts.append(doc["uid"])
        if name == "event" and len(starts) == 1:
            go.wait(60)

    sizer = install(engine, config, [hanging, lambda name, doc: None])
    detector = mythen()
    missed = [engine(count([detector], 2))[0] for _ in range(2)]
    assert sizer.wait(60)
    assert starts == missed[:1]
    go.set()
    deadline = time.monotonic() + 20
    while sum(thread.name == "qdsizer" for thread in threading.enumerate()) > 1:  # the one that was given up
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (received,) = engine(count([detector], 2))
    assert uninstall(engine)
    assert starts == [missed[0], received]
    journals = spooled_runs(state_folder)
    assert sorted(path.name for path in journals) == sorted(f"{uid}.raw" for uid in missed)
    for journal in journals:
        report = inspect_journal(journal)
        assert (report.problems, report.tally.counts["primary"].rows) == ([], 2)


class WithTable(SimMythen):
    """A detector that reads a table of two columns of different types, too."""

    def describe(self) -> dict[str, Any]:
        table = {"source": "x", "dtype": "array", "shape": [2], "dtype_numpy": [["a", "<f8"], ["b", "<i4"]]}
        return {**super().describe(), "table": table}

    def read(self) -> dict[str, Any]:
        value = np.array([(1.5, 2), (3.5, 4)], [("a", "<f8"), ("b", "<i4")])
        return {**super().read(), "table": {"value": value, "timestamp": 0.0}}


@pytest.mark.slow
def test_a_column_that_the_archive_does_not_store_is_named(
    config: LiveConfig, mythen: Callable[..., SimMythen], state_folder: Path, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    engine = RunEngine({})
    with embedded_tiled(tmp_path / "archive") as client:
        sizer = install(engine, config, TiledWriter(client))
        engine(count([mythen(kind=WithTable)], 2))
        assert uninstall(engine)
    assert sizer.counters.sized == 2
    assert (
        "failed on a descriptor document; sizing goes on; table: a structured type, which "
        "bluesky-tiled-plugins does not store; leave it out of the readings, or the archive will lack this "
        "stream"
    ) in caplog.text
    (journal,) = spooled_runs(state_folder)
    assert not inspect_journal(journal).problems
    tables = [doc["data"]["table"] for name, doc in read_documents(journal) if name == "event"]
    assert tables == [[[1.5, 2], [3.5, 4]]] * 2


def test_without_writers_there_is_no_journal(config: LiveConfig, state_folder: Path) -> None:
    engine = RunEngine({})
    install(engine, config)
    assert uninstall(engine)
    assert not state_folder.exists()


HUNG = """
import sys, time
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky.preprocessors import run_decorator
from ophyd.sim import det
from qdsizer_stream.profiles import install

engine = RunEngine({})
install(engine, sys.argv[1], lambda name, doc: time.sleep(3600))

@run_decorator()
def plan():
    for number in range(50):
        yield from bps.trigger_and_read([det])
    print("measured", flush=True)
    yield from bps.sleep(3600)

engine(plan())
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_fifty_events_survive_a_kill_with_a_writer_that_hangs(
    settings_file: Path, state_folder: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HUNG, str(settings_file)],
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert process.stdout is not None
    killer = threading.Timer(200, process.kill)
    killer.start()
    assert process.stdout.readline() == "measured\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    killer.cancel()
    (journal,) = spooled_runs(state_folder, unfinished=True)
    assert inspect_journal(journal).tally.counts["primary"].rows == 50

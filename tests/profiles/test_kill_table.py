"""Processes killed at random moments while frames are sized: every raw document is recovered.

`QDSIZER_KILL_MOMENTS=20` kills at twenty moments per signal and mode; continuous integration at three.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qdsizer_stream.archive import Damage, read_documents, read_journal, spooled_runs

pytestmark = [pytest.mark.slow, pytest.mark.integration, pytest.mark.timeout(900)]

MOMENTS = int(os.environ.get("QDSIZER_KILL_MOMENTS", "3"))
"""Random moments per signal and mode."""

WITHIN_S = 0.3
"""They lie within this time after the first event, s: tens of documents."""

# Imports take seconds: they are made once, in a process that forks another for each kill.
FORKS = """
import json, os, signal, sys
import numpy as np
from bluesky import RunEngine
from bluesky.plans import count
from ophyd import Component, Device, DeviceStatus
from qdsizer_stream.callbacks import LiveConfig
from qdsizer_stream.configuration import load_toml
from qdsizer_stream.devices import UnitSignal
from qdsizer_stream.profiles import install

class Stored(Device):
    image = Component(UnitSignal, value=np.arange(1280, dtype=np.uint32), unit="counts")
    wavelength = Component(UnitSignal, value=0.5637, unit="angstrom", kind="config")

    def trigger(self):
        status = DeviceStatus(self)
        status.set_finished()
        return status

def measure(task):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup` ignores it
    os.environ["XDG_STATE_HOME"] = task["state"]
    settings = load_toml(LiveConfig, task["settings"]).model_copy(update={"workers": task["workers"]})
    engine = RunEngine({})
    install(engine, settings, lambda name, doc: None)
    seen = os.open(task["seen"], os.O_WRONLY | os.O_CREAT)
    # Behind the journal and the sizer: their calls have returned.
    engine.subscribe(lambda name, doc: os.write(seen, doc["uid"].encode() + b"\\n"))
    engine(count([Stored(name="mythen")], 100_000))

for line in sys.stdin:
    pid = os.fork()
    if not pid:
        try:
            measure(json.loads(line))
        finally:
            os._exit(1)
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
"""

Kill = Callable[[Path, signal.Signals, int, float], list[str]]


@pytest.fixture(scope="module")
def kill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kill]:
    """Measures until a moment after the first event, then kills; gives what the callbacks returned for."""
    process = subprocess.Popen(
        [sys.executable, "-c", FORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def measure(folder: Path, how: signal.Signals, workers: int, moment_s: float) -> list[str]:
        seen = folder / "seen"
        task: dict[str, Any] = {
            "state": str(folder / "state"),
            "settings": str(folder.parent / "qdsizer.toml"),
            "seen": str(seen),
            "workers": workers,
        }
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(task) + "\n")
        process.stdin.flush()
        pid = int(process.stdout.readline())
        deadline = time.monotonic() + 120
        while not seen.exists() or seen.stat().st_size < 3 * 37:  # start, descriptor and an event
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(moment_s)
        os.kill(pid, how)
        assert os.WTERMSIG(int(process.stdout.readline())) == how
        return seen.read_text().split("\n")[:-1]

    yield measure
    process.stdin.close()
    process.stdout.close()
    process.wait(60)


@pytest.mark.parametrize("workers", [0, 1], ids=["thread", "process"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_every_document_that_returned_is_recovered(
    how: signal.Signals, workers: int, kill: Kill, settings_file: Path, tmp_path: Path
) -> None:
    assert settings_file == tmp_path / "qdsizer.toml"
    rng = random.Random(f"{how.name} {workers}")
    n_returned = n_recovered = 0
    for moment in range(MOMENTS):
        folder = tmp_path / f"{moment}"
        folder.mkdir()
        returned = kill(folder, how, workers, WITHIN_S * rng.random())
        (journal,) = spooled_runs(folder / "state" / "qdsizer_stream" / "spool", unfinished=True)
        kept = [doc["uid"] for _, doc in read_documents(journal)]
        assert len(returned) >= 3
        assert kept[: len(returned)] == returned, f"moment {moment}"
        assert len(kept) - len(returned) <= 1  # the one in progress
        # A kill in the middle of a write leaves half a document, which did not return.
        assert all(damage.at_end for damage in read_journal(journal) if isinstance(damage, Damage))
        n_returned += len(returned)
        n_recovered += len(set(kept) & set(returned))
    mode = "process" if workers else "thread"
    print(f"{how.name}, {mode}: {MOMENTS} of {MOMENTS} moments, {n_recovered} of {n_returned} documents")

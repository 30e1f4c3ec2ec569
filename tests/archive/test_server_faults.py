"""A real Tiled server in a process of its own that hangs, runs out of disk and dies in mid-run."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky.plans import count
from bluesky.preprocessors import run_decorator
from bluesky_tiled_plugins import TiledWriter
from tiled.client import from_uri

from qdsizer_stream.archive import (
    LinkedRuns,
    SpooledWriter,
    WriteBack,
    replay,
    replay_into,
    spooled_runs,
    upload,
)
from qdsizer_stream.callbacks import LiveConfig, LiveSizer
from qdsizer_stream.devices import SimMythen
from qdsizer_stream.errors import ArchiveError
from qdsizer_stream.sizing import Sizer

pytestmark = pytest.mark.integration

Documents = list[tuple[str, Any]]
N_FRAMES = 4

PATIENCE_S = 250
"""How long anything here may take, s, on a machine that is busy with something else."""

SERVE = """
import json, sys
from pathlib import Path
from qdsizer_stream.archive import embedded_tiled

folder = Path(sys.argv[1])
with embedded_tiled(folder) as client:
    print(json.dumps([str(client.context.api_uri), (folder / "api_key").read_text()]), flush=True)
    sys.stdin.read()
"""


class Server:
    """A Tiled server on disk, in a process that can be stopped, starved and killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        uri, key = json.loads(self.process.stdout.readline())
        self.client: Any = from_uri(uri, api_key=key)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.client.context.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    one = Server(tmp_path_factory.mktemp("served"))
    yield one
    one.kill()


@contextmanager
def impatient() -> Iterator[None]:
    """Take a fault for one at once: Tiled's client tries ten times, for 45 s."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tiled.client.utils.TILED_RETRY_ATTEMPTS", 1)
        yield


class Measured:
    """A run through RunEngine, live sizer and spooled writer, with a fault in the middle."""

    def __init__(self, client: Any, spool: Path, live: LiveSizer, device: SimMythen) -> None:
        self.writer = SpooledWriter(TiledWriter(client, batch_size=1), spool)
        self._live, self._device = live, device
        self.documents: Documents = []

    def run(self, fault: Callable[[], object]) -> None:
        @run_decorator()
        def plan() -> Iterator[Any]:
            for number in range(N_FRAMES):
                if number == N_FRAMES // 2:
                    assert self._live.wait(PATIENCE_S)
                    assert self.writer.wait(PATIENCE_S)
                    fault()
                yield from bps.trigger_and_read([self._device])

        self._live.subscribe(self.writer)
        self._live.subscribe(lambda name, doc: self.documents.append((name, doc)))
        engine = RunEngine({})
        engine.subscribe(self._live)
        engine(plan())  # finishes whatever becomes of the server
        assert self._live.wait(PATIENCE_S)

    @property
    def uid(self) -> str:
        return str(self.documents[0][1]["uid"])

    def assert_archived(self, client: Any) -> None:
        """Everything measured and sized is in the archive, once, to the last bit."""
        run = client[self.uid]
        assert run.metadata["stop"]["num_events"] == {"primary": N_FRAMES, "qd_size": N_FRAMES}
        for stream, key in (("primary", "mythen_image"), ("qd_size", "qdsizer_size")):
            values = [doc["data"][key] for _, doc in self.documents if key in doc.get("data", {})]
            assert len(values) == N_FRAMES
            np.testing.assert_array_equal(run[stream].read()[key], values)
        statuses = run["qd_size"].read()["qdsizer_status"]
        assert list(statuses.values) == ["sized"] * N_FRAMES


@pytest.fixture
def measured(
    server: Server, tmp_path: Path, live: Callable[..., LiveSizer], mythen: Callable[..., SimMythen]
) -> Iterator[Measured]:
    one = Measured(server.client, tmp_path / "spool", live(), mythen())
    yield one
    one.writer.close(10)


def spooled(measured: Measured, folder: Path) -> Path:
    (journal,) = spooled_runs(folder)
    assert journal.stem == measured.uid
    return journal


def test_a_server_that_hangs_and_wakes_up(server: Server, measured: Measured, tmp_path: Path) -> None:
    measured.run(lambda: os.kill(server.process.pid, signal.SIGSTOP))
    # The run is over and sized while the writer still waits for an answer; it lies in the spool, whole.
    assert not measured.writer.close(0.1)
    spooled(measured, tmp_path / "spool")
    os.kill(server.process.pid, signal.SIGCONT)
    assert measured.writer.wait(PATIENCE_S)
    for journal in spooled_runs(tmp_path / "spool"):  # none where the server was in time after all
        upload(journal, server.client, TiledWriter(server.client))
    measured.assert_archived(server.client)


def test_a_server_whose_disk_is_full(server: Server, measured: Measured, tmp_path: Path) -> None:
    pid, limit = server.process.pid, resource.RLIMIT_FSIZE
    before = resource.prlimit(pid, limit)
    try:
        with impatient():
            # No file of the server may grow any further, and no new one be written, as on a full disk.
            measured.run(lambda: resource.prlimit(pid, limit, (0, before[1])))
            assert measured.writer.wait(PATIENCE_S)
    finally:
        resource.prlimit(pid, limit, before)
    assert measured.writer.spooled == 1
    upload(spooled(measured, tmp_path / "spool"), server.client, TiledWriter(server.client))
    measured.assert_archived(server.client)


def test_a_server_that_is_killed(server: Server, measured: Measured, tmp_path: Path) -> None:
    with impatient():
        measured.run(server.kill)
        assert measured.writer.wait(PATIENCE_S)
    assert measured.writer.spooled == 1
    server.start()
    assert not server.client[measured.uid].metadata.get("stop")  # a part of it is there
    upload(spooled(measured, tmp_path / "spool"), server.client, TiledWriter(server.client))
    measured.assert_archived(server.client)


ARCHIVED_FRAMES = 28
"""Frames of a run to replay: more than a replay reads ahead of what it sizes."""


@pytest.fixture
def archived(server: Server, mythen: Callable[..., SimMythen]) -> str:
    """A run that nobody has sized."""
    engine = RunEngine({})
    engine.subscribe(TiledWriter(server.client))
    (uid,) = engine(count([mythen()], ARCHIVED_FRAMES))
    return str(uid)


@pytest.mark.parametrize(("doing", "write_back"), [("sizing", False), ("writing", False), ("writing", True)])
def test_a_server_that_is_killed_in_mid_replay(
    server: Server,
    archived: str,
    config: LiveConfig,
    sizer: Sizer,
    tmp_path: Path,
    doing: str,
    write_back: bool,
) -> None:
    single = {"request_bytes": 4 * 30_720}  # one frame per request
    uninterrupted = [
        doc["data"]
        for name, doc in replay(server.client[archived], config, sizer, **single)
        if name == "event"
    ]

    def again(tell: Callable[[str, int, int], None] = lambda *_: None) -> Any:
        catalog = server.client
        destination = WriteBack(batch_events=3) if write_back else LinkedRuns(catalog)
        return replay_into(catalog[archived], config, destination, tmp_path, sizer, report=tell, **single)

    def kill(what: str, done: int, total: int) -> None:
        if (what, done) == (doing, 4):
            server.process.kill()
            server.process.wait()

    before = set(server.client)
    with impatient(), pytest.raises(ArchiveError, match="the server does not answer"):
        again(kill)
    server.kill()
    server.start()
    if doing == "sizing":  # nothing was written, not even half
        assert set(server.client) == before
    outcome = again()
    assert outcome.frames == ARCHIVED_FRAMES
    if doing == "writing":
        assert outcome.resumed == ARCHIVED_FRAMES
    else:  # and what had been read ahead
        assert 4 <= outcome.resumed < ARCHIVED_FRAMES
    run = server.client[outcome.written]
    assert run.metadata["stop"]["num_events"]["qd_size"] == ARCHIVED_FRAMES
    stored = run["qd_size"].read()
    for key in uninterrupted[0]:
        np.testing.assert_array_equal(stored[key].values, [data[key] for data in uninterrupted])
    # Once, and nothing left of the attempt before.
    assert set(server.client) == before | {outcome.written}


def test_a_second_writer_is_explained_and_harms_nobody(
    server: Server,
    live: Callable[..., LiveSizer],
    mythen: Callable[..., SimMythen],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The 409 of an archive that has the run already reaches the log, not the plan."""
    sizer = live()
    events: list[Any] = []
    sizer.subscribe(TiledWriter(server.client))
    sizer.subscribe(lambda name, doc: events.append(doc["data"]), "event")
    engine = RunEngine({})
    engine.subscribe(TiledWriter(server.client))  # the one that a profile had all along
    engine.subscribe(sizer)

    @run_decorator()
    def plan() -> Iterator[Any]:
        assert sizer.wait(PATIENCE_S)
        yield from bps.trigger_and_read([mythen()])

    engine(plan())
    assert sizer.wait(PATIENCE_S)
    assert [data["qdsizer_status"] for data in events if "qdsizer_status" in data] == ["sized"]
    assert "409" in caplog.text
    assert "is another writer subscribed too?" in caplog.text

"""Replays on the workers of a Dask cluster: the same numbers, each run once, whatever happens to a worker."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky_tiled_plugins import TiledWriter

from qdsizer_stream.archive import (
    LinkedRuns,
    ReplayOutcome,
    audit,
    open_archive,
    replay_into,
    replay_on_cluster,
    sized_run,
)
from qdsizer_stream.archive import _cluster as cluster_module
from qdsizer_stream.callbacks import LiveConfig
from qdsizer_stream.devices import SimMythenHdf5
from qdsizer_stream.errors import ArchiveError, ModelError
from qdsizer_stream.sizing import Sizer

distributed = pytest.importorskip("distributed", reason="Dask is not installed")

pytestmark = [pytest.mark.integration, pytest.mark.slow]

RUNS, FRAMES, N_WORKERS = 4, 12, 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("archive")


@pytest.fixture(scope="module")
def catalog(folder: Path, files: Path) -> Iterator[Any]:
    """Archive of a folder that this process serves, as the command does."""
    with open_archive(folder, readable=[files], create=True) as client:
        yield client


@pytest.fixture(scope="module")
def runs(catalog: Any, mythen: Any, config: LiveConfig) -> dict[str, LiveConfig]:
    engine = RunEngine({})
    engine.subscribe(TiledWriter(catalog))
    uids = [engine(count([mythen(seed=seed)], FRAMES))[0] for seed in range(RUNS)]
    return dict.fromkeys(uids, config)


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """Two workers, processes as on other machines."""
    with distributed.LocalCluster(
        n_workers=N_WORKERS, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as cluster:
        yield cluster.scheduler_address


def derived(catalog: Any, uid: str) -> list[Any]:
    return [run for run in catalog.values() if run.metadata["start"].get("original_run_uid") == uid]


def values(run: Any) -> list[dict[str, Any]]:
    """What was estimated, without when."""
    return [
        {key: value for key, value in event.items() if key.startswith("qdsizer_")}
        for event in sized_run(run).events
    ]


def test_the_same_numbers_and_each_run_once(
    catalog: Any, folder: Path, runs: dict[str, LiveConfig], scheduler: str, tmp_path: Path, sizer: Sizer
) -> None:
    steps: list[tuple[str, int, int]] = []
    outcomes = dict(
        replay_on_cluster(
            folder, runs, scheduler, tmp_path / "journals", report=lambda *step: steps.append(step)
        )
    )
    assert outcomes.keys() == runs.keys()
    assert steps == [("sizing on the cluster", done, RUNS) for done in range(RUNS + 1)]
    for uid, outcome in outcomes.items():
        assert isinstance(outcome, ReplayOutcome)
        assert (outcome.frames, outcome.found) == (FRAMES, False)
        (run,) = derived(catalog, uid)
        assert run.metadata["start"]["uid"] == outcome.written
        here = replay_into(catalog[uid], runs[uid], LinkedRuns(catalog), tmp_path / "here", sizer, again=True)
        for one, other in zip(values(run), values(catalog[here.written]), strict=True):
            np.testing.assert_equal(one, other)  # to the last bit, and NaN equal
        catalog.delete_contents([here.written], recursive=True, external_only=False)
    assert list(tmp_path.joinpath("journals").iterdir()) == []
    again = dict(replay_on_cluster(folder, runs, scheduler, tmp_path / "journals"))
    assert [one.found for one in again.values()] == [True] * RUNS
    assert {uid: one.written for uid, one in again.items()} == {
        uid: one.written for uid, one in outcomes.items()
    }
    assert list(audit(catalog)) == []


def test_a_worker_that_is_killed_loses_and_doubles_nothing(
    catalog: Any, folder: Path, runs: dict[str, LiveConfig], tmp_path: Path
) -> None:
    journals = tmp_path / "journals"
    other = {uid: one.model_copy(update={"queue_frames": 999}) for uid, one in runs.items()}  # not found
    with distributed.LocalCluster(
        n_workers=N_WORKERS, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as cluster:
        killed: list[int] = []

        def kill() -> None:
            while not any(file.stat().st_size > 20_000 for file in journals.glob("*.replay")):
                time.sleep(0.005)
            killed.append(cluster.workers[0].pid)
            os.kill(killed[0], signal.SIGKILL)

        thread = threading.Thread(target=kill, daemon=True)
        thread.start()
        outcomes = dict(replay_on_cluster(folder, other, cluster.scheduler_address, journals))
        thread.join(1)
    assert killed
    assert outcomes.keys() == runs.keys()
    for uid, outcome in outcomes.items():
        assert isinstance(outcome, ReplayOutcome), outcome
        assert outcome.frames == FRAMES
        written = [
            run for run in derived(catalog, uid) if run.metadata["start"]["qdsizer"]["queue_frames"] == 999
        ]
        (run,) = written
        assert run.metadata["stop"]["num_events"] == {"qd_size": FRAMES, "qd_size_smoothed": FRAMES}
        assert len(sized_run(run).events) == FRAMES
    assert list(audit(catalog)) == []


def test_frames_in_files_are_read_by_the_server_and_not_by_the_cluster(
    catalog: Any, folder: Path, files: Path, mythen: Any, config: LiveConfig, scheduler: str, tmp_path: Path
) -> None:
    """Tiled's server computes them with Dask: sent to workers that wait for them, they would never come."""
    engine = RunEngine({})
    engine.subscribe(TiledWriter(catalog))
    device = mythen(kind=SimMythenHdf5, directory=files)
    uids = [engine(count([device], FRAMES))[0] for _ in range(2 * N_WORKERS)]
    outcomes = dict(replay_on_cluster(folder, dict.fromkeys(uids, config), scheduler, tmp_path))
    assert {uid: outcome.frames for uid, outcome in outcomes.items()} == dict.fromkeys(uids, FRAMES)


def test_sizes_are_written_back(
    catalog: Any, folder: Path, runs: dict[str, LiveConfig], dask_scheduler: str, tmp_path: Path
) -> None:
    uid = next(iter(runs))
    ((_, outcome),) = replay_on_cluster(folder, {uid: runs[uid]}, dask_scheduler, tmp_path, write_back=True)
    assert isinstance(outcome, ReplayOutcome)
    assert outcome.written == uid
    assert catalog[uid].metadata["stop"]["num_events"]["qd_size"] == FRAMES


def test_a_run_that_cannot_be_sized_does_not_stop_the_others(
    folder: Path, runs: dict[str, LiveConfig], dask_scheduler: str, tmp_path: Path
) -> None:
    uid = next(iter(runs))
    mixed = {"0" * 36: runs[uid], uid: runs[uid]}
    outcomes = dict(replay_on_cluster(folder, mixed, dask_scheduler, tmp_path, again=True))
    assert isinstance(outcomes[uid], ReplayOutcome)
    assert isinstance(outcomes["0" * 36], ArchiveError)
    assert "0" * 36 in f"{outcomes['0' * 36]}"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ("version", ArchiveError, r"the worker on .* has qdsizer_stream 0\.0\.1, this command "),
        ("model", ModelError, r"model pbs on .* is \w{8}, here 00000000: copy the file"),
        ("archive", ArchiveError, r"is a folder that no process on .* serves: other machines need the URL"),
        ("fault", ArchiveError, r"not sized on the cluster: ZeroDivisionError: division by zero"),
    ],
)
def test_what_differs_on_a_worker_is_named(
    runs: dict[str, LiveConfig],
    folder: Path,
    dask_scheduler: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
    error: type[Exception],
    message: str,
) -> None:
    archive = folder
    if change == "version":
        submit = cluster_module.finished_tasks

        def older(*arguments: Any, **more: Any) -> Any:
            monkeypatch.setattr(cluster_module, "__version__", "0.0.1")
            return submit(*arguments, **more)

        monkeypatch.setattr(cluster_module, "finished_tasks", older)
    elif change == "model":
        load = cluster_module.load_model

        class Changed:
            sha256 = "0" * 64

        monkeypatch.setattr(cluster_module, "load_model", lambda name: Changed() if load(name) else None)
    elif change == "archive":
        archive = tmp_path / "other"
        archive.mkdir()
        (archive / "catalog.db").touch()
    else:
        monkeypatch.setattr(cluster_module, "replay_into", lambda *_, **__: 1 / 0)
    uid = next(iter(runs))
    ((_, outcome),) = replay_on_cluster(archive, {uid: runs[uid]}, dask_scheduler, tmp_path)
    assert isinstance(outcome, error)
    with pytest.raises(error, match=message):
        raise outcome

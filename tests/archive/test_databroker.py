"""Runs of databroker: in MongoDB (mongomock) and behind the old interface of a Tiled archive."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky_tiled_plugins import BlueskyRun, TiledWriter
from tiled.client.container import DEFAULT_STRUCTURE_CLIENT_DISPATCH

from qdsizer_stream.archive import (
    Comparison,
    LinkedRuns,
    WriteBack,
    archived_config,
    find_run,
    replay_into,
    select_runs,
)
from qdsizer_stream.callbacks import Destination, LiveConfig, LiveSizer
from qdsizer_stream.devices import SimMythen
from qdsizer_stream.errors import ArchiveError
from qdsizer_stream.sizing import Sizer

databroker = pytest.importorskip("databroker", reason="the extra databroker is not installed")
v1 = pytest.importorskip("databroker.v1", reason="the extra databroker is not installed")

# databroker, Tiled's server in this process and mongomock use what is deprecated elsewhere.
pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

FRAMES = 3


def measure(
    insert: Any, device: SimMythen, config: LiveConfig, sizer: Sizer, **metadata: Any
) -> tuple[str, list[dict[str, Any]]]:
    """Identifier of a run and its live sizes."""
    live = LiveSizer(config, sizer)
    sizes: list[dict[str, Any]] = []
    live.subscribe(
        lambda name, doc: sizes.append(doc["data"]) if "qdsizer_size" in doc["data"] else None, "event"
    )
    live.subscribe(insert)
    engine = RunEngine({})
    engine.subscribe(live)
    (uid,) = engine(count([device], FRAMES), **metadata)
    assert live.close(60)
    assert live.counters.contained == 0
    return uid, sizes


def assert_equal(table: Any, live: list[dict[str, Any]]) -> None:
    """Hold a table of sizes against the live ones, to the last bit."""
    assert len(table) == len(live) == FRAMES
    for row, data in zip(table.to_dict("records"), live, strict=True):
        for key in data.keys() - {"qdsizer_latency"}:
            stored = row[key]
            # MongoDB's documents travel as JSON, where what is no number is null.
            missing = stored is None or stored != stored
            assert stored == data[key] or (missing and math.isnan(data[key])), key


@pytest.fixture(scope="module")
def broker() -> Any:
    return databroker.temp()


def test_a_run_in_mongodb(
    broker: Any, tmp_path: Path, mythen: Callable[..., SimMythen], config: LiveConfig, sizer: Sizer
) -> None:
    uid, live = measure(broker.insert, mythen(), config, sizer, scan_id=7, sample="PbS")
    run = find_run(broker, uid)
    assert archived_config(run) == config
    assert [one.metadata["start"]["uid"] for one in select_runs(broker, query={"sample": "PbS"})] == [uid]
    derived = replay_into(run, config, LinkedRuns(broker), tmp_path / "journals", sizer)
    assert (derived.frames, derived.found) == (FRAMES, False)
    assert replay_into(run, config, LinkedRuns(broker), tmp_path / "journals", sizer).found
    assert_equal(broker[uid].table("qd_size"), live)
    assert_equal(broker[derived.written].table("qd_size"), live)
    names = [name for name, _ in broker[derived.written].documents()]
    assert (names[0], names[-1]) == ("start", "stop")
    with pytest.raises(ArchiveError, match="is in MongoDB, where a finished run cannot be extended"):
        replay_into(run, config, WriteBack(), tmp_path / "journals", sizer)


def in_files(documents: list[tuple[str, Any]], path: Path) -> Iterator[tuple[str, Any]]:
    """The same run, its frames in a file as areaDetector announced them before there were streams."""
    with h5py.File(path, "w") as file:
        frames = [doc["data"]["mythen_image"] for name, doc in documents if name == "event"]
        file["/entry/data/data"] = np.stack(frames)
    start = documents[0][1]["uid"]
    resource = {
        "uid": str(uuid4()),
        "spec": "AD_HDF5",
        "root": "/",
        "resource_path": str(path).lstrip("/"),
        "resource_kwargs": {"frame_per_point": 1},
        "path_semantics": "posix",
        "run_start": start,
    }
    for name, doc in documents:
        if name == "descriptor":
            keys = {**doc["data_keys"]}
            keys["mythen_image"] = {**keys["mythen_image"], "external": "FILESTORE:"}
            yield name, {**doc, "data_keys": keys}
            yield "resource", resource
        elif name == "event":
            datum = f"{resource['uid']}/{doc['seq_num'] - 1}"
            point = {"point_number": doc["seq_num"] - 1}
            yield "datum", {"datum_id": datum, "resource": resource["uid"], "datum_kwargs": point}
            data = {**doc["data"], "mythen_image": datum}
            yield name, {**doc, "data": data, "filled": {"mythen_image": False}}
        else:
            yield name, doc


def test_a_run_in_mongodb_with_frames_in_a_file(
    broker: Any, tmp_path: Path, mythen: Callable[..., SimMythen], config: LiveConfig, sizer: Sizer
) -> None:
    documents: list[tuple[str, Any]] = []
    RunEngine({})(count([mythen()], FRAMES), lambda name, doc: documents.append((name, doc)))
    live = [doc["data"] for name, doc in sized(documents, config, sizer) if name == "event"]
    for name, doc in in_files(documents, tmp_path / "frames.h5"):
        broker.insert(name, doc)
    run = find_run(broker, documents[0][1]["uid"])
    derived = replay_into(run, config, LinkedRuns(broker), tmp_path / "journals", sizer)
    assert_equal(broker[derived.written].table("qd_size"), live)


def sized(documents: list[tuple[str, Any]], config: LiveConfig, sizer: Sizer) -> list[tuple[str, Any]]:
    """Documents of the sizes that a live sizer gives."""
    out: list[tuple[str, Any]] = []
    one = LiveSizer(config.model_copy(update={"destination": Destination.LINKED_RUN}), sizer)
    one.subscribe(lambda name, doc: out.append((name, doc)))
    for name, doc in documents:
        one(name, doc)
    assert one.close(60)
    return [(name, doc) for name, doc in out if name != "event" or "qdsizer_size" in doc["data"]]


@pytest.fixture
def plain_clients() -> Iterator[None]:
    """Asking a run for its old interface changes the class of all runs (bluesky-tiled-plugins 2.0)."""
    yield
    for clients in DEFAULT_STRUCTURE_CLIENT_DISPATCH.values():
        clients.set("BlueskyRun", lambda: BlueskyRun)


@pytest.mark.usefixtures("plain_clients")
def test_a_header_of_a_tiled_archive(
    archive: Any, tmp_path: Path, mythen: Callable[..., SimMythen], config: LiveConfig, sizer: Sizer
) -> None:
    from bluesky_tiled_plugins import CatalogOfBlueskyRuns

    catalog = CatalogOfBlueskyRuns(
        archive.context, item=archive.item, structure_clients=archive.structure_clients
    )
    old = v1.Broker(catalog)
    uid, live = measure(TiledWriter(archive), mythen(), config, sizer)
    assert archived_config(old[uid]) == config
    comparison = Comparison(archive[uid])
    replay_into(old[uid], config, comparison, tmp_path, sizer)
    assert comparison.differences.equal == FRAMES
    derived = replay_into(old[uid], config, LinkedRuns(old), tmp_path, sizer)
    assert replay_into(old[uid], config, LinkedRuns(old), tmp_path, sizer).found
    assert_equal(old[derived.written].table("qd_size"), live)

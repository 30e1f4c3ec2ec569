"""Runs of databroker: in MongoDB (mongomock) and behind the old interface of a Tiled archive."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky_tiled_plugins import TiledWriter

from qdsizer_stream.archive import (
    Comparison,
    LinkedRuns,
    WriteBack,
    archived_config,
    find_run,
    replay_into,
    select_runs,
)
from qdsizer_stream.callbacks import LiveConfig, LiveSizer
from qdsizer_stream.devices import SimMythen, SimMythenHdf5
from qdsizer_stream.errors import ArchiveError
from qdsizer_stream.sizing import Sizer

databroker = pytest.importorskip("databroker", reason="the extra databroker is not installed")
v1 = pytest.importorskip("databroker.v1", reason="the extra databroker is not installed")

# databroker, Tiled's server in this process and mongomock use what is deprecated elsewhere.
pytestmark = [
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


@pytest.mark.parametrize("stored_in", ["events", "files"])
def test_a_run_in_mongodb(
    broker: Any,
    tmp_path: Path,
    mythen: Callable[..., SimMythen],
    config: LiveConfig,
    sizer: Sizer,
    stored_in: str,
) -> None:
    device = mythen() if stored_in == "events" else mythen(kind=SimMythenHdf5, directory=tmp_path)
    uid, live = measure(broker.insert, device, config, sizer, scan_id=7, sample=stored_in)
    run = find_run(broker, uid)
    assert archived_config(run) == config
    assert [one.metadata["start"]["uid"] for one in select_runs(broker, query={"sample": stored_in})] == [uid]
    derived = replay_into(run, config, LinkedRuns(broker), tmp_path / "journals", sizer)
    assert (derived.frames, derived.found) == (FRAMES, False)
    assert replay_into(run, config, LinkedRuns(broker), tmp_path / "journals", sizer).found
    assert_equal(broker[uid].table("qd_size"), live)
    assert_equal(broker[derived.written].table("qd_size"), live)
    names = [name for name, _ in broker[derived.written].documents()]
    assert (names[0], names[-1]) == ("start", "stop")
    with pytest.raises(ArchiveError, match="lies in MongoDB, where a run that is closed cannot grow"):
        replay_into(run, config, WriteBack(), tmp_path / "journals", sizer)


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

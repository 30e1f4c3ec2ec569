"""An archive whose server dies in mid-run: its own module, for a process serves one archive at a time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky_tiled_plugins import TiledWriter

from qdsizer_stream.archive import SpooledWriter, archived_config, embedded_tiled, spooled_runs, upload
from qdsizer_stream.callbacks import LiveConfig, LiveSizer
from qdsizer_stream.devices import SimMythen
from qdsizer_stream.sizing import Sizer

Documents = list[tuple[str, Any]]


@pytest.fixture(scope="module")
def documents(mythen: Callable[..., SimMythen], config: LiveConfig, sizer: Sizer) -> Documents:
    """Raw and derived documents of a run of five frames."""
    out: Documents = []
    live = LiveSizer(config, sizer)
    live.subscribe(lambda name, doc: out.append((name, doc)))
    engine = RunEngine({})
    engine.subscribe(live)
    engine(count([mythen()], 5))
    assert live.close(60)
    return out


def again(documents: Documents, run: str) -> Documents:
    """Make the same run under another name."""
    named = {"uid": "uid", "run_start": "run_start", "descriptor": "descriptor"}
    return [(name, {**doc, **{f: f"{run}-{doc[f]}" for f in named if f in doc}}) for name, doc in documents]


def uid_of(documents: Documents) -> str:
    return str(documents[0][1]["uid"])


def test_a_server_that_dies_in_mid_run(
    tmp_path: Path, documents: Documents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tiled.client.utils.TILED_RETRY_ATTEMPTS", 1)
    spool = tmp_path / "spool"
    before = again(documents, "before")
    with embedded_tiled(tmp_path / "archive") as archive:
        writer = SpooledWriter(TiledWriter(archive, batch_size=1), spool)
        for name, doc in before:
            writer(name, doc)
        for name, doc in documents[:7]:
            writer(name, doc)
        assert writer.wait(60)
    for name, doc in documents[7:]:
        writer(name, doc)
    assert writer.close(60)
    assert writer.spooled == 1
    with embedded_tiled(tmp_path / "archive") as archive:
        uid = uid_of(documents)
        assert not archive[uid].metadata.get("stop")  # half of it is there
        (journal,) = spooled_runs(spool)
        assert upload(journal, archive, TiledWriter(archive)) == uid
        assert not spooled_runs(spool)
        for run in (archive[uid], archive[uid_of(before)]):
            assert run.metadata["stop"]["num_events"] == {"primary": 5, "qd_size": 5}
            frames = [
                doc["data"]["mythen_image"]
                for name, doc in documents
                if "mythen_image" in doc.get("data", {})
            ]
            np.testing.assert_array_equal(run["primary/mythen_image"].read(), frames)
            sizes = [
                doc["data"]["qdsizer_size"]
                for name, doc in documents
                if "qdsizer_size" in doc.get("data", {})
            ]
            np.testing.assert_array_equal(run["qd_size"].read()["qdsizer_size"], sizes)
        assert archived_config(archive[uid]).sizing.model == "pbs"

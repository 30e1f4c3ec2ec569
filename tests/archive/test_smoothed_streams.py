"""The smoothed track of runs with several streams of frames, sized before it was stored."""

from collections.abc import Iterator
from typing import Any

import pytest
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky_tiled_plugins import TiledWriter

from qdsizer_stream.archive import replay, sized_run
from qdsizer_stream.callbacks import LiveConfig, LiveSizer, smoothed_track
from qdsizer_stream.sizing import Sizer

pytestmark = pytest.mark.integration

Documents = list[tuple[str, Any]]


@pytest.fixture(scope="module")
def documents(archive: Any, config: LiveConfig, sizer: Sizer, mythen: Any) -> Documents:
    """A run with frames of two streams in turns, sized live into the archive."""
    device = mythen()

    def plan() -> Iterator[Any]:
        yield from bps.stage(device)
        yield from bps.open_run({"sample": "two places"})
        for _ in range(3):
            yield from bps.trigger_and_read([device], name="upstream")
            yield from bps.trigger_and_read([device], name="downstream")
        yield from bps.close_run()
        yield from bps.unstage(device)

    live = LiveSizer(config, sizer)
    out: Documents = []
    live.subscribe(lambda name, doc: out.append((name, doc)))
    live.subscribe(TiledWriter(archive))
    engine = RunEngine({})
    engine.subscribe(live)
    engine(plan())
    assert live.close(60)
    return out


def by_stream(documents: Documents) -> list[tuple[str, dict[str, Any]]]:
    """Stream of the frame and data of each estimate."""
    streams = {
        doc["uid"]: doc["configuration"]["qdsizer"]["data"]["qdsizer_frame_stream"]
        for name, doc in documents
        if name == "descriptor" and doc["name"] == "qd_size"
    }
    return [
        (streams[doc["descriptor"]], doc["data"])
        for name, doc in documents
        if name == "event" and doc["descriptor"] in streams
    ]


def test_each_stream_has_its_own_track(archive: Any, documents: Documents) -> None:
    run = sized_run(archive[documents[0][1]["uid"]])
    found = by_stream(documents)
    assert [stream for stream, _ in found] == ["upstream", "downstream"] * 3
    for place, stream in enumerate(("upstream", "downstream")):
        alone = smoothed_track([data for one, data in found if one == stream])
        assert [point.size_nm for point in run.smoothed[place::2]] == [point.size_nm for point in alone]
    assert run.not_smoothed == ""
    table = run.sizes()
    assert "not_smoothed" not in table.attrs
    mixed = smoothed_track([data for _, data in found])
    assert [point.size_nm for point in run.smoothed] != [point.size_nm for point in mixed]


def test_where_the_streams_are_not_known_there_is_no_track_and_the_reason(
    archive: Any, config: LiveConfig, sizer: Sizer, documents: Documents
) -> None:
    """A run linked to the first one, as replays were before they stored the smoothed track."""
    again = list(replay(archive[documents[0][1]["uid"]], config, sizer))
    writer = TiledWriter(archive)
    for name, doc in again:
        writer(name, dict(doc))
    run = sized_run(archive[again[0][1]["uid"]])
    assert len(run.events) == 6
    assert all(point.size_nm != point.size_nm for point in run.smoothed)
    reason = "its frames are of several streams, and it does not hold which size is of which"
    assert run.not_smoothed.startswith(reason)
    table = run.sizes()
    assert table.attrs["not_smoothed"] == run.not_smoothed
    assert table["smoothed_size_nm"].isna().all()
    assert table["size_nm"].notna().all()

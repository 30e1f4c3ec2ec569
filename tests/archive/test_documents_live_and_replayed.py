"""Documents of older producers and unusual files: the replayed sizes are the live ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky_tiled_plugins import TiledWriter
from ophyd import Signal

from qdsizer_stream.archive import replay
from qdsizer_stream.callbacks import LiveConfig, LiveSizer, NumberSource, WavelengthSource
from qdsizer_stream.sizing import Sizer

from ..callbacks.producers import ResourceDatumMythen

pytestmark = pytest.mark.integration

Documents = list[tuple[str, Any]]
Estimates = list[dict[str, Any]]
N_FRAMES = 3
WAVELENGTH = 0.5637


def recorded(plan: Any) -> Documents:
    documents: Documents = []
    RunEngine({})(plan, lambda name, doc: documents.append((name, doc)))
    return documents


def estimates(documents: Documents) -> Estimates:
    return [
        {key: doc["data"][f"qdsizer_{key}"] for key in ("frame_seq_num", "size", "status", "reason")}
        for name, doc in documents
        if name == "event" and "qdsizer_size" in doc["data"]
    ]


def account(documents: Documents) -> dict[str, Any]:
    (stop,) = [doc for name, doc in documents if name == "stop"]
    streams: dict[str, Any] = stop["qdsizer"]["streams"]
    for one in streams.values():
        assert one["announced"] == one["sized"] + sum(one["rejected"].values())
    return streams


@pytest.fixture(scope="module")
def frames(mythen: Any) -> list[Any]:
    """Frames that the detector of these tests takes, in order."""
    documents = recorded(count([mythen()], 2 * N_FRAMES))
    return [doc["data"]["mythen_image"] for name, doc in documents if name == "event"]


@pytest.fixture(scope="module")
def expected(frames: list[Any], sizer: Sizer) -> list[float]:
    """Their sizes, without any document."""
    return [sizer.size_frame(frame, WAVELENGTH).size_nm for frame in frames]


def sizes(documents: Documents) -> list[float]:
    assert {one["reason"] for one in estimates(documents)} <= {""}
    return [one["size"] for one in estimates(documents)]


@pytest.fixture
def both(archive: Any, config: LiveConfig, sizer: Sizer) -> Callable[..., tuple[Documents, Documents]]:
    """Documents of a run, sized live and, from the archive, replayed."""

    def play(documents: Documents, **settings: Any) -> tuple[Documents, Documents]:
        changed = config.model_copy(update=settings)
        live = LiveSizer(changed, sizer)
        out: Documents = []
        live.subscribe(lambda name, doc: out.append((name, doc)))
        live.subscribe(TiledWriter(archive))
        for name, doc in documents:
            live(name, doc)
        assert live.close(60)
        assert live.counters.contained == 0
        return out, list(replay(archive[documents[0][1]["uid"]], changed, sizer))

    return play


def bulk(documents: Documents) -> Documents:
    """Events and datums in the documents of 2018, just before the stop."""
    events = [doc for name, doc in documents if name == "event"]
    datums = [doc for name, doc in documents if name == "datum"]
    of_events = ("bulk_events", {events[0]["descriptor"]: events})
    of_datums = {
        "resource": datums[0]["resource"] if datums else "",
        "datum_ids": [doc["datum_id"] for doc in datums],
        "datum_kwarg_list": [doc["datum_kwargs"] for doc in datums],
    }
    rest = [(name, doc) for name, doc in documents if name not in ("event", "datum")]
    return [*rest[:-1], *([("bulk_datum", of_datums)] if datums else []), of_events, rest[-1]]


@pytest.mark.filterwarnings("ignore:The document type 'bulk_")  # of event-model, on the way to Tiled
@pytest.mark.parametrize("kind", ["inline", "file"])
def test_bulk_events_and_bulk_datum(
    kind: str, both: Any, mythen: Any, files: Path, expected: list[float]
) -> None:
    device = mythen(kind=ResourceDatumMythen, directory=files) if kind == "file" else mythen()
    live, again = both(bulk(recorded(count([device], N_FRAMES))))
    assert sizes(live) == expected[:N_FRAMES]
    assert estimates(again) == estimates(live)
    assert account(live) == {"primary": {"announced": 3, "sized": 3, "rejected": {}}}
    assert account(again) == account(live)


def monitored(mythen: Any, *signals: tuple[str, float]) -> Any:
    return count([mythen(), *(Signal(name=name, value=value) for name, value in signals)], 2)


@pytest.mark.parametrize("key", ["time", "seq_num", "time_", "ts_time", "ts_monitor", "ts_ts_time"])
def test_a_data_key_with_a_name_that_tables_use(key: str, both: Any, mythen: Any, frames: list[Any]) -> None:
    """The value of the key is 1.5, the time of the event and the number are not."""
    documents = recorded(monitored(mythen, (key, 1.5), ("other", 2.0)))
    live, again = both(documents, monitor=NumberSource(data_key=key))
    assert [one["status"] for one in estimates(live)] == ["sized"] * 2
    assert estimates(again) == estimates(live)
    times = [
        [doc["time"] for name, doc in out if name == "event" and "qdsizer_size" in doc["data"]]
        for out in (live, again)
    ]
    assert times[0] == times[1]


def test_a_key_whose_values_the_archive_does_not_hold(both: Any, mythen: Any) -> None:
    documents = recorded(monitored(mythen, ("ts_mono", 0.5652), ("mono", 5.0)))
    live, again = both(documents, wavelength=WavelengthSource(data_key="ts_mono", unit="angstrom"))
    assert [one["status"] for one in estimates(live)] == ["sized"] * 2
    assert [one["reason"] for one in estimates(again)] == [
        "no wavelength: the archive holds the timestamps of 'mono' in place of the data key 'ts_mono': size "
        "such runs live, or rename the key"
    ] * 2
    assert account(again) == {"primary": {"announced": 2, "sized": 0, "rejected": {"bad_frame": 2}}}


def test_a_key_that_took_the_place_of_the_times_of_events(
    archive: Any, config: LiveConfig, sizer: Sizer, mythen: Any
) -> None:
    documents = recorded(monitored(mythen, ("time", 1.5)))
    writer = TiledWriter(archive, normalizer=None)
    for name, doc in documents:
        writer(name, dict(doc))
    again = estimates(list(replay(archive[documents[0][1]["uid"]], config, sizer)))
    assert [one["reason"] for one in again] == [
        "the archive holds the values of the data key 'time' where the time of the events should be: write "
        "the run again with the normalizer of TiledWriter, or rename the key"
    ] * 2

"""Documents of older producers and unusual files: the replayed sizes are the live ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky_tiled_plugins import TiledWriter

from qdsizer_stream.archive import replay
from qdsizer_stream.callbacks import LiveConfig, LiveSizer
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

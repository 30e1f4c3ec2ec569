"""Documents of archived runs, from the containers that a Tiled client shows."""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from qdsizer_stream.archive import run_documents
from qdsizer_stream.callbacks import LiveConfig
from qdsizer_stream.errors import ArchiveError

N_STRIPS = 24 * 1280
STREAM = [SimpleNamespace(name="BlueskyEventStream", version="3.0")]


class Asked:
    """An array on a server, which notes the rows asked for; all of one number each."""

    def __init__(self, shape: tuple[int, ...], chunk: int, dtype: str = "u4") -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self.metadata: dict[str, Any] = {}
        rows = [chunk] * (shape[0] // chunk) + [shape[0] % chunk] * (shape[0] % chunk > 0)
        self.chunks = (tuple(rows), *((length,) for length in shape[1:]))
        self.requests: list[tuple[int, int]] = []

    def __getitem__(self, rows: slice) -> NDArray[np.generic]:
        first, last = int(rows.start), min(int(rows.stop), self.shape[0])
        self.requests.append((first, last))
        numbers = np.arange(first, last, dtype=self.dtype).reshape(-1, *[1] * (len(self.shape) - 1))
        return np.broadcast_to(numbers, (last - first, *self.shape[1:]))


class Table(dict[str, Any]):
    """A table on a server: read without the columns of frames."""

    @property
    def columns(self) -> list[str]:
        return list(self)

    def read(self, columns: list[str]) -> pd.DataFrame:
        return pd.DataFrame({name: self[name] for name in columns})


class Stream:
    specs = STREAM

    def __init__(self, parts: dict[str, Any], data_keys: dict[str, Any]) -> None:
        self.base = parts
        self.descriptors = [{"uid": "d", "name": "primary", "time": 10.0, "data_keys": data_keys}]


class Run:
    specs = (SimpleNamespace(name="BlueskyRun", version="3.0"),)

    def __init__(self, stream: Stream, n_events: int) -> None:
        self.base = {"primary": stream}
        self.metadata = {
            "start": {"uid": "r", "time": 9.0},
            "stop": {"uid": "s", "run_start": "r", "num_events": {"primary": n_events}},
        }

    def __getitem__(self, name: str) -> Stream:
        return self.base[name]

    def refresh(self) -> "Run":
        return self


def rows(n_events: int, **columns: Any) -> Table:
    times = 11.0 + np.arange(n_events)
    return Table({"seq_num": np.arange(1, n_events + 1), "time": times, **columns})


def run_of(*arrays: Asked, n_events: int, described: tuple[int, ...] = (N_STRIPS,), **columns: Any) -> Run:
    names = [f"mythen_{index}" for index in range(len(arrays))]
    keys = {name: {"shape": list(described), "external": "STREAM:", "dtype": "array"} for name in names}
    keys |= {name: {"shape": [], "dtype": "number"} for name in columns if not name.startswith("ts_")}
    parts = dict(zip(names, arrays, strict=True)) | {"internal": rows(n_events, **columns)}
    return Run(Stream(parts, keys), n_events)


def events_of(run: Run, config: LiveConfig, skip: int = 0) -> list[dict[str, Any]]:
    return [doc for name, doc in run_documents(run, config, skip) if name == "event"]


@pytest.mark.parametrize(
    ("chunk", "widths"),
    [
        (100, [400, 400, 200]),  # whole chunks of the server, as many as fit
        (150, [300, 300, 300, 100]),
        (409, [409, 409, 182]),
        (410, [205] * 4 + [180]),  # a chunk that is too large, in halves
        (852, [284, 284, 284, 148]),  # and in thirds
        (1000, [334, 334, 332]),
    ],
)
def test_requests_suit_the_chunks_of_the_server(chunk: int, widths: list[int], config: LiveConfig) -> None:
    """Of 32-bit frames of 30 720 strips, 409 are a request of 48 MiB."""
    array = Asked((1000, N_STRIPS), chunk)
    events = events_of(run_of(array, n_events=1000), config)
    assert [int(event["data"]["mythen_0"][0, 0]) for event in events] == list(range(1000))
    edges = np.cumsum([0, *widths]).tolist()
    assert array.requests == list(pairwise(edges))


def test_rows_of_an_event_are_counted_into_a_request(config: LiveConfig) -> None:
    """Two rows of eight bytes for each event: a quarter as many events, and a chunk holds half as many."""
    array = Asked((1080, N_STRIPS), 60, "i8")
    events = events_of(run_of(array, n_events=540, described=(2, N_STRIPS)), config)
    assert [event["data"]["mythen_0"][:, 0].tolist() for event in events] == [
        [2 * index, 2 * index + 1] for index in range(540)
    ]
    assert {last - first for first, last in array.requests} == {180}  # three chunks of 30 events, of 102


def test_of_two_detectors_that_fit_neither_is_asked_for(config: LiveConfig) -> None:
    first, second = Asked((500, N_STRIPS), 20), Asked((500, N_STRIPS), 50)
    events = events_of(run_of(first, second, n_events=500), config)
    assert len(events) == 500
    assert first.requests == second.requests == []
    chosen = events_of(
        run_of(first, second, n_events=500), config.model_copy(update={"data_key": "mythen_1"})
    )
    assert len(chosen) == 500
    assert (first.requests, second.requests) == ([], [(0, 400), (400, 500)])


def test_frames_that_lie_in_the_table_are_one_row_each(config: LiveConfig) -> None:
    """The writer stores them row by row, also where one event is described as several rows."""
    array = Asked((4, 2, N_STRIPS), 4)
    run = run_of(array, n_events=4, described=(2, N_STRIPS))
    del run["primary"].descriptors[0]["data_keys"]["mythen_0"]["external"]
    events = events_of(run, config)
    assert [event["data"]["mythen_0"].shape for event in events] == [(1, 2, N_STRIPS)] * 4
    assert [int(event["data"]["mythen_0"].max()) for event in events] == [0, 1, 2, 3]


def test_an_event_has_its_row_of_the_table(config: LiveConfig) -> None:
    array = Asked((3, N_STRIPS), 3)
    ring = {"ring_current": [400.0, 401.0, 402.0], "ts_ring_current": [10.9, 11.9, 12.9]}
    run = run_of(array, n_events=3, **ring)
    documents = list(run_documents(run, config))
    assert [name for name, _ in documents] == ["start", "descriptor", "event", "event", "event", "stop"]
    assert "external" not in documents[1][1]["data_keys"]["mythen_0"]
    second = documents[3][1]
    assert second["uid"] == "d/2"
    assert second["descriptor"] == "d"
    assert second["seq_num"] == 2
    assert second["time"] == 12.0
    assert second["data"].keys() == {"mythen_0", "ring_current"}
    assert second["data"]["ring_current"] == 401.0
    assert second["timestamps"] == {"mythen_0": 12.0, "ring_current": 11.9}
    assert second["data"]["mythen_0"].shape == (1, N_STRIPS)


@pytest.mark.parametrize("skip", [1, 399, 400, 401, 1000])
def test_events_known_already_are_neither_read_nor_given(skip: int, config: LiveConfig) -> None:
    array = Asked((1000, N_STRIPS), 100)
    events = events_of(run_of(array, n_events=1000), config, skip)
    assert [event["seq_num"] for event in events] == list(range(skip + 1, 1001))
    # Requests end where those of the whole run would: no chunk is asked for twice.
    assert array.requests[:1] == ([(skip, 400 if skip < 400 else 800)] if skip < 1000 else [])


def test_a_run_without_a_table_is_dated_by_its_start(config: LiveConfig) -> None:
    run = run_of(Asked((3, N_STRIPS), 3), n_events=3)
    run["primary"].base.pop("internal")
    events = events_of(run, config)
    assert [(event["seq_num"], event["time"]) for event in events] == [(1, 9.0), (2, 9.0), (3, 9.0)]


def test_configuration_is_that_of_the_newest_older_descriptor(config: LiveConfig) -> None:
    run = run_of(Asked((4, N_STRIPS), 4), n_events=4)  # events at 11, 12, 13 and 14 s
    first = run["primary"].descriptors[0]
    run["primary"].descriptors += [{**first, "uid": "e", "time": 12.0}, {**first, "uid": "f", "time": 13.5}]
    assert [event["descriptor"] for event in events_of(run, config)] == ["d", "e", "e", "f"]


def test_a_run_that_holds_fewer_events_than_it_announced(config: LiveConfig) -> None:
    run = run_of(Asked((3, N_STRIPS), 3), n_events=3)
    run.metadata["stop"]["num_events"]["primary"] = 4
    with pytest.raises(ArchiveError, match="the archive holds 3 of 4 events in primary"):
        events_of(run, config)


def test_a_fly_scan_announces_events_of_other_numbers_than_its_frames(config: LiveConfig) -> None:
    run = run_of(Asked((3, N_STRIPS), 3), n_events=3)
    run["primary"].base.pop("internal")
    run.metadata["stop"]["num_events"]["primary"] = 4
    assert len(events_of(run, config)) == 3


def test_a_stream_without_events_need_not_be_announced(config: LiveConfig) -> None:
    array = Asked((0, N_STRIPS), 1)
    array.chunks = ((0,), (N_STRIPS,))
    run = run_of(array, n_events=0)
    run.metadata["stop"]["num_events"] = {}
    assert [name for name, _ in run_documents(run, config)] == ["start", "descriptor", "stop"]


def test_a_stream_without_its_array_ends_the_replay_only_where_it_is_alone(config: LiveConfig) -> None:
    run = run_of(Asked((3, N_STRIPS), 3), n_events=3)
    missing = run_of(Asked((3, N_STRIPS), 3), n_events=3)["primary"]
    del missing.base["mythen_0"]
    alone = Run(missing, 3)
    with pytest.raises(ArchiveError, match="stream primary announces mythen_0 but holds no such array"):
        events_of(alone, config)
    missing.descriptors[0] |= {"uid": "b", "name": "baseline", "time": 9.5}
    run.base["baseline"] = missing
    given = [event["descriptor"] for event in events_of(run, config)]
    assert given == ["d", "d", "d", "b", "b", "b"]


def test_a_row_that_is_there_twice(config: LiveConfig) -> None:
    run = run_of(Asked((3, N_STRIPS), 3), n_events=3)
    run["primary"].base["internal"]["seq_num"][2] = 2
    assert len(events_of(run, config)) == 3  # the same number at another time
    run["primary"].base["internal"]["time"][2] = 12.0
    with pytest.raises(ArchiveError, match="1 of 3 rows are there twice"):
        events_of(run, config)


def test_streams_without_frames(config: LiveConfig) -> None:
    run = run_of(n_events=3, ring_current=[400.0] * 3)
    with pytest.raises(ArchiveError, match="has no frames of this detector: its streams are primary; set"):
        events_of(run, config)


def test_streams_where_earlier_writers_of_tiled_put_them(config: LiveConfig) -> None:
    """In a container `streams`, unless that is the name of a stream."""
    run = run_of(Asked((3, N_STRIPS), 3), n_events=3)
    run.base = {"streams": Container(run.base)}
    run.__class__ = RunInContainer
    assert len(events_of(run, config)) == 3
    named = run_of(Asked((3, N_STRIPS), 3), n_events=3)
    named.base = {"streams": named.base["primary"]}
    named.metadata["stop"]["num_events"] = {"streams": 3}
    named["streams"].descriptors[0]["name"] = "streams"
    assert len(events_of(named, config)) == 3


class Container(dict[str, Any]):
    specs = ()


class RunInContainer(Run):
    def __getitem__(self, name: str) -> Stream:
        return self.base["streams"][name]


class MongoRun:
    """A run whose documents databroker returns, as event pages."""

    specs = (SimpleNamespace(name="BlueskyRun", version="1"),)

    def __init__(self, documents: list[tuple[str, dict[str, Any]]]) -> None:
        self._documents = documents
        self.metadata = {"start": documents[0][1], "stop": documents[-1][1]}

    def documents(self, fill: bool) -> list[tuple[str, dict[str, Any]]]:
        assert not fill  # frames are read where they are needed
        return self._documents

    def refresh(self) -> "MongoRun":
        return self


@pytest.mark.parametrize(("skip", "numbers"), [(0, [1, 2, 3]), (2, [3])])
def test_a_page_of_events_is_given_as_events(skip: int, numbers: list[int], config: LiveConfig) -> None:
    key = {"shape": [N_STRIPS], "dtype": "array", "source": "x"}
    run = MongoRun(
        [
            ("start", {"uid": "r", "time": 9.0}),
            ("descriptor", {"uid": "d", "name": "primary", "time": 10.0, "data_keys": {"mythen": key}}),
            (
                "event_page",
                {
                    "descriptor": "d",
                    "uid": ["a", "b", "c"],
                    "seq_num": [1, 2, 3],
                    "time": [11.0, 12.0, 13.0],
                    "data": {"mythen": [np.full(N_STRIPS, n) for n in (1, 2, 3)]},
                    "timestamps": {"mythen": [11.0, 12.0, 13.0]},
                    "filled": {},
                },
            ),
            ("stop", {"uid": "s", "run_start": "r", "num_events": {"primary": 3}}),
        ]
    )
    found = [doc for name, doc in run_documents(run, config, skip) if name == "event"]
    assert [(doc["seq_num"], doc["data"]["mythen"][0], doc["time"]) for doc in found] == [
        (number, number, 10.0 + number) for number in numbers
    ]

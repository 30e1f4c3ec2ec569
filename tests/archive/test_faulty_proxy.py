"""Requests that are repeated, lost, cut or rejected between client and archive: exact, or an error."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count as count_up
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky_tiled_plugins import TiledWriter
from tiled.client import from_uri

from qdsizer_stream.archive import (
    LinkedRuns,
    SpooledWriter,
    WriteBack,
    replay_into,
    run_documents,
    spooled_runs,
    upload,
)
from qdsizer_stream.callbacks import LiveConfig
from qdsizer_stream.devices import SimMythen
from qdsizer_stream.errors import ArchiveError
from qdsizer_stream.sizing import Sizer

from .faulty_proxy import FaultyProxy, appends, faulty_proxy, once

N_FRAMES = 5

different = count_up()
"""Settings that no other test has, so that its sizes are not found."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def proxy(archive: Any) -> Iterator[FaultyProxy]:
    with faulty_proxy(str(archive.context.api_uri).removesuffix("/api/v1/").removesuffix("/api/v1")) as one:
        yield one


@pytest.fixture
def client(proxy: FaultyProxy, archive: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Client of the archive through the proxy, which takes no fault for a reason to wait 45 s."""
    monkeypatch.setattr("tiled.client.utils.TILED_RETRY_ATTEMPTS", 3)
    proxy.fault = lambda method, path: None
    proxy.injected.clear()
    made = from_uri(f"{proxy.url}/api/v1", api_key=archive.context.api_key)
    with made.context:
        yield made


@pytest.fixture(scope="module")
def measured(archive: Any, mythen: Callable[..., SimMythen]) -> str:
    engine = RunEngine({})
    engine.subscribe(TiledWriter(archive))
    (uid,) = engine(count([mythen()], N_FRAMES))
    return str(uid)


def sizes_in(run: Any) -> list[int]:
    return list(run["qd_size"].base["internal"].read()["seq_num"])


def append(table: Any, rows: Any) -> None:
    table.append_partition(0, pyarrow.Table.from_pandas(rows, preserve_index=False))


def derived_of(archive: Any, uid: str) -> list[Any]:
    return [archive[one] for one in archive if archive[one].metadata["start"].get("original_run_uid") == uid]


@pytest.mark.parametrize("destination", ["linked", "write-back"])
@pytest.mark.parametrize("fault", ["repeat", "lose", "cut", "delay", 502, 500, 429, 401])
def test_replayed_sizes_are_in_the_archive_once_or_there_is_an_error(
    fault: str | int,
    destination: str,
    proxy: FaultyProxy,
    client: Any,
    archive: Any,
    measured: str,
    config: LiveConfig,
    sizer: Sizer,
    tmp_path: Path,
) -> None:
    settings = config.model_copy(update={"file_timeout_s": 10.0 + next(different)})

    def replay_once() -> Any:
        catalog = client if proxy.fault else archive
        target: Any = LinkedRuns(catalog) if destination == "linked" else WriteBack(replace=True)
        return replay_into(catalog[measured], settings, target, tmp_path, sizer)

    proxy.fault = once(fault)
    try:
        outcome = replay_once()
    except ArchiveError:
        outcome = replay_once()  # the user repeats the command
    assert proxy.injected
    assert outcome.frames == N_FRAMES
    run = archive[outcome.written]
    assert sizes_in(run) == list(range(1, N_FRAMES + 1))
    assert run.metadata["stop"]["num_events"]["qd_size"] == N_FRAMES
    assert replay_once().found
    for one in derived_of(archive, measured):
        if (one.metadata.get("stop") or {}).get("exit_status") == "success":
            assert len(sizes_in(one)) == N_FRAMES


def test_an_archive_that_always_doubles_gives_an_error_and_no_success(
    proxy: FaultyProxy,
    client: Any,
    archive: Any,
    measured: str,
    config: LiveConfig,
    sizer: Sizer,
    tmp_path: Path,
) -> None:
    proxy.fault = lambda method, path: "repeat" if appends(method, path) else None
    before = len(derived_of(archive, measured))
    settings = config.model_copy(update={"file_timeout_s": 7.5})
    with pytest.raises(
        ArchiveError, match=r"the archive holds 10 rows \(5 distinct\) of 5 events in qd_size"
    ):
        replay_into(client[measured], settings, LinkedRuns(client), tmp_path, sizer)
    assert len(derived_of(archive, measured)) == before
    proxy.fault = lambda method, path: None
    outcome = replay_into(client[measured], settings, LinkedRuns(client), tmp_path, sizer)
    assert (outcome.resumed, len(sizes_in(archive[outcome.written]))) == (N_FRAMES, N_FRAMES)


def test_a_doubled_derived_run_of_the_past_is_not_found_but_replaced(
    archive: Any, measured: str, config: LiveConfig, sizer: Sizer, tmp_path: Path
) -> None:
    settings = config.model_copy(update={"file_timeout_s": 8.5})
    first = replay_into(archive[measured], settings, LinkedRuns(archive), tmp_path, sizer).written
    table = archive[first]["qd_size"].base["internal"]
    append(table, table.read())
    assert len(sizes_in(archive[first])) == 2 * N_FRAMES
    again = replay_into(archive[measured], settings, LinkedRuns(archive), tmp_path, sizer)
    assert not again.found
    assert again.written != first
    assert first not in archive
    assert sizes_in(archive[again.written]) == list(range(1, N_FRAMES + 1))


@pytest.mark.parametrize("fault", ["repeat", "lose", 502, 500, 401])
def test_a_live_run_is_in_the_archive_once_or_in_the_spool(
    fault: str | int,
    proxy: FaultyProxy,
    client: Any,
    archive: Any,
    mythen: Callable[..., SimMythen],
    tmp_path: Path,
) -> None:
    proxy.fault = once(fault)
    writer = SpooledWriter(TiledWriter(client, batch_size=1), tmp_path)
    engine = RunEngine({})
    engine.subscribe(writer)
    (uid,) = engine(count([mythen()], N_FRAMES))
    assert writer.close(120)
    assert proxy.injected
    for journal in spooled_runs(tmp_path):
        receipt = upload(journal, archive, TiledWriter(archive))
        assert f"{receipt}" == f"run {uid}: {N_FRAMES} of {N_FRAMES} in primary"
    assert list(archive[uid]["primary"].base["internal"].read()["seq_num"]) == list(range(1, N_FRAMES + 1))
    assert archive[uid].metadata["stop"]["num_events"] == {"primary": N_FRAMES}
    assert not list(tmp_path.iterdir())


def test_a_run_that_lacks_an_event_does_not_replay_as_success(
    archive: Any, mythen: Callable[..., SimMythen], config: LiveConfig, sizer: Sizer, tmp_path: Path
) -> None:
    writer = TiledWriter(archive)
    engine = RunEngine({})
    engine.subscribe(lambda name, doc: None if doc.get("seq_num") == N_FRAMES else writer(name, doc))
    (uid,) = engine(count([mythen()], N_FRAMES))
    with pytest.raises(ArchiveError, match=rf"run {uid}: the archive holds 4 of 5 events in primary"):
        replay_into(archive[uid], config, LinkedRuns(archive), tmp_path, sizer)
    assert derived_of(archive, uid) == []


@pytest.mark.parametrize("stale", ["/table/", "/array/", "/"])
def test_pages_from_a_stale_cache_never_replay_as_success(
    stale: str, proxy: FaultyProxy, client: Any, archive: Any, mythen: Callable[..., SimMythen],
    config: LiveConfig, sizer: Sizer, tmp_path: Path,
) -> None:  # fmt: skip
    """What a cache holds since the run was in progress is less than what the run has."""
    writer = TiledWriter(archive, batch_size=1)
    settings = config.model_copy(update={"file_timeout_s": 10.0 + next(different)})

    def look(name: str, doc: Any) -> None:
        if name == "event" and doc["seq_num"] == N_FRAMES - 1:
            uid = [one for one in archive if archive[one].metadata.get("stop") is None][-1]
            list(run_documents(client[uid], settings, patience_s=0.0))

    engine = RunEngine({})
    engine.subscribe(writer)
    engine.subscribe(look)
    (uid,) = engine(count([mythen()], N_FRAMES))
    proxy.fault = lambda method, path: "stale" if method == "GET" and stale in path and uid in path else None
    with suppress(ArchiveError):
        replay_into(client[uid], settings, LinkedRuns(client), tmp_path, sizer)
    for one in derived_of(archive, uid):
        if (one.metadata.get("stop") or {}).get("exit_status") == "success":
            assert sizes_in(one) == list(range(1, N_FRAMES + 1))
    if stale == "/table/":  # the numbers beside the frames, of which a cache has one less
        assert proxy.injected
        assert derived_of(archive, uid) == []
    proxy.fault = lambda method, path: None
    proxy.first.clear()
    outcome = replay_into(client[uid], settings, LinkedRuns(client), tmp_path, sizer)
    assert sizes_in(archive[outcome.written]) == list(range(1, N_FRAMES + 1))


def test_a_run_with_a_doubled_row_is_not_replayed(
    archive: Any, mythen: Callable[..., SimMythen], config: LiveConfig, sizer: Sizer, tmp_path: Path
) -> None:
    engine = RunEngine({})
    engine.subscribe(TiledWriter(archive))
    (uid,) = engine(count([mythen()], N_FRAMES))
    table = archive[uid]["primary"].base["internal"]
    append(table, table.read().tail(1))
    with pytest.raises(ArchiveError, match=r"1 of 6 rows are there twice.*audit ARCHIVE --mend"):
        replay_into(archive[uid], config, LinkedRuns(archive), tmp_path, sizer)

"""Writers that a profile has subscribed already, and archives that it opens: no run twice, none lost."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky_tiled_plugins import TiledWriter

from qdsizer_stream.archive import embedded_tiled, open_archive
from qdsizer_stream.callbacks import LiveConfig
from qdsizer_stream.devices import SimMythen
from qdsizer_stream.errors import ArchiveError
from qdsizer_stream.profiles import install, uninstall


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("archive")


@pytest.mark.slow
def test_a_writer_is_taken_over_and_put_back(
    folder: Path, config: LiveConfig, mythen: Callable[..., SimMythen]
) -> None:
    with embedded_tiled(folder) as archive:
        engine = RunEngine({})
        engine.subscribe(TiledWriter(archive))
        install(engine, config)
        (sized,) = engine(count([mythen()], 2))
        # A start-up file that runs again makes its writer anew; the run is still written once.
        engine.subscribe(TiledWriter(archive))
        sizer = install(engine, config)
        (again,) = engine(count([mythen()], 2))
        assert sizer.counters.contained == 0
        assert uninstall(engine)
        (raw,) = engine(count([mythen()], 2))
        assert set(archive[sized]) == set(archive[again]) == {"primary", "qd_size"}
        assert archive[sized].metadata["stop"]["num_events"] == {"primary": 2, "qd_size": 2}
        assert set(archive[raw]) == {"primary"}
        assert len(list(archive)) == 3


class Catalog:
    """Stands in memory for what `databroker.Broker` is on a RunEngine: a bound method, weakly held."""

    __module__ = "databroker.v1"

    def __init__(self) -> None:
        self.names: list[str] = []

    def insert(self, name: str, doc: Any) -> None:
        self.names.append(name)


@pytest.mark.slow
def test_only_writers_of_archives_are_taken_over(
    config: LiveConfig, mythen: Callable[..., SimMythen]
) -> None:
    engine, catalog, seen = RunEngine({}), Catalog(), []
    engine.subscribe(catalog.insert)
    engine.subscribe(lambda name, doc: seen.append(name))  # a live table, say
    install(engine, config)
    engine(count([mythen()], 2))
    assert uninstall(engine)
    assert seen == ["start", "descriptor", "event", "event", "stop"]
    assert sorted(catalog.names) == sorted([*seen, "descriptor", "event", "event"])
    catalog.names.clear()
    engine(count([mythen()], 1))
    assert catalog.names == ["start", "descriptor", "event", "stop"]


@pytest.mark.slow
def test_none_is_taken_over_where_none_is_wanted(
    config: LiveConfig, mythen: Callable[..., SimMythen]
) -> None:
    engine, catalog = RunEngine({}), Catalog()
    engine.subscribe(catalog.insert)
    install(engine, config, writer=())
    engine(count([mythen()], 1))
    assert uninstall(engine)
    assert catalog.names == ["start", "descriptor", "event", "stop"]


@pytest.mark.slow
def test_an_archive_in_a_folder(tmp_path: Path, config: LiveConfig, mythen: Callable[..., SimMythen]) -> None:
    engine = RunEngine({})
    folder = tmp_path / "archive"
    sizer = install(engine, config, archive=folder, spool=tmp_path / "spool")
    assert install(engine, config, archive=folder, spool=tmp_path / "spool") is sizer
    (uid,) = engine(count([mythen()], 2))
    assert sizer.wait(60)
    # Another program on this machine reaches the folder through the session that serves it.
    with open_archive(folder) as other:
        assert other.context.api_uri.host == "127.0.0.1"
    assert uninstall(engine)
    assert stat.S_IMODE((folder / "api_key").stat().st_mode) == 0o600
    assert not (folder / "url").exists()
    assert not list((tmp_path / "spool").iterdir())
    with open_archive(folder) as archive:
        assert set(archive[uid]) == {"primary", "qd_size"}


def test_an_archive_that_cannot_be_reached_changes_nothing(
    config: LiveConfig, monkeypatch: pytest.MonkeyPatch, mythen: Callable[..., SimMythen]
) -> None:
    monkeypatch.setattr("tiled.client.utils.TILED_RETRY_ATTEMPTS", 1)
    engine, catalog = RunEngine({}), Catalog()
    engine.subscribe(catalog.insert)
    with pytest.raises(ArchiveError, match=r"http://127\.0\.0\.1:9: the server does not answer"):
        install(engine, config, archive="http://127.0.0.1:9")
    engine(count([mythen()], 1))
    assert catalog.names == ["start", "descriptor", "event", "stop"]

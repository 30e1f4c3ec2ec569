"""The service between runs that are written to a Tiled server and the estimates it writes beside them."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky_tiled_plugins import TiledWriter
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from tiled.client import from_uri

from qdsizer_stream.archive import embedded_tiled
from qdsizer_stream.callbacks import LiveConfig
from qdsizer_stream.configuration import load_toml
from qdsizer_stream.devices import SimMythen
from qdsizer_stream.errors import ConfigurationError
from qdsizer_stream.services import ServeConfig, Service, _tiled

from .conftest import Documents, estimates, wait_for

# Each starts processes that import for seconds; on a busy machine for a minute.
pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    # Tiled's subscription connects in a way that websockets means to end: as an error that would end it.
    pytest.mark.filterwarnings("ignore:connect.. must be used as a context manager:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with embedded_tiled(tmp_path_factory.mktemp("archive")) as client:
        yield client


@pytest.fixture
def uri(archive: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TILED_API_KEY", archive.context.api_key)
    return str(archive.context.api_uri)


@pytest.fixture
def sized_while_written(
    settings: Path, tmp_path: Path, mythen: Callable[..., SimMythen], expected: Documents
) -> Callable[..., None]:
    """Measures a run into an archive that the service listens to, and looks at what came of it."""

    def check(archive: Any, listening: Callable[[], object]) -> None:
        uri, before = str(archive.context.api_uri), set(archive)
        linked = tmp_path / "qdsizer.toml"
        linked.write_text('destination = "linked-run"\n' + settings.read_text())
        service = Service(
            ServeConfig.model_validate(
                {
                    "settings": linked,
                    "input": {"kind": "tiled", "uri": uri},
                    "output": [{"kind": "tiled", "uri": uri, "spool": tmp_path / "spool"}],
                    "health": {"port": 0},
                }
            )
        )
        outcome: list[bool] = []
        thread = threading.Thread(target=lambda: outcome.append(service.run()))
        thread.start()
        try:
            wait_for(lambda: service.port, "the start of the service")
            wait_for(listening, "the subscription")
            engine = RunEngine({})
            engine.subscribe(TiledWriter(archive, batch_size=1))
            (uid,) = engine(count([mythen()], 6))

            def sized() -> Any:
                others = [archive[other] for other in archive if other not in {uid, *before}]
                return next((run for run in others if run.metadata.get("stop")), None)

            run = wait_for(sized, "the linked run")
        finally:
            service.stop()
            thread.join(60)
        assert outcome == [True]
        assert run.metadata["start"]["original_run_uid"] == uid
        documents: Documents = list(run.documents())
        # The archive hands documents back in order of their times, and a frame is older than what was made
        # of it.
        assert Counter(name for name, _ in documents) == {"start": 1, "descriptor": 1, "event": 6, "stop": 1}
        np.testing.assert_equal(estimates(documents), estimates(expected))
        assert len(archive) == len(before) + 2  # the estimates were not taken for another run of frames
        assert not list((tmp_path / "spool").iterdir())

    return check


@pytest.mark.parametrize("news", [True, False])
def test_a_run_is_sized_while_it_is_written(
    news: bool,
    archive: Any,
    uri: str,
    sized_while_written: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if not news:  # as of a server without a cache

        def refuse(*_: object, **__: object) -> None:
            raise RuntimeError("server rejected WebSocket connection: HTTP 403")

        monkeypatch.setattr("tiled.client.stream.Subscription._connect", refuse)
    sized_while_written(archive, lambda: True)
    assert ("new runs are searched for every 5 s" in caplog.text) is not news


@pytest.mark.parametrize("documents_before", [0, 4])
def test_a_lost_answer_does_not_end_a_run(
    documents_before: int,
    archive: Any,
    uri: str,
    sized_while_written: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A server that refuses twice, at once or in mid-run: every frame is sized, and none twice."""
    monkeypatch.setattr(_tiled, "RETRY_DELAYS_S", (0.05, 0.1, 0.2))
    read, attempts = _tiled.run_documents, []

    def interrupted(run: Any, *arguments: Any, **options: Any) -> Iterator[tuple[str, Any]]:
        attempts.append(run)
        for number, document in enumerate(read(run, *arguments, **options)):
            if len(attempts) <= 2 and number == documents_before:
                request = httpx.Request("GET", "http://127.0.0.1/api/v1/metadata")
                answer = httpx.Response(401, request=request)
                raise httpx.HTTPStatusError("401", request=request, response=answer)
            yield document

    monkeypatch.setattr(_tiled, "run_documents", interrupted)
    sized_while_written(archive, lambda: True)
    assert "cannot be read, next attempt in 0.05 s" in caplog.text
    assert "is given up" not in caplog.text


def test_a_run_that_cannot_be_read_is_given_up_and_counted(
    archive: Any, uri: str, settings: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_tiled, "RETRY_DELAYS_S", (0.01, 0.01))
    source = _tiled.TiledSource(_tiled.TiledInput(kind="tiled", uri=uri), load_toml(LiveConfig, settings))
    with source._catalog.context:
        source._size_run("no such run", lambda name, doc: None, threading.Event())
    assert source.malformed == 1
    assert caplog.text.count("cannot be read, next attempt in 0.01 s") == 2
    assert "run no such run is given up, the rest of it is not sized" in caplog.text


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not on this machine: apt-get install redis-server")
    port = free_port()
    command = [program, "--bind", "127.0.0.1", "--port", f"{port}", "--save", "", "--dir", f"{tmp_path}"]
    with ended(subprocess.Popen(command, stdout=subprocess.DEVNULL)), Redis(port=port) as client:
        wait_for(lambda: answers(client.ping), "the start of Redis")
        yield client


@pytest.fixture
def archive_beside_redis(tmp_path: Path, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A Tiled server as a beamline runs it: its own process, its news through Redis."""
    (tmp_path / "data").mkdir()
    catalog = {
        "uri": f"sqlite:///{tmp_path / 'catalog.db'}",
        "init_if_not_exists": True,
        "writable_storage": [f"{tmp_path / 'data'}", f"sqlite:///{tmp_path / 'storage.db'}"],
    }
    config = tmp_path / "tiled.yml"
    config.write_text(  # JSON is YAML
        json.dumps(
            {
                "authentication": {"single_user_api_key": "secret"},
                "trees": [{"path": "/", "tree": "catalog", "args": catalog}],
                "media_types": {
                    "BlueskyRun": {
                        "application/json-seq": "bluesky_tiled_plugins.exporters:json_seq_exporter"
                    }
                },
                "routers": ["bluesky_tiled_plugins.routers.validator:router"],
                "streaming_cache": {
                    "uri": f"redis://127.0.0.1:{redis.connection_pool.connection_kwargs['port']}"
                },
            }
        )
    )
    monkeypatch.setenv("TILED_API_KEY", "secret")
    port = free_port()
    command = [
        str(Path(sys.executable).with_name("tiled")),
        "serve",
        "config",
        str(config),
        "--port",
        f"{port}",
    ]
    with (tmp_path / "tiled.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"})
    with ended(server):
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: answers(lambda: httpx.get(f"{url}/healthz")), "the start of Tiled")
        client = from_uri(f"{url}/api/v1")
        with client.context:
            yield client


@pytest.mark.service
def test_runs_are_told_of_through_redis(
    archive_beside_redis: Any,
    redis: Redis,
    sized_while_written: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_tiled, "CHECK_S", 86_400.0)  # by the subscription, or not at all
    sized_while_written(archive_beside_redis, redis.pubsub_channels)
    assert redis.dbsize() > 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except (ConnectionError, httpx.HTTPError, RedisConnectionError):
        return False
    return True


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        process.kill()  # a server that ends by itself would wait for who listens
        process.wait()


def test_estimates_into_the_run_of_the_frames_would_clash(uri: str, settings: Path, tmp_path: Path) -> None:
    config = ServeConfig.model_validate(
        {
            "settings": settings,
            "input": {"kind": "tiled", "uri": uri},
            "output": [{"kind": "tiled", "uri": uri, "spool": tmp_path / "spool"}],
        }
    )
    with pytest.raises(ConfigurationError, match='set destination = "linked-run" in'):
        Service(config)

"""Real transports: a 0MQ proxy, librdkafka's own cluster, the service as its own process."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bluesky.callbacks.zmq import Proxy, Publisher, RemoteDispatcher
from confluent_kafka import Producer

from qdsizer_stream.callbacks import LiveConfig, LiveSizer
from qdsizer_stream.configuration import load_toml
from qdsizer_stream.services import pack, unpack

Documents = list[tuple[str, Any]]

TIMEOUT_S = 180.0

kept: list[Producer] = []


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what} did not happen within {TIMEOUT_S:g} s")


@pytest.fixture(scope="session")
def expected(raw: Documents, config: LiveConfig, sizer: Any) -> Documents:
    """What a live sizer in this process makes of the shared run."""
    out: Documents = []
    live = LiveSizer(config, sizer)
    live.subscribe(lambda name, doc: out.append((name, doc)))
    for name, doc in raw:
        live(name, doc)
    assert live.close(60)
    return out


CLOCK_KEYS = ("qdsizer_latency", "qdsizer_track", "qdsizer_growth", "qdsizer_time_to_target")
"""Latency, and the track of a run with what follows from it, which depends on the times of the frames."""


def estimates(documents: Documents) -> list[dict[str, Any]]:
    """Data of the estimates, less what depends on the clock."""
    mine = {doc["uid"] for name, doc in documents if name == "descriptor" and doc["name"] == "qd_size"}
    return [
        {key: value for key, value in doc["data"].items() if not key.startswith(CLOCK_KEYS)}
        for name, doc in documents
        if name == "event" and doc["descriptor"] in mine
    ]


@pytest.fixture(scope="session")
def proxy() -> tuple[str, str]:
    """Addresses to publish to and to listen at; ends with the process."""
    made = Proxy("127.0.0.1", "127.0.0.1")
    threading.Thread(target=made.start, daemon=True).start()
    return made.in_port.removeprefix("tcp://"), made.out_port.removeprefix("tcp://")


@pytest.fixture
def publisher(proxy: tuple[str, str]) -> Iterator[Publisher]:
    made = Publisher(proxy[0], serializer=pack)
    yield made
    made.close()


@pytest.fixture
def heard(proxy: tuple[str, str]) -> Iterator[Documents]:
    """What bluesky's own dispatcher hears of the service."""
    documents: Documents = []
    dispatcher = RemoteDispatcher(proxy[1], prefix=b"qdsizer", deserializer=unpack)
    dispatcher.subscribe(lambda name, doc: documents.append((name, doc)))

    def listen() -> None:
        try:
            dispatcher.start()
        except BaseException as error:  # it ends by being cancelled
            ended.append(error)

    ended: list[BaseException] = []
    thread = threading.Thread(target=listen)
    thread.start()
    yield documents
    dispatcher.loop.call_soon_threadsafe(dispatcher._task.cancel)
    thread.join(10)


@pytest.fixture(scope="session")
def brokers() -> str:
    """A cluster that speaks the protocol of Kafka; each topic has four partitions."""
    # The cluster lives as long as the client that it belongs to.
    cluster = Producer({"bootstrap.servers": "none:1", "test.mock.num.brokers": 1, "log_level": 0})
    found = cluster.list_topics(timeout=10).brokers.values()
    kept.append(cluster)
    return ",".join(f"{broker.host}:{broker.port}" for broker in found)


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory, config: LiveConfig) -> Path:
    """The beamline of the shared fixtures as its TOML file."""
    assert config.sizing.reduction is not None
    detector = config.sizing.reduction.load_detector()
    modules = ",\n".join(
        f"{{ centre_strip = {module.centre_strip!r}, offset_deg = {module.offset_deg!r}, "
        f"conversion_rad_per_strip = {module.conversion_rad_per_strip!r} }}"
        for module in detector.modules
    )
    path = tmp_path_factory.mktemp("beamline") / "qdsizer.toml"
    path.write_text(
        "workers = 0\n[sizing.reduction]\narm_deg = 0.0\n"
        f"[sizing.reduction.detector]\nglobal_offset_deg = 0.0\nmodules = [{modules}]\n"
        '[wavelength]\nconfiguration_key = "mythen_wavelength"\n'
    )
    assert load_toml(LiveConfig, path).sizing.model_dump() == config.sizing.model_dump()
    return path


class Served:
    """The command, running."""

    def __init__(self, config: Path) -> None:
        self.log = config.with_suffix(".log")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [str(Path(sys.executable).with_name("qdsizer-stream")), "serve", "--config", str(config)],
                stderr=log,
                stdout=log,
                env={**os.environ, "OMP_NUM_THREADS": "1", "TILED_RETRY_ATTEMPTS": "1"},
            )

    def said(self, text: str) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return text in self.log.read_text()

    @property
    def port(self) -> int:
        wait_for(lambda: self.said("health and metrics at"), "the start of the service")
        line = next(line for line in self.log.read_text().splitlines() if "health and metrics at" in line)
        return int(line.rpartition(":")[2])

    def get(self, page: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{page}", timeout=10) as answer:
            return str(answer.read().decode())

    def metric(self, name: str) -> float:
        for line in self.get("metrics").splitlines():
            if line.startswith(name):
                return float(line.rpartition(" ")[2])
        return 0.0

    def health(self) -> dict[str, Any]:
        return dict(json.loads(self.get("health")))

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        code = self.process.wait(TIMEOUT_S)
        if code:
            print(self.log.read_text())  # for whoever asks why
        return code


@pytest.fixture
def serve(settings: Path, tmp_path: Path) -> Iterator[Callable[[str], Served]]:
    """Starts the command with the tables of a configuration, and ends it."""
    running: list[Served] = []

    def start(tables: str) -> Served:
        path = tmp_path / f"serve{len(running)}.toml"
        path.write_text(f"settings = {str(settings)!r}\n{tables}\n[health]\nport = 0\n")
        running.append(Served(path))
        return running[-1]

    yield start
    for one in running:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()

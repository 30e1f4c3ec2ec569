"""The command between a RunEngine and a listener, over 0MQ."""

import pickle
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.callbacks.zmq import Publisher
from bluesky.plans import count
from event_model import DocumentNames, schema_validators

from qdsizer_stream.configuration import load_toml
from qdsizer_stream.devices import SimMythen
from qdsizer_stream.errors import ConfigurationError
from qdsizer_stream.services import ServeConfig, Service

from .conftest import Documents, Served, estimates, wait_for

# Each starts processes that import for seconds; on a busy machine for a minute.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


@pytest.fixture
def served(
    serve: Callable[[str], Served], proxy: tuple[str, str], publisher: Publisher, heard: Documents
) -> Served:
    """A service that is known to hear the publisher, which 0MQ does not tell."""
    service = serve(
        f'[input]\nkind = "zmq"\naddress = "{proxy[1]}"\n[[output]]\nkind = "zmq"\naddress = "{proxy[0]}"'
    )
    wait_for(lambda: service.said("listening to the 0MQ proxy"), "listening")

    def probed() -> bool:
        publisher("probe", {})
        return service.metric("qdsizer_malformed_total") > 0

    wait_for(probed, "the first message")
    return service


def test_a_run_of_a_run_engine(
    served: Served,
    publisher: Publisher,
    heard: Documents,
    mythen: Callable[..., SimMythen],
    expected: Documents,
) -> None:
    engine = RunEngine({})
    engine.subscribe(publisher)
    (uid,) = engine(count([mythen()], 6))
    wait_for(lambda: any(name == "stop" for name, _ in heard), "the end of the run")
    assert [name for name, _ in heard] == ["start", "descriptor", *["event"] * 6, "stop"]
    for name, doc in heard:
        schema_validators[DocumentNames[name]].validate(doc)
    assert heard[0][1]["uid"] == heard[-1][1]["run_start"] == uid
    assert heard[-1][1]["num_events"]["qd_size"] == 6
    # The same frames in this process: the same numbers, to the last bit.
    np.testing.assert_equal(estimates(heard), estimates(expected))
    assert served.metric("qdsizer_sized_total") == 6
    assert served.metric('qdsizer_sent_total{output="zmq') == len(heard)
    assert served.metric("qdsizer_queued") == 0
    assert served.health() == {"status": "ok", "problem": "", "frames": 6, "sized": 6, "queued": 0}
    assert served.stop() == 0
    assert "stopped: 6 frames, 6 sized, 0 queued" in served.log.read_text()


def test_what_was_taken_is_finished_before_the_end(
    served: Served, publisher: Publisher, heard: Documents, raw: Documents
) -> None:
    for name, doc in raw:
        publisher(name, doc)
    wait_for(lambda: served.metric("qdsizer_documents_total") == len(raw), "the run")
    assert served.stop(signal.SIGINT) == 0
    wait_for(lambda: any(name == "stop" for name, _ in heard), "the end of the run")
    assert sum(name == "event" for name, _ in heard) == 6


def test_pickles_and_nonsense_are_left_out(
    served: Served, proxy: tuple[str, str], publisher: Publisher, heard: Documents, raw: Documents
) -> None:
    trusting = Publisher(proxy[0], serializer=pickle.dumps)
    before = served.metric("qdsizer_malformed_total")

    def refused() -> bool:
        trusting("start", {"uid": "pickled"})
        return served.metric("qdsizer_malformed_total") > before

    wait_for(refused, "the pickled document")
    trusting.close()
    assert (
        "is pickled, which is never read: publish with Publisher(…, serializer=pack)"
        in served.log.read_text()
    )
    for name, doc in raw:
        publisher(name, doc)
    wait_for(lambda: any(name == "stop" for name, _ in heard), "the end of the run")
    assert "pickled" not in {doc.get("uid") for _, doc in heard}


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ('[input]\nkind = "smoke"\n[[output]]\nkind = "zmq"\naddress = "127.0.0.1:1"', "found"),
        (
            '[input]\nkind = "kafka"\nbootstrap_servers = "127.0.0.1:1"\ntopic = "a"\n'
            '[[output]]\nkind = "kafka"\nbootstrap_servers = "127.0.0.1:1"\ntopic = "a"',
            "output topic 'a' is the input topic: the service would read what it writes",
        ),
        (
            '[input]\nkind = "zmq"\n[[output]]\nkind = "tiled"\n'
            'uri = "http://127.0.0.1:9/api/v1"\nspool = "s"',
            "no Tiled server at http://127.0.0.1:9/api/v1",
        ),
    ],
)
def test_wrong_settings_are_told(
    settings: Path, tmp_path: Path, tables: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tiled.client.utils.TILED_RETRY_ATTEMPTS", 1)
    config = tmp_path / "serve.toml"
    config.write_text(f"settings = {str(settings)!r}\n{tables}\n")
    with pytest.raises(ConfigurationError) as error:
        Service(load_toml(ServeConfig, config))
    assert message in str(error.value)


def test_wrong_settings_end_it_with_one_line(serve: Callable[[str], Served]) -> None:
    service = serve('[input]\nkind = "zmq"')
    assert service.process.wait(120) == 1
    said: Any = service.log.read_text()
    assert "output: Field required" in said
    assert "Traceback" not in said

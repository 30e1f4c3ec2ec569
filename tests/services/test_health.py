"""The health port: half a request holds nothing for ever."""

import socket
import threading
import urllib.request

import pytest

pytest.importorskip("prometheus_client", reason="pip install 'qdsizer-stream[zmq]'")

from qdsizer_stream.callbacks import Counters
from qdsizer_stream.services import HealthConfig, _health, health_server


class _Source:
    received = malformed = duplicates = 0


@pytest.mark.slow
def test_a_request_that_stays_half_sent_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_health._Handler, "timeout", 0.3)
    counters = Counters(frames=3, sized=2, queued=0, lag_s=0.0)
    config = HealthConfig(port=0)
    with health_server(config, lambda: counters, _Source(), (), threading.Event()) as port:
        with socket.create_connection(("127.0.0.1", port)) as half:
            half.sendall(b"GET /health HT")
            half.settimeout(10)
            assert half.recv(1) == b""  # closed by the server
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as answer:
            assert answer.status == 200
            assert b'"frames": 3' in answer.read()

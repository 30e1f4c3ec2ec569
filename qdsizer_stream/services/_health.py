"""Health page of the service and metrics for Prometheus."""

import json
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..callbacks import Counters
from ..errors import ConfigurationError
from ._config import HealthConfig
from ._transports import DocumentSink, DocumentSource

__all__ = ["health_server"]

logger = logging.getLogger(__name__)

GAUGES = frozenset({"queued", "lag_s"})
"""Counters of the live sizer that can decrease, exported as gauges."""


class _Collector(Collector):
    """Reads the counters at every scrape by Prometheus."""

    def __init__(
        self, counters: Callable[[], Counters], source: DocumentSource, sinks: Sequence[DocumentSink]
    ) -> None:
        self._counters = counters
        self._source = source
        self._sinks = sinks

    def collect(self) -> Iterable[Metric]:
        """Return the current value of every counter."""
        for name, value in asdict(self._counters()).items():
            said = f"{name.replace('_', ' ')} of the live sizer"
            if isinstance(value, Mapping):
                family = CounterMetricFamily(f"qdsizer_{name}", f"{said}, by status", labels=["status"])
                for status, number in value.items():
                    family.add_metric([status], number)
                yield family
            elif name in GAUGES:
                unit = name.replace("lag_s", "lag_seconds")
                yield GaugeMetricFamily(f"qdsizer_{unit}", said, value)
            elif isinstance(value, int | float):
                yield CounterMetricFamily(f"qdsizer_{name}", said, value)
        yield CounterMetricFamily(
            "qdsizer_malformed", "messages that were not valid documents", self._source.malformed
        )
        for what, said in (
            ("sent", "documents sent"),
            ("duplicates", "documents the receiver already had"),
        ):
            family = CounterMetricFamily(f"qdsizer_{what}", said, labels=["output"])
            for sink in self._sinks:
                family.add_metric([sink.name], getattr(sink, what))
            yield family


REQUEST_TIMEOUT_S = 10.0
"""Time in which a request must arrive, s: one that stays half sent would hold its thread for ever."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True  # a scraper that hangs must not keep the process alive


class _Handler(WSGIRequestHandler):
    timeout = REQUEST_TIMEOUT_S

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: there is a scrape every few seconds."""


@contextmanager
def health_server(
    config: HealthConfig,
    counters: Callable[[], Counters],
    source: DocumentSource,
    sinks: Sequence[DocumentSink],
    stopping: threading.Event,
) -> Iterator[int]:
    """Serve ``/health`` and ``/metrics`` while the context is open.

    ``/health`` returns 200 while the service works, and 503 while it stops or lags by more than `max_lag_s`.

    Parameters
    ----------
    config
        Address, port and the largest allowed lag.
    counters
        Returns the counters of the live sizer.
    source, sinks
        Transports whose documents are counted.
    stopping
        Set when the service is stopping.

    Yields
    ------
    Port that the server listens on.

    Raises
    ------
    ConfigurationError
        The port is in use, or the address does not belong to this machine.
    """
    registry = CollectorRegistry()
    registry.register(_Collector(counters, source, sinks))
    metrics = make_wsgi_app(registry)

    def health(environ: Any, respond: Callable[..., Any]) -> list[bytes]:
        now = counters()
        if stopping.is_set():
            state, problem = "503 Service Unavailable", "stopping"
        elif now.lag_s > config.max_lag_s:
            problem = f"the current document is {now.lag_s:.0f} s old, allowed are {config.max_lag_s:g} s"
            state = "503 Service Unavailable"
        else:
            state, problem = "200 OK", ""
        answer = {
            "status": "ok" if not problem else "unwell",
            "problem": problem,
            "frames": now.frames,
            "sized": now.sized,
            "queued": now.queued,
        }
        respond(state, [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]

    def page(environ: Any, respond: Callable[..., Any]) -> Any:
        match environ["PATH_INFO"]:
            case "/metrics":
                return metrics(environ, respond)
            case "/health":
                return health(environ, respond)
        respond("404 Not Found", [("Content-Type", "text/plain")])
        return [b"not found: use /health or /metrics\n"]

    try:
        server = make_server(config.host, config.port, page, _Server, _Handler)
    except OSError as error:
        raise ConfigurationError(
            f"health: cannot listen on {config.host}:{config.port}: {error.strerror}; "
            "set another port, or 0 for a free one"
        ) from error
    thread = threading.Thread(target=server.serve_forever, name="qdsizer-health", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

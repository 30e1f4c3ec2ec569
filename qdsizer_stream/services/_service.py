"""The live sizer between one document source and several sinks."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..callbacks import Destination, LiveConfig, LiveSizer, QueuePolicy
from ..configuration import load_toml
from ..errors import ConfigurationError
from ._config import (
    InputConfig,
    KafkaInput,
    KafkaOutput,
    OutputConfig,
    ServeConfig,
    TiledInput,
    TiledOutput,
    ZmqInput,
    ZmqOutput,
)
from ._health import health_server
from ._outgoing import Outgoing
from ._transports import DocumentSink, DocumentSource

__all__ = ["Service"]

logger = logging.getLogger(__name__)

CHECK_S = 0.5
"""Interval at which a wait checks for the stop signal, s."""


class Service:
    """Sizes the frames of runs measured in another process.

    Parameters
    ----------
    config
        Source, sinks and settings.

    Raises
    ------
    ConfigurationError
        A setting is not valid, a package for a transport is missing, or a server does not answer.
    ModelError
        The model is unknown or damaged.
    """

    def __init__(self, config: ServeConfig) -> None:
        self._config = config
        settings = load_toml(LiveConfig, config.settings)
        if not isinstance(config.input, ZmqInput):
            # Kafka and Tiled keep documents until they are requested, so the sizer may wait. 0MQ drops them:
            # there a frame is recorded as not sized instead.
            settings = settings.model_copy(update={"queue_policy": QueuePolicy.WAIT})
        if isinstance(config.input, TiledInput) and settings.destination is Destination.SAME_RUN:
            for output in config.output:
                if isinstance(output, TiledOutput) and output.uri == config.input.uri:
                    raise ConfigurationError(
                        f"output {output.uri} already holds the runs of the input, each of them once: "
                        f'set destination = "linked-run" in {config.settings}'
                    )
        self._sinks = [_sink(output) for output in config.output]
        self._source = _source(config, settings, self._sinks)
        self._sizer = LiveSizer(settings)
        for sink in self._sinks:
            # Waited for: what was not sent is not committed, and comes again.
            self._sizer.subscribe(Outgoing(sink, config.documents), timeout_s=None)
        self._stopping = threading.Event()
        self.port = config.health.port
        """Port of the health page, once `run` has started it."""

    def run(self) -> bool:
        """Size frames until `stop` is called, then finish the documents received before.

        Returns
        -------
        Whether every document received was sized and sent.

        Raises
        ------
        ConfigurationError
            The port of the health page is in use.
        """
        health = health_server(
            self._config.health,
            lambda: self._sizer.counters,
            self._source,
            self._sinks,
            self._stopping,
        )
        try:
            with health as self.port:
                logger.info("health and metrics at %s:%d", self._config.health.host, self.port)
                self._source.run(self._sizer, self._flushed, self._stopping)
        finally:
            self._stopping.set()
            done = self._flushed()
            self._sizer.close(0)
            for sink in self._sinks:
                sink.close()
        counters = self._sizer.counters
        logger.info(
            "stopped: %d frames, %d sized, %d queued", counters.frames, counters.sized, counters.queued
        )
        return done

    def stop(self) -> None:
        """Make `run` return; may be called from a signal handler."""
        self._stopping.set()

    def _flushed(self) -> bool:
        """Wait until all documents have been sized and sent; after a stop signal for a limited time."""
        stopping_since = None
        while not self._sizer.wait(CHECK_S):
            if self._stopping.is_set():
                stopping_since = stopping_since or time.monotonic()
                if time.monotonic() - stopping_since > self._config.stop_timeout_s:
                    return False
        # A list, not a generator: every sink is flushed even where an earlier one failed.
        flushed = [sink.flush(self._config.stop_timeout_s) for sink in self._sinks]
        return all(flushed)


def _source(config: ServeConfig, settings: LiveConfig, sinks: list[DocumentSink]) -> DocumentSource:
    """Connect to the document source."""
    given: InputConfig = config.input
    with _explained(given.kind):
        match given:
            case ZmqInput():
                from ._zmq import ZmqSource

                own = [output.prefix for output in config.output if isinstance(output, ZmqOutput)]
                return ZmqSource(given, own)
            case KafkaInput():
                from ._kafka import KafkaSink, KafkaSource

                return KafkaSource(given, tuple(sink for sink in sinks if isinstance(sink, KafkaSink)))
            case TiledInput():
                from ._tiled import TiledSource

                return TiledSource(given, settings)


def _sink(given: OutputConfig) -> DocumentSink:
    """Connect to a receiver of documents."""
    with _explained(given.kind):
        match given:
            case ZmqOutput():
                from ._zmq import ZmqSink

                return ZmqSink(given)
            case KafkaOutput():
                from ._kafka import KafkaSink

                return KafkaSink(given)
            case TiledOutput():
                from ._tiled import TiledSink

                return TiledSink(given)


@contextmanager
def _explained(kind: str) -> Iterator[None]:
    """Name the extra to install when the package of a transport is missing."""
    try:
        yield
    except ImportError as error:
        raise ConfigurationError(
            f'{kind} needs the package {error.name}: pip install "qdsizer-stream[{kind}]"'
        ) from error

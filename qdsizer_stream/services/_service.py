"""The live sizer between a source and sinks of documents."""

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
from ._wires import Sink, Source

__all__ = ["Service"]

logger = logging.getLogger(__name__)

CHECK_S = 0.5
"""How often a wait looks whether the service was told to stop, s."""


class Service:
    """Sizes the frames of runs that are measured in another process.

    Parameters
    ----------
    config
        Where documents come from and go to.

    Raises
    ------
    ConfigurationError
        A setting is wrong, a package for a transport is missing, or nobody answers where it points.
    ModelError
        The model is unknown or damaged.
    """

    def __init__(self, config: ServeConfig) -> None:
        self._config = config
        settings = load_toml(LiveConfig, config.settings)
        if not isinstance(config.input, ZmqInput):
            # Kafka and Tiled keep what is not asked for yet; 0MQ drops it, and a frame is better marked.
            settings = settings.model_copy(update={"queue_policy": QueuePolicy.WAIT})
        if isinstance(config.input, TiledInput) and settings.destination is Destination.SAME_RUN:
            for output in config.output:
                if isinstance(output, TiledOutput) and output.uri == config.input.uri:
                    raise ConfigurationError(
                        f"the run of the frames is in {output.uri} already, and is not written twice: "
                        f'set destination = "linked-run" in {config.settings}'
                    )
        self._sinks = [_sink(output) for output in config.output]
        self._source = _source(config, settings, self._sinks)
        self._sizer = LiveSizer(settings)
        for sink in self._sinks:
            self._sizer.subscribe(Outgoing(sink, config.documents))
        self._stopping = threading.Event()
        self.port = config.health.port
        """Port of the health page, once it runs."""

    def run(self) -> bool:
        """Work until `stop` is called, then finish what came before.

        Returns
        -------
        Whether everything taken was sized and sent.

        Raises
        ------
        ConfigurationError
            The port of the health page is taken.
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
                self._source.run(self._sizer, self._settled, self._stopping)
        finally:
            self._stopping.set()
            done = self._settled()
            self._sizer.close(0)
            for sink in self._sinks:
                sink.close()
        counters = self._sizer.counters
        logger.info(
            "stopped: %d frames, %d sized, %d queued", counters.frames, counters.sized, counters.queued
        )
        return done

    def stop(self) -> None:
        """Make `run` finish; may be called from a signal handler."""
        self._stopping.set()

    def _settled(self) -> bool:
        """Wait until all that was taken has been sized and sent; once told to stop, not for ever."""
        begun_to_stop = None
        while not self._sizer.wait(CHECK_S):
            if self._stopping.is_set():
                begun_to_stop = begun_to_stop or time.monotonic()
                if time.monotonic() - begun_to_stop > self._config.stop_timeout_s:
                    return False
        # Every sink is flushed, whatever the others say.
        flushed = [sink.flush(self._config.stop_timeout_s) for sink in self._sinks]
        return all(flushed)


def _source(config: ServeConfig, settings: LiveConfig, sinks: list[Sink]) -> Source:
    """Connect to where documents come from."""
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


def _sink(given: OutputConfig) -> Sink:
    """Connect to where documents go to."""
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
    """Say which extra brings the package that a transport needs; none is needed by the others."""
    try:
        yield
    except ImportError as error:
        raise ConfigurationError(
            f"{kind} needs the package {error.name}: pip install 'qdsizer-stream[{kind}]'"
        ) from error

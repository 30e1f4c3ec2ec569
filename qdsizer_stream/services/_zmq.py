"""Documents over 0MQ, in the format of bluesky's publisher, proxy and dispatcher."""

import logging
from collections.abc import Collection
from threading import Event
from typing import Any

import zmq
from event_model import DocumentNames

from ..errors import MessageError
from ._codec import pack, unpack
from ._config import ZmqInput, ZmqOutput
from ._transports import Flush, Handler

__all__ = ["ZmqSink", "ZmqSource"]

logger = logging.getLogger(__name__)

WAITING_MESSAGES = 10_000
"""Messages that may wait in a socket before 0MQ drops some: 1.2 to 2.5 GB of frames, 50 s at 200 Hz."""

POLL_MS = 200
"""Interval at which an idle source checks for the stop signal, ms."""

LINGER_MS = 2000
"""Time for which a closed sink continues to send, ms: 0MQ would wait for a dead proxy for ever."""


def _address(address: str) -> str:
    return address if "://" in address else f"tcp://{address}"


class ZmqSource:
    """Receives documents from a proxy.

    Parameters
    ----------
    config
        Address of the proxy.
    own_prefixes
        Prefixes that the service itself publishes with; such messages are ignored.
    """

    def __init__(self, config: ZmqInput, own_prefixes: Collection[str] = ()) -> None:
        self._config = config
        self._own = {prefix.encode() for prefix in own_prefixes}
        self.malformed = 0
        """Messages that were not valid documents."""

    def run(self, handle: Handler, flush: Flush, stopping: Event) -> None:
        """Pass documents to `handle` until `stopping` is set.

        Parameters
        ----------
        handle
            Called with each document.
        flush
            Not used: 0MQ has no acknowledgements.
        stopping
            Set when the service is to stop.
        """
        wanted = self._config.prefix.encode()
        with zmq.Context() as context, context.socket(zmq.SUB) as socket:
            socket.rcvhwm = WAITING_MESSAGES
            socket.subscribe(wanted + b" " if wanted else b"")
            socket.connect(_address(self._config.address))
            logger.info("listening to the 0MQ proxy at %s", self._config.address)
            while not stopping.is_set():
                if not socket.poll(POLL_MS):
                    continue
                message = socket.recv()
                prefix, _, rest = message.partition(b" ")
                if prefix in self._own:
                    continue
                try:
                    handle(*_document(rest))
                except MessageError as error:
                    self.malformed += 1
                    logger.warning("a message from %s was ignored: %s", self._config.address, error)


def _document(message: bytes) -> tuple[str, dict[str, Any]]:
    """Kind and document of a message without its prefix."""
    kind, _, packed = message.partition(b" ")
    name = kind.decode(errors="replace")
    if name not in DocumentNames.__members__:
        raise MessageError(f"expected 'prefix kind document', found the kind {name[:40]!r}")
    if packed.startswith(b"\x80\x04") or packed.startswith(b"\x80\x05"):
        raise MessageError(
            f"the {name} document is pickled, which is never read: publish with Publisher(…, serializer=pack)"
        )
    doc = unpack(packed)
    if not isinstance(doc, dict):
        raise MessageError(f"the {name} document is a {type(doc).__name__}, expected a mapping")
    return name, doc


class ZmqSink:
    """Publishes to a proxy.

    Parameters
    ----------
    config
        Address of the proxy.
    """

    def __init__(self, config: ZmqOutput) -> None:
        self._prefix = config.prefix.encode()
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUB)
        self._socket.sndhwm = WAITING_MESSAGES
        self._socket.linger = LINGER_MS
        self._socket.connect(_address(config.address))
        self.name = f"zmq {config.address}"
        """Name in the metrics."""
        self.sent = 0
        """Documents passed to 0MQ, which does not report what arrives."""
        self.duplicates = 0
        """Always 0: 0MQ stores nothing."""

    def __call__(self, name: str, doc: Any) -> None:
        """Publish a document.

        Parameters
        ----------
        name
            Kind of the document.
        doc
            The document.
        """
        self._socket.send(b" ".join([self._prefix, name.encode(), pack(doc)]))
        self.sent += 1

    def flush(self, timeout_s: float) -> bool:
        """Return True: 0MQ does not report what arrived.

        Parameters
        ----------
        timeout_s
            Not used.

        Returns
        -------
        True.
        """
        return True

    def close(self) -> None:
        """Send the waiting messages, for at most two seconds, and close the socket."""
        self._socket.close()
        self._context.term()

"""Documents over 0MQ, as bluesky's publisher, proxy and dispatcher speak it."""

import logging
from collections.abc import Collection
from threading import Event
from typing import Any

import zmq
from event_model import DocumentNames

from ..errors import WireError
from ._codec import pack, unpack
from ._config import ZmqInput, ZmqOutput
from ._wires import Settle, Take

__all__ = ["ZmqSink", "ZmqSource"]

logger = logging.getLogger(__name__)

WAITING_MESSAGES = 10_000
"""Messages that may wait in a socket before 0MQ drops some: 1.2 to 2.5 GB of frames, 50 s at 200 a second."""

POLL_MS = 200
"""How soon a source that hears nothing notices that it is to stop, ms."""

LINGER_MS = 2000
"""How long a closed sink goes on sending, ms: 0MQ would wait for a dead proxy for ever."""


def _address(address: str) -> str:
    return address if "://" in address else f"tcp://{address}"


class ZmqSource:
    """Listens to a proxy.

    Parameters
    ----------
    config
        Where the proxy is.
    own_prefixes
        Prefixes of what the service itself publishes, which it must not take in again.
    """

    def __init__(self, config: ZmqInput, own_prefixes: Collection[str] = ()) -> None:
        self._config = config
        self._own = {prefix.encode() for prefix in own_prefixes}
        self.malformed = 0
        """Messages that were no documents."""

    def run(self, take: Take, settle: Settle, stopping: Event) -> None:
        """Hand documents over until told to stop.

        Parameters
        ----------
        take
            Takes each.
        settle
            Not needed: 0MQ asks for nothing back.
        stopping
            Set when it is time to stop.
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
                    take(*_document(rest))
                except WireError as error:
                    self.malformed += 1
                    logger.warning("a message from %s was left out: %s", self._config.address, error)


def _document(message: bytes) -> tuple[str, dict[str, Any]]:
    """Kind and document of a message without its prefix."""
    kind, _, packed = message.partition(b" ")
    name = kind.decode(errors="replace")
    if name not in DocumentNames.__members__:
        raise WireError(f"expected 'prefix kind document', found the kind {name[:40]!r}")
    if packed.startswith(b"\x80\x04") or packed.startswith(b"\x80\x05"):
        raise WireError(
            f"the {name} document is pickled, which is never read: publish with Publisher(…, serializer=pack)"
        )
    doc = unpack(packed)
    if not isinstance(doc, dict):
        raise WireError(f"the {name} document is a {type(doc).__name__}, expected a mapping")
    return name, doc


class ZmqSink:
    """Publishes to a proxy.

    Parameters
    ----------
    config
        Where the proxy is.
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
        """Documents handed to 0MQ, which does not tell what arrives."""
        self.duplicates = 0
        """None: 0MQ keeps nothing in which a document could be already."""

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
        """Say that all was sent: 0MQ tells no more.

        Parameters
        ----------
        timeout_s
            Not needed.

        Returns
        -------
        True.
        """
        return True

    def close(self) -> None:
        """Send what waits, for two seconds, and let go."""
        self._socket.close()
        self._context.term()

"""Runs from a Tiled server while they are written, and estimates to a Tiled server."""

import logging
import threading
from collections.abc import Iterable
from typing import Any

from bluesky_tiled_plugins import TiledWriter
from tiled.client import from_uri

from ..archive import SpooledWriter, run_documents
from ..callbacks import LiveConfig
from ..errors import ConfigurationError
from ._config import TiledInput, TiledOutput
from ._transports import Flush, Handler

__all__ = ["TiledSink", "TiledSource"]

logger = logging.getLogger(__name__)

NEWEST_RUNS = 10
"""Newest runs that are searched for unfinished ones."""

CHECK_S = 5.0
"""Interval between searches of the newest runs, s: a subscription does not report runs that started before
it was connected or while it was interrupted."""

PATIENCE_S = 86_400.0
"""Time without new frames after which a run without a stop document is abandoned, s: a synthesis may be
paused overnight, and a waiting thread costs nothing."""


RETRY_DELAYS_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 60.0)
"""Pauses between attempts to read a run after an error, s: a proxy that restarts, a login that expires and a
server that is updated come back within three minutes. A document that arrives starts the count again."""


def _identity(name: str, doc: Any) -> tuple[str, ...]:
    """What distinguishes a document from the others of its run, also where it is read a second time."""
    if name == "event":
        return name, doc["descriptor"], str(doc["seq_num"])
    return name, doc["uid"]


def _connected(uri: str) -> Any:
    try:
        return from_uri(uri)
    except Exception as error:  # the client passes on errors of its transport, parser and login
        raise ConfigurationError(
            f"no Tiled server at {uri}: {error!r}; "
            "give its URL with /api/v1, and its API key in the environment variable TILED_API_KEY"
        ) from error


class TiledSource:
    """Follows the runs that are being written to a server, each in its own thread, to their end.

    The subscription announces new runs; their content is read like that of any archived run, so that a frame
    that the server's streaming cache has dropped is not lost.

    Parameters
    ----------
    config
        URL of the server.
    settings
        Settings of the beamline, which name the data keys of the frames.

    Raises
    ------
    ConfigurationError
        The server does not answer.
    """

    def __init__(self, config: TiledInput, settings: LiveConfig) -> None:
        self._catalog = _connected(config.uri)
        self._uri = config.uri
        self._settings = settings
        self._lock = threading.Lock()
        self._followed: set[str] = set()
        self.malformed = 0
        """Runs that could not be read."""

    def run(self, handle: Handler, flush: Flush, stopping: threading.Event) -> None:
        """Pass documents to `handle` until `stopping` is set.

        Parameters
        ----------
        handle
            Called with each document.
        flush
            Not used: the runs remain on the server.
        stopping
            Set when the service is to stop.
        """

        def created(update: Any) -> None:
            self._follow([update.key], handle, stopping)

        with self._catalog.context, self._catalog.subscribe() as subscription:
            subscription.child_created.add_callback(created)
            threading.Thread(
                target=self._listen, args=(subscription,), name="qdsizer-news", daemon=True
            ).start()
            there = {uid: self._catalog[uid].metadata for uid in self._newest()}
            self._followed |= {uid for uid, said in there.items() if said.get("stop")}
            logger.info("listening to the Tiled server at %s", self._uri)
            self._follow(there, handle, stopping)
            while not stopping.wait(CHECK_S):
                try:
                    self._follow(self._newest(), handle, stopping)
                except Exception as error:  # the server may be unreachable for a while
                    logger.warning("the newest runs of %s cannot be listed: %r", self._uri, error)

    def _listen(self, subscription: Any) -> None:
        """Receive announcements of new runs until the subscription is closed."""
        try:
            # Not in its own thread: on a server without a streaming cache that thread would wait for ever.
            subscription.start()
        except Exception as error:
            logger.warning(
                "no subscription to %s, new runs are searched for every %g s: %r", self._uri, CHECK_S, error
            )

    def _newest(self) -> list[str]:
        return list(self._catalog.keys().tail(NEWEST_RUNS))

    def _follow(self, uids: Iterable[str], handle: Handler, stopping: threading.Event) -> None:
        with self._lock:  # a run that starts with the service is announced twice
            new = set(uids) - self._followed
            self._followed |= new
        for uid in new:
            threading.Thread(
                target=self._size_run, args=(uid, handle, stopping), name=f"run {uid[:8]}", daemon=True
            ).start()

    def _size_run(self, uid: str, handle: Handler, stopping: threading.Event) -> None:
        """Follow one run to its end, and go on where an answer of the server was lost or rejected."""
        handled: set[tuple[str, ...]] = set()
        delays_s = iter(RETRY_DELAYS_S)
        while not stopping.is_set():
            before = len(handled)
            try:
                self._documents_of(uid, handle, stopping, handled)
            except Exception as error:
                if stopping.is_set():
                    return  # the connection was closed
                if len(handled) > before:  # the server has answered since: the trouble is another one
                    delays_s = iter(RETRY_DELAYS_S)
                delay_s = next(delays_s, None)
                if delay_s is None:
                    self.malformed += 1
                    logger.error("run %s is given up, the rest of it is not sized: %s", uid, error)
                    return
                logger.warning("run %s cannot be read, next attempt in %g s: %r", uid, delay_s, error)
                stopping.wait(delay_s)
            else:
                return

    def _documents_of(
        self, uid: str, handle: Handler, stopping: threading.Event, handled: set[tuple[str, ...]]
    ) -> None:
        """Pass on the documents of a run that have not been handled before."""
        run = self._catalog[uid]
        if "original_run_uid" in run.metadata["start"]:
            return  # a run of estimates, perhaps our own: it holds no frames
        for name, doc in run_documents(run, self._settings, patience_s=PATIENCE_S):
            if stopping.is_set():
                return
            key = _identity(name, doc)
            if key not in handled:
                handle(name, doc)
                handled.add(key)


class TiledSink:
    """Writes to a server, and to a spool whatever the server does not accept.

    Parameters
    ----------
    config
        URL of the server and folder of the spool.

    Raises
    ------
    ConfigurationError
        The server does not answer.
    """

    def __init__(self, config: TiledOutput) -> None:
        # A batch of one event: with larger batches the archive shows nothing before the end of a short run.
        self._catalog = _connected(config.uri)
        self._writer = SpooledWriter(TiledWriter(self._catalog, batch_size=1), config.spool)
        self.name = f"tiled {config.uri}"
        """Name in the metrics."""
        self.sent = 0
        """Documents accepted, by the server or the spool."""
        self.duplicates = 0
        """Always 0: a run that the server already has goes to the spool as a whole."""

    def __call__(self, name: str, doc: Any) -> None:
        """Write a document.

        Parameters
        ----------
        name
            Kind of the document.
        doc
            The document.
        """
        self._writer(name, doc)
        self.sent += 1

    def flush(self, timeout_s: float) -> bool:
        """Wait until the server has everything.

        Parameters
        ----------
        timeout_s
            How long to wait, s.

        Returns
        -------
        True: what the server does not accept in time is in the spool.
        """
        self._writer.wait(timeout_s)
        return True

    def close(self) -> None:
        """End the writer's thread and close the connection."""
        self._writer.close()
        self._catalog.context.close()

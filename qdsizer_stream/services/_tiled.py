"""Runs from a Tiled server as they are written, and estimates to one."""

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
from ._wires import Settle, Take

__all__ = ["TiledSink", "TiledSource"]

logger = logging.getLogger(__name__)

NEWEST_RUNS = 10
"""Runs looked through, when the service starts, for those that are still measured."""

CHECK_S = 5.0
"""How often the newest runs are looked through again, s: a subscription says nothing of runs that began
before it was connected, or while it was cut off."""

PATIENCE_S = 86_400.0
"""How long a run without an end may bring nothing before it is taken for dead, s: a synthesis may be paused
for a night, and a thread that waits costs nothing."""


def _connected(uri: str) -> Any:
    try:
        return from_uri(uri)
    except Exception as error:  # the client raises what its transport, its parser and its login raise
        raise ConfigurationError(
            f"no Tiled server at {uri}: {error!r}; "
            "give its address with /api/v1, and its key as TILED_API_KEY"
        ) from error


class TiledSource:
    """Follows the runs that a server is written, each in a thread of its own, to their end.

    The subscription tells of new runs; what is in them is read as any archived run is, so that a frame
    that the subscription's cache has dropped is not lost.

    Parameters
    ----------
    config
        Where the server is.
    settings
        Settings of the beamline, which say what frames are.

    Raises
    ------
    ConfigurationError
        No server answers.
    """

    def __init__(self, config: TiledInput, settings: LiveConfig) -> None:
        self._catalog = _connected(config.uri)
        self._uri = config.uri
        self._settings = settings
        self._lock = threading.Lock()
        self._followed: set[str] = set()
        self.malformed = 0
        """Runs that could not be read."""

    def run(self, take: Take, settle: Settle, stopping: threading.Event) -> None:
        """Hand documents over until told to stop.

        Parameters
        ----------
        take
            Takes each.
        settle
            Not needed: the runs stay where they are.
        stopping
            Set when it is time to stop.
        """

        def created(update: Any) -> None:
            self._follow([update.key], take, stopping)

        with self._catalog.context, self._catalog.subscribe() as subscription:
            subscription.child_created.add_callback(created)
            threading.Thread(
                target=self._listen, args=(subscription,), name="qdsizer-news", daemon=True
            ).start()
            there = {uid: self._catalog[uid].metadata for uid in self._newest()}
            self._followed |= {uid for uid, said in there.items() if said.get("stop")}
            logger.info("listening to the Tiled server at %s", self._uri)
            self._follow(there, take, stopping)
            while not stopping.wait(CHECK_S):
                try:
                    self._follow(self._newest(), take, stopping)
                except Exception as error:  # the server may be away for a while
                    logger.warning("no news from %s: %r", self._uri, error)

    def _listen(self, subscription: Any) -> None:
        """Hear of new runs until the subscription is closed; without it, they are looked for."""
        try:
            # Not in a thread of its own: where the server keeps no news, that would wait for ever.
            subscription.start()
        except Exception as error:
            logger.warning(
                "no subscription to %s, new runs are looked for every %g s: %r", self._uri, CHECK_S, error
            )

    def _newest(self) -> list[str]:
        return list(self._catalog.keys().tail(NEWEST_RUNS))

    def _follow(self, uids: Iterable[str], take: Take, stopping: threading.Event) -> None:
        with self._lock:  # a run that begins as the service does is told of twice
            new = set(uids) - self._followed
            self._followed |= new
        for uid in new:
            threading.Thread(
                target=self._hand_over, args=(uid, take, stopping), name=f"run {uid[:8]}", daemon=True
            ).start()

    def _hand_over(self, uid: str, take: Take, stopping: threading.Event) -> None:
        try:
            run = self._catalog[uid]
            if "original_run_uid" in run.metadata["start"]:
                return  # estimates, perhaps our own: there are no frames in it
            for name, doc in run_documents(run, self._settings, patience_s=PATIENCE_S):
                if stopping.is_set():
                    return
                take(name, doc)
        except Exception as error:
            if stopping.is_set():
                return  # the connection was closed
            self.malformed += 1
            logger.warning("run %s was left out: %s", uid, error)


class TiledSink:
    """Writes to a server, and to a spool what the server does not take.

    Parameters
    ----------
    config
        Where the server and the spool are.

    Raises
    ------
    ConfigurationError
        No server answers.
    """

    def __init__(self, config: TiledOutput) -> None:
        # One event at a time, or nothing would be in the archive before the end of the run.
        self._catalog = _connected(config.uri)
        self._writer = SpooledWriter(TiledWriter(self._catalog, batch_size=1), config.spool)
        self.name = f"tiled {config.uri}"
        """Name in the metrics."""
        self.sent = 0
        """Documents taken, by the server or the spool."""
        self.duplicates = 0
        """None: a run that the server has already goes to the spool as a whole."""

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
        True: what the server does not take in time lies in the spool.
        """
        self._writer.wait(timeout_s)
        return True

    def close(self) -> None:
        """End the writer's thread and let go of the server."""
        self._writer.close()
        self._catalog.context.close()

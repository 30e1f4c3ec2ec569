"""Installation of the live sizer on a RunEngine."""

import logging
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ..callbacks import LiveConfig, LiveSizer
from ..callbacks.display import ReportWriter
from ..configuration import load_toml
from ..errors import ConfigurationError
from ._writers import is_subscribed, take_off, writers_on

if TYPE_CHECKING:
    from ..archive import RawJournal

__all__ = ["default_spool", "install", "installed", "uninstall"]

logger = logging.getLogger(__name__)

Writer = Callable[[str, Any], object]

ARCHIVE_BATCH = 20
"""Events per request to the archive: visible there after one second of frames at 20 Hz, at a tenth of the
cost of single events."""


class _Installation:
    """Live sizer and writers of one RunEngine."""

    def __init__(
        self,
        sizer: LiveSizer,
        archive_writer: Writer | None,
        resources: ExitStack,
        raw: "RawJournal | None",
        spooled: bool,
        exit_timeout_s: float,
    ) -> None:
        self.sizer = sizer
        self.raw = raw
        self.raw_token: int | None = None
        self._releases = raw is not None and not spooled
        self.token: int | None = None
        self.taken: list[Writer] = []  # writers that were subscribed to the RunEngine
        self._archive_writer = archive_writer
        self._resources = resources
        self._exit_timeout_s = exit_timeout_s
        self._behind: dict[int, Writer] = {}
        self.put_behind([])
        # Not `atexit`: the worker of a queue server is a multiprocessing child, which runs only finalizers.
        self._at_exit = Finalize(None, self.close, args=(exit_timeout_s,), exitpriority=1)
        # In other processes `atexit` is too late: executors accept no more work by then, and a server in this
        # process needs them to write. Executors use this hook themselves; it runs in reverse order.
        threading._register_atexit(self._at_exit)  # type: ignore[attr-defined]

    def put_behind(self, writers: Sequence[Writer]) -> None:
        """Subscribe writers to raw documents and sizes, replacing those subscribed before."""
        self.sizer.wait(self._exit_timeout_s)
        for token in self._behind:
            self.sizer.unsubscribe(token)
        archive = [] if self._archive_writer is None else [self._archive_writer]
        behind = [*writers, *archive]
        if self.raw is not None and self._releases and behind:
            behind.append(_Release(self.sizer, self.raw))
        self._behind = {self.sizer.subscribe(writer): writer for writer in behind}

    def close(self, timeout_s: float | None) -> bool:
        """Finish the queued frames, then close the archive."""
        self._at_exit.cancel()
        done = self.sizer.close(timeout_s)
        self._resources.close()
        if self.raw is not None:
            self.raw.close()
        return done


class _Release:
    """Last callback behind a sizer: deletes the raw journal of a run that every writer has accepted."""

    def __init__(self, sizer: LiveSizer, raw: "RawJournal") -> None:
        self._sizer = sizer
        self._raw = raw
        self._faults: dict[str, tuple[int, int]] = {}  # counted when the run started

    def __call__(self, name: str, doc: Any) -> None:
        if name == "start":
            self._faults[doc["uid"]] = self._counted()
        elif name == "stop" and self._faults.pop(doc["run_start"], None) == self._counted():
            self._raw.release(doc["run_start"])

    def _counted(self) -> tuple[int, int]:
        counters = self._sizer.counters
        return counters.contained, counters.undelivered


_installed: WeakKeyDictionary[Any, _Installation] = WeakKeyDictionary()


def install(
    engine: Any,
    config: LiveConfig | str | os.PathLike[str] = "qdsizer.toml",
    writer: Writer | Sequence[Writer] | None = None,
    *,
    archive: str | os.PathLike[str] | None = None,
    spool: str | os.PathLike[str] | None = None,
    readable: Sequence[str | os.PathLike[str]] = (),
    exit_timeout_s: float = 60.0,
) -> LiveSizer:
    """Size every frame that a RunEngine measures.

    Call it after the RunEngine has been made. Writers behind the sizer receive raw documents and sizes, in
    order, from the sizing thread; writers that were subscribed to the RunEngine are unsubscribed from it, so
    that no run is written twice, and `uninstall` subscribes them again. Raw documents go to a journal on disk
    before anything else, and the journal of a run is deleted once its writers have accepted it.

    Parameters
    ----------
    engine
        The RunEngine.
    config
        Settings of the beamline, or the path of their TOML file.
    writer
        Callback, or callbacks, for raw and derived documents; () for none. None takes over the writers of
        Tiled and databroker that are subscribed to the RunEngine.
    archive
        Also write to this archive: a folder, served by this process on the loopback interface with an API
        key that is stored there, readable by its owner only; the URL of a Tiled server; or the name of a
        Tiled profile.
    spool
        Folder of the journals, and for runs that the archive did not accept; with it, a slow or dead archive
        does not delay sizing. Without it the journals are in `default_spool()`.
    readable
        Folders of frame files that runs in an archive served by this process may refer to.
    exit_timeout_s
        How long process exit, or a start-up file that runs again, waits for the last frames, s.

    Returns
    -------
    The live sizer; the existing one where the RunEngine already has it with these settings, so that a
    start-up file may run again: writers that it makes again replace those subscribed before.

    Raises
    ------
    ConfigurationError
        The settings are not valid, or differ from those of the installed sizer; or a spool is given without
        an archive.
    ModelError
        The model is unknown or damaged.
    ArchiveError
        The archive cannot be reached or served.
    """
    settings = config if isinstance(config, LiveConfig) else load_toml(LiveConfig, Path(config))
    there = _installed.get(engine)
    if there is not None and there.sizer.config != settings:
        raise ConfigurationError(
            "this RunEngine already has a live sizer with other settings: call uninstall(RE) before "
            "install(RE, …)"
        )
    if archive is None and (spool is not None or readable):
        raise ConfigurationError(
            "spool and readable have no effect without archive: give archive too, or wrap your own writer in "
            "archive.SpooledWriter"
        )
    given = [writer] if callable(writer) else writer
    writers = writers_on(engine) if given is None else list(given)
    taken = [one for one in writers if is_subscribed(engine, one)]
    if there is None:
        with ExitStack() as resources:
            raw = _raw_journal(spool) if writers or archive is not None else None
            archive_writer = (
                None if archive is None else _archive_writer(resources, archive, spool, readable, raw)
            )
            spooled = archive is not None and spool is not None
            sizer = LiveSizer(settings, spill_folder=None if raw is None else raw.directory)
            if settings.report is not None:
                sizer.subscribe(ReportWriter(sizer, settings.report.folder))
            there = _Installation(sizer, archive_writer, resources.pop_all(), raw, spooled, exit_timeout_s)
        if there.raw is not None:
            there.raw_token = engine.subscribe(there.raw)  # first: on disk before anything else happens
        there.token = engine.subscribe(there.sizer)
        _installed[engine] = there
    for one in taken:
        take_off(engine, one)
    if writers:
        there.put_behind(writers)
        there.taken = [one for one in writers if one in taken or one in there.taken]
    return there.sizer


def installed(engine: Any) -> LiveSizer | None:
    """Find the live sizer of a RunEngine.

    Parameters
    ----------
    engine
        The RunEngine.

    Returns
    -------
    The live sizer; None where none is installed.
    """
    return _installed[engine].sizer if engine in _installed else None


def uninstall(engine: Any, timeout_s: float | None = 60.0) -> bool:
    """Remove the live sizer from a RunEngine, once it has sized the queued frames.

    Writers that were taken over are subscribed to the RunEngine again; an archive opened by `install` is
    closed.

    Parameters
    ----------
    engine
        The RunEngine.
    timeout_s
        How long to wait, s; None for as long as it takes.

    Returns
    -------
    Whether every document was sized and passed on; True where no sizer was installed.
    """
    if engine not in _installed:
        return True
    installation = _installed.pop(engine)
    engine.unsubscribe(installation.token)
    if installation.raw_token is not None:
        engine.unsubscribe(installation.raw_token)
    done = installation.close(timeout_s)
    for one in installation.taken:
        engine.subscribe(one)
    return done


def default_spool() -> Path:
    """Return the folder of the raw journals where no spool is given.

    Returns
    -------
    Folder in the state folder of the user, `$XDG_STATE_HOME/qdsizer_stream/spool`.
    """
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "qdsizer_stream" / "spool"


def _raw_journal(spool: str | os.PathLike[str] | None) -> "RawJournal | None":
    """Journal of raw documents; None where its folder cannot be written."""
    try:
        from ..archive import RawJournal, spooled_runs
    except ImportError:  # without the extra tiled there is no journal
        return None
    folder = default_spool() if spool is None else Path(spool)
    try:
        journal = RawJournal(folder)
    except OSError as error:
        logger.error(
            "raw documents are not kept: cannot write %s: %s; set XDG_STATE_HOME", folder, error.strerror
        )
        return None
    if waiting := spooled_runs(folder, unfinished=True):
        logger.warning(
            "%d runs wait in %s: `qdsizer-stream spool upload --unfinished %s ARCHIVE`",
            len(waiting), folder, folder,
        )  # fmt: skip
    return journal


def _archive_writer(
    resources: ExitStack,
    archive: str | os.PathLike[str],
    spool: str | os.PathLike[str] | None,
    readable: Sequence[str | os.PathLike[str]],
    raw: "RawJournal | None",
) -> Writer:
    """Open an archive while the sizer is installed, and return a writer to it."""
    # Servers and clients take seconds to import, and most sessions bring their own writer.
    from bluesky_tiled_plugins import TiledWriter

    from ..archive import SpooledWriter, open_archive

    catalog = resources.enter_context(open_archive(archive, readable, create=True))
    writer: Writer = TiledWriter(catalog, batch_size=ARCHIVE_BATCH)
    if spool is not None:
        spooled = SpooledWriter(writer, spool, on_safe=None if raw is None else raw.release)
        resources.callback(spooled.close)
        writer = spooled
    return writer

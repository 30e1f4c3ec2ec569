"""Installation of the live sizer on a RunEngine."""

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from ..callbacks import LiveConfig, LiveSizer
from ..configuration import load_toml
from ..errors import ConfigurationError
from ._writers import is_subscribed, take_off, writers_on

__all__ = ["install", "installed", "uninstall"]

Writer = Callable[[str, Any], object]

EXIT_TIMEOUT_S = 60.0
"""Time that process exit, or a repeated start-up, waits for frames to be sized and written, s."""

ARCHIVE_BATCH = 20
"""Events per request to the archive: visible there after one second of frames at 20 Hz, at a tenth of the
cost of single events."""


class _Installation:
    """Live sizer and writers of one RunEngine."""

    def __init__(self, sizer: LiveSizer, archive_writer: Writer | None, resources: ExitStack) -> None:
        self.sizer = sizer
        self.token: int | None = None
        self.taken: list[Writer] = []  # writers that were subscribed to the RunEngine
        self._archive_writer = archive_writer
        self._resources = resources
        self._behind: dict[int, Writer] = {}
        self.put_behind([])
        # Not `atexit`: the worker of a queue server is a multiprocessing child, which runs only finalizers.
        self._at_exit = Finalize(None, self.close, args=(EXIT_TIMEOUT_S,), exitpriority=1)
        # In other processes `atexit` is too late: executors accept no more work by then, and a server in this
        # process needs them to write. Executors use this hook themselves; it runs in reverse order.
        threading._register_atexit(self._at_exit)  # type: ignore[attr-defined]

    def put_behind(self, writers: Sequence[Writer]) -> None:
        """Subscribe writers to raw documents and sizes, replacing those subscribed before."""
        self.sizer.wait(EXIT_TIMEOUT_S)
        for token in self._behind:
            self.sizer.unsubscribe(token)
        archive = [] if self._archive_writer is None else [self._archive_writer]
        self._behind = {self.sizer.subscribe(writer): writer for writer in [*writers, *archive]}

    def close(self, timeout_s: float | None) -> bool:
        """Finish the queued frames, then close the archive."""
        self._at_exit.cancel()
        done = self.sizer.close(timeout_s)
        self._resources.close()
        return done


_installed: WeakKeyDictionary[Any, _Installation] = WeakKeyDictionary()


def install(
    engine: Any,
    config: LiveConfig | Path | str = "qdsizer.toml",
    writer: Writer | Sequence[Writer] | None = None,
    *,
    archive: Path | str | None = None,
    spool: Path | str | None = None,
    readable: Sequence[Path | str] = (),
) -> LiveSizer:
    """Size every frame that a RunEngine measures.

    Call it after the RunEngine has been made. Writers behind the sizer receive raw documents and sizes, in
    order, from the sizing thread; writers that were subscribed to the RunEngine are unsubscribed from it, so
    that no run is written twice, and `uninstall` subscribes them again. At process exit, frames that are not
    yet sized and written are awaited for up to a minute.

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
        Folder for runs that the archive did not accept; with it, a slow or dead archive does not delay
        sizing.
    readable
        Folders of frame files that runs in an archive served by this process may refer to.

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
            archive_writer = None if archive is None else _archive_writer(resources, archive, spool, readable)
            there = _Installation(LiveSizer(settings), archive_writer, resources.pop_all())
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
    done = installation.close(timeout_s)
    for one in installation.taken:
        engine.subscribe(one)
    return done


def _archive_writer(
    resources: ExitStack, archive: Path | str, spool: Path | str | None, readable: Sequence[Path | str]
) -> Writer:
    """Open an archive while the sizer is installed, and return a writer to it."""
    # Servers and clients take seconds to import, and most sessions bring their own writer.
    from bluesky_tiled_plugins import TiledWriter

    from ..archive import SpooledWriter, open_archive

    catalog = resources.enter_context(
        open_archive(archive, [Path(folder) for folder in readable], create=True)
    )
    writer: Writer = TiledWriter(catalog, batch_size=ARCHIVE_BATCH)
    if spool is not None:
        spooled = SpooledWriter(writer, Path(spool))
        resources.callback(spooled.close)
        writer = spooled
    return writer

"""Putting the live sizer into a session."""

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
"""How long the end of the process, or another start-up, waits for frames still to be sized and written, s."""

ARCHIVE_BATCH = 20
"""Events that go into the archive together: seen there after a second of frames at 20 Hz, and a tenth of
the cost of one by one."""


class _Installation:
    """What was done to one RunEngine."""

    def __init__(self, sizer: LiveSizer, archive_writer: Writer | None, resources: ExitStack) -> None:
        self.sizer = sizer
        self.token: int | None = None
        self.taken: list[Writer] = []  # writers that were on the RunEngine
        self._archive_writer = archive_writer
        self._resources = resources
        self._behind: dict[int, Writer] = {}
        self.put_behind([])
        # Not `atexit`: the worker of a queue server is a child of multiprocessing, which calls nothing else.
        self._at_exit = Finalize(None, self.close, args=(EXIT_TIMEOUT_S,), exitpriority=1)
        # And elsewhere `atexit` is too late: executors take no work by then, and a server in this process
        # needs them to write. This hook is what they use themselves, called in reverse order.
        threading._register_atexit(self._at_exit)  # type: ignore[attr-defined]

    def put_behind(self, writers: Sequence[Writer]) -> None:
        """Let writers receive raw documents and sizes, in place of those that did."""
        self.sizer.wait(EXIT_TIMEOUT_S)
        for token in self._behind:
            self.sizer.unsubscribe(token)
        archive = [] if self._archive_writer is None else [self._archive_writer]
        self._behind = {self.sizer.subscribe(writer): writer for writer in [*writers, *archive]}

    def close(self, timeout_s: float | None) -> bool:
        """Finish what the sizer holds, then close the archive."""
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

    Call it once the RunEngine exists. Writers behind the sizer receive raw documents and sizes, in order,
    from the sizing thread; those that were subscribed to the RunEngine are taken off it, so that no run is
    written twice, and `uninstall` puts them back. A process that ends waits up to a minute for frames that
    are still to be sized and written.

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
        Also write to this archive: a folder, served from this process on the loopback interface with a key
        that is made the first time and kept there, for its owner alone; the URL of a Tiled server; or the
        name of a Tiled profile.
    spool
        Folder for what the archive could not take; with it, neither a slow nor a dead archive holds up
        sizing.
    readable
        Folders of frame files that runs in an archive served from here may point at.

    Returns
    -------
    The live sizer; the one there is where the RunEngine has it already with these settings, so that a
    start-up file may run again: what that has made anew takes the place of the writers that were there.

    Raises
    ------
    ConfigurationError
        The settings are wrong, or others than those the RunEngine already has; or a spool is given without
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
            "this RunEngine has a live sizer with other settings: call uninstall(RE) before install(RE, …)"
        )
    if archive is None and (spool is not None or readable):
        raise ConfigurationError(
            "spool and readable belong to archive: give that too, or wrap your own writer in "
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
    The live sizer; None where there is none.
    """
    return _installed[engine].sizer if engine in _installed else None


def uninstall(engine: Any, timeout_s: float | None = 60.0) -> bool:
    """Take the live sizer off a RunEngine, once it has finished what it holds.

    Writers that were taken over are subscribed to the RunEngine again; an archive that was opened is
    closed.

    Parameters
    ----------
    engine
        The RunEngine.
    timeout_s
        How long to wait, s; None for as long as it takes.

    Returns
    -------
    Whether every document was sized and passed on; also where there was no sizer.
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
    """Open an archive for as long as the sizer is installed, and give a writer to it."""
    # Servers and clients take seconds to import, and most sessions bring a writer of their own.
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

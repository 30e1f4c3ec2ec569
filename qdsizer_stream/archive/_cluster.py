"""Replay of many runs on the workers of a Dask cluster."""

import os
import socket
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from .. import __version__
from .._dask import finished_tasks
from ..callbacks import LiveConfig
from ..errors import ArchiveError, ModelError, QdsizerError
from ..models import load_model
from ..sizing import Sizer
from ._connect import open_archive
from ._documents import PATIENCE_S
from ._job import ReplayOutcome, replay_into
from ._linked_run import LinkedRuns
from ._select import find_run
from ._write_back import WriteBack

__all__ = ["replay_on_cluster"]


@dataclass(frozen=True, kw_only=True)
class _Command:
    """What the tasks of one command share."""

    session: str
    """Identifier: a worker that has served an earlier command connects anew."""
    version: str
    archive: str
    journals: str
    write_back: bool
    replace: bool
    again: bool
    patience_s: float


class _Kept:
    """What a thread of a worker keeps from one run to the next."""

    def __init__(self) -> None:
        self._session = ""
        self._connection = ExitStack()
        # The thread ends with its worker, and nobody else would close the connection.
        weakref.finalize(self, self._connection.close)
        self._catalog: Any = None
        self._sizer: Sizer | None = None

    def catalog(self, command: _Command) -> Any:
        """Client of the archive."""
        if self._session != command.session:
            self._connection.close()
            self._catalog = self._connection.enter_context(open_archive(command.archive, serve=False))
            self._session = command.session
        return self._catalog

    def sizer(self, config: LiveConfig) -> Sizer:
        """The sizer that these settings ask for."""
        if self._sizer is None or self._sizer.config != config.sizing:
            self._sizer = Sizer(config.sizing)
        return self._sizer


_of_thread = threading.local()


def replay_on_cluster(
    archive: str | os.PathLike[str],
    runs: Mapping[str, LiveConfig],
    scheduler: str,
    journals: str | os.PathLike[str],
    *,
    write_back: bool = False,
    replace: bool = False,
    again: bool = False,
    patience_s: float = PATIENCE_S,
    report: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Iterator[tuple[str, ReplayOutcome | QdsizerError]]:
    """Size archived runs on the workers of a Dask cluster and write the sizes, unless they already exist.

    One run is one task, sized and written by one worker as `replay_into` does; the numbers are the same. A
    run whose worker ends is continued by another one, where both see the folder of the journals, and else
    begun again.

    Parameters
    ----------
    archive
        As of `open_archive`, as the workers reach it. A folder must be served by a process on their machine,
        such as this one.
    runs
        Settings by the identifier of the run.
    scheduler
        Address of the scheduler, such as tcp://host:8786.
    journals
        As of `replay_into`, on the workers' machines; a folder that they all see.
    write_back, replace
        Whether sizes go into the runs themselves, and replace others there, as of `WriteBack`; else they go
        to linked runs.
    again, patience_s
        As of `replay_into`.
    report
        Called with a description, the runs done and their number.

    Yields
    ------
    Identifier of each run in the order in which they are finished, with its outcome, or with the error for
    which it was not sized.

    Raises
    ------
    ArchiveError
        Dask is not installed, no scheduler answers, or the cluster has had no worker for two minutes; what
        was sized is kept.
    ModelError
        A model of the settings cannot be loaded.
    """
    command = _Command(
        session=str(uuid4()),
        version=__version__,
        archive=str(Path(archive).resolve()) if Path(archive).is_dir() else os.fspath(archive),
        journals=str(Path(journals).resolve()),
        write_back=write_back,
        replace=replace,
        again=again,
        patience_s=patience_s,
    )
    hashes = {name: load_model(name).sha256 for name in {config.sizing.model for config in runs.values()}}
    tasks = {
        uid: (command, uid, config.model_dump_json(), hashes[config.sizing.model])
        for uid, config in runs.items()
    }
    report("sizing on the cluster", 0, len(tasks))
    finished = finished_tasks(
        _replay_one,
        tasks,
        scheduler,
        error_type=ArchiveError,
        things="runs",
        kept="repeat the command to go on",
    )
    for n_finished, (uid, result) in enumerate(finished, 1):
        try:
            yield uid, result()
        except QdsizerError as error:
            yield uid, error
        except Exception as error:  # one run that cannot be sized must not stop the others
            yield uid, ArchiveError(f"not sized on the cluster: {type(error).__name__}: {error}")
        report("sizing on the cluster", n_finished, len(tasks))


def _replay_one(command: _Command, uid: str, config_json: str, model_sha256: str) -> ReplayOutcome:
    """Size one run and write its sizes; runs on a worker."""
    if command.version != __version__:
        raise ArchiveError(
            f"the worker on {socket.gethostname()} has qdsizer_stream {__version__}, this command "
            f"{command.version}: install the same version there"
        )
    kept: _Kept = _of_thread.__dict__.setdefault("kept", _Kept())
    # Tiled's client reads arrays with Dask, which in the thread of a task would send each request to the
    # cluster, and wait there for a worker: for ever, where all of them wait. Another thread is not in a task.
    with ThreadPoolExecutor(1) as elsewhere:
        return elsewhere.submit(_sized, kept, command, uid, config_json, model_sha256).result()


def _sized(kept: _Kept, command: _Command, uid: str, config_json: str, model_sha256: str) -> ReplayOutcome:
    config = LiveConfig.model_validate_json(config_json)
    sizer = kept.sizer(config)
    if sizer.model.sha256 != model_sha256:
        raise ModelError(
            f"model {sizer.model.name} on {socket.gethostname()} is {sizer.model.sha256[:8]}, here "
            f"{model_sha256[:8]}: copy the file of this machine there"
        )
    catalog = kept.catalog(command)
    return replay_into(
        find_run(catalog, uid),
        config,
        WriteBack(command.replace) if command.write_back else LinkedRuns(catalog),
        command.journals,
        sizer,
        again=command.again,
        patience_s=command.patience_s,
    )

"""Sizing an archived run again."""

import json
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..callbacks import (
    OBJECT_NAME,
    RUN_KEY,
    STREAM_NAME,
    Destination,
    Item,
    LiveConfig,
    RunSizing,
    with_smoothed,
)
from ..configuration import validated
from ..errors import ArchiveError
from ..sizing import Sizer
from ..sizing.process import BlockExecutor
from ._documents import FRAME_DOCUMENTS, PATIENCE_S, REQUEST_BYTES, run_documents
from ._select import plain_run
from ._workers import SizingWorkers

__all__ = ["ReplayStep", "archived_config", "replay", "sized_steps"]

N_AHEAD = 15
"""Events of which the frames are sized together with those of the current one, where no process sizes them:
blocks of 16 are fastest."""


def archived_config(run: Any) -> LiveConfig:
    """Read the settings with which a run was sized.

    Parameters
    ----------
    run
        A `BlueskyRun` from Tiled that holds the stream `qd_size`.

    Returns
    -------
    The settings.

    Raises
    ------
    ArchiveError
        The run was never sized.
    ConfigurationError
        It was sized by another version, with settings that this one does not have.
    """
    run = plain_run(run)
    uid = run.metadata["start"]["uid"]
    if STREAM_NAME not in set(run):
        raise ArchiveError(
            f"run {uid} holds no stream {STREAM_NAME}, only {', '.join(run) or 'none'}: "
            "it was never sized; give the settings of the beamline"
        )
    described = run[STREAM_NAME].descriptors[0]["configuration"][OBJECT_NAME]["data"]
    return validated(LiveConfig, json.loads(described["qdsizer_config"]), f"run {uid}, qdsizer_config")


def replay(
    run: Any,
    config: LiveConfig,
    sizer: Sizer | None = None,
    *,
    smoothed: bool = False,
    request_bytes: int = REQUEST_BYTES,
) -> Iterator[tuple[str, Any]]:
    """Size the frames of an archived run again, as a new run that is linked to it.

    The frames are handled as live ones are, so the same model gives the same numbers, to the last bit.

    Parameters
    ----------
    run
        A run, as of `run_documents`.
    config
        Settings, such as `archived_config(run)`; what the start document of the run overrides is not
        applied to them.
    sizer
        The sizer of `config.sizing`, where it exists already.
    smoothed
        Whether the stream `qd_size_smoothed` follows at the end: the track from all frames of the run.
    request_bytes
        As of `run_documents`.

    Returns
    -------
    Name and document of the derived run, as they come; pass them to a writer. None where the run holds
    no frame.

    Raises
    ------
    ArchiveError
        The run holds no frames of this detector, or the archive does not deliver them; the documents so far
        then end with a stop that gives the reason.
    """
    steps = sized_steps(run, config, sizer, request_bytes=request_bytes)
    documents = (one for step in steps for one in step.documents)
    yield from with_smoothed(documents) if smoothed else documents


@dataclass(frozen=True)
class ReplayStep:
    """Documents derived from one raw document, or the end of the run."""

    documents: list[tuple[str, Any]]
    """Names and derived documents; may be empty."""
    complete: bool = True
    """Whether every frame so far is in an estimate, so that another replay can continue from here; False
    while a sum of frames is unfinished."""
    exit_status: str = ""
    """At the end: `success`; `abort` where the run never ended; `fail` where an error follows."""
    reason: str = ""
    """Reason of that status."""


def sized_steps(
    run: Any,
    config: LiveConfig,
    sizer: Sizer | None = None,
    skip: int = 0,
    patience_s: float = PATIENCE_S,
    workers: SizingWorkers | None = None,
    earlier: Iterable[tuple[str, dict[str, Any]]] = (),
    request_bytes: int = REQUEST_BYTES,
) -> Iterator[ReplayStep]:
    """Size the frames of an archived run, one raw document after another.

    Parameters
    ----------
    run, config, sizer
        As of `replay`.
    skip, patience_s, request_bytes
        As of `run_documents`.
    workers
        Size the frames; None for this thread, which sizes them in blocks.
    earlier
        Derived documents of the frames that are skipped, which the track continues.

    Returns
    -------
    A step for each raw document that holds frames, and one for the end, with the unfinished sums and, where
    there are estimates, the stop.

    Raises
    ------
    ArchiveError
        As of `replay`.
    """
    run = plain_run(run)
    sizer = sizer or Sizer(config.sizing)
    # The settings given are final: overrides of the original run are in them, or were left out on purpose.
    original = {key: value for key, value in run.metadata["start"].items() if key != RUN_KEY}
    sizing = RunSizing(
        original,
        config,
        lambda _: sizer,
        live=False,
        destination=Destination.LINKED_RUN,
        executor=workers or BlockExecutor(),
        watched=False,
    )

    sizing.continue_track(_sizes(earlier))

    def end(rest: list[tuple[str, Any]], exit_status: str, reason: str = "") -> ReplayStep:
        stops = sizing.stop({"exit_status": exit_status, "reason": reason})[1:]  # the first is the original's
        documents = [*rest, *(("stop", stop) for stop in stops)]
        return ReplayStep(documents, exit_status=exit_status, reason=reason)

    ended = False
    # Sums that share frames always hold some of them.
    shared = config.accumulation is not None and config.accumulation.mode != "reset"
    n_waiting = 0  # frames that are in no estimate yet
    try:
        documents = run_documents(run, config, skip, patience_s, request_bytes)
        # A run in progress is followed frame by frame.
        n_ahead = N_AHEAD if run.metadata.get("stop") else 0
        for item in _submitted(documents, sizing, n_ahead if workers is None else workers.n_ahead):
            if item.name == "stop":  # what is left is sized by `finish`
                ended = True
                continue
            derived = [(kind, one) for kind, one, _ in sizing.documents(item)]
            n_waiting += item.frames_done
            n_waiting -= sum(one["data"]["qdsizer_n_frames"] for kind, one in derived if kind == "event")
            if item.name in FRAME_DOCUMENTS:
                yield ReplayStep(derived, complete=not shared and n_waiting == 0 and not sizing.holding)
        rest = [(kind, one) for kind, one, _ in sizing.finish()]
    except Exception as error:
        yield end([], "fail", f"{error}")
        raise
    if ended:
        yield end(rest, "success")
    else:
        yield end(rest, "abort", f"the run has no stop, and nothing new for {patience_s:g} s")


def _sizes(documents: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Stream of the frame and data of each event of derived documents."""
    streams: dict[str, str] = {}
    for name, doc in documents:
        if name == "descriptor":
            streams[doc["uid"]] = doc["configuration"][OBJECT_NAME]["data"]["qdsizer_frame_stream"]
        elif name == "event":
            yield streams[doc["descriptor"]], doc["data"]


def _submitted(
    documents: Iterator[tuple[str, dict[str, Any]]], sizing: RunSizing, n_ahead: int
) -> Iterator[Item]:
    """Documents in order; the frames of up to `n_ahead` events behind the current one are submitted.

    An error is raised after the documents that were read before it.
    """
    waiting: deque[Item] = deque()
    try:
        for name, doc in documents:
            item = Item(name, doc)
            waiting.append(item)
            if name == "event" and n_ahead:
                sizing.submit(item)
            while waiting and (name != "event" or len(waiting) > n_ahead):
                yield waiting.popleft()
    except Exception:
        yield from waiting  # what was read before the error is sized
        raise
    yield from waiting

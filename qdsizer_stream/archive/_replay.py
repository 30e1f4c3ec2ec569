"""Sizing an archived run again."""

import json
from collections.abc import Iterator
from typing import Any

from ..callbacks import OBJECT_NAME, RUN_KEY, STREAM_NAME, Destination, Item, LiveConfig, RunSizing
from ..configuration import validated
from ..errors import ArchiveError
from ..sizing import Sizer
from ._documents import run_documents

__all__ = ["archived_config", "replay"]


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
        It was sized by another version, whose settings this one does not know.
    """
    uid = run.metadata["start"]["uid"]
    if STREAM_NAME not in set(run):
        raise ArchiveError(
            f"run {uid} holds no stream {STREAM_NAME}, only {', '.join(run) or 'none'}: "
            "it was never sized, give the settings of the beamline"
        )
    described = run[STREAM_NAME].descriptors[0]["configuration"][OBJECT_NAME]["data"]
    return validated(LiveConfig, json.loads(described["qdsizer_config"]), f"run {uid}, qdsizer_config")


def replay(run: Any, config: LiveConfig, sizer: Sizer | None = None) -> Iterator[tuple[str, Any]]:
    """Size the frames of an archived run again, as a new run that is linked to it.

    The frames take the same way as live ones, so the same model gives the same numbers, to the last
    bit. What the original start document overrides is overridden here as well.

    Parameters
    ----------
    run
        A `BlueskyRun` from Tiled.
    config
        Settings, such as `archived_config(run)`; what the start document of the run overrides is not
        applied to them.
    sizer
        The sizer of `config.sizing`, where it exists already.

    Returns
    -------
    Name and document of the derived run, as they come; pass them to a writer.

    Raises
    ------
    ArchiveError
        The run is not finished, or holds no frames.
    """
    sizer = sizer or Sizer(config.sizing)
    # The settings given are final: what the original run overrode is in them, or was left out on purpose.
    original = {key: value for key, value in run.metadata["start"].items() if key != RUN_KEY}
    sizing = RunSizing(original, config, lambda _: sizer, live=False, destination=Destination.LINKED_RUN)

    def end(exit_status: str, reason: str = "") -> Iterator[tuple[str, Any]]:
        stops = sizing.stop({"exit_status": exit_status, "reason": reason})
        return (("stop", stop) for stop in stops[1:])  # the first is that of the original

    try:
        for name, doc in run_documents(run, config):
            for derived_name, derived, _ in sizing.documents(Item(name, doc)):
                yield derived_name, derived
        for derived_name, derived, _ in sizing.finish():
            yield derived_name, derived
    except Exception as error:
        yield from end("fail", f"{error}")
        raise
    yield from end("success")

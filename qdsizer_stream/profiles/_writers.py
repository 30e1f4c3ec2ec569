"""Archive writers that are subscribed to a RunEngine."""

from collections.abc import Callable
from typing import Any

from event_model import DocumentNames

__all__ = ["is_subscribed", "take_off", "writers_on"]

Writer = Callable[[str, Any], object]

WRITERS = {
    "bluesky_tiled_plugins": ("TiledWriter", "TiledInserter"),
    "bluesky.callbacks.tiled_writer": ("TiledWriter",),
    "bluesky.callbacks.buffer": ("BufferingWrapper",),
    "qdsizer_stream.archive": ("SpooledWriter",),
}
"""Classes, by module, whose instances write documents to an archive."""

INSERTING = {"insert", "post_document"}
"""Methods of databroker catalogs that write documents."""


def writers_on(engine: Any) -> list[Writer]:
    """Find the writers of Tiled and databroker on a RunEngine.

    Parameters
    ----------
    engine
        The RunEngine.

    Returns
    -------
    Callbacks that receive every kind of document, in order of subscription.
    """
    return [callback for callback in _subscribed(engine) if _writes(callback)]


def is_subscribed(engine: Any, callback: Writer) -> bool:
    """Check whether a callback is subscribed to a RunEngine.

    Parameters
    ----------
    engine
        The RunEngine.
    callback
        The callback.

    Returns
    -------
    Whether it is.
    """
    return any(callback == one for one in _subscribed(engine))


def take_off(engine: Any, callback: Writer) -> None:
    """Unsubscribe a callback without its token.

    Parameters
    ----------
    engine
        The RunEngine.
    callback
        The callback.
    """
    # A callback is registered once, however often it is subscribed: the new token also ends the old
    # subscription.
    engine.unsubscribe(engine.subscribe(callback))


def _subscribed(engine: Any) -> list[Writer]:
    """Callbacks that receive start documents, unwrapped from the weak references of bound methods."""
    found = []
    for reference in engine.dispatcher.cb_registry.callbacks.get(DocumentNames.start, {}).values():
        owner = reference.inst() if reference.inst is not None else None
        if reference.inst is None:
            found.append(reference.func)
        elif owner is not None:  # otherwise it was garbage-collected and is not called either
            found.append(reference.func.__get__(owner))
    return found


def _writes(callback: Writer) -> bool:
    owner = getattr(callback, "__self__", None)
    if owner is not None:
        modules = [kind.__module__ for kind in type(owner).__mro__]
        catalog = any(name.startswith(("databroker", "bluesky_tiled_plugins")) for name in modules)
        return catalog and getattr(callback, "__name__", "") in INSERTING
    return any(
        kind.__module__.startswith(module) and kind.__name__ in names
        for kind in type(callback).__mro__
        for module, names in WRITERS.items()
    )

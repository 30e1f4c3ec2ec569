"""Putting the live sizer into a session."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from ..callbacks import LiveConfig, LiveSizer
from ..configuration import load_toml
from ..errors import ConfigurationError

__all__ = ["install", "installed", "uninstall"]

_installed: WeakKeyDictionary[Any, tuple[int, LiveSizer]] = WeakKeyDictionary()


def install(
    engine: Any, config: LiveConfig | Path | str, *writers: Callable[[str, Any], object]
) -> LiveSizer:
    """Size every frame that a RunEngine measures.

    Call it once the RunEngine exists, and give it the writers that would else be subscribed to the
    RunEngine: they then receive raw documents and sizes, in order, from the sizing thread. A writer
    that stays subscribed to the RunEngine itself does not see the sizes; one that is subscribed to
    both writes every run twice.

    Parameters
    ----------
    engine
        The RunEngine.
    config
        Settings of the beamline, or the path of their TOML file.
    writers
        Callbacks for raw and derived documents.

    Returns
    -------
    The live sizer; the one there is where the RunEngine has it already with these settings, so that a
    start-up file may run again.

    Raises
    ------
    ConfigurationError
        The settings are wrong, or others than those the RunEngine already has.
    ModelError
        The model is unknown or damaged.
    """
    settings = config if isinstance(config, LiveConfig) else load_toml(LiveConfig, Path(config))
    there = installed(engine)
    if there is not None:
        if there.config != settings:
            raise ConfigurationError(
                "this RunEngine has a live sizer with other settings: "
                "call uninstall(RE) before install(RE, …)"
            )
        return there
    sizer = LiveSizer(settings)
    for writer in writers:
        sizer.subscribe(writer)
    _installed[engine] = engine.subscribe(sizer), sizer
    return sizer


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
    return _installed[engine][1] if engine in _installed else None


def uninstall(engine: Any, timeout_s: float | None = 60.0) -> bool:
    """Take the live sizer off a RunEngine, once it has finished what it holds.

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
    token, sizer = _installed.pop(engine)
    engine.unsubscribe(token)
    return sizer.close(timeout_s)

"""Records of areaDetector that both drivers have."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from caproto import ChannelType  # type: ignore[import-untyped]
from caproto.server import get_pv_pair_wrapper, pvproperty  # type: ignore[import-untyped]

__all__ = ["PATH_LENGTH", "number", "on_off", "one_of", "read_only", "text"]

_pair = get_pv_pair_wrapper(setpoint_suffix="", readback_suffix="_RBV")

Put = Callable[[Any, Any, Any], Awaitable[Any]]
"""Function of the pair, its setpoint and the new value; returns the value to keep, None for the new."""

PATH_LENGTH = 256
"""areaDetector keeps paths in waveforms of 256 characters."""


def number(name: str, value: float, units: str = "", precision: int = 6) -> Any:
    """Create a numeric setpoint with its readback.

    Parameters
    ----------
    name
        Name of the setpoint; the readback has ``_RBV`` appended.
    value
        Initial value; an integer makes integer records.
    units
        Unit.
    precision
        Digits after the decimal point of a float.

    Returns
    -------
    The pair, for a `PVGroup`.
    """
    kind: dict[str, Any] = {"precision": precision} if isinstance(value, float) else {}
    return _pair(name=name, value=value, dtype=type(value), units=units, **kind)


def one_of(
    name: str,
    *choices: str,
    value: str | None = None,
    put: Put | None = None,
    setpoint_choices: Sequence[str] = (),
) -> Any:
    """Create an enumerated setpoint with its readback.

    Parameters
    ----------
    name
        Name of the setpoint.
    choices
        Allowed values.
    value
        Initial value; None for the first choice.
    put
        Called with a client's value; None if the readback simply follows it.
    setpoint_choices
        Allowed values of the setpoint, if a driver's template has others than for the readback.

    Returns
    -------
    The pair, for a `PVGroup`.
    """
    return _pair(
        name=name,
        value=value or choices[0],
        dtype=ChannelType.ENUM,
        enum_strings=list(choices),
        put=put,
        setpoint_kw={"enum_strings": list(setpoint_choices or choices)},
    )


def on_off(name: str, value: bool = False) -> Any:
    """Create a switch with its readback.

    Parameters
    ----------
    name
        Name of the setpoint.
    value
        Whether it is initially on.

    Returns
    -------
    The pair, for a `PVGroup`.
    """
    return one_of(name, "Disable", "Enable", value="Enable" if value else "Disable")


def text(name: str, value: str = "", put: Put | None = None) -> Any:
    """Create a long string with its readback.

    Parameters
    ----------
    name
        Name of the setpoint.
    value
        Initial value.
    put
        As for `one_of`.

    Returns
    -------
    The pair, for a `PVGroup`.
    """
    return _pair(
        name=name,
        value=value,
        dtype=ChannelType.CHAR,
        string_encoding="utf-8",
        max_length=PATH_LENGTH,
        put=put,
    )


def read_only(name: str, value: Any, **settings: Any) -> Any:
    """Create a record that clients cannot write.

    Parameters
    ----------
    name
        Name of the record.
    value
        Initial value; a string makes a record of at most 39 characters.
    settings
        As for `caproto.server.pvproperty`.

    Returns
    -------
    The record, for a `PVGroup`.
    """
    kind = {"dtype": ChannelType.STRING if isinstance(value, str) else type(value)}
    return pvproperty(name=name, value=value, read_only=True, **{**kind, **settings})

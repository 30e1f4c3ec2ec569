"""Sources of numbers in the documents of a run."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np
from pydantic import model_validator

from ...configuration import Config
from ...errors import ConfigurationError
from ._frame import Unreadable

__all__ = ["NUMBER_SOURCES", "FrameDocuments", "NumberSource", "read_switches"]

NUMBER_SOURCES = ("value", "configuration_key", "data_key", "start_key")
"""Kinds of source, of which one is given."""


class FrameDocuments(NamedTuple):
    """Documents that the numbers of a frame can be read from."""

    start: Mapping[str, Any]
    """Start document of the run."""
    descriptor: Mapping[str, Any]
    """Descriptor of the frame's stream."""
    data: Mapping[str, Any]
    """Data of the frame's event; empty where it has none."""

    def configured(self, key: str) -> tuple[Any, Any]:
        """Find a configuration key; devices prefix theirs, so that each occurs once.

        Parameters
        ----------
        key
            The key.

        Returns
        -------
        Value and unit as written; None for each that is missing.
        """
        for device in self.descriptor.get("configuration", {}).values():
            if key in device.get("data", {}):
                return device["data"][key], device.get("data_keys", {}).get(key, {}).get("units")
        return None, None


class NumberSource(Config):
    """Source of one number: exactly one of the four kinds."""

    value: float | None = None
    """The number itself, for a beamline where it never changes."""
    configuration_key: str | None = None
    """Key in the configuration of the frames' descriptor, such as `mythen_wavelength`."""
    data_key: str | None = None
    """Key in the data of the frame's own event, such as `mono_energy`."""
    start_key: str | None = None
    """Key in the start document, such as `wavelength`."""

    @model_validator(mode="after")
    def _exactly_one_source(self) -> Self:
        given = [kind for kind in NUMBER_SOURCES if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(
                f"give exactly one of {', '.join(NUMBER_SOURCES)}, found {', '.join(given) or 'none'}"
            )
        return self

    def describe(self) -> str:
        """Name the source.

        Returns
        -------
        One phrase, such as `configuration key mythen_wavelength`.
        """
        if self.value is not None:
            return "value in the configuration"
        kind = next(kind for kind in NUMBER_SOURCES if getattr(self, kind) is not None)
        return f"{kind.replace('_', ' ')} {getattr(self, kind)}"

    def read(self, name: str, documents: FrameDocuments) -> tuple[float, Any]:
        """Read the number.

        Parameters
        ----------
        name
            Its name in the settings.
        documents
            Documents of the frame.

        Returns
        -------
        The number, and the unit that the descriptor gives for it, or None.

        Raises
        ------
        ConfigurationError
            It is missing, or is not a number.
        """
        found, unit = self._find(documents)
        if found is None:
            raise ConfigurationError(
                f"no {name}: {self.describe()} is missing, found {self._others(documents)}; "
                f"set [{name}] to its source"
            )
        if isinstance(found, Unreadable):
            raise ConfigurationError(f"no {name}: {found.reason}")
        try:
            return float(_only_element(found)), unit
        except (TypeError, ValueError) as error:
            raise ConfigurationError(
                f"{name} from {self.describe()} is {found!r}, which is not a number: "
                f"set [{name}] to its source"
            ) from error

    def _find(self, documents: FrameDocuments) -> tuple[Any, Any]:
        if self.value is not None:
            return self.value, None
        if self.start_key is not None:
            return documents.start.get(self.start_key), None
        if self.configuration_key is not None:
            return documents.configured(self.configuration_key)
        key = str(self.data_key)
        return documents.data.get(key), documents.descriptor.get("data_keys", {}).get(key, {}).get("units")

    def _others(self, documents: FrameDocuments) -> str:
        """Keys that were found where the number was looked for."""
        if self.start_key is not None:
            keys = list(documents.start)
        elif self.data_key is not None:
            keys = list(documents.data)
        else:
            devices = documents.descriptor.get("configuration", {}).values()
            keys = [key for device in devices for key in device.get("data", {})]
        return ", ".join(sorted(keys)) or "nothing"


def _only_element(value: Any) -> Any:
    """The element of an array or list of one, as EPICS gives a waveform with one element."""
    while isinstance(value, np.ndarray | list | tuple) and np.size(value) == 1:
        value = value[()] if isinstance(value, np.ndarray) and not value.ndim else value[0]
    return value


def read_switches(keys: Mapping[str, str], documents: FrameDocuments) -> dict[str, Any]:
    """Read the switches of the corrections that the control system makes to the counts.

    Parameters
    ----------
    keys
        Key of each switch in the data or the descriptor's configuration.
    documents
        Where to look.

    Returns
    -------
    Values by name of the switch.

    Raises
    ------
    ConfigurationError
        A key is neither in the data nor in the configuration.
    """
    readings = {}
    for switch, key in keys.items():
        value = documents.data.get(key)
        if value is None:
            value, _ = documents.configured(key)
        if value is None:
            raise ConfigurationError(
                f"no {switch}: {key} is neither in the data nor in the configuration of the frames' "
                "descriptor; set [applied] to its key"
            )
        if isinstance(value, Unreadable):
            raise ConfigurationError(f"no {switch}: {value.reason}")
        readings[switch] = value
    return readings

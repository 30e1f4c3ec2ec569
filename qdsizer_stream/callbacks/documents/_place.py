"""Where a number stands among the documents of a run, by an explicit mapping."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from pydantic import model_validator

from ...configuration import Config
from ...errors import ConfigurationError

__all__ = ["PLACES", "FrameDocuments", "NumberSource", "read_switches"]

PLACES = ("value", "configuration_key", "data_key", "start_key")
"""Settings of a source, of which one is given."""


class FrameDocuments(NamedTuple):
    """What a frame's numbers may be read from."""

    start: Mapping[str, Any]
    """Start document of the run."""
    descriptor: Mapping[str, Any]
    """Descriptor of the frame's stream."""
    data: Mapping[str, Any]
    """Data of the frame's event; empty where it has none."""

    def configured(self, key: str) -> tuple[Any, Any]:
        """Find a configuration key; devices prefix theirs, so each stands once.

        Parameters
        ----------
        key
            The key.

        Returns
        -------
        Value and unit as written; None for each that is not there.
        """
        for device in self.descriptor.get("configuration", {}).values():
            if key in device.get("data", {}):
                return device["data"][key], device.get("data_keys", {}).get(key, {}).get("units")
        return None, None


class NumberSource(Config):
    """Where one number is read from: exactly one of the four places."""

    value: float | None = None
    """The number itself, for a beamline where it never changes."""
    configuration_key: str | None = None
    """Key in the configuration of the frames' descriptor, such as `mythen_wavelength`."""
    data_key: str | None = None
    """Key in the data of the frame's own event, such as `mono_energy`."""
    start_key: str | None = None
    """Key in the start document, such as `wavelength`."""

    @model_validator(mode="after")
    def _exactly_one_place(self) -> Self:
        given = [place for place in PLACES if getattr(self, place) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(PLACES)}, found {', '.join(given) or 'none'}")
        return self

    def describe(self) -> str:
        """Name the place.

        Returns
        -------
        One phrase, such as `configuration key mythen_wavelength`.
        """
        if self.value is not None:
            return "value in the configuration"
        place = next(place for place in PLACES if getattr(self, place) is not None)
        return f"{place.replace('_', ' ')} {getattr(self, place)}"

    def read(self, name: str, documents: FrameDocuments) -> tuple[float, Any]:
        """Read the number.

        Parameters
        ----------
        name
            What the settings call it.
        documents
            Where to look.

        Returns
        -------
        The number, and the unit that is written beside it; None where none is.

        Raises
        ------
        ConfigurationError
            It is not there, or is no number.
        """
        found, unit = self._find(documents)
        if found is None:
            raise ConfigurationError(
                f"no {name}: {self.describe()} is not there, only {self._others(documents)}; "
                f"set [{name}] to where it is"
            )
        try:
            return float(found), unit
        except (TypeError, ValueError) as error:
            raise ConfigurationError(
                f"{name} from {self.describe()} is {found!r}: a number is needed"
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
        """Keys that stand in the place where the number was looked for."""
        if self.start_key is not None:
            keys = list(documents.start)
        elif self.data_key is not None:
            keys = list(documents.data)
        else:
            devices = documents.descriptor.get("configuration", {}).values()
            keys = [key for device in devices for key in device.get("data", {})]
        return ", ".join(sorted(keys)) or "nothing"


def read_switches(keys: Mapping[str, str], documents: FrameDocuments) -> dict[str, Any]:
    """Read what the control system says it does to the counts.

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
        A key is in neither place.
    """
    readings = {}
    for switch, key in keys.items():
        value = documents.data.get(key)
        if value is None:
            value, _ = documents.configured(key)
        if value is None:
            raise ConfigurationError(
                f"no {switch}: {key} is neither in the data nor in the configuration of the frames' "
                "descriptor; set [applied] to where it is"
            )
        readings[switch] = value
    return readings

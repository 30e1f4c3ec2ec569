"""Readings that sizing a frame requires, from the documents of the frame."""

import logging
import math
from collections.abc import Mapping
from typing import Any

from ...errors import ConfigurationError
from ...reduction import AppliedCorrections
from ._config import LiveConfig
from ._number_source import FrameDocuments, NumberSource, read_switches
from ._quantity import (
    AngleSource,
    ExposureSource,
    PeakSource,
    WavelengthSource,
    read_angle,
    read_exposure,
    read_peak,
    read_wavelength,
)

__all__ = ["FrameReadings"]

logger = logging.getLogger(__name__)


class FrameReadings:
    """Reads what the settings name, from event, descriptor or start document.

    Parameters
    ----------
    config
        Settings of the run.
    start
        Start document.
    """

    def __init__(self, config: LiveConfig, start: Mapping[str, Any]) -> None:
        self._config = config
        self._start = start
        self._peak_warned = False

    @property
    def sources(self) -> dict[str, NumberSource]:
        """Sources of numbers that the settings give, by name of the setting."""
        config = self._config
        sources: dict[str, NumberSource | None] = {
            "wavelength": config.wavelength,
            "arm_angle": config.arm_angle,
            "exposure": config.exposure,
            "monitor": config.monitor,
            "optics.peak": config.optics.peak if config.optics is not None else None,
        }
        return {name: source for name, source in sources.items() if source is not None}

    def read_one(self, name: str, descriptor: Mapping[str, Any], data: Mapping[str, Any]) -> float:
        """Read one number.

        Parameters
        ----------
        name
            Name of its setting, one of `sources`.
        descriptor, data
            As in `read`.

        Returns
        -------
        The number, in the unit that sizing uses.

        Raises
        ------
        ConfigurationError
            It is not at its source, or is not valid.
        """
        documents, source = FrameDocuments(self._start, descriptor, data), self.sources[name]
        match source:
            case WavelengthSource():
                return read_wavelength(source, documents)
            case AngleSource():
                return read_angle(source, documents)
            case ExposureSource():
                return read_exposure(source, documents)
            case PeakSource():
                return read_peak(source, documents)
        return source.read(name, documents)[0]

    def of_event(self, descriptor: Mapping[str, Any]) -> list[str]:
        """Settings that are read from the event of a frame.

        Parameters
        ----------
        descriptor
            Descriptor of the frame.

        Returns
        -------
        Names of the settings, such as `wavelength`; empty where a frame can be sized without its event.
        """
        config = self._config
        names = [name for name, source in self.sources.items() if source.data_key]
        return names + ["applied"] * any(key in descriptor["data_keys"] for key in config.applied.values())

    def read(self, descriptor: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
        """Read the readings of a `RawFrame`.

        Parameters
        ----------
        descriptor
            Descriptor of the frame.
        data
            Data of its event; empty where there is none.

        Returns
        -------
        Arguments of `RawFrame` by name, without the counts.

        Raises
        ------
        ConfigurationError
            One is not at its source, or is not valid.
        """
        config, documents = self._config, FrameDocuments(self._start, descriptor, data)
        return {
            "wavelength_angstrom": read_wavelength(config.wavelength, documents),
            "arm_deg": None if config.arm_angle is None else read_angle(config.arm_angle, documents),
            "exposure_s": None if config.exposure is None else read_exposure(config.exposure, documents),
            "monitor": None if config.monitor is None else config.monitor.read("monitor", documents)[0],
            "applied": AppliedCorrections.from_readings(read_switches(config.applied, documents)),
        }

    def peak_ev(self, descriptor: Mapping[str, Any], data: Mapping[str, Any]) -> float:
        """Read the absorption peak of an event; a frame is sized without one as well.

        Parameters
        ----------
        descriptor, data
            As in `read`.

        Returns
        -------
        Energy, eV; NaN where there is none.
        """
        optics = self._config.optics
        if optics is None or optics.peak is None:
            return math.nan
        try:
            return read_peak(optics.peak, FrameDocuments(self._start, descriptor, data))
        except ConfigurationError as error:
            if not self._peak_warned:
                logger.warning("no absorption peak to compare with: %s", error)
            self._peak_warned = True
            return math.nan

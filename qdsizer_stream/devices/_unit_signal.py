"""Software signals with a unit."""

from collections.abc import Callable
from typing import Any

import numpy as np
from ophyd import Signal

__all__ = ["PolledSignal", "UnitSignal"]


class UnitSignal(Signal):  # type: ignore[misc]  # ophyd states no types
    """A signal whose description carries unit, precision and NumPy type.

    Parameters
    ----------
    unit
        Unit, as control systems write it.
    precision
        Digits after the decimal point; None for values without.
    arguments
        As for `ophyd.Signal`.
    """

    def __init__(self, *, unit: str, precision: int | None = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._unit = unit
        self._precision = precision

    def describe(self) -> dict[str, dict[str, Any]]:
        """Describe the value.

        Returns
        -------
        Data key by name, with unit, precision and NumPy type.
        """
        description: dict[str, dict[str, Any]] = super().describe()
        description[self.name]["units"] = self._unit
        description[self.name]["dtype_numpy"] = np.asarray(self.get()).dtype.str
        if self._precision is not None:
            description[self.name]["precision"] = self._precision
        return description


class PolledSignal(UnitSignal):
    """A signal whose value is fetched each time it is read.

    Parameters
    ----------
    poll
        Function of the parent device that returns the value.
    arguments
        As for `UnitSignal`.
    """

    def __init__(self, *, poll: Callable[[Any], Any], **arguments: Any) -> None:
        self._poll = poll
        super().__init__(**arguments)

    def get(self, **_: Any) -> Any:
        """Fetch the value.

        Returns
        -------
        The value.
        """
        self._readback = self._poll(self.parent)
        return self._readback

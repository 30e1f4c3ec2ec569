"""One frame measured, sized and read within a plan."""

import math
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from bluesky import Msg
from bluesky import plan_stubs as bps
from bluesky.utils import FailedStatus

from ...errors import ConfigurationError
from ...sizing import Status
from .._size_device import SizeDevice, Sizing

__all__ = ["FrameLoop", "Messages", "SteeringFrame"]

Messages = Generator[Msg, Any, Any]
"""What a plan is."""

ESTIMATE_TIMEOUT_S = 10.0
"""How long an estimate may take, s; a thousand times what it should. The frame then counts as not sized."""

EXPOSED, ESTIMATED = "qdsizer exposed", "qdsizer estimated"
"""Groups that the plan waits for: the detector, and the sizer."""


@dataclass(frozen=True, kw_only=True)
class SteeringFrame:
    """What a plan knows of one frame."""

    number: int
    """Number of the frame in its run, from 1."""
    elapsed_s: float
    """When it was measured, s from the start of the plan or on the clock of `time_key`."""
    size_nm: float = math.nan
    """Number-weighted mean diameter, nm; NaN where the frame was not sized."""
    low_nm: float = math.nan
    """Lower end of the 95 % interval, nm."""
    high_nm: float = math.nan
    """Upper end of the 95 % interval, nm."""
    reason: str = ""
    """Why the frame was not sized; empty where it was."""

    @property
    def sized(self) -> bool:
        """Whether the frame has a size."""
        return not self.reason


class FrameLoop:
    """Measures frames of a run and reads their sizes; a size of another frame is never taken for it.

    Parameters
    ----------
    detector
        The detector.
    sizer
        The live sizer that the RunEngine feeds.
    time_key
        Data key of the detector that says the time of the frame, s; None for the clock on the wall.
    """

    def __init__(self, detector: Any, sizer: Sizing, time_key: str | None) -> None:
        self._detector = detector
        self._sizer = sizer
        self._size = SizeDevice(name="size", live=sizer, timeout_s=ESTIMATE_TIMEOUT_S)
        self._time_key = time_key
        self._began = time.monotonic()
        self._documents = sizer.counters.documents

    def measure(self, number: int, timeout_s: float) -> Messages:
        """Measure one frame and read its size.

        Parameters
        ----------
        number
            Number of the frame in its run, from 1.
        timeout_s
            How long the exposure may take, s.

        Yields
        ------
        Messages for the RunEngine; it makes an event in `primary` and, where an estimate came, one in `size`.

        Returns
        -------
        The frame.

        Raises
        ------
        TimeoutError
            The exposure took longer.
        ConfigurationError
            The sizer is not subscribed to the RunEngine, or the detector has no `time_key`.
        """
        yield from bps.checkpoint()
        before = self._sizer.newest
        yield from bps.trigger(self._detector, group=EXPOSED)
        yield from bps.wait(EXPOSED, timeout=timeout_s)
        elapsed_s = time.monotonic() - self._began
        reading = yield from _event(self._detector, "primary")
        if self._sizer.counters.documents == self._documents:
            raise ConfigurationError(
                "the sizer has got no document of this run: subscribe it with RE.subscribe(sizer), or give "
                "the one that install() returned"
            )
        if self._time_key is not None:
            elapsed_s = self._time(reading)
        yield from bps.trigger(self._size, group=ESTIMATED)
        try:
            yield from bps.wait(ESTIMATED)
        except FailedStatus as failure:
            return SteeringFrame(number=number, elapsed_s=elapsed_s, reason=f"{failure.__cause__}")
        size = yield from _event(self._size, "size")
        return self._frame(number, elapsed_s, size, fresh=self._sizer.newest is not before)

    def _frame(self, number: int, elapsed_s: float, reading: Any, fresh: bool) -> SteeringFrame:
        """Take the estimate for that of this frame only where nothing speaks against it."""
        values = {key: reading[f"size_{key}"]["value"] for key in self._size.component_names}
        if not fresh or values["frame_seq_num"] != number:
            reason = "no estimate of this frame came: are frames added up, or is the queue full?"
            return SteeringFrame(number=number, elapsed_s=elapsed_s, reason=reason)
        if values["status"] != Status.SIZED:
            reason = f"{values['status']}: {values['reason']}"
            return SteeringFrame(number=number, elapsed_s=elapsed_s, reason=reason)
        return SteeringFrame(
            number=number,
            elapsed_s=elapsed_s,
            size_nm=values["size"],
            low_nm=values["size_low"],
            high_nm=values["size_high"],
        )

    def _time(self, reading: Any) -> float:
        if self._time_key not in reading:
            raise ConfigurationError(
                f"the detector has no {self._time_key!r}, only {', '.join(reading)}: give one of them as "
                "time_key, or None for the clock on the wall"
            )
        return float(reading[self._time_key]["value"])


def _event(device: Any, stream: str) -> Messages:
    """Read a device into an event."""
    yield from bps.create(stream)
    reading = yield from bps.read(device)
    yield from bps.save()
    return reading

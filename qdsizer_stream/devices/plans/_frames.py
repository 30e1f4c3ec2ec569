"""Measuring, sizing and reading one frame in a plan."""

import math
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bluesky import Msg
from bluesky import plan_stubs as bps
from bluesky.protocols import Readable, Triggerable
from bluesky.utils import FailedStatus, separate_devices

from ...errors import ConfigurationError
from ...sizing import Status
from .._size_device import SizeDevice, Sizing

__all__ = ["Detectors", "FrameLoop", "Messages", "SteeringFrame", "device_list"]

# bluesky states no types for this
without_parts: Callable[[list[Any]], list[Any]] = separate_devices

Messages = Generator[Msg, Any, Any]
"""Type of a plan."""

Detectors = Sequence[Readable[Any]] | Readable[Any]
"""Devices that are read into one event, or a single one."""

ESTIMATE_TIMEOUT_S = 10.0
"""Time allowed for an estimate, s: a thousand times what it normally takes. A later one is not used."""

EXPOSED, ESTIMATED = "qdsizer exposed", "qdsizer estimated"
"""Status groups of the detectors and of the sizer."""


def device_list(detectors: Detectors) -> list[Any]:
    """List the devices of an event.

    Parameters
    ----------
    detectors
        Devices, or a single one.

    Returns
    -------
    The devices in their order, without those that are parts of another one in the list.

    Raises
    ------
    ConfigurationError
        There is none, or one cannot be read.
    """
    found: Any = detectors
    devices = [found] if isinstance(found, Readable) or not isinstance(found, Iterable) else list(found)
    if unreadable := [one for one in devices if not isinstance(one, Readable)]:
        raise ConfigurationError(
            f"detectors: {unreadable[0]!r} cannot be read; allowed are devices such as a detector, a monitor "
            "and a motor, or a list of them"
        )
    if not devices:
        raise ConfigurationError("detectors is empty: give the detector of the frames, or a list with it")
    return without_parts(devices)


@dataclass(frozen=True, kw_only=True)
class SteeringFrame:
    """One frame and its size, as a plan sees it."""

    number: int
    """Index of the frame in its run, from 1."""
    elapsed_s: float
    """Time of the frame, s since the start of the plan, or the value of `time_key`."""
    size_nm: float = math.nan
    """Number-weighted mean diameter, nm; NaN if the frame was not sized."""
    low_nm: float = math.nan
    """Lower end of the 95 % interval, nm."""
    high_nm: float = math.nan
    """Upper end of the 95 % interval, nm."""
    frame_sd_nm: float = math.nan
    """Part of the standard deviation of the size that differs from frame to frame, nm."""
    track_nm: float = math.nan
    """Filtered number-weighted mean diameter of the run, nm; NaN if the frame was not sized."""
    track_low_nm: float = math.nan
    """Lower end of its 95 % interval, nm."""
    track_high_nm: float = math.nan
    """Upper end of its 95 % interval, nm."""
    track_sd_nm: float = math.nan
    """Its standard deviation without the error that all frames share, nm."""
    growth_nm_per_min: float = math.nan
    """Growth rate of the run, nm/min; NaN before the third size."""
    growth_low_nm_per_min: float = math.nan
    """Lower end of its 95 % interval, nm/min."""
    growth_high_nm_per_min: float = math.nan
    """Upper end of its 95 % interval, nm/min."""
    reason: str = ""
    """Why the frame was not sized; empty if it was."""

    @property
    def sized(self) -> bool:
        """Whether the frame has a size."""
        return not self.reason


class FrameLoop:
    """Measures frames of a run and reads their sizes; never accepts the size of another frame.

    Parameters
    ----------
    devices
        The detector of the frames, and what else is read into its event.
    sizer
        The live sizer that the RunEngine feeds.
    time_key
        Data key of the devices that contains the time of the frame, s; None for the computer's clock.
    """

    def __init__(self, devices: Sequence[Any], sizer: Sizing, time_key: str | None) -> None:
        self._devices = devices
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
            Index of the frame in its run, from 1.
        timeout_s
            Time allowed for the exposure, s.

        Yields
        ------
        Messages for the RunEngine: one event in `primary` and, if an estimate arrives, one in `size`.

        Returns
        -------
        The frame.

        Raises
        ------
        TimeoutError
            The exposure took longer.
        ConfigurationError
            The sizer is not subscribed to the RunEngine, or no device has `time_key`.
        """
        yield from bps.checkpoint()
        before = self._sizer.newest
        triggered = [device for device in self._devices if isinstance(device, Triggerable)]
        for device in triggered:
            yield from bps.trigger(device, group=EXPOSED)
        if triggered:
            yield from bps.wait(EXPOSED, timeout=timeout_s)
        elapsed_s = time.monotonic() - self._began
        reading = yield from _event(self._devices, "primary")
        if self._sizer.counters.documents == self._documents:
            raise ConfigurationError(
                "the sizer received no document of this run: subscribe it with RE.subscribe(sizer), or pass "
                "the sizer that install() returned"
            )
        if self._time_key is not None:
            elapsed_s = self._time(reading)
        group = f"{ESTIMATED} {number}"  # one per frame: a failed status stays in its group
        try:
            # A status that fails at once is raised by the trigger, a later one by the wait.
            yield from bps.trigger(self._size, group=group)
            yield from bps.wait(group)
        except FailedStatus as failure:
            return SteeringFrame(number=number, elapsed_s=elapsed_s, reason=f"{failure.__cause__}")
        size = yield from _event([self._size], "size")
        return self._frame(number, elapsed_s, size, fresh=self._sizer.newest is not before)

    def _frame(self, number: int, elapsed_s: float, reading: Any, fresh: bool) -> SteeringFrame:
        """Accept the estimate only if it is certainly that of this frame."""
        values = {key: reading[f"size_{key}"]["value"] for key in self._size.component_names}
        if not fresh or values["frame_seq_num"] != number:
            reason = "no estimate of this frame arrived: are frames added up, or is the queue full?"
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
            frame_sd_nm=values["size_frame_sd"],
            track_nm=values["track_size"],
            track_low_nm=values["track_size_low"],
            track_high_nm=values["track_size_high"],
            track_sd_nm=values["track_size_sd"],
            growth_nm_per_min=values["growth"],
            growth_low_nm_per_min=values["growth_low"],
            growth_high_nm_per_min=values["growth_high"],
        )

    def _time(self, reading: Any) -> float:
        if self._time_key not in reading:
            raise ConfigurationError(
                f"the detectors have no {self._time_key!r}, only {', '.join(reading)}: give one of them as "
                "time_key, or None for the computer's clock"
            )
        return float(reading[self._time_key]["value"])


def _event(devices: Sequence[Any], stream: str) -> Messages:
    """Read devices into one event."""
    readings: dict[str, Any] = {}
    yield from bps.create(stream)
    for device in devices:
        readings |= (yield from bps.read(device)) or {}
    yield from bps.save()
    return readings

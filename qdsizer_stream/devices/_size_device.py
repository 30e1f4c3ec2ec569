"""Sizes and counters of a live sizer as ophyd devices."""

import math
import threading
from collections.abc import Mapping
from typing import Any, Protocol

from ophyd import Component, Device, DeviceStatus, Kind

from ..sizing import Status
from ._unit_signal import PolledSignal, UnitSignal

__all__ = ["LiveCounters", "SizeDevice", "Sizing"]


class Sizing(Protocol):
    """The part of a live sizer that the devices use."""

    @property
    def newest(self) -> Mapping[str, Any] | None:
        """Data of the newest estimate, by data key."""

    @property
    def counters(self) -> Any:
        """Numbers of documents and frames by what happened to them."""

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until all documents received so far are processed."""


class SizeDevice(Device):  # type: ignore[misc]  # ophyd states no types
    """The size of the newest frame, as a device for plans.

    Measure the frame in one event and read this device in the next one, because the sizer receives an
    event only when it is complete.

        yield from bps.trigger_and_read([mythen])
        yield from bps.trigger_and_read([size], name="size")

    Parameters
    ----------
    prefix
        Unused; devices have one.
    name
        Name of the device.
    live
        The live sizer that the RunEngine feeds.
    timeout_s
        Time that `trigger` waits for the estimate, s.
    arguments
        As for `ophyd.Device`.
    """

    size = Component(UnitSignal, value=math.nan, unit="nm", precision=2, kind=Kind.hinted)
    """Number-weighted mean diameter, nm; NaN if the frame was not sized."""
    size_low = Component(UnitSignal, value=math.nan, unit="nm", precision=2)
    """Lower end of the 95 % interval, nm."""
    size_high = Component(UnitSignal, value=math.nan, unit="nm", precision=2)
    """Upper end of the 95 % interval, nm."""
    size_frame_sd = Component(UnitSignal, value=math.nan, unit="nm", precision=3)
    """Part of the standard deviation of the size that differs from frame to frame, nm."""
    track_size = Component(UnitSignal, value=math.nan, unit="nm", precision=3)
    """Filtered number-weighted mean diameter of the run, nm."""
    track_size_low = Component(UnitSignal, value=math.nan, unit="nm", precision=3)
    """Lower end of its 95 % interval, nm."""
    track_size_high = Component(UnitSignal, value=math.nan, unit="nm", precision=3)
    """Upper end of its 95 % interval, nm."""
    track_size_sd = Component(UnitSignal, value=math.nan, unit="nm", precision=4)
    """Its standard deviation without the error that all frames share, nm."""
    growth = Component(UnitSignal, value=math.nan, unit="nm/min", precision=4)
    """Growth rate, nm/min."""
    growth_low = Component(UnitSignal, value=math.nan, unit="nm/min", precision=4)
    """Lower end of its 95 % interval, nm/min."""
    growth_high = Component(UnitSignal, value=math.nan, unit="nm/min", precision=4)
    """Upper end of its 95 % interval, nm/min."""
    dispersion = Component(UnitSignal, value=math.nan, unit="", precision=3)
    """Standard deviation of the number distribution over its mean."""
    status = Component(UnitSignal, value="", unit="")
    """Status of the frame: `sized`, or the kind of reason it was not."""
    reason = Component(UnitSignal, value="", unit="")
    """Why the frame was not sized."""
    frame_seq_num = Component(UnitSignal, value=0, unit="")
    """Sequence number of the raw event."""

    def __init__(
        self, prefix: str = "", *, name: str, live: Sizing, timeout_s: float = 10.0, **arguments: Any
    ) -> None:
        super().__init__(prefix, name=name, **arguments)
        self._live = live
        self._timeout_s = timeout_s

    def trigger(self) -> DeviceStatus:
        """Wait for the estimate of the newest frame.

        Returns
        -------
        Status that finishes when the signals hold the estimate, and fails if it does not arrive in time.
        """
        status = DeviceStatus(self)
        threading.Thread(target=self._update, args=(status,), name=self.name, daemon=True).start()
        return status

    def _update(self, status: DeviceStatus) -> None:
        if not self._live.wait(self._timeout_s):
            status.set_exception(
                TimeoutError(f"no estimate within {self._timeout_s:g} s: see the counters of the live sizer")
            )
            return
        newest = self._live.newest
        if newest is None:
            status.set_exception(
                LookupError(
                    "no frame has arrived yet: trigger and read the detector in its own event before this "
                    "device"
                )
            )
            return
        for component in self.component_names:
            getattr(self, component).put(newest[f"qdsizer_{component}"])
        status.set_finished()


def _counter(name: str, unit: str = "") -> Component:
    return Component(PolledSignal, poll=lambda device: getattr(device.live.counters, name), unit=unit)


def _rejected(status: Status) -> Component:
    return Component(
        PolledSignal, poll=lambda device: device.live.counters.refused.get(status.value, 0), unit=""
    )


class LiveCounters(Device):  # type: ignore[misc]  # ophyd states no types
    """Counters of a live sizer, as signals that are up to date whenever they are read.

    Parameters
    ----------
    prefix
        Unused; devices have one.
    name
        Name of the device.
    live
        The live sizer.
    arguments
        As for `ophyd.Device`.
    """

    documents = _counter("documents")
    """Raw documents received."""
    frames = _counter("frames")
    """Frames with an event in `qd_size`."""
    sized = _counter("sized")
    """Frames with a size."""
    low_counts = _rejected(Status.LOW_COUNTS)
    """Frames rejected for too few counts."""
    no_crystal = _rejected(Status.NO_CRYSTAL)
    """Frames rejected because they show no nanocrystals."""
    out_of_range = _rejected(Status.OUT_OF_RANGE)
    """Frames rejected because their size is outside the model's range."""
    out_of_domain = _rejected(Status.OUT_OF_DOMAIN)
    """Frames rejected because they do not match the material."""
    bad_frame = _rejected(Status.BAD_FRAME)
    """Frames that could not be processed."""
    marked = _counter("marked")
    """Documents whose frames were marked as not sized because the queue was full."""
    orphans = _counter("orphans")
    """Documents of runs whose start was not received."""
    contained = _counter("contained")
    """Errors that were caught and logged, so that they did not stop the plan."""
    restarts = _counter("restarts")
    """Restarts of the sizing thread or process."""
    skipped = _counter("skipped")
    """Documents skipped because a display was too slow."""
    undelivered = _counter("undelivered")
    """Documents that subscribers did not receive because they were taken off."""
    queued = _counter("queued")
    """Documents in the queue."""
    lag = _counter("lag_s", "s")
    """Age of the document being processed, s."""

    def __init__(self, prefix: str = "", *, name: str, live: Sizing, **arguments: Any) -> None:
        self.live = live
        super().__init__(prefix, name=name, **arguments)

"""Sizes and counters of a live sizer, for plans that act on them."""

import math
import threading
from collections.abc import Mapping
from typing import Any, Protocol

from ophyd import Component, Device, DeviceStatus, Kind

from ..sizing import Status
from ._unit_signal import PolledSignal, UnitSignal

__all__ = ["LiveCounters", "SizeDevice", "Sizing"]


class Sizing(Protocol):
    """What the devices need of a live sizer."""

    @property
    def newest(self) -> Mapping[str, Any] | None:
        """Data of the newest estimate, by data key."""

    @property
    def counters(self) -> Any:
        """What became of documents and frames."""

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until every document so far has led to its estimates."""


class SizeDevice(Device):  # type: ignore[misc]  # ophyd states no types
    """The size of the newest frame, to be read in a plan.

    Measure the frame in one event and read this device in the next: an event reaches the sizer when
    it is complete.

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
        How long `trigger` waits for the estimate, s.
    arguments
        As for `ophyd.Device`.
    """

    size = Component(UnitSignal, value=math.nan, unit="nm", precision=2, kind=Kind.hinted)
    """Number-weighted mean diameter, nm; NaN where the frame was not sized."""
    size_low = Component(UnitSignal, value=math.nan, unit="nm", precision=2)
    """Lower end of the 95 % interval, nm."""
    size_high = Component(UnitSignal, value=math.nan, unit="nm", precision=2)
    """Upper end of the 95 % interval, nm."""
    dispersion = Component(UnitSignal, value=math.nan, unit="", precision=3)
    """Standard deviation of the number distribution over its mean."""
    status = Component(UnitSignal, value="", unit="")
    """What became of the frame."""
    reason = Component(UnitSignal, value="", unit="")
    """Why the frame was not sized."""
    frame_seq_num = Component(UnitSignal, value=0, unit="")
    """Which raw event was sized."""

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
        Status that is done when the signals hold it, and failed where it does not come in time.
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
                    "no frame has come yet: trigger the detector in an event of its own before this device"
                )
            )
            return
        for component in self.component_names:
            getattr(self, component).put(newest[f"qdsizer_{component}"])
        status.set_finished()


def _counter(name: str, unit: str = "") -> Component:
    return Component(PolledSignal, poll=lambda device: getattr(device.live.counters, name), unit=unit)


def _refused(status: Status) -> Component:
    return Component(
        PolledSignal, poll=lambda device: device.live.counters.refused.get(status.value, 0), unit=""
    )


class LiveCounters(Device):  # type: ignore[misc]  # ophyd states no types
    """Counters of a live sizer, as signals that are current whenever they are read.

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
    low_counts = _refused(Status.LOW_COUNTS)
    """Frames refused for too few counts."""
    no_crystal = _refused(Status.NO_CRYSTAL)
    """Frames refused because no dots were seen."""
    out_of_range = _refused(Status.OUT_OF_RANGE)
    """Frames refused because the model does not answer for their size."""
    out_of_domain = _refused(Status.OUT_OF_DOMAIN)
    """Frames refused because they do not look like the material."""
    bad_frame = _refused(Status.BAD_FRAME)
    """Frames that could not be sized at all."""
    marked = _counter("marked")
    """Documents whose frames were not sized because the queue was full."""
    orphans = _counter("orphans")
    """Documents of runs whose start never came."""
    contained = _counter("contained")
    """Errors that were kept from the plan."""
    restarts = _counter("restarts")
    """Times that the sizing thread or process had to be started anew."""
    skipped = _counter("skipped")
    """Documents that displays were too slow for."""
    queued = _counter("queued")
    """Documents in the queue."""
    lag = _counter("lag_s", "s")
    """Age of the document in hand, s."""

    def __init__(self, prefix: str = "", *, name: str, live: Sizing, **arguments: Any) -> None:
        self.live = live
        super().__init__(prefix, name=name, **arguments)

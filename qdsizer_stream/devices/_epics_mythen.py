"""MYTHENs behind areaDetector drivers of EPICS."""

import threading
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ophyd import Component, Device, DeviceStatus, EpicsSignal, EpicsSignalRO, FormattedComponent, Kind
from ophyd.areadetector.base import EpicsSignalWithRBV

from ..errors import CalibrationError
from ._unit_signal import UnitSignal

__all__ = ["AdMythen", "SlsMythen"]

MODULE_STRIPS = 1280
"""Strips of a MYTHEN module."""

READOUT_S = 10.0
"""How long a frame may take from the end of its exposure to the waveform, s; some hundredths are usual."""


class CheckedFrame(UnitSignal):
    """A frame that has been checked; its source is the record that it came from."""

    def describe(self) -> dict[str, dict[str, Any]]:
        """Describe the frame.

        Returns
        -------
        Data key by name.
        """
        description = super().describe()
        description[self.name]["source"] = f"PV:{self.parent.array_data.pvname}"
        return description


class EpicsMythen(Device):  # type: ignore[misc]  # ophyd states no types
    """Base of both drivers: one software-triggered frame at a time, read from the waveform plugin.

    The put to `acquire` completes with the exposure; the plugin may be later. A frame is accepted only
    when the plugin has counted a new array, and only if the frame is complete.

    Parameters
    ----------
    prefix
        Prefix of the records, before ``cam1:`` and ``image1:``.
    name
        Name of the device.
    arguments
        As for `ophyd.Device`.
    """

    image = Component(CheckedFrame, value=np.zeros(0), unit="counts", kind=Kind.normal)
    """Counts of the newest frame, shape (n_strips,) or (n_strips, n_counters)."""
    exposure_s = Component(EpicsSignalWithRBV, "cam1:AcquireTime", kind=Kind.config)
    """Exposure, s."""

    acquire = Component(EpicsSignal, "cam1:Acquire", put_complete=True, kind=Kind.omitted)
    """Starts or stops an exposure."""
    image_mode = Component(EpicsSignalWithRBV, "cam1:ImageMode", kind=Kind.omitted)
    """Number of frames per exposure."""
    array_callbacks = Component(EpicsSignalWithRBV, "cam1:ArrayCallbacks", kind=Kind.omitted)
    """Whether the driver passes frames to plugins."""
    image_enabled = Component(EpicsSignalWithRBV, "image1:EnableCallbacks", kind=Kind.omitted)
    """Whether the waveform plugin receives them."""
    image_counter = Component(EpicsSignalRO, "image1:ArrayCounter_RBV", kind=Kind.omitted)
    """Frames that the waveform plugin has received."""
    array_data = Component(EpicsSignalRO, "image1:ArrayData", kind=Kind.omitted)
    """The waveform."""

    def __init__(self, prefix: str, *, name: str, **arguments: Any) -> None:
        super().__init__(prefix, name=name, **arguments)
        # Undone by unstage, so that the panels in the control room are as they were.
        self.stage_sigs.update(
            {self.acquire: 0, self.image_mode: 0, self.array_callbacks: 1, self.image_enabled: 1}
        )

    def trigger(self) -> DeviceStatus:
        """Expose one frame.

        Returns
        -------
        Status that finishes when the frame is in `image`, and fails if no frame arrives or the frame is
        incomplete.
        """
        status = DeviceStatus(self)
        threading.Thread(target=self._expose, args=(status,), name=self.name, daemon=True).start()
        return status

    def stop(self, *, success: bool = False) -> None:
        """Stop the current exposure.

        Parameters
        ----------
        success
            Whether the exposure ended as planned; it is stopped in either case.
        """
        self.acquire.put(0, wait=False)
        super().stop(success=success)

    def _expose(self, status: DeviceStatus) -> None:
        try:
            before = self.image_counter.get()
            self.acquire.set(1).wait(self.exposure_s.get() + READOUT_S)
            deadline = time.monotonic() + READOUT_S
            while self.image_counter.get() == before:
                if time.monotonic() > deadline:
                    raise TimeoutError(
                        f"no frame arrived at {self.array_data.pvname} within {READOUT_S:g} s after the "
                        "exposure: check that cam1:ArrayCallbacks and image1:EnableCallbacks are on, and "
                        "that the driver did not reject the frame"
                    )
                time.sleep(0.002)
            self.image.put(self._checked(np.asarray(self.array_data.get())))
        except Exception as error:
            status.set_exception(error)
        else:
            status.set_finished()

    def _checked(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a complete frame in its shape; raise an error for an incomplete one."""
        raise NotImplementedError


class AdMythen(EpicsMythen):
    """A MYTHEN behind ADMythen, the driver for Dectris' control systems.

    The driver itself corrects the counts if its switches are on: map the switches to `[applied]` in the
    settings. It stamps a frame with its read-out time, and drops a frame whose first strip is negative.

    Parameters
    ----------
    prefix, name, arguments
        As for `EpicsMythen`.
    read_mode_record
        Name of the mode in the installed version of the driver: `ReadMode` or `Readout`.
    """

    n_modules = Component(EpicsSignalRO, "cam1:NumModules_RBV", kind=Kind.config)
    """Modules of the detector."""
    setting = Component(EpicsSignalRO, "cam1:Setting_RBV", string=True, kind=Kind.config)
    """Trim file, named after an X-ray tube: Cu, Mo, Ag or Cr."""
    threshold_energy = Component(EpicsSignalRO, "cam1:ThresholdEnergy_RBV", kind=Kind.config)
    """Threshold, keV."""
    beam_energy = Component(EpicsSignalRO, "cam1:BeamEnergy_RBV", kind=Kind.config)
    """Photon energy that the detector is trimmed for, keV; that of the beam may differ."""
    read_mode = FormattedComponent(
        EpicsSignalRO, "{prefix}cam1:{read_mode_record}_RBV", string=True, kind=Kind.config
    )
    """Raw, or Corrected (Processed) according to the switches."""
    use_flat_field = Component(EpicsSignalRO, "cam1:UseFlatField_RBV", kind=Kind.config)
    """Whether the driver divides by its flat field."""
    use_count_rate = Component(EpicsSignalRO, "cam1:UseCountRate_RBV", kind=Kind.config)
    """Whether the driver corrects for dead time."""
    use_bad_channel_interpolation = Component(EpicsSignalRO, "cam1:UseBadChanIntrpl_RBV", kind=Kind.config)
    """Whether the driver replaces bad strips by their neighbours."""
    tau = Component(EpicsSignalRO, "cam1:Tau_RBV", kind=Kind.config)
    """Dead time that the driver corrects with, ns; -1 for its own."""
    bit_depth = Component(EpicsSignalRO, "cam1:BitDepth_RBV", kind=Kind.config)
    """Bits per counter; the setpoint is a choice of four, the readback the number of bits."""

    def __init__(
        self, prefix: str, *, name: str, read_mode_record: str = "ReadMode", **arguments: Any
    ) -> None:
        self.read_mode_record = read_mode_record
        super().__init__(prefix, name=name, **arguments)

    def _checked(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        n_modules = int(self.n_modules.get())
        if values.size != MODULE_STRIPS * n_modules:
            raise CalibrationError(
                f"{self.array_data.pvname} has {values.size} strips, {n_modules} modules have "
                f"{MODULE_STRIPS * n_modules}: ADMythen passes only its first module to plugins unless its "
                "array dimensions are corrected; use one module, or a driver that publishes all of them"
            )
        return values


class SlsMythen(EpicsMythen):
    """A MYTHEN II or III behind PSI's slsDetector driver.

    The counters that are switched on are on the last axis, in the order of the bits of `counter_mask`, lowest
    first; the beamline must check whether bit 0 is the counter that it calls the first. A frame with missing
    packets becomes all NaN, because its missing strips are zeros that look like real counts.

    Parameters
    ----------
    prefix, name, arguments
        As for `EpicsMythen`.
    """

    missed_packets = Component(EpicsSignalRO, "cam1:ReceiverMissedPackets_RBV", kind=Kind.normal)
    """Missing packets of the newest frame."""
    counter_mask = Component(EpicsSignalRO, "cam1:CounterMask_RBV", kind=Kind.config)
    """Counters that are on, one per bit."""
    setting = Component(EpicsSignalRO, "cam1:Setting_RBV", string=True, kind=Kind.config)
    """Trim file: standard, fast or highgain."""
    threshold_energy = Component(EpicsSignalRO, "cam1:ThresholdEnergy_RBV", kind=Kind.config)
    """Threshold, eV."""
    beam_energy = Component(EpicsSignalRO, "cam1:BeamEnergy_RBV", kind=Kind.config)
    """Photon energy that the detector is trimmed for, eV; that of the beam may differ."""
    bit_depth = Component(EpicsSignalRO, "cam1:BitDepth_RBV", kind=Kind.config)
    """Bits per counter."""
    timing_mode = Component(EpicsSignalRO, "cam1:TimingMode_RBV", string=True, kind=Kind.config)
    """What starts a frame."""

    n_frames = Component(EpicsSignalWithRBV, "cam1:NumFrames", kind=Kind.omitted)
    """Frames per trigger."""
    n_cycles = Component(EpicsSignalWithRBV, "cam1:NumCycles", kind=Kind.omitted)
    """Triggers per exposure."""
    use_data_callback = Component(EpicsSignalWithRBV, "cam1:UseDataCallback", kind=Kind.omitted)
    """Whether the driver receives the frames of its receivers."""

    def __init__(self, prefix: str, *, name: str, **arguments: Any) -> None:
        super().__init__(prefix, name=name, **arguments)
        self.stage_sigs.update({self.n_frames: 1, self.n_cycles: 1, self.use_data_callback: 1})

    def _checked(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        n_counters = int(self.counter_mask.get()).bit_count()
        if values.size % (MODULE_STRIPS * max(n_counters, 1)):
            raise CalibrationError(
                f"{self.array_data.pvname} has {values.size} values with {n_counters} counters per strip: "
                f"the frame must be a whole number of modules of {MODULE_STRIPS} strips"
            )
        if self.missed_packets.get():
            values = np.full_like(values, np.nan)
        return values.reshape(-1, n_counters) if n_counters > 1 else values

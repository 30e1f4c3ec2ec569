"""The records of the two MYTHEN drivers, backed by simulated detectors."""

import asyncio
from typing import Any

import numpy as np
from caproto import ChannelType  # type: ignore[import-untyped]
from caproto.server import PVGroup, SubGroup, pvproperty  # type: ignore[import-untyped]
from numpy.typing import NDArray

from ...patterns import energy_ev_from_wavelength
from .._sim_mythen import SimMythen
from ._plugins import ArrayRecords, Hdf5Plugin, ImagePlugin
from ._records import number, on_off, one_of, read_only, text

__all__ = ["AdMythenIoc", "SlsMythenIoc"]

MODULE_STRIPS = 1280
"""Strips of a MYTHEN module."""


async def _set_acquire(pair: Any, _: Any, value: str) -> str:
    if value == "Done":
        pair.parent.abort()
    elif pair.readback.value == "Done":
        await pair.readback.write("Acquire")
        try:
            await pair.parent.expose()
        finally:
            await pair.readback.write("Done")
    return "Done"  # like a busy record: the put completes when the exposure does


class Driver(ArrayRecords):
    """Records of ADBase, which every driver has, and the acquisition."""

    acquire = one_of("Acquire", "Done", "Acquire", put=_set_acquire)
    acquire_time = number("AcquireTime", 1.0, "s")
    acquire_period = number("AcquirePeriod", 1.0, "s")
    n_images = number("NumImages", 1)
    n_frames = number("NumFrames", 1)
    array_callbacks = on_off("ArrayCallbacks", True)
    wait_for_plugins = pvproperty(
        name="WaitForPlugins", value="No", dtype=ChannelType.ENUM, enum_strings=["No", "Yes"]
    )
    delay_time = number("DelayTime", 0.0, "s")
    manufacturer = read_only("Manufacturer_RBV", "qdsizer-stream")
    model = read_only("Model_RBV", "MYTHEN, simulated")
    serial_number = read_only("SerialNumber_RBV", "0")
    sdk_version = read_only("SDKVersion_RBV", "0")
    firmware_version = read_only("FirmwareVersion_RBV", "0")

    def __init__(self, *args: Any, **arguments: Any) -> None:
        super().__init__(*args, **arguments)
        self._abort = asyncio.Event()
        self._n_counted = 0

    def abort(self) -> None:
        """Make the current exposure the last one, and discard it."""
        self._abort.set()

    async def expose(self) -> None:
        """Measure the requested number of frames, or until stopped."""
        self._abort.clear()
        await self.state.write("Acquire" if "Acquire" in self.state.enum_strings else "Running")
        for _ in range(self.n_planned):
            frame = await self._count()
            if self._abort.is_set():
                break
            self._n_counted += 1
            frame = await self.deliver(frame)
            if self.array_callbacks.readback.value == "Enable":
                for plugin in (self.parent.image, self.parent.hdf):
                    await plugin.process(frame, self._n_counted)
            await self.count(self._n_counted, frame.shape[::-1])
        await self.state.write("Idle")

    @property
    def n_planned(self) -> int:
        """Number of frames per exposure."""
        raise NotImplementedError

    async def _count(self) -> NDArray[np.uint32]:
        """Expose the simulated detector in its own thread."""
        mythen = self.parent.mythen
        mythen.exposure_s.put(self.acquire_time.readback.value)
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        status = mythen.trigger()
        status.add_callback(lambda _: loop.call_soon_threadsafe(done.set))
        await done.wait()
        if (error := status.exception()) is not None:
            raise error
        counted: NDArray[np.uint32] = mythen.image.get()
        return counted

    async def deliver(self, counts: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Turn the counts into the array that this driver passes to its plugins.

        Parameters
        ----------
        counts
            Counts of the strips, shape (n_strips,).

        Returns
        -------
        The array.
        """
        raise NotImplementedError


class AdMythenDriver(Driver):
    """Records of ADMythen, for Dectris' control systems."""

    state = read_only(
        "DetectorState_RBV",
        "Idle",
        dtype=ChannelType.ENUM,
        enum_strings=[
            "Idle", "Acquire", "Readout", "Correct", "Saving", "Aborting", "Error", "Waiting",
            "Initializing", "Disconnected", "Aborted",
        ],
    )  # fmt: skip
    image_mode = one_of(
        "ImageMode", "Single", "Multiple", "Continuous", setpoint_choices=("Single", "Multiple", "")
    )
    setting = one_of("Setting", "Cu", "Mo", "Ag", "Cr", value="Ag")
    threshold_energy = number("ThresholdEnergy", 11.0, "keV", 2)
    beam_energy = number("BeamEnergy", 22.0, "keV", 2)
    # The real driver switches its corrections on by default; the simulated counts are uncorrected.
    use_flat_field = on_off("UseFlatField")
    use_count_rate = on_off("UseCountRate")
    use_bad_channel_interpolation = on_off("UseBadChanIntrpl")
    tau = number("Tau", -1.0, "ns")
    bit_depth = pvproperty(
        name="BitDepth", value="24", dtype=ChannelType.ENUM, enum_strings=["24", "16", "8", "4"]
    )
    bit_depth_readback = read_only("BitDepth_RBV", 24)  # bits, while the setpoint is a choice
    use_gates = on_off("UseGates")
    n_gates = number("NumGates", 1)
    trigger_mode = one_of("TriggerMode", "None", "Single", "Continuous")
    n_modules = read_only("NumModules_RBV", 1)
    # Versions of the driver have one or the other.
    read_mode = one_of("ReadMode", "Raw", "Corrected")
    readout = one_of("Readout", "Processed", "Raw", value="Raw")

    @property
    def n_planned(self) -> int:
        """Number of frames per exposure."""
        return 1 if self.image_mode.readback.value == "Single" else int(self.n_frames.readback.value)

    async def deliver(self, counts: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Deliver all modules, or only the first, as the real driver does.

        Parameters
        ----------
        counts
            Counts of the strips, shape (n_strips,).

        Returns
        -------
        Counts, shape (n_strips,) or (1280,).
        """
        return counts[:MODULE_STRIPS] if self.parent.first_module_only else counts


class SlsMythenDriver(Driver):
    """Records of PSI's slsDetector driver."""

    state = read_only(
        "DetectorState_RBV",
        "Idle",
        dtype=ChannelType.ENUM,
        enum_strings=["Idle", "Error", "Waiting", "Finished", "Transmitting", "Running", "Stopped"],
    )
    detector_type = read_only(
        "DetectorType_RBV",
        "MYTHEN3",
        dtype=ChannelType.ENUM,
        enum_strings=[
            "GENERIC",
            "EIGER",
            "GOTTHARD",
            "JUNGFRAU",
            "CHIPTEST",
            "MOENCH",
            "MYTHEN3",
            "GOTTHARD2",
        ],
    )
    image_mode = one_of("ImageMode", "Single", "Multiple", "Continuous")
    setting = one_of("Setting", "standard", "fast", "highgain")
    threshold_energy = number("ThresholdEnergy", 11_000, "eV")
    beam_energy = number("BeamEnergy", 22_000, "eV")
    bit_depth = number("BitDepth", 24)
    n_cycles = number("NumCycles", 1)
    timing_mode = one_of("TimingMode", "auto", "trigger", "gating", "burst_trigger")
    counter_mask = number("CounterMask", 1)
    counter_1_threshold = number("Counter1Threshold", 11_000, "eV")
    counter_2_threshold = number("Counter2Threshold", 15_000, "eV")
    counter_3_threshold = number("Counter3Threshold", 30_000, "eV")
    missed_packets = read_only("ReceiverMissedPackets_RBV", 0)
    use_data_callback = on_off("UseDataCallback", True)
    setup_file = text("SetupFile")
    command = text("Command")

    @property
    def n_planned(self) -> int:
        """Number of frames per exposure."""
        return int(self.n_frames.readback.value * self.n_cycles.readback.value)

    async def deliver(self, counts: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Deliver the counters that are on, those of a strip side by side; lose packets if configured.

        Parameters
        ----------
        counts
            Counts of the strips, shape (n_strips,).

        Returns
        -------
        Counts, shape (n_strips,) for one counter and (n_strips, n_counters) for more.
        """
        thresholds = (self.counter_1_threshold, self.counter_2_threshold, self.counter_3_threshold)
        mask, energy_ev = self.counter_mask.readback.value, self.beam_energy.readback.value
        # A counter counts nothing if its threshold is above the beam energy, and everything if below.
        counters = [
            counts * np.uint32(threshold.readback.value < energy_ev)
            for bit, threshold in enumerate(thresholds)
            if mask >> bit & 1
        ]
        frame = np.stack(counters, axis=1) if len(counters) > 1 else counters[0]
        lose_every = self.parent.lose_every
        lost = bool(lose_every) and self._n_counted % lose_every == 0
        if lost:
            frame[-MODULE_STRIPS:] = 0  # the last module's packets are missing
        await self.missed_packets.write(int(lost))
        return frame


class MythenIoc(PVGroup):  # type: ignore[misc]  # caproto states no types
    """A driver with its plugins, backed by a simulated detector.

    Parameters
    ----------
    prefix
        Prefix of all records, before ``cam1:`` of the driver and ``image1:`` and ``HDF1:`` of the plugins.
    mythen
        The detector that counts.
    """

    image = SubGroup(ImagePlugin, prefix="image1:")
    hdf = SubGroup(Hdf5Plugin, prefix="HDF1:")

    def __init__(self, prefix: str, mythen: SimMythen) -> None:
        super().__init__(prefix=prefix)
        self.mythen = mythen
        self._energy_ev = float(energy_ev_from_wavelength(mythen.wavelength.get()))


class AdMythenIoc(MythenIoc):
    """ADMythen, backed by a simulated detector.

    Parameters
    ----------
    prefix, mythen
        As for `MythenIoc`.
    first_module_only
        Whether plugins receive only the first module, as with the real driver.
    """

    cam = SubGroup(AdMythenDriver, prefix="cam1:")

    def __init__(self, prefix: str, mythen: SimMythen, first_module_only: bool = False) -> None:
        super().__init__(prefix, mythen)
        self.first_module_only = first_module_only

    async def start(self) -> None:
        """Publish the size and energy of the detector."""
        n_strips = MODULE_STRIPS if self.first_module_only else self.mythen.image.get().size
        await self.cam.size((n_strips,))
        await self.cam.n_modules.write(self.mythen.image.get().size // MODULE_STRIPS)
        for record in (self.cam.beam_energy.setpoint, self.cam.beam_energy.readback):
            await record.write(self._energy_ev / 1000, verify_value=False)


class SlsMythenIoc(MythenIoc):
    """PSI's slsDetector driver, backed by a simulated detector.

    Parameters
    ----------
    prefix, mythen
        As for `MythenIoc`.
    lose_every
        Interval, in frames, at which the packets of the last module are lost; 0 for never.
    """

    cam = SubGroup(SlsMythenDriver, prefix="cam1:")

    def __init__(self, prefix: str, mythen: SimMythen, lose_every: int = 0) -> None:
        super().__init__(prefix, mythen)
        self.lose_every = lose_every

    async def start(self) -> None:
        """Publish the size and energy of the detector."""
        await self.cam.size((self.mythen.image.get().size,))
        for record in (self.cam.beam_energy.setpoint, self.cam.beam_energy.readback):
            await record.write(round(self._energy_ev), verify_value=False)

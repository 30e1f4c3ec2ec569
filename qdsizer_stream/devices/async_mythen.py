"""MYTHENs behind areaDetector drivers of EPICS, for ophyd-async; frames go to HDF5 files."""

from dataclasses import dataclass
from typing import Annotated as A  # noqa: N817  # as ophyd-async writes it

from ophyd_async.core import (
    DetectorTriggerLogic,
    PathProvider,
    SignalR,
    SignalRW,
    StrictEnum,
    SubsetEnum,
    TriggerInfo,
)
from ophyd_async.epics.adcore import (
    ADAcquireLogic,
    ADBaseIO,
    ADWriterFactory,
    AreaDetector,
)
from ophyd_async.epics.core import PvSuffix

from ..errors import CalibrationError

__all__ = ["AdMythenIO", "AsyncAdMythen", "AsyncSlsMythen", "SlsMythenIO"]

MODULE_STRIPS = 1280
"""Strips of a MYTHEN module."""


class ImageMode(SubsetEnum):
    """Number of frames that ADMythen takes; unlike areaDetector's, its setpoint has no `Continuous`."""

    SINGLE = "Single"
    MULTIPLE = "Multiple"


class ReadMode(StrictEnum):
    """Kind of counts that ADMythen delivers."""

    RAW = "Raw"
    CORRECTED = "Corrected"


class SlsState(StrictEnum):
    """States of the slsDetector driver; they differ from those of areaDetector."""

    IDLE = "Idle"
    ERROR = "Error"
    WAITING = "Waiting"
    FINISHED = "Finished"
    TRANSMITTING = "Transmitting"
    RUNNING = "Running"
    STOPPED = "Stopped"


class AdMythenIO(ADBaseIO):
    """Records of ADMythen."""

    # The setpoint alone: its choices differ from those of the readback and of areaDetector.
    image_mode: A[SignalRW[ImageMode], PvSuffix("ImageMode")]  # type: ignore[assignment]
    num_frames: A[SignalRW[int], PvSuffix.rbv("NumFrames")]
    n_modules: A[SignalR[int], PvSuffix("NumModules_RBV")]
    threshold_energy: A[SignalRW[float], PvSuffix.rbv("ThresholdEnergy")]
    beam_energy: A[SignalRW[float], PvSuffix.rbv("BeamEnergy")]
    read_mode: A[SignalRW[ReadMode], PvSuffix.rbv("ReadMode")]
    use_flat_field: A[SignalR[bool], PvSuffix("UseFlatField_RBV")]
    use_count_rate: A[SignalR[bool], PvSuffix("UseCountRate_RBV")]
    use_bad_channel_interpolation: A[SignalR[bool], PvSuffix("UseBadChanIntrpl_RBV")]
    tau: A[SignalR[float], PvSuffix("Tau_RBV")]
    bit_depth: A[SignalR[int], PvSuffix("BitDepth_RBV")]


class SlsMythenIO(ADBaseIO):
    """Records of PSI's slsDetector driver."""

    detector_state: A[SignalR[SlsState], PvSuffix("DetectorState_RBV")]  # type: ignore[assignment]
    num_frames: A[SignalRW[int], PvSuffix.rbv("NumFrames")]
    num_cycles: A[SignalRW[int], PvSuffix.rbv("NumCycles")]
    counter_mask: A[SignalRW[int], PvSuffix.rbv("CounterMask")]
    threshold_energy: A[SignalRW[int], PvSuffix.rbv("ThresholdEnergy")]
    beam_energy: A[SignalRW[int], PvSuffix.rbv("BeamEnergy")]
    bit_depth: A[SignalRW[int], PvSuffix.rbv("BitDepth")]
    missed_packets: A[SignalR[int], PvSuffix("ReceiverMissedPackets_RBV")]


@dataclass
class _AdTriggerLogic(DetectorTriggerLogic):
    driver: AdMythenIO

    async def prepare_internal(self, num: int, livetime: float, deadtime: float) -> None:
        n_modules = await self.driver.n_modules.get_value()
        n_strips = await self.driver.array_size_x.get_value()
        if n_strips != MODULE_STRIPS * n_modules:
            raise CalibrationError(
                f"{self.driver.array_size_x.source} is {n_strips}, {n_modules} modules have "
                f"{MODULE_STRIPS * n_modules} strips: ADMythen passes only its first module to plugins "
                "unless its array dimensions are corrected; use one module, or a driver that publishes "
                "all of them"
            )
        await self.driver.image_mode.set(ImageMode.SINGLE if num == 1 else ImageMode.MULTIPLE)
        await _expose(self.driver, num, livetime, deadtime)

    async def default_trigger_info(self) -> TriggerInfo:
        return TriggerInfo()


@dataclass
class _SlsTriggerLogic(DetectorTriggerLogic):
    driver: SlsMythenIO

    async def prepare_internal(self, num: int, livetime: float, deadtime: float) -> None:
        await self.driver.num_cycles.set(1)
        await _expose(self.driver, num, livetime, deadtime)

    async def default_trigger_info(self) -> TriggerInfo:
        return TriggerInfo()


async def _expose(driver: AdMythenIO | SlsMythenIO, num: int, livetime: float, deadtime: float) -> None:
    """Set the number of frames and their exposure."""
    if num < 1:
        raise ValueError(f"number_of_events is {num}: it must be at least 1")
    await driver.num_frames.set(num)
    if livetime:
        await driver.acquire_time.set(livetime)
        await driver.acquire_period.set(livetime + deadtime)


class _SlsAcquireLogic(ADAcquireLogic):
    """Fails when packets were lost: a frame in a file cannot be marked, and zeros look like real counts."""

    driver: SlsMythenIO

    async def wait_for_idle(self) -> None:
        await super().wait_for_idle()  # type: ignore[no-untyped-call]
        if missed := await self.driver.missed_packets.get_value():
            raise OSError(
                f"{self.driver.missed_packets.source} is {missed}: the newest frame is incomplete; check the "
                "network between detector and receiver"
            )


class AsyncAdMythen(AreaDetector[AdMythenIO]):
    """A MYTHEN behind ADMythen.

    Parameters
    ----------
    prefix
        Prefix of the records, before ``cam1:`` and ``HDF1:``.
    path_provider
        Provider of the folder for the files, which the driver's computer and this one must both see.
    name
        Name of the device.
    """

    def __init__(self, prefix: str, path_provider: PathProvider, name: str = "") -> None:
        driver = AdMythenIO(f"{prefix}cam1:")
        super().__init__(
            driver,
            prefix,
            ADWriterFactory.hdf(path_provider),
            acquire_logic=ADAcquireLogic(driver),
            trigger_logic=_AdTriggerLogic(driver),
            config_sigs=(
                driver.beam_energy,
                driver.bit_depth,
                driver.read_mode,
                driver.tau,
                driver.threshold_energy,
                driver.use_bad_channel_interpolation,
                driver.use_count_rate,
                driver.use_flat_field,
            ),
            name=name,
        )


class AsyncSlsMythen(AreaDetector[SlsMythenIO]):
    """A MYTHEN II or III behind PSI's slsDetector driver.

    Parameters
    ----------
    prefix, path_provider, name
        As for `AsyncAdMythen`.
    """

    def __init__(self, prefix: str, path_provider: PathProvider, name: str = "") -> None:
        driver = SlsMythenIO(f"{prefix}cam1:")
        super().__init__(
            driver,
            prefix,
            ADWriterFactory.hdf(path_provider),
            acquire_logic=_SlsAcquireLogic(driver),
            trigger_logic=_SlsTriggerLogic(driver),
            config_sigs=(
                driver.beam_energy,
                driver.bit_depth,
                driver.counter_mask,
                driver.threshold_energy,
            ),
            name=name,
        )

"""A simulated MYTHEN."""

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ophyd import Component, Device, DeviceStatus, Kind

from ..errors import CalibrationError
from ..patterns import check_wavelength
from ..reduction import StripDetector, StripSimulator
from ._unit_signal import UnitSignal

__all__ = ["Beam", "Scene", "SimMythen"]

Scene = Callable[[NDArray[np.float64], float], NDArray[np.float64]]
"""Sample in the beam: a function of Q (Å⁻¹, shape (n,)) and of the time since the synthesis began (s) that
returns the relative intensity, shape (n,)."""

Beam = Callable[[float], float]
"""Beam: a function of the time since the synthesis began (s) that returns the relative beam intensity."""


class SimMythen(Device):  # type: ignore[misc]  # ophyd states no types
    """A MYTHEN whose strips count the photons of a scene.

    The synthesis advances by one exposure per frame, so the frames depend only on the seed, not on the speed
    of the computer.

    Parameters
    ----------
    prefix
        Unused; devices have one.
    name
        Name of the device.
    scene
        Sample in the beam.
    detector
        Positions of the strips of a detector without faults, or a detector with known faults.
    wavelength_angstrom
        Wavelength, Å.
    counts_per_second
        Mean counts per second of a strip at which the scene has intensity 1.
    exposure_s
        Exposure, s (time of the synthesis).
    speed
        Seconds of the synthesis per second of real time; infinite for no waiting.
    seed
        Seed of the photon statistics.
    beam
        Beam intensity against time; None for a constant beam.
    arguments
        As for `ophyd.Device`.

    Raises
    ------
    PatternError
        The wavelength is not that of X-rays.
    CalibrationError
        Counts per second, exposure or speed is not positive.
    """

    image = Component(UnitSignal, value=np.zeros(0, np.uint32), unit="counts", kind=Kind.normal)
    """Counts of the newest frame, shape (n_strips,)."""
    monitor = Component(UnitSignal, value=1.0, unit="", precision=4, kind=Kind.normal)
    """Relative beam intensity during the newest frame: the monitor (I0)."""
    elapsed = Component(UnitSignal, value=0.0, unit="s", precision=1, kind=Kind.normal)
    """Time of the synthesis at the middle of the newest frame, s."""
    exposure_s = Component(UnitSignal, value=1.0, unit="s", precision=3, kind=Kind.config)
    """Exposure, s."""
    wavelength = Component(UnitSignal, value=1.0, unit="angstrom", precision=5, kind=Kind.config)
    """Wavelength, Å."""
    arm_angle = Component(UnitSignal, value=0.0, unit="deg", precision=4, kind=Kind.config)
    """Angle of the detector arm, degrees."""

    def __init__(
        self,
        prefix: str = "",
        *,
        name: str,
        scene: Scene,
        detector: StripDetector | StripSimulator,
        wavelength_angstrom: float,
        counts_per_second: float,
        exposure_s: float = 1.0,
        speed: float = 1.0,
        seed: int = 0,
        beam: Beam | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(prefix, name=name, **arguments)
        for what, value in {
            "counts_per_second": counts_per_second,
            "exposure_s": exposure_s,
            "speed": speed,
        }.items():
            if not value > 0:
                raise CalibrationError(f"{what} is {value}: give a positive number")
        self._scene = scene
        self._strips = detector if isinstance(detector, StripSimulator) else StripSimulator(detector=detector)
        self._beam = beam if beam is not None else _steady
        self._counts_per_second = counts_per_second
        self._speed = speed
        self._random = np.random.default_rng(seed)
        self._now_s = 0.0
        self.image.put(np.zeros(self._strips.detector.n_strips, np.uint32))
        self.exposure_s.put(exposure_s)
        self.wavelength.put(check_wavelength(wavelength_angstrom))

    def trigger(self) -> DeviceStatus:
        """Expose one frame.

        Returns
        -------
        Status that finishes when the frame is read out.
        """
        status = DeviceStatus(self)
        threading.Thread(target=self._expose, args=(status,), name=self.name, daemon=True).start()
        return status

    def expected_counts(self, elapsed_s: float) -> NDArray[np.float64]:
        """Mean number of photons that reach the counters during a frame.

        Parameters
        ----------
        elapsed_s
            Time of the synthesis, s.

        Returns
        -------
        Photons per strip, shape (n_strips,).
        """
        return self._strips.photons(
            lambda q: self._counts_per_second * self._scene(q, elapsed_s),
            self.wavelength.get(),
            self.arm_angle.get(),
            self.exposure_s.get(),
            self._beam(elapsed_s),
        )

    def _read_out(self, counts: NDArray[np.uint32]) -> None:
        self.image.put(counts)

    def _expose(self, status: DeviceStatus) -> None:
        try:
            exposure_s = self.exposure_s.get()
            began = time.monotonic()
            middle_s = self._now_s + exposure_s / 2
            counts = self._strips.count(self.expected_counts(middle_s), exposure_s, self._random)
            time.sleep(max(exposure_s / self._speed - (time.monotonic() - began), 0.0))
            self._now_s += exposure_s
            self.monitor.put(self._beam(middle_s))
            counts.flags.writeable = False  # documents contain this array, so it must not change
            self._read_out(counts)
            self.elapsed.put(middle_s)
        except Exception as error:
            status.set_exception(error)
        else:
            status.set_finished()


def _steady(_: float) -> float:
    return 1.0

"""A simulated MYTHEN."""

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ophyd import Component, Device, DeviceStatus, Kind

from ..errors import CalibrationError
from ..patterns import check_wavelength, q_from_two_theta
from ..reduction import StripDetector
from ._unit_signal import UnitSignal

__all__ = ["Scene", "SimMythen"]

Scene = Callable[[NDArray[np.float64], float], NDArray[np.float64]]
"""What stands in the beam: Q (Å⁻¹, shape (n,)) and the time since the synthesis began (s) to the
relative intensity, shape (n,)."""

COUNTER_LIMIT = 2**24 - 1
"""The counter of a strip has 24 bits."""


class SimMythen(Device):  # type: ignore[misc]  # ophyd states no types
    """A MYTHEN whose strips count Poisson photons of a scene.

    The synthesis goes on by one exposure a frame, so the frames depend on the seed alone and not on
    how fast the computer is.

    Parameters
    ----------
    prefix
        Unused; devices have one.
    name
        Name of the device.
    scene
        What stands in the beam.
    detector
        Calibration of the detector.
    wavelength_angstrom
        Wavelength, Å.
    counts_per_second
        Mean counts a second of a strip on which the scene has intensity 1.
    exposure_s
        Exposure, s of the synthesis.
    speed
        Seconds of the synthesis in a second of the clock on the wall; infinite for no waiting.
    seed
        Seed of the photons.
    arguments
        As for `ophyd.Device`.

    Raises
    ------
    PatternError
        The wavelength is not that of X-rays.
    CalibrationError
        Counts a second, exposure or speed are not positive.
    """

    image = Component(UnitSignal, value=np.zeros(0, np.uint32), unit="counts", kind=Kind.normal)
    """Counts of the newest frame, shape (n_strips,)."""
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
        detector: StripDetector,
        wavelength_angstrom: float,
        counts_per_second: float,
        exposure_s: float = 1.0,
        speed: float = 1.0,
        seed: int = 0,
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
        self._detector = detector
        self._counts_per_second = counts_per_second
        self._speed = speed
        self._random = np.random.default_rng(seed)
        self._now_s = 0.0
        self.image.put(np.zeros(detector.n_strips, np.uint32))
        self.exposure_s.put(exposure_s)
        self.wavelength.put(check_wavelength(wavelength_angstrom))

    def trigger(self) -> DeviceStatus:
        """Expose one frame.

        Returns
        -------
        Status that is done when the frame is read out.
        """
        status = DeviceStatus(self)
        threading.Thread(target=self._expose, args=(status,), name=self.name, daemon=True).start()
        return status

    def expected_counts(self, elapsed_s: float) -> NDArray[np.float64]:
        """Mean counts of a frame.

        Parameters
        ----------
        elapsed_s
            Time of the synthesis, s.

        Returns
        -------
        Counts per strip, shape (n_strips,); none on strips at or behind the direct beam.
        """
        q = q_from_two_theta(self._detector.two_theta(self.arm_angle.get()), self.wavelength.get())
        lit = q > 0
        expected = np.zeros(q.size)
        expected[lit] = self._counts_per_second * self.exposure_s.get() * self._scene(q[lit], elapsed_s)
        return expected

    def _read_out(self, counts: NDArray[np.uint32]) -> None:
        self.image.put(counts)

    def _expose(self, status: DeviceStatus) -> None:
        try:
            exposure_s = self.exposure_s.get()
            began = time.monotonic()
            middle_s = self._now_s + exposure_s / 2
            counts = self._random.poisson(self.expected_counts(middle_s))
            time.sleep(max(exposure_s / self._speed - (time.monotonic() - began), 0.0))
            self._now_s += exposure_s
            self._read_out(np.minimum(counts, COUNTER_LIMIT).astype(np.uint32))
            self.elapsed.put(middle_s)
        except Exception as error:
            status.set_exception(error)
        else:
            status.set_finished()

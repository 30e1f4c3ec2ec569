"""Simulated counts of a strip detector for a known intensity: the inverse of the reduction."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import CalibrationError
from ..patterns import q_from_two_theta
from ._config import Polarisation
from ._counting import DeadTime
from ._geometry import StripDetector

__all__ = ["StripSimulator"]

MIN_PROBABILITY = 1e-9
"""Below this value of 2mτ the dead time has no effect on the scatter of any count that a counter can hold."""


@dataclass(frozen=True, eq=False, kw_only=True)
class StripSimulator:
    """A detector with known faults.

    Parameters
    ----------
    detector
        True positions of the strips; a different calibration in the reduction is one of the faults.
    response
        Relative response of the strips, shape (n_strips,), 0 for a dead one; None for equal responses.
    noise_cps
        Noise of each strip, counts per second, shape (n_strips,); None for no noise.
    dead_time
        Dead time of the paralysable counters; None for ideal counters.
    bit_depth
        Bits per counter, which stops at its maximum.
    polarisation
        Polarisation of the beam; None if the intensity already includes it.

    Raises
    ------
    CalibrationError
        An array does not have one value per strip.
    """

    detector: StripDetector
    response: NDArray[np.float64] | None = None
    noise_cps: NDArray[np.float64] | None = None
    dead_time: DeadTime | None = None
    bit_depth: int = 24
    polarisation: Polarisation | None = None

    def __post_init__(self) -> None:
        for name in ("response", "noise_cps"):
            array = getattr(self, name)
            if array is not None and array.shape != (self.detector.n_strips,):
                raise CalibrationError(
                    f"{name} has shape {array.shape}, the detector {self.detector.n_strips} strips: give one "
                    "value per strip"
                )

    def photons(
        self,
        intensity: Callable[[NDArray[np.float64]], NDArray[np.float64]],
        wavelength_angstrom: float,
        arm_deg: float,
        exposure_s: float,
        monitor: float = 1.0,
    ) -> NDArray[np.float64]:
        """Compute the expected number of photons that reach the counters.

        Parameters
        ----------
        intensity
            Photons per second and per unit of the monitor in a strip of mean width and response, as a
            function of Q in Å⁻¹; called once with the Q of all strips, shape (n_strips,).
        wavelength_angstrom
            Wavelength, Å.
        arm_deg
            Angle of the detector arm, degrees.
        exposure_s
            Exposure, s.
        monitor
            Relative intensity of the beam; its drift is one of the faults.

        Returns
        -------
        Photons, shape (n_strips,); a strip at negative 2θ receives as many as one at positive 2θ.
        """
        angles = self.detector.two_theta(arm_deg)
        width = self.detector.strip_width_deg()
        photons = intensity(np.abs(q_from_two_theta(angles, wavelength_angstrom))) * width / width.mean()
        if self.polarisation is not None:
            photons = photons * self.polarisation.factor(angles)
        if self.response is not None:
            photons = photons * self.response
        photons = photons * monitor * exposure_s
        if self.noise_cps is not None:
            photons = photons + self.noise_cps * exposure_s
        return np.asarray(photons)

    def count(
        self, photons: NDArray[np.float64], exposure_s: float, rng: "np.random.Generator"
    ) -> NDArray[np.uint32]:
        """Draw random counts.

        The counts of a paralysable counter have the mean M = N exp(-nτ) and the variance M (1 - 2 M τ/t),
        less than Poisson's; a binomial variable can have both.

        Parameters
        ----------
        photons
            Expected number of photons, shape (n_strips,).
        exposure_s
            Exposure, s.
        rng
            Random number generator.

        Returns
        -------
        Counts, shape (n_strips,).
        """
        if self.dead_time is None:
            counts = rng.poisson(photons)
        else:
            per_photon = self.dead_time.tau_s / exposure_s
            mean = photons * np.exp(-photons * per_photon)
            probability = np.maximum(2 * mean * per_photon, MIN_PROBABILITY)
            trials = np.maximum(np.rint(mean / probability), np.ceil(mean)).astype(np.int64)
            # The number of trials is an integer: the probability is adjusted, so that the mean stays exact.
            counts = rng.binomial(trials, np.divide(mean, trials, out=np.zeros_like(mean), where=trials > 0))
        return np.asarray(np.minimum(counts, 2**self.bit_depth - 1), dtype=np.uint32)

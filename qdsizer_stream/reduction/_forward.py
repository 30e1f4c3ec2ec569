"""What a strip detector counts of a known intensity: the reduction, backwards."""

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

LEAST_CORRELATION = 1e-9
"""Below this 2mτ a dead time changes the scatter of no count that fits a counter."""


@dataclass(frozen=True, eq=False, kw_only=True)
class StripSimulator:
    """A detector with known faults.

    Parameters
    ----------
    detector
        Where the strips truly are; a calibration that says otherwise is one of the faults.
    response
        Relative response of the strips, shape (n_strips,), 0 for a dead one; None for equal strips.
    noise_cps
        Counts per second that a strip makes up, shape (n_strips,); None for quiet strips.
    dead_time
        Dead time of the paralysable counters; None for ideal ones.
    bit_depth
        Bits of a counter, which stops at its end.
    polarisation
        Polarisation of the beam; None for a cross-section that holds it.

    Raises
    ------
    CalibrationError
        An array does not have one number for each strip.
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
                    "number a strip"
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
            Photons per second and unit of monitor in a strip of mean width and response, as a function of
            Q in Å⁻¹; called once with the Q of all strips, shape (n_strips,).
        wavelength_angstrom
            Wavelength, Å.
        arm_deg
            Angle of the detector arm, degrees.
        exposure_s
            Exposure, s.
        monitor
            Intensity of the beam; a drift of it is one of the faults.

        Returns
        -------
        Photons, shape (n_strips,); a strip at negative 2θ sees what the one at positive 2θ does.
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
        self, photons: NDArray[np.float64], exposure_s: float, rng: np.random.Generator
    ) -> NDArray[np.uint32]:
        """Count photons at random.

        A paralysable counter shows a mean of M = N exp(-nτ) with the variance M (1 - 2 M τ/t), less than
        Poisson's; a binomial variable has both.

        Parameters
        ----------
        photons
            Expected number of photons, shape (n_strips,).
        exposure_s
            Exposure, s.
        rng
            Source of randomness.

        Returns
        -------
        Counts, shape (n_strips,).
        """
        if self.dead_time is None:
            counts = rng.poisson(photons)
        else:
            per_photon = self.dead_time.tau_s / exposure_s
            mean = photons * np.exp(-photons * per_photon)
            probability = np.maximum(2 * mean * per_photon, LEAST_CORRELATION)
            trials = np.maximum(np.rint(mean / probability), np.ceil(mean)).astype(np.int64)
            # Whole trials: the probability gives way, so that the mean stays exact.
            counts = rng.binomial(trials, np.divide(mean, trials, out=np.zeros_like(mean), where=trials > 0))
        return np.asarray(np.minimum(counts, 2**self.bit_depth - 1), dtype=np.uint32)

"""Sums of frames: photons and exposure in bins."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import CalibrationError
from ..patterns import Pattern

__all__ = ["PooledCounts"]

MEAN_SQUARE_EXCESS = 2.0
"""Mean square deviation minus N, ∫ (μ - N)² p(μ|N) dμ - N, with p(μ|N) = μ^N exp(-μ)/N!."""


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class PooledCounts:
    """Sums over strips and frames, bin by bin; sums with the same Q points can be added.

    The intensity is the ratio of sums ΣC / Σ(ε I0 t Δ2θ). An average of ratios, weighted by the counts
    themselves, would be biased at low counts (Mighell, Astrophys. J. 518, 380, 1999); the ratio of sums is
    not.

    Parameters
    ----------
    q_inv_angstrom
        Bin centres, Å⁻¹, shape (n,).
    counts
        Photons, dead time corrected, shape (n,).
    variance
        Variance of `counts`, shape (n,).
    exposure
        Expected counts for unit intensity, shape (n,); 0 in a bin without strips.
    n_strips
        Number of strips in the bin, summed over frames, shape (n,).
    flat_exposure_sigma
        Standard deviation of `exposure` due to the flat field, shape (n,), by the arm angle of the frames: it
        is common to frames at one angle, and independent between angles.
    monitor_relative_sigma
        Relative error of the monitor, common to all bins and frames.
    wavelength_angstrom
        Wavelength, Å; in a sum that of its first frame.
    n_frames
        Number of frames in the sum.
    exposure_s
        Their total exposure, s; NaN if unknown.
    warnings
        Messages on what was masked or is uncertain, one line each.
    possible_loss
        Largest fraction of its photons that a strip may have lost to an undeclared dead time.
    """

    q_inv_angstrom: NDArray[np.float64]
    counts: NDArray[np.float64]
    variance: NDArray[np.float64]
    exposure: NDArray[np.float64]
    n_strips: NDArray[np.float64]
    flat_exposure_sigma: dict[float, NDArray[np.float64]]
    monitor_relative_sigma: float
    wavelength_angstrom: float
    n_frames: int
    exposure_s: float
    warnings: tuple[str, ...]
    possible_loss: float = 0.0

    def __add__(self, other: "PooledCounts") -> "PooledCounts":
        if self.q_inv_angstrom is not other.q_inv_angstrom and not np.array_equal(
            self.q_inv_angstrom, other.q_inv_angstrom
        ):
            raise CalibrationError(
                f"frames with {self.q_inv_angstrom.size} and {other.q_inv_angstrom.size} points at different "
                "Q cannot be added: set bins in [reduction], which are the same for every arm angle and "
                "wavelength"
            )
        flat = dict(self.flat_exposure_sigma)
        for arm_deg, sigma in other.flat_exposure_sigma.items():
            flat[arm_deg] = flat[arm_deg] + sigma if arm_deg in flat else sigma
        return replace(
            self,
            counts=self.counts + other.counts,
            variance=self.variance + other.variance,
            exposure=self.exposure + other.exposure,
            n_strips=self.n_strips + other.n_strips,
            flat_exposure_sigma=flat,
            monitor_relative_sigma=max(self.monitor_relative_sigma, other.monitor_relative_sigma),
            n_frames=self.n_frames + other.n_frames,
            exposure_s=self.exposure_s + other.exposure_s,
            warnings=tuple(dict.fromkeys(self.warnings + other.warnings)),
            possible_loss=max(self.possible_loss, other.possible_loss),
        )

    def __repr__(self) -> str:
        frames = "1 frame" if self.n_frames == 1 else f"{self.n_frames} frames"
        warnings = f", {'; '.join(self.warnings)}" if self.warnings else ""
        return (
            f"<PooledCounts: {frames}, {self.total_counts:.3g} photons, {self.counts.size} points{warnings}>"
        )

    @property
    def total_counts(self) -> float:
        """Photons in all bins."""
        return float(self.counts.sum())

    def intensity(self) -> NDArray[np.float64]:
        """Divide counts by exposure.

        Returns
        -------
        Counts of a strip of mean width and response (per second and per unit of the monitor, if normalised by
        these), shape (n,); NaN in a bin without strips.
        """
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return np.where(self.exposure > 0, self.counts / self.exposure, np.nan)

    def pattern(self) -> Pattern:
        """Compute the pattern with its statistical errors.

        Returns
        -------
        Intensity and its statistical sigma, masked in bins without strips. A bin of several strips with N
        counts has σ² = N + 2, the mean square deviation of N from all expected counts that may have caused it
        (with a flat prior): squared deviations over σ² then average to 0.96 at ten counts, against 1.31
        with σ² = N. A single strip has σ² = max(N, 1), because later pooling of such strips would add the
        2 many times.
        """
        variance = np.where(
            self.n_strips > 1, self.variance + MEAN_SQUARE_EXCESS, np.maximum(self.variance, 1)
        )
        intensity = self.intensity()
        masked = np.isnan(intensity)
        with np.errstate(divide="ignore", over="ignore"):
            sigma = np.sqrt(variance) / self.exposure
        return Pattern(self.q_inv_angstrom, intensity, sigma, masked)

    def systematic(self) -> dict[str, NDArray[np.float64]]:
        """Errors that more frames do not average away.

        Returns
        -------
        Standard deviation of the intensity by source, each of shape (n,): ``flat_field``, independent between
        bins, and ``monitor``, fully correlated between bins.
        """
        intensity = self.intensity()
        with np.errstate(divide="ignore", invalid="ignore"):
            flat = np.sqrt(
                sum((s**2 for s in self.flat_exposure_sigma.values()), start=np.zeros(intensity.size))
            )
            return {
                "flat_field": np.abs(intensity) * flat / self.exposure,
                "monitor": np.abs(intensity) * self.monitor_relative_sigma,
            }

"""Photons and exposure pooled in bins: what frames add up to."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import CalibrationError
from ..patterns import Pattern

__all__ = ["PooledCounts"]

MEAN_SQUARE_EXCESS = 2.0
"""∫ (μ - N)² p(μ|N) dμ - N with p(μ|N) = μ^N exp(-μ)/N!."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PooledCounts:
    """Sums over strips and frames, bin by bin; two of them on one axis can be added.

    The intensity is the ratio of sums ΣC / Σ(ε I0 t Δ2θ). Ratios averaged with weights that the counts
    themselves give would be biased at low counts (Mighell, Astrophys. J. 518, 380, 1999); this is not.

    Parameters
    ----------
    q_inv_angstrom
        Bin centres, Å⁻¹, shape (n,).
    counts
        Photons, dead time corrected, shape (n,).
    variance
        Variance of `counts`, shape (n,).
    exposure
        What one unit of intensity would have counted, shape (n,); 0 where no strip fell.
    n_strips
        Strips that fell into the bin, every frame anew, shape (n,).
    flat_exposure_sigma
        Standard deviation of `exposure` from the flat field, shape (n,), by the arm angle of the frames:
        frames at one angle share it, frames at several do not.
    monitor_relative_sigma
        Relative error of the monitor, common to all bins and frames.
    n_frames
        Frames that were added.
    exposure_s
        Their exposure, s; NaN where unknown.
    warnings
        What was masked or is uncertain, one line each.
    """

    q_inv_angstrom: NDArray[np.float64]
    counts: NDArray[np.float64]
    variance: NDArray[np.float64]
    exposure: NDArray[np.float64]
    n_strips: NDArray[np.float64]
    flat_exposure_sigma: dict[float, NDArray[np.float64]]
    monitor_relative_sigma: float
    n_frames: int
    exposure_s: float
    warnings: tuple[str, ...]

    def __add__(self, other: "PooledCounts") -> "PooledCounts":
        if self.q_inv_angstrom is not other.q_inv_angstrom and not np.array_equal(
            self.q_inv_angstrom, other.q_inv_angstrom
        ):
            raise CalibrationError(
                f"frames on {self.q_inv_angstrom.size} and {other.q_inv_angstrom.size} points at different "
                "Q cannot be added: set bins in [reduction], which every arm angle and wavelength shares"
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
        )

    @property
    def total_counts(self) -> float:
        """Photons in all bins."""
        return float(self.counts.sum())

    def intensity(self) -> NDArray[np.float64]:
        """Divide counts by exposure.

        Returns
        -------
        Counts of a strip of mean width and response (in one second and unit of monitor where these are
        divided by), shape (n,); NaN where no strip fell.
        """
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return np.where(self.exposure > 0, self.counts / self.exposure, np.nan)

    def pattern(self) -> Pattern:
        """Make the pattern with its statistical errors.

        Returns
        -------
        Intensity and its statistical sigma, masked where no strip fell. A bin that pools strips and
        counted N has σ² = N + 2, the mean square distance of N from all the rates that it may have come
        from (of which any is as likely before): so squared deviations over σ² average to 0.96 at ten
        counts, where N alone makes it 1.31. A strip by itself has max(N, 1), since whoever pools such
        strips would add the two many times.
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
        Standard deviation of the intensity by source, each of shape (n,): ``flat_field``, independent from
        bin to bin, and ``monitor``, one factor common to all bins.
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

"""Evidence of the acceptance checks: measured values of a frame, of its answer and of its fit."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..models import AcceptanceThresholds, Answer, Card, PhysicsFit
from ..patterns import BinGrid, Pattern, intensity_scale, plateau_points

__all__ = ["MAX_NEGATIVE", "FitEvidence", "FrameEvidence", "frame_evidence"]

ZERO_STRAIN = 0.002
"""Strain that a 2θ zero 0.02° off causes at the first peaks: no reason to suspect the wavelength."""

COPPER_ANGSTROM = 1.5406
"""Copper Kα1: films in its diffractometers stand up to 0.3° off."""

MIN_NOISE_POWER = 0.7
"""Power of the intensity with which the variance of photons must rise at least: it is 1 for counts, 0.5 to
0.9 where a background of up to their mean was taken off, 0.46 for a gamma of 0.65, 0 for square roots, below
0 for logarithms."""

SURE = 3.5
"""Standard deviations from the power of counts below which noise may have caused it: once in 4000 frames."""

UNLIKELY = 2.0
"""Standard deviations from the power of counts beyond which intensities may be a power of the photons: of one
file in a hundred that is one, with exponents that differ by 0.2, about 1 in 20 is left beyond."""

MAX_EXPONENT = 1.5
"""Largest exponent that an interval allows for: with larger ones the fit leaves a residual. Noise in
proportion to the intensity, as of grains or of an uneven detector, has the power of an infinite exponent."""

MAX_NEGATIVE = {2.0: 0.05, 5.0: 0.005}
"""Largest fraction of the bins that may be more than this many standard deviations below zero. Of intensities
of zero 2.3 % are below -2 σ and none below -5 σ: more is not noise, and the logarithm that networks take
hides how negative a bin is."""


@dataclass(frozen=True, kw_only=True)
class FrameEvidence:
    """What the checks before the network need of a frame."""

    thresholds: AcceptanceThresholds
    """Thresholds of the model."""
    grid: BinGrid
    """Bins of the physics check."""
    solvent: Path | None
    """File of the measured solvent."""
    n_usable: int
    """Bins with data."""
    n_fitted: int
    """Those of them that the solvent's curve covers."""
    q_min_inv_angstrom: float
    """First usable Q, Å⁻¹."""
    q_max_inv_angstrom: float
    """Last usable Q, Å⁻¹."""
    mean_intensity: float
    """Mean of the usable bins."""
    negative_fraction: dict[float, float]
    """Fraction of the usable bins that are more than so many standard deviations below zero."""
    counts: float
    """Photons."""
    n_clipped: float = 0
    """Points at one largest intensity."""
    noise_power: float = 1.0
    """Power of the intensity with which the noise's variance rises; 1 where the pattern does not show it."""
    noise_power_sd: float = 0.0
    """Its standard deviation."""
    possible_loss: float = 0.0
    """Largest fraction of its photons that a strip may have lost to an undeclared dead time."""

    @property
    def min_noise_power(self) -> float:
        """Smallest accepted power."""
        return min(MIN_NOISE_POWER, 1 - SURE * self.noise_power_sd)

    @property
    def intensity_exponent(self) -> float:
        """Exponent γ of intensities that are a power of the photons, from that of the noise, 2 - 1/γ.

        1 where the power of the noise is that of counts within its error. Counts of a detector of undeclared
        dead time are at most to the power of what is left of the strongest ones.
        """
        if self.possible_loss > 0:
            return 1 - self.possible_loss
        if abs(self.noise_power - 1) <= UNLIKELY * self.noise_power_sd:
            return 1.0
        return 1 / (2 - min(self.noise_power, 2 - 1 / MAX_EXPONENT))


@dataclass(frozen=True, kw_only=True)
class FitEvidence:
    """What the checks after the network and the physics check need of a frame."""

    card: Card
    """Card of the model."""
    answer: Answer
    """Answer of the network, not widened for wide channels."""
    interval_nm: tuple[float, float]
    """Interval of sizes that were fitted, nm."""
    fit: PhysicsFit
    """Fit of the frame."""
    counts: float
    """Photons."""
    textured: bool = True
    """Whether the dots may have a preferred orientation."""
    wavelength_angstrom: float | None = None
    """Wavelength, Å; None where it is not known."""

    @property
    def two_theta_shift_deg(self) -> float:
        """Shift of 2θ, degrees; NaN where the wavelength is not known."""
        if self.wavelength_angstrom is None:
            return math.nan
        return math.degrees(self.fit.shift_inv_angstrom * self.wavelength_angstrom / (2 * math.pi))

    @property
    def max_two_theta_shift_deg(self) -> float:
        """Largest accepted shift of 2θ, degrees; for copper where the wavelength is not known."""
        shorter = 1.0 if self.wavelength_angstrom is None else self.wavelength_angstrom / COPPER_ANGSTROM
        return self.thresholds.max_two_theta_shift_deg * min(shorter, 1.0)

    @property
    def max_shift_inv_angstrom(self) -> float:
        """The same as a change of Q, Å⁻¹."""
        wavelength = COPPER_ANGSTROM if self.wavelength_angstrom is None else self.wavelength_angstrom
        return math.radians(self.max_two_theta_shift_deg) * 2 * math.pi / wavelength

    @property
    def shifted(self) -> bool:
        """Whether the peaks are shifted too far for a lattice parameter."""
        return self.fit.sure_shift_inv_angstrom > self.thresholds.max_shift_inv_angstrom

    @property
    def ratio_misfit(self) -> float:
        """χ² of the heights of the peaks."""
        misfit = self.fit.ratio_misfit
        return misfit.textured if self.textured else misfit.untextured

    @property
    def max_ratio_misfit(self) -> float:
        """Largest accepted χ² of the heights of the peaks."""
        thresholds = self.thresholds
        return thresholds.max_ratio_misfit_textured if self.textured else thresholds.max_ratio_misfit

    @property
    def thresholds(self) -> AcceptanceThresholds:
        """Thresholds of the model."""
        return self.card.thresholds

    @property
    def max_delta_chi2_better_size(self) -> float:
        """Largest fall of χ² by another size."""
        thresholds = self.thresholds
        return (
            thresholds.max_delta_chi2_better_size + thresholds.max_delta_chi2_fraction * self.fit.significance
        )

    @property
    def strain_range(self) -> tuple[float, float]:
        """Strains that are accepted where they are known exactly."""
        low, high = self.card.strain_range
        return low - ZERO_STRAIN, high + ZERO_STRAIN

    @property
    def model_range(self) -> str:
        """Range of sizes of the model, in words."""
        low, high = self.card.size_range_nm
        return f"{low:g}–{high:g} nm"


def frame_evidence(
    binned: Pattern,
    covered: NDArray[np.bool_],
    photons: float | None,
    *,
    thresholds: AcceptanceThresholds,
    grid: BinGrid,
    solvent: Path | None,
    pattern: Pattern | None = None,
    possible_loss: float = 0.0,
) -> FrameEvidence:
    """Measure what the checks before the network need.

    Parameters
    ----------
    binned
        Frame on the bins of the physics check.
    covered
        Bins that the solvent's curve covers, shape (n_bins,).
    photons
        Photons that the frame is worth; None to compute them from its sigma.
    thresholds
        Thresholds of the model.
    grid
        Bins of the physics check.
    solvent
        File of the measured solvent.
    pattern
        Frame as it was measured, to see its noise; None where its counts were reduced here, as they are.
    possible_loss
        As in `FrameEvidence`.

    Returns
    -------
    The evidence; NaN where no bin holds data.
    """
    usable = binned.usable
    n_usable = int(np.count_nonzero(usable))
    if n_usable == 0:
        return FrameEvidence(
            thresholds=thresholds,
            grid=grid,
            solvent=solvent,
            n_usable=0,
            n_fitted=0,
            q_min_inv_angstrom=math.nan,
            q_max_inv_angstrom=math.nan,
            mean_intensity=math.nan,
            negative_fraction=dict.fromkeys(MAX_NEGATIVE, math.nan),
            counts=math.nan,
        )
    q, intensity, sigma = (
        _where_usable(values, binned) for values in (binned.q_inv_angstrom, binned.intensity, binned.sigma)
    )
    depth = intensity / sigma
    if photons is None:
        photons = float(np.sum((np.maximum(intensity, 0.0) / sigma) ** 2))
    return FrameEvidence(
        thresholds=thresholds,
        grid=grid,
        solvent=solvent,
        n_usable=n_usable,
        n_fitted=int(np.count_nonzero(usable & covered)),
        q_min_inv_angstrom=float(q[0]),
        q_max_inv_angstrom=float(q[-1]),
        mean_intensity=float(intensity.mean()),
        negative_fraction={
            sigmas: float(np.count_nonzero(depth < -sigmas) / n_usable) for sigmas in MAX_NEGATIVE
        },
        counts=photons,
        possible_loss=possible_loss,
        **({} if pattern is None else _scale_evidence(pattern)),
    )


def _where_usable(values: NDArray[np.float64], pattern: Pattern) -> NDArray[np.float64]:
    """Values of the usable points, contiguous; nearly always neighbours, which need no copy."""
    span = pattern.span
    return values[pattern.usable] if span is None else np.ascontiguousarray(values[span])


def _scale_evidence(pattern: Pattern) -> dict[str, float]:
    """Whether the intensities are proportional to photons, from noise and largest values."""
    intensity, sigma = (_where_usable(values, pattern) for values in (pattern.intensity, pattern.sigma))
    found: dict[str, float] = {"n_clipped": plateau_points(intensity, sigma)}
    scale = intensity_scale(intensity, sigma)
    if scale.independent and math.isfinite(scale.power):
        found |= {"noise_power": scale.power, "noise_power_sd": scale.power_sd}
    return found

"""Width of an instrument's peaks as a function of Q, and the blur that it is on a grid."""

import math

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ...configuration import Config
from ._draws import PositiveRange, Range, log_uniform

__all__ = ["FWHM_PER_SD", "ResolutionRanges", "blur_matrix", "blur_reach_bins"]

FWHM_PER_SD = math.sqrt(8 * math.log(2))
"""Full width at half maximum of a Gaussian over its standard deviation."""

TAILS = 4.0
"""Standard deviations after which the Gaussian ends: 6e-5 of it is left out."""

ALIASES = 6.0
"""Standard deviations, in pair distance, between the longest distance and the nearest alias of a sampled
Gaussian: samples are then at most 1.05 standard deviations apart, and 1e-8 of that distance is mistaken."""

NARROW = 0.6
"""Variance in squared steps below which a sampled Gaussian is too coarse: five weights with the moments of
the Gaussian up to the fourth take its place, better by then for distances of half the grid's limit."""


class ResolutionRanges(Config):
    """Ranges that the width of an instrument is drawn from.

    One of the widths given is drawn for each group of frames, all equally likely: constant in Q, constant in
    2θ, or Caglioti's H² = U tan²θ + V tan θ + W. A fraction of them is broadened further by the bandwidth of
    the source.
    """

    fwhm_inv_angstrom: PositiveRange | None = None
    """Full width at half maximum, constant in Q, log-uniform, Å⁻¹."""
    fwhm_deg: PositiveRange | None = None
    """Full width at half maximum, constant in 2θ, log-uniform, degrees."""
    caglioti_u_deg2: PositiveRange | None = None
    """U, log-uniform, degrees²; together with W."""
    caglioti_w_deg2: PositiveRange | None = None
    """W, log-uniform, degrees²: the squared width at 2θ = 0."""
    caglioti_v_ratio: Range = (-0.9, 0.0)
    """V over 2√(UW), uniform; above -1, where the width would vanish at some angle."""
    bandwidth: PositiveRange | None = None
    """Full width at half maximum of the source's spectrum over its energy, ΔE/E, log-uniform: ΔQ = Q ΔE/E."""
    banded: float = Field(default=0.0, ge=0, le=1)
    """Fraction of the groups of frames with this bandwidth."""

    @model_validator(mode="after")
    def _check_widths(self) -> "ResolutionRanges":
        if (self.caglioti_u_deg2 is None) != (self.caglioti_w_deg2 is None):
            raise ValueError(
                "a Caglioti width needs both caglioti_u_deg2 and caglioti_w_deg2: give both or neither"
            )
        if not -1 < self.caglioti_v_ratio[0] <= self.caglioti_v_ratio[1] <= 1:
            raise ValueError(
                f"caglioti_v_ratio = {self.caglioti_v_ratio} leaves -1 … 1: V² has to stay below 4 U W"
            )
        if self.banded > 0 and self.bandwidth is None:
            raise ValueError(f"banded = {self.banded:g} of the frames have a bandwidth: give it")
        if not self._widths and self.bandwidth is None:
            raise ValueError("no width is given: give fwhm_inv_angstrom, fwhm_deg, Caglioti's or bandwidth")
        return self

    @property
    def _widths(self) -> list[str]:
        kinds = {
            "q": self.fwhm_inv_angstrom,
            "angle": self.fwhm_deg,
            "caglioti": self.caglioti_u_deg2,
        }
        return [kind for kind, limits in kinds.items() if limits is not None]

    def drawn_fwhm(
        self, rng: np.random.Generator, two_theta_deg: NDArray[np.float64], wavelength_angstrom: float
    ) -> NDArray[np.float64]:
        """Draw one instrument.

        Parameters
        ----------
        rng
            Source of randomness.
        two_theta_deg
            Scattering angles, degrees, shape (n_q,).
        wavelength_angstrom
            Wavelength, Å.

        Returns
        -------
        Full width at half maximum, Å⁻¹, shape (n_q,).
        """
        width: NDArray[np.float64] = np.zeros(two_theta_deg.shape)
        if self._widths:
            kind = self._widths[rng.integers(len(self._widths))]
            width = self._one(kind, rng, two_theta_deg, wavelength_angstrom)
        if self.bandwidth is not None and rng.random() < self.banded:
            q = 4 * np.pi / wavelength_angstrom * np.sin(np.radians(two_theta_deg) / 2)
            width = np.hypot(width, q * log_uniform(rng, self.bandwidth, 1)[0])
        return width

    def widest_fwhm(
        self, two_theta_deg: NDArray[np.float64], wavelength_angstrom: float
    ) -> NDArray[np.float64]:
        """Bound the widths that may be drawn.

        Parameters
        ----------
        two_theta_deg, wavelength_angstrom
            As in `drawn_fwhm`.

        Returns
        -------
        Upper bounds, Å⁻¹, shape (n_q,).
        """
        widest = np.zeros(two_theta_deg.shape)
        half = np.radians(two_theta_deg) / 2
        per_deg = np.radians(2 * np.pi / wavelength_angstrom * np.cos(half))
        if self.fwhm_inv_angstrom is not None:
            widest = np.maximum(widest, self.fwhm_inv_angstrom[1])
        if self.fwhm_deg is not None:
            widest = np.maximum(widest, per_deg * self.fwhm_deg[1])
        if self.caglioti_u_deg2 is not None and self.caglioti_w_deg2 is not None:
            u, w = self.caglioti_u_deg2[1], self.caglioti_w_deg2[1]
            widest = np.maximum(widest, per_deg * (np.sqrt(u) * np.tan(half) + np.sqrt(w)))
        if self.bandwidth is not None:
            q = 4 * np.pi / wavelength_angstrom * np.sin(half)
            widest = np.hypot(widest, q * self.bandwidth[1])
        return widest

    def _one(
        self,
        kind: str,
        rng: np.random.Generator,
        two_theta_deg: NDArray[np.float64],
        wavelength_angstrom: float,
    ) -> NDArray[np.float64]:
        if kind == "q" and self.fwhm_inv_angstrom is not None:
            return np.full(two_theta_deg.shape, log_uniform(rng, self.fwhm_inv_angstrom, 1)[0])
        half = np.radians(two_theta_deg) / 2
        per_deg = np.radians(2 * np.pi / wavelength_angstrom * np.cos(half))
        if kind == "angle" and self.fwhm_deg is not None:
            return np.asarray(per_deg * log_uniform(rng, self.fwhm_deg, 1))
        if self.caglioti_u_deg2 is None or self.caglioti_w_deg2 is None:
            raise AssertionError(f"width {kind!r} was drawn without its ranges")
        u, w = (log_uniform(rng, limits, 1) for limits in (self.caglioti_u_deg2, self.caglioti_w_deg2))
        v = 2 * np.sqrt(u * w) * rng.uniform(*self.caglioti_v_ratio)
        tangent = np.tan(half)
        return np.asarray(per_deg * np.sqrt(u * tangent**2 + v * tangent + w))


def blur_reach_bins(sd_inv_angstrom: float, step_inv_angstrom: float, longest_angstrom: float) -> int:
    """How many bins past its own a blurred bin takes part of, at most.

    Parameters
    ----------
    sd_inv_angstrom
        Largest standard deviation, Å⁻¹.
    step_inv_angstrom
        Step of the grid, Å⁻¹.
    longest_angstrom
        Longest pair distance in the pattern, Å.

    Returns
    -------
    Number of bins.
    """
    stride = _strides(np.array([sd_inv_angstrom]), step_inv_angstrom, longest_angstrom)
    return int(np.ceil(TAILS * sd_inv_angstrom / step_inv_angstrom)) + int(stride[0])


def blur_matrix(
    sd_inv_angstrom: NDArray[np.float64],
    step_inv_angstrom: float,
    longest_angstrom: float,
    n_before: int,
    n_after: int,
) -> scipy.sparse.csr_array:
    """Gaussian blur of a pattern on an even grid, its width varying with Q.

    The pattern of a dot holds no frequency above its longest distance. A Gaussian much wider than the step is
    therefore sampled in strides of several bins, as wide as that distance allows: few weights for each bin.

    Parameters
    ----------
    sd_inv_angstrom
        Standard deviation at each bin, Å⁻¹, shape (n,); 0 for none.
    step_inv_angstrom
        Step of the grid, Å⁻¹.
    longest_angstrom
        Longest pair distance in the pattern, Å.
    n_before, n_after
        Bins of the sharp pattern before the first and after the last of these (`blur_reach_bins`); where
        there are fewer, the outermost stand in for those beyond.

    Returns
    -------
    Matrix from n_before + n + n_after bins to n bins, in single precision; each row sums to 1.
    """
    n = sd_inv_angstrom.size
    stride = _strides(sd_inv_angstrom, step_inv_angstrom, longest_angstrom)
    width = sd_inv_angstrom / (stride * step_inv_angstrom)
    half = _half_points(width)
    offsets = np.arange(-half, half + 1, dtype=np.int32)
    variance = width**2
    exponent = (-0.5 / np.maximum(variance, NARROW)).astype(np.float32)[:, None]
    weights = np.exp(exponent * (offsets * offsets).astype(np.float32))
    weights /= weights.sum(axis=1, keepdims=True)
    narrow = variance < NARROW
    if narrow.any():
        s = variance[narrow]
        outer = (3 * s**2 - s) / 24
        inner = s / 2 - 4 * outer
        few = np.zeros((s.size, offsets.size))
        for distance, weight in ((0, 1 - 2 * (inner + outer)), (1, inner), (2, outer)):
            few[:, np.abs(offsets) == distance] = weight[:, None]
        weights[narrow] = few
    columns = offsets * stride.astype(np.int32)[:, None]
    columns += np.arange(n_before, n_before + n, dtype=np.int32)[:, None]
    reach = half * int(stride.max())
    np.clip(columns[:reach], 0, None, out=columns[:reach])
    np.clip(columns[-reach:], None, n_before + n + n_after - 1, out=columns[-reach:])
    starts = np.arange(0, columns.size + 1, offsets.size, dtype=np.int32)
    return scipy.sparse.csr_array(
        (weights.ravel(), columns.ravel(), starts),
        shape=(n, n_before + n + n_after),
    )


def _strides(
    sd_inv_angstrom: NDArray[np.float64], step_inv_angstrom: float, longest_angstrom: float
) -> NDArray[np.intp]:
    """Bins from one sample of the Gaussian to the next: aliases of the longest distance stay out of reach."""
    with np.errstate(divide="ignore"):
        widest = 2 * np.pi / (ALIASES / sd_inv_angstrom + longest_angstrom)
    return np.maximum((widest / step_inv_angstrom).astype(np.intp), 1)


def _half_points(width: NDArray[np.float64]) -> int:
    """Samples on either side of the middle, at least the two that narrow Gaussians take."""
    return max(int(np.ceil(TAILS * width.max(initial=0.0))), 2)

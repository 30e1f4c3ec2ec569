"""Gaussian blur of a pattern on an even grid, as an instrument causes it."""

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import scipy.sparse

__all__ = ["FWHM_PER_SD", "blur_matrix", "blur_reach_bins"]

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


def blur_reach_bins(sd_inv_angstrom: float, step_inv_angstrom: float, max_distance_angstrom: float) -> int:
    """How many bins past its own a blurred bin takes part of, at most.

    Parameters
    ----------
    sd_inv_angstrom
        Largest standard deviation, Å⁻¹.
    step_inv_angstrom
        Step of the grid, Å⁻¹.
    max_distance_angstrom
        Longest pair distance in the pattern, Å.

    Returns
    -------
    Number of bins.
    """
    stride = _strides(np.array([sd_inv_angstrom]), step_inv_angstrom, max_distance_angstrom)
    return int(np.ceil(TAILS * sd_inv_angstrom / step_inv_angstrom)) + int(stride[0])


def blur_matrix(
    sd_inv_angstrom: NDArray[np.float64],
    step_inv_angstrom: float,
    max_distance_angstrom: float,
    n_before: int,
    n_after: int,
) -> "scipy.sparse.csr_array":
    """Gaussian blur of a pattern on an even grid, its width varying with Q.

    The pattern of a dot holds no frequency above its longest distance. A Gaussian much wider than the step is
    therefore sampled in strides of several bins, as wide as that distance allows: few weights for each bin.

    Parameters
    ----------
    sd_inv_angstrom
        Standard deviation at each bin, Å⁻¹, shape (n,); 0 for none.
    step_inv_angstrom
        Step of the grid, Å⁻¹.
    max_distance_angstrom
        Longest pair distance in the pattern, Å.
    n_before, n_after
        Bins of the sharp pattern before the first and after the last of these (`blur_reach_bins`); where
        there are fewer, the outermost stand in for those beyond.

    Returns
    -------
    Matrix from n_before + n + n_after bins to n bins, in single precision; each row sums to 1.
    """
    import scipy.sparse

    n = sd_inv_angstrom.size
    stride = _strides(sd_inv_angstrom, step_inv_angstrom, max_distance_angstrom)
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
    sd_inv_angstrom: NDArray[np.float64], step_inv_angstrom: float, max_distance_angstrom: float
) -> NDArray[np.intp]:
    """Bins from one sample of the Gaussian to the next: aliases of the longest distance stay out of reach."""
    with np.errstate(divide="ignore"):
        widest = 2 * np.pi / (ALIASES / sd_inv_angstrom + max_distance_angstrom)
    return np.maximum((widest / step_inv_angstrom).astype(np.intp), 1)


def _half_points(width: NDArray[np.float64]) -> int:
    """Samples on either side of the middle, at least the two that narrow Gaussians take."""
    return max(int(np.ceil(TAILS * width.max(initial=0.0))), 2)

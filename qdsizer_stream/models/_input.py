"""The vector that a size network takes."""

import numpy as np
from numpy.typing import NDArray

from ..patterns import BinGrid, Pattern

__all__ = ["N_CHANNELS", "WIDTH_LIMITS_INV_ANGSTROM", "binned_vector", "binned_vectors", "width_channel"]

N_CHANNELS = 3
"""Log intensity, log relative noise, coverage; the width of the instrument may be one more."""

WIDTH_LIMITS_INV_ANGSTROM = (0.002, 0.2)
"""Widths of the instrument (FWHM) that the network distinguishes: narrower ones move no size below 11 nm,
wider ones hide every dot."""

INTENSITY_FLOOR = 0.02
"""Smallest intensity over the mean that the logarithm resolves: no pattern of a dot falls so low, and noise
around zero must not become large."""

NOISE_FLOOR = 1e-4
"""Smallest relative noise that the network receives."""

BRIDGED = 0.5
"""Coverage of a bin without data between bins with data."""


def binned_vectors(
    intensity: NDArray[np.floating],
    sigma: NDArray[np.floating],
    mask: NDArray[np.bool_],
    offset: NDArray[np.floating] | None = None,
    resolution_inv_angstrom: NDArray[np.floating] | None = None,
) -> NDArray[np.float32]:
    """Turn binned patterns into network inputs.

    The logarithm of the intensity is read off, at the centre of each bin, from straight lines between the
    points that the bins hold: a scan in coarse steps then looks like the pattern it samples, a gap has no
    edges, and the position of a point within its bin does not matter.

    Parameters
    ----------
    intensity, sigma
        Mean intensity of each bin and its standard deviation, shape (n, n_bins); masked bins may hold
        anything.
    mask
        True for bins without a usable point, shape (n, n_bins).
    offset
        Mean momentum transfer of the points in each bin less its centre, in bins, shape (n, n_bins); None
        where they are at the centres.
    resolution_inv_angstrom
        Full width at half maximum of the instrument at each bin, Å⁻¹, shape (n, n_bins), for networks that
        take it; None for the others.

    Returns
    -------
    Network inputs, shape (n, 3, n_bins), or (n, 4, n_bins) with the width of the instrument: log of intensity
    over its mean; log10 of sigma over the mean intensity; 1 where there is data, ½ between data, 0 outside;
    log10 of the width over the geometric mean of `WIDTH_LIMITS_INV_ANGSTROM`. Undefined values are zero.
    """
    n_channels = N_CHANNELS + (resolution_inv_angstrom is not None)
    vectors = np.zeros((mask.shape[0], n_channels, mask.shape[1]), np.float32)
    if resolution_inv_angstrom is not None:
        vectors[:, N_CHANNELS] = width_channel(resolution_inv_angstrom)
    centre = np.arange(mask.shape[1], dtype=np.float64)
    for row, vector in enumerate(vectors):
        inside = slice(int(mask[row].argmin()), mask.shape[1] - int(mask[row, ::-1].argmin()))
        gaps = bool(mask[row, inside].any())
        if gaps and mask[row].all():
            continue
        usable: slice | NDArray[np.intp] = np.flatnonzero(~mask[row]) if gaps else inside
        seen = intensity[row][usable]
        mean = seen.mean()
        scale = 1 / mean if mean > 0 else 1.0
        moved = None if offset is None else offset[row][usable]
        logarithm = np.log(np.maximum(seen * scale, INTENSITY_FLOOR))
        if gaps or (moved is not None and moved.any()):
            position = centre[usable] if moved is None else centre[usable] + moved
            logarithm = np.interp(centre[inside], position, logarithm)
        vector[0, inside] = logarithm
        noise = np.minimum(np.maximum(sigma[row][usable] * scale, NOISE_FLOOR), 10.0)
        vector[1][usable] = np.log10(noise)
        vector[2, inside] = BRIDGED
        vector[2][usable] = 1.0
    return vectors


def width_channel(resolution_inv_angstrom: NDArray[np.floating]) -> NDArray[np.float64]:
    """Compute the channel of a network input that holds the width of the instrument.

    Parameters
    ----------
    resolution_inv_angstrom
        Full width at half maximum, Å⁻¹, any shape.

    Returns
    -------
    Its logarithm as `binned_vectors` describes it, in the same shape.
    """
    low, high = WIDTH_LIMITS_INV_ANGSTROM
    return np.asarray(np.log10(np.clip(resolution_inv_angstrom, low, high) / np.sqrt(low * high)))


def binned_vector(
    binned: Pattern, grid: BinGrid, resolution_inv_angstrom: NDArray[np.floating] | None = None
) -> NDArray[np.float32]:
    """Turn one binned pattern into a network input.

    Parameters
    ----------
    binned
        Pattern on the bins of the model.
    grid
        Those bins.
    resolution_inv_angstrom
        Full width at half maximum of the instrument at each bin, Å⁻¹, shape (n_bins,), for networks that take
        it.

    Returns
    -------
    Network input, shape (3, n_bins) or (4, n_bins).
    """
    offset = (binned.q_inv_angstrom - grid.centres) / grid.q_step_inv_angstrom
    one = binned.intensity[None], binned.sigma[None], binned.mask[None], offset[None]
    width = None if resolution_inv_angstrom is None else resolution_inv_angstrom[None]
    return np.asarray(binned_vectors(*one, width)[0], np.float32)

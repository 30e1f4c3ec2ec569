"""The vector that a size network takes."""

import numpy as np
from numpy.typing import NDArray

from ..patterns import Pattern

__all__ = ["N_CHANNELS", "binned_vector", "binned_vectors"]

N_CHANNELS = 3
"""Log intensity, log relative noise, coverage."""

INTENSITY_FLOOR = 0.02
"""Smallest intensity over the mean that the logarithm tells apart: no pattern of a dot falls so low,
and noise around zero must not become large."""

NOISE_FLOOR = 1e-4
"""Smallest relative noise that the network is shown."""

BRIDGED = 0.5
"""Coverage of a bin without data between bins with data."""


def binned_vectors(
    intensity: NDArray[np.floating], sigma: NDArray[np.floating], mask: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Turn binned patterns into network inputs.

    Bins without data between bins with data get a straight line, in the logarithm: a scan in coarse
    steps then looks like the pattern it samples, and a gap has no edges.

    Parameters
    ----------
    intensity, sigma
        Mean intensity of each bin and its standard deviation, shape (n, n_bins); masked bins may hold
        anything.
    mask
        True for bins without a usable point, shape (n, n_bins).

    Returns
    -------
    Network inputs, shape (n, 3, n_bins): log of intensity over its mean; log10 of sigma over the mean
    intensity; 1 where there is data, ½ between data, 0 outside. What a channel cannot say is zero.
    """
    usable = ~mask
    n_bins = mask.shape[1]
    count = np.maximum(usable.sum(axis=-1, keepdims=True), 1)
    mean = np.where(usable, intensity, 0.0).sum(axis=-1, keepdims=True) / count
    scale = 1 / np.where(mean > 0, mean, 1.0)
    vectors = np.zeros((intensity.shape[0], N_CHANNELS, n_bins), np.float32)
    logarithm = np.log(np.maximum(np.where(usable, intensity * scale, 1.0), INTENSITY_FLOOR))
    noise = np.log10(np.maximum(np.where(usable, sigma * scale, 1.0), NOISE_FLOOR))
    position = np.arange(n_bins)
    before = np.maximum.accumulate(np.where(usable, position, -1), axis=1)
    after = np.minimum.accumulate(np.where(usable, position, n_bins)[:, ::-1], axis=1)[:, ::-1]
    row, column = np.nonzero(mask & (before >= 0) & (after < n_bins))
    left, right = before[row, column], after[row, column]
    share = (column - left) / (right - left)
    logarithm[row, column] = (1 - share) * logarithm[row, left] + share * logarithm[row, right]
    vectors[:, 0] = logarithm  # zero outside: the logarithm of the mean
    vectors[:, 1] = np.minimum(noise, 1.0)
    vectors[:, 2] = usable
    vectors[row, 2, column] = BRIDGED
    return vectors


def binned_vector(binned: Pattern) -> NDArray[np.float32]:
    """Turn one binned pattern into a network input.

    Parameters
    ----------
    binned
        Pattern on the bins of the model.

    Returns
    -------
    Network input, shape (3, n_bins).
    """
    return np.asarray(
        binned_vectors(binned.intensity[None], binned.sigma[None], binned.mask[None])[0], np.float32
    )

"""Degradation of training patterns: shorter Q range, coarser steps, standardized again."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.interpolate import make_interp_spline

from ..configuration import Config

__all__ = ["Degradation", "Padding", "degrade", "degrade_randomly"]

Padding = Literal["mean", "zero"]
"""Values beyond the ends of a short pattern: the mean of its last (first) five points, or zero."""

EDGE_POINTS = 5
"""Number of points in that mean (paper, Methods)."""

GROUP_SIZE = 16
"""Number of patterns of a batch that are degraded in the same way, with one spline for all of them."""


class Degradation(Config):
    """Random degradation of training patterns, drawn again each time they are used."""

    share: float = Field(gt=0, le=1)
    """Fraction of the patterns that are degraded; each kind of loss applies to half of them."""
    q_low_inv_angstrom: tuple[float, float]
    """Range of the first point kept, Å⁻¹; drawn uniformly."""
    q_high_inv_angstrom: tuple[float, float]
    """Range of the last point kept, Å⁻¹; drawn log-uniformly because 0.5 Å⁻¹ matters near 3, not near 14."""
    coarsest: int = Field(ge=1, le=50)
    """Every n-th point is kept, with n log-uniform from 1 to this value."""
    padding: Padding
    """Values in place of the removed points beyond the ends."""


def degrade(
    vectors: NDArray[np.float32],
    first: int,
    last: int,
    every: int,
    padding: Padding = "mean",
) -> NDArray[np.float32]:
    """Cut standardized patterns, keep every n-th of their points, and standardize the result.

    Parameters
    ----------
    vectors
        Patterns on the grid of the model, shape (n, n_points).
    first, last
        Indices of the first and last point of the range to keep.
    every
        Step between the points to keep.
    padding
        Values beyond the ends of the range.

    Returns
    -------
    Patterns on the same grid with mean 1, interpolated and padded as by `paper_vector`, shape (n, n_points).
    """
    kept = np.arange(first, last + 1, every)
    values = vectors[:, kept]
    indices = np.arange(vectors.shape[1])
    inside = (indices >= kept[0]) & (indices <= kept[-1])
    degraded = np.empty_like(vectors)
    degraded[:, inside] = (
        values if every == 1 else make_interp_spline(kept, values, k=3, axis=1)(indices[inside])
    )
    before, after = (
        (values[:, :EDGE_POINTS].mean(axis=1), values[:, -EDGE_POINTS:].mean(axis=1))
        if padding == "mean"
        else (np.zeros(len(vectors)), np.zeros(len(vectors)))
    )
    degraded[:, indices < kept[0]] = before[:, None]
    degraded[:, indices > kept[-1]] = after[:, None]
    return np.asarray(degraded / degraded.mean(axis=1, keepdims=True), np.float32)


def degrade_randomly(
    vectors: NDArray[np.float32],
    q_inv_angstrom: NDArray[np.float64],
    degradation: Degradation,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Degrade a random fraction of the patterns of a batch.

    Parameters
    ----------
    vectors
        Standardized patterns, shape (n, n_points).
    q_inv_angstrom
        Grid of the patterns, Å⁻¹, shape (n_points,).
    degradation
        Fraction and amounts.
    rng
        Random generator.

    Returns
    -------
    The patterns, some of them degraded, shape (n, n_points).
    """
    degraded = vectors.copy()
    for start in range(0, len(vectors), GROUP_SIZE):
        if rng.random() >= degradation.share:
            continue
        cut_low, cut_high, coarse = rng.random(3) < 0.5
        first, last, every = 0, q_inv_angstrom.size - 1, 1
        if cut_low:
            first = int(np.searchsorted(q_inv_angstrom, rng.uniform(*degradation.q_low_inv_angstrom)))
        if cut_high:
            high = np.exp(rng.uniform(*np.log(degradation.q_high_inv_angstrom)))
            last = int(np.searchsorted(q_inv_angstrom, high, side="right")) - 1
        if coarse:
            every = int(np.exp(rng.uniform(0, np.log(degradation.coarsest + 1))))
        rows = slice(start, start + GROUP_SIZE)
        degraded[rows] = degrade(vectors[rows], first, last, every, degradation.padding)
    return degraded

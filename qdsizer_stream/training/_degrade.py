"""Patterns of a shorter range or of coarser steps, standardized again."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.interpolate import make_interp_spline

from ..configuration import Config

__all__ = ["Degradation", "Padding", "degrade", "degrade_some"]

Padding = Literal["mean", "zero"]
"""What stands beyond the ends of a short pattern: the mean of its last (first) five points, or zero."""

EDGE_POINTS = 5
"""Points of that mean (paper, Methods)."""

TOGETHER = 16
"""Patterns of a batch that lose the same: one spline for all of them."""


class Degradation(Config):
    """What is taken away from training patterns, anew each time they are seen."""

    share: float = Field(gt=0, le=1)
    """Share of the patterns that lose something; each loss befalls half of them."""
    q_low_inv_angstrom: tuple[float, float]
    """First point left, uniform, Å⁻¹."""
    q_high_inv_angstrom: tuple[float, float]
    """Last point left, log-uniform, Å⁻¹: half an Å⁻¹ decides near 3, and nothing near 14."""
    coarsest: int = Field(ge=1, le=50)
    """Every n-th point is left, n log-uniform from 1 to this."""
    padding: Padding
    """What stands in place of what is cut."""


def degrade(
    vectors: NDArray[np.float32],
    first: int,
    last: int,
    every: int,
    padding: Padding = "mean",
) -> NDArray[np.float32]:
    """Cut standardized patterns, keep every n-th of their points, and standardize what is left.

    Parameters
    ----------
    vectors
        Patterns on the grid of the model, shape (n, n_points).
    first, last
        First and last point of the range that is left.
    every
        Step of the points that are left.
    padding
        What stands beyond.

    Returns
    -------
    Patterns on the same grid with mean 1, splined and padded as `paper_vector` does.
    """
    kept = np.arange(first, last + 1, every)
    left = vectors[:, kept]
    numbers = np.arange(vectors.shape[1])
    inside = (numbers >= kept[0]) & (numbers <= kept[-1])
    made = np.empty_like(vectors)
    made[:, inside] = left if every == 1 else make_interp_spline(kept, left, k=3, axis=1)(numbers[inside])
    before, after = (
        (left[:, :EDGE_POINTS].mean(axis=1), left[:, -EDGE_POINTS:].mean(axis=1))
        if padding == "mean"
        else (np.zeros(len(vectors)), np.zeros(len(vectors)))
    )
    made[:, numbers < kept[0]] = before[:, None]
    made[:, numbers > kept[-1]] = after[:, None]
    return np.asarray(made / made.mean(axis=1, keepdims=True), np.float32)


def degrade_some(
    vectors: NDArray[np.float32],
    q_inv_angstrom: NDArray[np.float64],
    degradation: Degradation,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Take something from some patterns of a batch.

    Parameters
    ----------
    vectors
        Standardized patterns, shape (n, n_points).
    q_inv_angstrom
        Their grid, Å⁻¹, shape (n_points,).
    degradation
        How much.
    rng
        Source of randomness.

    Returns
    -------
    The patterns, some of them degraded.
    """
    made = vectors.copy()
    for start in range(0, len(vectors), TOGETHER):
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
        rows = slice(start, start + TOGETHER)
        made[rows] = degrade(vectors[rows], first, last, every, degradation.padding)
    return made

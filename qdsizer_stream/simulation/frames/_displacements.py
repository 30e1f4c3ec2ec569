"""Random thermal motion: B of each element in each frame, and the correlated part A of each structure."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ._draws import PositiveRange, Range, log_uniform

__all__ = ["amplitude_angstrom2", "displacements_angstrom2"]


def amplitude_angstrom2(
    rng: np.random.Generator,
    b_angstrom2: PositiveRange,
    b_ratio: PositiveRange,
    correlated: Range,
    n_elements: int,
) -> float:
    """Draw the amplitude A of the correlated motion of a structure.

    Parameters
    ----------
    rng
        Source of randomness.
    b_angstrom2, b_ratio
        Ranges of the displacement parameters, as in `StreamRecipe`.
    correlated
        Range of A over the smallest B, uniform.
    n_elements
        Number of elements.

    Returns
    -------
    A, Å²: distributed as the frames' smallest B times the factor.
    """
    ratios = [1.0, *(float(log_uniform(rng, b_ratio, 1)[0]) for _ in range(n_elements - 1))]
    smallest = float(log_uniform(rng, b_angstrom2, 1)[0]) * min(ratios)
    return smallest * rng.uniform(*correlated)


def displacements_angstrom2(
    rng: np.random.Generator,
    b_angstrom2: PositiveRange,
    b_ratio: PositiveRange,
    correlated: Range,
    amplitude: float,
    elements: Sequence[str],
    n: int,
) -> dict[str, NDArray[np.float64]]:
    """Draw B for frames of a structure whose correlated motion has an amplitude already.

    Parameters
    ----------
    rng
        Source of randomness.
    b_angstrom2, b_ratio, correlated
        As in `amplitude_angstrom2`.
    amplitude
        A of the structure, Å².
    elements
        Elements of the crystal.
    n
        Number of frames.

    Returns
    -------
    B of each element, Å², shape (n,): A over the smallest is uniform within its range, as far as the smallest
    then stays within that of the recipe.
    """
    ratios = {e: log_uniform(rng, b_ratio, n) if k else np.ones(n) for k, e in enumerate(elements)}
    least = np.min(list(ratios.values()), axis=0)
    lowest = np.maximum(correlated[0], amplitude / (b_angstrom2[1] * min(1.0, b_ratio[1])))
    highest = np.minimum(correlated[1], amplitude / (b_angstrom2[0] * min(1.0, b_ratio[0])))
    smallest = amplitude / rng.uniform(min(lowest, highest), highest, n)
    return {e: smallest * ratio / least for e, ratio in ratios.items()}

"""Random numbers within limits."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["Range", "log_uniform"]

Range = tuple[float, float]
"""Lower and upper limit."""


def log_uniform(rng: np.random.Generator, limits: Range, n: int) -> NDArray[np.float64]:
    """Draw numbers whose logarithm is uniform, shape (n,)."""
    low, high = limits
    return np.asarray(np.exp(rng.uniform(np.log(low), np.log(high), n)))

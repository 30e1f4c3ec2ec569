"""Random numbers within limits."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator

__all__ = ["PositiveRange", "Range", "log_uniform"]


def _ascending(limits: tuple[float, float]) -> tuple[float, float]:
    low, high = limits
    if not low <= high:
        raise ValueError(f"{low} to {high}: give the lower limit first")
    return limits


def _positive(limits: tuple[float, float]) -> tuple[float, float]:
    if not limits[0] > 0:
        raise ValueError(f"{limits[0]} to {limits[1]}: the logarithm is drawn, give limits > 0")
    return limits


Range = Annotated[tuple[float, float], AfterValidator(_ascending)]
"""Lower and upper limit."""

PositiveRange = Annotated[Range, AfterValidator(_positive)]
"""Limits of a number that is drawn by its logarithm."""


def log_uniform(rng: np.random.Generator, limits: tuple[float, float], n: int) -> NDArray[np.float64]:
    """Draw numbers whose logarithm is uniform, shape (n,)."""
    low, high = limits
    return np.asarray(np.exp(rng.uniform(np.log(low), np.log(high), n)))

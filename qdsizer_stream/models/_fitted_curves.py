"""Curves of a fit, computed when they are first asked for."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["FittedCurves", "FittedParts"]


class FittedParts(NamedTuple):
    """Parts of the fitted intensity on the bins of the frame, NaN where it is masked."""

    dots: NDArray[np.float64]
    """Fitted dots, shape (n_bins,)."""
    solvent: NDArray[np.float64]
    """Fitted solvents, shape (n_bins,)."""
    background: NDArray[np.float64]
    """Fitted smooth background, shape (n_bins,)."""


class FittedCurves:
    """Parts of the fitted intensity of one frame, of which most are never looked at.

    Parameters
    ----------
    compute
        Computes them; called once, when they are first asked for or are to be pickled.
    """

    def __init__(self, compute: Callable[[], FittedParts]) -> None:
        self._compute = compute

    @cached_property
    def parts(self) -> FittedParts:
        """The parts."""
        return self._compute()

    def __getstate__(self) -> dict[str, Any]:
        return {"parts": self.parts}  # without the function, which holds much more

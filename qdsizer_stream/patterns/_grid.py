"""Count-preserving standard form: whole points averaged into equal Q bins."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..configuration import Config
from ._pattern import Pattern

__all__ = ["BinGrid", "bin_pattern"]


class BinGrid(Config):
    """Equal bins in Q."""

    q_first_inv_angstrom: float = Field(gt=0, lt=30)
    """Centre of the first bin, Å⁻¹."""
    q_step_inv_angstrom: float = Field(gt=0, lt=1)
    """Width of a bin, Å⁻¹."""
    n_bins: int = Field(ge=2, le=100_000)
    """Number of bins."""

    @property
    def centres(self) -> NDArray[np.float64]:
        """Bin centres, Å⁻¹, shape (n_bins,)."""
        return self.q_first_inv_angstrom + self.q_step_inv_angstrom * np.arange(self.n_bins, dtype=np.float64)

    @property
    def edges(self) -> NDArray[np.float64]:
        """Bin edges, Å⁻¹, shape (n_bins + 1,)."""
        return self.q_first_inv_angstrom + self.q_step_inv_angstrom * (
            np.arange(self.n_bins + 1, dtype=np.float64) - 0.5
        )


def bin_pattern(pattern: Pattern, grid: BinGrid) -> Pattern:
    """Average the points of a pattern into bins.

    A point goes whole into the bin that holds its Q, so no photon is thrown away, none is counted
    twice and neighbouring bins stay uncorrelated. Points are pooled with equal weight: weights taken
    from the counts themselves would bias low counts downwards (Mighell, Astrophys. J. 518, 380, 1999).

    Parameters
    ----------
    pattern
        Pattern with any spacing.
    grid
        Bins.

    Returns
    -------
    Pattern on the bin centres: mean intensity and its sigma, masked where no usable point fell.
    """
    first, *_ = edges = np.searchsorted(pattern.q_inv_angstrom, grid.edges)
    last = edges[-1]
    n_bins = grid.n_bins
    inside = slice(int(first), int(last))
    starts = edges[:-1] - first
    filled = starts < edges[1:] - first
    count = np.zeros(n_bins)
    total = np.zeros(n_bins)
    variance = np.zeros(n_bins)
    if np.any(filled):
        usable = ~pattern.mask[inside]
        # Empty bins are left out: reduceat would give them the next bin's first point.
        at = starts[filled]
        count[filled] = np.add.reduceat(usable.astype(np.float64), at)
        total[filled] = np.add.reduceat(np.where(usable, pattern.intensity[inside], 0.0), at)
        variance[filled] = np.add.reduceat(np.where(usable, pattern.sigma[inside] ** 2, 0.0), at)
    with np.errstate(divide="ignore", invalid="ignore"):
        return Pattern(grid.centres, total / count, np.sqrt(variance) / count, count == 0)

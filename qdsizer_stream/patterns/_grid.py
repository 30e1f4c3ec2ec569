"""Averaging of points in equal Q bins."""

from functools import lru_cache

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
        """Bin centres, Å⁻¹, shape (n_bins,); not to be changed."""
        return _places(self.q_first_inv_angstrom, self.q_step_inv_angstrom, self.n_bins, 0.0)

    @property
    def edges(self) -> NDArray[np.float64]:
        """Bin edges, Å⁻¹, shape (n_bins + 1,); not to be changed."""
        return _places(self.q_first_inv_angstrom, self.q_step_inv_angstrom, self.n_bins + 1, -0.5)


@lru_cache(maxsize=16)
def _places(first: float, step: float, n: int, offset: float) -> NDArray[np.float64]:
    """Equidistant places; kept, since each frame of a run asks for the same ones several times."""
    places = first + step * (np.arange(n, dtype=np.float64) + offset)
    places.flags.writeable = False
    return places


def bin_pattern(pattern: Pattern, grid: BinGrid) -> Pattern:
    """Average the points of a pattern into bins.

    Each point belongs entirely to the bin that contains its Q, so no photon is lost or counted twice and
    neighbouring bins stay uncorrelated. Points have equal weights, because weights from the counts themselves
    would bias low counts downwards (Mighell, Astrophys. J. 518, 380, 1999).

    Parameters
    ----------
    pattern
        Pattern with any spacing.
    grid
        Bins.

    Returns
    -------
    Mean Q, mean intensity and its sigma of the points in each bin; bins without a usable point are masked, at
    the Q of their centre.
    """
    n_bins, centres = grid.n_bins, grid.centres
    if np.array_equal(pattern.q_inv_angstrom, centres):
        return pattern  # reduced frames have these bins already
    position = (pattern.q_inv_angstrom - grid.edges[0]) / grid.q_step_inv_angstrom
    # Q ascends, so the points in the bins are neighbours.
    inside = slice(*np.searchsorted(position, (0.0, n_bins)))
    parts = position[inside], pattern.q_inv_angstrom[inside], pattern.intensity[inside], pattern.sigma[inside]
    masked = pattern.mask[inside]
    if masked.any():
        usable = ~masked
        position, q, intensity, sigma = (part[usable] for part in parts)
    else:
        position, q, intensity, sigma = parts
    bin_index = position.astype(np.intp)
    count = np.bincount(bin_index, minlength=n_bins)
    total_q = np.bincount(bin_index, q, n_bins)
    total = np.bincount(bin_index, intensity, n_bins)
    variance = np.bincount(bin_index, sigma**2, n_bins)
    with np.errstate(divide="ignore", invalid="ignore"):
        empty = count == 0
        mean_q = np.where(empty, centres, total_q / count)
        return Pattern(mean_q, total / count, np.sqrt(variance) / count, empty)

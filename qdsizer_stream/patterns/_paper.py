"""Standardization of Allara, Bertolotti and Guagliardi: 5004 points of equal area."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..configuration import Config
from ..errors import PatternError
from ._pattern import Pattern

__all__ = ["PAPER_GRID", "PaperGrid", "paper_vector"]

EDGE_POINTS = 5
"""A pattern that ends early is padded with the mean of its last (first) five points (paper, Methods)."""

GAP_STEPS = 5.0
"""A distance of more than this many median steps is a gap, bridged by a line: a cubic through the noise at
its two ends would overshoot."""

MIN_POINTS = 2 * EDGE_POINTS
"""The padding of the paper averages five points at either end."""


class PaperGrid(Config):
    """Equispaced points in Q."""

    q_first_inv_angstrom: float = Field(gt=0, lt=30)
    """First point, Å⁻¹."""
    q_step_inv_angstrom: float = Field(gt=0, lt=1)
    """Distance between two points, Å⁻¹."""
    n_points: int = Field(ge=4, le=100_000)
    """Number of points."""

    @property
    def q_inv_angstrom(self) -> NDArray[np.float64]:
        """The points, Å⁻¹, shape (n_points,)."""
        return self.q_first_inv_angstrom + self.q_step_inv_angstrom * np.arange(
            self.n_points, dtype=np.float64
        )


PAPER_GRID = PaperGrid(q_first_inv_angstrom=0.99, q_step_inv_angstrom=0.0028, n_points=5004)
"""The grid of the published networks: 0.99 to 14.9984 Å⁻¹."""


def paper_vector(pattern: Pattern, grid: PaperGrid = PAPER_GRID) -> NDArray[np.float32]:
    """Standardize a pattern as in the paper: cut, pad, spline, equal area.

    Parameters
    ----------
    pattern
        Pattern with any spacing; masked points are not used.
    grid
        Points of the result.

    Returns
    -------
    Intensities at the grid's points with mean 1 (trapezoidal), shape (n_points,).

    Raises
    ------
    PatternError
        Fewer than ten usable points on the grid's range, or no positive area.
    """
    from scipy.interpolate import make_interp_spline

    q_grid = grid.q_inv_angstrom
    inside = (
        pattern.usable
        & (pattern.q_inv_angstrom >= q_grid[0] - grid.q_step_inv_angstrom)
        & (pattern.q_inv_angstrom <= q_grid[-1] + grid.q_step_inv_angstrom)
    )
    q = pattern.q_inv_angstrom[inside]
    intensity = pattern.intensity[inside]
    if q.size < MIN_POINTS:
        raise PatternError(
            f"{q.size} usable points between {q_grid[0]:.4g} and {q_grid[-1]:.4g} Å⁻¹: "
            f"there must be at least {MIN_POINTS}"
        )
    vector = make_interp_spline(q, intensity, k=3)(q_grid)
    steps = np.diff(q)
    for gap in np.flatnonzero(steps > GAP_STEPS * np.median(steps)):
        bridged = (q_grid > q[gap]) & (q_grid < q[gap + 1])
        vector[bridged] = np.interp(q_grid[bridged], q, intensity)
    vector[q_grid < q[0]] = intensity[:EDGE_POINTS].mean()
    vector[q_grid > q[-1]] = intensity[-EDGE_POINTS:].mean()
    mean = np.trapezoid(vector, q_grid) / (q_grid[-1] - q_grid[0])
    if not mean > 0:
        raise PatternError(
            f"the pattern has a mean intensity of {mean:.3g}: it must be positive to be normalised"
        )
    return np.asarray(vector / mean, np.float32)

"""Structure sums at any isotropic strain, interpolated from one evaluation."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline

from ._debye import structure_sums
from ._pairs import PairTable

__all__ = ["StrainedSums"]

DEGREE = 9
"""Spline degree: a cubic spline would need ten times the points for the same error."""

OVERSAMPLING = 7.5
"""Points per half period of the longest distance: the error is 6e-13 of the number of pairs (4e-11 at 5)."""

MARGIN_POINTS = 12
"""Grid points beyond each end of the range, so that end effects of the spline lie outside it."""


class StrainedSums:
    """Structure sums of strained clusters by band-limited interpolation.

    Isotropic strain ε scales every distance by 1+ε, so S(Q; ε) = S₀(Q(1+ε)). The longest distance limits
    the bandwidth of Q·S₀, so a spline through a fine grid is exact to rounding.

    Parameters
    ----------
    table
        Pair distances of the unstrained clusters.
    q_inv_angstrom
        Momentum transfers of the results, Å⁻¹, ascending, shape (n_q,).
    strain_limits
        Smallest and largest strain to evaluate.
    """

    def __init__(
        self, table: PairTable, q_inv_angstrom: NDArray[np.float64], strain_limits: tuple[float, float]
    ) -> None:
        self._q = q_inv_angstrom
        step = np.pi / table.max_distance_angstrom / OVERSAMPLING
        low = q_inv_angstrom[0] * (1 + min(strain_limits))
        high = q_inv_angstrom[-1] * (1 + max(strain_limits))
        start = max(low - MARGIN_POINTS * step, step / 2)
        grid = start + step * np.arange(int(np.ceil((high - start) / step)) + MARGIN_POINTS)
        self._splines = [
            make_interp_spline(grid, grid[:, None] * sums, k=DEGREE) for sums in structure_sums(table, grid)
        ]

    def __call__(self, strain: float) -> Sequence[NDArray[np.float64]]:
        """Evaluate the sums at one strain.

        Parameters
        ----------
        strain
            Isotropic strain ε, within the limits.

        Returns
        -------
        Sums as from `structure_sums`, each of shape (n_q, n_clusters).
        """
        stretched = self._q * (1 + strain)
        return [spline(stretched) / stretched[:, None] for spline in self._splines]

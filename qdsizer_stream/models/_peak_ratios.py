"""Heights of the dots' peaks: a smooth factor times the texture of one axis, or those of another crystal."""

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._linear_algebra import cholesky_with_ridge, solve_transposed

__all__ = ["PeakRatios", "RatioMisfit"]

TOLERANCE = 0.1
"""Relative standard deviation granted to the height of each peak: flat fields, vacancies, surfaces, and halos
that no curve of a solvent describes."""

SMOOTH_TOLERANCE = 0.2
"""Relative standard deviation of a smooth factor beside displacement parameters: absorption, polarisation."""

SMOOTH_LENGTH_INV_ANGSTROM = 2.5
"""Length over which that factor varies, Å⁻¹."""

B_ANGSTROM2 = np.array([-0.6, 0.4, 1.4, 2.4, 3.9])
"""Displacement parameters that are tried, Å², beyond that of the templates; correlated motion and a
disordered part act like a smaller one."""

MARCH_RATIOS = (0.45, 0.55, 0.67, 0.82, 1.22, 1.5)
"""March parameters of the textures that are tried: those of films of nanocrystals."""

AXES = ((1, 0, 0), (1, 1, 0), (1, 1, 1))
"""Texture axes that are tried, each with its equivalents in a cubic crystal."""

CUBIC = 0.02
"""Largest relative deviation of squared peak positions from those of a cubic lattice."""

MAX_Q_INV_ANGSTROM = 4.4
"""Peaks beyond this are not compared, Å⁻¹: they are weak and wide, and what a template of a solvent leaves at
5 to 6 Å⁻¹ is easily mistaken for them."""

MIN_NODES = 2
"""Nodes with data below which there is nothing to compare."""

TINY = 1e-12
"""Added to the normalised normal matrix of the peaks."""


class RatioMisfit(NamedTuple):
    """χ² of the heights of the peaks, as standard deviations allow for a tolerance beside the noise."""

    untextured: float
    """With a smooth factor."""
    textured: float
    """With a smooth factor and the texture of one axis; not above the other."""


class PeakRatios:
    """Compares the factors that a fit found at the peaks of the dots with those that the dots can have.

    Parameters
    ----------
    nodes_inv_angstrom
        Peaks with a factor of their own, ascending, Å⁻¹, shape (n_nodes,).
    peaks_inv_angstrom
        All peaks of the dots, Å⁻¹, shape (n_peaks,); those between two nodes belong to the lower one.
    lattice_parameter_angstrom
        Lattice parameter; where the peaks are not those of this cubic lattice, any texture is accepted.
    """

    def __init__(
        self,
        nodes_inv_angstrom: NDArray[np.float64],
        peaks_inv_angstrom: NDArray[np.float64],
        lattice_parameter_angstrom: float,
    ) -> None:
        nodes = nodes_inv_angstrom
        u = nodes**2 / (8 * np.pi**2)
        smooth = np.exp(-np.outer(B_ANGSTROM2, u))
        textures = _textures(nodes, peaks_inv_angstrom, lattice_parameter_angstrom)
        self._knows_textures = textures is not None
        self._n_smooth = B_ANGSTROM2.size
        none = np.ones((1, nodes.size))
        every = (none if textures is None else np.vstack([none, textures]))[:, None] * smooth
        self._candidates = np.ascontiguousarray(every.reshape(-1, nodes.size).T)
        """Factors that the dots can have, shape (n_nodes, n_candidates), those without texture first."""
        typical = np.exp(-u * float(np.median(B_ANGSTROM2)))
        distance = (nodes[:, None] - nodes) / SMOOTH_LENGTH_INV_ANGSTROM
        self._tolerance = np.outer(typical, typical) * (
            TOLERANCE**2 * np.eye(nodes.size) + SMOOTH_TOLERANCE**2 * np.exp(-0.5 * distance**2)
        )
        """Covariance of the factors beside the noise, for a scale of 1, shape (n_nodes, n_nodes)."""
        self._typical = typical
        self._n_compared = int(np.searchsorted(nodes, MAX_Q_INV_ANGSTROM))

    def misfits(self, factors: NDArray[np.float64], precision: NDArray[np.float64]) -> list[RatioMisfit]:
        """Compare factors of frames with those that the dots can have.

        Parameters
        ----------
        factors
            Fitted factor at each node, shape (n_frames, n_nodes).
        precision
            Inverse of their covariance, shape (n_frames, n_nodes, n_nodes); rows of nodes without data
            are zero.

        Returns
        -------
        χ² of the differences for each frame, zero where fewer than two nodes have data.
        """
        n = self._n_compared
        h = precision[:, :n, :n].copy()
        diagonal = h.reshape(len(h), -1)[:, :: n + 1]
        found, typical = np.ascontiguousarray(factors[:, :n]), self._typical[:n]
        # In LAPACK's order when transposed, which its solver then overwrites.
        right = np.empty((len(h), self._candidates.shape[1] + 1, n))
        right[:, 1:] = self._candidates[:n].T
        tolerance = self._tolerance[:n, :n]
        seen = diagonal > 0
        definite = np.full(len(h), n >= MIN_NODES)
        if not seen.all():
            # The rows and columns of nodes without data become those of a unit matrix, which changes no χ².
            h[~seen] = 0.0
            h.transpose(0, 2, 1)[~seen] = 0.0
            diagonal[~seen] = 1.0
            found, typical = found * seen, typical * seen
            right[:, 1:] *= seen[:, None]
            tolerance = tolerance * (seen[:, :, None] & seen[:, None])
            definite = np.count_nonzero(seen, axis=1) >= MIN_NODES
        typical = np.broadcast_to(typical, found.shape)
        scaled = (h @ typical[:, :, None])[:, :, 0]
        amount, length = np.vecdot(scaled, found), np.vecdot(scaled, typical)
        scale = np.maximum(np.divide(amount, length, out=np.zeros(amount.size), where=length > 0), 0.0)
        # Noise: the inverse of the precision, normalised, since nodes differ by orders of magnitude.
        norm = np.sqrt(diagonal)
        h /= norm[:, :, None] * norm[:, None]
        tolerance = tolerance * (scale**2)[:, None, None]
        right[:, 0] = found
        for i in definite.nonzero()[0]:
            upper, definite[i] = cholesky_with_ridge(h[i], TINY)
            if not definite[i]:
                continue
            inverse = solve_transposed(upper, np.diag(1 / norm[i]))
            whitener, definite[i] = cholesky_with_ridge(inverse.T @ inverse + tolerance[i], 0.0)
            if definite[i]:
                right[i].T[...] = solve_transposed(whitener, right[i].T, overwrite=True)
        if not definite.all():
            right[~definite] = 0.0
        y, x = right[:, 0], right[:, 1:]
        along = np.maximum((x @ y[:, :, None])[:, :, 0], 0.0) ** 2
        lengths = np.vecdot(x, x)
        chi2 = np.vecdot(y, y)[:, None] - np.divide(
            along, lengths, out=np.zeros_like(along), where=lengths > 0
        )
        untextured = chi2[:, : self._n_smooth].min(axis=1).tolist()
        textured = chi2.min(axis=1).tolist() if self._knows_textures else [0.0] * len(chi2)
        return [RatioMisfit(*both) for both in zip(untextured, textured, strict=True)]


def _textures(
    nodes: NDArray[np.float64], peaks: NDArray[np.float64], lattice_parameter_angstrom: float
) -> NDArray[np.float64] | None:
    """Factors of textures at the nodes, shape (n_textures, n_nodes); None for a crystal that is not cubic."""
    squares = (peaks * lattice_parameter_angstrom / (2 * math.pi)) ** 2
    known = peaks <= nodes[-1]
    if np.any(np.abs(squares[known] - np.rint(squares[known])) > CUBIC * squares[known]):
        return None
    by_peak = np.array(
        [
            [_pole_density(int(square), axis, ratio) for square in np.rint(squares[known])]
            for axis in AXES
            for ratio in MARCH_RATIOS
        ]
    )
    owner = np.searchsorted(nodes, peaks[known] + 1e-9, side="right") - 1
    factors = np.ones((by_peak.shape[0], nodes.size))
    for node in range(nodes.size):
        if np.any(owner == node):
            factors[:, node] = by_peak[:, owner == node].mean(axis=1)
    return factors


def _pole_density(square: int, axis: tuple[int, int, int], ratio: float) -> float:
    """Mean of March's density over the reflections with h² + k² + l² = square (Dollase, 1986)."""
    planes = _planes(square)
    if not len(planes):
        return 1.0
    cosine = planes @ np.array(axis) / math.sqrt(square * sum(i * i for i in axis))
    return float(np.mean((ratio**2 * cosine**2 + (1 - cosine**2) / ratio) ** -1.5))


@cache
def _planes(square: int) -> NDArray[np.int64]:
    """All h, k, l with h² + k² + l² = square, shape (n, 3)."""
    reach = np.arange(-math.isqrt(square), math.isqrt(square) + 1)
    h, k, l = np.meshgrid(reach, reach, reach, indexing="ij")  # noqa: E741  (Miller indices)
    found = h * h + k * k + l * l == square
    return np.stack([h[found], k[found], l[found]], axis=1)

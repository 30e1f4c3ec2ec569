"""Texture: the Debye equation for crystals with preferred orientation, as a Legendre series."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.special
from numpy.typing import NDArray
from pydantic import Field

from ...configuration import Config
from ...errors import PhysicsError
from ..crystal import Cluster, Material, Vector, unit_vector
from ._motion import CorrelatedMotion
from ._pairs import PairTable, Vectors, count_pairs

__all__ = ["MarchDollase", "TexturedPairs", "textured_pairs", "textured_sums"]

QUADRATURE_NODES = 200
"""Gauss-Legendre nodes for the coefficients: enough for order 120 of the sharpest texture allowed; more nodes
only add rounding errors."""

ROUNDING = 3e-14
"""Coefficients smaller than this are rounding errors of the quadrature and set to zero."""

BLOCK_ROWS = 16
"""Momentum transfers per block: the Bessel functions of 16 × 4000 arguments fit in the processor cache."""

MAX_ORDER = 120
"""Maximum Legendre order; Bessel functions of this order are not yet negligible at the Q·d in use."""


class MarchDollase(Config):
    """Fibre texture of March and Dollase (Dollase, J. Appl. Cryst. 19, 267, 1986)."""

    axes: tuple[Vector, ...] = Field(min_length=1)
    """Preferred crystal axes, Cartesian: all equivalent directions, one of each ± pair."""
    ratio: float = Field(ge=0.3, le=3)
    """March parameter r: 1 is no texture; below 1 the preferred axes align with the fibre axis (plates),
    above 1 normal to it (needles)."""

    def density(self, cosine: NDArray[np.float64]) -> NDArray[np.float64]:
        """Orientation density of a preferred axis, relative to no texture.

        Parameters
        ----------
        cosine
            Cosine of the angle between the preferred axis and the fibre axis, any shape.

        Returns
        -------
        (r²x² + (1 - x²)/r)^(-3/2), mean 1 over the sphere, in the shape of `cosine`.
        """
        return np.asarray((self.ratio**2 * cosine**2 + (1 - cosine**2) / self.ratio) ** -1.5)

    def coefficients(self, tolerance: float) -> NDArray[np.float64]:
        """Legendre coefficients of the density, even orders.

        Parameters
        ----------
        tolerance
            Maximum sum of the absolute values of the omitted coefficients.

        Returns
        -------
        c_l = (2l + 1)/2 ∫ P(x) P_l(x) dx for l = 0, 2, …, as many as the tolerance requires.

        Raises
        ------
        PhysicsError
            The texture is too sharp for the tolerance.
        """
        x, weights = np.polynomial.legendre.leggauss(QUADRATURE_NODES)
        orders = np.arange(0, MAX_ORDER + 1, 2)
        legendre = scipy.special.eval_legendre(orders[:, None], x)
        c = (2 * orders + 1) / 2 * (legendre @ (weights * self.density(x)))
        c[np.abs(c) < ROUNDING * (2 * orders + 1)] = 0.0
        omitted = np.append(np.cumsum(np.abs(c[::-1]))[-2::-1], 0.0)
        if np.abs(c[-1]) > tolerance:
            raise PhysicsError(
                f"a March parameter of {self.ratio} needs orders beyond {MAX_ORDER} for a tolerance of "
                f"{tolerance:g}: give a milder texture or a larger tolerance"
            )
        return np.asarray(c[: 1 + int(np.argmax(omitted <= tolerance))])


@dataclass(frozen=True, eq=False)
class TexturedPairs:
    """Pair distances with the mean Legendre polynomials of their directions.

    Parameters
    ----------
    table
        Pair distances, as without texture.
    moments
        Sum over the pairs at each distance of P_l(cosine to the axis), averaged over the axes, for
        l = 2, 4, …: one array of shape (n_orders, n_distances, n_clusters) per group.
    coefficients
        Legendre coefficients of the texture, from l = 0, shape (1 + n_orders,).
    """

    table: PairTable
    moments: tuple[NDArray[np.float64], ...]
    coefficients: NDArray[np.float64]


def textured_pairs(
    material: Material,
    clusters: Sequence[Cluster],
    texture: MarchDollase,
    tolerance: float = 1e-6,
    merged_within_angstrom: float = 0.0,
) -> TexturedPairs:
    """Count the pairs of clusters with their directions.

    Parameters
    ----------
    material
        Crystal of all clusters.
    clusters
        Clusters cut from it.
    texture
        Preferred orientation of the crystals.
    tolerance
        Maximum sum of the absolute values of the omitted Legendre coefficients.
    merged_within_angstrom
        Width w of intervals whose distances are replaced by their mean, Å; 0 merges nothing. A crystal
        strained along an axis has ten times the distances; merging them damps like B = 8π² w²/12.

    Returns
    -------
    The merged distances, with the moments for `textured_sums`.

    Raises
    ------
    PhysicsError
        No cluster is given, a cluster has a different number of sites, or the texture is too sharp for
        the tolerance.
    """
    coefficients = texture.coefficients(tolerance)
    orders = np.arange(2, 2 * coefficients.size, 2)
    axes = [unit_vector(axis) for axis in texture.axes]

    def mean_legendre(vectors: Vectors) -> NDArray[np.float64]:
        length = np.sqrt(sum(v**2 for v in vectors))
        length[length == 0] = 1.0  # an atom with itself is not a pair; any direction works
        mean = np.zeros((orders.size, *length.shape))
        for axis in axes:
            cosine = sum(n * v for n, v in zip(axis, vectors, strict=True)) / length
            for row, order in enumerate(orders):
                mean[row] += scipy.special.eval_legendre(order, cosine) / len(axes)
        return mean

    table, moments = count_pairs(material, clusters, angular=mean_legendre)
    if merged_within_angstrom > 0:
        table, moments = _merged(table, moments, merged_within_angstrom)
    return TexturedPairs(table, moments, coefficients)


def _merged(
    table: PairTable, moments: tuple[NDArray[np.float64], ...], width_angstrom: float
) -> tuple[PairTable, tuple[NDArray[np.float64], ...]]:
    """Replace the distances in each interval by their mean, weighted by the pairs of all clusters."""
    distances, multiplicities, merged_moments = [], [], []
    for d, counts, group_moments in zip(table.distances_angstrom, table.multiplicities, moments, strict=True):
        starts = np.flatnonzero(np.diff(np.floor(d / width_angstrom), prepend=-1.0))
        weight = counts.sum(axis=1)
        distances.append(np.add.reduceat(weight * d, starts) / np.add.reduceat(weight, starts))
        multiplicities.append(np.add.reduceat(counts, starts, axis=0))
        merged_moments.append(np.add.reduceat(group_moments, starts, axis=1))
    merged = replace(table, distances_angstrom=tuple(distances), multiplicities=tuple(multiplicities))
    return merged, tuple(merged_moments)


def textured_sums(
    pairs: TexturedPairs,
    q_inv_angstrom: NDArray[np.float64],
    tilt_deg: float | NDArray[np.float64] = 0.0,
    motion: CorrelatedMotion | None = None,
) -> list[NDArray[np.float64]]:
    """Sum Σ_l (-1)^(l/2) c_l P_l(cos ψ) P_l j_l(Qd) over the pairs of each group.

    The orientation density is expanded in Legendre polynomials, the plane wave in spherical Bessel
    functions (Cervellino & Frison, Acta Cryst. A76, 302, 2020).

    Parameters
    ----------
    pairs
        Result of `textured_pairs`.
    q_inv_angstrom
        Momentum transfers > 0, Å⁻¹, shape (n_q,).
    tilt_deg
        Angle ψ between Q and the fibre axis, degrees, a scalar or one per Q: 0 in symmetric reflection,
        90 - θ in symmetric transmission through a layer.
    motion
        Correlated motion of the atoms; none where left out.

    Returns
    -------
    Sums as from `structure_sums`, for `pattern_sums`: one array of shape (n_q, n_clusters) per group.
    """
    cosine = np.broadcast_to(np.cos(np.radians(tilt_deg)), q_inv_angstrom.shape)
    orders = 2 * np.arange(pairs.coefficients.size)
    factors = [
        (-1) ** (order // 2) * c * scipy.special.eval_legendre(order, cosine)
        for order, c in zip(orders, pairs.coefficients, strict=True)
    ]
    sums = []
    for d, counts, moments in zip(
        pairs.table.distances_angstrom, pairs.table.multiplicities, pairs.moments, strict=True
    ):
        result = np.zeros((q_inv_angstrom.size, counts.shape[1]))
        correlation = None if motion is None else motion.correlation(d)
        for start in range(0, q_inv_angstrom.size, BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            bessel = even_spherical_bessel(q_inv_angstrom[rows, None] * d, int(orders[-1]))
            gain = None
            if motion is not None and correlation is not None and motion.amplitude_angstrom2 > 0:
                gain = motion.gain(q_inv_angstrom[rows, None], correlation)
            for factor, j, weights in zip(factors, bessel, (counts, *moments), strict=True):
                result[rows] += factor[rows, None] * ((j if gain is None else j * gain) @ weights)
        sums.append(result)
    return sums


def even_spherical_bessel(x: NDArray[np.float64], max_order: int) -> Iterator[NDArray[np.float64]]:
    """Spherical Bessel functions j_0, j_2, … up to an even order.

    The recurrence j_(l+1) = (2l + 1)/x j_l - j_(l-1) is stable for x > l; SciPy computes the few smaller x.

    Parameters
    ----------
    x
        Arguments > 0, any shape.
    max_order
        Maximum order, even.

    Yields
    ------
    j_0(x), j_2(x), …, each in the shape of `x`.
    """
    previous, current = np.cos(x) / x, np.sin(x) / x
    for order in range(max_order + 1):
        if order % 2 == 0:
            small = x < order
            values = current.copy()
            values[small] = scipy.special.spherical_jn(order, x[small])
            yield values
        with np.errstate(over="ignore", invalid="ignore"):
            previous, current = current, (2 * order + 1) / x * current - previous

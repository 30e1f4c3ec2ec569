"""Correlated thermal motion: close atoms move together, so their interference is damped less.

Between atoms i and j the damping is T_ij = exp(-(B_i + B_j) u + 2 A c(r) u) with u = (Q/4π)² and
c(r) = Si(k_D r)/(k_D r), the correlation of two atoms at distance r in an elastic solid of Debye's; the same
exp(2 A c u) multiplies every pair at one distance, whatever its elements.
"""

from dataclasses import dataclass
from types import ModuleType

import numpy as np
import scipy.special
from numpy.typing import NDArray

from ..crystal import Material
from ._debye import structure_sums
from ._pairs import PairTable
from ._sines import sine_sums

__all__ = ["CorrelatedMotion", "correlated_sums", "debye_wavenumber"]

NEAR_CORRELATION = 0.125
"""Pairs that are more correlated than this, in PbS those within 9 Å, are summed one by one: they have few
distances, and the interpolation between the others then needs four nodes."""

SELF_DAMPING = 1 / 1.1
"""Smallest B over A that a crystal has: the damping that error bounds may count on."""

MAX_NODES = 40
"""Nodes after which any amplitude below 20 Å² is interpolated to rounding."""


@dataclass(frozen=True)
class CorrelatedMotion:
    """How strongly, and over which distance, the atoms of a crystal move together.

    Parameters
    ----------
    amplitude_angstrom2
        A, Å²: B of the motion that neighbours share, at most that of the stiffer element; 0 for atoms that
        move independently.
    debye_wavenumber_inv_angstrom
        k_D, Å⁻¹ (`debye_wavenumber`).
    """

    amplitude_angstrom2: float
    debye_wavenumber_inv_angstrom: float

    def correlation(self, distances_angstrom: NDArray[np.float64]) -> NDArray[np.float64]:
        """Correlation of the motion of two atoms.

        Parameters
        ----------
        distances_angstrom
            Distances > 0, Å, any shape.

        Returns
        -------
        c(r) = Si(k_D r)/(k_D r), 1 for r → 0, in the same shape.
        """
        x = self.debye_wavenumber_inv_angstrom * distances_angstrom
        return np.asarray(scipy.special.sici(x)[0] / x)

    def gain(
        self, q_inv_angstrom: NDArray[np.float64], correlation: NDArray[np.float64] | float
    ) -> NDArray[np.float64]:
        """Factor by which correlation strengthens the interference of two atoms.

        Parameters
        ----------
        q_inv_angstrom
            Momentum transfers, Å⁻¹.
        correlation
            c(r), broadcast against `q_inv_angstrom`.

        Returns
        -------
        exp(2 A c u), u = (Q/4π)².
        """
        u = (q_inv_angstrom / (4 * np.pi)) ** 2
        return np.asarray(np.exp(2 * self.amplitude_angstrom2 * u * correlation))


def debye_wavenumber(material: Material) -> float:
    """Radius k_D = (6π² n)^(1/3) of the sphere that holds the wave vectors of all vibrations.

    Parameters
    ----------
    material
        Crystal with n atoms per Å³.

    Returns
    -------
    k_D, Å⁻¹; 1.31 for PbS.
    """
    n_atoms = sum(site.occupancy for site in material.sites)
    return float(np.cbrt(6 * np.pi**2 * n_atoms / material.cell_volume_angstrom3))


def correlated_sums(
    table: PairTable,
    q_inv_angstrom: NDArray[np.float64],
    motion: CorrelatedMotion,
    tolerance: float = 1e-6,
    xp: ModuleType = np,
    device: str = "cpu",
) -> list[NDArray[np.float64]]:
    """Sum exp(2 A c(d) u) sin(Qd)/(Qd) over the pairs of each group.

    The nearest pairs are summed one by one. For the others exp(2 A c u) is interpolated in c between
    Chebyshev nodes, exp(2 A c u) ≈ Σ_k exp(2 A c_k u) L_k(c), so that each node costs what `structure_sums`
    costs and the fast sums over sines still apply.

    Parameters
    ----------
    table
        Distances and multiplicities.
    q_inv_angstrom
        Momentum transfers > 0, Å⁻¹, shape (n_q,).
    motion
        The motion; with an amplitude of 0 the result is that of `structure_sums`, to the last bit.
    tolerance
        Largest error of the damping T_ij of any pair.
    xp, device
        As in `structure_sums`.

    Returns
    -------
    Sums for `pattern_sums`, whose B must not be below A/1.1: one array of shape (n_q, n_clusters) for each
    group of pairs.

    Raises
    ------
    PhysicsError
        No momentum transfer, or one that is not a finite number above 0.
    """
    if motion.amplitude_angstrom2 == 0:
        return structure_sums(table, q_inv_angstrom, xp, device)
    sums = []
    for distances, counts in zip(table.distances_angstrom, table.multiplicities, strict=True):
        weights = counts / distances[:, None]
        correlation = motion.correlation(distances)
        near = correlation > NEAR_CORRELATION
        sines = np.sin(np.outer(q_inv_angstrom, distances[near]))
        total = (sines * motion.gain(q_inv_angstrom[:, None], correlation[near])) @ weights[near]
        if not near.all():
            far = correlation[~near]
            nodes = _nodes(motion, float(far.min()), float(far.max()), float(q_inv_angstrom.max()), tolerance)
            for k, node in enumerate(nodes):
                others = np.delete(nodes, k)
                basis = np.prod((far[:, None] - others) / (node - others), axis=1)
                of_node = sine_sums(
                    distances[~near], weights[~near] * basis[:, None], q_inv_angstrom, xp, device
                )
                total += motion.gain(q_inv_angstrom, node)[:, None] * of_node
        sums.append(total / q_inv_angstrom[:, None])
    return sums


def _nodes(
    motion: CorrelatedMotion, low: float, high: float, q_max_inv_angstrom: float, tolerance: float
) -> NDArray[np.float64]:
    """Chebyshev nodes between two correlations, as many as the tolerance needs.

    n nodes leave at most 2 (x (high - low)/4)ⁿ/n! of exp(x c), x = 2 A u, and the damping of the two atoms
    takes exp(-2 B u) off that.
    """
    x = np.linspace(0, 2 * motion.amplitude_angstrom2 * (q_max_inv_angstrom / (4 * np.pi)) ** 2, 200)
    for n in range(1, MAX_NODES):
        error = (
            2 * np.exp(x * (high - SELF_DAMPING)) * (x * (high - low) / 4) ** n / scipy.special.factorial(n)
        )
        if error.max() <= tolerance:
            break
    angles = (np.arange(n) + 0.5) * np.pi / n
    return np.asarray((low + high) / 2 + (high - low) / 2 * np.cos(angles))

"""Debye scattering equation, exact, from counted pairs."""

from collections.abc import Sequence
from types import ModuleType

import numpy as np
import scipy.sparse
import scipy.special
from numpy.typing import NDArray

from ..errors import PhysicsError
from ._material import Material
from ._pairs import PairTable, averaged_sphere_pairs, pair_table

__all__ = ["PairTable", "averaged_sphere_pairs", "pair_table", "pattern_sums", "structure_sums"]

OVERSAMPLING = 2
"""Nodes of the grid of distances for each half period of the fastest sine."""

KERNEL_WIDTH = 16
"""Nodes that a distance is shared out to: aliases are then exp(-16π/√2) = 4e-16 of the sum."""

WORTH_GRIDDING = 2
"""Fewer distances a node than this, or momentum transfers a kernel width, are faster summed as they are."""

ROWS = 512
"""Momentum transfers evaluated at a time: a sine matrix of 512 × 4206 is 17 MB and stays near the cache."""


def structure_sums(
    table: PairTable, q_inv_angstrom: NDArray[np.float64], xp: ModuleType = np, device: str = "cpu"
) -> list[NDArray[np.float64]]:
    """Sum sin(Qd)/(Qd) over the pairs of each group, one matrix product for all clusters.

    Parameters
    ----------
    table
        Distances and multiplicities.
    q_inv_angstrom
        Momentum transfers > 0, Å⁻¹, shape (n_q,).
    xp
        Library that does the work: `numpy`, or `torch` handed in by the caller, which this package
        never imports here.
    device
        Where it does it: "cpu", or with torch also such as "cuda".

    Returns
    -------
    One array of shape (n_q, n_clusters) for each group of pairs.

    Raises
    ------
    PhysicsError
        No momentum transfer, or one that is not a finite number above 0.
    """
    if not q_inv_angstrom.size or not np.all((q_inv_angstrom > 0) & np.isfinite(q_inv_angstrom)):
        raise PhysicsError("momentum transfers have to be finite numbers > 0 Å⁻¹: drop the others")
    q = xp.asarray(q_inv_angstrom, device=device)[:, None]
    spacing = np.pi / OVERSAMPLING / q_inv_angstrom.max()
    sums = []
    for distances, counts in zip(table.distances_angstrom, table.multiplicities, strict=True):
        weights, gain = counts / distances[:, None], np.ones(q_inv_angstrom.size)
        n_nodes = distances.max(initial=0.0) / spacing + KERNEL_WIDTH
        # Crystals of low symmetry have 10⁵ distances where a cubic one has 10³.
        if min(distances.size / n_nodes, q_inv_angstrom.size / KERNEL_WIDTH) > WORTH_GRIDDING:
            distances, weights, gain = _gridded(distances, weights, spacing, q_inv_angstrom)
        d = xp.asarray(distances, device=device)
        w = xp.asarray(weights, device=device)
        result = np.empty((q_inv_angstrom.size, counts.shape[1]))
        for start in range(0, q_inv_angstrom.size, ROWS):
            block = q[start : start + ROWS]
            result[start : start + ROWS] = xp.asarray(xp.sin(block * d) @ w / block, device="cpu")
        sums.append(result / gain[:, None])
    return sums


def _gridded(
    distances: NDArray[np.float64],
    weights: NDArray[np.float64],
    spacing: float,
    q_inv_angstrom: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Share out each distance over the nodes of an even grid near it, with Kaiser-Bessel weights.

    Σ_g φ(d - g) sin(Qg) = φ̂(Q)/h sin(Qd) up to aliases, which lie beyond 3 Q_max and are nil there: the
    non-uniform Fourier transform (Barnett, Magland & af Klinteberg, SIAM J. Sci. Comput. 41, C479, 2019)
    with the sines of the grid summed directly.

    Returns
    -------
    Nodes, Å; weights of the nodes; gain φ̂(Q)/h by which the sums of the nodes are too large.
    """
    half = KERNEL_WIDTH / 2 * spacing
    beta = np.pi * KERNEL_WIDTH * (1 - 0.5 / OVERSAMPLING)
    first = np.ceil((distances - half) / spacing).astype(int)
    nodes = first[:, None] + np.arange(KERNEL_WIDTH)
    inside = np.clip(1 - ((nodes * spacing - distances[:, None]) / half) ** 2, 0.0, 1.0)
    argument = beta * np.sqrt(inside)
    kernel = scipy.special.i0e(argument) * np.exp(argument - beta)
    lowest = int(first.min())
    spread = scipy.sparse.coo_array(
        (kernel.ravel(), (nodes.ravel() - lowest, np.repeat(np.arange(distances.size), KERNEL_WIDTH)))
    )
    root = np.sqrt(beta**2 - (half * q_inv_angstrom) ** 2)
    gain = half / spacing * (np.exp(root - beta) - np.exp(-root - beta)) / root
    grid = (lowest + np.arange(spread.shape[0])) * spacing
    return grid, spread.tocsr() @ weights, gain


def pattern_sums(
    material: Material,
    table: PairTable,
    sums: Sequence[NDArray[np.float64]],
    q_inv_angstrom: NDArray[np.float64],
    form_factors: Sequence[NDArray[np.complex128]],
) -> NDArray[np.float64]:
    """Coherent intensity from structure sums.

    I(Q) = Σ_s |f_s|² N_s + Σ_{s≤t} m Re(f_s f_t*) T_s T_t S_st, m = 2 for s ≠ t, T = exp(-B Q²/16π²);
    the self terms carry no T (an atom interferes with itself wherever it is).

    Parameters
    ----------
    material
        Crystal, for B.
    table
        Pairs, for the self terms.
    sums
        Result of `structure_sums` (or an interpolation of it, for strain).
    q_inv_angstrom
        Momentum transfers, Å⁻¹, shape (n_q,).
    form_factors
        Complex f of each site at these Q, each of shape (n_q,).

    Returns
    -------
    Intensity per cluster, electron units, shape (n_q, n_clusters).
    """
    damping = [np.exp(-site.b_angstrom2 * (q_inv_angstrom / (4 * np.pi)) ** 2) for site in material.sites]
    intensity = np.zeros((q_inv_angstrom.size, table.self_terms.shape[1]))
    for s, f in enumerate(form_factors):
        intensity += np.abs(f)[:, None] ** 2 * table.self_terms[s]
    for (s, t), number in table.group.items():
        factor = np.real(form_factors[s] * np.conj(form_factors[t])) * damping[s] * damping[t]
        intensity += (1 if s == t else 2) * factor[:, None] * sums[number]
    return intensity

"""Sums of sines over many distances, exact to rounding and fast."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import scipy.sparse
import scipy.special
from numpy.typing import NDArray

__all__ = ["sine_sums"]

OVERSAMPLING = 2
"""Nodes of the grid of distances for each half period of the fastest sine."""

KERNEL_WIDTH = 16
"""Nodes that a distance is shared out to: aliases are then exp(-16π/√2) = 4e-16 of the sum."""

WORTH_GRIDDING = 2
"""Fewer distances a node than this, or momentum transfers a kernel width, are faster summed as they are."""

ROWS = 128
"""Momentum transfers a block: for 5004 of them, 128 + 40 sines and cosines stand in for 5004 sines."""


def sine_sums(
    distances: NDArray[np.float64],
    weights: NDArray[np.float64],
    q: NDArray[np.float64],
    xp: ModuleType,
    device: str,
) -> NDArray[np.float64]:
    """Sum w sin(Qd) over distances.

    Parameters
    ----------
    distances
        Distances d, Å, shape (n_distances,).
    weights
        Weights w, shape (n_distances, n_columns).
    q
        Momentum transfers > 0, Å⁻¹, shape (n_q,); evenly spaced ones are faster.
    xp
        Library that does the work: `numpy` or `torch`.
    device
        Where it does it.

    Returns
    -------
    Sums, shape (n_q, n_columns).
    """
    gain = np.ones(q.size)
    spacing = np.pi / OVERSAMPLING / q.max()
    n_nodes = distances.max(initial=0.0) / spacing + KERNEL_WIDTH
    # Crystals of low symmetry have 10⁵ distances where a cubic one has 10³.
    if min(distances.size / n_nodes, q.size / KERNEL_WIDTH) > WORTH_GRIDDING:
        distances, weights, gain = _gridded(distances, weights, spacing, q)
    d = xp.asarray(distances, device=device)
    w = xp.asarray(weights, device=device)
    result = np.empty((q.size, weights.shape[1]))
    blocks = _even_blocks if _evenly_spaced(q) else _blocks
    for rows, block in blocks(d, w, q, xp, device):
        result[rows] = xp.asarray(block, device="cpu")
    return result / gain[:, None]


def _blocks(
    d: Any, w: Any, q: NDArray[np.float64], xp: ModuleType, device: str
) -> Iterator[tuple[slice, Any]]:
    """Sum as it is written."""
    for start in range(0, q.size, ROWS):
        rows = slice(start, start + ROWS)
        yield rows, xp.sin(xp.asarray(q[rows, None], device=device) * d) @ w


def _even_blocks(
    d: Any, w: Any, q: NDArray[np.float64], xp: ModuleType, device: str
) -> Iterator[tuple[slice, Any]]:
    """Sum sin((Q + r)d) = cos(rd) sin(Qd) + sin(rd) cos(Qd), with the same r in every block from Q."""
    offsets = xp.asarray(q[:ROWS, None] - q[0], device=device) * d
    within = xp.concat([xp.cos(offsets), xp.sin(offsets)], axis=1)
    for start in range(0, q.size, ROWS):
        rows = slice(start, start + ROWS)
        phase = (float(q[start]) * d)[:, None]
        turned = xp.concat([xp.sin(phase) * w, xp.cos(phase) * w], axis=0)
        yield rows, within[: q[rows].size] @ turned


def _evenly_spaced(q: NDArray[np.float64]) -> bool:
    """Tell whether all blocks are the first one shifted, to the rounding of Q itself."""
    if q.size <= 2 * ROWS:
        return False
    whole = q[: q.size // ROWS * ROWS].reshape(-1, ROWS)
    last = q[q.size // ROWS * ROWS :]
    off = max(
        np.abs(whole - whole[:, :1] - (q[:ROWS] - q[0])).max(),
        np.abs(last - last[:1] - (q[: last.size] - q[0])).max(initial=0.0),
    )
    return bool(off <= 4 * np.spacing(np.abs(q).max()))


def _gridded(
    distances: NDArray[np.float64], weights: NDArray[np.float64], spacing: float, q: NDArray[np.float64]
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
    root = np.sqrt(beta**2 - (half * q) ** 2)
    gain = half / spacing * (np.exp(root - beta) - np.exp(-root - beta)) / root
    grid = (lowest + np.arange(spread.shape[0])) * spacing
    return grid, spread.tocsr() @ weights, gain

"""Fast sums of sines over many distances, exact to rounding."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import scipy.sparse
import scipy.special
from numpy.typing import NDArray

__all__ = ["sine_sums"]

OVERSAMPLING = 2
"""Nodes of the distance grid per half period of the fastest sine."""

KERNEL_WIDTH = 16
"""Grid nodes over which one distance is distributed: aliases are then exp(-16π/√2) = 4e-16 of the sum."""

MIN_GRIDDING_GAIN = 2
"""Minimum distances per node, and momentum transfers per kernel width, for which gridding is faster than
direct
sums."""

BLOCK_DISTANCES = 1 << 16
"""Distances that are distributed over the grid at once."""

BLOCK_ROWS = 256
"""Momentum transfers per block: for 5004 of them, 128 + 20 sines and cosines replace 5004 sines."""


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
        Momentum transfers > 0, Å⁻¹, shape (n_q,); faster if evenly spaced.
    xp
        Array library that computes the sums: `numpy` or `torch`.
    device
        Device of the computation.

    Returns
    -------
    Sums, shape (n_q, n_columns).
    """
    gain = np.ones(q.size)
    spacing = np.pi / OVERSAMPLING / q.max()
    n_nodes = distances.max(initial=0.0) / spacing + KERNEL_WIDTH
    # Crystals of low symmetry have 10⁵ distances, cubic ones 10³.
    if min(distances.size / n_nodes, q.size / KERNEL_WIDTH) > MIN_GRIDDING_GAIN:
        distances, weights, gain = _gridded(distances, weights, spacing, q)
    d = xp.asarray(distances, device=device)
    w = xp.asarray(weights, device=device)
    result = np.empty((q.size, weights.shape[1]))
    blocks = _shifted_blocks if _evenly_spaced(q) else _direct_blocks
    for rows, block in blocks(d, w, q, xp, device):
        # Through an array: NumPy 2.2 warns where it assigns from a tensor.
        result[rows] = np.asarray(xp.asarray(block, device="cpu"))
    return result / gain[:, None]


def _direct_blocks(
    d: Any, w: Any, q: NDArray[np.float64], xp: ModuleType, device: str
) -> Iterator[tuple[slice, Any]]:
    """Sum directly, block by block of momentum transfers."""
    for start in range(0, q.size, BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        yield rows, xp.sin(xp.asarray(q[rows, None], device=device) * d) @ w


def _shifted_blocks(
    d: Any, w: Any, q: NDArray[np.float64], xp: ModuleType, device: str
) -> Iterator[tuple[slice, Any]]:
    """Sum sin((Q ± r)d) = cos(rd) sin(Qd) ± sin(rd) cos(Qd), Q the middle of a block, r the same in all.

    Both signs together take the two products that one takes.
    """
    step = float(q[-1] - q[0]) / (q.size - 1)
    offsets = xp.asarray(step * (np.arange(BLOCK_ROWS // 2) + 0.5)[:, None], device=device) * d
    cosine, sine = xp.cos(offsets), xp.sin(offsets)
    for start in range(0, q.size, BLOCK_ROWS):
        n_rows = min(BLOCK_ROWS, q.size - start)
        n_lower = (n_rows + 1) // 2
        phase = ((float(q[start]) + (n_lower - 0.5) * step) * d)[:, None]
        even = cosine[:n_lower] @ (xp.sin(phase) * w)
        odd = sine[:n_lower] @ (xp.cos(phase) * w)
        # From the middle outwards; the last block may have one row less above it.
        yield slice(start + n_lower - 1, start - 1 if start else None, -1), even - odd
        yield slice(start + n_lower, start + n_rows), (even + odd)[: n_rows - n_lower]


def _evenly_spaced(q: NDArray[np.float64]) -> bool:
    """Whether Q rises in equal steps, within its rounding, and there are enough for blocks."""
    if q.size <= 2 * BLOCK_ROWS:
        return False
    even = q[0] + (q[-1] - q[0]) / (q.size - 1) * np.arange(q.size)
    return bool(np.abs(q - even).max() <= 4 * np.spacing(np.abs(q).max()))


def _gridded(
    distances: NDArray[np.float64], weights: NDArray[np.float64], spacing: float, q: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Distribute each distance over the nearest nodes of an even grid, with Kaiser-Bessel weights.

    Σ_g φ(d - g) sin(Qg) = φ̂(Q)/h sin(Qd) up to aliases, which lie beyond 3 Q_max, where φ̂ vanishes. This is
    the non-uniform Fourier transform (Barnett, Magland & af Klinteberg, SIAM J. Sci. Comput. 41, C479, 2019)
    with the sines of the grid summed directly.

    Returns
    -------
    Nodes, Å; weights of the nodes; gain φ̂(Q)/h by which the sums over the nodes must be divided.
    """
    half = KERNEL_WIDTH / 2 * spacing
    beta = np.pi * KERNEL_WIDTH * (1 - 0.5 / OVERSAMPLING)
    first = np.ceil((distances - half) / spacing).astype(int)
    first_node = int(first.min())
    n_nodes = int(first.max()) - first_node + KERNEL_WIDTH
    gridded = np.zeros((n_nodes, weights.shape[1]))
    # In blocks: the kernel of all distances takes more memory than everything else.
    for start in range(0, distances.size, BLOCK_DISTANCES):
        block = slice(start, start + BLOCK_DISTANCES)
        nodes = first[block, None] + np.arange(KERNEL_WIDTH)
        inside = np.clip(1 - ((nodes * spacing - distances[block, None]) / half) ** 2, 0.0, 1.0)
        argument = beta * np.sqrt(inside)
        kernel = scipy.special.i0e(argument) * np.exp(argument - beta)
        columns = np.repeat(np.arange(len(nodes)), KERNEL_WIDTH)
        distribution = scipy.sparse.coo_array(
            (kernel.ravel(), (nodes.ravel() - first_node, columns)), shape=(n_nodes, len(nodes))
        )
        gridded += distribution.tocsr() @ weights[block]
    root = np.sqrt(beta**2 - (half * q) ** 2)
    gain = half / spacing * (np.exp(root - beta) - np.exp(-root - beta)) / root
    grid = (first_node + np.arange(n_nodes, dtype=np.float64)) * spacing
    return grid, gridded, gain

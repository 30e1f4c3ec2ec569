"""The Debye scattering equation, exact, from counted pairs."""

from collections.abc import Sequence
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from ...errors import PhysicsError
from ..crystal import Material
from ._pairs import PairTable
from ._sines import sine_sums

__all__ = ["pattern_sums", "structure_sums"]


def structure_sums(
    table: PairTable, q_inv_angstrom: NDArray[np.float64], xp: ModuleType = np, device: str = "cpu"
) -> list[NDArray[np.float64]]:
    """Sum sin(Qd)/(Qd) over the pairs of each group, with one matrix product for all clusters.

    Parameters
    ----------
    table
        Pair distances and multiplicities.
    q_inv_angstrom
        Momentum transfers > 0, Å⁻¹, shape (n_q,).
    xp
        Array library that computes the sums: `numpy`, or `torch`, passed by the caller because this
        package does not import it.
    device
        Device of the computation: "cpu", or with torch for example "cuda".

    Returns
    -------
    One array of shape (n_q, n_clusters) for each group of pairs.

    Raises
    ------
    PhysicsError
        No momentum transfer is given, or one is not a finite number above 0.
    """
    if not q_inv_angstrom.size or not np.all((q_inv_angstrom > 0) & np.isfinite(q_inv_angstrom)):
        raise PhysicsError("momentum transfers must be finite numbers > 0 Å⁻¹: remove the others")
    sums = []
    for distances, counts in zip(table.distances_angstrom, table.multiplicities, strict=True):
        sines = sine_sums(distances, counts / distances[:, None], q_inv_angstrom, xp, device)
        sums.append(sines / q_inv_angstrom[:, None])
    return sums


def pattern_sums(
    material: Material,
    table: PairTable,
    sums: Sequence[NDArray[np.float64]],
    q_inv_angstrom: NDArray[np.float64],
    form_factors: Sequence[NDArray[np.complex128]],
) -> NDArray[np.float64]:
    """Coherent intensity from structure sums.

    `I(Q) = Σ_s |f_s|² N_s + Σ_{s≤t} m Re(f_s f_t*) T_s T_t S_st`, m = 2 for s ≠ t, T = exp(-B Q²/16π²).
    The self terms have no T because the displacement of an atom does not change its own scattering.

    Parameters
    ----------
    material
        Crystal, for its displacement parameters B.
    table
        Pair table, for the self terms and groups.
    sums
        Result of `structure_sums`, or of `StrainedSums` for a strained crystal.
    q_inv_angstrom
        Momentum transfers, Å⁻¹, shape (n_q,).
    form_factors
        Complex form factor of each site at these Q, each of shape (n_q,).

    Returns
    -------
    Intensity per cluster, electron units, shape (n_q, n_clusters).
    """
    damping = [np.exp(-site.b_angstrom2 * (q_inv_angstrom / (4 * np.pi)) ** 2) for site in material.sites]
    intensity = np.zeros((q_inv_angstrom.size, table.self_terms.shape[1]))
    for s, f in enumerate(form_factors):
        intensity += np.abs(f)[:, None] ** 2 * table.self_terms[s]
    for (s, t), group in table.group.items():
        factor = np.real(form_factors[s] * np.conj(form_factors[t])) * damping[s] * damping[t]
        intensity += (1 if s == t else 2) * factor[:, None] * sums[group]
    return intensity

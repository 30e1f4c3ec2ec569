"""Debye scattering equation, exact, for clusters that share a lattice."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from ..errors import PhysicsError
from ._cluster import Cluster
from ._material import Material

__all__ = ["PairTable", "averaged_sphere_pairs", "pair_table", "pattern_sums", "structure_sums"]

SAME_DISTANCE = 1e-9
"""Squared distances closer than this (Å²) are one: rounding is below 1e-11, crystals stay above 1e-6."""

ROWS = 512
"""Momentum transfers evaluated at a time: a sine matrix of 512 × 4206 is 17 MB and stays near the cache."""


@dataclass(frozen=True, eq=False)
class PairTable:
    """Distances of all atom pairs of several clusters, merged.

    Parameters
    ----------
    distances_angstrom
        Distinct distances of each group of pairs, Å: one array a group.
    multiplicities
        Ordered pairs at each distance in each cluster: one array of shape (n_distances, n_clusters)
        a group.
    group
        Which group the site pair (s, t), s ≤ t, is in.
    self_terms
        Atoms of each site in each cluster, shape (n_sites, n_clusters).
    """

    distances_angstrom: tuple[NDArray[np.float64], ...]
    multiplicities: tuple[NDArray[np.float64], ...]
    group: dict[tuple[int, int], int]
    self_terms: NDArray[np.float64]

    @property
    def longest_angstrom(self) -> float:
        """Longest distance, Å: the band limit of Q·S(Q)."""
        return max(float(d.max(initial=0.0)) for d in self.distances_angstrom)


def pair_table(material: Material, clusters: Sequence[Cluster]) -> PairTable:
    """Count the distances of all atom pairs, by fast Fourier transform.

    The pairs of sites s and t at lattice vector L are C_st(L) = Σ_R o_s(R) o_t(R+L), a correlation of
    the occupancies; L = 0 of a site with itself is no pair and is left out (its Σ o² goes, its Σ o is
    the self term).

    Parameters
    ----------
    material
        Crystal of all clusters.
    clusters
        Clusters cut from it.

    Returns
    -------
    The merged distances; like pairs are counted in both orders, unlike pairs once.

    Raises
    ------
    PhysicsError
        No cluster, or a cluster with another number of sites than the crystal.
    """
    n_sites = len(material.sites)
    if not clusters:
        raise PhysicsError("no cluster given: a pair table needs at least one")
    for cluster in clusters:
        if len(cluster.occupancy) != n_sites:
            raise PhysicsError(f"a cluster with {len(cluster.occupancy)} sites is not cut from {material.name} ({n_sites})")
    shape = np.max([cluster.occupancy[0].shape for cluster in clusters], axis=0)
    # Sites whose occupancies are one array in every cluster have the same like pairs: count those once.
    twins = [
        next(t for t in range(s + 1) if all(c.occupancy[t] is c.occupancy[s] for c in clusters))
        for s in range(n_sites)
    ]
    group: dict[tuple[int, int], int] = {}
    pairs: list[tuple[int, int]] = []
    for s, t in combinations_with_replacement(range(n_sites), 2):
        if s == t and twins[s] != s:
            group[s, s] = group[twins[s], twins[s]]
        else:
            group[s, t] = len(pairs)
            pairs.append((s, t))
    indices, distances = zip(*(_merged_distances(material, shape, s, t) for s, t in pairs), strict=True)
    multiplicities = tuple(np.zeros((d.size, len(clusters))) for d in distances)
    for column, cluster in enumerate(clusters):
        transforms: dict[int, NDArray[np.complex128]] = {}
        size = np.array(cluster.occupancy[0].shape)
        padded = [scipy.fft.next_fast_len(int(2 * n - 1), real=True) for n in size]
        whole = all(np.all(np.isin(o, (0.0, 1.0))) for o in cluster.occupancy)

        def transform(
            s: int, cluster: Cluster = cluster, padded: list[int] = padded, seen: dict[int, NDArray[np.complex128]] = transforms
        ) -> NDArray[np.complex128]:
            key = id(cluster.occupancy[s])
            if key not in seen:
                seen[key] = scipy.fft.rfftn(cluster.occupancy[s], padded, workers=-1)
            return seen[key]

        correlations: dict[tuple[int, int], NDArray[np.float64]] = {}
        for number, (s, t) in enumerate(pairs):
            key = (id(cluster.occupancy[s]), id(cluster.occupancy[t]))
            if key not in correlations:
                product = np.conj(transform(s)) * transform(t)
                full = scipy.fft.irfftn(product, padded, workers=-1)
                correlation = full[np.ix_(*[np.arange(-(n - 1), n) for n in size])]
                if whole:  # counts of pairs are integers: rounding makes them exact
                    np.rint(correlation, out=correlation)
                correlations[key] = correlation
            correlation = correlations[key]
            low = shape - size
            window = tuple(slice(int(lo), int(lo + 2 * n - 1)) for lo, n in zip(low, size, strict=True))
            index = indices[number][window]
            counts = np.bincount(index.ravel(), weights=correlation.ravel(), minlength=distances[number].size)
            if s == t:
                counts[0] = 0.0  # index 0 is the shortest distance, that of an atom to itself
            multiplicities[number][:, column] = counts
    self_terms = np.array([cluster.n_atoms for cluster in clusters]).T
    return _without_empty(PairTable(distances, multiplicities, group, self_terms))


def _merged_distances(
    material: Material, shape: NDArray[np.intp], s: int, t: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Index of the distance of each lattice vector, and the distinct distances in ascending order."""
    cell = material.cell_angstrom
    axes = np.ix_(*[np.arange(-(n - 1), n, dtype=np.float64) for n in shape])
    shift = material.positions_angstrom[t] - material.positions_angstrom[s]
    squared = sum((sum(axes[i] * cell[i, k] for i in range(3)) + shift[k]) ** 2 for k in range(3))
    flat = np.asarray(squared).ravel()
    order = np.argsort(flat, kind="stable")
    ascending = flat[order]
    new = np.empty(ascending.size, bool)
    new[0] = True
    np.greater(np.diff(ascending), SAME_DISTANCE, out=new[1:])
    index = np.empty(ascending.size, np.intp)
    index[order] = np.cumsum(new) - 1
    return index.reshape(np.asarray(squared).shape), np.sqrt(ascending[new])


def _without_empty(table: PairTable) -> PairTable:
    """Drop the distances that no cluster has, by far the most of a bounding box."""
    distances, multiplicities = [], []
    for d, counts in zip(table.distances_angstrom, table.multiplicities, strict=True):
        present = np.any(np.abs(counts) > 1e-6, axis=1)  # FFT rounding of fractional occupancies is 1e-10
        distances.append(d[present])
        multiplicities.append(np.ascontiguousarray(counts[present]))
    return PairTable(tuple(distances), tuple(multiplicities), table.group, table.self_terms)


def averaged_sphere_pairs(material: Material, diameters_angstrom: NDArray[np.float64]) -> PairTable:
    """Pairs of spheres averaged over all positions of their centre in the crystal.

    The share of a distance d that survives in a sphere of diameter D is γ(d/D) = 1 - 3x/2 + x³/2, so
    a sphere of N = (π/6)D³/V cells has N·γ pairs for each lattice vector: no shell effects, any
    diameter.

    Parameters
    ----------
    material
        Crystal.
    diameters_angstrom
        Diameters, Å, shape (n_clusters,).

    Returns
    -------
    The merged distances, one column a diameter.
    """
    n_sites = len(material.sites)
    cells = np.pi / 6 * diameters_angstrom**3 / material.cell_volume_angstrom3
    spacing = 1 / np.linalg.norm(np.linalg.inv(material.cell_angstrom), axis=0)
    shape = np.ceil(diameters_angstrom.max() / spacing).astype(int) + 2
    group: dict[tuple[int, int], int] = {}
    distances, multiplicities = [], []
    for s, t in combinations_with_replacement(range(n_sites), 2):
        if s == t and s > 0:
            group[s, s] = group[0, 0]
            continue
        index, d = _merged_distances(material, shape, s, t)
        degeneracy = np.bincount(index.ravel(), minlength=d.size).astype(np.float64)
        if s == t:
            degeneracy[0] = 0.0
        ratio = np.minimum(d[:, None] / diameters_angstrom, 1.0)
        group[s, t] = len(distances)
        distances.append(d)
        multiplicities.append(degeneracy[:, None] * cells * (1 - 1.5 * ratio + 0.5 * ratio**3))
    self_terms = np.repeat(cells[None, :], n_sites, axis=0)
    return _without_empty(PairTable(tuple(distances), tuple(multiplicities), group, self_terms))


def structure_sums(table: PairTable, q_inv_angstrom: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Sums of sin(Qd)/(Qd) over the pairs of each group, one matrix product for all clusters.

    Parameters
    ----------
    table
        Distances and multiplicities.
    q_inv_angstrom
        Momentum transfers > 0, Å⁻¹, shape (n_q,).

    Returns
    -------
    One array of shape (n_q, n_clusters) for each group of pairs.
    """
    sums = []
    for d, counts in zip(table.distances_angstrom, table.multiplicities, strict=True):
        result = np.empty((q_inv_angstrom.size, counts.shape[1]))
        weights = counts / d[:, None]
        for start in range(0, q_inv_angstrom.size, ROWS):
            q = q_inv_angstrom[start : start + ROWS, None]
            result[start : start + ROWS] = np.sin(q * d) @ weights / q
        sums.append(result)
    return sums


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

"""Pair distances of clusters that share a lattice: counted by FFT and merged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import combinations_with_replacement
from typing import NamedTuple, Protocol

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from ...errors import PhysicsError
from ..crystal import OVERLAP_ANGSTROM, Cluster, Material

__all__ = [
    "PairTable",
    "Presence",
    "SpherePairs",
    "Vectors",
    "averaged_sphere_pairs",
    "bin_averaged",
    "count_pairs",
    "pair_table",
]

SAME_DISTANCE = 1e-9
"""Squared distances that differ by less than this (Å²) are equal: rounding errors are below 1e-11, distinct
distances of crystals differ by more than 1e-6."""

SAME_DISPLACEMENT = 9
"""Decimals (Å) to which two displacements between sites must agree to be the same."""

MIN_PAIRS = 1e-6
"""Smallest number of pairs that counts as present; Fourier transforms of partial occupancies round to
1e-10."""

CACHED_CORRELATIONS = 9
"""Correlations cached for other displacements of the same sites: the three positions of a faulted layer use
nine, a crystal cut by nodes one; a crystal cut by atoms uses none twice."""

BLOCK_DISTANCES = 1 << 15
"""Distances that are counted at once: 20 MB for eighty diameters."""

Vectors = list[NDArray[np.float64]]
"""x, y and z of many vectors, Å: three arrays of the same shape."""


@dataclass(frozen=True, eq=False)
class PairTable:
    """Distances of all atom pairs of several clusters, merged.

    Pairs are grouped by the two species that they join. A species is all sites with the same element and
    B, identified by the index of its first site.

    Parameters
    ----------
    distances_angstrom
        Distinct distances of each group of pairs, Å: one array per group.
    multiplicities
        Number of pairs at each distance in each cluster: one array of shape (n_distances, n_clusters) per
        group. Pairs of the same species are counted in both orders, pairs of different species once.
    group
        Index of the group of the species pair (s, t), s ≤ t.
    self_terms
        Number of atoms of each site in each cluster, shape (n_sites, n_clusters).
    """

    distances_angstrom: tuple[NDArray[np.float64], ...]
    multiplicities: tuple[NDArray[np.float64], ...]
    group: dict[tuple[int, int], int]
    self_terms: NDArray[np.float64]

    @property
    def max_distance_angstrom(self) -> float:
        """Longest distance, Å: the band limit of Q·S(Q)."""
        return max(float(d.max(initial=0.0)) for d in self.distances_angstrom)


class Presence(Protocol):
    """Probabilities that the sites of a disordered crystal are present."""

    def of_sites(self) -> NDArray[np.float64]:
        """Probability of each site, shape (n_sites,)."""

    def of_pair(self, s: int, t: int, layers: NDArray[np.intp]) -> NDArray[np.float64]:
        """Probability that sites s and t are both present, for each distance in layers (third vector)."""


class _Kind(NamedTuple):
    """Site pairs with the same displacement and equivalent sites, which are counted once."""

    s: int
    t: int
    displacement_angstrom: tuple[float, float, float]
    weight: int
    """Number of ordered site pairs of this kind (unordered for pairs of different species)."""


class _DistanceBins(NamedTuple):
    """Distances of one group of pairs, and which lattice vector has which distance."""

    kinds: Sequence[_Kind]
    """Kinds of site pairs in the group."""
    distance_index: list[NDArray[np.intp]]
    """For each kind, index of the distance of each lattice vector; n_distances for none."""
    distances: NDArray[np.float64]
    """Distinct distances, Å, ascending, shape (n_distances,)."""
    angular_weights: list[NDArray[np.float64]]
    """For each kind, weights of each lattice vector by its direction, shape (n_angular, n1, n2, n3)."""

    @property
    def n_weights(self) -> int:
        """Number of sums: the pairs themselves and each angular weight."""
        return 1 + len(self.angular_weights[0])


def pair_table(material: Material, clusters: Sequence[Cluster]) -> PairTable:
    """Count the distances of all atom pairs, by fast Fourier transform.

    The number of pairs of sites s and t at lattice vector L is C_st(L) = Σ_R o_s(R) o_t(R+L), a correlation
    of the occupancies. L = 0 of a site with itself is not a pair and is excluded (the self term is Σ o, not
    Σ o²), and so are sites too close to be occupied at the same time.

    Parameters
    ----------
    material
        Crystal of all clusters; it may have been strained after the clusters were cut.
    clusters
        Clusters cut from it.

    Returns
    -------
    The merged distances.

    Raises
    ------
    PhysicsError
        No cluster is given, or a cluster has a different number of sites than the crystal.
    """
    return count_pairs(material, clusters)[0]


def count_pairs(
    material: Material,
    clusters: Sequence[Cluster],
    angular: Callable[[Vectors], NDArray[np.float64]] | None = None,
    presence: Presence | None = None,
) -> tuple[PairTable, tuple[NDArray[np.float64], ...]]:
    """Count pairs as `pair_table` does, optionally weighted by direction or by site probabilities.

    Parameters
    ----------
    material
        Crystal of all clusters.
    clusters
        Clusters cut from it.
    angular
        Function that gives weights for additional weighted counts, from vectors of shape (n1, n2, n3)
        to weights of shape (n_angular, n1, n2, n3); it must be even in the vector.
    presence
        Site probabilities of a disordered crystal; the counts are then ensemble means.

    Returns
    -------
    The merged distances, and for each group the weighted counts, shape (n_angular, n_distances, n_clusters).

    Raises
    ------
    PhysicsError
        No cluster is given, or a cluster has a different number of sites than the crystal.
    """
    _check_clusters(material, clusters)
    box = np.max([cluster.occupancy[0].shape for cluster in clusters], axis=0)
    equivalent = _equivalent_sites(clusters)
    group, kinds_by_group = _grouped_kinds(material, equivalent)
    reach = max(_extent(material, cluster) for cluster in clusters)
    bins_by_group = [_distance_bins(material, box, kinds, reach, angular) for kinds in kinds_by_group]
    counts_by_group = _counts_by_group(bins_by_group, clusters, box, equivalent, presence)
    distances, multiplicities, weighted = _occurring(bins_by_group, counts_by_group)
    self_terms = np.array([cluster.n_atoms for cluster in clusters]).T
    if presence is not None:
        self_terms = self_terms * presence.of_sites()[:, None]
    return PairTable(distances, multiplicities, group, self_terms), weighted


def averaged_sphere_pairs(material: Material, diameters_angstrom: NDArray[np.float64]) -> PairTable:
    """Pairs of spheres, averaged over all positions of the centre in the crystal.

    The fraction of pairs at distance d that lie within a sphere of diameter D is γ(x) = 1 - 3x/2 + x³/2
    with x = d/D, so a sphere of N = (π/6)D³/V cells has N·γ pairs for each lattice vector. The result is
    smooth in the diameter: it has no steps where another shell of atoms fits.

    Parameters
    ----------
    material
        Crystal.
    diameters_angstrom
        Diameters, Å, shape (n_clusters,).

    Returns
    -------
    The merged distances, one column per diameter.

    Raises
    ------
    PhysicsError
        No diameter is given, or one is not positive or larger than 100 nm.
    """
    if not diameters_angstrom.size or not (diameters_angstrom.min() > 0 and diameters_angstrom.max() <= 1000):
        raise PhysicsError(f"diameters {diameters_angstrom} Å are out of range: give 0 < diameter ≤ 1000 Å")
    pairs = SpherePairs(material, float(diameters_angstrom.max()))
    multiplicities = tuple(pairs.counts(g, diameters_angstrom) for g in range(len(pairs.distances_angstrom)))
    return PairTable(
        pairs.distances_angstrom, multiplicities, pairs.group, pairs.self_terms(diameters_angstrom)
    )


class SpherePairs:
    """Distances of all pairs of a crystal, from which the pairs of spheres of any diameter follow.

    A table of all diameters (`averaged_sphere_pairs`) takes gigabytes for large spheres of a crystal of low
    symmetry; here it can be had in parts.

    Parameters
    ----------
    material
        Crystal.
    max_diameter_angstrom
        Diameter of the largest sphere, Å.

    Attributes
    ----------
    distances_angstrom
        Distinct distances of each group of pairs, ascending, Å: one array per group.
    group
        Index of the group of the species pair (s, t), s ≤ t.
    """

    def __init__(self, material: Material, max_diameter_angstrom: float) -> None:
        self._occupancy = np.array([site.occupancy for site in material.sites])
        self._cell_volume = material.cell_volume_angstrom3
        # Sites with the same occupancy have the same pairs.
        equivalent = [int(np.flatnonzero(self._occupancy == o)[0]) for o in self._occupancy]
        self.group, kinds_by_group = _grouped_kinds(material, equivalent)
        plane_spacing = 1 / np.linalg.norm(np.linalg.inv(material.cell_angstrom), axis=0)
        off_node = np.abs(material.positions_angstrom @ np.linalg.inv(material.cell_angstrom))
        box = np.ceil(max_diameter_angstrom / plane_spacing + 2 * off_node.max(axis=0)).astype(int) + 1
        distances = []
        self._vectors = []
        """Pairs per cell at each distance in the whole crystal: one array per group."""
        for kinds in kinds_by_group:
            bins = _distance_bins(material, box, kinds, max_diameter_angstrom)
            d = bins.distances
            vectors = np.zeros(d.size)
            for index, kind in zip(bins.distance_index, kinds, strict=True):
                weight = kind.weight * self._occupancy[kind.s] * self._occupancy[kind.t]
                vectors += weight * np.bincount(index.ravel(), minlength=d.size + 1)[:-1]
            distances.append(d)
            self._vectors.append(vectors)
        self.distances_angstrom = tuple(distances)

    def counts(
        self, group: int, diameters_angstrom: NDArray[np.float64], rows: slice = slice(None)
    ) -> NDArray[np.float64]:
        """Pairs of spheres, averaged over all positions of the centre.

        Parameters
        ----------
        group
            Index of the group of pairs.
        diameters_angstrom
            Diameters, none above the largest, Å, shape (n_clusters,).
        rows
            Part of the distances.

        Returns
        -------
        Number of pairs, shape (n_distances, n_clusters).
        """
        d, vectors = self.distances_angstrom[group][rows], self._vectors[group][rows]
        cells = self._cells(diameters_angstrom)
        counts = np.empty((d.size, diameters_angstrom.size))
        for start in range(0, d.size, BLOCK_DISTANCES):
            block = slice(start, start + BLOCK_DISTANCES)
            ratio = np.minimum(d[block, None] / diameters_angstrom, 1.0)
            counts[block] = vectors[block, None] * cells * (1 - 1.5 * ratio + 0.5 * ratio**3)
        return counts

    def self_terms(self, diameters_angstrom: NDArray[np.float64]) -> NDArray[np.float64]:
        """Atoms of each site in spheres.

        Parameters
        ----------
        diameters_angstrom
            Diameters, Å, shape (n_clusters,).

        Returns
        -------
        Number of atoms, shape (n_sites, n_clusters).
        """
        return np.asarray(self._occupancy[:, None] * self._cells(diameters_angstrom))

    def _cells(self, diameters_angstrom: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.pi / 6 * diameters_angstrom**3 / self._cell_volume)


def bin_averaged(table: PairTable, q_step_inv_angstrom: float) -> PairTable:
    """Weight pairs so that their sums are averages over a Q bin: each distance by sin(x)/x, x = d ΔQ/2.

    Parameters
    ----------
    table
        Pair distances.
    q_step_inv_angstrom
        Width of the bins, Å⁻¹.

    Returns
    -------
    Pairs at the same distances.
    """
    multiplicities = tuple(
        counts * np.sinc(d * q_step_inv_angstrom / (2 * np.pi))[:, None]
        for d, counts in zip(table.distances_angstrom, table.multiplicities, strict=True)
    )
    return PairTable(table.distances_angstrom, multiplicities, table.group, table.self_terms)


def _check_clusters(material: Material, clusters: Sequence[Cluster]) -> None:
    if not clusters:
        raise PhysicsError("no cluster given: a pair table needs at least one")
    for cluster in clusters:
        if len(cluster.occupancy) != len(material.sites):
            raise PhysicsError(
                f"a cluster with {len(cluster.occupancy)} sites is not cut from {material.name} "
                f"({len(material.sites)} sites)"
            )


def _equivalent_sites(clusters: Sequence[Cluster]) -> list[int]:
    """Index of the first site that shares the occupancy array of each site in every cluster."""
    return [
        next(t for t in range(s + 1) if all(c.occupancy[t] is c.occupancy[s] for c in clusters))
        for s in range(len(clusters[0].occupancy))
    ]


def _grouped_kinds(
    material: Material, equivalent: Sequence[int]
) -> tuple[dict[tuple[int, int], int], list[list[_Kind]]]:
    """Sort the site pairs into groups by species pair, and within each group into kinds.

    Species pairs with the same kinds, such as the cations and the anions of a crystal cut by nodes,
    share a group.
    """
    kinds_by_species: dict[tuple[int, int], dict[tuple[tuple[float, ...], int, int], _Kind]] = {}
    for s, t in combinations_with_replacement(range(len(material.sites)), 2):
        first, second = sorted((material.species[s], material.species[t]))
        shift = material.positions_angstrom[t] - material.positions_angstrom[s]
        # 0.0 + turns -0.0 into 0.0
        key = tuple(0.0 + np.round(shift, SAME_DISPLACEMENT))
        if equivalent[s] == equivalent[t]:  # C(L) = C(-L): the opposite displacement has the same distances
            key = max(key, tuple(0.0 - np.array(key)))
        kinds = kinds_by_species.setdefault((first, second), {})
        both_orders = 2 if first == second and s != t else 1
        new = _Kind(s, t, (shift[0], shift[1], shift[2]), 0)
        kind = kinds.get((key, equivalent[s], equivalent[t]), new)
        kinds[key, equivalent[s], equivalent[t]] = kind._replace(weight=kind.weight + both_orders)
    group: dict[tuple[int, int], int] = {}
    groups: list[list[_Kind]] = []
    index_of_content: dict[frozenset[tuple[object, int]], int] = {}
    for species, kinds in kinds_by_species.items():
        content = frozenset((key, kind.weight) for key, kind in kinds.items())
        if content not in index_of_content:
            index_of_content[content] = len(groups)
            groups.append(list(kinds.values()))
        group[species] = index_of_content[content]
    return group, groups


def _pair_vectors(material: Material, box: NDArray[np.intp], kind: _Kind) -> Vectors:
    """Vectors of all pairs of a kind in a bounding box of nodes, Å."""
    cell = material.cell_angstrom
    axes = np.ix_(*[np.arange(-(n - 1), n, dtype=np.float64) for n in box])
    return [
        np.asarray(sum(axes[i] * cell[i, k] for i in range(3)) + kind.displacement_angstrom[k])
        for k in range(3)
    ]


def _distance_bins(
    material: Material,
    box: NDArray[np.intp],
    kinds: Sequence[_Kind],
    reach: float,
    angular: Callable[[Vectors], NDArray[np.float64]] | None = None,
) -> _DistanceBins:
    """Assign every lattice vector of a bounding box to its distance, for each kind of one group.

    Vectors shorter than a bond or longer than the reach join no two atoms and get the last index, which
    has no distance.
    """
    # One kind after another: the vectors of all take several times the memory of their squares.
    squared = np.empty((len(kinds), *(2 * box - 1)))
    for of_kind, kind in zip(squared, kinds, strict=True):
        of_kind[:] = sum(component**2 for component in _pair_vectors(material, box, kind))
    possible = (squared > OVERLAP_ANGSTROM**2) & (squared <= (reach * (1 + 1e-9)) ** 2)
    flat = squared[possible]
    order = np.argsort(flat, kind="stable")
    ascending = flat[order]
    is_new = np.ones(ascending.size, bool)
    np.greater(np.diff(ascending), SAME_DISTANCE, out=is_new[1:])
    distances = np.sqrt(ascending[is_new])
    ranks = np.empty(flat.size, np.intp)
    ranks[order] = np.cumsum(is_new) - 1
    index = np.full(squared.shape, distances.size, np.intp)
    index[possible] = ranks
    weights = [
        angular(_pair_vectors(material, box, kind)) if angular else np.empty((0, *box)) for kind in kinds
    ]
    return _DistanceBins(kinds, list(index), distances, weights)


def _counts_by_group(
    bins_by_group: Sequence[_DistanceBins],
    clusters: Sequence[Cluster],
    box: NDArray[np.intp],
    equivalent: Sequence[int],
    presence: Presence | None,
) -> list[NDArray[np.float64]]:
    """Pairs of every cluster, one array of shape (1 + n_angular, n_distances, n_clusters) per group."""
    counts = [np.zeros((bins.n_weights, bins.distances.size, len(clusters))) for bins in bins_by_group]
    for column, cluster in enumerate(clusters):
        window = _window(cluster, box)
        pairs_of_kind = _pair_counter(cluster, equivalent, presence)
        for bins, count in zip(bins_by_group, counts, strict=True):
            count[:, :, column] = _binned_pairs(bins, pairs_of_kind, window)
    return counts


def _occurring(
    bins_by_group: Sequence[_DistanceBins], counts_by_group: Sequence[NDArray[np.float64]]
) -> tuple[tuple[NDArray[np.float64], ...], tuple[NDArray[np.float64], ...], tuple[NDArray[np.float64], ...]]:
    """Distances that occur in at least one cluster, with their counts and weighted counts."""
    distances, multiplicities, weighted = [], [], []
    for bins, count in zip(bins_by_group, counts_by_group, strict=True):
        occurs = np.any(np.abs(count[0]) > MIN_PAIRS, axis=1)
        distances.append(bins.distances[occurs])
        multiplicities.append(np.ascontiguousarray(count[0, occurs]))
        weighted.append(count[1:, occurs])
    return tuple(distances), tuple(multiplicities), tuple(weighted)


def _window(cluster: Cluster, box: NDArray[np.intp]) -> tuple[slice, ...]:
    """Lattice vectors of a cluster within those of the bounding box of all clusters."""
    missing = box - cluster.occupancy[0].shape
    return tuple(slice(int(n), int(2 * total - 1 - n)) for n, total in zip(missing, box, strict=True))


def _pair_counter(
    cluster: Cluster, equivalent: Sequence[int], presence: Presence | None
) -> Callable[[_Kind], NDArray[np.float64]]:
    """Function that gives the number of pairs of a kind at each lattice vector of a cluster."""
    correlate = _correlator(cluster)
    n_layers = cluster.occupancy[0].shape[2]
    layers = np.arange(-(n_layers - 1), n_layers)

    def pairs_of_kind(kind: _Kind) -> NDArray[np.float64]:
        pairs = correlate(equivalent[kind.s], equivalent[kind.t])
        return pairs if presence is None else pairs * presence.of_pair(kind.s, kind.t, layers)

    return pairs_of_kind


def _binned_pairs(
    bins: _DistanceBins, pairs_of_kind: Callable[[_Kind], NDArray[np.float64]], window: tuple[slice, ...]
) -> NDArray[np.float64]:
    """Sum the pairs of one cluster by distance, shape (1 + n_angular, n_distances).

    Row 0 counts the pairs, the other rows weight them by direction.
    """
    total = np.zeros((bins.n_weights, bins.distances.size))
    for kind, index, weights in zip(bins.kinds, bins.distance_index, bins.angular_weights, strict=True):
        pairs = pairs_of_kind(kind)
        flat_index = index[window].ravel()
        for row, values in enumerate([pairs, *(pairs * weight[window] for weight in weights)]):
            sums = np.bincount(flat_index, weights=values.ravel(), minlength=bins.distances.size + 1)
            total[row] += kind.weight * sums[:-1]
    return total


def _extent(material: Material, cluster: Cluster) -> float:
    """Upper bound of the pair distances of a cluster, Å."""
    occupied = np.logical_or.reduce([occupancy != 0 for occupancy in cluster.occupancy])
    nodes = np.argwhere(occupied) - (np.array(occupied.shape) - 1) / 2
    from_centre = np.linalg.norm(nodes @ material.cell_angstrom, axis=1).max(initial=0.0)
    positions = material.positions_angstrom
    return float(2 * from_centre + np.linalg.norm(positions[:, None] - positions, axis=2).max())


def _correlator(cluster: Cluster) -> Callable[[int, int], NDArray[np.float64]]:
    """Function that gives the correlation C_st(L) of a cluster, with transforms and correlations cached."""
    occupancy = cluster.occupancy
    size = np.array(occupancy[0].shape)
    padded = [scipy.fft.next_fast_len(int(2 * n - 1), real=True) for n in size]
    is_whole = [bool(np.all((o == 0) | (o == 1))) for o in occupancy]

    @cache
    def transform(s: int) -> NDArray[np.complex128]:
        return np.asarray(scipy.fft.rfftn(occupancy[s], padded, workers=-1))

    @lru_cache(maxsize=CACHED_CORRELATIONS)
    def correlation(s: int, t: int) -> NDArray[np.float64]:
        full = scipy.fft.irfftn(np.conj(transform(s)) * transform(t), padded, workers=-1)
        # Reorder from lag 0 first and negative lags last to ascending lags.
        counts = np.asarray(np.roll(full, size - 1, axis=(0, 1, 2))[tuple(slice(2 * n - 1) for n in size)])
        if is_whole[s] and is_whole[t]:
            np.rint(counts, out=counts)  # counts of fully occupied sites are integers; rounding is exact
        return counts

    return correlation

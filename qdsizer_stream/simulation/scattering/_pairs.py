"""Distances of all atom pairs of clusters that share a lattice, counted and merged."""

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
    "Vectors",
    "averaged_sphere_pairs",
    "bin_averaged",
    "count_pairs",
    "pair_table",
]

SAME_DISTANCE = 1e-9
"""Squared distances closer than this (Å²) are one: rounding is below 1e-11, crystals stay above 1e-6."""

SAME_DISPLACEMENT = 9
"""Decimals to which two displacements of sites (Å) agree when they are one."""

NO_PAIRS = 1e-6
"""Fewer pairs than this are none: rounding of the Fourier transforms of partial occupancies is 1e-10."""

KEPT_CORRELATIONS = 9
"""Correlations kept for further displacements of the same sites: the three places of a faulted layer have
nine, a crystal cut by nodes one, and in one cut by atoms none is wanted twice."""

Vectors = list[NDArray[np.float64]]
"""x, y and z of many vectors, Å, each of one shape."""


@dataclass(frozen=True, eq=False)
class PairTable:
    """Distances of all atom pairs of several clusters, merged.

    Pairs are grouped by the two species (sites of one element and B) that they join, and a species goes
    by its first site.

    Parameters
    ----------
    distances_angstrom
        Distinct distances of each group of pairs, Å: one array a group.
    multiplicities
        Pairs at each distance in each cluster: one array of shape (n_distances, n_clusters) a group;
        pairs of like species are counted in both orders, of unlike species once.
    group
        Which group the species pair (s, t), s ≤ t, is in.
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


class Presence(Protocol):
    """Probabilities that sites of a disordered crystal exist at all."""

    def alone(self) -> NDArray[np.float64]:
        """Probability of each site, shape (n_sites,)."""

    def together(self, s: int, t: int, layers: NDArray[np.intp]) -> NDArray[np.float64]:
        """Probability that sites s and t, so many nodes apart along the third vector, both exist."""


class _Kind(NamedTuple):
    """Site pairs with one displacement and alike occupied: counted once for all of them."""

    s: int
    t: int
    displacement_angstrom: tuple[float, float, float]
    weight: int
    """How many ordered site pairs (unlike species: unordered) are of this kind."""


def pair_table(material: Material, clusters: Sequence[Cluster]) -> PairTable:
    """Count the distances of all atom pairs, by fast Fourier transform.

    The pairs of sites s and t at lattice vector L are C_st(L) = Σ_R o_s(R) o_t(R+L), a correlation of
    the occupancies; L = 0 of a site with itself is no pair and is left out (its Σ o² goes, its Σ o is
    the self term), and so are sites too close to be occupied at once.

    Parameters
    ----------
    material
        Crystal of all clusters; it may be strained after the clusters were cut.
    clusters
        Clusters cut from it.

    Returns
    -------
    The merged distances.

    Raises
    ------
    PhysicsError
        No cluster, or a cluster with another number of sites than the crystal.
    """
    return count_pairs(material, clusters)[0]


def count_pairs(
    material: Material,
    clusters: Sequence[Cluster],
    angular: Callable[[Vectors], NDArray[np.float64]] | None = None,
    presence: Presence | None = None,
) -> tuple[PairTable, tuple[NDArray[np.float64], ...]]:
    """Count pairs as `pair_table` does, weighted by their direction or by the odds that they exist.

    Parameters
    ----------
    material
        Crystal of all clusters.
    clusters
        Clusters cut from it.
    angular
        Weights by which pairs are also counted, even functions of the vector that joins them: from
        vectors of shape (n1, n2, n3) to weights of shape (n_angular, n1, n2, n3).
    presence
        Probabilities of sites, where the crystal is disordered: the counts are then ensemble means.

    Returns
    -------
    The merged distances, and for each group the weighted pairs, shape (n_angular, n_distances, n_clusters).

    Raises
    ------
    PhysicsError
        No cluster, or a cluster with another number of sites than the crystal.
    """
    if not clusters:
        raise PhysicsError("no cluster given: a pair table needs at least one")
    for cluster in clusters:
        if len(cluster.occupancy) != len(material.sites):
            raise PhysicsError(
                f"a cluster with {len(cluster.occupancy)} sites is not cut from {material.name} "
                f"({len(material.sites)} sites)"
            )
    shape = np.max([cluster.occupancy[0].shape for cluster in clusters], axis=0)
    twins = [
        next(t for t in range(s + 1) if all(c.occupancy[t] is c.occupancy[s] for c in clusters))
        for s in range(len(material.sites))
    ]
    group, kinds_of_groups = _grouped_kinds(material, twins)
    reach = max(_extent(material, cluster) for cluster in clusters)
    merged = [_merged_distances(material, shape, kinds, reach) for kinds in kinds_of_groups]
    layers = np.arange(-(shape[2] - 1), shape[2])
    weights = [
        [angular(_pair_vectors(material, shape, kind)) for kind in kinds] if angular else [()] * len(kinds)
        for kinds in kinds_of_groups
    ]
    counts = [
        np.zeros((1 + len(of_kinds[0]), distances.size, len(clusters)))
        for (_, distances), of_kinds in zip(merged, weights, strict=True)
    ]
    for column, cluster in enumerate(clusters):
        correlate = _correlator(cluster)
        low = shape - cluster.occupancy[0].shape
        window = tuple(slice(int(n), int(2 * total - 1 - n)) for n, total in zip(low, shape, strict=True))
        for number, kinds in enumerate(kinds_of_groups):
            indices, distances = merged[number]
            for place, kind in enumerate(kinds):
                pairs = correlate(twins[kind.s], twins[kind.t])
                if presence is not None:
                    pairs = pairs * presence.together(kind.s, kind.t, layers[window[2]])
                index = indices[place][window].ravel()
                weighted = [pairs, *(pairs * factor[window] for factor in weights[number][place])]
                for row, values in enumerate(weighted):
                    found = np.bincount(index, weights=values.ravel(), minlength=distances.size + 1)
                    counts[number][row, :, column] += kind.weight * found[:-1]
    self_terms = np.array([cluster.n_atoms for cluster in clusters]).T
    if presence is not None:
        self_terms = self_terms * presence.alone()[:, None]
    # Most distances of a bounding box belong to no cluster.
    present = [np.any(np.abs(count[0]) > NO_PAIRS, axis=1) for count in counts]
    return PairTable(
        tuple(distances[keep] for (_, distances), keep in zip(merged, present, strict=True)),
        tuple(np.ascontiguousarray(count[0, keep]) for count, keep in zip(counts, present, strict=True)),
        group,
        self_terms,
    ), tuple(count[1:, keep] for count, keep in zip(counts, present, strict=True))


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

    Raises
    ------
    PhysicsError
        No diameter, or one that is not positive or larger than 100 nm.
    """
    if not diameters_angstrom.size or not (diameters_angstrom.min() > 0 and diameters_angstrom.max() <= 1000):
        raise PhysicsError(f"diameters {diameters_angstrom} Å are out of range: give 0 < diameter ≤ 1000 Å")
    cells = np.pi / 6 * diameters_angstrom**3 / material.cell_volume_angstrom3
    occupancy = np.array([site.occupancy for site in material.sites])
    # Sites that are occupied alike have alike pairs.
    twins = [int(np.flatnonzero(occupancy == o)[0]) for o in occupancy]
    group, kinds_of_groups = _grouped_kinds(material, twins)
    largest = float(diameters_angstrom.max())
    plane_spacing = 1 / np.linalg.norm(np.linalg.inv(material.cell_angstrom), axis=0)
    off_node = np.abs(material.positions_angstrom @ np.linalg.inv(material.cell_angstrom))
    shape = np.ceil(largest / plane_spacing + 2 * off_node.max(axis=0)).astype(int) + 1
    distances, multiplicities = [], []
    for kinds in kinds_of_groups:
        indices, d = _merged_distances(material, shape, kinds, largest)
        vectors = np.zeros(d.size)
        for index, kind in zip(indices, kinds, strict=True):
            weight = kind.weight * occupancy[kind.s] * occupancy[kind.t]
            vectors += weight * np.bincount(index.ravel(), minlength=d.size + 1)[:-1]
        ratio = np.minimum(d[:, None] / diameters_angstrom, 1.0)
        distances.append(d)
        multiplicities.append(vectors[:, None] * cells * (1 - 1.5 * ratio + 0.5 * ratio**3))
    return PairTable(tuple(distances), tuple(multiplicities), group, occupancy[:, None] * cells)


def bin_averaged(table: PairTable, q_step_inv_angstrom: float) -> PairTable:
    """Weigh pairs so that their sums are averages over a bin: each distance gains sin(x)/x, x = d ΔQ/2.

    Parameters
    ----------
    table
        Pairs.
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


def _grouped_kinds(
    material: Material, twins: Sequence[int]
) -> tuple[dict[tuple[int, int], int], list[list[_Kind]]]:
    """Sort the site pairs into groups of one species pair, and within these into kinds.

    Species pairs whose kinds are the same, such as the cations and the anions of a crystal cut by
    nodes, share a group.
    """
    of_species: dict[tuple[int, int], dict[tuple[tuple[float, ...], int, int], _Kind]] = {}
    for s, t in combinations_with_replacement(range(len(material.sites)), 2):
        first, second = sorted((material.species[s], material.species[t]))
        shift = material.positions_angstrom[t] - material.positions_angstrom[s]
        # 0.0 + turns -0.0 into 0.0
        key = tuple(0.0 + np.round(shift, SAME_DISPLACEMENT))
        if twins[s] == twins[t]:  # C(L) = C(-L): the opposite displacement has the same distances
            key = max(key, tuple(0.0 - np.array(key)))
        kinds = of_species.setdefault((first, second), {})
        both_orders = 2 if first == second and s != t else 1
        known = kinds.get((key, twins[s], twins[t]), _Kind(s, t, (shift[0], shift[1], shift[2]), 0))
        kinds[key, twins[s], twins[t]] = known._replace(weight=known.weight + both_orders)
    group: dict[tuple[int, int], int] = {}
    groups: list[list[_Kind]] = []
    seen: dict[frozenset[tuple[object, int]], int] = {}
    for species, kinds in of_species.items():
        content = frozenset((key, kind.weight) for key, kind in kinds.items())
        if content not in seen:
            seen[content] = len(groups)
            groups.append(list(kinds.values()))
        group[species] = seen[content]
    return group, groups


def _pair_vectors(material: Material, shape: NDArray[np.intp], kind: _Kind) -> Vectors:
    """Vectors of all pairs of a kind in a bounding box of nodes, Å."""
    cell = material.cell_angstrom
    axes = np.ix_(*[np.arange(-(n - 1), n, dtype=np.float64) for n in shape])
    return [
        np.asarray(sum(axes[i] * cell[i, k] for i in range(3)) + kind.displacement_angstrom[k])
        for k in range(3)
    ]


def _merged_distances(
    material: Material, shape: NDArray[np.intp], kinds: Sequence[_Kind], reach: float
) -> tuple[list[NDArray[np.intp]], NDArray[np.float64]]:
    """Index of the distance of each lattice vector for each kind, and the distinct distances, ascending.

    Vectors that join no two atoms, as they are too short or longer than the reach, get the last index,
    which has no distance.
    """
    squared = np.stack([sum(v**2 for v in _pair_vectors(material, shape, kind)) for kind in kinds])
    possible = (squared > OVERLAP_ANGSTROM**2) & (squared <= (reach * (1 + 1e-9)) ** 2)
    flat = squared[possible]
    order = np.argsort(flat, kind="stable")
    ascending = flat[order]
    new = np.ones(ascending.size, bool)
    np.greater(np.diff(ascending), SAME_DISTANCE, out=new[1:])
    distances = np.sqrt(ascending[new])
    ranks = np.empty(flat.size, np.intp)
    ranks[order] = np.cumsum(new) - 1
    index = np.full(squared.shape, distances.size, np.intp)
    index[possible] = ranks
    return list(index), distances


def _extent(material: Material, cluster: Cluster) -> float:
    """Bound the length of the pairs of a cluster, Å."""
    occupied = np.logical_or.reduce([occupancy != 0 for occupancy in cluster.occupancy])
    nodes = np.argwhere(occupied) - (np.array(occupied.shape) - 1) / 2
    from_centre = np.linalg.norm(nodes @ material.cell_angstrom, axis=1).max(initial=0.0)
    positions = material.positions_angstrom
    return float(2 * from_centre + np.linalg.norm(positions[:, None] - positions, axis=2).max())


def _correlator(cluster: Cluster) -> Callable[[int, int], NDArray[np.float64]]:
    """Correlations C_st(L) of the occupancies of a cluster, each transformed and computed once."""
    occupancy = cluster.occupancy
    size = np.array(occupancy[0].shape)
    padded = [scipy.fft.next_fast_len(int(2 * n - 1), real=True) for n in size]
    whole = [bool(np.all((o == 0) | (o == 1))) for o in occupancy]

    @cache
    def transform(s: int) -> NDArray[np.complex128]:
        return np.asarray(scipy.fft.rfftn(occupancy[s], padded, workers=-1))

    @lru_cache(maxsize=KEPT_CORRELATIONS)
    def correlation(s: int, t: int) -> NDArray[np.float64]:
        full = scipy.fft.irfftn(np.conj(transform(s)) * transform(t), padded, workers=-1)
        # From lag 0 first, negative lags last, to the lags in order.
        counts = np.asarray(np.roll(full, size - 1, axis=(0, 1, 2))[tuple(slice(2 * n - 1) for n in size)])
        if whole[s] and whole[t]:
            np.rint(counts, out=counts)  # counts of whole atoms are integers: rounding makes them exact
        return counts

    return correlation

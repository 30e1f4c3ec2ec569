"""Stacking faults of zinc blende and wurtzite, as the mean over all sequences of layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import PhysicsError
from ..crystal import Cluster, Material, Shape, SphereCut, nanocrystal
from ._pairs import PairTable, count_pairs

__all__ = ["close_packed_layers", "faulted_nanocrystal", "faulted_pair_table"]

PLACES = 3
"""A close-packed layer lies in one of three lateral places: A, B or C."""

SAME_LENGTH = 0.01
"""Relative difference up to which lengths agree with the ideal structure: u of real wurtzites is within
0.5 % of 3/8."""


def close_packed_layers(material: Material) -> Material:
    """Take a zinc blende or wurtzite crystal apart into its close-packed layers.

    Both are stacks of one double layer, a cation with an anion above it, in which each layer lies
    beside the one below in one of two places. The layer crystal holds all three places A, B and C of
    a layer at once: its sites are cation and anion of A, then of B, then of C. Its third primitive
    vector is the height of a layer; z is normal to the layers.

    Parameters
    ----------
    material
        Zinc blende (2 sites) or wurtzite (4 sites) crystal.

    Returns
    -------
    The layer crystal, from which `faulted_nanocrystal` cuts.

    Raises
    ------
    PhysicsError
        The material is neither.
    """
    a, height, bond = _zinc_blende(material) or _wurtzite(material) or _refuse(material)
    first = material.sites[0]
    second = next(site for site in material.sites if site.element != first.element)
    to_next = np.array([0.5, 0.5 / np.sqrt(3), 0.0])
    sites = [
        {**dict(site), "position": tuple(place * to_next + [0.0, 0.0, z / a])}
        for place in range(PLACES)
        for site, z in ((first, 0.0), (second, bond))
    ]
    return Material.model_validate(
        {
            "name": f"layers of {material.name}",
            "lattice_parameter_angstrom": a,
            "lattice_source": material.lattice_source,
            "b_source": material.b_source,
            "cell": ((1.0, 0.0, 0.0), (-0.5, np.sqrt(3) / 2, 0.0), (0.0, 0.0, height / a)),
            "sites": sites,
            "diameter_range_nm": material.diameter_range_nm,
        }
    )


def faulted_nanocrystal(layers: Material, shape: Shape, diameter_angstrom: float) -> Cluster:
    """Cut a nanocrystal from layers whose sequence is not known yet.

    Parameters
    ----------
    layers
        Result of `close_packed_layers`.
    shape
        Shape; z is normal to the layers.
    diameter_angstrom
        Diameter of the sphere of equal volume, Å.

    Returns
    -------
    The cluster, centred on a cation of place A: every cation within the shape in each of the three
    places that its layer may take, with its anion.

    Raises
    ------
    PhysicsError
        The diameter is not positive or so large (> 100 nm) that the lattice would not fit in memory.
    """
    cations = layers.model_copy(update={"sites": layers.sites[::2]})
    places = nanocrystal(cations, shape, diameter_angstrom, SphereCut.ATOM).occupancy
    cation, anion = layers.sites[:2]
    pairs = (
        (o, o if anion.occupancy == cation.occupancy else o / cation.occupancy * anion.occupancy)
        for o in places
    )
    return Cluster(tuple(occupancy for pair in pairs for occupancy in pair), diameter_angstrom / 10)


def faulted_pair_table(
    layers: Material, clusters: Sequence[Cluster], reversal_probability: float
) -> PairTable:
    """Count pairs as the mean over all stacking sequences.

    Going up, each layer steps from its place to the next (A→B→C→A) or the previous one (A→C→B→A), and
    the sense of the steps reverses with one probability: 0 is zinc blende, 1 wurtzite, ½ random. A
    pair of layers m apart is then displaced by δ places with odds P(δ|m) of a Markov chain, and all
    pairs of the ensemble are the pairs of all three places weighted by these odds: one evaluation, no
    sampling.

    Parameters
    ----------
    layers
        Result of `close_packed_layers`.
    clusters
        Results of `faulted_nanocrystal`.
    reversal_probability
        Probability that the stacking sense reverses at a layer, 0 to 1.

    Returns
    -------
    The merged distances; multiplicities and atoms are means per nanocrystal.

    Raises
    ------
    PhysicsError
        The probability is not between 0 and 1, or the clusters are not cut from the layers.
    """
    if not 0 <= reversal_probability <= 1:
        raise PhysicsError(f"reversal probability {reversal_probability} is not a probability: give 0 to 1")
    n_layers = max((cluster.occupancy[0].shape[2] for cluster in clusters), default=1)
    return count_pairs(layers, clusters, presence=_RandomStacking(_odds(reversal_probability, n_layers)))[0]


@dataclass(frozen=True, eq=False)
class _RandomStacking:
    """Presence of the sites of the layer crystal when each layer takes one of its places."""

    odds: NDArray[np.float64]
    """P(δ|m): odds that layers m apart are displaced by δ places, shape (n_layers, 3)."""

    def alone(self) -> NDArray[np.float64]:
        return np.full(2 * PLACES, 1 / PLACES)

    def together(self, s: int, t: int, layers: NDArray[np.intp]) -> NDArray[np.float64]:
        # Downwards, δ becomes -δ, and both senses are equally likely: the sign of m does not matter.
        return np.asarray(self.odds[np.abs(layers), (t // 2 - s // 2) % PLACES] / PLACES)


def _odds(reversal_probability: float, n_layers: int) -> NDArray[np.float64]:
    """Odds P(δ|m) for m = 0 … n_layers - 1, by stepping the chain layer by layer."""
    # Rows: the sense of the last step, up or down; columns: the displacement since the first layer.
    state = np.zeros((2, PLACES))
    state[:, 0] = 0.5
    odds = [state.sum(axis=0)]
    for _ in range(n_layers - 1):
        up, down = (1 - reversal_probability) * state + reversal_probability * state[::-1]
        state = np.array([np.roll(up, 1), np.roll(down, -1)])
        odds.append(state.sum(axis=0))
    return np.array(odds)


def _agree(found: float, ideal: float) -> bool:
    return abs(found - ideal) <= SAME_LENGTH * ideal


def _zinc_blende(material: Material) -> tuple[float, float, float] | None:
    """Lateral lattice parameter, height and cation-anion distance of the layers along [111], Å."""
    gram = material.cell_angstrom @ material.cell_angstrom.T
    a = float(np.sqrt(gram[0, 0]))
    bond = a * np.sqrt(3 / 8)
    face_centred = np.allclose(gram / a**2, 0.5 + 0.5 * np.eye(3), atol=SAME_LENGTH)
    if len(material.sites) != 2 or not face_centred or not _agree(material.shortest_distance(0, 1), bond):
        return None
    return a, a * float(np.sqrt(2 / 3)), float(bond)


def _wurtzite(material: Material) -> tuple[float, float, float] | None:
    """Lateral lattice parameter, height and cation-anion distance of the layers along c, Å."""
    gram = material.cell_angstrom @ material.cell_angstrom.T
    a, c = np.sqrt(gram[0, 0]), np.sqrt(gram[2, 2])
    hexagonal = np.allclose(
        [gram[1, 1], -2 * gram[0, 1], gram[0, 2] + a**2, gram[1, 2] + a**2], a**2, rtol=SAME_LENGTH
    )
    if len(material.sites) != 4 or material.species != (0, 0, 2, 2) or not hexagonal:
        return None
    fractions = (material.positions_angstrom - material.positions_angstrom[0]) @ np.linalg.inv(
        material.cell_angstrom
    )
    fractions -= np.rint(fractions)
    above = [f for f in fractions[2:] if np.allclose(f[:2], 0, atol=SAME_LENGTH)]
    beside = np.allclose(np.abs(fractions[1]), [1 / 3, 1 / 3, 1 / 2], atol=SAME_LENGTH)
    if not above or not beside or not _agree(abs(above[0][2]), 3 / 8):
        return None
    return float(a), float(c / 2), float(abs(above[0][2]) * c)


def _refuse(material: Material) -> Any:
    raise PhysicsError(
        f"{material.name} is neither zinc blende nor wurtzite: only these are stacks of close-packed layers"
    )

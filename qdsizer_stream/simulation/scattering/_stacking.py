"""Stacking faults of zinc blende and wurtzite, averaged over all sequences of layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import PhysicsError
from ..crystal import Cluster, Material, Shape, SphereCut, nanocrystal
from ._pairs import PairTable, count_pairs

__all__ = ["close_packed_layers", "faulted_nanocrystal", "faulted_pair_table"]

LATERAL_POSITIONS = 3
"""A close-packed layer lies in one of three lateral positions: A, B or C."""

LENGTH_TOLERANCE = 0.01
"""Relative tolerance of lengths compared with the ideal structure; u of real wurtzites is within 0.5 % of
3/8."""


def close_packed_layers(material: Material) -> Material:
    """Decompose a zinc blende or wurtzite crystal into its close-packed layers.

    Both are stacks of one double layer, a cation with an anion above it; each layer is shifted laterally
    from the layer below in one of two ways. The layer crystal contains all three lateral positions A, B and
    C of every layer: its sites are cation and anion of A, then of B, then of C. Its third primitive vector
    is the height of a layer; z is normal to the layers.

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
    a, height, bond = _zinc_blende(material) or _wurtzite(material) or _reject(material)
    first = material.sites[0]
    second = next(site for site in material.sites if site.element != first.element)
    to_next = np.array([0.5, 0.5 / np.sqrt(3), 0.0])
    sites = [
        {**dict(site), "position": tuple(lateral * to_next + [0.0, 0.0, z / a])}
        for lateral in range(LATERAL_POSITIONS)
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


def faulted_nanocrystal(
    layers: Material, shape: Shape, diameter_angstrom: float, cut: SphereCut = SphereCut.NODE
) -> Cluster:
    """Cut a nanocrystal from layers of undetermined stacking sequence.

    Parameters
    ----------
    layers
        Result of `close_packed_layers`.
    shape
        Shape; z is normal to the layers.
    diameter_angstrom
        Diameter of the sphere of equal volume, Å.
    cut
        Which atoms belong to the shape: by `NODE` every cation within it with the anion above, by `ATOM`
        every atom within it.

    Returns
    -------
    The cluster, centred on a cation of position A, in each of the three lateral positions that its layers
    can have.

    Raises
    ------
    PhysicsError
        The diameter is not positive or larger than 100 nm (the lattice would not fit in memory), or the cut
        is another one.
    """
    if cut == SphereCut.ATOM:
        return nanocrystal(layers, shape, diameter_angstrom, cut)
    if cut != SphereCut.NODE:
        raise PhysicsError(f"cut {cut} does not apply to stacked layers: choose node or atom")
    cations = layers.model_copy(update={"sites": layers.sites[::2]})
    cation_occupancies = nanocrystal(cations, shape, diameter_angstrom, SphereCut.ATOM).occupancy
    cation, anion = layers.sites[:2]
    pairs = (
        (o, o if anion.occupancy == cation.occupancy else o / cation.occupancy * anion.occupancy)
        for o in cation_occupancies
    )
    return Cluster(tuple(occupancy for pair in pairs for occupancy in pair), diameter_angstrom / 10)


def faulted_pair_table(
    layers: Material, clusters: Sequence[Cluster], reversal_probability: float
) -> PairTable:
    """Count pairs as the mean over all stacking sequences.

    From one layer to the next, the lateral position moves forward (A→B→C→A) or backward (A→C→B→A). This
    sense reverses at each layer with the same probability: 0 is zinc blende, 1 wurtzite, ½ random stacking.
    Layers m apart are then displaced by δ positions with probability P(δ|m) of a Markov chain. The ensemble
    mean weights the pairs between all three positions by these probabilities: one evaluation, no sampling.

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
        The probability is not from 0 to 1, or the clusters were not cut from the layers.
    """
    if not 0 <= reversal_probability <= 1:
        raise PhysicsError(
            f"reversal probability {reversal_probability} is not a probability: give a value from 0 to 1"
        )
    n_layers = max((cluster.occupancy[0].shape[2] for cluster in clusters), default=1)
    return count_pairs(
        layers,
        clusters,
        presence=_RandomStacking(_displacement_probabilities(reversal_probability, n_layers)),
    )[0]


@dataclass(frozen=True, eq=False)
class _RandomStacking:
    """Probabilities of the sites of the layer crystal if each layer has one of its lateral positions."""

    displacement_probabilities: NDArray[np.float64]
    """P(δ|m): probability that layers m apart are displaced by δ positions, shape (n_layers, 3)."""

    def of_sites(self) -> NDArray[np.float64]:
        return np.full(2 * LATERAL_POSITIONS, 1 / LATERAL_POSITIONS)

    def of_pair(self, s: int, t: int, layers: NDArray[np.intp]) -> NDArray[np.float64]:
        # Downwards, δ becomes -δ; both senses are equally likely, so the sign of m has no effect.
        displacement = (t // 2 - s // 2) % LATERAL_POSITIONS
        return np.asarray(self.displacement_probabilities[np.abs(layers), displacement] / LATERAL_POSITIONS)


def _displacement_probabilities(reversal_probability: float, n_layers: int) -> NDArray[np.float64]:
    """P(δ|m) for m = 0 … n_layers - 1, by advancing the Markov chain layer by layer."""
    # Rows: sense of the last step, forward or backward; columns: displacement from the first layer.
    state = np.zeros((2, LATERAL_POSITIONS))
    state[:, 0] = 0.5
    probabilities = [state.sum(axis=0)]
    for _ in range(n_layers - 1):
        forward, backward = (1 - reversal_probability) * state + reversal_probability * state[::-1]
        state = np.array([np.roll(forward, 1), np.roll(backward, -1)])
        probabilities.append(state.sum(axis=0))
    return np.array(probabilities)


def _agree(found: float, ideal: float) -> bool:
    return abs(found - ideal) <= LENGTH_TOLERANCE * ideal


def _zinc_blende(material: Material) -> tuple[float, float, float] | None:
    """Lateral lattice parameter, height and cation-anion distance of the layers along [111], Å."""
    gram = material.cell_angstrom @ material.cell_angstrom.T
    a = float(np.sqrt(gram[0, 0]))
    bond = a * np.sqrt(3 / 8)
    face_centred = np.allclose(gram / a**2, 0.5 + 0.5 * np.eye(3), atol=LENGTH_TOLERANCE)
    if len(material.sites) != 2 or not face_centred or not _agree(material.min_distance_angstrom(0, 1), bond):
        return None
    return a, a * float(np.sqrt(2 / 3)), float(bond)


def _wurtzite(material: Material) -> tuple[float, float, float] | None:
    """Lateral lattice parameter, height and cation-anion distance of the layers along c, Å."""
    gram = material.cell_angstrom @ material.cell_angstrom.T
    a, c = np.sqrt(gram[0, 0]), np.sqrt(gram[2, 2])
    hexagonal = np.allclose(
        [gram[1, 1], -2 * gram[0, 1], gram[0, 2] + a**2, gram[1, 2] + a**2], a**2, rtol=LENGTH_TOLERANCE
    )
    if len(material.sites) != 4 or material.species != (0, 0, 2, 2) or not hexagonal:
        return None
    fractions = (material.positions_angstrom - material.positions_angstrom[0]) @ np.linalg.inv(
        material.cell_angstrom
    )
    fractions -= np.rint(fractions)
    above = [f for f in fractions[2:] if np.allclose(f[:2], 0, atol=LENGTH_TOLERANCE)]
    beside = np.allclose(np.abs(fractions[1]), [1 / 3, 1 / 3, 1 / 2], atol=LENGTH_TOLERANCE)
    if not above or not beside or not _agree(abs(above[0][2]), 3 / 8):
        return None
    return float(a), float(c / 2), float(abs(above[0][2]) * c)


def _reject(material: Material) -> Any:
    raise PhysicsError(
        f"{material.name} is neither zinc blende nor wurtzite: only these are stacks of close-packed layers"
    )

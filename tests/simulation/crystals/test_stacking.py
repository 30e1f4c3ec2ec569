"""Stacking faults: the ensemble mean compared with explicit sequences of layers."""

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from qdsizer_stream.errors import PhysicsError
from qdsizer_stream.simulation.crystal import (
    Cluster,
    Material,
    Rod,
    Shape,
    Sphere,
    SphereCut,
    load_material,
    sphere,
)
from qdsizer_stream.simulation.scattering import (
    averaged_sphere_pairs,
    close_packed_layers,
    faulted_nanocrystal,
    faulted_pair_table,
    pattern_sums,
    structure_sums,
)

from .brute_force import Atoms, atoms_of, debye

Q = np.array([1.0, 1.69, 1.79, 1.91, 2.92, 5.1, 12.0])
FACTORS = [48 - Q + 2j, 34 - Q + 0.5j] * 3


def explicit(layers: Material, cluster: Cluster, positions: NDArray[np.intp]) -> Atoms:
    """Keep in each layer only the lateral position that the sequence gives it."""
    atoms = atoms_of(layers, cluster)
    height = layers.cell_angstrom[2, 2]
    above = np.where(atoms.site % 2 == 1, layers.positions_angstrom[1, 2], 0.0)
    level = np.rint((atoms.positions[:, 2] - above) / height).astype(int)
    lowest = -(cluster.occupancy[0].shape[2] // 2)
    return atoms.kept(positions[level - lowest] == atoms.site // 2)


def sequence(start: int, senses: NDArray[np.intp]) -> NDArray[np.intp]:
    """Lateral positions of the layers, from that of the first and the sense of each step."""
    return np.concatenate([[start], start + np.cumsum(senses)]) % 3


@pytest.mark.slow
@pytest.mark.parametrize("cut", [SphereCut.NODE, SphereCut.ATOM])
@pytest.mark.parametrize("reversal", [0.0, 0.3, 1.0])
def test_mean_over_every_sequence(reversal: float, cut: SphereCut) -> None:
    """All 3 · 2^(n-1) sequences of a small dot, each with its probability: exact to rounding."""
    layers = close_packed_layers(load_material("CdSe-wurtzite"))
    cluster = faulted_nanocrystal(layers, Rod(aspect=1.5), 11.0, cut)
    n_layers = cluster.occupancy[0].shape[2]
    assert n_layers >= 5
    mean, total = np.zeros(Q.size), 0.0
    for start in range(3):
        for steps in product([1, -1], repeat=n_layers - 1):
            senses = np.array(steps)
            reversed_at = senses[1:] != senses[:-1]
            probability = np.prod(np.where(reversed_at, reversal, 1 - reversal)) / 6
            if probability:
                atoms = explicit(layers, cluster, sequence(start, senses))
                mean += probability * debye(layers, atoms, Q, FACTORS)
                total += probability
    assert total == pytest.approx(1)
    table = faulted_pair_table(layers, [cluster], reversal)
    found = pattern_sums(layers, table, structure_sums(table, Q), Q, FACTORS)[:, 0]
    np.testing.assert_allclose(found, mean, rtol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [Sphere(), Rod(aspect=2.0)], ids=lambda shape: shape.kind)
def test_monte_carlo_of_sequences(shape: Shape) -> None:
    layers = close_packed_layers(load_material("ZnS-zincblende"))
    cluster = faulted_nanocrystal(layers, shape, 16.0)
    n_layers = cluster.occupancy[0].shape[2]
    rng = np.random.default_rng(11)
    samples = []
    for _ in range(400):
        senses = np.cumprod(
            np.concatenate([[rng.choice([-1, 1])], np.where(rng.random(n_layers - 2) < 0.2, -1, 1)])
        )
        atoms = explicit(layers, cluster, sequence(int(rng.integers(3)), senses))
        samples.append(debye(layers, atoms, Q, FACTORS))
    table = faulted_pair_table(layers, [cluster], 0.2)
    found = pattern_sums(layers, table, structure_sums(table, Q), Q, FACTORS)[:, 0]
    z = (found - np.mean(samples, axis=0)) / (np.std(samples, axis=0, ddof=1) / np.sqrt(len(samples)))
    assert np.abs(z).max() < 4


@pytest.mark.slow
@pytest.mark.parametrize(("name", "reversal"), [("ZnS-zincblende", 0.0), ("CdSe-wurtzite", 1.0)])
def test_without_faults_the_crystal_itself(name: str, reversal: float) -> None:
    """Unfaulted stacks have the distances of the crystal with the same frequencies, except at the surface.

    Here anions are cut with their cations, in the averaged sphere individually: the difference is 1.5 times
    2.6 Å of 150 Å, below 3 %.
    """
    material = load_material(name)
    layers = close_packed_layers(material)
    table = faulted_pair_table(layers, [faulted_nanocrystal(layers, Sphere(), 150.0)], reversal)
    ideal = averaged_sphere_pairs(material, np.array([150.0]))
    for species, crystal_species in {(0, 0): (0, 0), (0, 1): (0, material.species[-1])}.items():
        ours, theirs = table.group[species], ideal.group[crystal_species]
        near, near_ideal = (t.distances_angstrom[g] < 12 for t, g in ((table, ours), (ideal, theirs)))
        np.testing.assert_allclose(
            table.distances_angstrom[ours][near], ideal.distances_angstrom[theirs][near_ideal], rtol=1e-9
        )
        per_atom = table.multiplicities[ours][near, 0] / table.self_terms[::2].sum()
        ideal_per_atom = (
            ideal.multiplicities[theirs][near_ideal, 0] / ideal.self_terms[: len(material.sites) // 2].sum()
        )
        np.testing.assert_allclose(per_atom, ideal_per_atom, rtol=0.03)


def test_both_crystals_give_the_same_layers() -> None:
    zinc_blende, wurtzite = (
        close_packed_layers(load_material(f"CdS-{s}")) for s in ("zincblende", "wurtzite")
    )
    np.testing.assert_allclose(zinc_blende.cell_angstrom, wurtzite.cell_angstrom, atol=0.03)
    np.testing.assert_allclose(zinc_blende.positions_angstrom, wurtzite.positions_angstrom, atol=0.03)
    diluted = close_packed_layers(load_material("CdS-wurtzite").with_occupancy({"S": 0.8}))
    cluster = faulted_nanocrystal(diluted, Sphere(), 20.0)
    assert cluster.n_atoms[1] == pytest.approx(0.8 * cluster.n_atoms[0])


def test_rejected_input() -> None:
    with pytest.raises(PhysicsError, match=r"PbS is neither zinc blende nor wurtzite: only these are stacks"):
        close_packed_layers(load_material("PbS"))
    with pytest.raises(PhysicsError, match="CsPbBr3-cubic is neither"):
        close_packed_layers(load_material("CsPbBr3-cubic"))
    layers = close_packed_layers(load_material("CdTe"))
    cluster = faulted_nanocrystal(layers, Sphere(), 15.0)
    with pytest.raises(
        PhysicsError, match=r"reversal probability 1.1 is not a probability: give a value from 0 to 1"
    ):
        faulted_pair_table(layers, [cluster], 1.1)
    with pytest.raises(PhysicsError, match="no cluster given"):
        faulted_pair_table(layers, [], 0.5)
    with pytest.raises(PhysicsError, match="is not cut from layers of CdTe"):
        faulted_pair_table(layers, [sphere(load_material("CdTe"), 15.0, SphereCut.NODE)], 0.5)


def test_cuts_of_layers() -> None:
    layers = close_packed_layers(load_material("CdSe-zincblende"))
    by_node = faulted_nanocrystal(layers, Sphere(), 30.0, SphereCut.NODE)
    by_atom = faulted_nanocrystal(layers, Sphere(), 30.0, SphereCut.ATOM)
    np.testing.assert_array_equal(by_node.occupancy[0], by_node.occupancy[1])
    for site, occupancy in enumerate(by_atom.occupancy):
        position = layers.positions_angstrom[site]
        nodes = np.argwhere(occupancy > 0) - np.array(occupancy.shape) // 2
        assert np.linalg.norm(nodes @ layers.cell_angstrom + position, axis=1).max() <= 15.0
    assert np.count_nonzero(by_atom.occupancy[0] != by_atom.occupancy[1])
    assert by_node.occupancy[0].sum() == by_atom.occupancy[0].sum()
    with pytest.raises(
        PhysicsError, match="cut corner-shared does not apply to stacked layers: choose node or"
    ):
        faulted_nanocrystal(layers, Sphere(), 30.0, SphereCut.CORNER_SHARED)

"""Structure sums of many distances, gridded or direct, compared with the plain sum."""

import numpy as np
import pytest
from numpy.typing import NDArray

from qdsizer_stream.errors import PhysicsError
from qdsizer_stream.simulation.crystal import load_material
from qdsizer_stream.simulation.scattering import (
    PairTable,
    SpherePairs,
    averaged_sphere_pairs,
    pattern_sums,
    structure_sums,
)


def table_of(distances: NDArray[np.float64], multiplicities: NDArray[np.float64]) -> PairTable:
    return PairTable((distances,), (multiplicities,), {(0, 0): 0}, np.ones((1, multiplicities.shape[1])))


@pytest.mark.slow
@pytest.mark.parametrize("n_distances", [300, 20_000], ids=["few distances", "many distances"])
@pytest.mark.parametrize(
    ("q", "longest"),
    [
        (np.linspace(1, 15, 300), 90.0),
        (np.linspace(1, 15, 1024), 60.0),
        (np.linspace(1, 15, 300) + np.where(np.arange(300) == 200, 1e-7, 0.0), 90.0),
        (np.linspace(0.997, 15.078, 40), 40.0),
        (np.geomspace(0.01, 0.5, 100), 30.0),
        (np.random.default_rng(1).uniform(2, 30, 200), 120.0),
        (np.array([7.0]), 50.0),
    ],
    ids=["even", "whole blocks", "almost even", "few", "small angle", "out of order", "one"],
)
def test_against_the_sum_as_written(q: NDArray[np.float64], longest: float, n_distances: int) -> None:
    rng = np.random.default_rng(2)
    distances = np.sort(rng.uniform(0.8, longest, n_distances))
    multiplicities = rng.uniform(0, 50, (n_distances, 3)) * distances[:, None]
    (found,) = structure_sums(table_of(distances, multiplicities), q)
    products = np.outer(q, distances)
    terms = np.sin(products) / products
    # Terms cancel, so errors are relative to the sum of absolute values. Allowed is the rounding of a phase
    # Qd, which the plain sum has too, and of sums of 20 000 terms.
    error = np.abs(found - terms @ multiplicities) / (np.abs(terms) @ multiplicities)
    assert error.max() < np.finfo(float).eps * (q.max() * longest + 100)


def test_a_crystal_of_low_symmetry() -> None:
    """The same crystal at few Q, which are summed directly, and at many, which are gridded."""
    material = load_material("CsPbBr3-orthorhombic")
    table = averaged_sphere_pairs(material, np.array([25.0, 40.0]))
    q = np.linspace(1, 15, 241)
    factors = [np.full(q.size, 20.0 + 10 * s % 50) + 0j for s in range(len(material.sites))]
    factors = [factors[species] for species in material.species]
    gridded = pattern_sums(material, table, structure_sums(table, q), q, factors)
    part = slice(0, None, 10)
    direct = structure_sums(table, q[part])
    expected = pattern_sums(material, table, direct, q[part], [f[part] for f in factors])
    np.testing.assert_allclose(gridded[part], expected, rtol=1e-11)


def test_more_distances_than_are_distributed_at_once() -> None:
    rng = np.random.default_rng(3)
    q, distances = np.linspace(1, 15, 40), np.sort(rng.uniform(0.8, 40.0, 150_000))
    multiplicities = rng.uniform(0, 50, (distances.size, 2)) * distances[:, None]
    (found,) = structure_sums(table_of(distances, multiplicities), q)
    products = np.outer(q, distances)
    terms = np.sin(products) / products
    error = np.abs(found - terms @ multiplicities) / (np.abs(terms) @ multiplicities)
    assert error.max() < np.finfo(float).eps * (15 * 40 + 100)


def test_pairs_of_spheres_in_parts_are_those_of_the_table() -> None:
    material, diameters = load_material("CdSe-wurtzite"), np.array([12.0, 30.0, 45.0])
    table, pairs = averaged_sphere_pairs(material, diameters), SpherePairs(material, 45.0)
    for number, (distances, counts) in enumerate(
        zip(table.distances_angstrom, table.multiplicities, strict=True)
    ):
        parts = [pairs.counts(number, diameters, rows) for rows in (slice(0, 100), slice(100, None))]
        np.testing.assert_array_equal(pairs.distances_angstrom[number], distances)
        np.testing.assert_array_equal(np.vstack(parts), counts)
    np.testing.assert_array_equal(pairs.self_terms(diameters), table.self_terms)


def test_rejected_q() -> None:
    table = table_of(np.array([3.0]), np.ones((1, 1)))
    for q in ([], [0.0, 1.0], [np.nan], [np.inf]):
        with pytest.raises(
            PhysicsError, match=r"momentum transfers must be finite numbers > 0 Å⁻¹: remove the others"
        ):
            structure_sums(table, np.array(q))

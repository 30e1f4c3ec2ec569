"""Surfaces by coordination against counting the neighbours of explicit atoms."""

from typing import Any

import numpy as np
import pytest

from qdsizer_stream.errors import PhysicsError
from qdsizer_stream.simulation import (
    SphereCut,
    coordinated,
    load_material,
    nanocrystal,
    pair_table,
    pattern_sums,
    sphere,
    structure_sums,
)
from qdsizer_stream.simulation.crystal import Ellipsoid, Polyhedron, Sphere

from .brute_force import atoms_of, debye

Q = np.array([1.0, 1.83, 2.12, 3.5, 7.77])
FACTORS = {"Pb": 80 - 2 * Q + 7j, "S": 16 - 0.7 * Q + 0.1j, "Cd": 48 - Q + 2j, "Se": 34 - Q + 1j}


@pytest.mark.parametrize(
    ("name", "shape", "cut", "element", "bond_angstrom", "minimum"),
    [
        ("PbS", Sphere(), SphereCut.NODE, "S", 2.98, 5),
        ("PbS", Ellipsoid(aspect=0.7), SphereCut.ATOM, "S", 2.98, 5),
        ("PbS", Sphere(), SphereCut.ATOM, "Pb", 2.98, 4),
        ("PbS", Polyhedron(kind="cube"), SphereCut.CORNER_SHARED, "S", 2.98, 4),
        ("CdSe-wurtzite", Ellipsoid(aspect=1.4), SphereCut.ATOM, "Se", 2.7, 3),
    ],
)
def test_against_counting(
    name: str, shape: Any, cut: SphereCut, element: str, bond_angstrom: float, minimum: int
) -> None:
    material = load_material(name)
    whole = nanocrystal(material, shape, 19.5, cut)
    atoms = atoms_of(material, whole)
    of_element = np.array([material.sites[s].element == element for s in atoms.site])
    distance = np.linalg.norm(atoms.positions[:, None] - atoms.positions, axis=2)
    bonded = (distance < bond_angstrom) & ~of_element  # columns: atoms of the other element
    neighbours = bonded @ np.where(of_element, 0.0, atoms.occupancy)
    stays = ~of_element | (neighbours >= minimum - 1e-9)
    assert 0.2 < np.mean(stays[of_element]) < 0.95
    stripped = coordinated(material, whole, [element], minimum)
    kept = atoms.kept(stays)
    for s in range(len(material.sites)):
        assert stripped.n_atoms[s] == pytest.approx(kept.occupancy[kept.site == s].sum())
    table = pair_table(material, [stripped])
    factors = [FACTORS[site.element] for site in material.sites]
    found = pattern_sums(material, table, structure_sums(table, Q), Q, factors)[:, 0]
    np.testing.assert_allclose(found, debye(material, kept, Q, factors), rtol=1e-10)


def test_vacancies_do_not_count_as_missing_neighbours() -> None:
    material = load_material("PbS").with_occupancy({"Pb": 0.8, "S": 0.9})
    full = coordinated(load_material("PbS"), sphere(load_material("PbS"), 20.0), ["S"], 5)
    stripped = coordinated(material, sphere(material, 20.0), ["S"], 5)
    np.testing.assert_allclose(stripped.n_atoms, full.n_atoms * [0.8, 0.9])


def test_no_minimum_changes_nothing() -> None:
    material = load_material("PbS")
    whole = sphere(material, 20.0)
    assert coordinated(material, whole, ["S"], 0) is whole


@pytest.mark.parametrize(
    ("elements", "minimum", "message"),
    [
        (["S"], 7, "a minimum of 7 neighbours would remove all S of PbS, where each has 6: give 0 to 6"),
        (["Se"], 3, r"\['Se'\] cannot be removed .* in PbS: choose some, not all, of \['Pb', 'S'\]"),
        (["S", "Pb"], 3, r"\['Pb', 'S'\] cannot be removed"),
    ],
)
def test_rules_that_cannot_be(elements: list[str], minimum: int, message: str) -> None:
    material = load_material("PbS")
    with pytest.raises(PhysicsError, match=message):
        coordinated(material, sphere(material, 20.0), elements, minimum)

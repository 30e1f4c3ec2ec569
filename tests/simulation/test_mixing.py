import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdsizer_stream.errors import PhysicsError
from qdsizer_stream.simulation import (
    DotPopulation,
    area_fraction_from_weight_fraction,
    area_per_mass_ratio,
    load_material,
    load_solvent,
    lognormal_weights,
    mix_by_area,
    mix_by_weight,
    pair_table,
    sphere,
    weight_fraction_from_area_fraction,
)

Q = np.linspace(0.99, 14.9984, 1251)


@pytest.fixture(scope="module")
def dots() -> DotPopulation:
    """PbS of 3.5 nm with the B of the paper."""
    material = load_material("PbS").with_b({"Pb": 1.32, "S": 1.49})
    diameters = material.unit_diameter_angstrom * np.arange(3, 14)
    table = pair_table(material, [sphere(material, float(d)) for d in diameters])
    weights = lognormal_weights(diameters / 10, np.array([3.5]), np.array([0.1]))
    return DotPopulation.from_clusters(material, table, diameters / 10, weights)


def test_area_fractions_are_areas() -> None:
    dots, solvent = np.array([[4.0, 0.0], [0.0, 8.0]]), np.array([1.0, 1.0])
    mixed = mix_by_area(dots, solvent, 0.25)
    np.testing.assert_allclose(mixed, [[1.25, 0.75], [0.75, 1.25]])
    np.testing.assert_allclose(mixed.mean(axis=1), 1)


@pytest.mark.parametrize(("area", "weight"), [(1.0, 1.0), (0.65, 0.149), (0.37, 0.052), (0.15, 0.016)])
def test_the_papers_areas_in_toluene(area: float, weight: float) -> None:
    """R = 10.6 for PbS in measured toluene."""
    assert weight_fraction_from_area_fraction(area, 10.6) == pytest.approx(weight, abs=5e-4)


@settings(deadline=None)
@given(weight=st.floats(0, 1), ratio=st.floats(0.1, 100))
def test_weight_and_area_are_inverse(weight: float, ratio: float) -> None:
    area = area_fraction_from_weight_fraction(weight, ratio)
    assert weight_fraction_from_area_fraction(area, ratio) == pytest.approx(weight, abs=1e-12)


@pytest.mark.parametrize(("name", "measured"), [("toluene", 10.6), ("hexane", 10.3)])
def test_a_gram_of_dots_scatters_ten_times_a_gram_of_solvent(
    dots: DotPopulation, name: str, measured: float
) -> None:
    """The computed solvents are 5 e.u. (3 %) low between 1.6 and 6 Å⁻¹, so the ratio is that much high."""
    solvent = load_solvent(name)
    ratio = area_per_mass_ratio(
        dots.intensity(Q, 0.56), dots.molar_mass_g, solvent.intensity(Q, 0.56), solvent.known_molar_mass_g
    )
    assert 1.02 < ratio / measured < 1.05


def test_both_ways_to_mix_agree(dots: DotPopulation) -> None:
    solvent = load_solvent("toluene")
    of_dots, of_solvent = dots.intensity(Q, 0.56), solvent.intensity(Q, 0.56)
    ratio = area_per_mass_ratio(of_dots, dots.molar_mass_g, of_solvent, solvent.known_molar_mass_g)
    by_weight = mix_by_weight(of_dots, dots.molar_mass_g, of_solvent, solvent.known_molar_mass_g, 0.05)
    by_area = mix_by_area(of_dots, of_solvent, area_fraction_from_weight_fraction(0.05, ratio))
    np.testing.assert_allclose(by_weight / by_weight.mean(), by_area, rtol=1e-12)


def test_molar_mass_of_dots(dots: DotPopulation) -> None:
    """PbS: 239.26 g/mol, as many units as nodes."""
    n_units = dots.pairs.self_terms[0, 0]
    assert dots.molar_mass_g == pytest.approx(n_units * 239.26, rel=1e-4)


def test_a_population_is_the_mean_of_its_clusters() -> None:
    material = load_material("CdSe-wurtzite")
    clusters = [sphere(material, d) for d in (15.0, 20.0)]
    both = pair_table(material, clusters)
    mixed = DotPopulation.from_clusters(material, both, np.array([1.5, 2.0]), np.array([[0.3], [0.7]]))
    alone = [
        DotPopulation.from_clusters(material, pair_table(material, [c]), np.array([1.0]), np.ones((1, 1)))
        for c in clusters
    ]
    mean = 0.3 * alone[0].intensity(Q, 0.56) + 0.7 * alone[1].intensity(Q, 0.56)
    np.testing.assert_allclose(mixed.intensity(Q, 0.56), mean, rtol=1e-12)
    assert mixed.mean_surface_nm2 == pytest.approx(np.pi * (0.3 * 1.5**2 + 0.7 * 2.0**2))
    assert mixed.moments.number_mean_nm == pytest.approx([1.85])


def test_fractions_out_of_range() -> None:
    with pytest.raises(PhysicsError, match=r"weight_fraction 15 is out of range: give 0 to 1, 0\.15 for"):
        area_fraction_from_weight_fraction(15, 10.6)
    with pytest.raises(PhysicsError, match=r"area_fraction -0\.1 is out of range"):
        weight_fraction_from_area_fraction(-0.1, 10.6)
    with pytest.raises(PhysicsError, match="ratio 0 of the areas per gram"):
        weight_fraction_from_area_fraction(0.5, 0)

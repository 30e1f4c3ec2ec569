"""Curves of the physics check, of ideal dots and of real ones."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.ndimage import uniform_filter1d

pytest.importorskip("torch", reason="torch is not installed: pip install 'qdsizer-stream[train]'")

from qdsizer_stream.errors import PhysicsError
from qdsizer_stream.patterns import BinGrid
from qdsizer_stream.simulation import (
    CorrelatedMotion,
    DotPopulation,
    averaged_sphere_pairs,
    debye_wavenumber,
    load_material,
    lognormal_weights,
)
from qdsizer_stream.training import TemplatePhysics, _templates, simulate_templates

pytestmark = pytest.mark.usefixtures("few_sizes")

GRID = BinGrid(q_first_inv_angstrom=1.5, q_step_inv_angstrom=0.04, n_bins=40)


@pytest.fixture
def few_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds instead of a minute."""
    monkeypatch.setattr(_templates, "SIZES_NM", np.array([2.0, 3.0, 4.5]))
    monkeypatch.setattr(_templates, "MAX_CLUSTER_NM", 9.0)
    monkeypatch.setattr(_templates, "STACKED_MAX_CLUSTER_NM", 9.0)


def test_no_physics_gives_ideal_dots_to_the_last_bit() -> None:
    ideal = simulate_templates("PbS", GRID, 0.56)
    for name, values in vars(simulate_templates("PbS", GRID, 0.56, TemplatePhysics())).items():
        np.testing.assert_array_equal(values, getattr(ideal, name))


def test_real_dots_are_their_core_and_a_disordered_part() -> None:
    """One population, mixed by hand: nm/D of the atoms of every core, coherent over 1.4 nm."""
    physics = TemplatePhysics(correlated_angstrom2=1.0, disordered_nm=0.3)
    found = simulate_templates("PbS", GRID, 0.56, physics)
    number = 3 * 1 + 1  # 3 nm, the usual dispersion
    material = load_material("PbS").with_b({"Pb": 0.6, "S": 0.6})
    motion = CorrelatedMotion(1.0, debye_wavenumber(material))
    diameters = np.arange(1.0, 19.0, 0.5) * material.unit_diameter_angstrom
    weights = lognormal_weights(diameters / 10, found.mean_nm[[number]], found.dispersion[[number]])
    core = averaged_sphere_pairs(material, diameters)
    part = averaged_sphere_pairs(material, np.array([14.0]))
    atoms = core.self_terms.sum(axis=0) * 0.3 / (diameters / 10)
    q = found.q_inv_angstrom
    dots = DotPopulation.from_clusters(material, core, diameters / 10, weights, motion).intensity(q, 0.56)
    pieces = float(atoms @ weights[:, 0]) / part.self_terms.sum()
    dots += pieces * DotPopulation.from_clusters(
        material, part, np.array([1.4]), np.ones((1, 1)), motion
    ).intensity(q, 0.56)
    expected = uniform_filter1d(dots, 9)
    inner = slice(9, -9)  # the filter mirrors what lies beyond the ends
    ratio = (found.dots[number] / expected)[inner]
    np.testing.assert_allclose(ratio / ratio.mean(), 1, rtol=2e-3)
    ideal = simulate_templates("PbS", GRID, 0.56).dots[number]
    assert np.abs(found.dots[number] / ideal - 1).max() > 0.03


@pytest.mark.parametrize(("probability", "crystal"), [(0.0, "CdSe-zincblende"), (1.0, "CdSe-wurtzite")])
def test_stacked_templates_end_in_zinc_blende_and_wurtzite(probability: float, crystal: str) -> None:
    """Against spheres of either crystal, whose lattices differ by 0.1 %, of free u in wurtzite."""
    physics = TemplatePhysics(correlated_angstrom2=1.0, disordered_nm=0.2)
    perfect = simulate_templates(crystal, GRID, 0.56, physics)
    found = simulate_templates(
        "CdSe-zincblende", GRID, 0.56, physics.model_copy(update={"reversal_probabilities": (probability,)})
    )
    (stacked,) = np.flatnonzero(np.isclose(found.mean_nm, 4.5) & (np.arange(found.mean_nm.size) >= 9))
    typical = 3 * 2 + 1  # 4.5 nm, the usual dispersion
    assert found.dispersion[stacked] == perfect.dispersion[typical]
    q = found.q_inv_angstrom
    inner = (q > GRID.edges[0]) & (q < GRID.edges[-1])
    expected = np.interp(q, perfect.q_inv_angstrom, perfect.dots[typical])[inner]
    np.testing.assert_allclose(found.dots[stacked][inner], expected, atol=0.015 * expected.max())
    other = simulate_templates("CdSe-zincblende", GRID, 0.56, physics).dots[typical][inner]
    assert (np.abs(other - expected).max() > 0.1 * expected.max()) == (probability == 1)


def test_perfect_templates_stay_beside_stacked_ones() -> None:
    ideal = simulate_templates("CdSe-zincblende", GRID, 0.56)
    found = simulate_templates("CdSe-zincblende", GRID, 0.56, TemplatePhysics(reversal_probabilities=(0.3,)))
    np.testing.assert_allclose(found.dots[:9], ideal.dots, rtol=1e-4)  # stored with 14 bits
    np.testing.assert_array_equal(found.peaks_inv_angstrom, ideal.peaks_inv_angstrom)
    assert found.dots.shape[0] == 12


def test_rock_salt_has_no_layers_to_stack() -> None:
    with pytest.raises(PhysicsError, match="PbS is neither zinc blende nor wurtzite"):
        simulate_templates("PbS", GRID, 0.56, TemplatePhysics(reversal_probabilities=(0.3,)))


def test_amounts_that_cannot_be() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        TemplatePhysics(reversal_probabilities=(1.2,))
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        TemplatePhysics(disordered_nm=-0.1)

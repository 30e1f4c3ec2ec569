import numpy as np
import pytest

from qdsizer_stream.errors import PhysicsError
from qdsizer_stream.simulation import GrowingDots, SynthesisRecipe, load_material
from qdsizer_stream.simulation.crystal import sphere
from qdsizer_stream.simulation.frames import MEASURED_DOTS, DotPopulation, lognormal_weights
from qdsizer_stream.simulation.scattering import (
    CorrelatedMotion,
    averaged_sphere_pairs,
    debye_wavenumber,
    pair_table,
)


@pytest.fixture(scope="module")
def dots() -> GrowingDots:
    recipe = SynthesisRecipe(
        wavelength_angstrom=0.56, first_size_nm=2.5, last_size_nm=4.0, growth_time_s=100.0
    )
    return GrowingDots(recipe, q_max_inv_angstrom=10.0)


def test_size_grows_towards_its_end(dots: GrowingDots) -> None:
    assert dots.number_mean_nm(0) == pytest.approx(2.5, abs=0.01)
    assert dots.number_mean_nm(100) == pytest.approx(4.0 - 1.5 / np.e, abs=0.01)
    assert dots.number_mean_nm(1e4) == pytest.approx(4.0, abs=0.01)


def test_peaks_sharpen_as_dots_grow(dots: GrowingDots) -> None:
    q = np.linspace(1.0, 10.0, 2000)
    around_220 = (q > 2.7) & (q < 3.3)
    early, late = (dots(q, t)[around_220] for t in (0.0, 1e4))
    assert late.max() / late.mean() > 1.5 * early.max() / early.mean()


def test_nothing_arrives_behind_the_beam_stop(dots: GrowingDots) -> None:
    assert dots(np.array([0.1, 0.2]), 0.0) == pytest.approx([0, 0])


def test_q_past_the_simulation(dots: GrowingDots) -> None:
    with pytest.raises(PhysicsError, match="Q = 11 Å⁻¹ is past the"):
        dots(np.array([11.0]), 0.0)


def test_measured_dots_move_together_and_have_a_disordered_part() -> None:
    """The pattern is that of a population mixed by other code, and small spheres for the disordered atoms."""
    recipe = SynthesisRecipe(
        wavelength_angstrom=0.56,
        first_size_nm=3.0,
        last_size_nm=3.0,
        first_area_fraction=1.0,
        last_area_fraction=1.0,
        background=0.0,
        **MEASURED_DOTS,
    )
    found = GrowingDots(recipe, q_max_inv_angstrom=10.0)
    material = load_material("PbS")
    motion = CorrelatedMotion(0.8 * 1.17, debye_wavenumber(material))  # B of sulphur, the smaller one
    unit = material.unit_diameter_angstrom
    diameters = np.arange(2.0, 60.0 / unit, 0.5) * unit
    weights = lognormal_weights(diameters / 10, np.array([3.0]), np.array([0.12]))
    table = pair_table(material, [sphere(material, float(d)) for d in diameters])
    core = DotPopulation.from_clusters(material, table, diameters / 10, weights, motion)
    piece = averaged_sphere_pairs(material, np.array([14.0]))
    part = DotPopulation(material, piece, core.moments, 0.0, 0.0, motion)
    atoms = sum(
        0.25 / (d / 10) * n * w
        for d, n, w in zip(diameters, table.self_terms.sum(axis=0), weights[:, 0], strict=True)
    )
    q = np.arange(0.3, 10.0, 0.005)
    expected = core.intensity(q, 0.56) + atoms / piece.self_terms.sum() * part.intensity(q, 0.56)
    shape = found(q, 0.0) / expected
    # One scale holds everywhere: the picture is in units of the mean of the dots.
    assert shape / shape.mean() == pytest.approx(np.ones(q.size), abs=2e-3)
    # Without the two the pattern differs by much more than that.
    ideal = GrowingDots(recipe.model_copy(update={"correlated_motion": 0.0, "disordered_nm": 0.0}), 10.0)(
        q, 0.0
    )
    assert np.ptp(ideal / found(q, 0.0)) > 0.1

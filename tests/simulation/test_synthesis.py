import numpy as np
import pytest

from qdsizer_stream.errors import PhysicsError
from qdsizer_stream.simulation import GrowingDots, SynthesisRecipe


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

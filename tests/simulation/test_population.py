import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdsizer_stream.errors import PhysicsError
from qdsizer_stream.simulation import Weighting, lognormal_weights, population_moments

FINE = np.linspace(0.2, 40, 20_000)
PAPER = 0.4637970736422045 * np.arange(1, 46)


@given(mean=st.floats(2, 10), dispersion=st.floats(0.04, 0.25))
def test_moments_of_a_log_normal(mean: float, dispersion: float) -> None:
    weights = lognormal_weights(FINE, np.array([mean]), np.array([dispersion]))
    moments = population_moments(FINE, weights)
    assert moments.number_mean_nm[0] == pytest.approx(mean, rel=1e-4)
    assert moments.dispersion[0] == pytest.approx(dispersion, rel=1e-3)
    # mass mean of a number log-normal: D (1 + r²)³
    assert moments.mass_mean_nm[0] == pytest.approx(mean * (1 + dispersion**2) ** 3, rel=1e-3)


@given(mean=st.floats(3, 10), dispersion=st.floats(0.05, 0.2))
def test_a_mass_log_normal_weighs_its_mean(mean: float, dispersion: float) -> None:
    weights = lognormal_weights(FINE, np.array([mean]), np.array([dispersion]), Weighting.MASS)
    assert population_moments(FINE, weights).mass_mean_nm[0] == pytest.approx(mean, rel=1e-3)


@pytest.mark.parametrize(("nominal", "realised"), [(2.0, 1.868), (2.5, 2.408)])
def test_the_papers_steps_are_coarse_for_narrow_populations(nominal: float, realised: float) -> None:
    weights = lognormal_weights(PAPER, np.array([nominal]), np.array([0.05]))
    assert population_moments(PAPER, weights).number_mean_nm[0] == pytest.approx(realised, abs=5e-4)


@pytest.mark.parametrize(
    ("mean", "dispersion", "message"),
    [
        (0.0, 0.1, "positive mean and dispersion, found means from 0"),
        (5.0, 0.0, "dispersions from 0"),
        (25.0, 0.1, r"mean diameters from 25 to 25 nm leave the clusters \(0\.4638 … 20\.87 nm\)"),
    ],
)
def test_populations_that_cannot_be(mean: float, dispersion: float, message: str) -> None:
    with pytest.raises(PhysicsError, match=message):
        lognormal_weights(PAPER, np.array([mean]), np.array([dispersion]))

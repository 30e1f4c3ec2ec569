"""Splines of the smooth background."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.optimize import nnls

from qdsizer_stream.models import background_splines
from qdsizer_stream.models.fit import background_curves


def test_the_splines_are_those_of_scipy() -> None:
    q = np.linspace(1.0, 15.0, 400)
    knots = np.append(np.arange(1.0, 6.5, 0.8), 15.0)
    knots = np.concatenate([knots[:-2], np.linspace(knots[-2], 15.0, 7)])
    padded = np.concatenate([[knots[0]] * 3, knots, [knots[-1]] * 3])
    expected = BSpline.design_matrix(q, padded, 3).toarray().T
    np.testing.assert_allclose(background_splines(q), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    "q", [np.linspace(0.9, 6.0, 50), np.linspace(1.0, 6.5001, 90), np.linspace(7.0, 9.0, 30)]
)
def test_they_add_up_to_one_and_are_never_negative(q: NDArray[np.float64]) -> None:
    splines = background_splines(q)
    np.testing.assert_allclose(splines.sum(axis=0), 1.0, rtol=1e-14)
    assert splines.min() >= 0
    assert splines[0, 0] == splines[-1, -1] == 1  # only the outermost reach the ends


@pytest.mark.parametrize(("end", "n_splines"), [(8.995, 11), (9.005, 12)])
def test_intervals_between_crowded_peaks_are_at_most_1_6_wide(end: float, n_splines: int) -> None:
    """From 5.8 Å⁻¹ on, after six of 0.8: two up to 9, then three; a cubic spline more each, and three."""
    q = np.append(np.arange(1.0, 8.98, 0.02), end)
    assert len(background_splines(q)) == n_splines


@pytest.mark.parametrize("centre", np.arange(0.95, 2.5, 0.05))
def test_a_halo_of_any_solvent_is_made_of_halos(centre: float) -> None:
    """As narrow as hexane's, at any distance of neighbours from 2.5 to 7 Å."""
    q = np.linspace(0.7, 5.0, 400)
    halos, _ = background_curves(q)
    wanted = np.exp(-0.5 * ((q - centre) / 0.2) ** 2)
    amounts, _ = nnls(halos.T, wanted)
    assert np.abs(amounts @ halos - wanted).max() < 0.025


def test_a_second_halo_of_water_is_made_of_wide_ones() -> None:
    q = np.linspace(0.7, 5.0, 400)
    halos, _ = background_curves(q)
    for centre in (2.75, 2.9, 3.1, 3.25):
        wanted = np.exp(-0.5 * ((q - centre) / 0.4) ** 2)
        amounts, _ = nnls(halos.T, wanted)
        assert np.abs(amounts @ halos - wanted).max() < 0.05

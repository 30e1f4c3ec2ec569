"""Sizes from instruments of known and of unknown width."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from qdsizer_stream.patterns import Pattern
from qdsizer_stream.simulation import GrowingDots, SynthesisRecipe
from qdsizer_stream.sizing import Sizer, Status, plausible_width_inv_angstrom

Q = np.linspace(0.9, 15.0, 5000)


@pytest.fixture(scope="module")
def dots() -> GrowingDots:
    return GrowingDots(SynthesisRecipe(wavelength_angstrom=0.5637), q_max_inv_angstrom=19.6)


@pytest.fixture(scope="module")
def undeclared() -> Sizer:
    return Sizer()


def smeared(dots: GrowingDots, elapsed_s: float, fwhm: float, bandwidth: float = 0.0) -> Pattern:
    """Dots behind a wide instrument, counted: blur in equal steps of Q, and of ln Q for the bandwidth."""
    expected = dots(Q, elapsed_s)
    if fwhm:
        expected = gaussian_filter1d(expected, fwhm / 2.354820045 / (Q[1] - Q[0]))
    if bandwidth:
        even = np.linspace(np.log(Q[0]), np.log(Q[-1]), 8000)
        curve = gaussian_filter1d(
            np.interp(even, np.log(Q), expected), bandwidth / 2.354820045 / np.diff(even)[0]
        )
        expected = np.interp(np.log(Q), even, curve)
    return Pattern.from_arrays(Q, np.random.default_rng(0).poisson(500 * expected / expected.mean()))


INSTRUMENTS = [(0.02, 0.0), (0.045, 0.0), (0.06, 0.0), (0.0, 0.005), (0.02, 0.01)]


@pytest.mark.slow
@pytest.mark.parametrize(("fwhm", "bandwidth"), INSTRUMENTS)
@pytest.mark.parametrize("elapsed_s", [200.0, 900.0])
def test_a_declared_width_is_no_smaller_size(
    dots: GrowingDots, elapsed_s: float, fwhm: float, bandwidth: float
) -> None:
    truth_nm = dots.number_mean_nm(elapsed_s)
    declared = {"fwhm_inv_angstrom": fwhm or None, "bandwidth": bandwidth or None}
    estimate = Sizer(instrument=declared).size(smeared(dots, elapsed_s, fwhm, bandwidth))
    assert estimate.status is Status.SIZED, estimate.reason
    assert estimate.size_low_nm <= truth_nm <= estimate.size_high_nm
    # The widest of these leaves few peaks, and the interval is ± 13 %.
    assert estimate.size_nm == pytest.approx(truth_nm, rel=0.07 if fwhm == 0.06 else 0.06)
    # The noise of this draw resembles that of photons to the power 0.89, and its interval allows for it.
    assert estimate.size_high_nm - estimate.size_low_nm < (0.36 if fwhm == 0.06 else 0.3) * truth_nm


@pytest.mark.slow
@pytest.mark.parametrize(("fwhm", "bandwidth"), [(0.0, 0.0), *INSTRUMENTS, (0.09, 0.0)])
@pytest.mark.parametrize("elapsed_s", [200.0, 900.0])
def test_the_interval_allows_for_an_undeclared_width(
    undeclared: Sizer, dots: GrowingDots, elapsed_s: float, fwhm: float, bandwidth: float
) -> None:
    truth_nm = dots.number_mean_nm(elapsed_s)
    estimate = undeclared.size(smeared(dots, elapsed_s, fwhm, bandwidth), wavelength_angstrom=0.5637)
    if estimate.status is Status.SIZED:
        assert estimate.size_low_nm <= truth_nm <= estimate.size_high_nm
    else:
        assert fwhm == 0.09


@pytest.mark.slow
def test_copper_hides_less_than_a_synchrotron(undeclared: Sizer, dots: GrowingDots) -> None:
    pattern = smeared(dots, 200.0, 0.0)
    perfect, copper, other = (
        undeclared.size(pattern, **known).size_high_nm
        for known in ({"resolution_inv_angstrom": 0.0}, {"wavelength_angstrom": 1.5406}, {})
    )
    assert perfect < copper < 1.02 * perfect
    assert other > 1.1 * perfect


@pytest.mark.parametrize(
    ("wavelength_angstrom", "width"),
    [(None, 0.09), (1.5406, 0.02), (1.5418, 0.02), (0.7093, 0.045), (0.5637, 0.09), (0.18, 0.11)],
)
def test_plausible_widths_by_source(wavelength_angstrom: float | None, width: float) -> None:
    assert plausible_width_inv_angstrom(wavelength_angstrom) == width

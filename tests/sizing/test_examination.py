"""What an examination measures of a frame, at the thresholds, and what the estimate takes from it."""

import math

import numpy as np
import pytest

from qdsizer_stream.models import PhysicsCheck
from qdsizer_stream.patterns import Pattern
from qdsizer_stream.simulation import GrowingDots, SynthesisRecipe
from qdsizer_stream.sizing import CheckResult, Examination, Sizer, SizingConfig, Status

WAVELENGTH_ANGSTROM = 0.5637


@pytest.fixture(scope="module")
def sizer() -> Sizer:
    return Sizer(SizingConfig())


@pytest.fixture(scope="module")
def dots() -> GrowingDots:
    return GrowingDots(SynthesisRecipe(wavelength_angstrom=WAVELENGTH_ANGSTROM), q_max_inv_angstrom=19.6)


def check(examination: Examination, name: str) -> CheckResult:
    return next(check for check in examination.checks if check.name == name)


def on_bins(sizer: Sizer, intensity: np.ndarray | float, sigma: float, kept: slice) -> Pattern:
    """A pattern on the bins of the model with data in some of them."""
    q = sizer.model.card.input.grid.centres
    mask = np.ones(q.size, bool)
    mask[kept] = False
    values = np.broadcast_to(intensity, q.shape)
    return Pattern(q, np.where(mask, np.nan, values), np.where(mask, np.nan, sigma), mask)


@pytest.mark.slow
@pytest.mark.parametrize(("n_bins", "passed"), [(60, True), (59, False)])
def test_bins_with_data_are_counted(sizer: Sizer, n_bins: int, passed: bool) -> None:
    result = check(sizer.examine(on_bins(sizer, 100.0, 10.0, slice(0, n_bins))), "Q bins with data")
    assert (result.value, result.passed) == (n_bins, passed)


def test_a_frame_without_points_in_range_is_not_measured(sizer: Sizer) -> None:
    examined = sizer.examine(Pattern.from_arrays(np.linspace(20, 30, 500), np.full(500, 100.0)))
    assert examined.failed is examined.checks[0]
    assert examined.estimate.status is Status.BAD_FRAME
    assert examined.estimate.reason == "no usable point between 0.955 and 15 Å⁻¹"
    assert math.isnan(examined.estimate.counts)
    assert math.isnan(examined.estimate.q_min)
    assert examined.fit is None


def test_the_range_of_q_is_that_of_the_points(sizer: Sizer) -> None:
    q = np.linspace(1.2035, 9.8765, 5000)
    examined = sizer.examine(Pattern.from_arrays(q, np.full(q.size, 100.0)))
    first, last = check(examined, "first Q"), check(examined, "last Q")
    # means of the points that share the first and the last bin of 0.01 Å⁻¹
    assert first.value == pytest.approx(1.2035, abs=0.005)
    assert last.value == pytest.approx(9.8765, abs=0.005)
    assert (examined.estimate.q_min, examined.estimate.q_max) == (first.value, last.value)


@pytest.mark.parametrize(
    ("sigma", "n_negative", "passed"),
    [(2, 50, True), (2, 51, False), (5, 5, True), (5, 6, False)],
)
def test_bins_far_below_zero_are_counted(sizer: Sizer, sigma: int, n_negative: int, passed: bool) -> None:
    intensity = np.full(sizer.model.card.input.grid.n_bins, 100.0)
    # As many standard deviations below zero is not yet more than that.
    intensity[:200] = -3.0 * sigma
    intensity[:n_negative] = np.nextafter(-3.0 * sigma, -np.inf)
    examined = sizer.examine(on_bins(sizer, intensity, 3.0, slice(0, 1000)))
    result = check(examined, f"bins below −{sigma} σ")
    assert result.value == n_negative / 1000
    assert result.passed is passed


@pytest.mark.parametrize(("intensity", "passed"), [(-1e-9, False), (0.0, False), (1e-9, True)])
def test_the_mean_intensity_must_be_above_zero(sizer: Sizer, intensity: float, passed: bool) -> None:
    examined = sizer.examine(on_bins(sizer, intensity, 1.0, slice(0, 300)))
    assert check(examined, "mean intensity").passed is passed
    assert examined.estimate.status is (Status.LOW_COUNTS if passed else Status.BAD_FRAME)


def test_photons_of_a_pattern_come_from_its_relative_errors(sizer: Sizer) -> None:
    # 100 bins of 20 ± 10: as many photons as have 50 % of error, which is 4 each. Negative bins have none.
    intensity = np.full(sizer.model.card.input.grid.n_bins, 20.0)
    intensity[100:104] = -15.0
    examined = sizer.examine(on_bins(sizer, intensity, 10.0, slice(0, 104)))
    assert check(examined, "photons").value == pytest.approx(400.0, rel=1e-12)
    assert examined.estimate.counts == pytest.approx(400.0, rel=1e-12)
    given = sizer.examine(on_bins(sizer, intensity, 10.0, slice(0, 104)), 123.0)
    assert given.estimate.counts == 123.0


def test_checks_of_the_fit_wait_for_those_of_the_frame(sizer: Sizer, dots: GrowingDots) -> None:
    q = np.linspace(1.0, 14.0, 3000)
    expected = dots(q, 600.0)
    rng = np.random.default_rng(0)
    faint = sizer.examine(Pattern.from_arrays(q, rng.poisson(0.05 * expected / expected.mean())))
    assert faint.failed is not None
    assert (faint.failed.name, faint.estimate.reason) == ("photons", faint.failed.message)
    assert faint.checks[-1] is faint.failed
    assert math.isnan(faint.estimate.residual)
    bright = sizer.examine(Pattern.from_arrays(q, rng.poisson(300 * expected / expected.mean())))
    assert bright.failed is None
    assert bright.fit is not None
    assert len(bright.checks) == 22
    assert check(bright, "size").value == bright.estimate.size_nm
    assert check(bright, "χ² per bin").value == bright.fit.misfit
    assert bright.estimate.residual == bright.fit.residual == check(bright, "residual").value


def test_what_channels_may_hide_is_no_fault_of_the_frame(sizer: Sizer, dots: GrowingDots) -> None:
    # Points 0.05 Å⁻¹ apart may hide much of the size of a large dot: the check looks at the interval without
    # that, the estimate has the one with it.
    q = np.arange(1.0, 14.0, 0.05)
    counts = np.random.default_rng(3).poisson(1e4 * (expected := dots(q, 3000.0)) / expected.mean())
    examined = sizer.examine(Pattern.from_arrays(q, counts), resolution_inv_angstrom=0.0)
    estimate, width = examined.estimate, check(examined, "relative interval")
    assert estimate.status is Status.SIZED, estimate.reason
    assert examined.binned is not None
    answer = sizer.model.answer(examined.binned)
    assert width.value == pytest.approx((answer.size_high_nm - answer.size_low_nm) / answer.size_nm)
    shown = sizer.model.allow_for_channels(answer, examined.binned)
    assert estimate.size_high_nm == shown.size_high_nm > 1.1 * answer.size_high_nm
    assert estimate.size_low_nm == answer.size_low_nm


def test_a_stretched_lattice_is_larger(sizer: Sizer, dots: GrowingDots) -> None:
    q = np.linspace(1.0, 14.0, 4000)
    lattice = {}
    for strain in (-0.005, 0.0, 0.005):
        expected = dots(q * (1 + strain), 600.0)  # peaks of a larger lattice are at lower Q
        counts = np.random.default_rng(1).poisson(3000 * expected / expected.mean())
        estimate = sizer.size(Pattern.from_arrays(q, counts))
        assert estimate.status is Status.SIZED, estimate.reason
        lattice[strain] = estimate.lattice_parameter_angstrom
    assert lattice[0.005] / lattice[-0.005] == pytest.approx(1.01, abs=0.002)
    assert lattice[0.005] / lattice[0.0] == pytest.approx(1.005, abs=0.0015)


@pytest.mark.slow
@pytest.mark.parametrize(("size_nm", "model_range"), [(2.0, (1.8, 11.0)), (10.6, (1.8, 9.0))])
def test_sizes_outside_the_range_of_the_model_are_not_fitted(
    size_nm: float, model_range: tuple[float, float]
) -> None:
    # Near either end the network's interval reaches beyond the sizes that the model has.
    sizer = Sizer(SizingConfig())
    model, templates = sizer.model, sizer.model.templates
    model.card = model.card.model_copy(update={"size_range_nm": model_range})
    grid = model.card.input.grid
    nearest = np.argmin(np.abs(templates.mean_nm - size_nm) + np.abs(templates.dispersion - 0.14))
    curve = np.interp(grid.centres, templates.q_inv_angstrom, templates.dots[nearest])
    binned = Pattern.from_arrays(grid.centres, np.random.default_rng(0).poisson(2 * curve))
    examined, answer = sizer.examine(binned), model.answer(binned)
    low, high = answer.size_low_nm, answer.size_high_nm
    fits = PhysicsCheck(templates, grid, 5.934)
    clipped = max(low, model_range[0]), min(high, model_range[1])
    assert clipped != (low, high)
    within = fits.fit(binned, *clipped, answer.dispersion)
    anywhere = fits.fit(binned, low, high, answer.dispersion)
    assert examined.fit is not None
    assert examined.fit.misfit == within.misfit != anywhere.misfit
    np.testing.assert_array_equal(examined.fit.total, within.total)


def test_a_size_outside_the_range_of_the_model_is_shown_with_its_own_fit() -> None:
    sizer = Sizer(SizingConfig())
    model, templates = sizer.model, sizer.model.templates
    model.card = model.card.model_copy(update={"size_range_nm": (1.8, 4.0)})
    grid = model.card.input.grid
    nearest = np.argmin(np.abs(templates.mean_nm - 6.0) + np.abs(templates.dispersion - 0.14))
    curve = np.interp(grid.centres, templates.q_inv_angstrom, templates.dots[nearest])
    binned = Pattern.from_arrays(grid.centres, np.random.default_rng(0).poisson(1000 * curve))
    examined, answer = sizer.examine(binned), model.answer(binned)
    assert examined.estimate.status is Status.OUT_OF_RANGE
    assert answer.size_low_nm > 4.0
    assert examined.fit is not None
    own = PhysicsCheck(templates, grid, 5.934).fit(
        binned, answer.size_low_nm, answer.size_high_nm, answer.dispersion
    )
    assert (examined.fit.best_nm, examined.fit.misfit) == (own.best_nm, own.misfit)

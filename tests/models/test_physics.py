import numpy as np
import pytest
from scipy.optimize import nnls

from qdsizer_stream.models import PhysicsCheck, PhysicsFit, load_model, pooled_bins
from qdsizer_stream.models._physics import LOOSE_RIDGE, _chi2_with_each, _nonnegative
from qdsizer_stream.patterns import BinGrid, Pattern

GRID = BinGrid(q_first_inv_angstrom=0.96, q_step_inv_angstrom=0.02, n_bins=704)
TEMPLATES = load_model("pbs").templates
CHECK = PhysicsCheck(TEMPLATES, GRID)


def counted(expected: np.ndarray, counts: float, seed: int = 0) -> Pattern:
    noisy = np.random.default_rng(seed).poisson(expected * counts)
    return Pattern.from_arrays(GRID.centres, noisy)


def on_grid(curve: np.ndarray, strain: float = 0.0) -> np.ndarray:
    return np.asarray(np.interp(GRID.centres * (1 + strain), TEMPLATES.q_inv_angstrom, curve))


def dots(mean_nm: float, dispersion: float = 0.14, strain: float = 0.0) -> tuple[np.ndarray, float]:
    """Pattern of the template nearest to a mean diameter, and its own mean."""
    distance = np.abs(np.log(TEMPLATES.mean_nm / mean_nm)) + np.abs(TEMPLATES.dispersion - dispersion)
    best = int(np.argmin(distance))
    return on_grid(TEMPLATES.dots[best], strain), float(TEMPLATES.mean_nm[best])


def fit_near(pattern: Pattern, mean_nm: float) -> PhysicsFit:
    return CHECK.fit(pattern, 0.96 * mean_nm, 1.04 * mean_nm)


def test_parts_of_a_mixture_are_told_apart() -> None:
    pattern, mean_nm = dots(5.0, strain=0.003)
    mixture = 0.4 * pattern + 0.6 * on_grid(TEMPLATES.solvents[1])
    fit = fit_near(counted(mixture, 3000.0), mean_nm)
    assert fit.strain == pytest.approx(0.003, abs=0.0008)
    assert fit.residual < 0.01
    assert fit.misfit < 0.5
    assert fit.explained > 0.98
    assert fit.significance > 5000
    assert fit.delta_chi2_better_size < 5
    np.testing.assert_allclose(fit.total, 3000 * mixture, rtol=0.1)


def test_a_liquid_alone_needs_no_dots() -> None:
    assert fit_near(counted(on_grid(TEMPLATES.solvents[4]), 300.0), 4.0).significance < 60


@pytest.mark.parametrize("area_fraction", [0.15, 1.0])
@pytest.mark.parametrize(("true_nm", "answered_nm"), [(7.0, 4.5), (8.5, 4.0), (3.0, 4.2), (15.0, 9.0)])
def test_dots_of_another_size_are_missed(area_fraction: float, true_nm: float, answered_nm: float) -> None:
    pattern, mean_nm = dots(true_nm)
    mixture = area_fraction * pattern + (1 - area_fraction) * on_grid(TEMPLATES.solvents[4], 0.02)
    frame = counted(mixture, 2000.0)
    fit = fit_near(frame, answered_nm)
    assert fit.delta_chi2_better_size > 60
    assert fit.best_nm == pytest.approx(mean_nm, rel=0.2)
    assert fit_near(frame, mean_nm).delta_chi2_better_size < 0.1 * fit.delta_chi2_better_size


@pytest.mark.parametrize(
    "factor",
    [
        lambda q: 1 + 0.1 * np.sin(q),
        lambda q: np.exp(-2.4 * q**2 / (8 * np.pi**2)),  # B of 3 Å² instead of 0.6
        lambda q: np.interp(q, [1.83, 2.12, 2.99], [1.0, 3.0, 1.0]),  # a texture's strong 200 peak
    ],
)
def test_a_factor_on_the_dots_is_no_misfit(factor: object) -> None:
    pattern, mean_nm = dots(5.0)
    fit = fit_near(counted(pattern * factor(GRID.centres), 1000.0), mean_nm)
    assert fit.misfit < 4
    assert fit.explained > 0.95
    assert fit.delta_chi2_better_size < 5


def test_foreign_peaks_stay_unexplained() -> None:
    q = GRID.centres
    peaks = sum(np.exp(-0.5 * ((q - 2 * np.pi * np.sqrt(n) / 4.08) / 0.04) ** 2) for n in (3, 4, 8, 11, 12))
    fit = fit_near(counted(0.2 + 2 * peaks, 1000.0), 5.0)
    assert fit.residual > 0.3
    assert fit.misfit > 20
    assert fit.explained < 0.3


def test_a_wrong_wavelength_shows_as_strain() -> None:
    pattern, mean_nm = dots(5.0, strain=0.02)
    assert fit_near(counted(pattern, 1000.0), mean_nm).strain == pytest.approx(0.02, abs=0.001)


@pytest.mark.parametrize("shift", [0.02, -0.02])
def test_a_wrong_zero_shows_as_a_shift(shift: float) -> None:
    pattern, mean_nm = dots(4.0)
    shifted = np.interp(GRID.centres + shift, GRID.centres, pattern)
    fit = fit_near(counted(shifted, 1000.0), mean_nm)
    assert 0.5 < fit.shift_inv_angstrom / shift < 1.2
    assert abs(fit_near(counted(pattern, 1000.0), mean_nm).shift_inv_angstrom) < 0.002


def test_bins_without_data_are_left_alone() -> None:
    curve, mean_nm = dots(4.3)
    mask = (GRID.centres > 4) & (GRID.centres < 6)
    pattern = counted(curve, 1000.0)
    masked = Pattern.from_arrays(GRID.centres, np.where(mask, 1e9, pattern.intensity), mask=mask)
    fit = fit_near(masked, mean_nm)
    assert np.all(np.isnan(fit.total[mask]))
    assert not np.any(np.isnan(fit.total[~mask]))
    assert fit.residual < 0.02


def test_a_coarse_scan_fits_like_a_fine_one() -> None:
    curve, mean_nm = dots(6.0)
    pattern = counted(curve, 1000.0)
    coarse = Pattern.from_arrays(GRID.centres, pattern.intensity, mask=np.arange(GRID.n_bins) % 3 != 1)
    fit = fit_near(coarse, mean_nm)
    assert fit.misfit < 1.5
    assert fit.delta_chi2_better_size < 5


def test_one_frame_gives_one_fit_to_the_last_bit() -> None:
    curve, mean_nm = dots(6.0)
    checks = (PhysicsCheck(TEMPLATES, GRID), PhysicsCheck(TEMPLATES, GRID))
    fits = [check.fit(counted(curve, 50.0), 0.9 * mean_nm, 1.1 * mean_nm) for check in checks]
    assert fits[0].delta_chi2_better_size == fits[1].delta_chi2_better_size
    assert fits[0].significance == fits[1].significance
    np.testing.assert_array_equal(fits[0].total, fits[1].total)


@pytest.mark.parametrize(("step", "pooled"), [(0.0028, 14), (0.01, 4), (0.02, 2), (0.05, 1)])
def test_bins_are_taken_together_up_to_a_width(step: float, pooled: int) -> None:
    assert pooled_bins(BinGrid(q_first_inv_angstrom=1.0, q_step_inv_angstrom=step, n_bins=100)) == pooled


def test_normal_equations_agree_with_plain_least_squares() -> None:
    rng = np.random.default_rng(3)
    columns, target = rng.random((8, 200)), rng.random(200)
    expected, _ = nnls(columns.T, target)
    np.testing.assert_allclose(_nonnegative(columns @ columns.T, columns @ target), expected, atol=1e-6)


def test_chi2_with_each_column_is_that_of_plain_least_squares() -> None:
    frame = CHECK._pooled(counted(dots(4.0)[0], 100.0), np.ones(GRID.n_bins, bool))
    columns = CHECK._columns[CHECK._nearest_index(frame.q), 40:80:10]
    target = frame.intensity * frame.weight
    n_smooth = frame.norm.size
    expected = []
    for column in columns.T:
        both = np.vstack([frame.smooth, column * frame.weight]).T
        ridge = np.hstack([np.sqrt(LOOSE_RIDGE) * np.eye(n_smooth), np.zeros((n_smooth, 1))])
        padded = np.append(target, np.zeros(n_smooth))
        _, chi2, *_ = np.linalg.lstsq(np.vstack([both, ridge]), padded)
        expected.append(float(chi2[0]))
    np.testing.assert_allclose(_chi2_with_each(frame, columns, frame.weight), expected, rtol=1e-6)

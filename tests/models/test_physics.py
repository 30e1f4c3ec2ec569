import pickle
from dataclasses import replace

import numpy as np
import pytest
from scipy.interpolate import BSpline
from scipy.optimize import nnls

from qdsizer_stream.errors import ConfigurationError
from qdsizer_stream.models import PhysicsCheck, PhysicsFit, load_model, pooled_bins
from qdsizer_stream.patterns import BinGrid, Pattern, two_theta_from_q

COPPER = 1.5406
GRID = BinGrid(q_first_inv_angstrom=0.96, q_step_inv_angstrom=0.02, n_bins=704)
TEMPLATES = load_model("pbs").templates
CHECK = PhysicsCheck(TEMPLATES, GRID, 5.934)


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
    # Read at larger Q, the peaks lie at smaller Q.
    assert fit.shift_inv_angstrom == pytest.approx(-shift, abs=3 * fit.shift_sd_inv_angstrom)
    assert fit.shift_sd_inv_angstrom < 0.0015
    assert abs(fit.strain) < 0.001
    assert fit_near(counted(pattern, 1000.0), mean_nm).sure_shift_inv_angstrom < 0.001


def test_errors_of_strain_and_shift_are_the_scatter_between_frames() -> None:
    pattern, mean_nm = dots(5.0, 0.06, strain=0.003)
    shifted = np.interp(GRID.centres + 0.02, GRID.centres, pattern)
    fits = [fit_near(counted(shifted, 300.0, seed), mean_nm) for seed in range(30)]
    strains, shifts = [fit.strain for fit in fits], [fit.shift_inv_angstrom for fit in fits]
    assert np.mean(strains) == pytest.approx(0.003, abs=1e-4)
    assert np.mean(shifts) == pytest.approx(-0.02, abs=4e-4)
    # The scatter of thirty is known to 13 %.
    assert np.mean([fit.strain_sd for fit in fits]) == pytest.approx(np.std(strains), rel=0.25)
    assert np.mean([fit.shift_sd_inv_angstrom for fit in fits]) == pytest.approx(np.std(shifts), rel=0.25)


@pytest.mark.parametrize(
    ("true_nm", "counts", "high"), [(3.0, 60.0, 1.6), (4.0, 200.0, 1.2), (5.0, 100.0, 1.2)]
)
def test_the_size_fitted_in_an_interval_is_the_best_or_nearly(
    true_nm: float, counts: float, high: float
) -> None:
    """Where the middle of the interval fits worse by more than a tenth, another size is fitted."""
    pattern, mean_nm = dots(true_nm)
    frame = counted(0.6 * pattern + 0.4 * on_grid(TEMPLATES.solvents[4]), counts)
    low_nm, high_nm = 0.98 * mean_nm, high * mean_nm
    sizes = [size for size in np.unique(TEMPLATES.mean_nm) if low_nm <= size <= high_nm]
    best = min(CHECK.fit(frame, size, size).misfit for size in sizes)
    assert CHECK.fit(frame, low_nm, high_nm).misfit < 1.1 * best


@pytest.mark.parametrize("shift_deg", [0.3, -0.25])
def test_a_two_theta_shift_of_copper_is_found_beside_a_strain(shift_deg: float) -> None:
    """As angles: the shift of Q falls with cos θ. The size and the strain are those without it."""
    pattern, mean_nm = dots(5.0, 0.06, strain=0.004)
    true = two_theta_from_q(np.minimum(GRID.centres, 8.0), COPPER) - shift_deg
    q = 4 * np.pi / COPPER * np.sin(np.radians(true) / 2)
    shifted = np.interp(q, GRID.centres, pattern)
    noisy = np.random.default_rng(1).poisson(2000 * shifted)
    frame = Pattern.from_arrays(GRID.centres, noisy, mask=GRID.centres > 7.0)
    fit = CHECK.fit(frame, mean_nm, mean_nm, 0.06, wavelength_angstrom=COPPER)
    found_deg = np.degrees(fit.shift_inv_angstrom * COPPER / (2 * np.pi))
    sd_deg = np.degrees(fit.shift_sd_inv_angstrom * COPPER / (2 * np.pi))
    assert found_deg == pytest.approx(shift_deg, abs=0.02 + 2 * sd_deg)
    assert sd_deg < 0.03
    assert fit.strain == pytest.approx(0.004, abs=0.001)
    assert fit.misfit < 1
    assert fit.delta_chi2_better_size < 10


@pytest.mark.parametrize("scale", [0.7, 0.985, 1.25])
def test_the_scale_at_which_peaks_would_fit_is_found(scale: float) -> None:
    pattern, _ = dots(4.5)
    q = np.minimum(GRID.centres * scale, GRID.centres[-1])
    wrong = np.interp(q, GRID.centres, 0.5 * pattern + 0.5 * on_grid(TEMPLATES.solvents[4]))
    found, explained = CHECK.scale_of(counted(wrong, 1000.0))
    assert found == pytest.approx(scale, rel=0.004)
    assert explained > 0.8
    flat = counted(np.ones(GRID.n_bins), 1000.0)
    assert CHECK.scale_of(flat)[1] < 0.5


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


@pytest.mark.slow
def test_one_frame_gives_one_fit_to_the_last_bit() -> None:
    curve, mean_nm = dots(6.0)
    checks = (PhysicsCheck(TEMPLATES, GRID, 5.934), PhysicsCheck(TEMPLATES, GRID, 5.934))
    fits = [check.fit(counted(curve, 50.0), 0.9 * mean_nm, 1.1 * mean_nm) for check in checks]
    assert fits[0].delta_chi2_better_size == fits[1].delta_chi2_better_size
    assert fits[0].significance == fits[1].significance
    np.testing.assert_array_equal(fits[0].total, fits[1].total)


@pytest.mark.parametrize(("step", "pooled"), [(0.0028, 14), (0.01, 4), (0.02, 2), (0.05, 1)])
def test_bins_are_taken_together_up_to_a_width(step: float, pooled: int) -> None:
    assert pooled_bins(BinGrid(q_first_inv_angstrom=1.0, q_step_inv_angstrom=step, n_bins=100)) == pooled


@pytest.mark.parametrize(
    ("low_nm", "high_nm", "fitted_nm"), [(0.52, 0.90, 1.0), (30.0, 40.0, 24.0), (-0.3, 0.4, 1.0)]
)
def test_an_interval_outside_the_templates_takes_the_nearest(
    low_nm: float, high_nm: float, fitted_nm: float
) -> None:
    """Also one below zero, which the interval of a model with a constant half-width can be."""
    pattern, _ = dots(5.0)
    frame = counted(pattern, 100.0)
    fit, nearest = CHECK.fit(frame, low_nm, high_nm), CHECK.fit(frame, fitted_nm, fitted_nm)
    assert fit.misfit == nearest.misfit
    assert fit.delta_chi2_better_size == nearest.delta_chi2_better_size > 1000
    assert fit.best_nm == pytest.approx(5.0, rel=0.2)
    np.testing.assert_array_equal(fit.dots, nearest.dots)


COARSE = BinGrid(q_first_inv_angstrom=0.97, q_step_inv_angstrom=0.04, n_bins=352)
"""Bins that the check does not pool below 6.5 Å⁻¹, so that a frame of a template is that template."""
COARSE_CHECK = PhysicsCheck(TEMPLATES, COARSE, 5.934)
(SEVEN_NM,) = np.flatnonzero((np.abs(TEMPLATES.mean_nm - 7.0) < 0.3) & (TEMPLATES.dispersion == 0.06))


def convolved(template: int, fwhm: np.ndarray) -> np.ndarray:
    """Convolution written out on the templates' points, the width of each bin its own; then at the bins."""
    q = TEMPLATES.q_inv_angstrom
    sd = np.interp(q, COARSE.centres, fwhm)[:, None] / (2 * np.sqrt(2 * np.log(2)))
    gaussian = np.exp(-0.5 * ((q - q[:, None]) / sd) ** 2)
    curve = (gaussian @ TEMPLATES.dots[template].astype(np.float64)) / gaussian.sum(axis=1)
    return np.asarray(np.interp(COARSE.centres, q, curve))


def clear_part(intensity: np.ndarray, sigma: np.ndarray) -> Pattern:
    return Pattern.from_arrays(COARSE.centres, intensity, sigma, mask=COARSE.centres > 6.4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "fwhm",
    [np.full(352, 0.02), np.full(352, 0.09), 0.015 * COARSE.centres],
    ids=["0.02", "0.09", "1.5 % of Q"],
)
def test_templates_are_convolved_with_the_instrument(fwhm: np.ndarray) -> None:
    """The fit of a frame without noise, one template blurred by brute force, is that frame."""
    mean_nm, blurred = float(TEMPLATES.mean_nm[SEVEN_NM]), convolved(SEVEN_NM, fwhm)
    fit = COARSE_CHECK.fit(clear_part(blurred, 1e-3 * blurred), mean_nm, mean_nm, 0.06, fwhm)
    assert fit.best_nm == mean_nm
    assert abs(fit.strain) < 1e-4
    assert fit.misfit < 0.01
    inside = (COARSE.centres > 1.3) & (COARSE.centres < 6.4)
    np.testing.assert_allclose(fit.total[inside], blurred[inside], rtol=5e-3)
    np.testing.assert_allclose(fit.dots[inside] + fit.background[inside], blurred[inside], rtol=0.05)


@pytest.mark.slow
def test_dots_of_a_blurred_frame_look_smaller_to_a_perfect_instrument() -> None:
    mean_nm, fwhm = float(TEMPLATES.mean_nm[SEVEN_NM]), np.full(352, 0.06)
    noisy = np.random.default_rng(0).poisson(3000 * convolved(SEVEN_NM, fwhm))
    frame = clear_part(noisy, np.sqrt(noisy))
    known, unknown = (COARSE_CHECK.fit(frame, mean_nm, mean_nm, 0.06, width) for width in (fwhm, None))
    assert known.best_nm == pytest.approx(mean_nm, rel=0.1)
    assert known.delta_chi2_better_size < 5
    assert unknown.best_nm < 0.85 * mean_nm
    assert unknown.delta_chi2_better_size > 100


@pytest.mark.parametrize("shift", [0.03, -0.02])
def test_a_fit_at_shifted_places_is_as_good_as_one_without(shift: float) -> None:
    mean_nm, q = float(TEMPLATES.mean_nm[SEVEN_NM]), TEMPLATES.q_inv_angstrom
    noisy = np.random.default_rng(2).poisson(
        5000 * np.interp(COARSE.centres - shift, q, TEMPLATES.dots[SEVEN_NM])
    )
    fit = COARSE_CHECK.fit(clear_part(noisy, np.sqrt(noisy)), mean_nm, mean_nm, 0.06)
    assert fit.shift_inv_angstrom == pytest.approx(shift, abs=0.001)
    assert abs(fit.strain) < 5e-4
    assert fit.misfit < 0.7
    assert fit.best_nm == pytest.approx(mean_nm, rel=0.01)


def test_a_resolution_of_zero_is_a_perfect_instrument() -> None:
    curve, mean_nm = dots(6.0)
    frame = counted(curve, 500.0)
    fits = [CHECK.fit(frame, mean_nm, mean_nm, 0.14, fwhm) for fwhm in (None, np.zeros(704))]
    assert fits[1].misfit == pytest.approx(fits[0].misfit, rel=1e-6)
    np.testing.assert_allclose(fits[1].dots, fits[0].dots, rtol=1e-5, atol=1e-3)


@pytest.mark.slow
def test_changing_instruments_keep_their_own_curves() -> None:
    curve, mean_nm = dots(6.0)
    frame = counted(curve, 500.0)
    check = PhysicsCheck(TEMPLATES, GRID, 5.934)
    widths = [0.02, 0.05, 0.09, 0.02]  # more than are kept, and the first again
    misfits = [check.fit(frame, mean_nm, mean_nm, 0.14, np.full(704, width)).misfit for width in widths]
    assert misfits[3] == misfits[0] < misfits[1] < misfits[2]


@pytest.mark.parametrize(
    ("fwhm", "message"),
    [
        (np.full(3, 0.02), r"has shape \(3,\), the physics check has 704 bins: give one FWHM for each bin"),
        (np.full(704, -0.01), "holds -0.01 Å⁻¹: every FWHM must be finite and not negative"),
        (np.append(np.zeros(703), np.nan), "holds nan Å⁻¹: every FWHM must be finite and not negative"),
    ],
)
def test_resolutions_that_cannot_be(fwhm: np.ndarray, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        CHECK.fit(counted(dots(6.0)[0], 100.0), 5.0, 6.0, resolution_inv_angstrom=fwhm)


def design(template: int, strain: float) -> tuple[np.ndarray, np.ndarray]:
    """Columns of the check, written out: liquids, halos and splines; dots times a triangle at each peak."""
    first, crowded = float(TEMPLATES.q_inv_angstrom[0]), int(np.sum(GRID.centres < 6.5))
    groups = [
        *np.split(np.arange(crowded), range(2, crowded, 2)),
        *np.split(np.arange(crowded, 704), range(4, 704 - crowded, 4)),
    ]
    q = np.array([GRID.centres[group].mean() for group in groups if group.size])
    halos = [(c, 0.18) for c in 0.9 + 0.15 * np.arange(12)] + [(c, 0.35) for c in (2.7, 3.0, 3.3)]
    fine, n_coarse = q[0] + 0.8 * np.arange(int((6.5 - q[0]) / 0.8) + 1), 1
    while (q[-1] - fine[-1]) / n_coarse > 1.6:
        n_coarse += 1
    inner = np.append(fine, fine[-1] + (q[-1] - fine[-1]) / n_coarse * np.arange(1, n_coarse + 1))
    knots = np.r_[[q[0]] * 3, inner, [q[-1]] * 3]
    splines = [BSpline(knots, np.eye(knots.size - 4)[k], 3)(q) for k in range(knots.size - 4)]
    smooth = [np.interp(q, TEMPLATES.q_inv_angstrom, curve) for curve in TEMPLATES.solvents]
    smooth += [np.exp(-((q - c) ** 2) / 2 / w**2) for c, w in halos] + splines
    nodes = [TEMPLATES.peaks_inv_angstrom[0]]
    for peak in TEMPLATES.peaks_inv_angstrom:
        if peak < 6.5 and peak - nodes[-1] >= 0.25:
            nodes.append(peak)
    nodes = np.append(nodes, np.arange(nodes[-1] + 1.5, q[-1], 1.5))
    step = TEMPLATES.q_inv_angstrom[1] - first
    stretched = q * (1 + strain)
    half = round(0.02 / step) * step  # of the bins' width
    narrow, low, high = (
        np.interp(stretched + s, TEMPLATES.q_inv_angstrom, TEMPLATES.dots[template]) for s in (0, -half, half)
    )
    shape = np.where(stretched > 6.5, (low + high) / 2, narrow)
    dots_columns = [shape * np.interp(q, nodes, top) for top in np.eye(nodes.size)]
    return np.array(smooth), np.array(dots_columns)


def pooled(pattern: Pattern) -> tuple[np.ndarray, np.ndarray]:
    """Intensity and standard deviation, with 2 % granted, of what the check takes together."""
    crowded = int(np.sum(GRID.centres < 6.5))
    starts = [*range(0, crowded, 2), *range(crowded, 704, 4)]
    groups = [slice(a, b) for a, b in zip(starts, [*starts[1:], 704], strict=True)]
    intensity = np.array([pattern.intensity[group].mean() for group in groups])
    variance = np.array(
        [np.sum(pattern.sigma[group] ** 2) / (group.stop - group.start) ** 2 for group in groups]
    )
    return intensity, np.sqrt(variance + (0.02 * intensity) ** 2)


@pytest.mark.parametrize(
    ("area_fraction", "counts", "clear"), [(0.02, 300.0, False), (0.4, 50.0, True)], ids=["faint", "clear"]
)
def test_the_check_is_plain_least_squares(area_fraction: float, counts: float, clear: bool) -> None:
    curve, mean_nm = dots(5.0)
    frame = counted(area_fraction * curve + (1 - area_fraction) * on_grid(TEMPLATES.solvents[4]), counts)
    fit = fit_near(frame, mean_nm)
    intensity, sd = pooled(frame)
    target, chi2 = intensity / sd, []
    for template in np.flatnonzero(np.abs(np.log(TEMPLATES.mean_nm / mean_nm)) < 0.1):
        smooth, with_dots = (columns / sd for columns in design(template, fit.strain))
        chi2.append(nnls(np.vstack([smooth, with_dots]).T, target)[1] ** 2)
    assert fit.misfit * intensity.size == pytest.approx(min(chi2), rel=2e-3)
    # Where dots are clear, χ² without them is bounded from below: the amounts may be negative.
    smooth /= np.linalg.norm(smooth, axis=1)[:, None]
    rhs = smooth @ target
    bound = target @ target - rhs @ np.linalg.solve(smooth @ smooth.T + 1e-6 * np.eye(len(smooth)), rhs)
    without = bound if clear else nnls(smooth.T, target)[1] ** 2
    assert fit.significance == pytest.approx(without - min(chi2), rel=2e-3, abs=0.5)
    left = without - intensity.size
    assert fit.explained == pytest.approx(fit.significance / max(left, fit.significance), rel=2e-3)


@pytest.mark.parametrize("counts", [300.0, 3000.0])
def test_the_residual_is_what_the_fit_leaves_beyond_noise(counts: float) -> None:
    curve, mean_nm = dots(5.0)
    frame = counted(curve * (1 + 0.08 * np.sin(40 * GRID.centres)), counts)
    fit = fit_near(frame, mean_nm)
    intensity, sd = pooled(frame)
    fitted = pooled(replace(frame, intensity=fit.total))[0]
    noise = sd**2 - (0.02 * intensity) ** 2  # of photons alone
    left = np.mean((intensity - fitted) ** 2 - noise)
    # The curve of the fit is read between its points here, which costs 3 %.
    assert fit.residual == pytest.approx(np.sqrt(left) / intensity.mean(), rel=0.04)


@pytest.mark.slow
@pytest.mark.parametrize("ripple", [0.0, 0.1], ids=["good fit", "bad fit"])
def test_a_better_size_is_that_of_a_fit_with_it(ripple: float) -> None:
    curve, mean_nm = dots(6.0)
    mixture = 0.6 * curve + 0.4 * on_grid(TEMPLATES.solvents[4])
    frame = counted(mixture * (1 + ripple * np.sin(40 * GRID.centres)), 2000.0 if ripple else 200.0)
    misfits = {float(nm): fit_near(frame, nm).misfit for nm in np.unique(TEMPLATES.mean_nm)}
    best_nm = min(misfits, key=misfits.__getitem__)
    # With 2 % allowed for the templates, number mean and dispersion trade along one mass mean.
    assert best_nm == pytest.approx(mean_nm, rel=0.1)
    assert (misfits[best_nm] > 2) is bool(ripple)
    wrong = fit_near(frame, 3.0)
    n = pooled(frame)[0].size
    fall = n * (wrong.misfit - misfits[best_nm]) / max(misfits[best_nm], 1.0)
    assert wrong.delta_chi2_better_size == pytest.approx(fall, rel=0.05)
    assert wrong.best_nm == pytest.approx(best_nm, rel=0.1)
    assert fit_near(frame, best_nm).delta_chi2_better_size == pytest.approx(0.0, abs=2.0)


@pytest.mark.slow
def test_what_is_kept_of_the_frame_before_changes_no_number() -> None:
    """Frames of other Q, strain, gaps and instruments in between."""
    pattern, mean_nm = dots(4.0)
    strained, _ = dots(4.0, strain=0.008)
    frames = [counted(pattern, 300.0), counted(strained, 300.0, 1)]
    frames.append(replace(frames[0], q_inv_angstrom=frames[0].q_inv_angstrom + 0.004))
    frames.append(replace(frames[0], mask=(GRID.centres > 3) & (GRID.centres < 3.4)))
    widths = [None, np.full(GRID.n_bins, 0.02)]
    kept = PhysicsCheck(TEMPLATES, GRID, 5.934)
    for frame, width in [(frame, width) for width in widths for frame in (*frames, *frames)]:
        expected = PhysicsCheck(TEMPLATES, GRID, 5.934).fit(frame, 0.96 * mean_nm, 1.04 * mean_nm, 0.1, width)
        found = kept.fit(frame, 0.96 * mean_nm, 1.04 * mean_nm, 0.1, width)
        assert (found.misfit, found.strain, found.best_nm) == (
            expected.misfit,
            expected.strain,
            expected.best_nm,
        )
        np.testing.assert_array_equal(found.total, expected.total)


def test_curves_are_the_same_after_pickling_and_hold_no_templates() -> None:
    pattern, mean_nm = dots(4.0)
    fit = fit_near(counted(pattern, 300.0), mean_nm)
    pickled = pickle.dumps(fit)
    assert len(pickled) < 4 * 8 * GRID.n_bins  # three curves, and not what they were computed from
    copied = pickle.loads(pickled)
    for part in ("dots", "solvent", "background", "total"):
        np.testing.assert_array_equal(getattr(copied, part), getattr(fit, part))


@pytest.mark.parametrize(
    ("counts", "shift", "applied"),
    [(30.0, 0.008, True), (50.0, 0.008, True), (50.0, 0.006, False), (80.0, 0.004, False)],
)
def test_dots_are_fitted_at_a_shift_of_two_standard_deviations(
    counts: float, shift: float, applied: bool
) -> None:
    """Two standard deviations beyond 0.002 Å⁻¹; a smaller shift is reported and not applied."""
    pattern, mean_nm = dots(4.0)
    q = GRID.centres
    fit = fit_near(counted(np.interp(q + shift, q, pattern), counts), mean_nm)
    assert (abs(fit.shift_inv_angstrom) - 2 * fit.shift_sd_inv_angstrom > 0.002) is applied
    near = (q > 1.5) & (q < 2.5)  # the three strongest peaks, 111, 200 and 220
    offsets = np.arange(-0.02, 0.02, 1e-4)
    moved = np.array([np.interp(q - offset, q, pattern)[near] for offset in offsets])
    alike = moved @ fit.dots[near] / np.linalg.norm(moved, axis=1)
    strained = -2.0 * fit.strain  # at the middle of these peaks
    found = offsets[np.argmax(alike)]
    assert found == pytest.approx(strained + applied * fit.shift_inv_angstrom, abs=0.0018)


def test_reflections_lie_where_the_fit_has_the_dots() -> None:
    """111 of a lattice parameter of 5.934 Å, strained and seen at a wrong zero."""
    q, strain, shift = GRID.centres, 0.006, 0.02
    curve, mean_nm = dots(7.0, 0.06, strain=strain)
    fit = fit_near(counted(np.interp(q - shift, q, curve), 3000.0), mean_nm)
    unstrained = CHECK.fit(counted(dots(7.0, 0.06)[0], 3000.0), mean_nm, mean_nm).reflections
    first = fit.reflections.q_inv_angstrom[0]
    assert fit.reflections.labels[0] == "111"
    assert first == pytest.approx(2 * np.pi * np.sqrt(3) / 5.934 / (1 + strain) + shift, abs=0.006)
    assert first - unstrained.q_inv_angstrom[0] == pytest.approx(shift - strain * 1.834, abs=0.002)

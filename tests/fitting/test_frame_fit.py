"""The fit of one frame: exact curves and slopes, recovered parameters, their standard deviations."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from qdsizer_stream.models.fit import (
    FitOptions,
    FitTemplates,
    FrameFit,
    Population,
    Prior,
    lognormal_population,
)
from qdsizer_stream.patterns import Pattern
from qdsizer_stream.simulation import (
    CorrelatedMotion,
    averaged_sphere_pairs,
    correlated_sums,
    debye_wavenumber,
    form_factors,
    load_material,
    lognormal_weights,
    pattern_sums,
)

THERMAL = np.array([1.3, 1.6])


def test_curves_are_those_of_the_engine(templates: FitTemplates) -> None:
    """A population with correlated motion and strain against the exact sums over clusters in equal steps."""
    material = load_material("PbS").with_b({"Pb": 1.3, "S": 1.6})
    strain, amplitude = 0.004, 0.9
    diameters = np.arange(0.9, 9.0, 0.05)
    weights = lognormal_weights(diameters, np.array([4.0]), np.array([0.12]), min_fraction=0.0)[:, 0]
    stretched = templates.q_inv_angstrom[10::25]
    q = stretched / (1 + strain)
    table = averaged_sphere_pairs(material, 10 * diameters)
    motion = CorrelatedMotion(amplitude / (1 + strain) ** 2, debye_wavenumber(material))
    sums = correlated_sums(table, stretched, motion)
    exact = pattern_sums(material, table, sums, q, form_factors(material, q, 0.56)) @ weights
    exact /= table.self_terms[0] @ weights
    population = lognormal_population(templates.diameters_nm, templates.cells, 4.0, 0.12)
    found = templates.curves(population, THERMAL, amplitude, strain).intensity[10::25]
    np.testing.assert_allclose(found, exact, rtol=6e-4)


@pytest.mark.parametrize("name", ["mean", "dispersion", "correlated", "Pb", "S"])
def test_slopes_are_differences(templates: FitTemplates, name: str) -> None:
    def curves(step: float):
        mean = 4.0 * math.exp(step * (name == "mean"))
        dispersion = 0.12 * math.exp(step * (name == "dispersion"))
        population = lognormal_population(templates.diameters_nm, templates.cells, mean, dispersion)
        b = THERMAL + step * np.array([name == "Pb", name == "S"])
        return templates.curves(population, b, 0.9 + step * (name == "correlated"), 0.003)

    step = 3e-3
    difference = (curves(step).intensity - curves(-step).intensity) / (2 * step)
    at = curves(0.0)
    slope = {
        "mean": at.by_log_mean,
        "dispersion": at.by_log_dispersion,
        "correlated": at.by_correlated,
        "Pb": at.by_b[0],
        "S": at.by_b[1],
    }[name]
    # Differences of curves in single precision, and a third derivative.
    np.testing.assert_allclose(slope, difference, rtol=0, atol=2e-3 * np.abs(slope).max())


def test_collapsed_templates_are_means_over_three_steps(templates: FitTemplates) -> None:
    """With displacement parameters that change together; the mean over a bin is 1, 3, 3, 1 eighths."""
    population = lognormal_population(templates.diameters_nm, templates.cells, 4.0, 0.12)
    smallest = templates.b_angstrom2.min()
    collapsed = templates.collapsed()
    found = collapsed.curves(population, np.array([smallest + 0.5]), 0.9, 0.0)
    whole = templates.curves(population, templates.b_angstrom2 + 0.5, 0.9, 0.0)
    for one, of_whole in (
        (found.intensity, whole.intensity),
        (found.by_log_mean, whole.by_log_mean),
        (found.by_correlated, whole.by_correlated),
        (found.by_b[0], whole.by_b.sum(axis=0)),
    ):
        mean = np.convolve(of_whole, [0.125, 0.375, 0.375, 0.125], mode="valid")
        np.testing.assert_allclose(one, mean, rtol=0, atol=3e-4 * np.abs(of_whole).max())
    first = templates.q_inv_angstrom[:4].mean()
    assert collapsed.q_inv_angstrom[0] == pytest.approx(first, abs=1e-9)


def test_population_moments() -> None:
    diameters = 0.8 * 1.04 ** np.arange(80)
    cells = diameters**3
    clusters, by_mean, by_dispersion = lognormal_population(diameters, cells, 4.0, 0.15)
    assert clusters @ cells == pytest.approx(1.0, abs=1e-12)
    assert clusters @ diameters / clusters.sum() == pytest.approx(4.0, rel=1e-4)
    assert clusters @ diameters**4 / (clusters @ cells) == pytest.approx(4.0 * 1.0225**3, rel=1e-4)
    # Larger dots of the same volume are fewer: 1/N goes with the cube of the mean
    assert by_mean.sum() / clusters.sum() == pytest.approx(-3.0, rel=1e-3)
    assert by_dispersion @ cells == pytest.approx(0.0, abs=1e-12)


def fitted(templates: FitTemplates, pattern: Pattern, **settings: object):
    options = settings.pop("options", FitOptions())
    return FrameFit(templates, options).fit(
        pattern.q_inv_angstrom, pattern.intensity, pattern.sigma, **settings
    )


def test_diameters_that_hardly_occur_are_left_out_of_the_sums(templates: FitTemplates) -> None:
    """The curve is the sum over all of them one by one, to single precision."""
    few = lognormal_population(templates.diameters_nm, templates.cells, 3.0, 0.05)
    nothing = np.zeros(templates.cells.size)
    alone = [Population(one / templates.cells, nothing, nothing) for one in np.eye(templates.cells.size)]
    thermal = (THERMAL, 0.9, 0.003)
    expected = (few.clusters * templates.cells) @ [c.intensity for c in templates.curves_of(alone, *thermal)]
    found = templates.curves(few, *thermal).intensity
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * expected.max())


def test_a_fit_at_a_bound_converges(templates: FitTemplates, frame: Callable[..., tuple]) -> None:
    """An instrument wider than the peaks leaves the largest cluster as the best, which the fit must reach."""
    pattern, _ = frame(3, mean=4.0, dispersion=0.1, fraction=1.0, photons=1e4)
    width = np.full(templates.q_inv_angstrom.size, 0.15)
    fit = fitted(templates, pattern, options=FitOptions(common_b=True), fwhm_inv_angstrom=width)
    assert fit.converged
    assert fit.number_mean_nm == pytest.approx(templates.size_range_nm[1])


@pytest.mark.slow
def test_truth_within_the_standard_deviations(templates: FitTemplates, frame: Callable[..., tuple]) -> None:
    """16 frames of known truth: errors over standard deviations have a root mean square of about 1."""
    pulls = []
    for number in range(16):
        pattern, truth = frame(number, strain=0.003 * math.sin(number))
        fit = fitted(templates, pattern)
        assert fit.converged
        assert fit.chi2 == pytest.approx(1.0, abs=0.12)
        pulls.append(
            [
                (fit.mass_mean_nm - truth.mass_mean_nm) / fit.mass_mean_sd_nm,
                (fit.number_mean_nm - truth.number_mean_nm) / fit.number_mean_sd_nm,
                (fit.dispersion - truth.dispersion) / fit.dispersion_sd,
                (fit.strain - truth.strain) / fit.strain_sd,
                (fit.two_theta_zero_deg - truth.zero_deg) / fit.two_theta_zero_sd_deg,
                (fit.b_angstrom2["Pb"] - 1.3) / fit.b_sd_angstrom2["Pb"],
                (fit.correlated_angstrom2 - 1.0) / fit.correlated_sd_angstrom2,
            ]
        )
    rms = np.sqrt(np.mean(np.square(pulls), axis=0))
    # With 16 draws the root mean square of a unit normal lies within 0.6 to 1.4 in 97 of 100 cases.
    assert np.all((rms > 0.6) & (rms < 1.4)), rms
    assert np.all(np.abs(np.mean(pulls, axis=0)) < 0.75), np.mean(pulls, axis=0)


def test_shares_and_correlation(templates: FitTemplates, frame: Callable[..., tuple]) -> None:
    pattern, truth = frame(1, mean=4.0, dispersion=0.12, fraction=0.6, part=0.3, photons=2e4)
    fit = fitted(templates, pattern)
    assert sum(fit.shares.values()) == pytest.approx(1.0, abs=1e-9)
    # The solvent's share is 0.4 of the area before the background of 0.22 ± 0.02 is added.
    assert fit.shares["nanocrystals"] + fit.shares["disordered"] == pytest.approx(0.6 / 1.2, abs=0.06)
    assert fit.disordered_nm == pytest.approx(truth.disordered_nm, abs=0.1)
    assert fit.size_dispersion_correlation < -0.7
    np.testing.assert_allclose(sum(fit.curves.values()), fit.fitted)
    assert fit.lattice_parameter_angstrom == pytest.approx(5.934, abs=0.002)


def test_the_instrument_broadens(templates: FitTemplates, frame: Callable[..., tuple]) -> None:
    """A frame seen through 0.25°: 3 % too small without its width, right with it."""
    pattern, truth = frame(3, mean=5.0, dispersion=0.1, fraction=1.0, blur_deg=0.25, photons=1e4)
    q = templates.q_inv_angstrom
    cos = np.sqrt(1 - (0.56 * q / (4 * np.pi)) ** 2)
    fwhm = np.radians(0.25) * 2 * np.pi / 0.56 * cos
    blurred, known = fitted(templates, pattern), fitted(templates, pattern, fwhm_inv_angstrom=fwhm)
    assert blurred.mass_mean_nm < 0.97 * truth.mass_mean_nm
    assert known.mass_mean_nm == pytest.approx(truth.mass_mean_nm, abs=4 * known.mass_mean_sd_nm)


def test_a_model_error_where_the_misfit_needs_one(
    templates: FitTemplates, frame: Callable[..., tuple]
) -> None:
    """Ripples of 2 % that no part explains are found as such, and widen the standard deviations."""
    pattern, truth = frame(5, mean=4.0, dispersion=0.12, photons=1e5)
    ripple = 1 + 0.02 * math.sqrt(2) * np.sin(300 * pattern.q_inv_angstrom)
    rippled = Pattern(pattern.q_inv_angstrom, pattern.intensity * ripple, pattern.sigma, pattern.mask)
    clean, rough = fitted(templates, pattern), fitted(templates, rippled)
    assert clean.model_error < 0.003
    assert rough.model_error == pytest.approx(0.02, rel=0.15)
    assert rough.mass_mean_sd_nm > 3 * clean.mass_mean_sd_nm
    assert abs(rough.mass_mean_nm - truth.mass_mean_nm) < 4 * rough.mass_mean_sd_nm


def test_priors_hold_what_the_frame_does_not_show(
    templates: FitTemplates, frame: Callable[..., tuple]
) -> None:
    pattern, _ = frame(7, photons=5.0, fraction=0.3)
    tight = FitOptions(priors={"log_dispersion": Prior(math.log(0.08), 0.01), "correlated": Prior(0.7, 0.01)})
    fit = fitted(templates, pattern, options=tight)
    assert fit.dispersion == pytest.approx(0.08, rel=0.03)
    assert fit.correlated_angstrom2 == pytest.approx(0.7, abs=0.03)
    assert fit.dispersion_sd / fit.dispersion <= 0.0101


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_the_unit_of_the_intensity_does_not_matter(
    templates: FitTemplates, frame: Callable[..., tuple], unit: float
) -> None:
    """Counts, counts per second and per monitor: fractions are the same, and all that is fitted."""
    pattern, _ = frame(9, mean=3.2, dispersion=0.1, photons=1e4)
    scaled = replace(pattern, intensity=unit * pattern.intensity, sigma=unit * pattern.sigma)
    fit, other = fitted(templates, pattern), fitted(templates, scaled)
    assert other.number_mean_nm == pytest.approx(fit.number_mean_nm, rel=1e-6)
    assert other.number_mean_sd_nm == pytest.approx(fit.number_mean_sd_nm, rel=1e-3)
    assert other.shares == pytest.approx(fit.shares, abs=1e-5)
    assert other.chi2 == pytest.approx(fit.chi2, rel=1e-6)


def test_literature_convention(templates: FitTemplates, frame: Callable[..., tuple]) -> None:
    """Without correlated motion and disordered part dots of both look smaller: facts of measured patterns."""
    pattern, truth = frame(9, mean=3.2, dispersion=0.1, part=0.3, fraction=0.8, photons=1e4)
    plain = fitted(templates, pattern, options=FitOptions(correlated_motion=False, disordered_part=False))
    whole = fitted(templates, pattern)
    assert plain.correlated_angstrom2 == plain.correlated_sd_angstrom2 == 0.0
    assert plain.mass_mean_nm < truth.mass_mean_nm - 0.04
    assert plain.chi2 > 1.2 * whole.chi2
    assert plain.shares["disordered"] == plain.disordered_nm == 0.0
    for fit in (plain, whole):  # the parts are all that the frame was fitted with
        left = (fit.intensity - sum(fit.curves.values())) / pattern.sigma
        assert left @ left / (fit.n_points - fit.n_parameters) == pytest.approx(fit.chi2, rel=1e-9)


def test_common_displacement_parameter(templates: FitTemplates, frame: Callable[..., tuple]) -> None:
    pattern, _ = frame(11, mean=4.0, photons=2e4)
    fit = fitted(templates, pattern, options=FitOptions(common_b=True))
    differences = np.array(list(fit.b_angstrom2.values())) - templates.b_angstrom2
    assert differences[0] == pytest.approx(differences[1], abs=1e-12)


def test_fractions_are_known_as_well_as_their_photons_allow(
    templates: FitTemplates, frame: Callable[..., tuple]
) -> None:
    """A standard deviation goes with one over the root of the photons, and is that of repeated frames."""
    settings = {"mean": 4.0, "dispersion": 0.12, "fraction": 0.6, "part": 0.3, "zero": 0.0}
    few = [fitted(templates, frame(number, photons=2e3, **settings)[0]) for number in range(6)]
    many = fitted(templates, frame(0, photons=3.2e4, **settings)[0])
    stated = np.median([fit.share_sds["nanocrystals"] for fit in few])
    assert stated / many.share_sds["nanocrystals"] == pytest.approx(4.0, rel=0.3)
    # 6 draws scatter by 0.4 to 1.6 standard deviations in 98 of 100 cases.
    scatter = np.std([fit.shares["nanocrystals"] for fit in few], ddof=1)
    assert 0.3 < scatter / stated < 1.8

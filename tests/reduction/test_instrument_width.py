"""Width of the instrument's lines from simulated standards."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import voigt_profile

from qdsizer_stream.errors import CalibrationError, ConfigurationError
from qdsizer_stream.patterns import InstrumentResolution, Pattern, q_from_two_theta, two_theta_from_q
from qdsizer_stream.reduction import fit_instrument_width, line_profile

# h² + k² + l² of the first lines, written out, and lattice parameters in Å.
LINES = {
    "LaB6": ([1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 16, 17, 18, 19, 20, 21, 22], 4.156826),
    "Si": ([3, 8, 11, 16, 19, 24, 27, 32, 35, 40, 43, 48], 5.431144),
    "CeO2": ([3, 4, 8, 11, 12, 16, 19, 20, 24, 27, 32, 35, 36, 40], 5.41165),
    "Ni": ([3, 4, 8, 11, 12, 16, 19, 20, 24], 3.5238),
}
AT = np.array([2.5, 4.0, 6.0])


def standard_pattern(
    name: str,
    width_inv_angstrom: Callable[[float], float],
    *,
    step: float = 0.002,
    q_max: float = 7.0,
    peak: float = 5000.0,
    seed: int = 0,
    lorentzian: float = 0.0,
    shift: float = 0.0,
    doublet: tuple[tuple[float, float], ...] = ((1.0, 1.0),),
) -> Pattern:
    """Voigt lines on a sloping background with a halo, counted."""
    q = np.arange(1.0, q_max, step)
    expected = 60 + 150 * np.exp(-0.5 * ((q - 1.9) / 0.5) ** 2) - 3 * q
    square_sums, lattice = LINES[name]
    strengths = np.random.default_rng(5).uniform(0.3, 1.0, len(square_sums))
    for square_sum, strength in zip(square_sums, strengths, strict=True):
        centre = 2 * np.pi * math.sqrt(square_sum) / lattice
        fwhm = width_inv_angstrom(centre)
        half_lorentz = lorentzian * fwhm / 2
        gauss = math.sqrt((fwhm - 0.5346 * lorentzian * fwhm) ** 2 - 0.2166 * (lorentzian * fwhm) ** 2)
        for ratio, fraction in doublet:
            line = voigt_profile(q - centre * ratio - shift, gauss / 2.354820045, half_lorentz)
            expected += fraction * peak * strength * fwhm * line
    return Pattern.from_arrays(q, np.random.default_rng(seed).poisson(expected))


def of_angles(
    wavelength: float, fwhm_deg: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> Callable[[float], float]:
    """Width in Q as the distance of the two half-maximum angles."""

    def width(q: float) -> float:
        centre = two_theta_from_q(np.array([q]), wavelength)
        half = fwhm_deg(np.tan(np.radians(centre / 2))) / 2
        ends = [q_from_two_theta(centre + sign * half, wavelength) for sign in (1, -1)]
        return float((ends[0] - ends[1])[0])

    return width


COPPER = ((1.0, 2 / 3), (1.544427 / 1.540593, 1 / 3))

LAWS: dict[str, tuple[str, float | None, Callable[[float], float], dict[str, object]]] = {
    "constant in Q": ("LaB6", 0.56, lambda _: 0.02, {}),
    "Q axis without wavelength": ("CeO2", None, lambda _: 0.05, {}),
    "bandwidth": ("LaB6", 0.2, lambda q: math.hypot(0.02, 0.006 * q), {}),
    "constant in angle": ("Si", 0.5637, of_angles(0.5637, lambda t: np.full(t.shape, 0.04)), {}),
    "Caglioti": ("LaB6", 0.7, of_angles(0.7, lambda t: np.sqrt(0.02 * t**2 - 0.006 * t + 0.003)), {}),
    "copper": (
        "Si",
        1.540593,
        of_angles(1.540593, lambda t: np.sqrt(0.01 * t**2 - 0.004 * t + 0.006)),
        {"doublet": COPPER, "peak": 20000.0},
    ),
    "Lorentzian": ("LaB6", 0.56, lambda _: 0.02, {"lorentzian": 0.7}),
    "rapid acquisition": ("Ni", 0.18, lambda _: 0.11, {"step": 0.02, "q_max": 8.0, "shift": 0.02}),
    "few photons": ("LaB6", 0.56, lambda _: 0.03, {"peak": 300.0}),
}


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("seed", [0, 1])
def test_known_widths_are_found_within_their_errors(law: str, seed: int) -> None:
    name, wavelength, width, settings = LAWS[law]
    pattern = standard_pattern(name, width, seed=seed, **settings)
    fit = fit_instrument_width(
        pattern, name, wavelength_angstrom=wavelength, crystallite_nm=1e6, k_alpha_2=None
    )
    found, sigma = fit.fwhm_inv_angstrom(AT), fit.sigma_inv_angstrom(AT)
    true = np.array([width(q) for q in AT])
    assert np.all(np.abs(found - true) < 3.5 * sigma), (found, true, sigma)
    assert np.all(sigma < (0.06 if law == "few photons" else 0.03) * true)
    assert fit.k_alpha_2 is (law == "copper")
    assert fit.lorentzian == pytest.approx(0.7 if law == "Lorentzian" else 0.0, abs=0.08)


@pytest.mark.slow
def test_the_size_of_the_crystallites_is_taken_off() -> None:
    """Lines of 80 nm spheres, whose transform is the fraction of pairs within them, times a Gaussian."""
    r = np.linspace(0.0, 800.0, 4001)
    pairs = 1 - 1.5 * r / 800 + 0.5 * (r / 800) ** 3
    gauss = np.exp(-0.5 * (0.012 / 2.354820045 * r) ** 2)
    q = np.arange(1.0, 7.0, 0.001)
    expected = np.full(q.size, 50.0)
    for square_sum in LINES["LaB6"][0]:
        centre = 2 * np.pi * math.sqrt(square_sum) / LINES["LaB6"][1]
        near = np.abs(q - centre) < 0.12
        expected[near] += 60 * np.trapezoid(np.cos(np.outer(q[near] - centre, r)) * pairs * gauss, r) / np.pi
    pattern = Pattern.from_arrays(q, np.random.default_rng(0).poisson(expected))
    fit = fit_instrument_width(pattern, "LaB6", wavelength_angstrom=0.56, crystallite_nm=80.0)
    np.testing.assert_allclose(fit.fwhm_inv_angstrom(AT), 0.012, atol=3.5 * fit.sigma_inv_angstrom(AT).max())
    assert fit.sigma_inv_angstrom(AT).max() < 2e-4
    kept = fit_instrument_width(pattern, "LaB6", wavelength_angstrom=0.56, crystallite_nm=1e6)
    assert kept.fwhm_inv_angstrom(AT).min() > 0.0145  # 0.0087 of the spheres on top


def test_the_profile_is_voigts_for_large_crystallites() -> None:
    for fwhm, lorentzian in ((0.02, 0.0), (0.02, 0.5), (0.02, 1.0), (2.0, 0.5)):
        distance = np.linspace(0, 5 * fwhm, 500)
        half = lorentzian * fwhm / 2
        gauss = math.sqrt(max((fwhm - 0.5346 * 2 * half) ** 2 - 0.2166 * (2 * half) ** 2, 0.0))
        exact = voigt_profile(distance, gauss / 2.354820045, half)
        profile = line_profile(fwhm, lorentzian, math.inf)
        np.testing.assert_allclose(profile(distance), exact, atol=2e-4 * exact[0])
        assert profile(np.array([13 * fwhm])) == 0.0


@pytest.mark.slow
@pytest.mark.parametrize(("top", "peak", "from_q"), [(1e6, 2e4, 1.0), (1e5, 5e3, 6.0)])
def test_lines_are_found_on_a_background_that_falls_or_rises(top: float, peak: float, from_q: float) -> None:
    """Air scatter at low angles is higher than all lines, fluorescence and Compton scatter at high ones."""
    pattern = standard_pattern("LaB6", lambda _: 0.02, step=0.004, q_max=6.0, peak=peak)
    q = pattern.q_inv_angstrom
    length = 0.7 if from_q == 1.0 else 0.5
    steep = np.random.default_rng(3).poisson(top * np.exp(-np.abs(q - from_q) / length))
    fit = fit_instrument_width(
        Pattern.from_arrays(q, pattern.intensity + steep),
        "LaB6",
        wavelength_angstrom=0.56,
        crystallite_nm=1e6,
    )
    sigma = fit.sigma_inv_angstrom(AT)
    assert sigma.max() < 6e-4
    np.testing.assert_array_less(np.abs(fit.fwhm_inv_angstrom(AT) - 0.02), 3.5 * sigma)


@pytest.mark.slow
def test_lines_outside_the_pattern_are_passed_over() -> None:
    """The first four of LaB6, below 2.9 Å⁻¹, and those beyond 6 Å⁻¹."""
    whole = standard_pattern("LaB6", lambda _: 0.02, step=0.004)
    inside = (whole.q_inv_angstrom > 2.9) & (whole.q_inv_angstrom < 6.0)
    part = Pattern.from_arrays(whole.q_inv_angstrom[inside], whole.intensity[inside])
    fit = fit_instrument_width(part, "LaB6", wavelength_angstrom=0.56, crystallite_nm=1e6)
    assert [line.square_sum for line in fit.lines] == [4, 5, 6, 8, 9, 10, 11, 12, 13, 14]
    np.testing.assert_allclose(fit.fwhm_inv_angstrom(AT[1:2]), 0.02, rtol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shift_widths", "broader", "step"),
    [(1.45, 1.0, 0.002), (-1.45, 1.0, 0.002), (0.0, 4.0, 0.004), (0.0, 0.12, 0.0005)],
    ids=["right", "left", "broad", "narrow"],
)
def test_a_line_unlike_the_others_has_no_width(shift_widths: float, broader: float, step: float) -> None:
    """Near 300, or a hump or spike in its place: the fit ends where it may go no further."""
    width, (square_sums, lattice) = 0.02, LINES["LaB6"]
    q = np.arange(1.0, 6.0, step)
    expected = np.full(q.size, 60.0)
    for square_sum in square_sums[:13]:
        of_300 = square_sum == 9
        centre = 2 * np.pi * math.sqrt(square_sum) / lattice + of_300 * shift_widths * width
        sd = width * (broader if of_300 else 1.0) / 2.354820045
        expected += (1 + of_300) * 5000 * width * voigt_profile(q - centre, sd, 0.0)
    pattern = Pattern.from_arrays(q, np.random.default_rng(0).poisson(expected))
    fit = fit_instrument_width(pattern, "LaB6", wavelength_angstrom=0.56, crystallite_nm=1e6)
    assert [line.square_sum for line in fit.lines] == [n for n in square_sums[:13] if n != 9]
    np.testing.assert_allclose(fit.fwhm_inv_angstrom(AT), width, rtol=0.02)


def test_lines_count_as_much_as_their_widths_are_known() -> None:
    """One of six lines is fifty times as strong as the others."""
    q = np.arange(1.2, 3.9, 0.002)
    expected = np.full(q.size, 60.0)
    for square_sum in LINES["LaB6"][0][:6]:
        centre = 2 * np.pi * math.sqrt(square_sum) / LINES["LaB6"][1]
        area = 400 if square_sum == 3 else 8
        expected += area * voigt_profile(q - centre, 0.02 / 2.354820045, 0.0)
    pattern = Pattern.from_arrays(q, np.random.default_rng(0).poisson(expected))
    fit = fit_instrument_width(pattern, "LaB6", crystallite_nm=1e6)
    widths = np.array([line.fwhm_inv_angstrom for line in fit.lines])
    sigma = np.array([line.sigma_inv_angstrom for line in fit.lines])
    assert (fit.law, widths.size) == ("constant in Q", 6)
    weighted = np.average(widths, weights=sigma**-2)
    assert abs(np.mean(widths) - weighted) > sigma.min()
    assert fit.resolution.fwhm_inv_angstrom == pytest.approx(weighted, abs=0.5 * sigma.min())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broader", "left_out"), [({3: 1.4}, [3]), ({2: 1.4, 3: 1.8}, [])], ids=["one", "two"]
)
def test_three_lines_must_be_left_of_four(broader: dict[int, float], left_out: list[int]) -> None:
    """Of two that are unlike the others nobody can tell which: all four are used, and the error is large."""
    q = np.arange(1.2, 3.3, 0.002)
    expected = np.full(q.size, 60.0)
    for square_sum in LINES["LaB6"][0][:4]:
        centre = 2 * np.pi * math.sqrt(square_sum) / LINES["LaB6"][1]
        sd = 0.02 * broader.get(square_sum, 1.0) / 2.354820045
        expected += 200 * voigt_profile(q - centre, sd, 0.0)
    pattern = Pattern.from_arrays(q, np.random.default_rng(0).poisson(expected))
    fit = fit_instrument_width(pattern, "LaB6", wavelength_angstrom=0.56, crystallite_nm=1e6)
    assert [line.square_sum for line in fit.lines] == [1, 2, 3, 4]
    assert [line.square_sum for line in fit.lines if not line.used] == left_out
    assert (fit.scatter > 3) is (not left_out)


@pytest.mark.slow
def test_a_foreign_line_is_left_out() -> None:
    pattern = standard_pattern("LaB6", lambda _: 0.02)
    q = pattern.q_inv_angstrom
    centre = 2 * np.pi * 3 / LINES["LaB6"][1]
    wide = 4000 * np.exp(-0.5 * ((q - centre) / 0.016) ** 2)
    spoilt = Pattern.from_arrays(q, pattern.intensity + np.random.default_rng(1).poisson(wide))
    fit = fit_instrument_width(spoilt, "LaB6", wavelength_angstrom=0.56, crystallite_nm=1e6)
    assert [line.square_sum for line in fit.lines if not line.used] == [9]
    np.testing.assert_allclose(fit.fwhm_inv_angstrom(AT), 0.02, rtol=0.02)


def test_what_is_no_standard() -> None:
    q = np.arange(1.0, 7.0, 0.002)
    flat = Pattern.from_arrays(q, np.random.default_rng(0).poisson(100.0, q.size))
    with pytest.raises(CalibrationError, match=r"no line of the standard is seen between 1 and 7 Å"):
        fit_instrument_width(flat, "Si", wavelength_angstrom=0.56)
    with pytest.raises(ConfigurationError, match=r"standard is 'Cu': it must be one of Si, LaB6, CeO2, Ni"):
        fit_instrument_width(flat, "Cu")
    with pytest.raises(CalibrationError, match=r"crystallites of the standard are 0 nm: the diam"):
        fit_instrument_width(flat, "Si", crystallite_nm=0.0)
    with pytest.raises(CalibrationError, match=r"Kα2 is known for copper and molybdenum, and the"):
        fit_instrument_width(flat, "Si", wavelength_angstrom=0.56, k_alpha_2=True)
    coarse = standard_pattern("LaB6", lambda _: 0.004, step=0.02)
    with pytest.raises(CalibrationError, match=r"apart: there must be at least 2 points across"):
        fit_instrument_width(coarse, "LaB6", wavelength_angstrom=0.56)


@pytest.mark.slow
def test_the_result_is_what_the_settings_take() -> None:
    pattern = standard_pattern("LaB6", lambda q: math.hypot(0.02, 0.006 * q))
    fit = fit_instrument_width(pattern, "LaB6", wavelength_angstrom=0.2, crystallite_nm=1e6)
    settings = fit.resolution.model_dump(exclude_none=True)
    again = InstrumentResolution(**settings).fwhm_inv_angstrom_at(AT, 0.2)
    np.testing.assert_array_equal(again, fit.fwhm_inv_angstrom(AT))

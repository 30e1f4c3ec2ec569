import numpy as np
import pytest

from qdsizer_stream.errors import CalibrationError
from qdsizer_stream.reduction import (
    ModuleResidual,
    Standard,
    StripDetector,
    StripSimulator,
    nominal_detector,
    refine_calibration,
)

from .standards import silicon_frame

TRUE_WAVELENGTH = 0.563712
TRUE = nominal_detector(24, 2.0137)


def moved(detector: StripDetector, module: int, by_deg: float) -> StripDetector:
    modules = list(detector.modules)
    modules[module] = modules[module].model_copy(update={"offset_deg": modules[module].offset_deg + by_deg})
    return detector.model_copy(update={"modules": tuple(modules)})


def believed(offset_deg: float) -> StripDetector:
    return TRUE.model_copy(update={"global_offset_deg": offset_deg})


@pytest.mark.slow
def test_offset_and_wavelength_are_found() -> None:
    pulls = []
    for seed in range(4):
        frame = silicon_frame(TRUE, TRUE_WAVELENGTH, 1.0, 2e4, seed)
        fit = refine_calibration(believed(2.0), frame, 0.5636, 1.0, Standard.SI)
        assert fit.global_offset_deg == pytest.approx(2.0137, abs=3e-4)
        assert fit.wavelength_angstrom == pytest.approx(TRUE_WAVELENGTH, rel=5e-6)
        assert fit.wavelength_sigma_angstrom < 1e-5 * TRUE_WAVELENGTH
        assert fit.global_offset_sigma_deg < 5e-4
        assert not any(module.is_off for module in fit.modules)
        assert len(fit.modules) > 15
        pulls.append((fit.global_offset_deg - 2.0137) / fit.global_offset_sigma_deg)
    assert np.max(np.abs(pulls)) < 3


def test_offset_that_is_a_third_of_a_degree_out_is_found() -> None:
    frame = silicon_frame(TRUE, TRUE_WAVELENGTH, 0.0, 2e4, 1)
    fit = refine_calibration(believed(2.35), frame, TRUE_WAVELENGTH, 0.0, Standard.SI, hold_wavelength=True)
    assert fit.global_offset_deg == pytest.approx(2.0137, abs=3e-4)
    assert fit.wavelength_angstrom == TRUE_WAVELENGTH
    assert fit.wavelength_sigma_angstrom == 0


@pytest.mark.slow
@pytest.mark.parametrize("by_deg", [0.01, -0.004])
def test_module_out_of_place_is_named_and_pulls_nothing(by_deg: float) -> None:
    # The detector stands otherwise than its calibration says, in one module.
    frame = silicon_frame(moved(TRUE, 7, by_deg), TRUE_WAVELENGTH, 0.0, 2e4, 3)
    fit = refine_calibration(believed(2.0), frame, 0.5637, 0.0, Standard.SI)
    assert [module.module for module in fit.modules if module.is_off] == [7]
    (off,) = (module for module in fit.modules if module.module == 7)
    assert off.residual_deg == pytest.approx(-by_deg, abs=8e-4)
    assert fit.global_offset_deg == pytest.approx(2.0137, abs=4e-4)


@pytest.mark.slow
def test_wavelength_is_found_on_lanthanum_hexaboride() -> None:
    # Primitive cubic, NIST SRM 660c at 22.5 °C: a = 4.156826 Å, every sum of three squares is a line.
    sums = {h * h + k * k + m * m for h in range(13) for k in range(13) for m in range(13)} - {0}
    lines = {n: 4.156826 for n in sums if n < 150}

    def intensity(q: np.ndarray) -> np.ndarray:
        angles = 2 * np.degrees(np.arcsin(q * TRUE_WAVELENGTH / (4 * np.pi)))
        curve = np.full(q.size, 0.01)
        for n, spacing in lines.items():
            sine = TRUE_WAVELENGTH * np.sqrt(n) / (2 * spacing)
            centre = 2 * np.degrees(np.arcsin(sine))
            curve += np.exp(-n / 40) * np.exp(-0.5 * ((angles - centre) / 0.015) ** 2)
        return 2e4 * curve

    simulator = StripSimulator(detector=TRUE)
    photons = simulator.photons(intensity, TRUE_WAVELENGTH, 0.0, exposure_s=1.0)
    frame = simulator.count(photons, 1.0, np.random.default_rng(8))
    fit = refine_calibration(believed(2.0), frame, 0.5636, 0.0, "LaB6")
    assert fit.wavelength_angstrom == pytest.approx(TRUE_WAVELENGTH, rel=1e-5)
    assert fit.global_offset_deg == pytest.approx(2.0137, abs=5e-4)


@pytest.mark.slow
def test_errors_grow_with_the_scatter_of_the_modules() -> None:
    # Modules that stand 0.0025° off at random, four times what the calibration leaves.
    pulls = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        modules = tuple(
            module.model_copy(update={"offset_deg": module.offset_deg + rng.normal(0, 0.0025)})
            for module in TRUE.modules
        )
        frame = silicon_frame(TRUE.model_copy(update={"modules": modules}), TRUE_WAVELENGTH, 0.0, 2e4, seed)
        fit = refine_calibration(
            believed(2.0), frame, TRUE_WAVELENGTH, 0.0, Standard.SI, hold_wavelength=True
        )
        pulls.append((fit.global_offset_deg - 2.0137) / fit.global_offset_sigma_deg)
    assert 0.2 < np.sqrt(np.mean(np.square(pulls))) < 2


def test_bad_strips_are_not_used() -> None:
    frame = silicon_frame(TRUE, TRUE_WAVELENGTH, 0.0, 2e4, 4)
    hot = np.random.default_rng(0).choice(frame.size, 100, replace=False)
    frame[hot] = 10_000_000
    fit = refine_calibration(believed(2.0), frame, 0.5637, 0.0, Standard.SI, bad_strips=hot.tolist())
    assert fit.global_offset_deg == pytest.approx(2.0137, abs=3e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("n_left", "is_used"), [(19, False), (20, True)])
def test_a_line_needs_twenty_strips_of_its_window(n_left: int, is_used: bool) -> None:
    frame = silicon_frame(TRUE, TRUE_WAVELENGTH, 0.0, 2e4, 4)
    angles = TRUE.two_theta(0.0)
    line = 2 * np.degrees(np.arcsin(TRUE_WAVELENGTH * np.sqrt(11) / (2 * 5.431144)))  # 311, of one module
    # Strips about the line remain, and the window of 0.12° on either side has no others.
    by_distance = np.argsort(np.abs(angles - line))
    bad = by_distance[n_left : np.count_nonzero(np.abs(angles - line) < 0.13)]
    fit = refine_calibration(
        TRUE, frame, TRUE_WAVELENGTH, 0.0, Standard.SI, bad_strips=bad.tolist(), hold_wavelength=True
    )
    assert bool(np.any(np.abs(fit.line_deg - line) < 1e-6)) is is_used


def test_lattice_parameter_can_be_given() -> None:
    frame = silicon_frame(TRUE, TRUE_WAVELENGTH, 0.0, 2e4, 5)
    fit = refine_calibration(
        believed(2.0), frame, 0.5637, 0.0, Standard.SI, lattice_parameter_angstrom=5.431144 * 1.0002
    )
    # A longer spacing makes the same angles with a longer wavelength.
    assert fit.wavelength_angstrom == pytest.approx(TRUE_WAVELENGTH * 1.0002, rel=5e-6)


@pytest.mark.slow
@pytest.mark.parametrize("frame", [np.zeros(24 * 1280), np.random.default_rng(0).poisson(30, 24 * 1280)])
def test_frame_without_lines_is_refused(frame: np.ndarray) -> None:
    with pytest.raises(
        CalibrationError,
        match=r"lines of Si found between 2.001 and .*, there must be at least 4 and a quarter of them",
    ):
        refine_calibration(believed(2.0), frame, 0.5637, 0.0, Standard.SI)


@pytest.mark.slow
def test_lines_of_another_standard_are_not_fitted() -> None:
    frame = silicon_frame(TRUE, TRUE_WAVELENGTH, 0.0, 2e4, 6)
    with pytest.raises(CalibrationError, match="lines of LaB6 "):
        refine_calibration(believed(2.0), frame, 0.5637, 0.0, Standard.LAB6)


@pytest.mark.parametrize(
    ("residual_deg", "sigma_deg", "is_off"),
    [
        (0.0017, 0.0001, False),  # less than half a strip of 0.0036°
        (-0.0019, 0.0001, True),
        (0.0039, 0.001, False),  # four standard deviations
        (-0.0041, 0.001, True),
    ],
)
def test_a_module_is_off_by_half_a_strip_and_four_standard_deviations(
    residual_deg: float, sigma_deg: float, is_off: bool
) -> None:
    module = ModuleResidual(module=3, n_lines=2, residual_deg=residual_deg, sigma_deg=sigma_deg)
    assert module.is_off is is_off


def test_four_lines_are_enough() -> None:
    """Five modules show 111, 311, 400 and 331 of silicon; 220 falls between two of them."""
    short = TRUE.model_copy(update={"modules": TRUE.modules[:5]})
    frame = silicon_frame(short, TRUE_WAVELENGTH, 0.0, 2e4, 4)
    angles = short.two_theta(0.0)
    shown = [2 * np.degrees(np.arcsin(TRUE_WAVELENGTH * n**0.5 / (2 * 5.431144))) for n in (3, 11, 16, 19)]
    fit = refine_calibration(short, frame, TRUE_WAVELENGTH, 0.0, "Si", hold_wavelength=True)
    assert fit.line_deg == pytest.approx(shown, abs=1e-4)
    last = np.nonzero(np.abs(angles - shown[-1]) < 0.2)[0].tolist()
    with pytest.raises(CalibrationError, match=r"^3 of \d+ lines of Si found"):
        refine_calibration(short, frame, TRUE_WAVELENGTH, 0.0, "Si", bad_strips=last, hold_wavelength=True)

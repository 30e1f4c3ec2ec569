from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from qdsizer_stream.errors import ConfigurationError, PatternError
from qdsizer_stream.patterns import Pattern, two_theta_from_q, write_pattern
from qdsizer_stream.reduction import (
    AbsorptionFactors,
    BackgroundConfig,
    BackgroundSubtractor,
    Capillary,
    Compton,
    compton_electron_units,
    load_background,
    paalman_pings,
    straight_transmission,
    write_reduced,
)

WAVELENGTH = 12.398419843 / 22
Q = 0.6 + 0.02 * np.arange(700)
CAPILLARY = Capillary(outer_diameter_mm=0.8, wall_mm=0.02, wall_attenuation_per_cm=3.89)
MU_SAMPLE, MU_SOLVENT = 4.815, 0.326
SCALE = 0.99

DOTS = 5 * np.exp(-Q / 6) + sum(30 * np.exp(-((Q - c) ** 2) / 0.02) for c in (1.83, 2.99, 4.24))
SOLVENT = 60 * np.exp(-((Q - 1.3) ** 2) / 0.2) + 12 * np.exp(-Q / 9) * (1 + 0.25 * np.sin(1.4 * Q))
WALL = 40 * np.exp(-((Q - 1.5) ** 2) / 0.5) + 8
AIR = 30 * np.exp(-Q / 2) + 2


class Measured(NamedTuple):
    sample: Pattern
    solvent: Pattern
    capillary: Pattern
    air: Pattern


@cache
def factors(attenuation: float) -> AbsorptionFactors:
    return paalman_pings(CAPILLARY, attenuation, two_theta_from_q(Q, WAVELENGTH))


def expected(dots: NDArray[np.float64] = DOTS, upstream: float = 0.5) -> tuple[NDArray[np.float64], ...]:
    """What a beamline would measure, from the definition of the Paalman-Pings factors."""
    filled, pure = factors(MU_SAMPLE), factors(MU_SOLVENT)

    def air(attenuation: float) -> NDArray[np.float64]:
        return AIR * (upstream + (1 - upstream) * straight_transmission(CAPILLARY, attenuation))

    return (
        filled.sample_in_both * (dots + SCALE * SOLVENT) + filled.wall_in_both * WALL + air(MU_SAMPLE),
        pure.sample_in_both * SOLVENT + pure.wall_in_both * WALL + air(MU_SOLVENT),
        filled.wall_in_wall * WALL + air(0.0),
        AIR,
    )


def measured(
    rng: np.random.Generator | None = None,
    dots: NDArray[np.float64] = DOTS,
    exposure: float = 100.0,
    upstream: float = 0.5,
) -> Measured:
    patterns = []
    for curve in expected(dots, upstream):
        counts = curve * exposure if rng is None else rng.poisson(curve * exposure)
        patterns.append(Pattern.from_arrays(Q, counts / exposure, np.sqrt(counts + 1) / exposure))
    return Measured(*patterns)


def settings(**changes: object) -> BackgroundConfig:
    return BackgroundConfig.model_validate(
        {
            "capillary": CAPILLARY,
            "sample_attenuation_per_cm": MU_SAMPLE,
            "solvent_attenuation_per_cm": MU_SOLVENT,
            "solvent_scale": SCALE,
            **changes,
        }
    )


def subtractor(config: BackgroundConfig, m: Measured) -> BackgroundSubtractor:
    return BackgroundSubtractor(config, Q, WAVELENGTH, air=m.air, capillary=m.capillary, solvent=m.solvent)


def test_every_background_comes_off_exactly() -> None:
    m = measured()
    left = subtractor(settings(), m).subtract(m.sample)
    assert left.pattern.intensity == pytest.approx(DOTS, abs=1e-9)
    assert left.solvent_scale == SCALE


@pytest.mark.slow
@pytest.mark.parametrize("upstream", [0.0, 0.2, 0.9, 1.0])
def test_air_is_attenuated_downstream_of_the_capillary_only(upstream: float) -> None:
    m = measured(upstream=upstream)
    left = subtractor(settings(air_upstream=upstream), m).subtract(m.sample)
    assert left.pattern.intensity == pytest.approx(DOTS, abs=1e-9)
    # A wrong fraction leaves a trace of the air, of either sign.
    wrong = subtractor(settings(air_upstream=0.5), m).subtract(m.sample)
    assert np.max(np.abs(wrong.pattern.intensity - DOTS)) > 0.02


@pytest.mark.slow
@pytest.mark.parametrize("noisy", ["air", "capillary", "solvent"])
@pytest.mark.parametrize("upstream", [0.1, 0.9])
def test_errors_of_a_background_are_those_of_its_brute_force_propagation(noisy: str, upstream: float) -> None:
    m = measured(upstream=upstream)
    config = settings(air_upstream=upstream, solvent_scale_sigma=0)
    sigma = 0.3 + 0.1 * np.sin(Q)

    background = getattr(m, noisy)
    higher = m._replace(**{noisy: Pattern.from_arrays(Q, background.intensity + sigma, background.sigma)})
    moved = (
        subtractor(config, higher).subtract(m.sample).pattern.intensity
        - subtractor(config, m).subtract(m.sample).pattern.intensity
    )
    patterns = {
        name: Pattern.from_arrays(
            Q, getattr(m, name).intensity, sigma if name == noisy else np.full(Q.size, 1e-12)
        )
        for name in ("air", "capillary", "solvent")
    }
    left = subtractor(config, m._replace(**patterns)).subtract(m.sample)
    assert left.systematic["background"] == pytest.approx(np.abs(moved), rel=1e-6, abs=1e-9)


def test_air_is_subtracted_once_without_a_pattern_of_the_empty_capillary() -> None:
    filled = factors(MU_SAMPLE)
    transmitted = 0.3 + 0.7 * straight_transmission(CAPILLARY, MU_SAMPLE)
    sample = Pattern.from_arrays(Q, filled.sample_in_both * DOTS + transmitted * AIR, np.ones(Q.size))
    air = Pattern.from_arrays(Q, AIR, np.ones(Q.size))
    left = BackgroundSubtractor(settings(air_upstream=0.3), Q, WAVELENGTH, air=air).subtract(sample)
    assert left.pattern.intensity == pytest.approx(DOTS, abs=1e-9)


def test_plain_subtraction_takes_the_wall_too_often() -> None:
    # The reason for the factors: 1 vol% of PbS shadows a fifth of the wall.
    m = measured()
    plain = subtractor(BackgroundConfig(solvent_scale=SCALE), m).subtract(m.sample)
    assert np.min(plain.pattern.intensity - DOTS) < -5


def test_fitted_scale_is_the_solvents_share() -> None:
    m = measured(exposure=1e6)
    left = subtractor(settings(solvent_scale="fit"), m).subtract(m.sample)
    # The dots' tail here is an exponential, the fit's a parabola: the error must own up to it.
    assert abs(left.solvent_scale - SCALE) < 1.5 * left.solvent_scale_sigma
    assert left.solvent_scale_sigma < 0.01


@pytest.mark.slow
def test_point_errors_are_honest_over_many_measurements() -> None:
    rng = np.random.default_rng(12)
    squares = []
    for _ in range(40):
        m = measured(rng)
        left = subtractor(settings(), m).subtract(m.sample)
        variance = left.pattern.sigma**2 + left.systematic["background"] ** 2
        squares.append(np.mean((left.pattern.intensity - DOTS) ** 2 / variance))
    assert 0.95 < np.mean(squares) < 1.05


@pytest.mark.slow
@pytest.mark.parametrize("exposure", [1_000.0, 10_000.0])
def test_fitted_scale_is_unbiased_and_its_error_honest(exposure: float) -> None:
    rng = np.random.default_rng(13)
    dots = np.where(Q > 7, 1.5 + 0.02 * (Q - 15) ** 2, DOTS)  # a tail that the fit can follow
    pulls = []
    for _ in range(60):
        m = measured(rng, dots, exposure)
        left = subtractor(settings(solvent_scale="fit", solvent_scale_sigma=0), m).subtract(m.sample)
        pulls.append((left.solvent_scale - SCALE) / left.solvent_scale_sigma)
    # Mean square of 60 pulls: 1 ± 0.18.
    assert 0.45 < np.mean(np.square(pulls)) < 1.55
    assert abs(np.mean(pulls)) < 3 / np.sqrt(60)


def test_backgrounds_are_common_to_all_frames_and_stay_apart() -> None:
    m = measured(np.random.default_rng(3))
    left = subtractor(settings(), m).subtract(m.sample)
    assert left.pattern.sigma == pytest.approx(m.sample.sigma / factors(MU_SAMPLE).sample_in_both)
    assert np.all(left.systematic["background"] > 0)
    given = subtractor(settings(solvent_scale_sigma=0.01), m).subtract(m.sample)
    assert given.systematic["solvent_scale"] == pytest.approx(0.01 * SOLVENT, rel=0.2, abs=0.05)


def test_files_give_the_same_as_patterns(tmp_path: Path) -> None:
    m = measured(np.random.default_rng(4))
    write_reduced(tmp_path / "air.h5", m.air, title="air")
    write_pattern(tmp_path / "wall.dat", m.capillary)
    write_pattern(tmp_path / "solvent.dat", m.solvent)
    (tmp_path / "qdsizer.toml").write_text(
        """
        [background]
        solvent_scale = 0.99
        sample_attenuation_per_cm = 4.815
        solvent_attenuation_per_cm = 0.326
        air = { path = "air.h5" }
        empty_capillary = { path = "wall.dat" }
        solvent = { path = "solvent.dat" }
        [background.capillary]
        outer_diameter_mm = 0.8
        wall_mm = 0.02
        wall_attenuation_per_cm = 3.89
        """
    )
    config = load_background(tmp_path / "qdsizer.toml")
    assert config is not None
    from_files = BackgroundSubtractor.from_files(config, Q, WAVELENGTH).subtract(m.sample)
    assert from_files.pattern.intensity == pytest.approx(
        subtractor(settings(), m).subtract(m.sample).pattern.intensity, rel=1e-6, abs=1e-6
    )


def test_settings_without_backgrounds(tmp_path: Path) -> None:
    (tmp_path / "qdsizer.toml").write_text("[reduction]\n")
    assert load_background(tmp_path / "qdsizer.toml") is None
    (tmp_path / "qdsizer.toml").write_text("[background]\nwater = 1\n")
    with pytest.raises(ConfigurationError, match=r"\[background\]: there is no key 'water': allowed are "):
        load_background(tmp_path / "qdsizer.toml")


def test_nothing_to_subtract_leaves_the_pattern_alone() -> None:
    m = measured()
    left = BackgroundSubtractor(BackgroundConfig(), Q, WAVELENGTH).subtract(m.sample)
    assert left.pattern.intensity == pytest.approx(m.sample.intensity)
    assert np.isnan(left.solvent_scale)
    assert np.all(left.systematic["background"] == 0)


def test_solvent_alone_needs_no_capillary() -> None:
    sample = Pattern.from_arrays(Q, DOTS + 0.97 * SOLVENT, np.ones(Q.size))
    solvent = Pattern.from_arrays(Q, SOLVENT, np.ones(Q.size))
    config = BackgroundConfig(solvent_scale=0.97)
    left = BackgroundSubtractor(config, Q, WAVELENGTH, solvent=solvent).subtract(sample)
    assert left.pattern.intensity == pytest.approx(DOTS)


def test_gap_of_a_background_is_a_gap_of_the_result() -> None:
    m = measured()
    keep = np.ones(Q.size, bool)
    keep[100:110] = False  # written patterns leave masked points out
    holed = Pattern.from_arrays(Q[keep], m.capillary.intensity[keep], m.capillary.sigma[keep])
    left = subtractor(settings(), m._replace(capillary=holed)).subtract(m.sample)
    assert np.flatnonzero(left.pattern.mask).tolist() == list(range(100, 110))


def test_compton_of_the_dots() -> None:
    pytest.importorskip("xraylib")
    config = BackgroundConfig(compton=Compton(composition={"Pb": 1, "S": 1}, intensity_per_electron_unit=0.1))
    curve = compton_electron_units({"Pb": 1, "S": 1}, Q, WAVELENGTH)
    flat = Pattern.from_arrays(Q, 0.1 * curve + 3, np.ones(Q.size))
    left = BackgroundSubtractor(config, Q, WAVELENGTH).subtract(flat)
    assert left.pattern.intensity == pytest.approx(np.full(Q.size, 3.0))


@pytest.mark.parametrize(("angle", "ratio"), [(30, 1.7), (60, 4.0), (90, 8.4), (120, 15.5)])
def test_compton_over_rayleigh_of_toluene(angle: float, ratio: float) -> None:
    xraylib = pytest.importorskip("xraylib")
    q = 4 * np.pi / WAVELENGTH * np.sin(np.radians(angle) / 2)
    compton = compton_electron_units({"C": 7, "H": 8}, np.array([q]), WAVELENGTH)[0]
    rayleigh = sum(n * xraylib.FF_Rayl(z, q / (4 * np.pi)) ** 2 for n, z in ((7, 6), (8, 1)))
    assert compton / rayleigh == pytest.approx(ratio, rel=0.03)


def test_compton_of_what_is_no_element() -> None:
    pytest.importorskip("xraylib")
    with pytest.raises(ConfigurationError, match="'Xx' is not a chemical symbol: give one such as Pb"):
        compton_electron_units({"Xx": 1}, Q, WAVELENGTH)


def test_background_on_other_points_is_refused() -> None:
    m = measured()
    shifted = Pattern.from_arrays(Q + 0.007, m.air.intensity, m.air.sigma)
    with pytest.raises(
        PatternError,
        match=r"the air pattern has no Q point in common with the patterns: reduce it with the same bins",
    ):
        subtractor(settings(), m._replace(air=shifted))
    with pytest.raises(
        PatternError,
        match=r"the 700 Q points of the pattern differ from the 700 of its backgrounds: reduce all",
    ):
        subtractor(settings(), m).subtract(shifted)


def test_solvent_that_drowns_in_noise_is_refused() -> None:
    m = measured(np.random.default_rng(2), exposure=10)
    with pytest.raises(
        PatternError,
        match=r"the oscillations of the solvent .* are weaker than its noise: measure the solvent longer",
    ):
        subtractor(settings(solvent_scale="fit"), m).subtract(m.sample)


def test_fit_without_points_is_refused() -> None:
    m = measured()
    with pytest.raises(
        ConfigurationError, match=r"0 points between 20 and 30 Å⁻¹ to fit the scale of the solvent"
    ):
        subtractor(settings(solvent_scale="fit", fit_q_min_inv_angstrom=20), m)
    masked = Pattern.from_arrays(Q, m.sample.intensity, m.sample.sigma, mask=Q > 8.1)
    with pytest.raises(
        PatternError, match=r"6 usable points to fit the scale of the solvent, there must be at least 20"
    ):
        subtractor(settings(solvent_scale="fit"), m).subtract(masked)


@pytest.mark.parametrize(
    ("field", "allowed", "refused"),
    [
        ("sample_attenuation_per_cm", [0.0, 0.3, 450.0], [-1e-9]),
        ("solvent_attenuation_per_cm", [0.0, 0.3, 450.0], [-1e-9]),
        ("air_upstream", [0.0, 0.3, 1.0], [-1e-9, 1 + 1e-9]),
        ("solvent_scale_sigma", [0.0, 0.3, 0.999], [-1e-9, 1.0]),
        ("fit_q_min_inv_angstrom", [1e-3, 0.5], [0.0, -8.0]),
        ("fit_q_max_inv_angstrom", [1e-3, 0.5], [0.0, -8.0]),
    ],
)
def test_what_each_setting_allows(
    check_limits: Callable[..., None], field: str, allowed: list[float], refused: list[float]
) -> None:
    check_limits(BackgroundConfig(), field, allowed, refused)


def test_settings_that_are_left_out() -> None:
    left_out = BackgroundConfig()
    assert (left_out.sample_attenuation_per_cm, left_out.solvent_attenuation_per_cm) == (0, 0)
    assert (left_out.air_upstream, left_out.solvent_scale, left_out.solvent_scale_sigma) == (
        0.5,
        "fit",
        0.005,
    )
    assert (left_out.fit_q_min_inv_angstrom, left_out.fit_q_max_inv_angstrom) == (8, 30)


def test_a_scale_of_electron_units_is_positive(check_limits: Callable[..., None]) -> None:
    one = Compton(composition={"Pb": 1, "S": 1}, intensity_per_electron_unit=1.0)
    check_limits(one, "intensity_per_electron_unit", [1e-12, 0.5], [0.0, -1.0])

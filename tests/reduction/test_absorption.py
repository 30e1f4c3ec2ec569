from collections.abc import Callable

import numpy as np
import pytest

from qdsizer_stream.errors import ConfigurationError
from qdsizer_stream.reduction import (
    Capillary,
    attenuation_from_transmission,
    attenuation_per_cm,
    paalman_pings,
    straight_transmission,
)

WAVELENGTH = 12.398419843 / 22  # 22 keV
ANGLES = np.array([0.0, 60.0, 120.0])

# Outer diameter and wall in mm, wall, content by volume; A_s,sc, A_c,sc and A_c,c at 0, 60 and 120°.
BOROSILICATE = 3.89
SILICA = ("SiO2", 2.2)
KAPTON = 0.642
TOLUENE, OCTADECENE, PBS, CDSE = ("C7H8", 0.867), ("C18H36", 0.789), ("PbS", 7.6), ("CdSe", 5.82)
TABLE = [
    (0.5, 0.01, BOROSILICATE, [(1.0, TOLUENE)],
     [[.97737, .97738, .97739], [.97412, .97416, .97422], [.98343, .98341, .98341]]),
    (0.8, 0.01, BOROSILICATE, [(0.99, TOLUENE), (0.01, PBS)],
     [[.72137, .72397, .73022], [.78450, .78804, .80108], [.98230, .98227, .98227]]),
    (1.0, 0.15, SILICA, [(1.0, OCTADECENE)],
     [[.84902, .84895, .84898], [.82070, .82234, .82370], [.82896, .83036, .83114]]),
    (1.0, 0.05, KAPTON, [(0.99, OCTADECENE), (0.01, CDSE)],
     [[.87198, .87250, .87376], [.90704, .90752, .91000], [.98818, .98818, .98818]]),
]  # fmt: skip


def mu(substance: float | tuple[str, float]) -> float:
    return substance if isinstance(substance, float) else attenuation_per_cm(*substance, WAVELENGTH)


@pytest.mark.parametrize(("diameter", "wall", "glass", "content", "table"), TABLE)
def test_golden_paalman_pings_table(
    diameter: float,
    wall: float,
    glass: float | tuple[str, float],
    content: list[tuple[float, tuple[str, float]]],
    table: list[list[float]],
) -> None:
    pytest.importorskip("xraydb")
    capillary = Capillary(outer_diameter_mm=diameter, wall_mm=wall, wall_attenuation_per_cm=mu(glass))
    factors = paalman_pings(capillary, sum(part * mu(substance) for part, substance in content), ANGLES)
    found = [factors.sample_in_both, factors.wall_in_both, factors.wall_in_wall]
    assert np.array(found) == pytest.approx(np.array(table), abs=1e-4)


@pytest.mark.parametrize(
    ("substance", "expected"),
    [(TOLUENE, 0.326), (OCTADECENE, 0.296), (SILICA, 4.30), (CDSE, 140), (PBS, 449), (("InP", 4.81), 64)],
)
def test_attenuation_at_22_kev(substance: tuple[str, float], expected: float) -> None:
    pytest.importorskip("xraydb")
    assert mu(substance) == pytest.approx(expected, rel=6e-3)


@pytest.mark.slow
def test_brute_force_over_random_points() -> None:
    # The same integral, written down anew: random points, path lengths by marching along the rays.
    rng = np.random.default_rng(4)
    capillary = Capillary(outer_diameter_mm=1.0, wall_mm=0.2, wall_attenuation_per_cm=6.0)
    inner, outer, sample, angle = 0.03, 0.05, 20.0, 73.0
    points = rng.uniform(-outer, outer, (6000, 2))
    radius = np.hypot(*points.T)
    steps = np.linspace(0, 2 * outer, 801)
    middle = (steps[1:] + steps[:-1]) / 2
    directions = [np.array([-1.0, 0.0]), np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])]

    def survives(inside: float, chosen: np.ndarray) -> np.ndarray:
        optical = np.zeros(len(chosen))
        for direction in directions:
            along = np.hypot(*(chosen[:, None, :] + middle[:, None] * direction).transpose(2, 0, 1))
            mu_there = np.where(along < inner, inside, np.where(along < outer, 6.0, 0.0))
            optical += mu_there.sum(axis=1) * (steps[1] - steps[0])
        return np.exp(-optical)

    found = paalman_pings(capillary, sample, np.array([angle]))
    for inside, where, factor in (
        (sample, radius < inner, found.sample_in_both),
        (sample, (radius > inner) & (radius < outer), found.wall_in_both),
        (0.0, (radius > inner) & (radius < outer), found.wall_in_wall),
    ):
        values = survives(inside, points[where])
        assert factor[0] == pytest.approx(values.mean(), abs=4 * values.std() / np.sqrt(values.size) + 1e-3)


def test_weak_absorption_follows_the_mean_path_of_a_circle() -> None:
    # Mean path in and straight out of a circle: 16/(3π) radii.
    thin = Capillary(outer_diameter_mm=1.0, wall_mm=1e-6, wall_attenuation_per_cm=0.0)
    factor = paalman_pings(thin, 0.01, np.array([0.0])).sample_in_both[0]
    assert -np.log(factor) / (0.01 * 0.05) == pytest.approx(16 / (3 * np.pi), rel=1e-3)


def test_transparent_things_take_nothing() -> None:
    glass = Capillary(outer_diameter_mm=1.0, wall_mm=0.1, wall_attenuation_per_cm=0.0)
    factors = paalman_pings(glass, 0.0, ANGLES)
    assert factors.sample_in_both == pytest.approx(np.ones(3), abs=1e-14)


def test_factors_between_the_computed_angles() -> None:
    # 37 and 61 angles share only some: a spline that were not fine enough would show.
    capillary = Capillary(outer_diameter_mm=1.0, wall_mm=0.15, wall_attenuation_per_cm=4.3)
    dense = paalman_pings(capillary, 5.0, np.linspace(0, 180, 181))
    for values in (dense.sample_in_both, dense.wall_in_both, dense.wall_in_wall):
        assert np.max(np.abs(np.diff(values, 3))) < 3e-5


def test_transmission_and_back() -> None:
    capillary = Capillary(outer_diameter_mm=0.8, wall_mm=0.01, wall_attenuation_per_cm=3.89)
    transmission = straight_transmission(capillary, 4.815)
    assert transmission == pytest.approx(np.exp(-2 * (4.815 * 0.039 + 3.89 * 0.001)))
    assert attenuation_from_transmission(capillary, transmission) == pytest.approx(4.815)


@pytest.mark.parametrize("transmission", [0.0, -0.1, 1.0, np.nan])
def test_transmission_that_is_none(transmission: float) -> None:
    capillary = Capillary(outer_diameter_mm=0.8, wall_mm=0.01, wall_attenuation_per_cm=3.89)
    with pytest.raises(
        ConfigurationError,
        match=r"is not possible for a filled capillary: give a value above 0 and at most 0.9923",
    ):
        attenuation_from_transmission(capillary, transmission)


def test_wall_must_leave_room() -> None:
    with pytest.raises(
        ConfigurationError,
        match=r"wall_mm 0.5 is too thick for a capillary of 0.8 mm: it must be less than half",
    ):
        paalman_pings(Capillary(outer_diameter_mm=0.8, wall_mm=0.5, wall_attenuation_per_cm=1.0), 1.0, ANGLES)


def test_what_is_no_substance() -> None:
    pytest.importorskip("xraydb")
    with pytest.raises(ConfigurationError, match="'Xx7' is not a chemical formula: give one such as C7H8"):
        attenuation_per_cm("Xx7", 1.0, WAVELENGTH)
    with pytest.raises(ConfigurationError, match=r"density 0 g/cm³ of C7H8 must be positive"):
        attenuation_per_cm("C7H8", 0, WAVELENGTH)
    with pytest.raises(ConfigurationError, match=r"attenuation -1 cm⁻¹ of the sample must not be negative"):
        paalman_pings(Capillary(outer_diameter_mm=1, wall_mm=0.1, wall_attenuation_per_cm=1), -1, ANGLES)


def test_a_formula_is_never_taken_for_the_name_of_a_material() -> None:
    """CO is carbon monoxide: 12.011 of 28.010 g/mol are carbon, so μ/ρ lies between those of C and O."""
    carbon, oxygen, cobalt, monoxide = (
        attenuation_per_cm(formula, 1.0, WAVELENGTH) for formula in ("C", "O", "Co", "CO")
    )
    assert monoxide == pytest.approx((12.011 * carbon + 15.999 * oxygen) / 28.010, rel=1e-4)
    assert cobalt > 30 * monoxide
    # Hubbell and Seltzer (NIST, 1996), 20 keV: μ/ρ of water 0.8096 and of carbon 0.442 cm²/g.
    assert attenuation_per_cm("H2O", 1.0, 12.39842 / 20) == pytest.approx(0.8096, rel=0.03)
    assert attenuation_per_cm("C", 1.0, 12.39842 / 20) == pytest.approx(0.442, rel=0.03)


@pytest.mark.parametrize("formula", ["", "water", "C7H8)", "Xx2"])
def test_words_are_not_formulas(formula: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a chemical formula: give one such as C7H8"):
        attenuation_per_cm(formula, 1.0, WAVELENGTH)


@pytest.mark.parametrize(
    ("field", "allowed", "refused"),
    [
        ("outer_diameter_mm", [0.0101, 0.5, 19.99], [0.01, 20.0]),
        ("wall_mm", [1e-9, 0.5, 9.99], [0.0, 10.0]),
        ("wall_attenuation_per_cm", [0.0, 0.5, 9999.0], [-1e-9, 1e4]),
    ],
)
def test_what_each_setting_of_a_capillary_allows(
    check_limits: Callable[..., None], field: str, allowed: list[float], refused: list[float]
) -> None:
    check_limits(
        Capillary(outer_diameter_mm=1.0, wall_mm=0.01, wall_attenuation_per_cm=1.0), field, allowed, refused
    )

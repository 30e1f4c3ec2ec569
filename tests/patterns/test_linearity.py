"""Intensities that are not proportional to photons show in their noise and in their largest values."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from qdsizer_stream.patterns import Axis, intensity_scale, load_pattern, plateau_points

Q = np.linspace(1.0, 15.0, 5000)
EXPECTED = 300 + 2500 * np.exp(-0.5 * ((Q - 1.5) / 0.4) ** 2)
for centre in np.arange(2.1, 14.0, 0.55):
    EXPECTED += 1500 * np.exp(-centre / 4) * np.exp(-0.5 * ((Q - centre) / 0.05) ** 2)


def counted(seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).poisson(EXPECTED).astype(float)


@pytest.mark.parametrize(
    ("scaled", "power"),
    [
        (lambda y: y, 1.0),
        (lambda y: 1e-6 * y, 1.0),
        (np.sqrt, 0.0),
        (lambda y: y**0.65, 2 - 1 / 0.65),
        (lambda y: y**0.8, 0.75),
        (lambda y: y**1.25, 1.2),
        (lambda y: y**2, 1.5),
    ],
    ids=["counts", "scaled", "root", "0.65", "0.8", "1.25", "square"],
)
def test_the_power_of_the_noise(
    scaled: Callable[[NDArray[np.float64]], NDArray[np.float64]], power: float
) -> None:
    """Var(I^g) = g² I^(2g - 1), a power 2 - 1/g of I^g."""
    for seed in range(3):
        y = scaled(counted(seed))
        found = intensity_scale(y, np.sqrt(y))
        assert abs(found.power - power) < 3.5 * found.power_sd
        assert found.power_sd < 0.13
        assert found.dependence < 0.08
        assert found.independent


def test_the_noise_of_logarithms_falls() -> None:
    y = np.log(counted())
    found = intensity_scale(y, np.sqrt(y))
    assert found.power < -3  # it falls as exp(-y)


def test_the_error_is_that_of_many_frames() -> None:
    found = [intensity_scale(y, np.sqrt(y)) for y in map(counted, range(40))]
    scatter = np.std([one.power for one in found])
    assert scatter == pytest.approx(np.mean([one.power_sd for one in found]), rel=0.3)
    assert np.mean([one.power for one in found]) == pytest.approx(1.0, abs=0.03)


def test_a_right_sigma_has_the_power_of_counts_whatever_it_is() -> None:
    rng = np.random.default_rng(0)
    for sigma in (np.full(Q.size, 30.0), 0.02 * EXPECTED, np.sqrt(EXPECTED + 2000)):
        found = intensity_scale(EXPECTED + sigma * rng.standard_normal(Q.size), sigma)
        assert found.power == pytest.approx(1.0, abs=3.5 * found.power_sd)


def test_smoothed_points_are_recognised() -> None:
    y = np.convolve(counted(), np.full(5, 0.2), mode="same")
    found = intensity_scale(y, np.sqrt(y))
    assert found.dependence > 0.3
    assert not found.independent


def test_too_few_points_and_flat_curves_show_nothing() -> None:
    assert np.isnan(intensity_scale(np.full(100, 5.0), np.ones(100)).power)
    assert np.isnan(intensity_scale(np.full(1000, 5.0), np.ones(1000)).power)
    assert intensity_scale(np.full(1000, 5.0), np.ones(1000)).independent


@pytest.mark.parametrize("level", [255.0, 1000.0, 1023.0, 1777.7])
def test_a_clipped_curve_has_a_plateau(level: float) -> None:
    y = np.minimum(counted() * 0.8, level)
    assert plateau_points(y, np.sqrt(y)) == np.count_nonzero(y == level) > 3


@pytest.mark.parametrize("mean", [0.01, 0.3, 3.0, 30.0, 3000.0])
def test_counts_have_no_plateau(mean: float) -> None:
    for seed in range(30):
        y = np.random.default_rng(seed).poisson(mean * EXPECTED / EXPECTED.mean()).astype(float)
        assert plateau_points(y, np.sqrt(np.maximum(y, 1.0))) == 0


def test_a_flat_curve_and_equal_zeros_are_no_plateau() -> None:
    assert plateau_points(np.full(1000, 100.0), np.full(1000, 10.0)) == 0
    assert plateau_points(np.zeros(1000), np.ones(1000)) == 0
    assert plateau_points(np.array([]), np.array([])) == 0


def test_square_roots_in_a_file_are_no_constant_noise(tmp_path: Path) -> None:
    """A constant part of the noise, as of a subtracted background, would hide them."""
    path = tmp_path / "root.xy"
    np.savetxt(path, np.column_stack([Q, np.sqrt(counted())]), header="Q I")
    pattern = load_pattern(path, axis=Axis.Q).pattern
    assert np.ptp(pattern.sigma**2 / pattern.intensity) < 1e-9
    assert intensity_scale(pattern.intensity, pattern.sigma).power == pytest.approx(0.0, abs=0.3)


@pytest.mark.parametrize(
    ("change", "power", "power_sd", "dependence"),
    [
        (lambda y: y, 0.9348538684022187, 0.05741673757265665, 0.02693028079351896),
        (
            lambda y: y + 5000 * (np.arange(y.size) % 500 == 100),
            0.9241811429919621,
            0.057422408031662556,
            0.02319431756369421,
        ),
        (np.sqrt, -0.13594954249897961, 0.11482796056785435, 0.027716582537467824),
        (lambda y: y[:777], 1.058451065152804, 0.10367612494329564, 0.1395986862899219),
    ],
    ids=["counts", "spikes", "root", "short"],
)
def test_the_fit_is_that_of_plain_convolutions_and_solvers(
    change: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    power: float,
    power_sd: float,
    dependence: float,
) -> None:
    """Values of the same likelihood with `np.convolve`, `np.median` and `np.linalg.solve`."""
    y = change(counted())
    found = intensity_scale(y, np.sqrt(y))
    assert found.power == pytest.approx(power, rel=1e-10)
    assert found.power_sd == pytest.approx(power_sd, rel=1e-10)
    assert found.dependence == pytest.approx(dependence, rel=1e-9)

"""Size distributions against their densities, integrated numerically."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
from pydantic import ValidationError
from scipy.integrate import fixed_quad, quad
from scipy.optimize import brentq

from qdsizer_stream.errors import PhysicsError
from qdsizer_stream.simulation import DistributionRanges, SizeDistribution, population_moments
from qdsizer_stream.simulation.frames import cumulative_fraction, drawn_weights

FINE = np.arange(0.005, 30, 0.01)
MEAN = 4.0

Density = Callable[[float], float]


def lsw(d: float) -> float:
    """As in the textbooks: (4/9) u² (3/(3+u))^(7/3) (3/(3-2u))^(11/3) exp(-2u/(3-2u)) below u = 3/2."""
    u = d / MEAN
    if u >= 1.5:
        return 0.0
    power = (3 / (3 + u)) ** (7 / 3) * (3 / (3 - 2 * u)) ** (11 / 3)
    return 4 / 9 * u**2 * power * np.exp(-2 * u / (3 - 2 * u)) / MEAN


def weibull(dispersion: float) -> Density:
    def excess(k: float) -> float:
        return float(scipy.stats.weibull_min.std(k) / scipy.stats.weibull_min.mean(k) - dispersion)

    k = brentq(excess, 1, 60)
    scale = MEAN / scipy.stats.weibull_min.mean(k)
    return lambda d: scipy.stats.weibull_min.pdf(d, k, scale=scale)


def density(kind: SizeDistribution, r: float) -> Density:
    sd = r * MEAN
    s = np.sqrt(np.log1p(r**2))
    return {
        SizeDistribution.LOGNORMAL: lambda d: scipy.stats.lognorm.pdf(d, s, scale=MEAN * np.exp(-(s**2) / 2)),
        SizeDistribution.GAUSSIAN: lambda d: scipy.stats.norm.pdf(d, MEAN, sd),
        SizeDistribution.GAMMA: lambda d: scipy.stats.gamma.pdf(d, 1 / r**2, scale=MEAN * r**2),
        SizeDistribution.WEIBULL: weibull(r),
        SizeDistribution.LSW: lsw,
        SizeDistribution.LEFT_SKEWED: lambda d: scipy.stats.gamma.pdf(MEAN + 2 * sd - d, 4, scale=sd / 2),
        SizeDistribution.UNIFORM: lambda d: scipy.stats.uniform.pdf(
            d, MEAN - np.sqrt(3) * sd, 2 * np.sqrt(3) * sd
        ),
    }[kind]


def moment(of: Density, power: int, dispersion: float) -> float:
    jumps = MEAN * (1 + np.sqrt(3) * dispersion * np.array([-1, 1]))  # of the uniform density
    pieces = itertools.pairwise(np.union1d(np.linspace(0, 30, 121), jumps))
    vectorised = np.vectorize(of) if of is lsw else of
    return sum(fixed_quad(lambda d: d**power * vectorised(d), low, high, n=24)[0] for low, high in pieces)


def weights_of(kind: SizeDistribution, dispersion: float) -> np.ndarray:
    return drawn_weights(
        np.random.default_rng(0),
        DistributionRanges(kinds=(kind,)),
        FINE,
        np.array([MEAN]),
        np.array([dispersion]),
    )


SIMPLE = [k for k in SizeDistribution if k not in (SizeDistribution.TWO_MODES, SizeDistribution.GROWN)]
"""Shapes with a density of their own; the others are sums."""


@pytest.mark.slow
@pytest.mark.parametrize("dispersion", [0.04, 0.15, 0.3])
@pytest.mark.parametrize("kind", SIMPLE)
def test_moments_are_those_of_the_density(kind: SizeDistribution, dispersion: float) -> None:
    of = density(kind, dispersion)
    whole, first, second, third, fourth = (moment(of, power, dispersion) for power in range(5))
    found = population_moments(FINE, weights_of(kind, dispersion))
    assert found.number_mean_nm[0] == pytest.approx(first / whole, rel=1e-4)
    assert found.mass_mean_nm[0] == pytest.approx(fourth / third, rel=1e-4)
    variance = second / whole - (first / whole) ** 2
    assert found.dispersion[0] == pytest.approx(np.sqrt(variance) * whole / first, rel=1e-3)
    if dispersion < 0.2:  # broader ones lose what they would hold below 0
        asked = 0.21506 if kind is SizeDistribution.LSW else dispersion
        assert found.number_mean_nm[0] == pytest.approx(MEAN, rel=2e-4)
        assert found.dispersion[0] == pytest.approx(asked, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SIMPLE)
def test_cumulative_fractions_are_integrals(kind: SizeDistribution) -> None:
    of = density(kind, 0.12)
    at = np.array([0.0, 2.9, 3.6, 4.0, 4.3, 4.9, 6.5])
    found = cumulative_fraction(kind, at, np.array([MEAN]), np.array([0.12]))[:, 0]
    expected = [sum(quad(of, low, min(low + 0.25, d))[0] for low in np.arange(0, d, 0.25)) for d in at]
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_two_modes_are_two() -> None:
    """Mass fraction, ratio and dispersions as given; one mean altogether."""
    ranges = DistributionRanges(
        kinds=(SizeDistribution.TWO_MODES,),
        mode_ratio=(1.8, 1.8),
        mode_dispersion=(0.05, 0.05),
        mode_mass_fraction=(0.7, 0.7),
    )
    mean = np.full(3, MEAN)
    weights = drawn_weights(np.random.default_rng(0), ranges, FINE, mean, np.full(3, 0.1))
    np.testing.assert_allclose(population_moments(FINE, weights).number_mean_nm, MEAN, rtol=1e-4)
    mass = weights[:, 0] * FINE**3
    larger = mass.sum() * 0.3  # below the gap between the modes lies what the smaller one weighs
    gap = int(np.searchsorted(np.cumsum(mass), larger))
    number, mass_of = weights[:, 0], np.cumsum(mass) / mass.sum()
    assert np.interp(FINE[gap] - 0.4, FINE, mass_of) == pytest.approx(0.3, abs=2e-3)
    low, high = FINE[gap] > FINE, FINE[gap] <= FINE
    means = [float(number[part] @ FINE[part] / number[part].sum()) for part in (low, high)]
    assert means[1] / means[0] == pytest.approx(1.8, rel=2e-3)
    for part, mean_of in zip((low, high), means, strict=True):
        variance = number[part] @ (FINE[part] - mean_of) ** 2 / number[part].sum()
        assert np.sqrt(variance) / mean_of == pytest.approx(0.05, rel=0.02)


def test_growth_within_a_frame() -> None:
    """Moments of a sum of log-normals are the means of theirs: evenly spaced from 1 to 2 parts of 1.5."""
    ranges = DistributionRanges(kinds=(SizeDistribution.GROWN,), growth_ratio=(2.0, 2.0))
    weights = drawn_weights(np.random.default_rng(0), ranges, FINE, np.array([MEAN]), np.array([0.05]))
    found = population_moments(FINE, weights)
    means = MEAN * np.linspace(1, 2, 4001) / 1.5
    square, cube, fourth = (np.mean(means**k) * 1.0025 ** (k * (k - 1) / 2) for k in (2, 3, 4))
    assert found.number_mean_nm[0] == pytest.approx(MEAN, rel=2e-4)
    assert found.dispersion[0] == pytest.approx(np.sqrt(square / MEAN**2 - 1), rel=5e-3)
    assert found.mass_mean_nm[0] == pytest.approx(fourth / cube, rel=2e-3)


def test_each_population_draws_its_shape() -> None:
    """Ripened populations end at 1.5 times their mean, two-mode ones are broad: half of each."""
    ranges = DistributionRanges(kinds=(SizeDistribution.LSW, SizeDistribution.GAUSSIAN))
    n = 400
    weights = drawn_weights(np.random.default_rng(1), ranges, FINE, np.full(n, MEAN), np.full(n, 0.03))
    np.testing.assert_allclose(weights.sum(axis=0), 1)
    dispersion = population_moments(FINE, weights).dispersion
    broad = dispersion > 0.1
    assert 160 < np.count_nonzero(broad) < 240
    np.testing.assert_allclose(dispersion[broad], 0.21506, rtol=1e-3)
    np.testing.assert_allclose(dispersion[~broad], 0.03, rtol=1e-2)
    assert np.all(weights[FINE > 1.51 * MEAN][:, broad] == 0)


def test_means_off_the_clusters_are_rejected() -> None:
    ranges = DistributionRanges(kinds=(SizeDistribution.UNIFORM,))
    with pytest.raises(PhysicsError, match=r"mean diameters from 40 to 40 nm leave the clusters"):
        drawn_weights(np.random.default_rng(0), ranges, FINE, np.array([40.0]), np.array([0.1]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kinds": ()}, "at least 1 item"),
        ({"kinds": ("cauchy",)}, "'log-normal', 'gaussian'"),
        (
            {"kinds": ("lsw",), "mode_mass_fraction": (0.0, 0.5)},
            "give dispersions > 0 and fractions between 0 and 1",
        ),
        ({"kinds": ("lsw",), "mode_dispersion": (0.0, 0.1)}, "give dispersions > 0"),
    ],
)
def test_ranges_that_cannot_be(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DistributionRanges.model_validate(settings)

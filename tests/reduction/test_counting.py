from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.optimize import brentq

from qdsizer_stream.reduction import (
    DeadTime,
    Shaping,
    StripSimulator,
    nominal_detector,
    observed_rate,
    true_rate,
)

# What each setting makes of a true rate at 100 k, 300 k and 1 M observed counts per second.
DEAD_TIME_TABLE = [
    (90, 1e5, 1.0091),
    (90, 3e5, 1.0281),
    (90, 1e6, 1.1045),
    (170, 1e5, 1.0174),
    (170, 3e5, 1.0553),
    (170, 1e6, 1.2333),
    (750, 1e5, 1.0848),
    (750, 3e5, 1.357),
]


@pytest.mark.parametrize(("tau_ns", "rate", "factor"), DEAD_TIME_TABLE)
def test_dead_time_table(tau_ns: float, rate: float, factor: float) -> None:
    assert true_rate(np.array([rate]), tau_ns * 1e-9)[0] / rate == pytest.approx(factor, abs=1e-4)


def test_counter_never_shows_more_than_its_highest_rate() -> None:
    highest = 1 / (np.e * 750e-9)
    assert highest == pytest.approx(0.49e6, rel=2e-3)
    found = true_rate(np.array([0.999999 * highest, 1.000001 * highest, 1e6]), 750e-9)
    assert np.isfinite(found).tolist() == [True, False, False]


@given(st.floats(1e-9, 0.9), st.sampled_from([31.8e-9, 76.08e-9, 90e-9, 170e-9, 750e-9]))
def test_dead_time_round_trip_to_nine_tenths_of_the_limit(fraction: float, tau_s: float) -> None:
    observed = fraction / np.e / tau_s
    assert observed_rate(true_rate(np.array([observed]), tau_s), tau_s)[0] == pytest.approx(
        observed, rel=1e-9
    )


@given(st.floats(1e-3, 0.6))
def test_correction_agrees_with_root_finding(true_tau: float) -> None:
    observed_tau = true_tau * np.exp(-true_tau)
    root = brentq(lambda x: x * np.exp(-x) - observed_tau, 0, 1, xtol=1e-15, rtol=1e-14)
    assert true_rate(np.array([observed_tau]), 1.0)[0] == pytest.approx(root, rel=1e-9)


def test_series_and_function_meet() -> None:
    below, above = true_rate(np.array([0.02, 0.02 * (1 + 1e-12)]), 1.0)
    assert below == pytest.approx(above, rel=1e-10)


def test_settings_know_their_dead_times() -> None:
    assert DeadTime(shaping=Shaping.STANDARD).tau_s == pytest.approx(170e-9)
    assert DeadTime(shaping=Shaping.MYTHEN3).tau_s == pytest.approx(76.08e-9)
    assert DeadTime(shaping=Shaping.HIGH_GAIN).reported_above_cps == 100_000
    assert DeadTime(shaping=Shaping.FAST).tau_s == pytest.approx(90e-9)
    assert DeadTime(shaping=Shaping.HIGH_GAIN).tau_s == pytest.approx(750e-9)
    limits = {shaping.value: DeadTime(shaping=shaping).reported_above_cps for shaping in Shaping}
    assert limits == {"standard": 3e5, "fast": 1e6, "highgain": 1e5, "mythen3": 1e6}
    measured = DeadTime(shaping=Shaping.FAST, tau_ns=95.0)
    assert measured.tau_s == pytest.approx(95e-9)
    assert measured.reported_above_cps == 1_000_000


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give shaping"),
        ({"tau_ns": 95.0}, "give limit_cps with tau_ns"),
        ({"shaping": "slow"}, "highgain"),
    ],
)
def test_dead_time_that_is_not_given_in_full(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DeadTime.model_validate(settings)


def paralysed(rng: np.random.Generator, rate_cps: float, tau_s: float, exposure_s: float) -> int:
    """Count one exposure photon by photon: a photon counts when none came within τ before it."""
    n = rng.poisson(rate_cps * exposure_s)
    arrivals = np.sort(rng.uniform(0, exposure_s, n))
    return int(np.count_nonzero(np.diff(arrivals, prepend=-1.0) > tau_s))


@pytest.mark.slow
def test_simulated_counts_have_the_mean_and_scatter_of_a_paralysable_counter() -> None:
    rng = np.random.default_rng(11)
    rate, tau, exposure = 2e6, 95e-9, 1e-3
    one_by_one = np.array([paralysed(rng, rate, tau, exposure) for _ in range(4000)])
    simulator = StripSimulator(
        detector=nominal_detector(4, 0.0), dead_time=DeadTime(tau_ns=95.0, limit_cps=1e6)
    )
    drawn = simulator.count(np.full(5120, rate * exposure), exposure, rng)
    assert drawn.mean() == pytest.approx(one_by_one.mean(), abs=4 * drawn.std() / np.sqrt(4000))
    # A standard deviation from 4000 draws is known to 1.1 %; Poisson's would be 26 % larger.
    assert drawn.std() == pytest.approx(one_by_one.std(), rel=0.06)
    assert drawn.std() < 0.85 * np.sqrt(drawn.mean())


def test_simulated_counter_stops_at_its_end() -> None:
    simulator = StripSimulator(detector=nominal_detector(1, 0.0), bit_depth=8)
    assert simulator.count(np.full(1280, 400.0), 1.0, np.random.default_rng(0)).max() == 255


def test_expected_photons_are_those_of_beam_response_noise_and_time() -> None:
    detector = nominal_detector(1, 2.0)
    simulator = StripSimulator(detector=detector, response=np.full(1280, 0.5), noise_cps=np.full(1280, 30.0))
    photons = simulator.photons(lambda q: np.full(q.size, 100.0), 0.56, 0.0, exposure_s=0.2, monitor=3.0)
    width = detector.strip_width_deg() / detector.strip_width_deg().mean()
    assert photons == pytest.approx(100 * 0.5 * 3 * 0.2 * width + 30 * 0.2)


@pytest.mark.parametrize(
    ("field", "allowed", "refused"),
    [
        ("tau_ns", [1e-3, 0.5, 9999.0], [0.0, -1.0, 10_000.0]),
        ("limit_cps", [1e-3, 0.5], [0.0, -1.0]),
    ],
)
def test_what_each_setting_of_a_dead_time_allows(
    check_limits: Callable[..., None], field: str, allowed: list[float], refused: list[float]
) -> None:
    check_limits(DeadTime(tau_ns=100.0, limit_cps=1e5), field, allowed, refused)

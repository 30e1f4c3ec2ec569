"""Filter and smoother against the posterior of a dense Gaussian, and noise against its integral."""

import math

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.optimize import brentq
from scipy.stats import multivariate_t, norm

from qdsizer_stream.tracking import (
    PRIOR_DEGREES,
    PRIOR_SCALE2,
    TINY_VARIANCE,
    Bank,
    Dynamics,
    SmootherStep,
    arrival,
    normal_cdf,
    smooth,
)

DYNAMICS = Dynamics(
    np.array([1e-3, 2e-4, 5e-2]), np.array([0.0, 0.05, 0.4]), np.array([0.0, 1.0, 0.3]), error_periods=7.0
)
FRAME_VARIANCE = 4e-4
SCALE2 = np.array([1.0, 4.0])
PERIODS = (0.0, 1.0, 0.5, 3.0, 1e-4, 0.0, 2.5, 1.0)


def continuous(model: int) -> tuple[np.ndarray, np.ndarray]:
    """Drift and diffusion of ln size, rate and correlated error."""
    drift = np.zeros((3, 3))
    drift[0, 1] = 1.0
    drift[1, 1] = -DYNAMICS.damping[model]
    drift[2, 2] = -1 / DYNAMICS.error_periods
    error = (DYNAMICS.error_variance[model] + TINY_VARIANCE) * FRAME_VARIANCE
    return drift, np.diag(
        [0.0, DYNAMICS.diffusion[model] * FRAME_VARIANCE, 2 * error / DYNAMICS.error_periods]
    )


@pytest.mark.parametrize("periods", [1e-3, 0.3, 1.0, 12.0])
@pytest.mark.parametrize("model", [0, 1, 2])
def test_steps_are_the_exact_integrals(model: int, periods: float) -> None:
    drift, diffusion = continuous(model)
    # Van Loan, IEEE Trans. Autom. Control 23, 395 (1978)
    both = expm(np.block([[-drift, diffusion], [np.zeros((3, 3)), drift.T]]) * periods)
    transition, noise = DYNAMICS.steps(periods, FRAME_VARIANCE)
    np.testing.assert_allclose(transition[model], both[3:, 3:].T, rtol=1e-5, atol=1e-12)
    np.testing.assert_allclose(noise[model], both[3:, 3:].T @ both[:3, 3:], rtol=2e-3, atol=1e-18)


@pytest.mark.parametrize("power", [1.0, 3.0])
def test_a_power_of_the_size_grows_at_a_constant_rate(power: float) -> None:
    # d ln s / dt = r and d(s^p) / dt constant: r falls as r / (1 + p r t), ln s grows by ln(1 + p r t) / p.
    rate, n, models = 0.02, 4000, Dynamics(np.zeros(1), np.zeros(1), np.zeros(1), 1.0, np.array([power]))
    state = np.array([0.0, rate, 0.0])
    for _ in range(n):
        transition, _ = models.steps(40 / n, 1.0, float(state[1]))
        state = transition[0] @ state
    assert state[0] == pytest.approx(math.log(1 + power * rate * 40) / power, rel=1e-3)
    assert state[1] == pytest.approx(rate / (1 + power * rate * 40), rel=1e-3)
    # Dots that shrink are not slowed down.
    assert models.steps(1.0, 1.0, -0.02)[0][0, 1, 1] == pytest.approx(1.0, abs=1e-9)


def batch(model: int, variances: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prior covariance of all states, and the matrix that picks what is measured, written out densely."""
    n = len(PERIODS)
    prior = np.diag([0.25, 0.0025, (DYNAMICS.error_variance[model] + TINY_VARIANCE) * FRAME_VARIANCE])
    covariance = np.zeros((3 * n, 3 * n))
    before, steps = prior, [DYNAMICS.steps(one, FRAME_VARIANCE) for one in PERIODS]
    for i, (transition, noise) in enumerate(steps):
        before = transition[model] @ before @ transition[model].T + noise[model]
        covariance[3 * i : 3 * i + 3, 3 * i : 3 * i + 3] = before
        row = before
        for j in range(i + 1, n):
            row = row @ steps[j][0][model].T
            covariance[3 * i : 3 * i + 3, 3 * j : 3 * j + 3] = row
            covariance[3 * j : 3 * j + 3, 3 * i : 3 * i + 3] = row.T
    seen = np.zeros((n, 3 * n))
    for i in range(n):
        seen[i, 3 * i] = seen[i, 3 * i + 2] = 1.0
    return covariance, seen, np.diag(variances)


@pytest.fixture(scope="module")
def run() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    variances = FRAME_VARIANCE * rng.uniform(0.5, 2.0, len(PERIODS))
    level = 1.5 + 0.01 * np.cumsum(PERIODS)
    # within the gate, beyond which a frame loses weight
    noise = 0.5 * rng.uniform(-1, 1, (2, len(PERIODS))) * np.sqrt(variances)
    return np.column_stack([level + noise[0], level - 0.05 + 2 * noise[1]]), variances


@pytest.mark.parametrize("model", [0, 1, 2])
def test_filter_and_smoother_are_the_posterior_of_all_frames(
    model: int, run: tuple[np.ndarray, np.ndarray]
) -> None:
    measured, variances = run
    begin = Bank.begin(DYNAMICS, np.array([1.6, 1.6]), 0.25, 0.0025, FRAME_VARIANCE, SCALE2)
    steps = [
        SmootherStep(periods=one, measured=y, variance=float(v))
        for one, y, v in zip(PERIODS, measured, variances, strict=True)
    ]
    mean, covariance, end = smooth(DYNAMICS, begin, steps, FRAME_VARIANCE, SCALE2)
    prior, seen, noise = batch(model, variances)
    whole = seen @ prior @ seen.T + noise
    gain = prior @ seen.T @ np.linalg.inv(whole)
    expected = prior - gain @ seen @ prior
    for series in (0, 1):
        start = np.zeros(prior.shape[0])
        start[::3] = 1.6
        deviation = measured[:, series] - 1.6
        posterior = start + gain @ deviation
        # The smoother inverts matrices that are singular but for a correlated error of 1e-9 frame variances.
        np.testing.assert_allclose(mean[:, model, series].ravel(), posterior, rtol=1e-6, atol=2e-7)
        # The filter after the last frame is that posterior too, and its scale that of the quadratic form.
        np.testing.assert_allclose(end.mean[model, series], posterior[-3:], rtol=1e-9, atol=1e-11)
        squares = PRIOR_DEGREES * PRIOR_SCALE2 * SCALE2[series] + deviation @ np.linalg.inv(whole) @ deviation
        assert end.squares[model, series] == pytest.approx(squares, rel=1e-9)
    assert end.degrees == PRIOR_DEGREES + len(PERIODS)
    for i in range(len(PERIODS)):
        block = slice(3 * i, 3 * i + 3)
        np.testing.assert_allclose(covariance[i, model], expected[block, block], rtol=1e-5, atol=1e-9)


def test_likelihoods_are_those_of_a_student_distribution(run: tuple[np.ndarray, np.ndarray]) -> None:
    measured, variances = run
    bank = Bank.begin(DYNAMICS, np.array([1.6, 1.6]), 0.25, 0.0025, FRAME_VARIANCE, SCALE2)
    total = np.zeros(3)
    for one, y, v in zip(PERIODS, measured, variances, strict=True):
        bank, likelihood = bank.predict(*DYNAMICS.steps(one, FRAME_VARIANCE)).update(
            y, float(v), SCALE2, memory=math.inf
        )
        total += likelihood
    expected = []
    for model in range(3):
        prior, seen, noise = batch(model, variances)
        whole = (seen @ prior @ seen.T + noise) * PRIOR_SCALE2
        expected.append(
            multivariate_t.logpdf(measured[:, 0], np.full(len(PERIODS), 1.6), whole, df=PRIOR_DEGREES)
        )
    # but for a constant of all models
    np.testing.assert_allclose(total - total[0], np.array(expected) - expected[0], rtol=1e-7, atol=1e-8)


def test_the_pull_of_an_outlier_falls_with_its_distance() -> None:
    bank = Bank.begin(DYNAMICS, np.array([1.6, 1.6]), 1e-4, 1e-8, FRAME_VARIANCE, np.ones(2))
    pulls = []
    for distance in (0.03, 0.3, 3.0):
        after, _ = bank.update(np.array([1.6 + distance, math.nan]), FRAME_VARIANCE, np.ones(2))
        pulls.append(float(after.mean[0, 0, 0] - 1.6))
    spread = 1e-4 + TINY_VARIANCE * FRAME_VARIANCE + FRAME_VARIANCE
    assert pulls[0] == pytest.approx(0.03 * 1e-4 / spread, rel=1e-5)
    # Beyond 3 standard deviations the gain is P · 9 σ² / d².
    assert pulls[1] == pytest.approx(1e-4 * 9 * PRIOR_SCALE2 / 0.3, rel=1e-5)
    assert pulls[2] == pytest.approx(pulls[1] / 10, rel=1e-5)
    # A series without a number stays where it was, and so does its scale.
    assert after.mean[0, 1, 0] == 1.6
    assert after.squares[0, 1] / after.degrees == pytest.approx(PRIOR_SCALE2, rel=1e-9)


def test_the_normal_distribution_to_four_digits() -> None:
    x = np.linspace(-5, 5, 2001)
    assert np.abs(normal_cdf(x) - norm.cdf(x)).max() < 2e-4


def test_arrival_at_a_constant_rate() -> None:
    # Distance 1 at rate 0.1 ± 0.005 and level ± 0.02: reached after 10 periods; the ends solve
    # 0.1 h - 1 = ± 1.96 √(0.02² + (0.005 h)²).
    covariance = np.diag([4e-4, 2.5e-5, 0.0])[None]
    median, low, high = arrival(
        np.ones(1), np.ones(1), np.array([0.1]), covariance, np.zeros(1), np.zeros(1), 0.0
    )
    a = 0.01 - (1.959964 * 0.005) ** 2
    b = 1 - (1.959964 * 0.02) ** 2
    ends = np.roots([a, -0.2, b])
    assert median == pytest.approx(10.0, rel=0.01)
    assert low == pytest.approx(ends.min(), rel=0.02)
    assert high == pytest.approx(ends.max(), rel=0.02)


@pytest.mark.parametrize("damping", [0.0, 0.03])
@pytest.mark.parametrize("power", [1.0, 3.0])
def test_arrival_where_growth_slows_down_with_the_size(power: float, damping: float) -> None:
    # dr/dt = -k r - p r²: ln size grows by ln(1 + p r (1 - exp(-k t)) / k) / p.
    rate, distance = 0.05, 0.3

    def left(t: float) -> float:
        reach = -math.expm1(-damping * t) / damping if damping else t
        return math.log1p(power * rate * reach) / power - distance

    covariance = np.diag([1e-4, 1e-6, 0.0])[None]
    one = np.ones(1)
    median, *_ = arrival(
        one, distance * one, rate * one, covariance, damping * one, 0 * one, 0.0, power * one
    )
    assert median == pytest.approx(brentq(left, 0.1, 300.0), rel=0.01)


def test_the_error_of_a_rate_counts_less_where_growth_slows_down() -> None:
    # Ends of the interval: ln(1 + p r t) / p - d = ± 1.96 · sd(r) · t / (1 + p r t).
    rate, sd, power, distance = 0.05, 0.004, 3.0, 0.3

    def end(z: float) -> float:
        def left(t: float) -> float:
            slower = 1 + power * rate * t
            return math.log(slower) / power - distance - z * sd * t / slower

        return brentq(left, 1.0, 200.0)

    covariance, one = np.diag([1e-10, sd**2, 0.0])[None], np.ones(1)
    times = arrival(one, distance * one, rate * one, covariance, 0 * one, 0 * one, 0.0, power)
    assert times == pytest.approx((end(0.0), end(-1.96), end(1.96)), rel=0.02)


def test_arrival_allows_for_damping_and_for_what_all_models_share() -> None:
    covariance = np.diag([1e-8, 1e-10, 0.0])[None]

    def times(damping: float, shared: float, diffusion: float = 0.0) -> tuple[float, float, float]:
        return arrival(
            np.ones(1),
            np.ones(1),
            np.array([0.1]),
            covariance,
            np.array([damping]),
            np.array([diffusion]),
            shared,
        )

    # (1 - exp(-b h)) / b · 0.1 = 1
    assert times(0.05, 0.0)[0] == pytest.approx(-math.log(1 - 0.5) / 0.05, rel=0.02)
    # A rate that falls to nothing before the distance is covered never arrives.
    assert all(math.isnan(one) for one in times(0.2, 1e-6))
    # A shared error of 0.1 moves the arrival by one period.
    median, low, high = times(0.0, 0.01)
    assert (high - low) / 2 == pytest.approx(1.96, rel=0.05)
    assert median == pytest.approx(10, rel=0.01)
    # Noise of the rate: the ends solve 0.1 h - 1 = ± 1.96 √(q h³ / 3).
    median, low, high = times(0.0, 0.0, 3e-5)
    assert low == pytest.approx(
        brentq(lambda h: 0.1 * h - 1 + 1.96 * math.sqrt(1e-5 * h**3), 1, 10), rel=0.02
    )
    assert high == pytest.approx(
        brentq(lambda h: 0.1 * h - 1 - 1.96 * math.sqrt(1e-5 * h**3), 10, 20), rel=0.02
    )

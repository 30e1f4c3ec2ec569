"""Time until a size is reached, from the models of a track."""

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["arrival", "normal_cdf"]

Array = NDArray[np.float64]

NumberT = TypeVar("NumberT", float, Array)

NEAR = np.geomspace(0.1, 12.0, 20)
"""Times at which the probability of having arrived is computed first, in times of arrival at the present
rate."""

FINE = np.linspace(0.0, 1.0, 20)
"""The same again, between the times at which hardly any and nearly all of the probability has arrived."""

MAX_PERIODS = 1e4
"""Time beyond which nothing is forecast, frame periods."""

QUANTILES = (0.5, 0.025, 0.975)
"""Median and ends of the 95 % interval."""


def normal_cdf(value: NumberT) -> NumberT:
    """Cumulative normal distribution, to 2e-4.

    The hyperbolic tangent of a cubic (Page, J. R. Stat. Soc. C 26, 75, 1977): the error function of SciPy
    would be loaded for it.

    Parameters
    ----------
    value
        Standard deviations from the mean.

    Returns
    -------
    Probability of smaller values.
    """
    result: NumberT = 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * value * (1 + 0.044715 * value * value)))
    return result


def arrival(
    weights: Array,
    distance: Array,
    rate: Array,
    covariance: Array,
    damping: Array,
    diffusion: Array,
    shared_variance: float,
    power: Array | float = 0.0,
) -> tuple[float, float, float]:
    """Time until ln size has covered a distance.

    Parameters
    ----------
    weights
        Weights of the models, shape (n,), of sum 1.
    distance
        Distance to cover in each model, shape (n,).
    rate
        Rate towards the target per period, shape (n,).
    covariance
        Covariance of ln size, rate and correlated error, shape (n, 3, 3).
    damping, diffusion
        As of `Dynamics`, the second in variances per cubed period, shape (n,).
    shared_variance
        Variance of ln size that all models share.
    power
        As of `Dynamics`, shape (n,).

    Returns
    -------
    Median, lower and upper end of the 95 % interval, periods; NaN for what is not reached in sight.
    """
    mean_rate = float(weights @ rate)
    whole = float(weights @ distance)
    direct = whole / mean_rate if mean_rate > 0 else MAX_PERIODS / NEAR[-1]
    times = min(direct, MAX_PERIODS / NEAR[-1]) * NEAR

    slowing = power * np.maximum(rate, 0.0)

    def reached_at(times: Array) -> Array:
        x = np.maximum(damping[:, None], 1e-6) * times
        fall = np.exp(-x)
        inverse = times / x
        gain = (1 - fall) * inverse
        noise = np.where(
            x < 1e-2, times**3 / 3, (times - 2 * gain + (1 - fall * fall) * (0.5 * inverse)) * inverse**2
        )
        # Where a power p of the size grows at a constant rate, ln size has grown by ln(1 + p r t) / p. Errors
        # of the rate r count less the later they arise.
        slower = slowing[:, None] * gain
        grown = (
            gain * rate[:, None] * np.where(slower > 1e-6, np.log1p(slower) / np.maximum(slower, 1e-6), 1.0)
        )
        gain = gain / (1 + slower)
        noise = noise * ((1 + slower / 4) / (1 + slower)) ** 2
        variance = (
            covariance[:, 0, 0, None]
            + gain * (2 * covariance[:, 0, 1, None] + gain * covariance[:, 1, 1, None])
            + diffusion[:, None] * noise
            + shared_variance
        )
        beyond = normal_cdf((grown - distance[:, None]) / np.sqrt(variance))
        # Once there, always there: the size may fall again, but has been reached.
        cumulative: Array = np.maximum.accumulate(weights @ beyond)
        return cumulative

    coarse = reached_at(times)
    first, last = np.searchsorted(coarse, (0.01, 0.985))
    begin = times[first - 1] if first > 0 else times[0] / 10
    times = begin + (times[min(last, len(times) - 1)] - begin) * FINE
    reached = reached_at(times)
    return tuple(_time(times, reached, quantile) for quantile in QUANTILES)  # type: ignore[return-value]


def _time(times: Array, reached: Array, quantile: float) -> float:
    """Time at which a probability is reached; NaN where it is not."""
    after = int(np.searchsorted(reached, quantile))
    if after == len(times):
        return math.nan
    if after == 0:
        return float(times[0] * quantile / max(reached[0], quantile))
    low, high = reached[after - 1], reached[after]
    # Between two times the probability is nearly normal: its logit is nearly linear.
    a, b, c = (_logit(value) for value in (low, high, quantile))
    return float(times[after - 1] + (times[after] - times[after - 1]) * (c - a) / (b - a))


def _logit(probability: float) -> float:
    kept = min(max(probability, 1e-6), 1 - 1e-6)
    return math.log(kept / (1 - kept))

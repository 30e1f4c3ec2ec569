"""Dead time of counting strips."""

import math
from enum import StrEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ..configuration import Config

__all__ = ["DeadTime", "Shaping", "observed_rate", "possible_loss", "true_over_observed", "true_rate"]

MAX_OBSERVED_TAU = math.exp(-1)
"""Maximum of mτ: a paralysable counter shows at most 1/(eτ), at nτ = 1, and less at higher rates."""

SERIES_LIMIT = 0.02
"""Observed rate times τ up to which the series below is exact to 1e-10."""

SERIES = tuple(k ** (k - 1) / math.factorial(k) for k in range(1, 8))
"""-W0(-y)/y = Σ k^(k-1)/k! y^(k-1), Euler's series of the tree function."""


class Shaping(StrEnum):
    """Amplifier setting of the strips, which determines the dead time."""

    STANDARD = "standard"
    """MYTHEN II."""
    FAST = "fast"
    """MYTHEN II."""
    HIGH_GAIN = "highgain"
    """MYTHEN II, below 8 keV."""
    MYTHEN3 = "mythen3"
    """MYTHEN III, its default."""


SHAPING_NS = {
    Shaping.STANDARD: 170.0,
    Shaping.FAST: 90.0,
    Shaping.HIGH_GAIN: 750.0,
    Shaping.MYTHEN3: 76.08,
}
"""Defaults of the slsDetector software (MYTHEN II) and of the PSI anglecalibration code (MYTHEN III)."""

SHAPING_LIMIT_CPS = {
    Shaping.STANDARD: 300_000.0,
    Shaping.FAST: 1_000_000.0,
    Shaping.HIGH_GAIN: 100_000.0,
    Shaping.MYTHEN3: 1_000_000.0,
}
"""Rates up to which the MYTHEN manual recommends the correction; MYTHEN III as the fast setting of II."""


class DeadTime(Config):
    """Dead time of a paralysable counter; it depends on the bunch structure of the ring."""

    shaping: Shaping | None = None
    """Amplifier setting, to use its default dead time."""
    tau_ns: float | None = Field(default=None, gt=0, lt=10_000)
    """Measured dead time, ns, instead of the default."""
    limit_cps: float | None = Field(default=None, gt=0)
    """Observed rate above which a strip is reported, counts per second; None for that of `shaping`."""

    @model_validator(mode="after")
    def _has_tau(self) -> Self:
        if self.shaping is None and self.tau_ns is None:
            raise ValueError(f"give shaping (one of {', '.join(Shaping)}) or tau_ns")
        if self.shaping is None and self.limit_cps is None:
            raise ValueError("give limit_cps with tau_ns, or shaping to use its limit")
        return self

    @property
    def tau_s(self) -> float:
        """Dead time, s."""
        if self.tau_ns is not None:
            return self.tau_ns * 1e-9
        assert self.shaping is not None  # checked by the validator
        return SHAPING_NS[self.shaping] * 1e-9

    @property
    def reported_above_cps(self) -> float:
        """Observed rate above which a strip is reported, counts per second."""
        if self.limit_cps is not None:
            return self.limit_cps
        assert self.shaping is not None
        return SHAPING_LIMIT_CPS[self.shaping]


def observed_rate(true_cps: NDArray[np.floating], tau_s: float) -> NDArray[np.float64]:
    """Observed rate of a paralysable counter: m = n exp(-nτ).

    Parameters
    ----------
    true_cps
        Photons per second, any shape.
    tau_s
        Dead time, s.

    Returns
    -------
    Counts per second, in the shape of `true_cps`.
    """
    return np.asarray(true_cps * np.exp(-true_cps * tau_s))


def true_rate(observed_cps: NDArray[np.floating], tau_s: float) -> NDArray[np.float64]:
    """True rate from the observed rate of a paralysable counter: n = -W0(-mτ)/τ.

    Parameters
    ----------
    observed_cps
        Counts per second, any shape.
    tau_s
        Dead time, s.

    Returns
    -------
    Photons per second (the solution below 1/τ), in the shape of `observed_cps`; NaN above the maximum
    observable rate 1/(eτ).
    """
    observed = np.asarray(observed_cps, dtype=np.float64)
    return observed * true_over_observed(observed * tau_s)


def possible_loss(observed_cps: float) -> float:
    """Fraction of the photons that a strip of undeclared dead time may have lost.

    Parameters
    ----------
    observed_cps
        Counts per second.

    Returns
    -------
    Loss 1 - m/n with the dead time of the standard setting; that of the maximum observable rate above it.
    """
    observed_tau = observed_cps * SHAPING_NS[Shaping.STANDARD] * 1e-9
    if observed_tau >= MAX_OBSERVED_TAU:
        return 1 - math.exp(-1)
    return 1 - 1 / float(true_over_observed(np.array([observed_tau]))[0])


def true_over_observed(observed_tau: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correction factor n/m of a paralysable counter.

    Parameters
    ----------
    observed_tau
        Observed rate times dead time mτ, any shape, not negative.

    Returns
    -------
    n/m = -W0(-mτ)/(mτ), in the same shape; NaN above mτ = 1/e.
    """
    factor = np.full_like(observed_tau, SERIES[-1])
    for coefficient in SERIES[-2::-1]:  # Horner scheme, in place: this runs over every strip of every frame
        factor *= observed_tau
        factor += coefficient
    if np.max(observed_tau, initial=0.0) > SERIES_LIMIT:
        from scipy.special import lambertw

        steep = observed_tau > SERIES_LIMIT
        y = observed_tau[steep]
        factor[steep] = np.where(y <= MAX_OBSERVED_TAU, -lambertw(-y).real / y, np.nan)
    return factor

"""A bank of Kalman filters for ln size, its rate and an error that successive frames share."""

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["GATE_SD", "PRIOR_DEGREES", "PRIOR_SCALE2", "TINY_VARIANCE", "Bank", "Dynamics"]

Array = NDArray[np.float64]

GATE_SD = 3.0
"""Standard deviations beyond which a measurement loses weight: its variance is raised until it lies there,
so that its pull falls as one over its distance. One frame in 400 is that far by chance."""

PRIOR_DEGREES = 4.0
"""Frames that the network's own standard deviation counts for, beside the scatter that is observed."""

PRIOR_SCALE2 = 0.8
"""Expected variance of the scatter over that which the network states: 0.5 to 1.0 at 10⁴ to 10⁶ photons,
0.15 at 10⁷, where shapes that no frame can distinguish dominate."""

SCALE_MEMORY_FRAMES = 150.0
"""Frames after which an observed scatter is forgotten: the scatter changes as dots grow and beams decay."""

WEAK = 1e-3
"""Damping times step below which the noise is that at this value, right to 1e-3: its exact integral is a
difference of nearly equal terms."""

MIN_PERIODS = 1e-9
"""Length of a step, frame periods, below which it is none: nanoseconds, whose squares and inverses would
leave the range of floating-point numbers."""

MIN_DAMPING = np.array([[1e-12], [WEAK]])
"""Smallest damping times step, of the transition and of its noise."""

TINY_VARIANCE = 1e-9
"""Variance of a correlated error that is not there, relative to a frame's: keeps matrices invertible."""


@dataclass(frozen=True, eq=False)
class Dynamics:
    """How sizes change in each model of a bank; arrays of shape (n_models,), times in frame periods.

    The rate of ln size is white noise of spectral density `diffusion`, integrated and damped: it falls to
    1/e in 1 / (`damping` + `power` · rate). The correlated error is an Ornstein-Uhlenbeck process.
    """

    diffusion: Array
    """Spectral density of the noise of the rate, in frame variances per cubed period."""
    damping: Array
    """Inverse of the time in which growth falls to 1/e, per period; 0 for none."""
    error_variance: Array
    """Variance of the correlated error, in frame variances."""
    error_periods: float
    """Time in which the correlated error falls to 1/e, periods."""
    power: Array = field(default_factory=lambda: np.zeros(1))
    """Power of the size that grows at a constant rate, so that the rate of ln size falls as dots grow: 1 for
    growth in nm, 3 for ripening (Lifshitz and Slyozov, J. Phys. Chem. Solids 19, 35, 1961), 0, which
    is the default, for the logarithm itself."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "power", np.broadcast_to(self.power, self.damping.shape))

    def subset(self, index: NDArray[np.intp]) -> "Dynamics":
        """Some of the models.

        Parameters
        ----------
        index
            Their indices.

        Returns
        -------
        These models.
        """
        return Dynamics(
            self.diffusion[index], self.damping[index], self.error_variance[index], self.error_periods,
            self.power[index],
        )  # fmt: skip

    def steps(self, periods: float, frame_variance: float, rate: float = 0.0) -> tuple[Array, Array]:
        """Discretise the models exactly.

        Parameters
        ----------
        periods
            Length of the step, frame periods.
        frame_variance
            Variance of ln size that is one frame variance.
        rate
            Rate of ln size per period at which growth of a power of the size is linearised.

        Returns
        -------
        Transition matrices and covariances of the noise, both of shape (n_models, 3, 3), of ln size, its rate
        per period and the correlated error.
        """
        n = len(self.damping)
        transition, noise = np.zeros((n, 3, 3)), np.zeros((n, 3, 3))
        kept = math.exp(-periods / self.error_periods)
        transition[:, 0, 0] = 1.0
        transition[:, 2, 2] = kept
        if periods < MIN_PERIODS:
            transition[:, 1, 1] = transition[:, 2, 2] = 1.0
            return transition, noise
        damping = np.maximum(self.damping + self.power * max(rate, 0.0), MIN_DAMPING / periods)
        fallen = np.expm1(damping * -periods)
        gain = fallen / -damping
        linear = fallen[1] * (fallen[1] + 2) / (-2 * damping[1])
        diffusion = frame_variance * self.diffusion
        transition[:, 0, 1] = gain[0]
        transition[:, 1, 1] = fallen[0] + 1
        noise[:, 0, 0] = diffusion * (periods - 2 * gain[1] + linear) / (damping[1] * damping[1])
        noise[:, 0, 1] = noise[:, 1, 0] = diffusion * (0.5 * gain[1] * gain[1])
        noise[:, 1, 1] = diffusion * linear
        noise[:, 2, 2] = (self.error_variance + TINY_VARIANCE) * (frame_variance * (1 - kept**2))
        return transition, noise


@dataclass(frozen=True, eq=False)
class Bank:
    """State of all models after one frame; steps return a new one.

    All variances are relative to the unknown variance scale of the frames, which each model estimates with
    its inverse gamma distribution: the predictions are Student-t. The series (mass-weighted and
    number-weighted mean) share gains, each with its own scale.
    """

    mean: Array
    """Ln size, rate per period and correlated error, shape (n_models, n_series, 3)."""
    covariance: Array
    """Their covariance over the scale, shape (n_models, 3, 3)."""
    degrees: float
    """Degrees of freedom of the scale."""
    squares: Array
    """Sum of squares of the scale, shape (n_models, n_series): the scale is `squares` / `degrees`."""

    @staticmethod
    def begin(
        dynamics: Dynamics, first: Array, level_variance: float, rate_variance: float, frame_variance: float,
        scale2: Array,
    ) -> "Bank":  # fmt: skip
        """State before the first frame.

        Parameters
        ----------
        dynamics
            The models.
        first
            Expected ln size of each series, shape (n_series,).
        level_variance, rate_variance
            Variance of ln size, and of its rate per period.
        frame_variance
            Variance of ln size that is one frame variance.
        scale2
            Expected variance scale of each series, shape (n_series,).

        Returns
        -------
        The state.
        """
        n = len(dynamics.damping)
        mean = np.zeros((n, len(first), 3))
        mean[:, :, 0] = first
        covariance = np.zeros((n, 3, 3))
        covariance[:, 0, 0] = level_variance
        covariance[:, 1, 1] = rate_variance
        covariance[:, 2, 2] = (dynamics.error_variance + TINY_VARIANCE) * frame_variance
        squares = np.tile(PRIOR_DEGREES * PRIOR_SCALE2 * scale2, (n, 1))
        return Bank(mean, covariance, PRIOR_DEGREES, squares)

    def predict(self, transition: Array, noise: Array) -> "Bank":
        """State after a step in time.

        Parameters
        ----------
        transition, noise
            As of `Dynamics.steps`.

        Returns
        -------
        The state.
        """
        turned = transition.transpose(0, 2, 1)
        return Bank(
            self.mean @ turned, transition @ self.covariance @ turned + noise, self.degrees, self.squares
        )

    def update(
        self, measured: Array, variance: float, prior_scale2: Array, memory: float = SCALE_MEMORY_FRAMES
    ) -> tuple["Bank", Array]:
        """State after a measurement.

        Parameters
        ----------
        measured
            Ln size of each series, shape (n_series,); NaN where a series has none, but not the first.
        variance
            Variance of the first series that the network states for this frame.
        prior_scale2
            As of `begin`.
        memory
            Frames after which the scatter is forgotten; infinite to keep it all.

        Returns
        -------
        The state, and the logarithm of the likelihood of the first series in each model, shape (n_models,),
        but for a constant that all models share.
        """
        p, degrees = self.covariance, self.degrees
        seen = p[:, :, 0] + p[:, :, 2]  # covariance of the state with the measurement
        spread = seen[:, 0] + seen[:, 2] + variance
        deviation = measured - self.mean[:, :, 0] - self.mean[:, :, 2]
        whole = not math.isnan(measured[-1])
        known = deviation if whole else np.where(np.isnan(measured), 0.0, deviation)
        square = known * known
        limit = self.squares * (GATE_SD**2 / degrees)
        # Beyond the gate a measurement counts as one of larger variance.
        spread = np.maximum(spread, square[:, 0] / limit[:, 0])
        gain = seen / spread[:, None]
        mean = self.mean + known[:, :, None] * gain[:, None, :]
        covariance = p - seen[:, :, None] * gain[:, None, :]
        squared = np.minimum(square / spread[:, None], limit)
        first = self.squares[:, 0]
        likelihood = -0.5 * (np.log(spread * first) + (degrees + 1) * np.log1p(squared[:, 0] / first))
        kept = 1 - 1 / memory
        # A series without a measurement keeps its scale.
        added = squared if whole else np.where(np.isnan(measured), self.squares / degrees, squared)
        squares = kept * self.squares + ((1 - kept) * PRIOR_DEGREES * PRIOR_SCALE2) * prior_scale2 + added
        new_degrees = kept * degrees + (1 - kept) * PRIOR_DEGREES + 1
        return Bank(mean, covariance, new_degrees, squares), likelihood

    def loosened(self, level_variance: float, rate_variance: float) -> "Bank":
        """State in which the size, the rate or both may have changed at once.

        Parameters
        ----------
        level_variance, rate_variance
            Added variance of ln size, and of its rate per period.

        Returns
        -------
        The state.
        """
        covariance = self.covariance.copy()
        covariance[:, 0, 0] += level_variance
        covariance[:, 1, 1] += rate_variance
        return replace(self, covariance=covariance)

"""Smoothing: every step of a filter from the measurements before and after it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ._bank import Bank, Dynamics

__all__ = ["Change", "SmootherStep", "smooth"]

Array = NDArray[np.float64]


class Change(StrEnum):
    """A change of the synthesis that the track found."""

    RATE = "rate"
    """Growth became faster or slower: an injection, a step in temperature, a second nucleation."""
    JUMP = "jump"
    """The size changed at once: another sample, or another part of it."""


@dataclass(frozen=True, eq=False, kw_only=True)
class SmootherStep:
    """One step of the filter, as the smoother repeats it."""

    periods: float
    """Time since the step before, frame periods."""
    measured: Array | None
    """Ln size of both series, shape (2,); None for a prediction alone."""
    variance: float
    """Variance of the first of them that the frame states."""
    rate: float = 0.0
    """Rate of ln size per period before the step, at which the models are linearised."""
    loosened: tuple[float, float] = (0.0, 0.0)
    """Variances that a change has added to ln size and its rate before the step."""
    change: Change | None = None
    """Kind of that change; None for none, and for a long pause."""


def smooth(
    dynamics: Dynamics, begin: Bank, steps: Sequence[SmootherStep], frame_variance: float, scale2: Array
) -> tuple[Array, Array, Bank]:
    """Run a filter forwards and a Rauch-Tung-Striebel smoother backwards (AIAA J. 3, 1445, 1965).

    Parameters
    ----------
    dynamics
        The models.
    begin
        Their state before the first step.
    steps
        The steps, at least one.
    frame_variance, scale2
        As of `Bank.begin`.

    Returns
    -------
    Smoothed means, shape (n_steps, n_models, n_series, 3); their covariances over the scale, shape (n_steps,
    n_models, 3, 3); and the state of the filter after the last step, with the scale of the whole run.
    """
    bank = begin
    predicted, filtered, transitions = [], [], []
    for step in steps:
        transition, noise = dynamics.steps(step.periods, frame_variance, step.rate)
        if step.loosened != (0.0, 0.0):
            # A sudden change is noise of this step.
            added = np.diag([*step.loosened, 0.0])
            noise = noise + transition @ added @ transition.transpose(0, 2, 1)
        bank = bank.predict(transition, noise)
        predicted.append(bank)
        transitions.append(transition)
        if step.measured is not None:
            bank, _ = bank.update(step.measured, step.variance, scale2, memory=np.inf)
        filtered.append(bank)
    mean = np.array([one.mean for one in filtered])
    covariance = np.array([one.covariance for one in filtered])
    mean_before = np.array([one.mean for one in predicted])
    covariance_before = np.array([one.covariance for one in predicted])
    if len(steps) > 1:
        turned = np.array(transitions[1:]).transpose(0, 1, 3, 2)
        # Gain = P F' / P_next, for all steps at once.
        across = (covariance[:-1] @ turned).transpose(0, 1, 3, 2)
        gains_turned = np.linalg.solve(covariance_before[1:], across)
        gains = gains_turned.transpose(0, 1, 3, 2)
        for i in range(len(steps) - 2, -1, -1):
            mean[i] += (mean[i + 1] - mean_before[i + 1]) @ gains_turned[i]
            covariance[i] += gains[i] @ (covariance[i + 1] - covariance_before[i + 1]) @ gains_turned[i]
    return mean, covariance, bank

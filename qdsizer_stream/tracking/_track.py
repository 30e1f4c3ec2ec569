"""The track of a run: filtered size and growth, frame by frame."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..models import TWO_SIDED_95
from ._bank import Bank, Dynamics
from ._forecast import arrival, normal_cdf
from ._smoother import Change, SmootherStep, smooth

__all__ = ["Change", "Measurement", "Track", "TrackPoint"]

Array = NDArray[np.float64]

SMOOTHING_FRAMES = (3.0, 9.0, 25.0, 80.0)
"""Frames over which each model of the bank averages: from a rate that changes within a few frames to a
straight line."""

DAMPING_FRAMES = (math.inf, 100.0, 30.0, 10.0)
"""Frames in which growth falls to 1/e by itself: none, slow and fast approach to a final size."""

CORRELATED_VARIANCES = (0.0, 1.0)
"""Variance of an error that neighbouring frames share, as a drifting flat field causes, in frame
variances."""

CORRELATED_SMOOTHING = (9.0, 80.0)
"""Smoothing of the models with such an error: it hides what the others in between would show."""

GROWTH_POWER = 1.0
"""Power of the size that grows at a constant rate in these models: growth that is constant in nm, or slows
down by the damping."""

RIPENING_POWER, RIPENING_SMOOTHING = 3.0, (25.0, 80.0)
"""The same of ripening, and smoothing of its models, which are not damped."""

CORRELATED_FRAMES = 15.0
"""Frames in which that error falls to 1/e."""

LEVEL_PRIOR = (math.log(5.0), 0.5)
"""Mean and standard deviation of ln size (nm) before the first frame: those of the training of the
networks."""

RATE_PRIOR = 0.05
"""Standard deviation of the rate of ln size before the first frame, per frame: growth by 5 %. Growth of a
power of the size is linearised at no faster one, because the rate of the first frames is little known."""

CLOCK_RESOLUTION_S = 1e-6
"""Time between frames, s, below which a clock stands still: no detector is read out faster."""

MAX_HALF_WIDTH = 600.0
"""Largest half-width of an interval in ln size, of which nothing is known: its exponential is finite."""

WEIGHT_MEMORY_FRAMES = 100.0
"""Frames after which the merits of a model are forgotten: a synthesis grows, then rests."""

UNIT_FRAMES = 5
"""Frames whose median period and variance are the units of the bank; until then the run is filtered again
with each."""

MAX_GAP_PERIODS = 30.0
"""Pause, in frame periods, after which nothing is concluded from the size before it."""

CANDIDATE_FRAMES = 6
"""Age up to which a change is tested for, frames."""

MIN_RATE_FRAMES, MIN_JUMP_FRAMES = 3, 3
"""Frames that must have followed a change of rate, or of size: two bubbles in succession are not a new
sample."""

RATE_LOG_ODDS, JUMP_LOG_ODDS = 2.5, 5.0
"""Logarithm of the likelihood ratio at which a change is believed; fewer than one false alarm in 300
frames."""

CANDIDATE_SMOOTHING_FRAMES = 20.0
"""Frames over which the models of a change average: the size after it follows a smooth curve again."""

RATE_STEP_SD = 2.0
"""Standard deviation of a sudden change of the rate of ln size, in standard deviations of a frame per
period."""

MIN_FORECAST_WEIGHT = 0.02
"""Weight of a model below which a forecast leaves it out."""

MAX_SMOOTHED_MODELS = 6
"""Models that are smoothed at most; the others are less likely."""

MIN_GROWTH_FRAMES = 3
"""Frames with a size before growth is stated."""

SHARED_GROWTH_FACTOR = 2.0
"""Relative error of growth over the shared relative error of the size: of two models of disorder the sizes
of PbS differed by 5.3 % at 3.2 nm and 1.2 % at 5.0 nm, their growth by 6 % where their mean sizes differed
by 3 %."""

HIDDEN_GROWTH_FACTOR = 3.0
"""Relative error of growth over that of sizes for what no frame shows. Peaks broadened in quadrature make
dots of D look like d = D/√(1 + (cD)²); the derivative of D by d is the cube of D/d."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Sizes of one frame, or sum of frames, as evidence for the track; all lengths as ln nm."""

    time_s: float
    """When it was measured, s."""
    mass_mean: float = math.nan
    """Ln of the mass-weighted mean, NaN where the model gives none."""
    mass_mean_sd: float = math.nan
    """Standard deviation of `mass_mean` by the frame itself."""
    mass_mean_shared_sd: float = 0.0
    """Standard deviation of `mass_mean` that all frames share."""
    size: float = math.nan
    """Ln of the number-weighted mean."""
    size_sd: float = math.nan
    """Standard deviation of `size` by the frame itself."""
    size_shared_sd: float = 0.0
    """Standard deviation of `size` that all frames share."""
    below: float = 0.0
    """By how much all sizes may be smaller for what no frame shows."""
    above: float = 0.0
    """By how much all sizes may be larger for what no frame shows."""
    only_number: bool = False
    """Whether the number-weighted mean is used in place of a mass-weighted one that the model does not
    give."""


@dataclass(frozen=True, kw_only=True)
class TrackPoint:
    """State of the track after one frame; NaN where nothing is known yet. Intervals are of 95 %."""

    time_s: float
    """Time of the frame, s."""
    mass_mean_nm: float = math.nan
    """Mass-weighted mean diameter, nm."""
    mass_mean_low_nm: float = math.nan
    """Lower end of its interval, nm."""
    mass_mean_high_nm: float = math.nan
    """Upper end of its interval, nm."""
    mass_mean_sd_nm: float = math.nan
    """Its standard deviation without the error that all frames share, nm: that of its changes."""
    size_nm: float = math.nan
    """Number-weighted mean diameter, nm."""
    size_low_nm: float = math.nan
    """Lower end of its interval, nm."""
    size_high_nm: float = math.nan
    """Upper end of its interval, nm."""
    size_sd_nm: float = math.nan
    """Its standard deviation without the error that all frames share, nm."""
    growth_nm_per_min: float = math.nan
    """Growth of the mass-weighted mean, or of the number-weighted one where there is no other, nm/min."""
    growth_low_nm_per_min: float = math.nan
    """Lower end of its interval, nm/min."""
    growth_high_nm_per_min: float = math.nan
    """Upper end of its interval, nm/min."""
    probability_reached: float = math.nan
    """Probability that `size_nm` is at the target or beyond it."""
    time_to_target_s: float = math.nan
    """Time until `size_nm` reaches the target, s; 0 where it has, NaN where that is not in sight."""
    time_to_target_low_s: float = math.nan
    """Lower end of its interval, s."""
    time_to_target_high_s: float = math.nan
    """Upper end of its interval, s; NaN where the target may never be reached."""
    change: Change | None = None
    """Change found with this frame; it happened up to six frames before."""


def default_dynamics() -> Dynamics:
    """Models of the bank.

    Returns
    -------
    All combinations of smoothing, damping and correlated errors, and ripening.
    """
    rows = [
        (smoothing**-4, 1 / damping, variance, GROWTH_POWER)
        for smoothing in SMOOTHING_FRAMES
        for damping in DAMPING_FRAMES
        for variance in CORRELATED_VARIANCES
        if variance == 0 or smoothing in CORRELATED_SMOOTHING
    ]
    rows += [(smoothing**-4, 0.0, 0.0, RIPENING_POWER) for smoothing in RIPENING_SMOOTHING]
    diffusion, damping, variance, power = (np.array(column) for column in zip(*rows, strict=True))
    return Dynamics(diffusion, damping, variance, CORRELATED_FRAMES, power)


_MODELS = default_dynamics()
_N_MODELS = len(_MODELS.damping)
_N_CANDIDATES = 2 * CANDIDATE_FRAMES
_ALL = Dynamics(
    np.append(_MODELS.diffusion, np.full(_N_CANDIDATES, CANDIDATE_SMOOTHING_FRAMES**-4)),
    np.append(_MODELS.damping, np.zeros(_N_CANDIDATES)),
    np.append(_MODELS.error_variance, np.zeros(_N_CANDIDATES)),
    CORRELATED_FRAMES,
    np.append(_MODELS.power, np.full(_N_CANDIDATES, GROWTH_POWER)),
)
_IS_JUMP = np.tile([False, True], CANDIDATE_FRAMES)
_LOG_ODDS = np.where(_IS_JUMP, JUMP_LOG_ODDS, RATE_LOG_ODDS)


def _odds_by_newest() -> list[Array]:
    """Log odds to exceed for each place of the newest candidates; infinite for those that are too young."""
    places = np.arange(_N_CANDIDATES) // 2
    enough = np.where(_IS_JUMP, MIN_JUMP_FRAMES, MIN_RATE_FRAMES)
    ages = [(newest - places) % CANDIDATE_FRAMES + 1 for newest in range(CANDIDATE_FRAMES)]
    return [np.where(age >= enough, _LOG_ODDS, math.inf) for age in ages]


_ODDS_BY_NEWEST = _odds_by_newest()


@dataclass(frozen=True, eq=False)
class _Before:
    """State of the filter before a step, to which a change goes back."""

    bank: Bank
    log_weights: Array
    log_evidence: Array
    n_steps: int


class Track:
    """Filters the sizes of one run.

    Give it every frame in order with `update`. The same frames give the same track to the last bit, and the
    state after a frame depends on this frame and earlier ones alone.

    Parameters
    ----------
    target_nm
        Number-weighted mean diameter that the synthesis aims at, nm; NaN for none.
    """

    def __init__(self, target_nm: float = math.nan) -> None:
        self._target = math.log(target_nm) if target_nm > 0 else math.nan
        self._clock_s: float | None = None
        self._times_s: list[float] = []
        self._last_steps: list[int] = []  # of each frame; -1 before the first measurement
        self._inputs: list[
            tuple[float, Measurement | None]
        ] = []  # seconds and frame, until the units are known
        self._since_measured_s = 0.0
        self._measured_apart_s: list[float] = []
        self._measured_variances: list[float] = []
        self._last: Measurement | None = None
        self._began_above: bool | None = None  # the target, at the first size
        self._known: list[Measurement | None] = []  # newest measurement at each frame
        self.n_measured = 0
        """Frames that informed the track."""
        self._begin(1.0, 1.0)

    @property
    def steps(self) -> list[SmootherStep]:
        """Steps of the filter so far."""
        return self._steps

    def update(self, time_s: float, measurement: Measurement | None = None) -> TrackPoint:
        """Take the next frame.

        Parameters
        ----------
        time_s
            When it was measured, s, on any clock; one that was set back is taken to have gone on by one
            frame.
        measurement
            What the frame contributes to the size; None where it contributes nothing. Its time may be earlier
            than that of the frame, as the middle of a sum of frames is.

        Returns
        -------
        The state at the time of the frame.
        """
        change = self.add(time_s, measurement)
        bank = self._bank
        return self._point(
            time_s,
            change,
            self._last,
            self._weights,
            _Estimates(bank.mean[:_N_MODELS], bank.covariance[:_N_MODELS]),
            bank.squares[:_N_MODELS],
            bank.degrees,
            _MODELS,
        )

    def add(self, time_s: float, measurement: Measurement | None = None) -> Change | None:
        """Take the next frame of a run that is to be smoothed; leaves out the numbers that `update` returns.

        Parameters
        ----------
        time_s, measurement
            As of `update`.

        Returns
        -------
        The change that was found with the frame.
        """
        passed_s = 0.0
        if self._clock_s is not None and math.isfinite(time_s):
            passed_s = time_s - self._clock_s
            if passed_s < 0:
                passed_s = self._period_s if self.n_measured > 1 else 0.0
            elif passed_s < CLOCK_RESOLUTION_S:
                passed_s = 0.0
        if math.isfinite(time_s):
            self._clock_s = time_s
        change = None
        known = None if measurement is None else _usable(measurement)
        if known is None:
            if self.n_measured:
                self._advance(passed_s, None)
        else:
            since_s = min(max(time_s - known.time_s, 0.0), passed_s) if math.isfinite(known.time_s) else 0.0
            change = self._measure(passed_s - since_s, known)
            if since_s:
                self._advance(since_s, None)
        self._times_s.append(time_s)
        self._last_steps.append(len(self._steps) - 1)
        self._known.append(self._last)
        return change

    def smoothed(self) -> list[TrackPoint]:
        """Estimate every frame from all frames of the run, later ones too.

        A Rauch-Tung-Striebel smoother runs in those models of the bank that all frames together leave likely,
        with the changes that the filter found.

        Returns
        -------
        One point for each frame, in order; NaN before the first that informed the track. They hold no
        forecast.
        """
        if not self.n_measured:
            return [TrackPoint(time_s=time_s) for time_s in self._times_s]
        weights = np.exp(self._log_evidence - _log_sum(self._log_evidence))
        held = np.argsort(weights, kind="stable")[-MAX_SMOOTHED_MODELS:]
        held = held[weights[held] > MIN_FORECAST_WEIGHT * weights.max()]
        weights = weights[held] / weights[held].sum()
        models = _MODELS.subset(held)
        level, level_sd = LEVEL_PRIOR
        begin = Bank.begin(
            models, np.array([level, level]), level_sd**2, RATE_PRIOR**2, self._variance, self._scale2
        )
        mean, covariance, end = smooth(models, begin, self._steps, self._variance, self._scale2)
        points = []
        first = 0
        for time_s, last_step, known in zip(self._times_s, self._last_steps, self._known, strict=True):
            changes = [step.change for step in self._steps[first : last_step + 1] if step.change is not None]
            first = last_step + 1
            points.append(
                self._point(
                    time_s,
                    changes[0] if changes else None,
                    known,
                    weights,
                    _Estimates(mean[max(last_step, 0)], covariance[max(last_step, 0)]),
                    end.squares,
                    end.degrees,
                    None,
                )
            )
        return points

    def _measure(self, passed_s: float, known: Measurement) -> Change | None:
        self._since_measured_s += passed_s
        if self.n_measured and self._since_measured_s >= CLOCK_RESOLUTION_S:
            self._measured_apart_s.append(self._since_measured_s)
        self._since_measured_s = 0.0
        self._last = known
        self.n_measured += 1
        if self.n_measured > UNIT_FRAMES:
            return self._advance(passed_s, known)
        # The units follow from the first frames: filter them again with what is known now.
        self._measured_variances.append(known.mass_mean_sd**2)
        self._inputs.append((passed_s, known))
        self._begin(
            float(np.median(self._measured_apart_s)) if self._measured_apart_s else 1.0,
            float(np.median(self._measured_variances)),
        )
        for seconds, one in self._inputs:
            self._advance(seconds, one, again=True)
        return None

    def _begin(self, period_s: float, variance: float) -> None:
        self._period_s, self._variance = period_s, variance
        level, level_sd = LEVEL_PRIOR
        last = self._last
        self._number_scale2 = (
            1.0 if last is None or math.isnan(last.size) else (last.size_sd / last.mass_mean_sd) ** 2
        )
        self._scale2 = np.array([1.0, self._number_scale2])
        self._bank = Bank.begin(
            _ALL, np.array([level, level]), level_sd**2, RATE_PRIOR**2, variance, self._scale2
        )
        self._log_weights = np.full(_N_MODELS, -math.log(_N_MODELS))
        self._weights = np.exp(self._log_weights)
        self._loosenings = np.zeros((2, 3, 3))
        for matrix, change in zip(self._loosenings, (Change.RATE, Change.JUMP), strict=True):
            matrix[(0, 1), (0, 1)] = self._loosening(change)
        self._log_evidence = np.zeros(_N_MODELS)  # of all frames so far, in each model
        self._steps: list[SmootherStep] = []
        self._since_unit = 0.0
        self._log_ratio = np.full(_N_CANDIDATES, -math.inf)
        self._ring: list[_Before | None] = [None] * CANDIDATE_FRAMES
        self._n_tested = 0

    def _advance(self, passed_s: float, known: Measurement | None, again: bool = False) -> Change | None:
        """One step of the filter."""
        if known is None and not again and self.n_measured < UNIT_FRAMES:
            self._inputs.append((passed_s, None))
        if known is None:
            self._since_measured_s += 0.0 if again else passed_s
        periods, loosened = passed_s / self._period_s, (0.0, 0.0)
        if periods > MAX_GAP_PERIODS:
            periods, loosened = MAX_GAP_PERIODS, self._loosening(Change.JUMP)
        step = SmootherStep(
            periods=periods,
            measured=None if known is None else np.array([known.mass_mean, known.size]),
            variance=math.nan if known is None else known.mass_mean_sd**2,
            rate=self._rate(),
            loosened=loosened,
        )
        before = None
        if known is not None and self.n_measured > UNIT_FRAMES:
            before = _Before(self._models(), self._log_weights, self._log_evidence, len(self._steps))
            self._add_candidates(before)
        self._steps.append(step)
        likelihood = self._filter(step)
        if before is None or likelihood is None:
            return None
        return self._changed(likelihood)

    def _filter(self, step: SmootherStep) -> tuple[Array, float] | None:
        """Predict and update all models; returns the likelihoods and that of the whole bank."""
        bank = self._bank
        if step.loosened != (0.0, 0.0):
            bank = bank.loosened(*step.loosened)
        bank = bank.predict(*_ALL.steps(step.periods, self._variance, step.rate))
        if step.measured is None:
            self._bank = bank
            return None
        self._bank, likelihood = bank.update(step.measured, step.variance, self._scale2)
        own = likelihood[:_N_MODELS]
        self._log_evidence = self._log_evidence + own
        weights = self._log_weights + own
        whole = _log_sum(weights)
        weights = (1 - 1 / WEIGHT_MEMORY_FRAMES) * (weights - whole)
        kept = np.exp(weights)  # of sum one before they were tempered
        total = np.add.reduce(kept)
        self._log_weights = weights - math.log(total)
        self._weights = kept / total
        return likelihood, whole

    def _rate(self) -> float:
        """Rate of ln size per period at which the next step is linearised."""
        rate = float(self._weights @ self._bank.mean[:_N_MODELS, 0, 1])
        return min(max(rate, 0.0), RATE_PRIOR)

    def _models(self) -> Bank:
        """The bank without the candidates of a change, whose places alone are written to."""
        bank = self._bank
        return Bank(
            bank.mean[:_N_MODELS], bank.covariance[:_N_MODELS], bank.degrees, bank.squares[:_N_MODELS]
        )

    def _loosening(self, change: Change) -> tuple[float, float]:
        """Variances that a change adds to ln size and to its rate per period."""
        rate = RATE_STEP_SD**2 * self._variance
        return (LEVEL_PRIOR[1] ** 2, rate) if change is Change.JUMP else (0.0, rate)

    def _add_candidates(self, before: _Before) -> None:
        """Begin two models in which the rate, or the size, changes with the next frame."""
        slot = self._n_tested % CANDIDATE_FRAMES
        self._n_tested += 1
        self._ring[slot] = before
        models, weights = before.bank, self._weights
        mean = (weights @ models.mean.reshape(_N_MODELS, -1)).reshape(models.mean.shape[1:])
        apart = models.mean[:, 0] - mean[0]
        squares = weights @ models.squares
        covariance = (weights @ models.covariance.reshape(_N_MODELS, 9)).reshape(3, 3)
        covariance += (weights[:, None] * apart).T @ apart * (models.degrees / squares[0])
        bank = self._bank
        rows = slice(_N_MODELS + 2 * slot, _N_MODELS + 2 * slot + 2)
        bank.mean[rows] = mean
        bank.covariance[rows] = covariance + self._loosenings
        bank.squares[rows] = squares
        self._log_ratio[2 * slot : 2 * slot + 2] = 0.0

    def _changed(self, likelihood: tuple[Array, float]) -> Change | None:
        """Test whether a candidate explains the newest frames so much better that it is believed."""
        models, whole = likelihood
        self._log_ratio += models[_N_MODELS:] - whole
        gain = self._log_ratio - _ODDS_BY_NEWEST[(self._n_tested - 1) % CANDIDATE_FRAMES]
        best = int(np.argmax(gain))
        if not gain[best] > 0:
            return None
        change = Change.JUMP if _IS_JUMP[best] else Change.RATE
        before = self._ring[best // 2]
        assert before is not None  # a candidate with a ratio has one
        again = self._steps[before.n_steps :]
        again[0] = replace(again[0], loosened=self._loosening(change), change=change)
        del self._steps[before.n_steps :]
        pad = self._bank
        self._bank = Bank(
            np.concatenate([before.bank.mean, pad.mean[_N_MODELS:]]),
            np.concatenate([before.bank.covariance, pad.covariance[_N_MODELS:]]),
            before.bank.degrees,
            np.concatenate([before.bank.squares, pad.squares[_N_MODELS:]]),
        )
        self._log_weights, self._log_evidence = before.log_weights, before.log_evidence
        self._weights = np.exp(self._log_weights)
        for earlier in again:
            step = replace(earlier, rate=self._rate())
            self._steps.append(step)
            self._filter(step)
        self._log_ratio[:] = -math.inf
        return change

    def _point(
        self,
        time_s: float,
        change: Change | None,
        last: Measurement | None,
        weights: Array,
        estimates: "_Estimates",
        squares: Array,
        degrees: float,
        forecast: Dynamics | None,
    ) -> TrackPoint:
        """The mixture of the models in physical units."""
        if last is None:
            return TrackPoint(time_s=time_s)
        mean, covariance = estimates.mean, estimates.covariance
        scale2 = squares / (degrees - 2)
        levels, rates = mean[:, :, 0], mean[:, 0, 1]
        level = weights @ levels
        variance = weights @ (covariance[:, 0, 0, None] * scale2 + (levels - level) ** 2)
        rate = float(weights @ rates)
        rate_variance = float(weights @ (covariance[:, 1, 1] * scale2[:, 0] + (rates - rate) ** 2))
        scatter = weights @ squares * (last.mass_mean_sd**2 / degrees)
        hidden = (last.below, last.above)
        mass = _interval(
            float(level[0]),
            float(variance[0]),
            last.mass_mean_sd**2,
            float(scatter[0]),
            last.mass_mean_shared_sd,
            hidden,
        )
        size = mass
        if not math.isnan(last.size):
            size = _interval(
                float(level[1]),
                float(variance[1]),
                last.size_sd**2,
                float(scatter[1]),
                last.size_shared_sd,
                hidden,
            )
        growth = self._growth(mass[0], rate, rate_variance, last.mass_mean_shared_sd, hidden)
        numbers: dict[str, float] = {}
        if forecast is not None and not math.isnan(self._target):
            series = 0 if math.isnan(last.size) else 1
            numbers = self._arrival(weights, estimates, scale2[:, series], series, size)
        if last.only_number:
            mass = (math.nan, math.nan, math.nan, math.nan)
        return TrackPoint(
            time_s=time_s,
            mass_mean_nm=mass[0],
            mass_mean_low_nm=mass[1],
            mass_mean_high_nm=mass[2],
            mass_mean_sd_nm=mass[3],
            size_nm=size[0],
            size_low_nm=size[1],
            size_high_nm=size[2],
            size_sd_nm=size[3],
            growth_nm_per_min=growth[0],
            growth_low_nm_per_min=growth[1],
            growth_high_nm_per_min=growth[2],
            change=change,
            **numbers,
        )

    def _growth(
        self, size_nm: float, rate: float, variance: float, shared: float, hidden: tuple[float, float]
    ) -> tuple[float, float, float]:
        if self.n_measured < MIN_GROWTH_FRAMES:
            return math.nan, math.nan, math.nan
        per_minute = size_nm * 60 / self._period_s
        growth = per_minute * rate
        half = TWO_SIDED_95 * math.hypot(
            per_minute * math.sqrt(variance), SHARED_GROWTH_FACTOR * shared * growth
        )
        below, above = hidden
        slopes = (math.exp(-HIDDEN_GROWTH_FACTOR * below), math.exp(HIDDEN_GROWTH_FACTOR * above))
        low, high = growth - half, growth + half
        return growth, min(slope * low for slope in slopes), max(slope * high for slope in slopes)

    def _arrival(
        self,
        weights: Array,
        estimates: "_Estimates",
        scale2: Array,
        series: int,
        size: tuple[float, float, float, float],
    ) -> dict[str, float]:
        """Probability that the target is reached, and the time until it is."""
        if self._began_above is None:
            self._began_above = size[0] > math.exp(self._target)
        sign = -1.0 if self._began_above else 1.0
        beyond = math.log(size[0]) - self._target
        # The end towards the target: the two differ where sizes may be larger for what no frame shows.
        end = size[1] if beyond > 0 else size[2]
        sd = abs(math.log(end / size[0])) / TWO_SIDED_95
        reached = float(normal_cdf(sign * beyond / sd))
        times = (math.nan, math.nan, math.nan)
        if reached >= 0.5:
            times = (0.0, 0.0, 0.0)
        elif self.n_measured >= MIN_GROWTH_FRAMES:
            held = np.flatnonzero(weights > MIN_FORECAST_WEIGHT)
            level = estimates.mean[held, series]
            covariance = estimates.covariance[held] * scale2[held, None, None]
            likely = weights[held] / weights[held].sum()
            centre = likely @ level[:, 0]
            own = likely @ (covariance[:, 0, 0] + (level[:, 0] - centre) ** 2)
            times = arrival(
                likely,
                sign * (self._target - level[:, 0]),
                sign * level[:, 1],
                covariance,
                _MODELS.damping[held],
                _MODELS.diffusion[held] * self._variance * scale2[held],
                max(sd**2 - float(own), 0.0),
                _MODELS.power[held],
            )
        return {
            "probability_reached": reached,
            "time_to_target_s": times[0] * self._period_s,
            "time_to_target_low_s": times[1] * self._period_s,
            "time_to_target_high_s": times[2] * self._period_s,
        }


@dataclass(frozen=True, eq=False)
class _Estimates:
    """Estimates of one frame in several models: means (n, 2, 3) and covariances over the scale (n, 3, 3)."""

    mean: Array
    covariance: Array


def _usable(measurement: Measurement) -> Measurement | None:
    """The measurement, with its size in place of a missing mass-weighted mean; None without numbers."""
    if _is_size(measurement.mass_mean, measurement.mass_mean_sd):
        if _is_size(measurement.size, measurement.size_sd):
            return measurement
        return replace(measurement, size=math.nan, size_sd=math.nan)
    if not _is_size(measurement.size, measurement.size_sd):
        return None
    return replace(
        measurement,
        mass_mean=measurement.size,
        mass_mean_sd=measurement.size_sd,
        mass_mean_shared_sd=measurement.size_shared_sd,
        only_number=True,
    )


def _is_size(value: float, sd: float) -> bool:
    return math.isfinite(value) and math.isfinite(sd) and sd > 0


def _interval(
    level: float, variance: float, stated: float, scatter: float, shared: float, hidden: tuple[float, float]
) -> tuple[float, float, float, float]:
    """Size with its interval, and the standard deviation of its changes, nm.

    What a frame's standard deviation holds beyond the observed scatter is common to the frames of the run;
    so is what no frame shows, by which the ends lie further below and above.
    """
    size_nm = math.exp(level)
    common = max(stated - scatter, 0.0) + shared**2
    half = min(TWO_SIDED_95 * math.sqrt(variance + common), MAX_HALF_WIDTH)
    below, above = hidden
    low_nm, high_nm = size_nm * math.exp(-half - below), size_nm * math.exp(half + above)
    return size_nm, low_nm, high_nm, size_nm * math.sqrt(variance)


def _log_sum(values: Array) -> float:
    """Logarithm of the sum of exponentials."""
    largest = float(np.maximum.reduce(values))
    return largest + math.log(np.add.reduce(np.exp(values - largest)))

"""The one path from a frame to an estimate: live, replayed or from a file."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..configuration import validated
from ..errors import CalibrationError, ConfigurationError, PatternError
from ..models import Answer, BinnedInput, Card, PhysicsCheck, PhysicsFit, SizingModel, load_model
from ..patterns import Axis, BinGrid, Pattern, bin_pattern, read_curve
from ..reduction import NOTHING_APPLIED, AppliedCorrections, PooledCounts, Reducer, ReductionConfig
from ._config import SizingConfig
from ._estimate import SizeEstimate, Status
from ._judgement import refusal
from ._raw_frame import RawFrame

__all__ = ["Examination", "Sizer"]

CHECK_STEP_INV_ANGSTROM = 0.02
"""Bins of the physics check: a third of the width of a peak of a 10 nm dot."""

MAX_NEGATIVE = {2.0: 0.05, 5.0: 0.005}
"""Share of the bins that may lie so many standard deviations below zero. Of intensities of zero 2.3 % lie
below -2 σ and none below -5: more is no noise, and the logarithm that networks take cannot see how deep."""


@dataclass(frozen=True, eq=False)
class Examination:
    """An estimate with what it rests on."""

    estimate: SizeEstimate
    """The answer."""
    binned: Pattern | None = None
    """The frame on the bins of the physics check; None where there was nothing to bin."""
    fit: PhysicsFit | None = None
    """What the frame is made of; None where it never came to the check."""
    n_frames: int = 1
    """Frames that were added up."""
    warnings: tuple[str, ...] = ()
    """What the reduction masked or is unsure of, one line each."""


class Sizer:
    """Sizes patterns and frames; no frame, however bad, makes it raise.

    Parameters
    ----------
    config
        Model, reduction and solvent; None where they are given by name.
    **settings
        Fields of `SizingConfig` by name, as in ``Sizer(model="pbs")``.

    Raises
    ------
    ModelError
        The model is unknown or its file cannot be trusted.
    PatternFileError
        The solvent file cannot be read.
    ConfigurationError
        A setting is unknown or invalid, the solvent file lies outside the range of the model, or a bad strip
        is outside the detector.
    CalibrationError
        A calibration file cannot be used, or it leaves no strip.
    """

    def __init__(self, config: SizingConfig | None = None, **settings: Any) -> None:
        if config is None:
            config = validated(SizingConfig, settings, "Sizer(…)")
        elif settings:
            raise ConfigurationError(
                f"a sizer takes a SizingConfig or settings by name, not both: found both a config and "
                f"{', '.join(settings)}"
            )
        self.config = config
        self.model: SizingModel = load_model(config.model)
        self._grid = self._check_grid(self.model)
        liquid = None if config.solvent is None else _solvent_on(config.solvent, self._grid)
        self._check = PhysicsCheck(self.model.templates, self._grid, liquid)
        self.reducer = None if config.reduction is None else Reducer(self._in_bins(config.reduction))
        """Reduces raw frames; None where none are expected."""

    @staticmethod
    def _check_grid(model: SizingModel) -> BinGrid:
        match model.card.input:
            case BinnedInput(grid=grid):
                return grid
            case paper:
                step = CHECK_STEP_INV_ANGSTROM
                span = paper.grid.q_step_inv_angstrom * (paper.grid.n_points - 1)
                return BinGrid(
                    q_first_inv_angstrom=paper.grid.q_first_inv_angstrom,
                    q_step_inv_angstrom=step,
                    n_bins=int(span / step) + 1,
                )

    def _in_bins(self, reduction: ReductionConfig) -> ReductionConfig:
        """Pool photons in the model's own bins: strips that are averaged later have no right errors."""
        if not isinstance(self.model.card.input, BinnedInput):
            return reduction
        return reduction.model_copy(update={"bins": self._grid})

    def size_frame(
        self,
        counts: ArrayLike,
        wavelength_angstrom: float,
        arm_deg: float | None = None,
        *,
        exposure_s: float | None = None,
        monitor: float | None = None,
        applied: AppliedCorrections = NOTHING_APPLIED,
    ) -> SizeEstimate:
        """Size one raw frame of the configured detector.

        Parameters
        ----------
        counts, wavelength_angstrom, arm_deg, exposure_s, monitor, applied
            As in `RawFrame`.

        Returns
        -------
        The estimate; `bad_frame` where the frame cannot be reduced.
        """
        frame = RawFrame(
            counts=counts,
            wavelength_angstrom=wavelength_angstrom,
            arm_deg=arm_deg,
            exposure_s=exposure_s,
            monitor=monitor,
            applied=applied,
        )
        return self.examine_frame(frame).estimate

    def size(self, pattern: Pattern) -> SizeEstimate:
        """Size one pattern.

        Parameters
        ----------
        pattern
            Reduced pattern.

        Returns
        -------
        The estimate.
        """
        return self.examine(pattern).estimate

    def examine_frame(self, frame: RawFrame) -> Examination:
        """Size one raw frame and keep the values that the estimate is based on.

        Parameters
        ----------
        frame
            Counts and readings.

        Returns
        -------
        The estimate with the binned frame and its fit; `bad_frame` where the frame cannot be reduced.
        """
        try:
            pooled = self.pool(frame)
        except (CalibrationError, PatternError) as error:
            return self._refused(Status.BAD_FRAME, str(error))
        return self.examine_pooled(pooled)

    def pool(self, frame: RawFrame) -> PooledCounts:
        """Reduce one raw frame, so that it can be added to others.

        Parameters
        ----------
        frame
            Counts and readings.

        Returns
        -------
        Photons and exposure in bins.

        Raises
        ------
        CalibrationError
            No detector is configured, or as `Reducer.pool`.
        PatternError
            As `Reducer.pool`.
        """
        if self.reducer is None:
            raise CalibrationError("no detector is configured: give [sizing.reduction] with its calibration")
        return self.reducer.pool(
            frame.counts,
            frame.wavelength_angstrom,
            frame.arm_deg,
            exposure_s=frame.exposure_s,
            monitor=frame.monitor,
            applied=frame.applied,
        )

    def examine_pooled(self, pooled: PooledCounts) -> Examination:
        """Size a reduced frame, or a sum of them, and keep the values that the estimate is based on.

        Parameters
        ----------
        pooled
            Photons and exposure, as `pool` gives them.

        Returns
        -------
        The estimate with the binned frame and its fit.
        """
        try:
            examination = self.examine(pooled.pattern(), self._photons(pooled))
        except (CalibrationError, PatternError) as error:
            examination = self._refused(Status.BAD_FRAME, str(error))
        return replace(examination, n_frames=pooled.n_frames, warnings=pooled.warnings)

    def _photons(self, pooled: PooledCounts) -> float:
        """Photons within the bins that the counts are worth: their own number where nothing is corrected.

        The sigma of a pattern would undercount them, since it holds what a bin with few counts leaves
        open about its rate.
        """
        first, last = np.searchsorted(pooled.q_inv_angstrom, self._grid.edges[[0, -1]])
        counts, variance = pooled.counts[first:last], pooled.variance[first:last]
        seen = variance > 0
        return float(np.sum(counts[seen] ** 2 / variance[seen]))

    def examine(self, pattern: Pattern, photons: float | None = None) -> Examination:
        """Size one pattern and keep the values that the estimate is based on.

        Parameters
        ----------
        pattern
            Reduced pattern.
        photons
            Photons that the pattern holds; None to compute them from its sigma.

        Returns
        -------
        The estimate with the binned pattern and its fit.
        """
        guard = self.model.card.guard
        binned = bin_pattern(pattern, self._grid)
        usable = binned.usable
        if not np.any(usable):
            low, high = self._grid.edges[0], self._grid.edges[-1]
            return self._refused(
                Status.BAD_FRAME, f"no usable point between {low:.3g} and {high:.3g} Å⁻¹", binned
            )
        q_used = binned.q_inv_angstrom[usable]
        if photons is None:
            positive = np.maximum(binned.intensity[usable], 0.0)
            photons = float(np.sum((positive / binned.sigma[usable]) ** 2))
        seen: dict[str, Any] = {
            "counts": photons,
            "q_min": float(q_used[0]),
            "q_max": float(q_used[-1]),
        }
        n_bins = int(np.count_nonzero(usable & self._check.covered))
        if n_bins < guard.min_bins:
            reason = f"{n_bins} bins of {self._grid.n_bins} hold data, {guard.min_bins} are needed"
            if n_bins < np.count_nonzero(usable):
                reason += f" where the solvent's curve is known ({self.config.solvent})"
            return self._refused(Status.BAD_FRAME, reason, binned, **seen)
        if seen["q_min"] > guard.max_q_low_inv_angstrom or seen["q_max"] < guard.min_q_high_inv_angstrom:
            reason = (
                f"the frame spans {seen['q_min']:.2f} … {seen['q_max']:.2f} Å⁻¹, at least "
                f"{guard.max_q_low_inv_angstrom:g} … {guard.min_q_high_inv_angstrom:g} Å⁻¹ is needed"
            )
            return self._refused(Status.BAD_FRAME, reason, binned, **seen)
        if not binned.intensity[usable].mean() > 0:
            return self._refused(Status.BAD_FRAME, "the intensities sum to zero or less", binned, **seen)
        depth = binned.intensity[usable] / binned.sigma[usable]
        below = [float(np.mean(depth < -sigma)) for sigma in MAX_NEGATIVE]
        if any(share > most for share, most in zip(below, MAX_NEGATIVE.values(), strict=True)):
            reason = f"{max(below):.1%} of the bins are negative beyond their noise: too much was subtracted"
            return self._refused(Status.BAD_FRAME, reason, binned, **seen)
        if seen["counts"] < guard.min_counts:
            reason = f"{seen['counts']:.0f} counts, at least {guard.min_counts:.0f} are needed"
            return self._refused(Status.LOW_COUNTS, reason, binned, **seen)
        try:
            if isinstance(self.model.card.input, BinnedInput):
                answer = self.model.answer_binned(binned)
            else:
                answer = self.model.answer(pattern)
        except PatternError as error:
            return self._refused(Status.BAD_FRAME, str(error), binned, **seen)
        fit = self._check.fit(binned, *_vouched(self.model.card, answer), answer.dispersion)
        seen["residual"] = fit.residual
        verdict = refusal(self.model.card, answer, fit, photons)
        if verdict is not None:
            return self._refused(*verdict, binned, fit, **seen)
        lattice = self.model.card.lattice_parameter_angstrom * (1 + answer.strain)
        estimate = SizeEstimate(
            status=Status.SIZED,
            size_nm=answer.size_nm,
            size_low_nm=answer.size_low_nm,
            size_high_nm=answer.size_high_nm,
            mass_mean_nm=answer.mass_mean_nm,
            dispersion=answer.dispersion,
            lattice_parameter_angstrom=lattice,
            class_nm=answer.class_nm,
            class_probability=answer.class_probability,
            model=self.model.name,
            **seen,
        )
        return Examination(estimate, binned, fit)

    def _refused(
        self,
        status: Status,
        reason: str,
        binned: Pattern | None = None,
        fit: PhysicsFit | None = None,
        **seen: float,
    ) -> Examination:
        return Examination(
            SizeEstimate(status=status, reason=reason, model=self.model.name, **seen), binned, fit
        )


def _vouched(card: Card, answer: Answer) -> tuple[float, float]:
    """Ends of the interval, nm, within the sizes that the model knows: it cannot vouch for others."""
    low, high = card.size_range_nm
    if not low <= answer.size_nm <= high:
        return answer.size_low_nm, answer.size_high_nm  # will be refused, with the fit to show for it
    return max(answer.size_low_nm, low), min(answer.size_high_nm, high)


def _solvent_on(path: Path, grid: BinGrid) -> NDArray[np.float64]:
    """A measured solvent on the bins of the physics check, NaN where it was not measured."""
    q, intensity, _ = read_curve(path, Axis.Q)
    order = np.argsort(q)
    q, intensity, centres = q[order], intensity[order], grid.centres
    if q[0] >= centres[-1] or q[-1] <= centres[0]:
        raise ConfigurationError(
            f"solvent {path} covers {q[0]:.3g} … {q[-1]:.3g} Å⁻¹, the model looks at {centres[0]:.3g} … "
            f"{centres[-1]:.3g} Å⁻¹: is its first column Q?"
        )
    return np.asarray(np.interp(centres, q, intensity, left=np.nan, right=np.nan))

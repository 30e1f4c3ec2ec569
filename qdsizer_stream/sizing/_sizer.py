"""The one path from a frame to an estimate: live, replayed or from a file."""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._notebook import html_table
from ..configuration import validated
from ..errors import CalibrationError, ConfigurationError, PatternError
from ..models import (
    WIDTH_Q_INV_ANGSTROM,
    Answer,
    BinnedInput,
    Card,
    FrameToFit,
    GaussianOutput,
    PhysicsCheck,
    PhysicsFit,
    SizingModel,
    allowing_for_exponent,
    allowing_for_phases,
    corrected_for_width,
    load_crystal_curves,
    load_model,
    prepare,
    raised_for_width,
    raised_to,
    with_phases,
)
from ..patterns import Axis, BinGrid, Pattern, bin_pattern, load_pattern
from ..reduction import NOTHING_APPLIED, AppliedCorrections, PooledCounts, Reducer, ReductionConfig
from ._acceptance import DIFFRACTS, run_checks
from ._check import CheckResult, first_failed
from ._comparison import Identification, MaterialComparison, other_material
from ._config import SizingConfig
from ._estimate import SizeEstimate, Status
from ._evidence import FitEvidence, FrameEvidence, frame_evidence
from ._plausible_width import plausible_width_inv_angstrom
from ._raw_frame import RawFrame

__all__ = ["Examination", "Sizer"]

MAX_TRAINED_SHIFT_INV_ANGSTROM = 0.004
"""Sure shift of all peaks beyond which the network sizes the frame without it, Å⁻¹: every model was trained
with smaller ones, 0.02° at 0.56 Å."""

BLOCK_FRAMES = 16
"""Patterns that are computed together: with more, their arrays leave the processor's cache."""

BROAD = "broad or two modes"
"""Population of a frame whose dispersion is certainly larger than those of syntheses of one kind of dot."""

MIN_BROAD_DISPERSION = 0.15
"""Lower end of the interval of the dispersion from which a population is called broad: syntheses that make
one kind of dot reach 5 to 15 %."""

PEAKS_DO_NOT_FIT = (
    "χ² fall by dots",
    "probability of dots",
    "strain, fit",
    "strain, network",
    "χ² explained by dots",
)
"""Checks that a frame with a wrong wavelength fails."""

MIN_EXPLAINED_BY_SCALE = 0.7
"""Fraction of the χ² beyond noise that dots must explain at another scale of Q for it to be named."""

MIN_SCALE = 0.005
"""Deviations from 1 below which a scale is not worth naming."""

CHECK_STEP_INV_ANGSTROM = 0.02
"""Width of the bins of the physics check: a third of the width of a peak of a 10 nm dot, Å⁻¹."""

MIN_EVIDENCE_PHOTONS_PER_BIN = 2.0
"""Photons per bin from which the intervals of networks hold: their training begins at 3, and at 2 the
interval of `pbs` contained the size in 97 % of 250 frames, at 1.5 in 92 %, at 1 in 87 %."""

MIN_EVIDENCE_PRESENCE = 0.8
"""Probability of nanocrystals from which a frame with few photons is evidence of their size."""

MIN_EVIDENCE_SIGNIFICANCE = 20.0
"""Fall of χ² by nanocrystals from which it is: in 240 frames of pure solvent, 3000 to 12 000 photons each,
it was 17 at most."""


@dataclass(frozen=True, eq=False)
class Examination:
    """An estimate with the values that it is based on."""

    estimate: SizeEstimate
    """The estimate."""
    binned: Pattern | None = None
    """The frame on the bins of the physics check; None where there was nothing to bin."""
    fit: PhysicsFit | None = None
    """Fit of the physics check; None where the frame was rejected before it."""
    checks: tuple[CheckResult, ...] = ()
    """Every acceptance check that was made, in order; those after the network are made only where all before
    it have passed."""
    answer: Answer | None = None
    """Answer of the network, also for a frame that was rejected after it; None where it was not run."""
    identification: Identification | None = None
    """Comparison with the materials of the settings; None where there are none, or the frame was rejected
    before it."""
    evidence: Answer | None = None
    """Answer where it constrains the size in the track of the run: that of a sized frame, or of one that
    was rejected for too few photons alone. Not a size."""
    pooled: PooledCounts | None = None
    """Reduced frame, where it has too few photons even for evidence, so that a sum of such frames can be
    evidence."""
    n_frames: int = 1
    """Number of frames that were added."""
    warnings: tuple[str, ...] = ()
    """Warnings of the reduction, one line each."""

    @property
    def failed(self) -> CheckResult | None:
        """First check that the frame fails, which sets its status; None where it fails none."""
        return first_failed(self.checks)


@dataclass(eq=False)
class _Job:
    """A pattern while it is sized; its instrument has a known width, or at most a plausible one."""

    pattern: Pattern
    photons: float | None
    resolution: NDArray[np.float64] | None
    wavelength_angstrom: float | None
    plausible_inv_angstrom: float
    counted: bool = False
    possible_loss: float = 0.0
    # Each of the following is set by one step, and read by later ones.
    binned: Pattern = field(init=False)
    frame: FrameEvidence = field(init=False)
    checks: tuple[CheckResult, ...] = field(init=False)
    seen: dict[str, Any] = field(init=False)
    answer: Answer = field(init=False)
    wide: Answer | None = None
    """Answer for the largest plausible width of the instrument."""
    shown: Answer = field(init=False)
    interval_nm: tuple[float, float] = field(init=False)
    fit: PhysicsFit = field(init=False)
    examination: Examination | None = None

    @property
    def known(self) -> NDArray[np.float64] | None:
        """Width of an instrument that is not perfect; None where it is perfect or not known."""
        return None if self.resolution is None or not self.resolution.any() else self.resolution

    @property
    def result(self) -> Examination:
        """The examination, once it is there."""
        assert self.examination is not None
        return self.examination


class Sizer:
    """Sizes patterns and frames; a bad frame never raises an error but gets a status and a reason.

    Parameters
    ----------
    config
        Model, reduction and solvent; None where they are given by name.
    **settings
        Fields of `SizingConfig` by name, as in ``Sizer(model="pbs")``.

    Raises
    ------
    ModelError
        The model or a crystal is unknown, or its file fails a check.
    PatternFileError
        The solvent file cannot be read.
    ConfigurationError
        A setting is unknown or invalid, the solvent file does not cover the range of the model, the materials
        to compare are without that of the model, or a bad strip is outside the detector.
    CalibrationError
        A calibration file cannot be used, or leaves no usable strip.
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
        self._solvent = None if config.solvent is None else _solvent_on(config.solvent, self._grid)
        self._phases = load_crystal_curves(config.phases)
        self._comparison = _comparison(config.materials, self.model.card.material)
        self.reducer = None if config.reduction is None else Reducer(self._in_bins(config.reduction))
        """Reduces raw frames; None where none are expected."""
        self.instrument = None if config.instrument is None else config.instrument.loaded()
        """Declared width of the instrument, read from its file where it is in one; None where undeclared."""

    def __repr__(self) -> str:
        return f"<Sizer: {'; '.join(self._described().values())}>"

    def _repr_html_(self) -> str:
        return html_table("Sizer", self._described())

    def _described(self) -> dict[str, str]:
        card, solvent = self.model.card, self.config.solvent
        low, high = card.size_range_nm
        width = {"instrument": f"width of the instrument {self.instrument}"} if self.instrument else {}
        return {
            "model": f"model {card.name} ({card.material}, {low:g}–{high:g} nm)",
            "solvent": f"solvent {solvent}" if solvent else "no measured solvent",
            **width,
            "frames": repr(self.reducer) if self.reducer else "patterns only, no detector",
        }

    def prepare(self) -> None:
        """Load what the first frame would otherwise wait for, up to half a second."""
        prepare()
        _ = self._check  # made when first asked for

    @property
    def bins(self) -> BinGrid:
        """Bins of the physics check, which are those of the network where it takes bins."""
        return self._grid

    @cached_property
    def _check(self) -> PhysicsCheck:
        # Not in a session whose frames another process sizes: its curves take tens of megabytes.
        card = self.model.card
        templates = with_phases(self.model.templates, self._phases, self._grid)
        return PhysicsCheck(templates, self._grid, card.lattice_parameter_angstrom, self._solvent)

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
        """Pool photons in the model's bins: strips that are averaged afterwards have incorrect errors."""
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

    def size(
        self,
        pattern: Pattern,
        *,
        wavelength_angstrom: float | None = None,
        resolution_inv_angstrom: NDArray[np.float64] | float | None = None,
    ) -> SizeEstimate:
        """Size one pattern.

        Parameters
        ----------
        pattern
            Reduced pattern.
        wavelength_angstrom, resolution_inv_angstrom
            As in `examine`.

        Returns
        -------
        The estimate.
        """
        return self.examine(
            pattern, wavelength_angstrom=wavelength_angstrom, resolution_inv_angstrom=resolution_inv_angstrom
        ).estimate

    def size_patterns(
        self,
        patterns: Sequence[Pattern],
        *,
        wavelength_angstrom: float | None = None,
        resolution_inv_angstrom: NDArray[np.float64] | float | None = None,
    ) -> list[SizeEstimate]:
        """Size many patterns, faster than one by one and with the same estimates, to the last bit.

        Parameters
        ----------
        patterns
            Reduced patterns, of any masks and points; those with the same ones are computed together.
        wavelength_angstrom, resolution_inv_angstrom
            As in `examine`, the same for all.

        Returns
        -------
        The estimates, in the order of the patterns.
        """
        estimates: list[SizeEstimate] = []
        for first in range(0, len(patterns), BLOCK_FRAMES):
            block = [
                (pattern, None, wavelength_angstrom, resolution_inv_angstrom)
                for pattern in patterns[first : first + BLOCK_FRAMES]
            ]
            estimates.extend(one.estimate for one in self._examine_patterns(block))
        return estimates

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
        return self.examine_frames([frame])[0]

    def examine_frames(self, frames: Sequence[RawFrame]) -> list[Examination]:
        """Size raw frames together, each with the examination that it has alone, to the last bit.

        Parameters
        ----------
        frames
            Counts and readings; about 16 at once are fastest.

        Returns
        -------
        As of `examine_frame` for each, in order.
        """
        examinations: list[Examination | PooledCounts] = []
        for frame in frames:
            try:
                examinations.append(self.pool(frame))
            except (CalibrationError, PatternError) as error:
                examinations.append(self._bad_frame(str(error)))
        pooled = [one for one in examinations if isinstance(one, PooledCounts)]
        sized = iter(self._examine_all_pooled(pooled))
        return [one if isinstance(one, Examination) else next(sized) for one in examinations]

    def estimate_frame(self, frame: RawFrame) -> Examination:
        """Size one raw frame and keep only what its documents need, for archives that nobody watches.

        Parameters
        ----------
        frame
            Counts and readings.

        Returns
        -------
        As of `examine_frame`, without the binned frame, its fit, the checks and the answer of the network.
        """
        return self.estimate_frames([frame])[0]

    def estimate_frames(self, frames: Sequence[RawFrame]) -> list[Examination]:
        """Size raw frames together and keep only what their documents need.

        Parameters
        ----------
        frames
            As in `examine_frames`.

        Returns
        -------
        As of `estimate_frame` for each, in order.
        """
        return [
            replace(one, binned=None, fit=None, checks=(), answer=None) for one in self.examine_frames(frames)
        ]

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
        return self._examine_all_pooled([pooled])[0]

    def _examine_all_pooled(self, pooled: Sequence[PooledCounts]) -> list[Examination]:
        """Size reduced frames, or sums of them, together."""
        examinations: list[Examination | _Job] = []
        for one in pooled:
            try:
                job = _Job(
                    one.pattern(),
                    self._photons(one),
                    self._resolution(one.wavelength_angstrom),
                    one.wavelength_angstrom,
                    # Strip detectors far from the sample are as narrow as the instruments of the training.
                    plausible_inv_angstrom=0.0,
                    counted=True,
                    possible_loss=one.possible_loss,
                )
            except (CalibrationError, ConfigurationError, PatternError) as error:
                examinations.append(self._bad_frame(str(error)))
            else:
                examinations.append(job)
        finished = self._examined_or_bad(examinations)
        return [self._of_pooled(*both) for both in zip(finished, pooled, strict=True)]

    def _examined_or_bad(self, jobs: Sequence["Examination | _Job"]) -> list[Examination]:
        """Size patterns together; an error of one, such as of its instrument, makes that one bad."""
        try:
            return self._examined(jobs)
        except (CalibrationError, ConfigurationError, PatternError) as error:
            if len(jobs) == 1:
                return [self._bad_frame(str(error))]
            return [one for job in jobs for one in self._examined_or_bad([job])]

    def _of_pooled(self, examination: Examination, pooled: PooledCounts) -> Examination:
        """Examination of a reduced frame, with what concerns only these."""
        estimate = examination.estimate
        faint = estimate.status is Status.LOW_COUNTS and estimate.counts < self.min_evidence_counts
        return replace(
            examination,
            n_frames=pooled.n_frames,
            warnings=(*pooled.warnings, *examination.warnings),
            pooled=pooled if faint else None,
        )

    def _photons(self, pooled: PooledCounts) -> float:
        """Number of photons in the bins, which is the sum of the counts where these are not corrected.

        The sigma of a pattern would give too few, since it includes the uncertainty of the rate in a bin
        with few counts.
        """
        first, last = np.searchsorted(pooled.q_inv_angstrom, self._grid.edges[[0, -1]])
        counts, variance = pooled.counts[first:last], pooled.variance[first:last]
        seen = variance > 0
        return float(np.sum(counts[seen] ** 2 / variance[seen]))

    def examine(
        self,
        pattern: Pattern,
        photons: float | None = None,
        *,
        wavelength_angstrom: float | None = None,
        resolution_inv_angstrom: NDArray[np.float64] | float | None = None,
    ) -> Examination:
        """Size one pattern and keep the values that the estimate is based on.

        Parameters
        ----------
        pattern
            Reduced pattern.
        photons
            Photons that the pattern holds; None to compute them from its sigma.
        wavelength_angstrom
            Wavelength, Å; None where it is not known. Needed where the width of the instrument is declared
            in degrees.
        resolution_inv_angstrom
            Width of the instrument for this pattern, FWHM, Å⁻¹, at each bin of the physics check, shape
            (n_bins,), or the same at all; 0 for a perfect one. None for that of the settings.

        Returns
        -------
        The estimate with the binned pattern and its fit. Where the width of the instrument is not known, the
        upper ends of the intervals allow for what is plausible.
        """
        return self._examine_patterns([(pattern, photons, wavelength_angstrom, resolution_inv_angstrom)])[0]

    def _examine_patterns(
        self,
        requests: Sequence[tuple[Pattern, float | None, float | None, NDArray[np.float64] | float | None]],
    ) -> list[Examination]:
        """Size patterns, each with its photons, wavelength and width of the instrument, as in `examine`."""
        begun: list[Examination | _Job] = []
        for pattern, photons, wavelength_angstrom, resolution_inv_angstrom in requests:
            resolution: NDArray[np.float64] | None
            if resolution_inv_angstrom is not None:
                resolution = np.broadcast_to(np.float64(resolution_inv_angstrom), self._grid.centres.shape)
            else:
                try:
                    resolution = self._resolution(wavelength_angstrom)
                except ConfigurationError as error:
                    begun.append(self._bad_frame(str(error)))
                    continue
            plausible_inv_angstrom = plausible_width_inv_angstrom(wavelength_angstrom)
            begun.append(
                _Job(
                    pattern,
                    photons,
                    resolution,
                    wavelength_angstrom,
                    plausible_inv_angstrom=plausible_inv_angstrom,
                )
            )
        examinations = self._examined(begun)
        return [
            examination if isinstance(job, Examination) else _width_warned(examination, job)
            for job, examination in zip(begun, examinations, strict=True)
        ]

    def _examined(self, jobs: Sequence["Examination | _Job"]) -> list[Examination]:
        """Size patterns together; those that have an examination already keep it."""
        open_jobs = [job for job in jobs if isinstance(job, _Job)]
        for job in open_jobs:
            self._begin(job)
        left = [job for job in open_jobs if job.examination is None]
        self._answer_all(left)
        left = [job for job in left if job.examination is None]
        self._fit_all(left)
        moved = [job for job in left if job.fit.sure_shift_inv_angstrom > MAX_TRAINED_SHIFT_INV_ANGSTROM]
        for job in moved:
            # The network gets the frame without the shift, which it may not know; the fit has found it.
            pattern = _without_shift(job.pattern, job.fit.shift_inv_angstrom, job.wavelength_angstrom)
            with suppress(PatternError):  # a range of Q at the limit of the model's
                job.answer = self._answer(pattern, bin_pattern(pattern, self._grid), job.resolution)
        self._fit_all(moved)
        for job in left:
            job.examination = self._concluded(job)
        return [job if isinstance(job, Examination) else job.result for job in jobs]

    def _begin(self, job: "_Job") -> None:
        """Bin a pattern and make the checks before the network."""
        job.binned = binned = bin_pattern(job.pattern, self._grid)
        job.frame = frame = frame_evidence(
            binned,
            self._check.covered,
            job.photons,
            thresholds=self.model.card.thresholds,
            grid=self._grid,
            solvent=self.config.solvent,
            pattern=None if job.counted else job.pattern,
            possible_loss=job.possible_loss,
        )
        job.checks = run_checks(frame)
        job.seen = {
            "counts": frame.counts,
            "q_min": frame.q_min_inv_angstrom,
            "q_max": frame.q_max_inv_angstrom,
            "model": self.model.name,
        }
        if job.resolution is not None and frame.n_usable:
            job.seen["resolution_inv_angstrom"] = float(np.mean(job.resolution[binned.usable]))
        failed = first_failed(job.checks)
        if failed is not None:
            job.examination = Examination(_rejected(failed, job.seen), binned, checks=job.checks)

    def _answer_all(self, jobs: Sequence["_Job"]) -> None:
        """Run the network on all patterns."""
        if self.model.answers_blocks:
            plausible = [self._widths(job) for job in jobs]
            answers = self.model.answers_block(
                [(job.binned, widths) for job, widths in zip(jobs, plausible, strict=True)]
            )
            for job, (answer, *wide) in zip(jobs, answers, strict=True):
                job.answer = self._corrected(answer, job.resolution)
                job.wide = wide[0] if wide else None
            return
        for job in jobs:
            try:
                widths = self._widths(job)
                if len(widths) > 1:
                    job.answer, job.wide = self.model.answers_binned(job.binned, widths)
                else:
                    job.answer = self._answer(job.pattern, job.binned, job.resolution)
            except PatternError as error:
                estimate = SizeEstimate(status=Status.BAD_FRAME, reason=str(error), **job.seen)
                job.examination = Examination(estimate, job.binned, checks=job.checks)

    def _widths(self, job: "_Job") -> list[NDArray[np.float64] | None]:
        """Widths for which the network answers: the declared one, or none and a plausible one."""
        if job.resolution is None and job.plausible_inv_angstrom > 0 and self.model.takes_resolution:
            return [None, np.full(self._grid.n_bins, job.plausible_inv_angstrom)]
        return [job.resolution]

    def _fit_all(self, jobs: Sequence["_Job"]) -> None:
        """Fit patterns with dots of the sizes that the network gives, those of one instrument together."""
        groups: dict[tuple[bytes, float | None], list[_Job]] = {}
        for job in jobs:
            job.shown = self.model.allow_for_channels(job.answer, job.binned)
            job.interval_nm = clip_to_model_range(self.model.card, job.shown)
            known = b"" if job.known is None else job.known.tobytes()
            groups.setdefault((known, job.wavelength_angstrom), []).append(job)
        for (_, wavelength_angstrom), alike in groups.items():
            frames = [FrameToFit(job.binned, *job.interval_nm, job.answer.dispersion) for job in alike]
            fits = self._check.fit_block(frames, alike[0].known, wavelength_angstrom)
            for job, fit in zip(alike, fits, strict=True):
                job.fit = fit

    def _concluded(self, job: "_Job") -> Examination:
        """Make the checks after the network and compose the estimate."""
        pattern, binned, frame, checks, seen = job.pattern, job.binned, job.frame, job.checks, job.seen
        answer, shown, fit = job.answer, job.shown, job.fit
        found = FitEvidence(
            card=self.model.card,
            answer=answer,
            interval_nm=job.interval_nm,
            fit=fit,
            counts=frame.counts,
            textured=self.config.texture,
            wavelength_angstrom=job.wavelength_angstrom,
        )
        checks += run_checks(found)
        identification = self._identified(pattern)
        if identification is not None:
            seen["material"] = str(identification)
            checks += (other_material(identification, self.model.card.material),)
        if fit.phases:
            others = sum(phase.fraction for phase in fit.phases)
            shown = allowing_for_phases(shown, others)
        if frame.intensity_exponent != 1:
            shown = allowing_for_exponent(shown, frame.intensity_exponent)
        if job.resolution is None:
            shown = self._allowing_for_width(shown, job.wide, job.plausible_inv_angstrom)
        seen["residual"] = fit.residual
        seen["phases"] = ", ".join(map(str, fit.phases))
        failed = first_failed(checks)
        if failed is not None:
            rejected = _rejected(failed, seen)
            if failed.name in PEAKS_DO_NOT_FIT and fit.misfit_background_only > DIFFRACTS:
                rejected = replace(rejected, reason=rejected.reason + self._scale_hint(binned, job.known))
            if fit.phases and failed.status is Status.OUT_OF_DOMAIN:
                rejected = replace(rejected, reason=f"{rejected.reason}; {_beside(fit)}")
            if identification is not None and not checks[-1].passed and checks[-1] is not failed:
                rejected = replace(rejected, reason=f"{rejected.reason}; {checks[-1].message}")
            evidence = shown if self._is_evidence(frame.counts, answer, fit, checks) else None
            return Examination(rejected, binned, fit, checks, answer, identification, evidence)
        lattice = self.model.card.lattice_parameter_angstrom * (1 + answer.strain)
        # Only now the wider intervals: what channels or an undeclared width may hide is not a fault of the
        # frame.
        estimate = SizeEstimate(
            status=Status.SIZED,
            size_nm=shown.size_nm,
            size_low_nm=shown.size_low_nm,
            size_high_nm=shown.size_high_nm,
            size_frame_sd_nm=shown.size_frame_sd_nm,
            size_shared_sd_nm=shown.size_shared_sd_nm,
            mass_mean_nm=shown.mass_mean_nm,
            mass_mean_low_nm=shown.mass_mean_low_nm,
            mass_mean_high_nm=shown.mass_mean_high_nm,
            mass_mean_frame_sd_nm=shown.mass_mean_frame_sd_nm,
            mass_mean_shared_sd_nm=shown.mass_mean_shared_sd_nm,
            dispersion=shown.dispersion,
            dispersion_low=shown.dispersion_low,
            dispersion_high=shown.dispersion_high,
            population=BROAD if answer.dispersion_low > MIN_BROAD_DISPERSION else "",
            lattice_parameter_angstrom=math.nan if found.shifted else lattice,
            two_theta_shift_deg=found.two_theta_shift_deg,
            class_nm=answer.class_nm,
            class_probability=answer.class_probability,
            **seen,
        )
        warnings: tuple[str, ...] = (_beside(fit),) if fit.phases else ()
        if frame.intensity_exponent != 1 and not job.counted:  # a reduced frame has a warning of its counts
            warnings += (_power_of_photons(frame),)
        return Examination(
            estimate, binned, fit, checks, answer, identification, evidence=shown, warnings=warnings
        )

    def _identified(self, pattern: Pattern) -> Identification | None:
        """Compare a frame with the materials of the settings; None without any, or with too few points."""
        if self._comparison is None:
            return None
        try:
            return self._comparison.compare(pattern)
        except PatternError:
            return None

    def _allowing_for_width(
        self, shown: Answer, wide: Answer | None, plausible_inv_angstrom: float
    ) -> Answer:
        """Raise the upper ends of intervals by what an instrument of undeclared width may hide."""
        if not self.model.takes_resolution:
            trained = self.model.trained_width_inv_angstrom
            return raised_for_width(shown, plausible_inv_angstrom, trained)
        return shown if wide is None else raised_to(shown, wide)

    @property
    def min_evidence_counts(self) -> float:
        """Photons from which the answer for a frame is evidence of its size, though it may not be a size."""
        match self.model.card.input:
            case BinnedInput(grid=grid) if isinstance(self.model.card.output, GaussianOutput):
                return MIN_EVIDENCE_PHOTONS_PER_BIN * grid.n_bins
            case _:
                return self.model.card.thresholds.min_counts  # these models state no error of a faint frame

    def _is_evidence(
        self, counts: float, answer: Answer, fit: PhysicsFit, checks: tuple[CheckResult, ...]
    ) -> bool:
        """Whether a frame was rejected for too few photons alone, and shows nanocrystals."""
        return (
            isinstance(self.model.card.output, GaussianOutput)
            and counts >= self.min_evidence_counts
            and answer.presence >= MIN_EVIDENCE_PRESENCE
            and fit.significance >= MIN_EVIDENCE_SIGNIFICANCE
            and all(check.passed or check.status is Status.LOW_COUNTS for check in checks)
        )

    def _answer(self, pattern: Pattern, binned: Pattern, resolution: NDArray[np.float64] | None) -> Answer:
        """Run the network on a pattern, or on its bins where it takes these."""
        model = self.model
        if isinstance(model.card.input, BinnedInput):
            answer = model.answer_binned(binned, resolution)
        else:
            answer = model.answer(pattern)
        return self._corrected(answer, resolution)

    def _corrected(self, answer: Answer, resolution: NDArray[np.float64] | None) -> Answer:
        """Take a declared width of the instrument off the answer of a network that does not take it."""
        if resolution is None or self.model.takes_resolution:
            return answer
        width = float(np.interp(WIDTH_Q_INV_ANGSTROM, self._grid.centres, resolution))
        return corrected_for_width(answer, width, self.model.trained_width_inv_angstrom)

    def _resolution(self, wavelength_angstrom: float | None) -> NDArray[np.float64] | None:
        """Declared FWHM on the bins of the physics check, Å⁻¹; None where none was declared."""
        if self.instrument is None:
            return None
        return self.instrument.fwhm_inv_angstrom_at(self._grid.centres, wavelength_angstrom)

    def _scale_hint(self, binned: Pattern, resolution: NDArray[np.float64] | None) -> str:
        """Factor on Q at which the peaks of a rejected frame would be those of the material, in words."""
        scale, explained = self._check.scale_of(binned, resolution)
        if explained < MIN_EXPLAINED_BY_SCALE or abs(scale - 1) < MIN_SCALE:
            return ""
        material = self.model.card.material
        return f"; the peaks fit {material} at {scale:.3f} × Q: check the wavelength and the 2θ zero"

    def _bad_frame(self, reason: str) -> Examination:
        """Reject a frame that could not be reduced."""
        return Examination(SizeEstimate(status=Status.BAD_FRAME, reason=reason, model=self.model.name))


def _width_warned(examination: Examination, job: _Job) -> Examination:
    """With a warning where the width of the instrument of a sized pattern is not declared."""
    if job.resolution is not None or examination.estimate.status is not Status.SIZED:
        return examination
    warning = (
        "the width of the instrument's lines is not declared: the upper ends of the intervals allow for "
        f"up to {job.plausible_inv_angstrom:g} Å⁻¹ (FWHM), give a resolution or a measured standard"
    )
    return replace(examination, warnings=(*examination.warnings, warning))


def _without_shift(pattern: Pattern, shift_inv_angstrom: float, wavelength_angstrom: float | None) -> Pattern:
    """A pattern whose points lie where they would without a shift of 2θ."""
    q = pattern.q_inv_angstrom
    cosine = np.ones(q.size)
    if wavelength_angstrom is not None:
        cosine = np.sqrt(np.maximum(1 - (q * wavelength_angstrom / (4 * np.pi)) ** 2, 0.0))
    return replace(pattern, q_inv_angstrom=q - shift_inv_angstrom * cosine)


def _beside(fit: PhysicsFit) -> str:
    """Other crystals of a fit, in words."""
    return f"beside the nanocrystals: {', '.join(map(str, fit.phases))} of the mean intensity"


def _power_of_photons(frame: FrameEvidence) -> str:
    """Why the intervals of a frame allow for intensities that are a power of the photons."""
    return (
        "the variance of neighbouring points rises as the intensity to the power "
        f"{frame.noise_power:.2f} ± {frame.noise_power_sd:.2f} (1 for photons): the intervals allow for "
        f"intensities that are photons to the power {frame.intensity_exponent:.2f}"
    )


def _rejected(failed: CheckResult, seen: dict[str, Any]) -> SizeEstimate:
    return SizeEstimate(status=failed.status, reason=failed.message, **seen)


def clip_to_model_range(card: Card, answer: Answer) -> tuple[float, float]:
    """Ends of the interval, nm, clipped to the model's range; unclipped where the size is outside it."""
    low, high = card.size_range_nm
    if not low <= answer.size_nm <= high:
        return answer.size_low_nm, answer.size_high_nm  # will be rejected, with the fit of that size to show
    return max(answer.size_low_nm, low), min(answer.size_high_nm, high)


def _comparison(materials: tuple[str, ...], expected: str) -> MaterialComparison | None:
    """The comparison of frames with the materials of the settings; None where there are none."""
    if not materials:
        return None
    comparison = MaterialComparison(load_crystal_curves(materials))
    if expected not in comparison.names:
        raise ConfigurationError(
            f"materials to compare are {', '.join(comparison.names)}, but the model sizes {expected}: add it"
        )
    return comparison


def _solvent_on(path: Path, grid: BinGrid) -> NDArray[np.float64]:
    """A measured solvent on the bins of the physics check, NaN where it was not measured."""
    pattern = load_pattern(path, unnamed=Axis.Q).pattern
    q, intensity = pattern.q_inv_angstrom[pattern.usable], pattern.intensity[pattern.usable]
    centres = grid.centres
    if q[0] >= centres[-1] or q[-1] <= centres[0]:
        raise ConfigurationError(
            f"solvent {path} covers {q[0]:.3g} to {q[-1]:.3g} Å⁻¹, the model uses {centres[0]:.3g} to "
            f"{centres[-1]:.3g} Å⁻¹: the first column must be Q in Å⁻¹"
        )
    return np.asarray(np.interp(centres, q, intensity, left=np.nan, right=np.nan))

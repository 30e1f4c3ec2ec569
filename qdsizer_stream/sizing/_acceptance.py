"""Acceptance checks: the conditions that a frame must meet to be sized, in order."""

from ..models import ClassOutput, GaussianOutput
from ._check import MIN_POSITIVE, Check, CheckResult
from ._estimate import Status
from ._evidence import MAX_NEGATIVE, FitEvidence, FrameEvidence

__all__ = ["CHECKS", "DIFFRACTS", "run_checks"]

SCARCE_COUNTS = 2e4
"""Photons below which dots that were not seen may merely be too faint: 30 for each 0.02 Å⁻¹."""

DIFFRACTS = 5.0
"""χ² per bin of solvents and background from which a frame has peaks of something: empty cells, solvents and
water stay below."""

CLASS_MISREAD = 0.05
"""Relative distance, beyond half a class, of the size that fits best from a classifier's size. Softmax is not
a confidence, and on frames unlike its training the fit is twice as accurate: this rejects 1 correct answer in
200 on the paper's simulations and halves the wrong ones on others."""


def _negative_check(sigma: float) -> Check[FrameEvidence]:
    """Check that few bins are more than so many standard deviations below zero."""
    most = MAX_NEGATIVE[sigma]
    return Check(
        name=f"bins below −{sigma:g} σ",
        needs=FrameEvidence,
        value=lambda frame: frame.negative_fraction[sigma],
        maximum=lambda _: most,
        status=lambda _: Status.BAD_FRAME,
        message=lambda _, fraction: (
            f"{fraction:.1%} of the bins are more than {sigma:g} σ below zero (threshold {most:.1%}): "
            "too much was subtracted"
        ),
    )


def _few_bins(frame: FrameEvidence, n_fitted: float) -> str:
    text = f"{n_fitted:.0f} of {frame.grid.n_bins} Q bins hold data (threshold {frame.thresholds.min_bins})"
    if n_fitted < frame.n_usable:
        text += f" and are covered by the solvent's curve {frame.solvent}"
    return text


def _unseen(evidence: FitEvidence) -> Status:
    """Status of a frame without a signal: too faint to see dots, empty, or with peaks that are not theirs."""
    if evidence.counts < SCARCE_COUNTS:
        return Status.LOW_COUNTS
    return Status.OUT_OF_DOMAIN if evidence.fit.misfit_background_only > DIFFRACTS else Status.NO_CRYSTAL


def _strained(evidence: FitEvidence, strain: float, source: str) -> str:
    low, high = evidence.strain_range
    return (
        f"peak positions ({source}) correspond to {evidence.card.material} strained by {strain:+.2%}, "
        f"outside {low:+.2%} to {high:+.2%}: check wavelength, 2θ zero and material"
    )


def _shifted(evidence: FitEvidence, _: float) -> str:
    if evidence.wavelength_angstrom is None:
        text = (
            f"all peaks are shifted by {evidence.fit.shift_inv_angstrom:+.4f} Å⁻¹ (threshold "
            f"{evidence.max_shift_inv_angstrom:.4f} Å⁻¹)"
        )
    else:
        text = (
            f"2θ is shifted by {evidence.two_theta_shift_deg:+.3f}° (threshold "
            f"{evidence.max_two_theta_shift_deg:.3f}°)"
        )
    return f"{text}: check the 2θ zero and the height of the sample"


def _better_size_status(evidence: FitEvidence) -> Status:
    low, high = evidence.card.size_range_nm
    return Status.OUT_OF_DOMAIN if low <= evidence.fit.best_nm <= high else Status.OUT_OF_RANGE


def _better_size(evidence: FitEvidence, delta_chi2: float) -> str:
    (low, high), best = evidence.interval_nm, evidence.fit.best_nm
    text = (
        f"predicted size {low:.1f}–{high:.1f} nm, but nanocrystals of about {best:.1f} nm fit the frame "
        f"better: χ² is lower by {delta_chi2:.0f} (threshold {evidence.max_delta_chi2_better_size:.0f})"
    )
    if _better_size_status(evidence) is Status.OUT_OF_RANGE:
        return f"{text}; the model's range is {evidence.model_range}"
    return f"{text}; the frame differs from the model's training"


def _other_heights(evidence: FitEvidence, misfit: float) -> str:
    hint = "" if evidence.textured else ", or a film: then set texture = true"
    return (
        f"the heights of the peaks are not those of {evidence.card.material}: χ² {misfit:.1f} (threshold "
        f"{evidence.max_ratio_misfit:g}); another crystal with peaks at about the same Q{hint}?"
    )


def _class_distance(evidence: FitEvidence) -> float:
    """Largest distance of a classifier's size from the size that fits best, nm."""
    output = evidence.card.output
    assert isinstance(output, ClassOutput)  # the check applies to no other
    return 0.5 * output.step_nm + CLASS_MISREAD * evidence.answer.size_nm


CHECKS: tuple[Check[FrameEvidence] | Check[FitEvidence], ...] = (
    Check[FrameEvidence](
        name="usable points",
        needs=FrameEvidence,
        value=lambda frame: frame.n_usable,
        minimum=lambda _: 1,
        status=lambda _: Status.BAD_FRAME,
        message=lambda frame, _: (
            f"no usable point between {frame.grid.edges[0]:.3g} and {frame.grid.edges[-1]:.3g} Å⁻¹"
        ),
    ),
    Check[FrameEvidence](
        name="Q bins with data",
        needs=FrameEvidence,
        value=lambda frame: frame.n_fitted,
        minimum=lambda frame: frame.thresholds.min_bins,
        status=lambda _: Status.BAD_FRAME,
        message=_few_bins,
    ),
    Check[FrameEvidence](
        name="first Q",
        needs=FrameEvidence,
        value=lambda frame: frame.q_min_inv_angstrom,
        maximum=lambda frame: frame.thresholds.max_q_low_inv_angstrom,
        unit="Å⁻¹",
        status=lambda _: Status.BAD_FRAME,
        message=lambda frame, q: (
            f"the frame begins at Q = {q:.2f} Å⁻¹ (threshold "
            f"{frame.thresholds.max_q_low_inv_angstrom:g} Å⁻¹): the model needs lower Q"
        ),
    ),
    Check[FrameEvidence](
        name="last Q",
        needs=FrameEvidence,
        value=lambda frame: frame.q_max_inv_angstrom,
        minimum=lambda frame: frame.thresholds.min_q_high_inv_angstrom,
        unit="Å⁻¹",
        status=lambda _: Status.BAD_FRAME,
        message=lambda frame, q: (
            f"the frame ends at Q = {q:.2f} Å⁻¹ (threshold "
            f"{frame.thresholds.min_q_high_inv_angstrom:g} Å⁻¹): the model needs higher Q"
        ),
    ),
    Check[FrameEvidence](
        name="mean intensity",
        needs=FrameEvidence,
        value=lambda frame: frame.mean_intensity,
        minimum=lambda _: MIN_POSITIVE,
        status=lambda _: Status.BAD_FRAME,
        message=lambda _, mean: f"the mean intensity is {mean:.3g}: it must be above zero",
    ),
    *(_negative_check(sigma) for sigma in MAX_NEGATIVE),
    Check[FrameEvidence](
        name="points at one maximum",
        needs=FrameEvidence,
        value=lambda frame: frame.n_clipped,
        maximum=lambda _: 0,
        status=lambda _: Status.BAD_FRAME,
        message=lambda _, n_points: (
            f"{n_points:.0f} points have the same largest intensity: peaks are clipped; expose for a shorter "
            "time, or export the file without clipping"
        ),
    ),
    Check[FrameEvidence](
        name="power of the noise",
        needs=FrameEvidence,
        value=lambda frame: frame.noise_power,
        minimum=lambda frame: frame.min_noise_power,
        status=lambda _: Status.BAD_FRAME,
        message=lambda frame, power: (
            f"the variance of neighbouring points rises as the intensity to the power {power:.2f} (1 for "
            f"photons, threshold {frame.min_noise_power:.2f}): give counts, not their square roots or "
            "logarithms, and no subtracted background"
        ),
    ),
    Check[FrameEvidence](
        name="photons",
        needs=FrameEvidence,
        value=lambda frame: frame.counts,
        minimum=lambda frame: frame.thresholds.min_counts,
        status=lambda _: Status.LOW_COUNTS,
        message=lambda frame, counts: (
            f"too few photons: {counts:.0f} (threshold {frame.thresholds.min_counts:.0f})"
        ),
    ),
    Check[FitEvidence](
        name="χ² fall by dots",
        needs=FitEvidence,
        value=lambda e: e.fit.significance,
        minimum=lambda e: e.thresholds.min_significance,
        status=_unseen,
        message=lambda e, fall: (
            f"no significant {e.card.material} signal: adding nanocrystals to solvent + background lowers χ² "
            f"by {fall:.0f} (threshold {e.thresholds.min_significance:.0f})"
        ),
    ),
    Check[FitEvidence](
        name="probability of dots",
        needs=FitEvidence,
        value=lambda e: e.answer.presence,
        minimum=lambda e: e.thresholds.min_presence,
        applies=lambda e: isinstance(e.card.output, GaussianOutput),
        status=_unseen,
        message=lambda e, probability: (
            f"the network finds {e.card.material} nanocrystals with probability {probability:.2f} "
            f"(threshold {e.thresholds.min_presence:.2f})"
        ),
    ),
    Check[FitEvidence](
        name="strain, fit",
        needs=FitEvidence,
        value=lambda e: e.fit.strain,
        minimum=lambda e: e.strain_range[0] - 2 * e.fit.strain_sd,
        maximum=lambda e: e.strain_range[1] + 2 * e.fit.strain_sd,
        status=lambda _: Status.OUT_OF_DOMAIN,
        message=lambda e, strain: _strained(e, strain, "fit"),
    ),
    Check[FitEvidence](
        name="strain, network",
        needs=FitEvidence,
        value=lambda e: e.answer.strain,
        minimum=lambda e: e.strain_range[0],
        maximum=lambda e: e.strain_range[1],
        applies=lambda e: isinstance(e.card.output, GaussianOutput),
        status=lambda _: Status.OUT_OF_DOMAIN,
        message=lambda e, strain: _strained(e, strain, "network"),
    ),
    Check[FitEvidence](
        name="shift of all peaks",
        needs=FitEvidence,
        value=lambda e: e.fit.sure_shift_inv_angstrom,
        maximum=lambda e: e.max_shift_inv_angstrom,
        unit="Å⁻¹",
        status=lambda _: Status.OUT_OF_DOMAIN,
        message=_shifted,
    ),
    Check[FitEvidence](
        name="residual",
        needs=FitEvidence,
        value=lambda e: e.fit.residual,
        maximum=lambda e: e.thresholds.max_residual,
        status=lambda _: Status.OUT_OF_DOMAIN,
        message=lambda e, residual: (
            f"nanocrystals + solvent + background leave a residual of {residual:.0%} of the mean intensity "
            f"(threshold {e.thresholds.max_residual:.0%})"
        ),
    ),
    Check[FitEvidence](
        name="χ² per bin",
        needs=FitEvidence,
        value=lambda e: e.fit.misfit,
        maximum=lambda e: e.thresholds.max_misfit,
        status=lambda _: Status.OUT_OF_DOMAIN,
        message=lambda e, misfit: (
            f"nanocrystals + solvent + background fit with χ² {misfit:.1f} per bin (threshold "
            f"{e.thresholds.max_misfit:.1f}): other crystals, spikes or a wrong axis?"
        ),
    ),
    Check[FitEvidence](
        name="χ² explained by dots",
        needs=FitEvidence,
        value=lambda e: e.fit.explained,
        minimum=lambda e: e.thresholds.min_explained,
        status=lambda _: Status.OUT_OF_DOMAIN,
        message=lambda e, explained: (
            f"{e.card.material} explains {explained:.0%} of the χ² that solvent + background leave "
            f"(threshold {e.thresholds.min_explained:.0%})"
        ),
    ),
    Check[FitEvidence](
        name="heights of the peaks",
        needs=FitEvidence,
        value=lambda e: e.ratio_misfit,
        maximum=lambda e: e.max_ratio_misfit,
        status=lambda _: Status.OUT_OF_DOMAIN,
        message=_other_heights,
    ),
    Check[FitEvidence](
        name="size",
        needs=FitEvidence,
        value=lambda e: e.answer.size_nm,
        minimum=lambda e: e.card.size_range_nm[0],
        maximum=lambda e: e.card.size_range_nm[1],
        unit="nm",
        status=lambda _: Status.OUT_OF_RANGE,
        message=lambda e, size: f"predicted size {size:.2f} nm is outside the model's range {e.model_range}",
    ),
    Check[FitEvidence](
        name="χ² fall by other size",
        needs=FitEvidence,
        value=lambda e: e.fit.delta_chi2_better_size,
        maximum=lambda e: e.max_delta_chi2_better_size,
        status=_better_size_status,
        message=_better_size,
    ),
    Check[FitEvidence](
        name="class to best size",
        needs=FitEvidence,
        value=lambda e: abs(e.fit.best_nm - e.answer.size_nm),
        maximum=_class_distance,
        unit="nm",
        applies=lambda e: isinstance(e.card.output, ClassOutput),
        status=lambda _: Status.OUT_OF_DOMAIN,
        message=lambda e, distance: (
            f"predicted class {e.answer.class_nm:.1f} nm, but nanocrystals of about {e.fit.best_nm:.1f} nm "
            f"fit the frame best, {distance:.2f} nm apart (threshold {_class_distance(e):.2f} nm)"
        ),
    ),
    Check[FitEvidence](
        name="relative interval",
        needs=FitEvidence,
        value=lambda e: (e.answer.size_high_nm - e.answer.size_low_nm) / e.answer.size_nm,
        maximum=lambda e: e.thresholds.max_relative_interval,
        status=lambda _: Status.LOW_COUNTS,
        message=lambda e, width: (
            f"the 95 % interval is {width:.0%} of the size wide (threshold "
            f"{e.thresholds.max_relative_interval:.0%})"
        ),
    ),
)
"""All checks in order: the first that a frame fails sets its status and reason."""


CHECKS_OF = {
    kind: tuple(check for check in CHECKS if check.needs is kind) for kind in (FrameEvidence, FitEvidence)
}
"""The same by the evidence that they look at."""


def run_checks(evidence: FrameEvidence | FitEvidence) -> tuple[CheckResult, ...]:
    """Run all checks that a kind of evidence allows.

    Parameters
    ----------
    evidence
        Evidence on the frame.

    Returns
    -------
    Their results, in the order of `CHECKS`.
    """
    results = [check.result(evidence) for check in CHECKS_OF[type(evidence)]]
    return tuple([result for result in results if result is not None])

"""Every acceptance check just on either side of its threshold, its status and its message."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from qdsizer_stream.models import (
    AcceptanceThresholds,
    Answer,
    Card,
    FittedCurves,
    FittedParts,
    PhysicsFit,
    RatioMisfit,
    load_model,
)
from qdsizer_stream.patterns import BinGrid
from qdsizer_stream.sizing import CHECKS, CheckResult, FitEvidence, FrameEvidence, Status, run_checks

STEP = 1e-9
COPPER_PER_DEG = 2 * math.pi / 1.5406 * math.radians(1.0)
"""Change of Q for each degree of 2θ at small angles and the wavelength of copper, Å⁻¹."""
THRESHOLDS = AcceptanceThresholds(
    min_counts=310.0,
    min_bins=61,
    max_q_low_inv_angstrom=2.1,
    min_q_high_inv_angstrom=2.4,
    min_significance=62.0,
    min_explained=0.91,
    max_residual=0.17,
    max_misfit=8.5,
    max_ratio_misfit=12.5,
    max_ratio_misfit_textured=7.5,
    max_shift_inv_angstrom=0.0055,
    max_two_theta_shift_deg=0.25,
    max_delta_chi2_better_size=10.0,
    max_delta_chi2_fraction=0.002,
    min_presence=0.4,
    max_relative_interval=0.55,
)
"""No two alike, so that no check passes with the threshold of another."""
CHANGED = {"thresholds": THRESHOLDS, "size_range_nm": (1.8, 11.0), "strain_range": (-0.003, 0.008)}
GAUSSIAN = load_model("pbs").card.model_copy(update=CHANGED)
CLASSES = load_model("pbs-paper").card.model_copy(update=CHANGED)
ANSWER = Answer(size_nm=4.5, size_low_nm=4.3, size_high_nm=4.7, dispersion=0.1, strain=0.0, presence=1.0)
CLASS_ANSWER = Answer(size_nm=4.5, size_low_nm=3.75, size_high_nm=5.25, class_nm=4.5, class_probability=1.0)
CURVE = np.ones(3)
FIT = PhysicsFit(
    residual=0.01,
    misfit=0.8,
    significance=5000.0,
    explained=0.99,
    delta_chi2_better_size=2.0,
    best_nm=4.5,
    strain=0.001,
    strain_sd=0.0,
    ratio_misfit=RatioMisfit(untextured=3.0, textured=2.0),
    shift_inv_angstrom=0.0,
    shift_sd_inv_angstrom=0.0,
    misfit_background_only=3.0,
    phases=(),
    curves=FittedCurves(lambda: FittedParts(CURVE, CURVE, CURVE)),
)
FRAME = FrameEvidence(
    thresholds=THRESHOLDS,
    grid=BinGrid(q_first_inv_angstrom=1.0, q_step_inv_angstrom=0.02, n_bins=700),
    solvent=None,
    n_usable=600,
    n_fitted=600,
    q_min_inv_angstrom=1.0,
    q_max_inv_angstrom=13.0,
    mean_intensity=10.0,
    negative_fraction={2.0: 0.01, 5.0: 0.0},
    counts=1e5,
)

Checks = tuple[CheckResult, ...]


def check_fit(
    answer: Answer = ANSWER,
    fit: PhysicsFit = FIT,
    card: Card = GAUSSIAN,
    counts: float = 1e6,
    textured: bool = True,
    wavelength_angstrom: float | None = None,
) -> Checks:
    return run_checks(
        FitEvidence(
            card=card,
            answer=answer,
            interval_nm=(answer.size_low_nm, answer.size_high_nm),
            fit=fit,
            counts=counts,
            textured=textured,
            wavelength_angstrom=wavelength_angstrom,
        )
    )


def check_frame(**changes: Any) -> Checks:
    return run_checks(replace(FRAME, **changes))


def check_fitted(**changes: Any) -> Checks:
    return check_fit(fit=replace(FIT, **changes))


def check_answer(**changes: Any) -> Checks:
    return check_fit(answer=replace(ANSWER, **changes))


def failures(checks: Checks) -> list[CheckResult]:
    return [check for check in checks if not check.passed]


@dataclass(frozen=True)
class Edge:
    """The last value that passes a check."""

    check: str
    last: float
    beyond: float
    """The first value that fails."""
    run: Callable[[float], Checks]
    status: Status
    message: str


FRAME_EDGES = [
    Edge(
        "usable points",
        1,
        0,
        lambda n: check_frame(n_usable=n),
        Status.BAD_FRAME,
        "no usable point between 0.99 and 15 Å⁻¹",
    ),
    Edge(
        "Q bins with data",
        61,
        60,
        lambda n: check_frame(n_fitted=n, n_usable=n),
        Status.BAD_FRAME,
        "60 of 700 Q bins hold data (threshold 61)",
    ),
    Edge(
        "first Q",
        2.1,
        2.1 + STEP,
        lambda q: check_frame(q_min_inv_angstrom=q),
        Status.BAD_FRAME,
        "the frame begins at Q = 2.10 Å⁻¹ (threshold 2.1 Å⁻¹): the model needs lower Q",
    ),
    Edge(
        "last Q",
        2.4,
        2.4 - STEP,
        lambda q: check_frame(q_max_inv_angstrom=q),
        Status.BAD_FRAME,
        "the frame ends at Q = 2.40 Å⁻¹ (threshold 2.4 Å⁻¹): the model needs higher Q",
    ),
    Edge(
        "mean intensity",
        1e-300,
        0.0,
        lambda mean: check_frame(mean_intensity=mean),
        Status.BAD_FRAME,
        "the mean intensity is 0: it must be above zero",
    ),
    Edge(
        "bins below −2 σ",
        0.05,
        0.05 + STEP,
        lambda fraction: check_frame(negative_fraction={2.0: fraction, 5.0: 0.0}),
        Status.BAD_FRAME,
        "5.0% of the bins are more than 2 σ below zero (threshold 5.0%): too much was subtracted",
    ),
    Edge(
        "bins below −5 σ",
        0.005,
        0.005 + STEP,
        lambda fraction: check_frame(negative_fraction={2.0: 0.0, 5.0: fraction}),
        Status.BAD_FRAME,
        "0.5% of the bins are more than 5 σ below zero (threshold 0.5%): too much was subtracted",
    ),
    Edge(
        "points at one maximum",
        0,
        4,
        lambda n: check_frame(n_clipped=n),
        Status.BAD_FRAME,
        "4 points have the same largest intensity: peaks are clipped; expose for a shorter time, or export "
        "the file without clipping",
    ),
    Edge(
        "power of the noise",
        0.7,
        0.7 - STEP,
        lambda power: check_frame(noise_power=power),
        Status.BAD_FRAME,
        "the variance of neighbouring points rises as the intensity to the power 0.70 (1 for photons, "
        "threshold 0.70): give counts, not their square roots or logarithms, and no subtracted background",
    ),
    Edge(
        "photons",
        310.0,
        310.0 - STEP,
        lambda counts: check_frame(counts=counts),
        Status.LOW_COUNTS,
        "too few photons: 310 (threshold 310)",
    ),
]
STRAINED = "strained by {}, outside -0.50% to +1.00%: check wavelength, 2θ zero and material"
FIT_EDGES = [
    Edge(
        "χ² fall by dots",
        62.0,
        62.0 - STEP,
        lambda fall: check_fitted(significance=fall, delta_chi2_better_size=0.0),
        Status.NO_CRYSTAL,
        "no significant PbS signal: adding nanocrystals to solvent + background lowers χ² by 62 (threshold "
        "62)",
    ),
    Edge(
        "probability of dots",
        0.4,
        0.4 - STEP,
        lambda probability: check_answer(presence=probability),
        Status.NO_CRYSTAL,
        "the network finds PbS nanocrystals with probability 0.40 (threshold 0.40)",
    ),
    # Beside the model's strains of -0.3 to 0.8 %, a 2θ zero off by 0.02° looks like 0.2 %.
    Edge(
        "strain, fit",
        0.01,
        0.01 + STEP,
        lambda strain: check_fitted(strain=strain),
        Status.OUT_OF_DOMAIN,
        "peak positions (fit) correspond to PbS " + STRAINED.format("+1.00%"),
    ),
    Edge(
        "strain, fit",
        -0.005,
        -0.005 - STEP,
        lambda strain: check_fitted(strain=strain),
        Status.OUT_OF_DOMAIN,
        "peak positions (fit) correspond to PbS " + STRAINED.format("-0.50%"),
    ),
    # Two standard deviations of 0.1 % are granted on either side.
    Edge(
        "strain, fit",
        0.012 - STEP,
        0.012 + STEP,
        lambda strain: check_fitted(strain=strain, strain_sd=0.001),
        Status.OUT_OF_DOMAIN,
        "strained by +1.20%",
    ),
    Edge(
        "strain, fit",
        -0.007 + STEP,
        -0.007 - STEP,
        lambda strain: check_fitted(strain=strain, strain_sd=0.001),
        Status.OUT_OF_DOMAIN,
        "strained by -0.70%",
    ),
    Edge(
        "strain, network",
        0.01,
        0.01 + STEP,
        lambda strain: check_answer(strain=strain),
        Status.OUT_OF_DOMAIN,
        "peak positions (network) correspond to PbS " + STRAINED.format("+1.00%"),
    ),
    Edge(
        "strain, network",
        -0.005,
        -0.005 - STEP,
        lambda strain: check_answer(strain=strain),
        Status.OUT_OF_DOMAIN,
        "peak positions (network) correspond to PbS " + STRAINED.format("-0.50%"),
    ),
    Edge(
        "shift of all peaks",
        0.25 * COPPER_PER_DEG - STEP,
        0.25 * COPPER_PER_DEG + STEP,
        lambda shift: check_fitted(shift_inv_angstrom=shift),
        Status.OUT_OF_DOMAIN,
        "all peaks are shifted by +0.0178 Å⁻¹ (threshold 0.0178 Å⁻¹): check the 2θ zero and the height of "
        "the sample",
    ),
    # The same at the wavelength of copper, in degrees; two standard deviations of 0.01° are granted.
    Edge(
        "shift of all peaks",
        -(0.27 - STEP) * COPPER_PER_DEG,
        -(0.27 + STEP) * COPPER_PER_DEG,
        lambda shift: check_fit(
            fit=replace(FIT, shift_inv_angstrom=shift, shift_sd_inv_angstrom=0.01 * COPPER_PER_DEG),
            wavelength_angstrom=1.5406,
        ),
        Status.OUT_OF_DOMAIN,
        "2θ is shifted by -0.270° (threshold 0.250°): check the 2θ zero and the height of the sample",
    ),
    # At a third of that wavelength, a third of the degrees; at twice the wavelength no more of them.
    Edge(
        "shift of all peaks",
        0.25 * COPPER_PER_DEG - STEP,
        0.25 * COPPER_PER_DEG + STEP,
        lambda shift: check_fit(fit=replace(FIT, shift_inv_angstrom=shift), wavelength_angstrom=1.5406 / 3),
        Status.OUT_OF_DOMAIN,
        "2θ is shifted by +0.083° (threshold 0.083°)",
    ),
    Edge(
        "shift of all peaks",
        0.125 * COPPER_PER_DEG - STEP,
        0.125 * COPPER_PER_DEG + STEP,
        lambda shift: check_fit(fit=replace(FIT, shift_inv_angstrom=shift), wavelength_angstrom=3.0812),
        Status.OUT_OF_DOMAIN,
        "2θ is shifted by +0.250° (threshold 0.250°)",
    ),
    Edge(
        "residual",
        0.17,
        0.17 + STEP,
        lambda residual: check_fitted(residual=residual),
        Status.OUT_OF_DOMAIN,
        "nanocrystals + solvent + background leave a residual of 17% of the mean intensity (threshold 17%)",
    ),
    Edge(
        "χ² per bin",
        8.5,
        8.5 + STEP,
        lambda misfit: check_fitted(misfit=misfit),
        Status.OUT_OF_DOMAIN,
        "nanocrystals + solvent + background fit with χ² 8.5 per bin (threshold 8.5): other crystals, spikes "
        "or a wrong axis?",
    ),
    Edge(
        "χ² explained by dots",
        0.91,
        0.91 - STEP,
        lambda explained: check_fitted(explained=explained),
        Status.OUT_OF_DOMAIN,
        "PbS explains 91% of the χ² that solvent + background leave (threshold 91%)",
    ),
    # Each of the two is far beyond the threshold of the other, which does not apply.
    Edge(
        "heights of the peaks",
        7.5,
        7.5 + STEP,
        lambda chi2: check_fitted(ratio_misfit=RatioMisfit(untextured=99.0, textured=chi2)),
        Status.OUT_OF_DOMAIN,
        "the heights of the peaks are not those of PbS: χ² 7.5 (threshold 7.5); another crystal with peaks "
        "at about the same Q?",
    ),
    Edge(
        "heights of the peaks",
        12.5,
        12.5 + STEP,
        lambda chi2: check_fit(
            fit=replace(FIT, ratio_misfit=RatioMisfit(untextured=chi2, textured=99.0)), textured=False
        ),
        Status.OUT_OF_DOMAIN,
        "χ² 12.5 (threshold 12.5); another crystal with peaks at about the same Q, or a film: then set "
        "texture = true?",
    ),
    Edge(
        "size",
        1.8,
        1.8 - STEP,
        lambda size: check_answer(size_nm=size, size_low_nm=1.7, size_high_nm=1.9),
        Status.OUT_OF_RANGE,
        "predicted size 1.80 nm is outside the model's range 1.8–11 nm",
    ),
    Edge(
        "size",
        11.0,
        11.0 + STEP,
        lambda size: check_answer(size_nm=size, size_low_nm=10.5, size_high_nm=11.5),
        Status.OUT_OF_RANGE,
        "predicted size 11.00 nm is outside the model's range 1.8–11 nm",
    ),
    # 10 and 0.2 % of the 5000 by which the dots lower χ²
    Edge(
        "χ² fall by other size",
        20.0,
        20.0 + STEP,
        lambda fall: check_fitted(delta_chi2_better_size=fall, best_nm=7.0),
        Status.OUT_OF_DOMAIN,
        "predicted size 4.3–4.7 nm, but nanocrystals of about 7.0 nm fit the frame better: χ² is lower by 20 "
        "(threshold 20); the frame differs from the model's training",
    ),
    Edge(
        "χ² fall by other size",
        20.0,
        20.0 + STEP,
        lambda fall: check_fitted(delta_chi2_better_size=fall, best_nm=11.0 + STEP),
        Status.OUT_OF_RANGE,
        "nanocrystals of about 11.0 nm fit the frame better: χ² is lower by 20 (threshold 20); the model's "
        "range is 1.8–11 nm",
    ),
    Edge(
        "χ² fall by other size",
        20.0,
        20.0 + STEP,
        lambda fall: check_fitted(delta_chi2_better_size=fall, best_nm=1.8 - STEP),
        Status.OUT_OF_RANGE,
        "the model's range is 1.8–11 nm",
    ),
    # Half of a class of 0.5 nm, and 5 % of 4.5 nm.
    Edge(
        "class to best size",
        4.5 + 0.475 - STEP,
        4.5 + 0.475 + STEP,
        lambda best: check_fit(CLASS_ANSWER, replace(FIT, best_nm=best), CLASSES),
        Status.OUT_OF_DOMAIN,
        "predicted class 4.5 nm, but nanocrystals of about 5.0 nm fit the frame best, 0.48 nm apart "
        "(threshold 0.47 nm)",
    ),
    Edge(
        "class to best size",
        4.5 - 0.475 + STEP,
        4.5 - 0.475 - STEP,
        lambda best: check_fit(CLASS_ANSWER, replace(FIT, best_nm=best), CLASSES),
        Status.OUT_OF_DOMAIN,
        "predicted class 4.5 nm, but nanocrystals of about 4.0 nm fit the frame best",
    ),
    Edge(
        "relative interval",
        6.475 - STEP,
        6.475 + STEP,
        lambda high: check_answer(size_low_nm=4.0, size_high_nm=high),
        Status.LOW_COUNTS,
        "the 95 % interval is 55% of the size wide (threshold 55%)",
    ),
]
EDGES = FRAME_EDGES + FIT_EDGES


@pytest.mark.parametrize("edge", EDGES, ids=lambda edge: f"{edge.check} {edge.last:.4g}")
def test_a_check_fails_a_step_beyond_its_threshold(edge: Edge) -> None:
    passed, beyond = edge.run(edge.last), edge.run(edge.beyond)
    assert failures(passed) == []
    first, *others = failures(beyond)
    assert first.name == edge.check
    assert others == []
    assert first.status is edge.status
    assert edge.message in first.message
    assert first.margin < 0
    before = next(check for check in passed if check.name == edge.check)
    assert before.message == ""
    assert before.margin >= 0


@pytest.mark.parametrize(
    ("misfit_background_only", "status"), [(5.0, Status.NO_CRYSTAL), (5.0 + STEP, Status.OUT_OF_DOMAIN)]
)
def test_no_crystal_is_a_frame_in_which_nothing_diffracts(
    misfit_background_only: float, status: Status
) -> None:
    checks = check_fitted(significance=1.0, misfit_background_only=misfit_background_only)
    assert next(check for check in checks if not check.passed).status is status


def test_every_check_has_an_edge() -> None:
    assert {check.name for check in CHECKS} == {edge.check for edge in EDGES}


def test_checks_are_made_in_order() -> None:
    assert [check.name for check in CHECKS] == [
        "usable points",
        "Q bins with data",
        "first Q",
        "last Q",
        "mean intensity",
        "bins below −2 σ",
        "bins below −5 σ",
        "points at one maximum",
        "power of the noise",
        "photons",
        "χ² fall by dots",
        "probability of dots",
        "strain, fit",
        "strain, network",
        "shift of all peaks",
        "residual",
        "χ² per bin",
        "χ² explained by dots",
        "heights of the peaks",
        "size",
        "χ² fall by other size",
        "class to best size",
        "relative interval",
    ]


@pytest.mark.parametrize("edges", [FRAME_EDGES, FIT_EDGES], ids=["frame", "fit"])
def test_a_value_that_cannot_be_computed_fails(edges: list[Edge]) -> None:
    for edge in edges:
        assert edge.check in [check.name for check in failures(edge.run(math.nan))], edge.check


@pytest.mark.parametrize(("counts", "status"), [(2e4 - STEP, Status.LOW_COUNTS), (2e4, Status.NO_CRYSTAL)])
@pytest.mark.parametrize(
    "change", [{"fit": replace(FIT, significance=10.0)}, {"answer": replace(ANSWER, presence=0.1)}]
)
def test_dots_unseen_in_few_photons_may_be_there(
    counts: float, status: Status, change: dict[str, Any]
) -> None:
    assert failures(check_fit(**change, counts=counts))[0].status is status


@pytest.mark.parametrize(("sd", "threshold"), [(0.0, 0.7), (0.08, 0.7), (0.1, 0.65), (0.2, 0.3)])
def test_a_noise_is_accepted_that_counts_may_have_by_chance(sd: float, threshold: float) -> None:
    """Within 3.5 standard deviations of the power of counts, 1."""
    for power, accepted in ((threshold + STEP, True), (threshold - STEP, False)):
        failed = [check.name for check in failures(check_frame(noise_power=power, noise_power_sd=sd))]
        assert failed == ([] if accepted else ["power of the noise"])


def test_the_solvent_is_named_where_it_covers_too_little() -> None:
    checks = check_frame(n_fitted=20, solvent="blank.xy")
    assert failures(checks)[0].message == (
        "20 of 700 Q bins hold data (threshold 61) and are covered by the solvent's curve blank.xy"
    )


def test_each_model_has_the_checks_that_its_answer_allows() -> None:
    of_classes = {check.name for check in check_fit(CLASS_ANSWER, card=CLASSES)}
    of_gaussian = {check.name for check in check_fit()}
    assert of_classes - of_gaussian == {"class to best size"}
    assert of_gaussian - of_classes == {"probability of dots", "strain, network"}


def test_values_are_stated_in_their_units() -> None:
    checks = (*check_frame(), *check_fit(), *check_fit(CLASS_ANSWER, card=CLASSES))
    assert {check.name: check.unit for check in checks if check.unit} == {
        "first Q": "Å⁻¹",
        "last Q": "Å⁻¹",
        "shift of all peaks": "Å⁻¹",
        "size": "nm",
        "class to best size": "nm",
    }


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"minimum": 60.0}, "≥ 60"),
        ({"maximum": 0.18}, "≤ 0.18"),
        ({"minimum": 1.8, "maximum": 11.0, "unit": "nm"}, "1.8 to 11 nm"),
        ({"minimum": math.ulp(0.0)}, "> 0"),
    ],
)
def test_thresholds_in_words(limits: dict[str, Any], words: str) -> None:
    assert CheckResult(name="x", value=1.0, status=Status.BAD_FRAME, **limits).threshold == words


def test_a_result_in_words_and_for_json() -> None:
    size = next(check for check in check_answer(size_nm=12.0) if check.name == "size")
    assert str(size) == "size: 12 nm (1.8 to 11 nm) failed"
    assert size.margin == -1.0
    assert size.to_dict() == {
        "name": "size",
        "value": 12.0,
        "unit": "nm",
        "minimum": 1.8,
        "maximum": 11.0,
        "threshold": "1.8 to 11 nm",
        "passed": False,
        "message": "predicted size 12.00 nm is outside the model's range 1.8–11 nm",
    }
    photons = next(check for check in check_frame() if check.name == "photons")
    assert str(photons) == "photons: 1e+05 (≥ 310) passed"
    assert photons.to_dict()["maximum"] is None

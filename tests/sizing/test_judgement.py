import math
from dataclasses import replace

import numpy as np
import pytest

from qdsizer_stream.models import Answer, PhysicsFit, load_model
from qdsizer_stream.sizing import Status
from qdsizer_stream.sizing._judgement import refusal

CARD = load_model("pbs").card
ANSWER = Answer(size_nm=4.5, size_low_nm=4.3, size_high_nm=4.7, dispersion=0.1, strain=0.0, presence=1.0)
CURVE = np.ones(3)
FIT = PhysicsFit(
    residual=0.01,
    misfit=0.8,
    significance=5000.0,
    explained=0.99,
    lost=2.0,
    best_nm=4.5,
    strain=0.001,
    strain_sd=0.0002,
    shift_inv_angstrom=0.0,
    dots=CURVE,
    liquid=CURVE,
    background=CURVE,
)


def test_a_good_answer_is_let_through() -> None:
    assert refusal(CARD, ANSWER, FIT, 1e6) is None


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"significance": 10.0}, Status.NO_CRYSTAL, "PbS improves the fit by χ² 10, "),
        ({"strain": 0.019}, Status.OUT_OF_DOMAIN, "lattice of PbS were strained by +1.90%"),
        ({"shift_inv_angstrom": -0.02}, Status.OUT_OF_DOMAIN, "-0.020 Å⁻¹ off what any lattice gives"),
        ({"shift_inv_angstrom": -0.02}, Status.OUT_OF_DOMAIN, "check the 2θ zero"),
        ({"residual": 0.9}, Status.OUT_OF_DOMAIN, "leave 90% unexplained"),
        ({"misfit": 90.0}, Status.OUT_OF_DOMAIN, "miss the frame by χ² 90.0 a bin"),
        ({"explained": 0.2}, Status.OUT_OF_DOMAIN, "PbS explains 20% of what liquids and background leave"),
        ({"lost": 900.0, "best_nm": 7.0}, Status.OUT_OF_DOMAIN, "the network reads 4.3 … 4.7 nm, but dots"),
        ({"lost": 900.0, "best_nm": 7.0}, Status.OUT_OF_DOMAIN, "of about 7.0 nm fit the frame better"),
        ({"lost": 900.0, "best_nm": 15.0}, Status.OUT_OF_RANGE, "the model answers for 1.8 … 11 nm"),
    ],
)
def test_each_limit_has_its_status_and_reason(change: dict[str, float], status: Status, message: str) -> None:
    verdict = refusal(CARD, ANSWER, replace(FIT, **change), 1e6)
    assert verdict is not None
    assert verdict[0] is status
    assert message in verdict[1]


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"presence": 0.1}, Status.NO_CRYSTAL, "the network sees dots with probability 0.10"),
        ({"strain": -0.015}, Status.OUT_OF_DOMAIN, "lattice of PbS were strained by -1.50%"),
        (
            {"size_nm": 12.0},
            Status.OUT_OF_RANGE,
            "the size reads 12.00 nm, the model answers for 1.8 … 11 nm",
        ),
        ({"size_low_nm": 2.0, "size_high_nm": 7.0}, Status.LOW_COUNTS, "the interval is 111% of the size"),
    ],
)
def test_the_answer_is_judged_too(change: dict[str, float], status: Status, message: str) -> None:
    verdict = refusal(CARD, replace(ANSWER, **change), FIT, 1e6)
    assert verdict is not None
    assert verdict[0] is status
    assert message in verdict[1]


def test_a_strain_within_its_error_is_no_reason() -> None:
    assert refusal(CARD, ANSWER, replace(FIT, strain=0.013, strain_sd=0.004), 1e6) is None


def test_dots_unseen_in_few_photons_may_be_there() -> None:
    verdict = refusal(CARD, ANSWER, replace(FIT, significance=10.0), 5e3)
    assert verdict is not None
    assert verdict[0] is Status.LOW_COUNTS


def test_a_classifier_must_agree_with_the_size_that_fits_best() -> None:
    card = load_model("pbs-paper").card
    answer = replace(ANSWER, class_nm=4.5, size_low_nm=3.75, size_high_nm=5.25, presence=math.nan)
    assert refusal(card, answer, replace(FIT, best_nm=4.9), 1e6) is None
    verdict = refusal(card, answer, replace(FIT, best_nm=5.1), 1e6)
    assert verdict is not None
    assert verdict[0] is Status.OUT_OF_DOMAIN
    assert "the network reads 4.5 nm, but dots of about 5.1 nm fit the frame best" in verdict[1]


def test_what_channels_may_hide_is_no_fault_of_the_frame() -> None:
    wide = replace(ANSWER, size_high_nm=4.7 * 1.6, raised=1.6)
    assert refusal(CARD, wide, FIT, 1e6) is None
    verdict = refusal(CARD, replace(wide, raised=1.0), FIT, 1e6)
    assert verdict is not None
    assert verdict[0] is Status.LOW_COUNTS

"""Negative controls: none of them may be sized with an interval that misses the truth."""

import math
from collections import defaultdict

import pytest

from qdsizer_stream.sizing import Sizer, SizingConfig, Status
from qdsizer_stream.testing import NEGATIVE_CONTROL_KINDS, NegativeControl, negative_controls

pytestmark = pytest.mark.slow

SEED, PER_KIND = 2026, 3
"""A seed that played no part when the thresholds were set."""

MODELS = ("pbs", "pbs-paper", "pbs-paper-cut")


@pytest.fixture(scope="session")
def corpus() -> dict[str, list[NegativeControl]]:
    frames = defaultdict(list)
    for frame in negative_controls("PbS", SEED, PER_KIND):
        frames[frame.kind].append(frame)
    return frames


@pytest.fixture(scope="module")
def sizers() -> dict[str, Sizer]:
    return {model: Sizer(SizingConfig(model=model)) for model in MODELS}


def test_every_kind_is_there(corpus: dict[str, list[NegativeControl]]) -> None:
    assert tuple(corpus) == NEGATIVE_CONTROL_KINDS
    assert all(len(frames) == PER_KIND for frames in corpus.values())


@pytest.mark.parametrize("kind", NEGATIVE_CONTROL_KINDS)
@pytest.mark.parametrize("model", MODELS)
def test_no_negative_control_is_confidently_wrong(
    model: str, kind: str, corpus: dict[str, list[NegativeControl]], sizers: dict[str, Sizer]
) -> None:
    for frame in corpus[kind]:
        estimate = sizers[model].size(frame.pattern)
        if estimate.status is Status.SIZED:
            assert estimate.size_low_nm <= frame.size_nm <= estimate.size_high_nm
        else:
            assert math.isnan(estimate.size_nm)
            assert estimate.reason
            assert "\n" not in estimate.reason


@pytest.mark.parametrize(
    ("kind", "allowed", "hint"),
    [
        ("flat line", {Status.NO_CRYSTAL, Status.OUT_OF_DOMAIN}, "PbS"),
        ("15 nm dots", {Status.OUT_OF_RANGE, Status.OUT_OF_DOMAIN}, "nm"),
        ("wavelength 2 % too long", {Status.OUT_OF_DOMAIN}, "check wavelength"),
    ],
)
def test_reasons_help(
    kind: str,
    allowed: set[Status],
    hint: str,
    corpus: dict[str, list[NegativeControl]],
    sizers: dict[str, Sizer],
) -> None:
    strong = max(corpus[kind], key=lambda frame: frame.pattern.intensity.sum())
    estimate = sizers["pbs"].size(strong.pattern)
    assert estimate.status in allowed, estimate.reason
    assert hint in estimate.reason

"""Negative controls: none of them may be sized with an interval that misses the truth."""

import math
from collections import defaultdict

import pytest

from qdsizer_stream.sizing import Sizer, SizingConfig, Status
from qdsizer_stream.testing import NEGATIVE_CONTROL_KINDS, NegativeControl, negative_controls

pytestmark = pytest.mark.slow

SEED, PER_KIND = 2026, 3
"""A seed that played no part when the thresholds were set."""

MODELS = {"pbs": "PbS", "pbs-paper": "PbS", "pbs-paper-cut": "PbS", "pbse": "PbSe", "cdse": "CdSe-zincblende"}
"""Materials of the models."""

Corpus = dict[str, list[NegativeControl]]


@pytest.fixture(scope="session")
def corpora() -> dict[str, Corpus]:
    """Negative controls of each material, by kind."""
    frames: dict[str, Corpus] = {material: defaultdict(list) for material in MODELS.values()}
    for material, of_kinds in frames.items():
        for frame in negative_controls(material, SEED, PER_KIND):
            of_kinds[frame.kind].append(frame)
    return frames


@pytest.fixture(scope="module")
def sizers() -> dict[str, Sizer]:
    return {model: Sizer(SizingConfig(model=model)) for model in MODELS}


@pytest.mark.parametrize("material", dict.fromkeys(MODELS.values()))
def test_every_kind_is_there(material: str, corpora: dict[str, Corpus]) -> None:
    assert tuple(corpora[material]) == NEGATIVE_CONTROL_KINDS
    assert all(len(frames) == PER_KIND for frames in corpora[material].values())


@pytest.mark.parametrize("kind", NEGATIVE_CONTROL_KINDS)
@pytest.mark.parametrize("model", MODELS)
def test_no_negative_control_is_confidently_wrong(
    model: str, kind: str, corpora: dict[str, Corpus], sizers: dict[str, Sizer]
) -> None:
    for frame in corpora[MODELS[model]][kind]:
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
    corpora: dict[str, Corpus],
    sizers: dict[str, Sizer],
) -> None:
    strong = max(corpora["PbS"][kind], key=lambda frame: frame.pattern.intensity.sum())
    estimate = sizers["pbs"].size(strong.pattern)
    assert estimate.status in allowed, estimate.reason
    assert hint in estimate.reason

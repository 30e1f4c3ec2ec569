"""Patterns and frames sized together against the same ones sized alone: equal to the last bit."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from qdsizer_stream.models import load_model
from qdsizer_stream.patterns import PAPER_GRID, Pattern, q_from_two_theta
from qdsizer_stream.reduction import ReductionConfig, nominal_detector
from qdsizer_stream.simulation import GrowingDots, SynthesisRecipe
from qdsizer_stream.sizing import RawFrame, SizeEstimate, Sizer, SizingConfig, Status

WAVELENGTH_ANGSTROM = 0.56
DETECTOR = nominal_detector(24, 0.0)
SIZER = Sizer(
    SizingConfig(model="pbs", reduction=ReductionConfig(detector=DETECTOR, arm_deg=0.0)),
)
DOTS = GrowingDots(SynthesisRecipe(wavelength_angstrom=WAVELENGTH_ANGSTROM), q_max_inv_angstrom=15.2)


def bits(estimate: SizeEstimate) -> dict[str, bytes]:
    """Fields of an estimate, numbers as bytes."""
    return {name: np.asarray(value).tobytes() for name, value in asdict(estimate).items()}


def drawn_patterns(n: int) -> list[Pattern]:
    """Of a synthesis: bright and dim, with masks, shifted, of noise alone, on two grids."""
    rng = np.random.default_rng(11)
    patterns = []
    for i in range(n):
        q = PAPER_GRID.q_inv_angstrom[:: 1 + i % 2]
        expected = DOTS(q, float(rng.uniform(60, 3000)))
        counts = rng.poisson((0.01 if i % 7 == 3 else 10 ** rng.uniform(1, 3)) * expected / expected.mean())
        pattern = Pattern.from_arrays(q + (0.02 if i % 5 == 4 else 0.0), counts)
        if i % 6 == 5:
            pattern = replace(pattern, mask=(q > 3) & (q < 3.4))
        patterns.append(pattern)
    return patterns


@pytest.mark.parametrize("width", [None, pytest.param(0.04, marks=pytest.mark.slow)])
def test_patterns_together_have_the_bits_of_single_ones(width: float | None) -> None:
    patterns = drawn_patterns(19)  # more than one block
    given = {"wavelength_angstrom": WAVELENGTH_ANGSTROM, "resolution_inv_angstrom": width}
    together = SIZER.size_patterns(patterns, **given)
    assert [bits(one) for one in together] == [bits(SIZER.size(pattern, **given)) for pattern in patterns]
    assert {one.status for one in together} >= {Status.SIZED, Status.LOW_COUNTS}


def test_frames_together_have_the_bits_of_single_ones() -> None:
    rng = np.random.default_rng(4)
    q = q_from_two_theta(DETECTOR.two_theta(0.0), WAVELENGTH_ANGSTROM)
    frames = []
    for i in range(5):
        expected = np.zeros(q.size)
        expected[q > 0] = (30, 0.02)[i == 2] * DOTS(np.minimum(q[q > 0], 15.2), 200.0 + 100 * i)
        counts = rng.poisson(expected).astype(np.uint32)
        frames.append(RawFrame(counts=counts, wavelength_angstrom=(0.56, 0.57)[i == 4]))
    frames.insert(3, replace(frames[0], counts=frames[0].counts[:-1280]))  # of another detector
    together = SIZER.examine_frames(frames)
    for frame, one in zip(frames, together, strict=True):
        alone = SIZER.examine_frame(frame)
        assert bits(one.estimate) == bits(alone.estimate)
        assert one.warnings == alone.warnings
        assert (one.pooled is None) == (alone.pooled is None)
        assert [repr(check) for check in one.checks] == [repr(check) for check in alone.checks]
    statuses = [one.estimate.status for one in together]
    assert statuses[3] is Status.BAD_FRAME
    assert [bits(one.estimate) for one in SIZER.estimate_frames(frames)] == [
        bits(one.estimate) for one in together
    ]
    assert statuses.count(Status.SIZED) >= 3


def test_no_patterns() -> None:
    assert SIZER.size_patterns([]) == []
    assert SIZER.examine_frames([]) == []


@pytest.mark.slow
def test_a_network_that_rounds_otherwise_in_a_batch_is_run_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The runtime is real; its outputs for several inputs are moved by one unit in the last place."""
    sizer = Sizer(model="pbs")
    model = sizer.model
    assert model.answers_blocks
    run = model._session.run

    class Rounding:
        def run(self, names: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
            outputs = run(names, inputs)
            several = len(next(iter(inputs.values()))) > 1
            return [np.nextafter(one, np.float32(9)) if several else one for one in outputs]

    vectors = np.zeros((2, 4, 1408), np.float32)
    assert model._rounds_alike(vectors)
    monkeypatch.setattr(model, "_session", Rounding())
    assert not model._rounds_alike(vectors)
    model.answers_blocks = False
    patterns = drawn_patterns(3)
    expected = [SIZER.size(one, resolution_inv_angstrom=0.0) for one in patterns]
    found = sizer.size_patterns(patterns, resolution_inv_angstrom=0.0)
    assert [bits(one) for one in found] == [bits(one) for one in expected]


def test_models_state_whether_they_answer_blocks() -> None:
    assert not load_model("pbs-paper").answers_blocks  # takes the paper's vector

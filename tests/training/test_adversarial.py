"""The adversarial suite: what counts as missed, and that its families are what their names say."""

import math

import numpy as np
import pytest

from qdsizer_stream.models import load_model
from qdsizer_stream.simulation import FrameStream
from qdsizer_stream.training import silent
from qdsizer_stream.training.evaluation import (
    AdversarialFamily,
    _adversarial_suite,
    load_adversarial_families,
)

FAMILY = AdversarialFamily(name="any", max_missed=0.05)


def test_only_sized_frames_can_miss() -> None:
    found = _adversarial_suite._Found(
        sized=np.array([True, True, False, True]),
        truth=np.array([[5.0, 4.8, 0.1], [5.0, 4.8, 0.1], [9.0, 9.0, 0.1], [5.0, 4.0, 0.1]]),
        value=np.array([[5.1, 4.9, 0.12], [5.2, 4.8, 0.12], [1.0, 1.0, 0.1], [5.0, 4.8, 0.08]]),
        low=np.array([[4.9, 4.7], [5.1, 4.6], [0.9, 0.9], [4.9, 4.6]]),
        high=np.array([[5.3, 5.1], [5.3, 5.0], [1.1, 1.1], [5.1, 5.0]]),
    )
    row = _adversarial_suite._row(FAMILY, found)
    assert row[:3] == ("any", 4, 0.75)
    assert row[3] == pytest.approx(1 / 3)  # the second
    assert row[4] == pytest.approx(1 / 3)  # the last
    assert row[6] == pytest.approx(0.1)
    assert row[8] == pytest.approx(0.02)
    assert row[10] == pytest.approx(0.2 / 4.8)


def test_models_without_an_interval_of_the_mass_mean_have_no_rate() -> None:
    one = np.array([[math.nan, 4.7]])
    truth = np.array([[5.0, 4.8, 0.1]])
    found = _adversarial_suite._Found(np.array([True]), truth, truth, one, one + 1)
    row = _adversarial_suite._row(FAMILY, found)
    assert row[3] is None
    assert row[4] == 0.0


def test_families_differ_in_what_they_are_named_for() -> None:
    recipes = {family.name: recipe for family, recipe in load_adversarial_families()}
    base = recipes["control: ideal spheres, log-normal"]
    assert base.distributions is None
    assert base.structures.twinned is None
    assert recipes["one (111) twin (truth: larger domain)"].structures.twinned == 1.0
    assert recipes["copper tube, zero ± 0.3°"].sources[0].zero_shift_deg == (-0.3, 0.3)
    undeclared = [family.name for family, _ in load_adversarial_families() if not family.declared]
    assert len(undeclared) == 4
    assert all("not declared" in name for name in undeclared)
    for name, recipe in recipes.items():
        changed = {k for k, v in recipe.model_dump().items() if v != base.model_dump()[k]}
        assert changed or name.startswith("control")


@pytest.mark.slow
def test_the_suite_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control, on the smallest draw: the shipped model hardly misses."""
    control = load_adversarial_families()[:1]
    monkeypatch.setattr(_adversarial_suite, "load_adversarial_families", lambda: control)
    section = _adversarial_suite.evaluate_adversarial(load_model("pbs"), 64, silent)
    (row,) = section.rows
    assert row[1] == 64
    assert float(row[2] or 0) > 0.9
    assert float(row[4] or 0) < 0.15


@pytest.mark.slow
@pytest.mark.parametrize("index", range(0, 29, 4))
def test_frames_of_families_can_be_drawn(index: int) -> None:
    family, recipe = load_adversarial_families()[index]
    small = recipe.structures.model_copy(update={"max_cluster_nm": 8.0})
    dots = {"mean_diameter_nm": (3.0, 3.2), "dispersion": (0.1, 0.2)}
    few = recipe.model_copy(update={"n_structures": 1, "structures": small, **dots})
    batch = FrameStream(few, 0).batch(32)
    assert np.all(batch.mass_mean_nm > 1), family.name

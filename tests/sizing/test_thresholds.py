"""Thresholds from error rates, on a real model with few frames."""

import shutil
from importlib.resources import files
from pathlib import Path

import pytest
from scipy.stats import chi2

pytest.importorskip("torch", reason="torch is not installed: pip install 'qdsizer-stream[train]'")

from qdsizer_stream.errors import ModelError
from qdsizer_stream.models import BinnedInput, load_model
from qdsizer_stream.simulation import Source, SpectralLine, StreamRecipe, StructureRanges
from qdsizer_stream.sizing import Status
from qdsizer_stream.training import (
    held_out_simulations,
    load_training_recipe,
    round_up,
    set_thresholds,
    update_model_card,
)

RATES = (
    "good frames refused",
    "good frames refused, not for few photons",
    "good frames sized with an interval that misses",
    "frames without dots sized",
    "hostile frames sized with an interval that misses",
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shipped = Path(str(files("qdsizer_stream.models") / "shipped" / "pbs.onnx"))
    path = Path(shutil.copy(shipped, tmp_path / "mine.onnx"))
    update_model_card(path, evaluation=dict.fromkeys(RATES, -1.0))
    return path


@pytest.fixture
def good(copy: Path) -> StreamRecipe:
    taken = load_model(str(copy)).card.input
    assert isinstance(taken, BinnedInput)
    return StreamRecipe(
        structures=StructureRanges(material="PbS", max_cluster_nm=7.0),
        n_structures=1,
        grid=taken.grid,
        sources=(Source(lines=(SpectralLine(wavelength_angstrom=0.56),)),),
        mean_diameter_nm=(2.5, 4.5),
        dispersion=(0.05, 0.15),
        b_angstrom2=(0.8, 2.0),
        area_fraction=(0.3, 1.0),
        no_dots=0.3,
        known_solvents=("toluene", "hexane"),
        counts_per_bin=(300.0, 1e5),
        q_low_inv_angstrom=(0.96, 1.2),
        q_high_inv_angstrom=(10.0, 15.0),
    )


@pytest.mark.slow
def test_thresholds_and_error_rates_are_stored_on_the_card(copy: Path, good: StreamRecipe) -> None:
    before = load_model(str(copy)).card
    after = set_thresholds(copy, good, n_frames=96, n_negative_controls=1, seed=5).card
    assert after.thresholds.max_delta_chi2_better_size == pytest.approx(chi2.ppf(0.999, 1), abs=0.05)
    assert 0 < after.thresholds.max_misfit < 10
    assert after.thresholds.min_explained > 0.9
    assert after.thresholds.min_counts == before.thresholds.min_counts
    rates = {name: after.evaluation[name] for name in RATES}
    assert rates["frames without dots sized"] == 0
    assert 0 <= rates["good frames refused"] < 0.1
    assert 0 <= rates["good frames refused, not for few photons"] < 0.1
    assert 0 <= rates["good frames sized with an interval that misses"] < 0.2
    assert 0 <= rates["hostile frames sized with an interval that misses"] < 0.1
    reasons = [rate for name, rate in after.evaluation.items() if name.startswith("good frames refused as ")]
    assert len(reasons) == len(Status) - 1
    assert sum(reasons) == pytest.approx(rates["good frames refused"], abs=1e-4)
    assert after.recipe == before.recipe


@pytest.mark.slow
def test_thresholds_need_frames_without_dots(copy: Path, good: StreamRecipe) -> None:
    content = copy.read_bytes()
    with pytest.raises(ModelError, match=r"and 0 are without dots: .* with no_dots above 0"):
        set_thresholds(copy, good.model_copy(update={"no_dots": 0.0}), n_frames=32, n_negative_controls=1)
    assert copy.read_bytes() == content


def test_good_frames_are_the_held_out_simulations() -> None:
    shipped = Path(str(files("qdsizer_stream.models") / "shipped"))
    assert held_out_simulations(shipped / "pbs.onnx") == load_training_recipe("pbs").held_out
    with pytest.raises(
        ModelError, match=r"model 'pbs-paper' is of kind 'paper', which has no held-out simulations: give"
    ):
        held_out_simulations(shipped / "pbs-paper.onnx")


@pytest.mark.parametrize(("value", "rounded"), [(1.234, 1.3), (0.001231, 0.0013), (57.1, 58.0), (0.0, 0.0)])
def test_thresholds_are_rounded_up(value: float, rounded: float) -> None:
    assert round_up(value) == pytest.approx(rounded, rel=1e-9)

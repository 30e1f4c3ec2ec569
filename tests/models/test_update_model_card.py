import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import onnx
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'qdsizer-stream[train]'")

from qdsizer_stream.errors import ModelError
from qdsizer_stream.models import load_model
from qdsizer_stream.training import update_model_card

SHIPPED = Path(str(files("qdsizer_stream.models") / "shipped"))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copy(SHIPPED / "pbs-paper.onnx", tmp_path / "mine.onnx"))


def test_new_thresholds_keep_the_rest(copy: Path) -> None:
    before = load_model(str(copy))
    thresholds = before.card.thresholds.model_copy(update={"min_significance": 77.0})
    after = update_model_card(copy, thresholds=thresholds, evaluation={"good frames refused": 0.004})
    assert after.card.thresholds == thresholds
    assert after.card.evaluation == before.card.evaluation | {"good frames refused": 0.004}
    assert after.card.recipe == before.card.recipe
    np.testing.assert_array_equal(after.templates.dots, before.templates.dots)
    assert after.sha256 != before.sha256
    assert load_model(str(copy)).sha256 == after.sha256
    assert list(copy.parent.iterdir()) == [copy]


def test_new_templates_are_stored_unchanged(copy: Path) -> None:
    templates = load_model("pbs").templates
    after = update_model_card(copy, templates=templates)
    np.testing.assert_array_equal(after.templates.dots, templates.dots)
    np.testing.assert_array_equal(after.templates.peaks_inv_angstrom, templates.peaks_inv_angstrom)


def test_a_file_without_a_card_is_unchanged(copy: Path) -> None:
    proto = onnx.load(copy)
    del proto.metadata_props[:]
    onnx.save(proto, copy)
    content = copy.read_bytes()
    with pytest.raises(ModelError, match="has no card: give a file from 'qdsizer-stream train'"):
        update_model_card(copy, evaluation={})
    assert copy.read_bytes() == content


def test_an_invalid_field_leaves_the_file_unchanged(copy: Path) -> None:
    content = copy.read_bytes()
    with pytest.raises(ModelError, match="size_range_nm"):
        update_model_card(copy, size_range_nm=("small", "large"))
    assert copy.read_bytes() == content
    assert list(copy.parent.iterdir()) == [copy]

import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import onnx
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'qdsizer-stream[train]'")

from qdsizer_stream.errors import ModelError
from qdsizer_stream.models import load_model
from qdsizer_stream.training._recard import recard

SHIPPED = Path(str(files("qdsizer_stream.models") / "shipped"))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copy(SHIPPED / "pbs-paper.onnx", tmp_path / "mine.onnx"))


def test_new_limits_leave_the_rest_as_it_was(copy: Path) -> None:
    before = load_model(str(copy))
    thresholds = before.card.thresholds.model_copy(update={"min_significance": 77.0})
    after = recard(copy, thresholds=thresholds, evaluation={"good frames refused": 0.004})
    assert after.card.thresholds == thresholds
    assert after.card.evaluation == before.card.evaluation | {"good frames refused": 0.004}
    assert after.card.recipe == before.card.recipe
    np.testing.assert_array_equal(after.templates.dots, before.templates.dots)
    assert after.sha256 != before.sha256
    assert load_model(str(copy)).sha256 == after.sha256
    assert list(copy.parent.iterdir()) == [copy]


def test_new_templates_come_back_as_they_went_in(copy: Path) -> None:
    templates = load_model("pbs").templates
    after = recard(copy, templates=templates)
    np.testing.assert_array_equal(after.templates.dots, templates.dots)
    np.testing.assert_array_equal(after.templates.peaks_inv_angstrom, templates.peaks_inv_angstrom)


def test_a_file_without_a_card_stays_as_it_is(copy: Path) -> None:
    proto = onnx.load(copy)
    del proto.metadata_props[:]
    onnx.save(proto, copy)
    content = copy.read_bytes()
    with pytest.raises(ModelError, match="has no card: it was not made by 'qdsizer-stream train'"):
        recard(copy, evaluation={})
    assert copy.read_bytes() == content


def test_a_wrong_field_leaves_the_file_alone(copy: Path) -> None:
    content = copy.read_bytes()
    with pytest.raises(ModelError, match="size_range_nm"):
        recard(copy, size_range_nm=("small", "large"))
    assert copy.read_bytes() == content
    assert list(copy.parent.iterdir()) == [copy]

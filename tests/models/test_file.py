import json
import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from qdsizer_stream.errors import ModelError
from qdsizer_stream.models import CARD_KEY, SizingModel, load_model, model_names

SHIPPED = Path(str(files("qdsizer_stream.models") / "shipped"))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copy(SHIPPED / "pbs.onnx", tmp_path / "mine.onnx"))


def metadata(proto: onnx.ModelProto, key: str) -> onnx.StringStringEntryProto:
    return next(entry for entry in proto.metadata_props if entry.key == key)


def test_shipped_models_answer_their_references() -> None:
    assert model_names() == ["pbs", "pbs-paper", "pbs-paper-cut"]
    for name in model_names():
        model = load_model(name)
        assert model.name == name
        assert model.card.material == "PbS"
        assert len(model.sha256) == 64


def test_a_model_loads_by_path_and_is_the_same(copy: Path) -> None:
    assert load_model(str(copy)).sha256 == load_model("pbs").sha256


def test_a_model_loads_by_a_path_object(copy: Path) -> None:
    assert load_model(copy).path == copy
    assert SizingModel(str(copy)).path == copy
    with pytest.raises(ModelError, match="model 'pbs' is unknown"):
        load_model(Path("pbs"))  # a path is not a name


def test_a_model_shows_what_it_sizes() -> None:
    model = load_model("pbs")
    assert repr(model) == (
        f"<SizingModel pbs: PbS, 1.8–11 nm, answers with gaussian, sha256 {model.sha256[:12]}>"
    )
    html = model._repr_html_()
    for text in ("PbS, lattice parameter 5.934 Å", "1.8–11 nm", "-0.80% to +0.80%", model.sha256):
        assert text in html


def test_unknown_name_lists_the_known() -> None:
    known = "pbs, pbs-paper, pbs-paper-cut"
    with pytest.raises(ModelError, match=f"model 'pbz' is unknown: choose {known} or give the path of"):
        load_model("pbz")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot read model file .*none\.onnx: No such file"):
        load_model(str(tmp_path / "none.onnx"))


def test_a_file_cut_short_is_refused(copy: Path) -> None:
    content = copy.read_bytes()
    copy.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(ModelError, match="is damaged or not ONNX"):
        load_model(str(copy))


def test_a_graph_without_card_is_refused(copy: Path) -> None:
    proto = onnx.load(copy)
    del proto.metadata_props[:]
    onnx.save(proto, copy)
    with pytest.raises(ModelError, match="has no card: it was not made by 'qdsizer-stream train'"):
        load_model(str(copy))


def test_a_card_of_another_format_is_refused(copy: Path) -> None:
    proto = onnx.load(copy)
    entry = metadata(proto, CARD_KEY)
    entry.value = json.dumps({**json.loads(entry.value), "format_version": 2})
    onnx.save(proto, copy)
    with pytest.raises(ModelError, match="another version: its card: format_version: Input should be 1"):
        load_model(str(copy))


def test_a_changed_weight_is_found(copy: Path) -> None:
    proto = onnx.load(copy)
    weights = max(proto.graph.initializer, key=lambda tensor: int(np.prod(tensor.dims)))
    values = numpy_helper.to_array(weights).copy()
    values[:] = values * 1.01
    weights.CopyFrom(numpy_helper.from_array(values, weights.name))
    onnx.save(proto, copy)
    with pytest.raises(ModelError, match=r"differs from its reference answers by .* \(threshold 0\.001\)"):
        load_model(str(copy))


def test_missing_templates_are_found(copy: Path) -> None:
    proto = onnx.load(copy)
    keep = [entry for entry in proto.metadata_props if "templates" not in entry.key]
    del proto.metadata_props[:]
    proto.metadata_props.extend(keep)
    onnx.save(proto, copy)
    with pytest.raises(ModelError, match=r"damaged or of another version: 'qdsizer_stream\.templates'"):
        load_model(str(copy))

import json
import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from qdsizer_stream.errors import ModelError
from qdsizer_stream.models import (
    BLANK_SEAL,
    CARD_KEY,
    SEAL_KEY,
    SizingModel,
    load_model,
    model_names,
    pack_arrays,
    sealed,
    unpack_arrays,
)
from qdsizer_stream.patterns import Pattern

SHIPPED = Path(str(files("qdsizer_stream.models") / "shipped"))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copy(SHIPPED / "pbs.onnx", tmp_path / "mine.onnx"))


def test_a_model_describes_itself_in_json(copy: Path) -> None:
    model = load_model(copy)
    described = model.to_dict()
    assert json.loads(json.dumps(described)) == described  # lists and text, no tuples or enumerations
    assert (described["sha256"], described["path"]) == (model.sha256, str(copy))


@pytest.mark.parametrize("junk", ["\n", "*", "é"])
def test_text_that_is_not_base64_is_no_array(junk: str) -> None:
    packed = pack_arrays(a=np.arange(3))
    assert unpack_arrays(packed)["a"].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match=r"(base64|ASCII)"):
        unpack_arrays(packed[:20] + junk + packed[20:])


def metadata(proto: onnx.ModelProto, key: str) -> onnx.StringStringEntryProto:
    return next(entry for entry in proto.metadata_props if entry.key == key)


def resealed(proto: onnx.ModelProto, path: Path) -> None:
    """Save a changed graph as its author would have: what is inside is then checked, not the seal."""
    metadata(proto, SEAL_KEY).value = BLANK_SEAL
    path.write_bytes(sealed(proto.SerializeToString()))


def test_shipped_models_answer_their_references() -> None:
    paper = {"pbs-paper": "PbS", "pbs-paper-cut": "PbS"}
    materials = {"cdse": "CdSe-zincblende", "pbs": "PbS", **paper, "pbse": "PbSe"}
    assert model_names() == list(materials)
    for name, material in materials.items():
        model = load_model(name)
        assert model.name == name
        assert model.card.material == material
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


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_any_changed_byte_is_found(copy: Path, seed: int) -> None:
    """A flipped bit anywhere: in a weight, a digit of the card, the templates, the references, the seal."""
    content = bytearray(copy.read_bytes())
    rng = np.random.default_rng(seed)
    content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
    copy.write_bytes(bytes(content))
    with pytest.raises(ModelError, match=r"is damaged|has no seal|has no card"):
        load_model(str(copy))


def test_a_digit_of_the_card_is_found(copy: Path) -> None:
    """Each digit of a limit would give other sizes or let other frames pass."""
    content = copy.read_bytes()
    for text in (b'"interval_scale": ', b'"target_offset": [', b'"max_residual": '):
        at = content.index(text) + len(text)
        digit = content[at : at + 1]
        other = b"7" if digit != b"7" else b"3"
        copy.write_bytes(content[:at] + other + content[at + 1 :])
        with pytest.raises(
            ModelError, match=r"graph, card, templates or references have changed since it was"
        ):
            load_model(str(copy))


def test_a_file_without_a_seal_names_the_remedy(copy: Path) -> None:
    proto = onnx.load(copy)
    keep = [entry for entry in proto.metadata_props if entry.key != SEAL_KEY]
    del proto.metadata_props[:]
    proto.metadata_props.extend(keep)
    onnx.save(proto, copy)
    with pytest.raises(
        ModelError, match=r"has no seal: .* seal it with: qdsizer-stream models seal .*mine\.onnx"
    ):
        load_model(str(copy))


def test_numbers_that_are_not_finite_are_refused(copy: Path) -> None:
    proto = onnx.load(copy)
    entry = metadata(proto, CARD_KEY)
    card = json.loads(entry.value)
    card["guard"]["max_residual"] = float("nan")
    entry.value = json.dumps(card)
    resealed(proto, copy)
    with pytest.raises(ModelError, match="max_residual: Input should be a finite number"):
        load_model(str(copy))


def test_sizes_of_the_references_are_checked(copy: Path) -> None:
    """The network answers as before, but the card makes another size of it."""
    proto = onnx.load(copy)
    entry = metadata(proto, CARD_KEY)
    card = json.loads(entry.value)
    card["output"]["interval_scale"] += 0.2
    entry.value = json.dumps(card)
    resealed(proto, copy)
    with pytest.raises(ModelError, match=r"nm \[.*\] for a reference input, but its author found .* nm \["):
        load_model(str(copy))


def test_only_one_blank_seal_is_sealed() -> None:
    with pytest.raises(ModelError, match="the file holds 2 blank seals"):
        sealed(2 * BLANK_SEAL.encode())


def test_unknown_name_lists_the_known() -> None:
    known = "cdse, pbs, pbs-paper, pbs-paper-cut, pbse"
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
    resealed(proto, copy)
    with pytest.raises(ModelError, match="another version: its card: format_version: Input should be 1"):
        load_model(str(copy))


def test_a_changed_weight_is_found(copy: Path) -> None:
    proto = onnx.load(copy)
    weights = max(proto.graph.initializer, key=lambda tensor: int(np.prod(tensor.dims)))
    values = numpy_helper.to_array(weights).copy()
    values[:] = values * 1.01
    weights.CopyFrom(numpy_helper.from_array(values, weights.name))
    resealed(proto, copy)
    with pytest.raises(ModelError, match=r"differs from its reference answers by .* \(threshold 0\.001\)"):
        load_model(str(copy))


def test_missing_templates_are_found(copy: Path) -> None:
    proto = onnx.load(copy)
    keep = [entry for entry in proto.metadata_props if "templates" not in entry.key]
    del proto.metadata_props[:]
    proto.metadata_props.extend(keep)
    resealed(proto, copy)
    with pytest.raises(ModelError, match=r"damaged or of another version: 'qdsizer_stream\.templates'"):
        load_model(str(copy))


def test_several_widths_at_once_are_answered_as_one_by_one() -> None:
    """To the last bit: what a batch changes would differ between frames from files and live ones."""
    model = load_model("pbs")
    grid, templates = model.card.input.grid, model.templates
    for row in (10, 60, 110):
        expected = 300 * np.interp(grid.centres, templates.q_inv_angstrom, templates.dots[row])
        binned = Pattern.from_arrays(grid.centres, np.random.default_rng(row).poisson(expected))
        widths = [None, np.full(grid.n_bins, 0.06), np.linspace(0.01, 0.03, grid.n_bins)]
        together = model.answers_binned(binned, widths)
        assert [vars(one) for one in together] == [vars(model.answer_binned(binned, one)) for one in widths]
    # Of the large dots, the instrument accounts for part of the width of the peaks.
    assert together[1].size_nm > 1.05 * together[0].size_nm

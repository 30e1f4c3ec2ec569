import json
import shutil
from importlib.resources import files
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qdsizer_stream.cli import app
from qdsizer_stream.errors import ModelError
from qdsizer_stream.models import load_model, model_names

SHIPPED = Path(str(files("qdsizer_stream.models") / "shipped"))


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution that offers models, installed as pip would leave it."""
    package = tmp_path / "beamline_models"
    package.mkdir()
    shutil.copy(SHIPPED / "pbs.onnx", package / "ours.onnx")
    (package / "__init__.py").write_text(
        "from pathlib import Path\n\nours = Path(__file__).with_name('ours.onnx')\nnothing = None\n"
    )
    info = tmp_path / "beamline_models-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: beamline-models\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[qdsizer_stream.models]\n"
        "ours = beamline_models:ours\n"
        "nothing = beamline_models:nothing\n"
        "absent = no_such_package:path\n"
        "pbs = beamline_models:nothing\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_models_of_another_package_are_named_after_ours(installed: Path) -> None:
    names = model_names()
    assert names.index("pbs") < names.index("ours")
    assert names.count("pbs") == 1


def test_a_model_of_another_package_loads_by_name(installed: Path) -> None:
    model = load_model("ours")
    assert model.path == installed / "beamline_models" / "ours.onnx"
    assert model.sha256 == load_model("pbs").sha256


def test_nobody_takes_the_name_of_a_shipped_model(installed: Path) -> None:
    assert load_model("pbs").path == SHIPPED / "pbs.onnx"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nothing", "'beamline_models:nothing', which is not a path"),
        ("absent", "No module named 'no_such_pac"),
    ],
)
def test_an_offer_that_is_none_is_named_with_its_package(installed: Path, name: str, told: str) -> None:
    with pytest.raises(ModelError, match=f"model '{name}' is offered by beamline-models") as error:
        load_model(name)
    assert told in str(error.value)


@pytest.mark.slow
def test_a_bad_offer_does_not_hide_the_others(installed: Path) -> None:
    told = CliRunner().invoke(app, ["models", "list", "--json"])
    assert told.exit_code == 0, told.output
    listed = {row["name"]: row for row in json.loads(told.stdout)}
    assert listed["ours"]["material"] == "PbS"
    assert "offered by beamline-models" in listed["absent"]["error"]
    table = CliRunner().invoke(app, ["models", "list"]).stdout
    assert "not usable:" in table
    assert max(map(len, table.splitlines())) <= 80


def test_verify_says_what_it_checked() -> None:
    told = CliRunner().invoke(app, ["models", "verify", "pbs"]).stdout
    assert "pbs is intact" in told
    for check in ("file", "graph", "card", "templates", "references", "recipe"):
        assert f"│ {check}" in told
    checks = json.loads(CliRunner().invoke(app, ["models", "verify", "pbs", "--json"]).stdout)
    assert checks["whole"] is True
    assert load_model("pbs").sha256 in checks["checks"]["file"]


def test_references_are_counted_and_answered() -> None:
    model = load_model("pbs")
    assert model.n_references >= 1
    assert 0 <= model.reference_error <= 1e-3

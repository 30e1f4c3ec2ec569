import tomllib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'qdsizer-stream[train]'")

import qdsizer_stream.training
from qdsizer_stream.patterns import Pattern
from qdsizer_stream.simulation import FrameStream
from qdsizer_stream.sizing import Sizer, SizingConfig, Status
from qdsizer_stream.training import SizeRecipe, load_training_recipe, train

PACKAGE = Path(qdsizer_stream.training.__file__).parents[1]


@pytest.fixture(scope="module")
def short() -> SizeRecipe:
    """Recipe of the package, shortened to seconds; its accuracy is not representative."""
    recipe = load_training_recipe("cdse")
    assert isinstance(recipe, SizeRecipe)
    plain = recipe.model_dump()
    small = {"n_structures": 1, "mean_diameter_nm": (2.0, 4.0), "dispersion": (0.05, 0.1)}
    for part in ("generator", "held_out"):
        structures = {**plain[part]["structures"], "max_cluster_nm": 6.0}
        plain[part] = {**plain[part], **small, "structures": structures}
    quick = {"name": "cdse-short", "steps": 40, "batch_size": 64, "calibration_frames": 64}
    return SizeRecipe.model_validate({**plain, **quick})


@pytest.mark.slow
def test_cdse_is_trained_from_its_recipe_and_sizes_cdse(short: SizeRecipe, tmp_path: Path) -> None:
    path = tmp_path / "cdse.onnx"
    model = train(short, path)
    assert model.card.material == "CdSe-zincblende"
    assert model.card.lattice_parameter_angstrom == pytest.approx(6.077)
    clean = {
        "area_fraction": (1.0, 1.0),
        "no_dots": 0.0,
        "with_by_products": 0.0,
        "ligands_per_nm2": (0.0, 0.0),
        "background": 0.0,
        "distortion": 0.0,
        "missing": 0.0,
        "coarse": 0.0,
        "gaps": 0.0,
        "counts_per_bin": (1e4, 1e4),
        "q_low_inv_angstrom": (1.0, 1.0),
        "q_high_inv_angstrom": (8.0, 8.0),
    }
    stream = FrameStream(short.generator.model_copy(update=clean), seed=5)
    batch = stream.batch(32)
    sizer = Sizer(SizingConfig(model=str(path)))
    examined = [
        sizer.examine(Pattern(short.generator.grid.centres, *frame))
        for frame in zip(batch.intensity, batch.sigma, batch.mask, strict=True)
    ]
    assert all(e.estimate.model == "cdse-short" for e in examined)
    # The physics check uses templates of CdSe and finds the dots, even though 40 steps do not train a
    # network.
    assert all(e.fit is not None and e.fit.explained > 0.97 for e in examined)
    assert not any(e.estimate.status is Status.BAD_FRAME for e in examined)
    answers = np.array([model.answer(e.binned).size_nm for e in examined if e.binned is not None])
    assert answers.size == 32
    assert np.all((answers > 1.0) & (answers < 9.0))


def test_no_material_is_named_in_the_code() -> None:
    names = {
        tomllib.loads(path.read_text())["name"]
        for path in (PACKAGE / "simulation/crystal/materials").glob("*.toml")
    }
    assert {"PbS", "CdSe-zincblende"} <= names
    for path in [*(PACKAGE / "training").glob("*.py"), *(PACKAGE / "models").glob("*.py")]:
        found = [name for name in names if f'"{name}"' in path.read_text()]
        assert not found, f"{path.name} names {found}"

"""Models without a network: built, loaded, sized with, refused, cached, and on the command line."""

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qdsizer_stream.errors import ConfigurationError, ModelError
from qdsizer_stream.fitting import build_fit_model, cached_fit_model
from qdsizer_stream.models import FitModel, FitOutput, load_model, seal_of_arrays
from qdsizer_stream.patterns import Pattern
from qdsizer_stream.simulation import load_solvent, material_sha256
from qdsizer_stream.sizing import Sizer, SizingConfig, Status

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "pbs-fit.npz"
    build_fit_model("PbS", path, size_range_nm=(2.0, 5.5), n_frames=64)
    return path


def test_card(built: Path) -> None:
    model = load_model(built)
    assert isinstance(model, FitModel)
    card = model.card
    assert isinstance(card.output, FitOutput)
    assert (card.material, card.opset, card.size_range_nm) == ("PbS", 0, (2.0, 5.5))
    assert card.recipe["material_sha256"] == material_sha256("PbS")
    assert 0 < card.output.mass_interval.floor < card.output.size_interval.floor < 0.1
    assert card.evaluation["number_mean_coverage"] >= 0.85
    assert card.evaluation["mass_mean_coverage"] >= 0.85
    assert card.evaluation["rejected"] <= 0.3
    assert len(model.sha256) == 64
    assert model.reference_error <= 1e-3


def test_frames_of_known_truth(built: Path, frame: Callable[..., tuple]) -> None:
    """Frames simulated with other clusters and a solvent are sized, the truth within the interval."""
    sizer = Sizer(SizingConfig(model=str(built)))
    inside = []
    for number in range(30, 38):
        pattern, truth = frame(number, mean=2.4 + 0.35 * (number - 30), dispersion=0.1, photons=3e3)
        estimate = sizer.size(pattern)
        assert estimate.status is Status.SIZED, estimate.reason
        assert estimate.size_low_nm < estimate.size_nm < estimate.size_high_nm
        assert estimate.mass_mean_low_nm < estimate.mass_mean_nm < estimate.mass_mean_high_nm
        assert estimate.dispersion_low <= estimate.dispersion <= estimate.dispersion_high
        assert estimate.dispersion_low <= 0.1 <= estimate.dispersion_high < 0.3
        assert estimate.lattice_parameter_angstrom == pytest.approx(5.934, abs=0.02)
        inside.append(estimate.size_low_nm <= truth.number_mean_nm <= estimate.size_high_nm)
        assert estimate.mass_mean_nm == pytest.approx(truth.mass_mean_nm, rel=0.05)
    assert sum(inside) >= 7


def test_solvent_alone_is_not_sized(built: Path) -> None:
    rng = np.random.default_rng(5)
    q = np.linspace(1.0, 12.0, 1500)
    counts = rng.poisson(2e3 * load_solvent("hexane").intensity(q, 0.56) / 300).astype(float)
    pattern = Pattern(q, counts, np.sqrt(np.maximum(counts, 1)), np.zeros(q.size, bool))
    estimate = Sizer(SizingConfig(model=str(built))).size(pattern)
    assert estimate.status is not Status.SIZED
    assert np.isnan(estimate.size_nm)


def test_the_same_frame_gives_the_same_bits(built: Path, frame: Callable[..., tuple]) -> None:
    pattern, _ = frame(40, mean=4.0)
    first, again = (Sizer(SizingConfig(model=str(built))).size(pattern) for _ in range(2))
    assert first.to_dict() == again.to_dict()


@pytest.mark.parametrize("name", ["card", "check/dots", "fit/cells", "reference/number_mean_nm"])
def test_a_changed_file_is_noticed(built: Path, tmp_path: Path, name: str) -> None:
    """One digit or value changed, in an archive whose checksums are right."""
    with np.load(built) as archive:
        arrays = {key: archive[key] for key in archive.files}
    if name == "card":
        text = str(arrays[name])
        at = text.index('"floor":') + 11
        assert text[at].isdigit()
        changed = np.asarray(f"{text[:at]}{9 - int(text[at])}{text[at + 1 :]}")
    else:
        changed = np.array(arrays[name])
        changed.flat[0] = np.nextafter(changed.flat[0], np.inf, dtype=changed.dtype)
    np.savez(tmp_path / "changed.npz", **{**arrays, name: changed})
    with pytest.raises(ModelError, match=r"changed.npz is damaged: card, templates or reference have"):
        FitModel(tmp_path / "changed.npz")
    np.savez(tmp_path / "same.npz", **arrays)
    assert FitModel(tmp_path / "same.npz").card == FitModel(built).card
    del arrays["seal"]
    np.savez(tmp_path / "unsealed.npz", **arrays)
    with pytest.raises(ModelError, match="of another version or not one of this package: 'seal'"):
        FitModel(tmp_path / "unsealed.npz")


def test_damaged_files(built: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.npz"
    short.write_bytes(built.read_bytes()[:5000])
    with pytest.raises(ModelError, match=r"is damaged, of another version or not one of this package"):
        load_model(short)
    flipped = bytearray(built.read_bytes())
    flipped[len(flipped) // 2] ^= 255
    (tmp_path / "flipped.npz").write_bytes(flipped)
    with pytest.raises(ModelError, match=r"is damaged, of another version .*(CRC|Bad)"):
        load_model(tmp_path / "flipped.npz")
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    with pytest.raises(ModelError, match=r"not one of this package: 'card'"):
        load_model(tmp_path / "other.npz")
    with pytest.raises(ModelError, match=r"cannot read model file .*none.npz: No such file"):
        load_model(tmp_path / "none.npz")


def test_other_templates_do_not_give_the_reference(built: Path, tmp_path: Path) -> None:
    path = tmp_path / "changed.npz"
    with np.load(built, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["fit/diameters_nm"] = arrays["fit/diameters_nm"] * 1.01
    del arrays["seal"]
    arrays["seal"] = np.asarray(seal_of_arrays(arrays))
    np.savez(path, **arrays)
    with pytest.raises(ModelError, match=r"for its reference frame, its author found"):
        load_model(path)


def test_no_pickles(built: Path) -> None:
    with zipfile.ZipFile(built) as archive:
        for name in archive.namelist():
            assert name.endswith(".npy")
            header = archive.read(name)[:256]
            assert b"'descr': '|O'" not in header


def test_impossible_ranges(tmp_path: Path) -> None:
    for sizes in ((5.0, 3.0), (0.2, 3.0), (2.0, 60.0)):
        with pytest.raises(ConfigurationError, match=r"give a range within 0.8 to 20 nm"):
            build_fit_model("PbS", tmp_path / "x.npz", size_range_nm=sizes)


def test_cached_model(built: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model in the cache is loaded; where nothing can be stored there, the user is told."""
    steps: list[tuple] = []
    path, trouble = cached_fit_model(
        "PbS", size_range_nm=(2.0, 2.6), progress=lambda *step: steps.append(step), n_frames=32
    )
    assert (path.parent, trouble) == (cache, "")
    assert steps
    steps.clear()
    again = cached_fit_model("PbS", size_range_nm=(2.0, 2.6), progress=lambda *step: steps.append(step))
    assert again == (path, "")
    assert steps == []


def test_command(run, built: Path, frame: Callable[..., tuple], tmp_path: Path) -> None:
    pattern, truth = frame(45, mean=4.0, dispersion=0.1, photons=3e3)
    path = tmp_path / "pattern.xye"
    np.savetxt(path, np.column_stack([pattern.q_inv_angstrom, pattern.intensity, pattern.sigma]))
    code, out, err = run("predict", path, "--axis", "q", "--model", built, "--json")
    row = json.loads(out)
    assert (code, row["status"]) == (0, "sized"), err
    assert row["mass_mean_nm"] == pytest.approx(truth.mass_mean_nm, rel=0.05)
    code, out, _ = run("models", "verify", built, "--json")
    assert (code, json.loads(out)["checks"]["graph"]) == (0, "none: frames are fitted with templates")
    code, out, _ = run("models", "show", built, "--json")
    assert json.loads(out)["card"]["output"]["kind"] == "fit"
    code, _, err = run("predict", path, "--model", built, "--material", "PbS")
    assert (code, "give one of the two" in err) == (2, True)
    shutil.copy(built, tmp_path / "copy.npz")
    assert load_model(tmp_path / "copy.npz").sha256 == load_model(built).sha256


MEMORY = """
import re
from pathlib import Path
from qdsizer_stream.fitting import TemplateRecipe, simulate_fit_templates
from qdsizer_stream.simulation import load_material

recipe = TemplateRecipe(wavelength_angstrom=0.56, last_nm=20.0, q_step_inv_angstrom=0.02 / 3)
simulate_fit_templates(load_material("CsPbBr3-orthorhombic"), recipe)
print(1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]))
"""
"""The largest memory of this process; `getrusage` would count that of the process which started it."""


@pytest.mark.integration
def test_clusters_of_20_nm_of_a_crystal_of_low_symmetry_take_less_than_a_gigabyte() -> None:
    """Twenty atoms in the cell have a million distances."""
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1e9

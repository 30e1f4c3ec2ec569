import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from qdsizer_stream import _dask
from qdsizer_stream.errors import ConfigurationError, LibraryError
from qdsizer_stream.simulation import (
    LibraryRecipe,
    SphereCut,
    build_library,
    compton_intensity,
    form_factors,
    load_material,
    load_recipe,
    lognormal_weights,
    pair_table,
    pattern_sums,
    read_library,
    simulate,
    sphere,
    structure_sums,
)


@pytest.fixture(scope="module")
def recipe() -> LibraryRecipe:
    """The paper's recipe, small enough to build in a blink."""
    paper = load_recipe("paper")
    small = {
        "name": "small",
        "n_clusters": 8,
        "mean_diameters_nm": (2.0, 2.5),
        "n_strains": 3,
        "grid": {"q_first_inv_angstrom": 0.99, "q_step_inv_angstrom": 0.014, "n_points": 1001},
    }
    return LibraryRecipe.model_validate({**paper.model_dump(), **small})


@pytest.fixture(scope="module")
def built(recipe: LibraryRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("built") / "library.h5"
    build_library(recipe, path)
    return path


@pytest.fixture
def path(built: Path, tmp_path: Path) -> Path:
    """A copy that a test may harm."""
    return Path(shutil.copy(built, tmp_path))


def test_the_papers_recipe_has_1292_patterns() -> None:
    paper = load_recipe("paper")
    # Model cards name this hash: settings of later versions must not change it.
    assert paper.sha256 == "84494d72ec476126884bbf9d3b3850e178acfa347b3ec7c19b78780a940c5d62"
    assert paper.n_patterns == 1292
    assert paper.strains[[0, -1]] + 1 == pytest.approx([0.9975, 1.0051])


def test_a_strained_pattern_is_that_of_a_strained_crystal(recipe: LibraryRecipe, path: Path) -> None:
    library = read_library(path)
    row = 3 * 8 - 1 - 2  # last strain, 2.5 nm, dispersion 0.10
    assert (library.nominal_mean_nm[row], library.nominal_dispersion[row]) == (2.5, 0.10)
    material = load_material("PbS").with_b(recipe.b_angstrom2)
    unit = material.unit_diameter_angstrom
    clusters = [sphere(material, k * unit, SphereCut.CORNER_SHARED) for k in range(1, 9)]
    table = pair_table(material, clusters)
    q = recipe.grid.q_inv_angstrom
    sums = structure_sums(table, q * 1.0051)  # every distance longer by the strain
    factors = form_factors(material, q, 0.56)
    per_cluster = pattern_sums(material, table, sums, q, factors)
    per_cluster += compton_intensity(material, q, 0.56, list(table.self_terms))
    weights = lognormal_weights(unit / 10 * np.arange(1, 9), np.array([2.5]), np.array([0.1]))
    np.testing.assert_allclose(library.intensity[row], (per_cluster @ weights)[:, 0], rtol=2e-7)


def test_a_library_comes_back_whole(recipe: LibraryRecipe, path: Path) -> None:
    library = read_library(path)
    assert library.recipe == recipe
    assert library.intensity.shape == (recipe.n_patterns, 1001)
    assert np.all(library.intensity > 0)
    assert np.all(library.mass_mean_nm > library.number_mean_nm)
    assert [file.name for file in path.parent.iterdir()] == ["library.h5"]


def test_a_library_cut_short_is_refused(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(LibraryError, match=r"is damaged or cut short .*: build it again"):
        read_library(path)


def test_a_flipped_bit_is_found(path: Path) -> None:
    content = bytearray(path.read_bytes())
    with h5py.File(path) as file:
        offset = file["intensity"].id.get_chunk_info(0).byte_offset
    content[offset + 1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(LibraryError, match="is damaged or cut short"):
        read_library(path)


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = np.ones(3)
    with pytest.raises(
        LibraryError, match=r"other\.h5 is not a library: its format is None, not 'qdsizer_stream library'"
    ):
        read_library(tmp_path / "other.h5")


def test_a_library_of_another_version_is_refused(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file.attrs["format_version"] = 99
    with pytest.raises(LibraryError, match="has format version 99, this package reads 1"):
        read_library(path)


def test_a_missing_library_tells_how_to_build_it(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="does not exist: build it with 'qdsizer-stream simulate'"):
        read_library(tmp_path / "none.h5")


def interrupted(recipe: LibraryRecipe, path: Path, after: int) -> list[str]:
    """Begin a build and break it off after some strains; tells which were done."""

    def interrupt(what: str, done: int, total: int) -> None:
        if what == "mixing populations" and done == total - recipe.n_strains + after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_library(recipe, path, interrupt)
    (parts,) = path.parent.iterdir()
    return sorted(file.name for file in parts.iterdir())


def steps_of(recipe: LibraryRecipe, path: Path) -> list[str]:
    steps: list[str] = []
    build_library(recipe, path, lambda what, done, total: steps.append(f"{what} {done}/{total}"))
    return steps


def test_a_build_that_fails_leaves_no_library_but_its_work(recipe: LibraryRecipe, tmp_path: Path) -> None:
    assert interrupted(recipe, tmp_path / "library.h5", after=2) == ["0.npy", "1.npy"]
    assert not (tmp_path / "library.h5").exists()


def test_an_interrupted_build_goes_on_and_has_the_same_bytes(
    recipe: LibraryRecipe, built: Path, tmp_path: Path
) -> None:
    path = tmp_path / "library.h5"
    interrupted(recipe, path, after=2)
    assert [step for step in steps_of(recipe, path) if "mixing" in step] == ["mixing populations 5/6"]
    assert path.read_bytes() == built.read_bytes()
    assert [file.name for file in tmp_path.iterdir()] == ["library.h5"]


def test_a_damaged_part_is_made_again(recipe: LibraryRecipe, built: Path, tmp_path: Path) -> None:
    path = tmp_path / "library.h5"
    interrupted(recipe, path, after=2)
    (parts,) = tmp_path.iterdir()
    (parts / "0.npy").write_bytes((parts / "0.npy").read_bytes()[:1000])
    np.save(parts / "1.npy", np.ones((2, 2), np.float32))
    assert sum("mixing" in step for step in steps_of(recipe, path)) == 3
    assert path.read_bytes() == built.read_bytes()


def test_parts_of_another_recipe_are_not_taken(recipe: LibraryRecipe, tmp_path: Path) -> None:
    path = tmp_path / "library.h5"
    other = LibraryRecipe.model_validate({**recipe.model_dump(), "dispersions": (0.06, 0.10, 0.15, 0.20)})
    interrupted(other, path, after=2)
    assert sum("mixing" in step for step in steps_of(recipe, path)) == 3


@pytest.mark.slow
def test_a_cluster_builds_the_same_bytes(
    recipe: LibraryRecipe, built: Path, tmp_path: Path, dask_scheduler: str
) -> None:
    build_library(recipe, tmp_path / "library.h5", scheduler=dask_scheduler)
    assert (tmp_path / "library.h5").read_bytes() == built.read_bytes()


def test_nobody_at_the_address(
    recipe: LibraryRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed", reason="Dask is not installed")
    monkeypatch.setattr(_dask, "CONNECT_TIMEOUT_S", 0.5)
    with pytest.raises(LibraryError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        build_library(recipe, tmp_path / "library.h5", scheduler="tcp://127.0.0.1:9")
    with pytest.raises(LibraryError, match="no Dask scheduler answers at nonsense://"):
        build_library(recipe, tmp_path / "library.h5", scheduler="nonsense://here")


@pytest.mark.slow
def test_a_cluster_without_workers(
    recipe: LibraryRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    monkeypatch.setattr(_dask, "WORKERS_TIMEOUT_S", 0.5)
    monkeypatch.setattr(_dask, "POLL_S", 0.2)
    with (
        distributed.LocalCluster(
            n_workers=0, processes=False, protocol="tcp://", host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster,
        pytest.raises(
            LibraryError,
            match="has had no worker for 0 s, with 3 blocks to go: start one with 'dask worker",
        ),
    ):
        build_library(recipe, tmp_path / "library.h5", scheduler=cluster.scheduler_address)


def test_unknown_recipe_names_the_known() -> None:
    with pytest.raises(LibraryError, match="recipe 'papr' is unknown: choose paper or give a TOML file"):
        load_recipe("papr")


def test_a_setting_nobody_knows_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text('name = "x"\nwavelenght_angstrom = 0.56\n')
    with pytest.raises(
        ConfigurationError, match="there is no key 'wavelenght_angstrom': did you mean 'wavelength_angstrom'"
    ):
        load_recipe(str(tmp_path / "recipe.toml"))


def test_a_library_can_realise_the_means_asked_for(recipe: LibraryRecipe) -> None:
    exact = LibraryRecipe.model_validate({**recipe.model_dump(), "sampling": "exact-mean"})
    assert exact.sha256 != recipe.sha256
    library = simulate(exact)
    np.testing.assert_allclose(library.number_mean_nm, library.nominal_mean_nm, rtol=1e-9)

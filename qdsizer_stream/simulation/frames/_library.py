"""Libraries: many simulated patterns in one file, with the recipe that made them."""

import hashlib
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ... import __version__
from ...configuration import Config, load_toml
from ...errors import LibraryError
from ...patterns import PaperGrid
from ..crystal import Material, MaterialSource, SphereCut, load_material, sphere
from ..scattering import PairTable, StrainedSums, compton_intensity, form_factors, pair_table, pattern_sums
from ._blocks import KeptBlocks, blocks_by_dask
from ._population import Sampling, Weighting, lognormal_weights, population_moments
from ._progress import Progress, silent

__all__ = ["Library", "LibraryRecipe", "build_library", "load_recipe", "read_library"]

FORMAT = "qdsizer_stream library"
FORMAT_VERSION = 1

N_COMMON = 3
"""Steps that come before the strains: clusters, distances, sines."""


class LibraryRecipe(Config):
    """Everything that determines the patterns of a library, in the order strain, mean, dispersion."""

    name: str = Field(min_length=1)
    """Name of the recipe."""
    material: MaterialSource
    """Material of the package, or a TOML or CIF file relative to the folder of the recipe."""
    b_angstrom2: dict[str, float]
    """Displacement parameters by element, Å²; elements left out keep the material's."""
    wavelength_angstrom: float = Field(ge=0.05, le=5)
    """Wavelength of f', f'' and of the Compton recoil, Å."""
    cut: SphereCut
    """Definition of the spheres."""
    n_clusters: int = Field(ge=1, le=200)
    """Spheres of k = 1 … n unit diameters (each the sphere with the volume of one primitive cell)."""
    weighting: Weighting
    """What the size distribution counts."""
    mean_diameters_nm: tuple[float, ...] = Field(min_length=1)
    """Nominal mean diameters, nm."""
    dispersions: tuple[float, ...] = Field(min_length=1)
    """Nominal relative standard deviations."""
    strain_first: float = Field(gt=-0.1, lt=0.1)
    """First isotropic strain."""
    strain_last: float = Field(gt=-0.1, lt=0.1)
    """Last isotropic strain."""
    n_strains: int = Field(ge=1, le=1000)
    """Number of evenly spaced strains."""
    compton: bool
    """Whether Compton scattering, with recoil, is part of the patterns."""
    grid: PaperGrid
    """Points of the patterns."""
    sampling: Sampling | None = None
    """How the size distribution becomes fractions of clusters; by its density at each where left out."""

    @property
    def strains(self) -> NDArray[np.float64]:
        """Strains, shape (n_strains,)."""
        return np.linspace(self.strain_first, self.strain_last, self.n_strains)

    @property
    def crystal(self) -> Material:
        """The material with the B of the recipe."""
        return load_material(self.material).with_b(self.b_angstrom2)

    @property
    def diameters_angstrom(self) -> NDArray[np.float64]:
        """Diameters of the spheres, Å, shape (n_clusters,)."""
        return np.asarray(self.crystal.unit_diameter_angstrom * np.arange(1, self.n_clusters + 1))

    @property
    def n_patterns(self) -> int:
        """Number of patterns."""
        return self.n_strains * len(self.mean_diameters_nm) * len(self.dispersions)

    @property
    def sha256(self) -> str:
        """Hash of the recipe, hexadecimal."""
        return hashlib.sha256(self.as_json.encode()).hexdigest()

    @property
    def as_json(self) -> str:
        """The recipe as it is hashed and stored, without settings that were left out."""
        # Settings of later versions are None here and leave the hashes of older recipes alone.
        return self.model_dump_json(exclude_none=True)


@dataclass(frozen=True, eq=False)
class Library:
    """Simulated patterns and the population of each."""

    recipe: LibraryRecipe
    """Recipe of the patterns."""
    q_inv_angstrom: NDArray[np.float64]
    """Momentum transfers, Å⁻¹, shape (n_q,)."""
    intensity: NDArray[np.float32]
    """Intensity per cluster, electron units, shape (n_patterns, n_q)."""
    nominal_mean_nm: NDArray[np.float64]
    """Nominal mean diameter, nm, shape (n_patterns,): the paper's class."""
    nominal_dispersion: NDArray[np.float64]
    """Nominal dispersion, shape (n_patterns,)."""
    strain: NDArray[np.float64]
    """Isotropic strain, shape (n_patterns,)."""
    number_mean_nm: NDArray[np.float64]
    """Realised number-weighted mean diameter, nm, shape (n_patterns,)."""
    mass_mean_nm: NDArray[np.float64]
    """Realised mass-weighted mean diameter, nm, shape (n_patterns,)."""
    dispersion: NDArray[np.float64]
    """Realised dispersion, shape (n_patterns,)."""


COLUMNS = (
    "nominal_mean_nm",
    "nominal_dispersion",
    "strain",
    "number_mean_nm",
    "mass_mean_nm",
    "dispersion",
)


def load_recipe(name_or_path: str) -> LibraryRecipe:
    """Load a recipe of the package or of a file.

    Parameters
    ----------
    name_or_path
        Name of a recipe of the package, or path of a TOML file.

    Returns
    -------
    The recipe.

    Raises
    ------
    ConfigurationError
        The file is not a valid recipe.
    LibraryError
        There is no such recipe.
    """
    folder = files(__package__) / "recipes"
    names = sorted(e.name.removesuffix(".toml") for e in folder.iterdir() if e.name.endswith(".toml"))
    if name_or_path in names:
        return load_toml(LibraryRecipe, Path(str(folder / f"{name_or_path}.toml")))
    path = Path(name_or_path)
    if not path.is_file():
        raise LibraryError(
            f"recipe {name_or_path!r} is unknown: choose {', '.join(names)} or give a TOML file"
        )
    return load_toml(LibraryRecipe, path)


@dataclass(frozen=True, eq=False)
class _Prepared:
    """Tables that all strains of a recipe have in common."""

    recipe: LibraryRecipe
    material: Material
    table: PairTable
    sums: StrainedSums
    factors: list[NDArray[np.complex128]]
    incoherent: NDArray[np.float64]
    weights: NDArray[np.float64]

    def block(self, number: int) -> NDArray[np.float32]:
        """Patterns of one strain, shape (n_populations, n_q)."""
        sums = self.sums(float(self.recipe.strains[number]))
        q = self.recipe.grid.q_inv_angstrom
        coherent = pattern_sums(self.material, self.table, sums, q, self.factors) @ self.weights
        return np.asarray((coherent + self.incoherent).T, np.float32)


def _populations(
    recipe: LibraryRecipe, diameters_nm: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Nominal means and dispersions of the patterns of one strain, and their number fractions."""
    means, dispersions = (
        grid.ravel() for grid in np.meshgrid(recipe.mean_diameters_nm, recipe.dispersions, indexing="ij")
    )
    sampling = recipe.sampling or Sampling.POINTS
    return means, dispersions, lognormal_weights(diameters_nm, means, dispersions, recipe.weighting, sampling)


def _prepare(recipe: LibraryRecipe, progress: Progress) -> _Prepared:
    total = recipe.n_strains + N_COMMON
    material = recipe.crystal
    q = recipe.grid.q_inv_angstrom
    weights = _populations(recipe, recipe.diameters_angstrom / 10)[2]
    progress("cutting clusters", 0, total)
    clusters = [sphere(material, float(d), recipe.cut) for d in recipe.diameters_angstrom]
    progress("counting distances", 1, total)
    table = pair_table(material, clusters)
    progress("summing sines", 2, total)
    sums = StrainedSums(table, q, (recipe.strain_first, recipe.strain_last))
    factors = form_factors(material, q, recipe.wavelength_angstrom)
    incoherent = np.zeros((q.size, weights.shape[1]))
    if recipe.compton:
        incoherent = (
            compton_intensity(material, q, recipe.wavelength_angstrom, list(table.self_terms)) @ weights
        )
    return _Prepared(recipe, material, table, sums, factors, incoherent, weights)


@lru_cache(maxsize=1)
def _prepared_once(recipe_json: str) -> _Prepared:
    return _prepare(LibraryRecipe.model_validate_json(recipe_json), silent)


def simulate_block(recipe_json: str, number: int) -> NDArray[np.float32]:
    """Simulate the patterns of one strain in a worker process, which keeps the common tables.

    Parameters
    ----------
    recipe_json
        Recipe (`LibraryRecipe.as_json`).
    number
        Index of the strain.

    Returns
    -------
    Patterns, shape (n_populations, n_q).
    """
    return _prepared_once(recipe_json).block(number)


def simulate(recipe: LibraryRecipe, progress: Progress = silent) -> Library:
    """Simulate the patterns of a recipe.

    Parameters
    ----------
    recipe
        What to simulate.
    progress
        Called at each step.

    Returns
    -------
    The library.

    Raises
    ------
    PhysicsError
        The material is unknown or a population leaves the clusters.
    """
    blocks = _blocks_here(recipe, range(recipe.n_strains), progress)
    return _assembled(recipe, dict(blocks))


def _blocks_here(
    recipe: LibraryRecipe, numbers: Sequence[int], progress: Progress
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    prepared = _prepare(recipe, progress)
    for number in numbers:
        progress("mixing populations", N_COMMON + number, recipe.n_strains + N_COMMON)
        yield number, prepared.block(number)
    progress("done", recipe.n_strains + N_COMMON, recipe.n_strains + N_COMMON)


def _assembled(recipe: LibraryRecipe, blocks: Mapping[int, NDArray[np.float32]]) -> Library:
    diameters_nm = recipe.diameters_angstrom / 10
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # issued where the patterns were simulated
        means, dispersions, weights = _populations(recipe, diameters_nm)
    moments = population_moments(diameters_nm, weights)
    return Library(
        recipe=recipe,
        q_inv_angstrom=recipe.grid.q_inv_angstrom,
        intensity=np.concatenate([blocks[number] for number in range(recipe.n_strains)]),
        nominal_mean_nm=np.tile(means, recipe.n_strains),
        nominal_dispersion=np.tile(dispersions, recipe.n_strains),
        strain=np.repeat(recipe.strains, means.size),
        number_mean_nm=np.tile(moments.number_mean_nm, recipe.n_strains),
        mass_mean_nm=np.tile(moments.mass_mean_nm, recipe.n_strains),
        dispersion=np.tile(moments.dispersion, recipe.n_strains),
    )


def build_library(
    recipe: LibraryRecipe,
    path: str | os.PathLike[str],
    progress: Progress = silent,
    scheduler: str | None = None,
) -> Library:
    """Simulate a recipe and write it to a file, which appears whole or not at all.

    Finished strains are kept beside the file until all are finished, so that an interrupted build continues
    where it stopped. On one kind of processor the file always has the same bytes.

    Parameters
    ----------
    recipe
        What to simulate.
    path
        HDF5 file to write; an existing one is replaced.
    progress
        Called at each step.
    scheduler
        Address of a Dask scheduler whose workers simulate, such as tcp://host:8786; this process where
        left out.

    Returns
    -------
    The library.

    Raises
    ------
    LibraryError
        The folder of `path` does not exist or cannot be written, Dask is not installed, or no scheduler
        answers.
    PhysicsError
        The recipe cannot be simulated.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise LibraryError(f"folder {path.parent} does not exist: create it first")
    kept = KeptBlocks(path, recipe.sha256, (recipe.n_patterns // recipe.n_strains, recipe.grid.n_points))
    blocks = kept.load(recipe.n_strains)
    missing = [number for number in range(recipe.n_strains) if number not in blocks]
    try:
        if missing:
            simulated = (
                _blocks_here(recipe, missing, progress)
                if scheduler is None
                else blocks_by_dask(simulate_block, recipe.as_json, missing, scheduler, progress)
            )
            for number, block in simulated:
                kept.save(number, block)
                blocks[number] = block
        library = _assembled(recipe, blocks)
        _write(library, path)
        kept.discard()
    except OSError as error:
        raise LibraryError(f"cannot write library {path}: {error}") from error
    return library


def _write(library: Library, path: Path) -> None:
    part = path.with_name(path.name + ".part")
    recipe = library.recipe
    try:
        with h5py.File(part, "w") as file:
            file.attrs.update(
                {
                    "format": FORMAT,
                    "format_version": FORMAT_VERSION,
                    "package_version": __version__,
                    "recipe": recipe.as_json,
                    "recipe_sha256": recipe.sha256,
                }
            )
            file.create_dataset("q_inv_angstrom", data=library.q_inv_angstrom, fletcher32=True)
            rows = min(64, recipe.n_patterns)
            file.create_dataset(
                "intensity",
                data=library.intensity,
                chunks=(rows, library.q_inv_angstrom.size),
                fletcher32=True,
            )
            for column in COLUMNS:
                file.create_dataset(column, data=getattr(library, column), fletcher32=True)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read_library(path: str | os.PathLike[str]) -> Library:
    """Read a library.

    Parameters
    ----------
    path
        HDF5 file written by `build_library`.

    Returns
    -------
    The library.

    Raises
    ------
    LibraryError
        The file is missing, cut short, damaged, not a library, or of another format version.
    """
    path = Path(path)
    if not path.is_file():
        raise LibraryError(f"library {path} does not exist: build it with 'qdsizer-stream simulate'")
    try:
        with h5py.File(path) as file:
            return _read(path, file)
    except (OSError, KeyError) as error:
        raise LibraryError(f"library {path} is damaged or cut short ({error}): build it again") from error


def _read(path: Path, file: Any) -> Library:
    found = file.attrs.get("format")
    if found != FORMAT:
        raise LibraryError(
            f"{path} is not a library: its format is {found!r}, not {FORMAT!r}; build one with "
            "'qdsizer-stream simulate'"
        )
    version = int(file.attrs["format_version"])
    if version != FORMAT_VERSION:
        raise LibraryError(f"{path} has format version {version}, this package reads {FORMAT_VERSION}")
    recipe = LibraryRecipe.model_validate_json(file.attrs["recipe"])
    if recipe.sha256 != file.attrs["recipe_sha256"]:
        raise LibraryError(f"{path} is damaged: its recipe does not match its hash: build it again")
    columns = {column: file[column][()] for column in COLUMNS}
    intensity = file["intensity"][()]
    expected = (recipe.n_patterns, recipe.grid.n_points)
    if intensity.shape != expected:
        raise LibraryError(
            f"{path} holds {intensity.shape} values, its recipe makes {expected}: build it again"
        )
    return Library(recipe=recipe, q_inv_angstrom=file["q_inv_angstrom"][()], intensity=intensity, **columns)

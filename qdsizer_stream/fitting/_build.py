"""Building of models without a network, with intervals calibrated on held-out simulations."""

import hashlib
import json
import math
import os
import tempfile
import time
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigurationError, ModelError
from ..models import (
    TWO_SIDED_95,
    AcceptanceThresholds,
    Answer,
    BinnedInput,
    Card,
    FitModel,
    FitOutput,
    IntervalCalibration,
    PhysicsFit,
    Templates,
    write_fit_model,
)
from ..models.fit import FitTemplates, lognormal_population
from ..patterns import BinGrid, Pattern, check_wavelength
from ..simulation import (
    DistributionRanges,
    FrameBatch,
    FrameStream,
    Material,
    SizeDistribution,
    Source,
    SpectralLine,
    Sphere,
    SphereCut,
    StreamRecipe,
    StructureRanges,
    load_material,
    material_sha256,
)
from ..sizing import Sizer, SizingConfig
from ._cache import CACHE_VARIABLE, cache_folder, replace_file
from ._simulate import Progress, TemplateRecipe, simulate_fit_templates

__all__ = ["build_fit_model", "cached_fit_model", "held_out_recipe"]

GRID = BinGrid(q_first_inv_angstrom=0.96, q_step_inv_angstrom=0.02, n_bins=704)
"""Bins of the frames: 0.96 to 15.02 Å⁻¹, a third of the width of a peak of a 10 nm dot."""

TEMPLATE_STEP_INV_ANGSTROM = GRID.q_step_inv_angstrom / 3
"""Step of the simulated templates: three for a bin, over which they are averaged."""

DEFAULT_SIZES_NM = (1.5, 10.0)
"""Sizes of a model where neither the user nor the material states narrower ones, nm."""

DEFAULT_WAVELENGTH_ANGSTROM = 0.56
"""Wavelength of the dispersion corrections where none is given, Å."""

MAX_CLUSTER_OVER_MEAN = 1.6
"""Largest cluster over the largest mean: two standard deviations of a broad population."""

MAX_SITES_CUT = 4
"""Atoms in a primitive cell up to which held-out spheres are cut atom by atom, which takes seconds; crystals
of more atoms have centre-averaged spheres alone."""

N_FRAMES = 160
"""Held-out frames for calibration, and as many again for the evaluation on the card: half-widths of 95 %
intervals are then known within 10 %, and the model of a cubic crystal is built in 20 s."""

HELD_OUT_DISTRIBUTIONS = (
    SizeDistribution.LOGNORMAL,
    SizeDistribution.GAMMA,
    SizeDistribution.GAUSSIAN,
    SizeDistribution.WEIBULL,
    SizeDistribution.LSW,
)
"""Size distributions of the held-out frames: the templates are log-normal, syntheses often are not."""

DRAWN_PER_USED = 8
"""Frames drawn for one that is used: 32 that are drawn together share structure, strain and instrument, and
four of them are enough."""

CHECK_DISPERSIONS = (0.06, 0.14, 0.24)
"""Dispersions of the templates of the physics check."""

N_CHECK_SIZES = 40
"""Sizes of these templates."""

CHECK_B_ANGSTROM2 = 0.6
"""Displacement parameter of these, Å²: smaller than in any sample, because the check can only damp
further."""

CHECK_KERNEL = np.array([0.5, 1, 1, 1, 1, 1, 0.5]) / 6
"""Mean over the bins of the check, 0.04 Å⁻¹ or six steps of the templates."""

PEAK_SIZE_NM = 6.0
"""Mean diameter of the population whose maxima are the peaks of the check, nm."""

PEAK_PROMINENCE = 0.03
"""Smallest prominence of a peak, relative to the median intensity."""

COVERAGE = 0.955
"""Fraction of held-out frames that the calibrated intervals cover: a little above 95 %, because calibration
on a few hundred frames is too narrow by half a per cent."""

SAFETY_FACTOR = 1.3
"""Factor on the largest value of good frames in each threshold, because a few hundred frames do not
reach it."""

MODEL_ERROR = 0.01
"""Relative error of the templates in a fit."""

MAX_MIN_EXPLAINED = 0.9
"""Largest threshold of the fraction of χ² that the dots must explain: films and faint frames explain less
than held-out simulations, of which a few hundred explain all."""

STRAIN_RANGE = (-0.012, 0.012)
"""Strains that are accepted: a dot's lattice and alloys of a few per cent."""

SEED = 20261128
"""Seed of the held-out frames."""

LOOSE = AcceptanceThresholds(
    min_counts=0,
    min_bins=1,
    min_significance=0,
    min_explained=0,
    max_residual=1e9,
    max_misfit=1e9,
    max_ratio_misfit=1e9,
    max_ratio_misfit_textured=1e9,
    max_shift_inv_angstrom=1e9,
    max_delta_chi2_better_size=1e9,
    min_presence=0,
    max_relative_interval=1e9,
)
"""Thresholds that every frame passes, before those of the model are known."""


@dataclass(frozen=True, eq=False)
class _Fitted:
    """One held-out frame with its answer."""

    answer: Answer
    fit: PhysicsFit
    number_mean_nm: float
    mass_mean_nm: float
    dispersion: float


def build_fit_model(
    material: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    size_range_nm: tuple[float, float] | None = None,
    wavelength_angstrom: float = DEFAULT_WAVELENGTH_ANGSTROM,
    n_frames: int = N_FRAMES,
    progress: Progress = lambda *_: None,
) -> FitModel:
    """Build a model that fits frames of a material, without training.

    Templates are simulated; then held-out frames, with other spheres, solvents, backgrounds and
    distortions than the templates, calibrate the intervals and set the thresholds; others measure the
    coverage.

    Parameters
    ----------
    material
        Material of the package, or path of a CIF or TOML file.
    path
        Model file to write, ending in .npz.
    name
        Name of the model; None for that of the file.
    size_range_nm
        Number-weighted mean diameters of the model, nm; None for those of the material within 1.5 to 10 nm.
    wavelength_angstrom
        Wavelength of the dispersion corrections, Å.
    n_frames
        Held-out frames for calibration, and as many again for the evaluation, a multiple of 32.
    progress
        Called at each step.

    Returns
    -------
    The model.

    Raises
    ------
    ConfigurationError
        A range is empty or beyond memory.
    PhysicsError
        The material cannot be used.
    ModelError
        The file cannot be written.
    """
    began = time.perf_counter()
    material, path = os.fspath(material), Path(path)
    check_wavelength(wavelength_angstrom)
    crystal = load_material(material)
    sizes = _sizes(crystal, size_range_nm)
    recipe = _template_recipe(sizes, wavelength_angstrom)
    whole = simulate_fit_templates(crystal, recipe, progress)
    templates = whole.collapsed()
    check = _check_templates(whole)
    described = _described(material, crystal, recipe, sizes)
    output = FitOutput(
        model_error=MODEL_ERROR,
        size_interval=IntervalCalibration(scale=1, floor=0),
        mass_interval=IntervalCalibration(scale=1, floor=0),
        dispersion_interval=IntervalCalibration(scale=1, floor=0),
    )
    card = Card(
        name=name or path.stem,
        description=f"{crystal.name} nanocrystals of {sizes[0]:g} to {sizes[1]:g} nm, fitted with templates "
        "of spheres, without a network",
        material=crystal.name,
        lattice_parameter_angstrom=crystal.lattice_parameter_angstrom,
        input=BinnedInput(grid=GRID, resolution=True),
        output=output,
        size_range_nm=sizes,
        strain_range=STRAIN_RANGE,
        thresholds=LOOSE,
        package_version=version("qdsizer-stream"),
        opset=0,
        recipe=described,
        recipe_sha256=hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest(),
        training={},
        evaluation={},
    )
    progress("held-out frames", 0, 3)
    stream = FrameStream(held_out_recipe(material, crystal, sizes, wavelength_angstrom), SEED)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "draft.npz"
        batch = _drawn(stream, n_frames)
        write_fit_model(draft, card, check, templates, _reference(batch))
        progress("calibration", 1, 3)
        fitted = _fitted(Sizer(SizingConfig(model=str(draft))), batch, sizes)
        if len(fitted) < n_frames // 4:
            raise ModelError(
                f"only {len(fitted)} of {n_frames} held-out frames of {crystal.name} can be fitted: give a "
                "narrower range of sizes"
            )
        card = card.model_copy(
            update={"output": _calibrated(output, fitted), "thresholds": _thresholds(fitted)}
        )
        write_fit_model(draft, card, check, templates, _reference(batch))
        progress("evaluation", 2, 3)
        evaluation = _evaluation(Sizer(SizingConfig(model=str(draft))), _drawn(stream, n_frames), sizes)
    card = card.model_copy(
        update={
            "evaluation": evaluation,
            "training": {
                "device": "cpu",
                "seconds": round(time.perf_counter() - began, 1),
                "patterns": 2 * n_frames,
            },
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as temporary:
        write_fit_model(temporary, card, check, templates, _reference(batch))
    progress("done", 3, 3)
    return FitModel(path)


def cached_fit_model(
    material: str | os.PathLike[str],
    *,
    wavelength_angstrom: float = DEFAULT_WAVELENGTH_ANGSTROM,
    size_range_nm: tuple[float, float] | None = None,
    n_frames: int = N_FRAMES,
    progress: Progress = lambda *_: None,
) -> tuple[Path, str]:
    """Find the model of a material in the user's cache folder, or build it there.

    Parameters
    ----------
    material, wavelength_angstrom, size_range_nm, n_frames, progress
        As in `build_fit_model`.

    Returns
    -------
    Its file, and why it could not be stored in the cache folder, one line; empty where it was.
    It is then in a temporary folder.

    Raises
    ------
    ConfigurationError, PhysicsError, ModelError
        As `build_fit_model`.
    """
    material = os.fspath(material)
    crystal = load_material(material)
    sizes = _sizes(crystal, size_range_nm)
    # Near an absorption edge f' changes fast; elsewhere a per cent of the wavelength does not matter.
    wavelength = round(wavelength_angstrom, 3)
    described = _described(material, crystal, _template_recipe(sizes, wavelength), sizes)
    described["package_version"] = version("qdsizer-stream")
    key = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]
    stem = "".join(c if c.isalnum() or c in "-_." else "-" for c in crystal.name).lstrip("-_.") or "material"
    file_name = f"{stem}-fit-{key}.npz"
    path = cache_folder() / file_name
    try:
        FitModel(path)
        return path, ""
    except ModelError:
        pass  # absent or damaged: build it
    settings: dict[str, Any] = {
        "name": f"{stem}-fit",
        "size_range_nm": sizes,
        "wavelength_angstrom": wavelength,
        "n_frames": n_frames,
        "progress": progress,
    }
    trouble = _unwritable(path.parent)
    if not trouble:
        build_fit_model(material, path, **settings)
        return path, ""
    elsewhere = Path(tempfile.mkdtemp(prefix="qdsizer-")) / file_name
    build_fit_model(material, elsewhere, **settings)
    return elsewhere, (
        f"the model could not be stored in {path.parent} ({trouble}) and is built each time: make room "
        f"there, or name another folder in {CACHE_VARIABLE}"
    )


def held_out_recipe(
    source: str, crystal: Material, sizes_nm: tuple[float, float], wavelength_angstrom: float
) -> StreamRecipe:
    """Recipe of the frames that calibrate and evaluate a model.

    Parameters
    ----------
    source
        Material of the package, or path of a CIF or TOML file.
    crystal
        That material.
    sizes_nm
        Range of sizes of the model, nm.
    wavelength_angstrom
        Wavelength, Å.

    Returns
    -------
    Spheres with sharp and averaged surfaces, correlated motion, a disordered part, microstrain, unknown
    solvents, backgrounds, smooth distortions, gaps, and 30 to 10⁶ photons per bin.
    """
    b = crystal.sites[0].b_angstrom2
    several = len({site.element for site in crystal.sites}) > 1
    cut = len(crystal.sites) <= MAX_SITES_CUT
    return StreamRecipe(
        structures=StructureRanges(
            material=source,
            shapes=(Sphere(),),
            cuts=(SphereCut.NODE, SphereCut.ATOM),
            centre_averaged=0.5 if cut else 1.0,
            max_cluster_nm=min(1.5 * sizes_nm[1], 16.0),
        ),
        n_structures=8,
        grid=GRID,
        sources=(Source(lines=(SpectralLine(wavelength_angstrom=wavelength_angstrom),)),),
        mean_diameter_nm=sizes_nm,
        dispersion=(0.05, 0.2),
        distributions=DistributionRanges(kinds=HELD_OUT_DISTRIBUTIONS),
        strain=(-0.006, 0.006),
        b_angstrom2=(max(0.75 * b, 0.3), max(2.0 * b, 0.8)),
        b_ratio=(0.75, 1.35) if several else (1.0, 1.0),
        correlated_motion=(0.5, 1.0),
        disordered_nm=(0.0, 0.3),
        microstrain=(0.0, 0.002),
        area_fraction=(0.15, 1.0),
        pure=0.2,
        known_solvents=("toluene", "hexane"),
        solvent_stretch=0.03,
        solvent_distortion=0.1,
        fluorescence=0.2,
        background=0.4,
        absorption_mu_r=(0.0, 0.4),
        distortion=0.03,
        zero_shift_deg=(-0.02, 0.02),
        counts_per_bin=(30.0, 1e6),
        q_low_inv_angstrom=(0.96, 1.5),
        q_high_inv_angstrom=(6.0, 15.0),
        gaps=0.2,
    )


def _sizes(crystal: Material, wanted: tuple[float, float] | None) -> tuple[float, float]:
    low, high = DEFAULT_SIZES_NM
    if wanted is None:
        first, last = crystal.diameter_range_nm
        sizes = max(first, low), min(last, high)
    else:
        sizes = wanted
    if not 0.8 <= sizes[0] < 0.8 * sizes[1] <= 16.0:
        raise ConfigurationError(
            f"sizes of {sizes[0]:g} to {sizes[1]:g} nm: give a range within 0.8 to 20 nm whose upper end "
            "is at least a quarter above the lower one; larger clusters need more than 1 GB of templates"
        )
    return sizes


def _template_recipe(sizes: tuple[float, float], wavelength_angstrom: float) -> TemplateRecipe:
    low, high = GRID.edges[[0, -1]]
    return TemplateRecipe(
        q_first_inv_angstrom=0.9 * float(low),
        q_last_inv_angstrom=1.05 * float(high),
        q_step_inv_angstrom=TEMPLATE_STEP_INV_ANGSTROM,
        first_nm=min(0.8, 0.6 * sizes[0]),
        last_nm=min(MAX_CLUSTER_OVER_MEAN * sizes[1], 25.0),
        wavelength_angstrom=wavelength_angstrom,
    )


def _described(
    source: str, crystal: Material, recipe: TemplateRecipe, sizes: tuple[float, float]
) -> dict[str, Any]:
    """Settings that reproduce a model."""
    return {
        "kind": "fit",
        "name": crystal.name,
        "material": crystal.model_dump(mode="json"),
        "material_sha256": material_sha256(source),
        "templates": recipe.model_dump(mode="json"),
        "size_range_nm": list(sizes),
        "seed": SEED,
    }


def _unwritable(folder: Path) -> str:
    """Why no file can be written in a folder; empty if one can."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder) as trial:
            trial.write(bytes(1_000_000))
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _check_templates(whole: FitTemplates) -> Templates:
    """Curves of the physics check: cold dots of forty sizes and three dispersions."""
    # Here, since a model that is in the cache needs neither, and they take half a second to import.
    from scipy.ndimage import convolve1d
    from scipy.signal import find_peaks

    low, high = whole.size_range_nm
    sizes = np.geomspace(1.25 * low, high / 1.3, N_CHECK_SIZES)
    means, dispersions = (v.ravel() for v in np.meshgrid(sizes, CHECK_DISPERSIONS, indexing="ij"))
    b = np.full(len(whole.b_names), CHECK_B_ANGSTROM2)
    populations = [
        lognormal_population(whole.diameters_nm, whole.cells, float(mean), float(dispersion))
        for mean, dispersion in zip(means, dispersions, strict=True)
    ]
    dots = np.array([whole.curves(one, b, 0.7 * CHECK_B_ANGSTROM2, 0.0).intensity for one in populations])
    dots = convolve1d(dots, CHECK_KERNEL, axis=1)
    dots /= dots.mean(axis=1, keepdims=True)
    nearest = dots[np.argmin(np.abs(np.log(means / PEAK_SIZE_NM)) + dispersions)]
    peaks, _ = find_peaks(nearest, prominence=PEAK_PROMINENCE * np.median(nearest))
    q = whole.q_inv_angstrom
    return Templates(
        q_inv_angstrom=q,
        mean_nm=means,
        dispersion=dispersions,
        dots=dots,
        solvents=whole.solvents,
        peaks_inv_angstrom=q[peaks],
    )


def _drawn(stream: FrameStream, n_frames: int) -> FrameBatch:
    """Frames of many structures, strains and instruments: those drawn together share these."""
    batch = stream.batch(DRAWN_PER_USED * n_frames)
    return FrameBatch(*(getattr(batch, field.name)[::DRAWN_PER_USED] for field in fields(batch)))


def _pattern(batch: FrameBatch, row: int) -> Pattern:
    return Pattern(GRID.centres, batch.intensity[row], batch.sigma[row], batch.mask[row])


def _reference(batch: FrameBatch) -> Pattern:
    """Frame with the most photons: its fit depends least on rounding."""
    return _pattern(batch, int(np.argmax(np.where(batch.mask, 0.0, batch.intensity).sum(axis=1))))


def _fitted(sizer: Sizer, batch: FrameBatch, sizes: tuple[float, float]) -> list[_Fitted]:
    """Frames of the batch that have been fitted, with their truth."""
    fitted = []
    for row in range(len(batch.intensity)):
        truth = float(batch.number_mean_nm[row])
        examined = sizer.examine(_pattern(batch, row))
        if examined.fit is None or examined.answer is None or not sizes[0] <= truth <= sizes[1]:
            continue
        mass, dispersion = float(batch.mass_mean_nm[row]), float(batch.dispersion[row])
        fitted.append(_Fitted(examined.answer, examined.fit, truth, mass, dispersion))
    return fitted


def _calibrated(output: FitOutput, fitted: list[_Fitted]) -> FitOutput:
    """Floors with which the intervals cover the truths."""
    answers = [one.answer for one in fitted]
    centre = math.exp(np.mean([math.log(one.number_mean_nm) for one in fitted]))
    number = _floor(
        np.array([math.log(one.answer.size_nm / one.number_mean_nm) for one in fitted]),
        np.array([one.size_frame_sd_nm / one.size_nm for one in answers]),
        np.array([one.size_nm for one in answers]),
        centre,
    )
    mass = _floor(
        np.array([math.log(one.answer.mass_mean_nm / one.mass_mean_nm) for one in fitted]),
        np.array([one.mass_mean_frame_sd_nm / one.mass_mean_nm for one in answers]),
        np.array([one.mass_mean_nm for one in answers]),
        centre,
    )
    dispersion = _floor(
        np.array([one.answer.dispersion - one.dispersion for one in fitted]),
        np.array([(one.dispersion_high - one.dispersion) / TWO_SIDED_95 for one in answers]),
        None,
        centre,
    )
    return output.model_copy(
        update={"size_interval": number, "mass_interval": mass, "dispersion_interval": dispersion}
    )


def _floor(
    errors: NDArray[np.float64], sd: NDArray[np.float64], sizes: NDArray[np.float64] | None, centre_nm: float
) -> IntervalCalibration:
    """Smallest floor with which 95 % intervals cover the errors: relative, and as much in nm at the mean."""

    def coverage(floor: float) -> float:
        nm = 0.0 if sizes is None else floor * centre_nm
        added = floor**2 + (0.0 if sizes is None else (nm / sizes) ** 2)
        return float(np.mean(np.abs(errors) <= TWO_SIDED_95 * np.sqrt(sd**2 + added)))

    low, high = 0.0, 0.5
    for _ in range(20):
        middle = (low + high) / 2
        if coverage(middle) < COVERAGE:
            low = middle
        else:
            high = middle
    return IntervalCalibration(
        scale=1.0, floor=round(high, 5), floor_nm=0.0 if sizes is None else round(high * centre_nm, 5)
    )


def _thresholds(fitted: list[_Fitted]) -> AcceptanceThresholds:
    """Thresholds that good frames pass."""
    fits = [one.fit for one in fitted]
    clear = [fit for fit in fits if fit.significance > 500]

    def largest(values: list[float], least: float) -> float:
        return max(least, SAFETY_FACTOR * max(values, default=0.0))

    fractions = [max(fit.delta_chi2_better_size - 10.8, 0.0) / max(fit.significance, 1.0) for fit in clear]
    return AcceptanceThresholds(
        min_counts=300,
        min_bins=60,
        min_significance=60,
        min_explained=min(
            max(0.5, 1 - SAFETY_FACTOR * max((1 - fit.explained for fit in clear), default=0.3)),
            MAX_MIN_EXPLAINED,
        ),
        max_residual=largest([fit.residual for fit in clear], 0.05),
        max_misfit=largest([fit.misfit for fit in clear], 3.0),
        max_ratio_misfit=largest([fit.ratio_misfit.untextured for fit in clear], 11.0),
        max_ratio_misfit_textured=largest([fit.ratio_misfit.textured for fit in clear], 5.5),
        max_shift_inv_angstrom=largest([abs(fit.shift_inv_angstrom) for fit in clear], 0.005),
        max_delta_chi2_fraction=min(largest(fractions, 0.002), 0.02),
        min_presence=0,
        max_relative_interval=0.5,
    )


def _evaluation(sizer: Sizer, batch: FrameBatch, sizes: tuple[float, float]) -> dict[str, float]:
    """Coverage, errors and speed on frames that calibrated nothing."""
    number, mass, errors, mass_errors, sized, seconds = [], [], [], [], [], []
    for row in range(len(batch.intensity)):
        truth, mass_truth = float(batch.number_mean_nm[row]), float(batch.mass_mean_nm[row])
        if not sizes[0] <= truth <= sizes[1]:
            continue
        began = time.perf_counter()
        estimate = sizer.size(_pattern(batch, row))
        seconds.append(time.perf_counter() - began)
        sized.append(not math.isnan(estimate.size_nm))
        if sized[-1]:
            number.append(estimate.size_low_nm <= truth <= estimate.size_high_nm)
            mass.append(estimate.mass_mean_low_nm <= mass_truth <= estimate.mass_mean_high_nm)
            errors.append(abs(estimate.size_nm - truth))
            mass_errors.append(abs(estimate.mass_mean_nm - mass_truth))
    if not errors:
        return {"frames": float(len(sized)), "rejected": 1.0}
    return {
        "frames": float(len(sized)),
        "rejected": round(1 - float(np.mean(sized)), 4),
        "number_mean_coverage": round(float(np.mean(number)), 4),
        "mass_mean_coverage": round(float(np.mean(mass)), 4),
        "number_mean_median_error_nm": round(float(np.median(errors)), 4),
        "mass_mean_median_error_nm": round(float(np.median(mass_errors)), 4),
        "median_seconds_per_frame": round(float(np.median(seconds)), 4),
    }

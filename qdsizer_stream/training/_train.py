"""Training of a model file from a recipe."""

import os
import platform
import time
from pathlib import Path

import numpy as np
import torch

from .. import __version__
from ..errors import ConfigurationError, ModelError
from ..models import (
    BinnedInput,
    Card,
    ClassOutput,
    GaussianOutput,
    PaperInput,
    SizeOutput,
    SizingModel,
)
from ..patterns import BinGrid
from ..simulation import FrameStream, Progress, load_material, load_recipe, silent
from ._checkpoint import Checkpoint
from ._export import OPSET, export_model
from ._paper_fit import fit_paper
from ._recipe import PaperRecipe, SizeRecipe, TrainingRecipe
from ._size_fit import fit_size, frame_vectors
from ._templates import simulate_templates
from ._workers import check_workers

__all__ = ["train"]

N_REFERENCES = 4
"""Number of reference inputs stored in a model file."""

CHECK_GRID = BinGrid(q_first_inv_angstrom=0.96, q_step_inv_angstrom=0.02, n_bins=704)
"""Bins of the physics check of models without binned input."""

TEMPLATE_WAVELENGTH_ANGSTROM = 0.56
"""Wavelength of the templates, as in the paper, Å."""


def train(
    recipe: TrainingRecipe,
    path: str | os.PathLike[str],
    progress: Progress = silent,
    n_workers: int = 1,
) -> SizingModel:
    """Train a model and write its file.

    During training, a checkpoint is stored next to the file (`Checkpoint.beside`). An interrupted training is
    resumed from it and gives the same model.

    Parameters
    ----------
    recipe
        Recipe of the training.
    path
        Model file to write (.onnx).
    progress
        Called at each step.
    n_workers
        Number of processes that train together, see `fit_size`; recipes of the paper's network train in one.

    Returns
    -------
    The model, loaded from its file.

    Raises
    ------
    ConfigurationError
        The recipe cannot be trained with this number of workers.
    ModelError
        The folder does not exist, the checkpoint next to the file is damaged or belongs to another recipe or
        number of workers, a worker has ended early, or the file does not reproduce the network.
    """
    if isinstance(recipe, SizeRecipe):
        check_workers(n_workers, recipe.batch_size)
    elif n_workers != 1:
        raise ConfigurationError(
            f"workers = {n_workers}: recipes of kind {recipe.kind!r} train in one process: give 1"
        )
    path = Path(path)
    if not path.parent.is_dir():  # fails now rather than after an hour
        raise ModelError(f"folder {path.parent} does not exist: create it first")
    checkpoint = Checkpoint.beside(path, recipe.sha256)
    match recipe:
        case PaperRecipe():
            model = _train_paper(recipe, path, progress, checkpoint)
        case SizeRecipe():
            model = _train_size(recipe, path, progress, checkpoint, n_workers)
    checkpoint.discard()
    return model


def _train_paper(recipe: PaperRecipe, path: Path, progress: Progress, checkpoint: Checkpoint) -> SizingModel:
    library = load_recipe(recipe.library)
    fit = fit_paper(recipe, progress, checkpoint)
    # Names of results are stored in model files and keep their wording.
    accuracy = "accuracy" if recipe.target is None else "share within 0.25 nm"
    by_fraction = fit.accuracy_by_area_fraction
    card = _card(
        recipe,
        material=library.material,
        input=PaperInput(grid=library.grid),
        output=(
            ClassOutput(classes_nm=tuple(fit.classes_nm))
            if recipe.target is None
            else SizeOutput(offset_nm=fit.offset_nm, scale_nm=fit.scale_nm, half_width_nm=fit.half_width_nm)
        ),
        strain_range=(library.strain_first, library.strain_last),
        training={
            "epochs": len(fit.history),
            "patterns": fit.n_train,
            "seconds": round(fit.seconds),
            "processor seconds": round(fit.cpu_seconds),
        },
        evaluation={
            f"{accuracy}, parents never seen": fit.accuracy,
            **{f"{accuracy} at area fraction {x:g}": value for x, value in by_fraction.items()},
        },
    )
    vectors = np.random.default_rng(0).gamma(4.0, 0.25, (N_REFERENCES, library.grid.n_points))
    templates = simulate_templates(
        library.material, CHECK_GRID, TEMPLATE_WAVELENGTH_ANGSTROM, recipe.templates
    )
    return export_model(path, fit.network, card, templates, vectors.astype(np.float32))


def _train_size(
    recipe: SizeRecipe, path: Path, progress: Progress, checkpoint: Checkpoint, n_workers: int
) -> SizingModel:
    fit = fit_size(recipe, progress, checkpoint, n_workers=n_workers)
    card = _card(
        recipe,
        material=recipe.generator.structures.material,
        input=BinnedInput(grid=recipe.generator.grid, resolution=bool(recipe.resolution)),
        output=fit.output,
        strain_range=recipe.generator.strain,
        training={
            "steps": recipe.steps,
            "patterns": recipe.steps * recipe.batch_size,
            "seconds": round(fit.seconds),
            **({"workers": n_workers} if n_workers > 1 else {}),
        },
        evaluation=fit.evaluation,
    )
    one_structure = recipe.held_out.model_copy(update={"n_structures": 1})  # more would take minutes
    batch = FrameStream(one_structure, recipe.seed).batch(32)
    vectors = frame_vectors(batch, bool(recipe.resolution))[:N_REFERENCES]
    templates = simulate_templates(
        recipe.generator.structures.material,
        recipe.generator.grid,
        TEMPLATE_WAVELENGTH_ANGSTROM,
        recipe.templates,
    )
    return export_model(path, fit.network, card, templates, vectors)


def _card(
    recipe: TrainingRecipe,
    *,
    material: str,
    input: PaperInput | BinnedInput,
    output: ClassOutput | SizeOutput | GaussianOutput,
    strain_range: tuple[float, float],
    training: dict[str, float | int | str],
    evaluation: dict[str, float],
) -> Card:
    return Card(
        name=recipe.name,
        description=recipe.description,
        material=material,
        lattice_parameter_angstrom=load_material(material).lattice_parameter_angstrom,
        input=input,
        output=output,
        size_range_nm=recipe.size_range_nm,
        strain_range=strain_range,
        thresholds=recipe.thresholds,
        package_version=__version__,
        opset=OPSET,
        recipe=recipe.model_dump(mode="json"),
        recipe_sha256=recipe.sha256,
        training={
            **training,
            "device": f"CPU ({torch.get_num_threads()} threads)",
            "python": platform.python_version(),
            "torch": torch.__version__,
            "date": time.strftime("%Y-%m-%d"),
        },
        evaluation={name: round(value, 5) for name, value in evaluation.items()},
    )

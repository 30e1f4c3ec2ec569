"""Training recipes: everything that determines the trained model."""

import hashlib
import os
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from ..configuration import Config, load_toml, validated
from ..errors import ConfigurationError
from ..models import AcceptanceThresholds
from ..simulation import StreamRecipe
from ._paper_set import PaperAugmentation
from ._templates import TemplatePhysics

__all__ = ["PaperRecipe", "SizeRecipe", "TrainingRecipe", "load_training_recipe", "recipe_from_text"]


LATER_THRESHOLDS = ("max_ratio_misfit", "max_ratio_misfit_textured", "max_two_theta_shift_deg")
"""Thresholds that joined after recipes had been hashed."""


class _Common(Config):
    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """Name of the model."""
    description: str
    """Purpose of the model."""
    seed: int = Field(ge=0)
    """Seed of initial weights, shuffling and noise."""
    size_range_nm: tuple[float, float]
    """Range of number-weighted mean diameters for which the model is valid, nm."""
    thresholds: AcceptanceThresholds = Field(alias="guard")
    """Thresholds of the acceptance checks; the table in files is `[model.guard]`."""
    templates: TemplatePhysics | None = None
    """Physics of the dots in the physics check; ideal dots where left out."""

    @property
    def sha256(self) -> str:
        """Hash of the recipe, hexadecimal."""
        # Settings of later versions are None by default, which does not change the hashes of older recipes;
        # thresholds of later versions have a value, which is left out where it is the default.
        later = {name for name in LATER_THRESHOLDS if name not in self.thresholds.model_fields_set}
        text = self.model_dump_json(exclude_none=True, exclude={"thresholds": later})
        return hashlib.sha256(text.encode()).hexdigest()


class PaperRecipe(_Common):
    """Classifier or regression of the paper, trained on an augmented library."""

    kind: Literal["paper"]
    """Kind of the recipe."""
    library: str
    """Name or path of the recipe of the library."""
    augmentation: PaperAugmentation
    """Augmentation of every library pattern."""
    n_folds: int = Field(ge=2)
    """Number of folds of parents; the first is the test set."""
    batch_size: int = Field(ge=1)
    """Patterns per step."""
    learning_rates: tuple[float, ...] = Field(min_length=1)
    """Learning rates of Adam, one per stage; each stage starts from the best weights of the previous one."""
    max_epochs: int = Field(ge=1)
    """Maximum number of passes over the training patterns per stage."""
    patience: int = Field(ge=1)
    """Number of epochs without a lower validation loss after which a stage ends."""
    target: Literal["size"] | None = None
    """Target of the network: "size" for the size in nm, as the paper's regression; None for the class."""
    n_hidden: int | None = Field(default=None, ge=1)
    """Units of the dense layer of a network with positional features; None for the network of the paper."""


class SizeRecipe(_Common):
    """Size network, trained on frames that are simulated during training."""

    kind: Literal["size"]
    """Kind of the recipe."""
    generator: StreamRecipe
    """Frames for training."""
    held_out: StreamRecipe
    """Held-out simulations, on which the intervals are calibrated."""
    resolution: bool | None = None
    """Whether the network takes the width of the instrument; it does not where left out."""
    steps: int = Field(ge=1)
    """Number of training steps."""
    batch_size: int = Field(ge=64, multiple_of=64)
    """Frames per step."""
    learning_rate: float = Field(gt=0)
    """Maximum learning rate of the one-cycle schedule of AdamW."""
    calibration_frames: int = Field(ge=32, multiple_of=32)
    """Number of frames to calibrate the intervals, and again for the evaluation on the card."""


TrainingRecipe = PaperRecipe | SizeRecipe


class _RecipeFile(Config):
    model: Annotated[TrainingRecipe, Field(discriminator="kind")]
    """The recipe."""


def load_training_recipe(name_or_path: str | os.PathLike[str]) -> TrainingRecipe:
    """Load a training recipe of the package or from a file.

    Parameters
    ----------
    name_or_path
        Name of a recipe of the package, or path of a TOML file with one table ``[model]``.

    Returns
    -------
    The recipe.

    Raises
    ------
    ConfigurationError
        There is no such recipe, or one of its settings is invalid.
    """
    folder = files(__package__) / "recipes"
    names = sorted(e.name.removesuffix(".toml") for e in folder.iterdir() if e.name.endswith(".toml"))
    path = Path(name_or_path)
    if str(name_or_path) in names:
        path = Path(str(folder / f"{name_or_path}.toml"))
    if not path.is_file():
        raise ConfigurationError(
            f"training recipe {str(name_or_path)!r} is unknown: choose "
            f"from {', '.join(names)}, or give the path "
            "of a TOML file"
        )
    return load_toml(_RecipeFile, path).model


def recipe_from_text(text: str, where: str, folder: str | os.PathLike[str]) -> TrainingRecipe:
    """Read a training recipe that is in no file.

    Parameters
    ----------
    text
        TOML with one table ``[model]``.
    where
        Source of the text, for the error message.
    folder
        Folder for relative paths in the recipe.

    Returns
    -------
    The recipe.

    Raises
    ------
    ConfigurationError
        One of its settings is invalid.
    """
    return validated(_RecipeFile, tomllib.loads(text), where, folder).model

"""Recipes of models: everything that a training depends on."""

import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from ..configuration import Config, load_toml
from ..errors import ConfigurationError
from ..models import AcceptanceThresholds
from ..simulation import StreamRecipe
from ._paper_set import PaperAugmentation
from ._templates import TemplatePhysics

__all__ = ["PaperRecipe", "SizeRecipe", "TrainingRecipe", "load_training_recipe"]


class _Common(Config):
    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """Name of the model."""
    description: str
    """What the model is for."""
    seed: int = Field(ge=0)
    """Seed of weights, shuffles and noise."""
    size_range_nm: tuple[float, float]
    """Number-weighted mean diameters that the model answers for, nm."""
    thresholds: AcceptanceThresholds = Field(alias="guard")
    """Thresholds of the acceptance checks; the table in files is `[model.guard]`."""
    templates: TemplatePhysics | None = None
    """Physics of the dots in the physics check; ideal dots where left out."""

    @property
    def sha256(self) -> str:
        """Hash of the recipe, hexadecimal."""
        # Settings of later versions are None here and leave the hashes of older recipes alone.
        return hashlib.sha256(self.model_dump_json(exclude_none=True).encode()).hexdigest()


class PaperRecipe(_Common):
    """The paper's classifier on the paper's augmentation of a library."""

    kind: Literal["paper"]
    """Discriminator."""
    library: str
    """Recipe of the library."""
    augmentation: PaperAugmentation
    """What is made of every library pattern."""
    n_folds: int = Field(ge=2)
    """Parents are split into this many folds; the first is the test."""
    batch_size: int = Field(ge=1)
    """Patterns a step."""
    learning_rates: tuple[float, ...] = Field(min_length=1)
    """Adam steps, one a stage; each stage starts from the best weights of the one before."""
    max_epochs: int = Field(ge=1)
    """Passes over the training patterns at most, in each stage."""
    patience: int = Field(ge=1)
    """Epochs without a better validation loss after which a stage ends."""
    target: Literal["size"] | None = None
    """What the network learns: the size in nm, as the paper's regression does; the class where left out."""
    n_hidden: int | None = Field(default=None, ge=1)
    """Units of a network that reads the patterns place by place; the paper's network where left out."""


class SizeRecipe(_Common):
    """A size network on frames simulated as it trains."""

    kind: Literal["size"]
    """Discriminator."""
    generator: StreamRecipe
    """Frames to train on."""
    held_out: StreamRecipe
    """Frames with physics kept out of training, on which the intervals are made honest."""
    steps: int = Field(ge=1)
    """Training steps."""
    batch_size: int = Field(ge=64, multiple_of=64)
    """Frames a step."""
    learning_rate: float = Field(gt=0)
    """Peak of the one-cycle schedule (AdamW)."""
    calibration_frames: int = Field(ge=32, multiple_of=32)
    """Frames for the intervals, and as many for the evaluation on the card."""


TrainingRecipe = PaperRecipe | SizeRecipe


class _File(Config):
    model: Annotated[TrainingRecipe, Field(discriminator="kind")]
    """The recipe."""


def load_training_recipe(name_or_path: str) -> TrainingRecipe:
    """Load a training recipe of the package or of a file.

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
        There is no such recipe, or a setting in it is wrong.
    """
    folder = files(__package__) / "recipes"
    names = sorted(e.name.removesuffix(".toml") for e in folder.iterdir() if e.name.endswith(".toml"))
    path = Path(str(folder / f"{name_or_path}.toml")) if name_or_path in names else Path(name_or_path)
    if not path.is_file():
        raise ConfigurationError(
            f"training recipe {name_or_path!r} is unknown: choose {', '.join(names)} or give a TOML file"
        )
    return load_toml(_File, path).model

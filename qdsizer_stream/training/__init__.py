"""Training: from simulated frames to model files."""

from ._checkpoint import Checkpoint
from ._degrade import Degradation
from ._limits import held_out_physics, set_limits
from ._paper_set import PaperAugmentation, PaperSet, Split, augment, split_by_parent
from ._recipe import PaperRecipe, SizeRecipe, TrainingRecipe, load_training_recipe
from ._train import train

__all__ = [
    "Checkpoint",
    "Degradation",
    "PaperAugmentation",
    "PaperRecipe",
    "PaperSet",
    "SizeRecipe",
    "Split",
    "TrainingRecipe",
    "augment",
    "held_out_physics",
    "load_training_recipe",
    "set_limits",
    "split_by_parent",
    "train",
]

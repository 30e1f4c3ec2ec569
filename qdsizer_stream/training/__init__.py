"""Training: from simulated frames to model files."""

from ..simulation import silent
from ._checkpoint import Checkpoint
from ._degrade import Degradation, degrade, degrade_randomly
from ._export import export_model
from ._interval_calibration import interval_floors, interval_scale
from ._networks import MovingSums, PaperNetwork, PositionalNetwork, SizeNetwork
from ._new_recipe import new_recipe, new_recipe_text
from ._paper_fit import PaperFit, fit_paper
from ._paper_set import PaperAugmentation, PaperSet, Split, augment, split_by_parent
from ._recipe import PaperRecipe, SizeRecipe, TrainingRecipe, load_training_recipe
from ._size_fit import ShuffledFrames, SizeFit, SizeLoss, fit_size
from ._templates import TemplatePhysics, simulate_templates
from ._thresholds import error_rates, held_out_simulations, round_up, set_thresholds
from ._train import train
from ._update_model_card import seal_model, update_model_card
from ._workers import check_workers, run_workers

__all__ = [
    "Checkpoint",
    "Degradation",
    "MovingSums",
    "PaperAugmentation",
    "PaperFit",
    "PaperNetwork",
    "PaperRecipe",
    "PaperSet",
    "PositionalNetwork",
    "ShuffledFrames",
    "SizeFit",
    "SizeLoss",
    "SizeNetwork",
    "SizeRecipe",
    "Split",
    "TemplatePhysics",
    "TrainingRecipe",
    "augment",
    "check_workers",
    "degrade",
    "degrade_randomly",
    "error_rates",
    "export_model",
    "fit_paper",
    "fit_size",
    "held_out_simulations",
    "interval_floors",
    "interval_scale",
    "load_training_recipe",
    "new_recipe",
    "new_recipe_text",
    "round_up",
    "run_workers",
    "seal_model",
    "set_thresholds",
    "silent",
    "simulate_templates",
    "split_by_parent",
    "train",
    "update_model_card",
]

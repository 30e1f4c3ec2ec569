"""Training of the paper's classifier."""

import copy
import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..simulation import load_recipe, simulate
from ._networks import PaperNetwork
from ._paper_set import PaperSet, augment, split_by_parent
from ._progress import Progress
from ._recipe import PaperRecipe

__all__ = ["PaperFit", "fit_paper"]


@dataclass(frozen=True, eq=False)
class PaperFit:
    """A trained classifier and how it did on parents it had never seen."""

    network: PaperNetwork
    """The network at its best validation loss."""
    classes_nm: NDArray[np.float64]
    """Size classes, nm."""
    accuracy: float
    """Share of test patterns put into their class."""
    accuracy_by_area_fraction: dict[str, float]
    """The same for each dilution."""
    epochs: int
    """Epochs run, in all stages."""
    seconds: float
    """Wall time of the training, without simulation."""
    cpu_seconds: float
    """Processor time of the training: the wall time of a busy machine says little."""
    n_train: int
    """Patterns trained on."""


def fit_paper(recipe: PaperRecipe, progress: Progress) -> PaperFit:
    """Simulate the library, augment it, and train until the validation loss stops falling.

    Parameters
    ----------
    recipe
        What to train.
    progress
        Told of each epoch.

    Returns
    -------
    The trained network and its test accuracy, parents split.
    """
    library = simulate(load_recipe(recipe.library), progress)
    progress("augmenting", 0, recipe.max_epochs)
    patterns = augment(library, recipe.augmentation, recipe.seed)
    split = split_by_parent(patterns.parent, 0, recipe.n_folds, recipe.seed)
    vectors = torch.from_numpy(patterns.vectors)
    labels = torch.from_numpy(patterns.class_index)
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    network = PaperNetwork(patterns.classes_nm.size)
    state, epochs = network.state_dict(), 0
    began, cpu_began = time.perf_counter(), time.process_time()
    for learning_rate in recipe.learning_rates:
        network.load_state_dict(state)
        optimizer = torch.optim.Adam(network.parameters(), learning_rate)
        best_loss, waited, epoch = np.inf, 0, 0
        while epoch < recipe.max_epochs and waited < recipe.patience:
            epoch += 1
            order = rng.permutation(split.train)
            for rows in np.split(order, range(recipe.batch_size, order.size, recipe.batch_size)):
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(network(vectors[rows]), labels[rows])
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            logits = _logits(network, vectors, split.validation)
            validation = float(nn.functional.cross_entropy(logits, labels[split.validation]))
            progress(f"step {learning_rate:g}, validation loss {validation:.4f}", epoch, recipe.max_epochs)
            waited += 1
            if validation < best_loss:
                best_loss, state, waited = validation, copy.deepcopy(network.state_dict()), 0
        epochs += epoch
    network.load_state_dict(state)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    correct = (_logits(network, vectors, split.test).argmax(dim=1) == labels[split.test]).numpy()
    return PaperFit(
        network=network,
        classes_nm=patterns.classes_nm,
        accuracy=float(correct.mean()),
        accuracy_by_area_fraction=_by_area_fraction(recipe, patterns, split.test, correct),
        epochs=epochs,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        n_train=split.train.size,
    )


def _logits(network: PaperNetwork, vectors: Tensor, rows: NDArray[np.int64]) -> Tensor:
    with torch.no_grad():
        return torch.cat([network(vectors[part]) for part in np.split(rows, range(1024, rows.size, 1024))])


def _by_area_fraction(
    recipe: PaperRecipe, patterns: PaperSet, rows: NDArray[np.int64], correct: NDArray[np.bool_]
) -> dict[str, float]:
    # Rows run over parents, then counts, then area fractions, then solvents.
    n_parents = int(patterns.parent.max()) + 1
    counts = len(recipe.augmentation.counts_per_point)
    fraction = rows // (n_parents * counts) % len(recipe.augmentation.area_fractions)
    return {
        f"accuracy at area fraction {x:g}": float(correct[fraction == i].mean())
        for i, x in enumerate(recipe.augmentation.area_fractions)
    }

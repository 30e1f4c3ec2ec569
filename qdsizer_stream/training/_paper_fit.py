"""Training of the paper's network as a classifier or as a regression."""

import copy
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..simulation import Progress, load_recipe, simulate
from ._checkpoint import Checkpoint
from ._degrade import degrade_randomly
from ._networks import PaperNetwork, PositionalNetwork
from ._paper_set import PaperSet, Split, augment, split_by_parent
from ._recipe import PaperRecipe

__all__ = ["TOLERANCE_NM", "Epoch", "PaperFit", "finished_fit", "fit_paper", "fit_paper_set", "paper_set"]

TOLERANCE_NM = 0.25
"""Maximum error of a correct size from a regression: half a class (paper, Results)."""

COVERAGE = 0.95
"""Fraction of the validation patterns whose error is within the interval of a regression."""

INFERENCE_BATCH = 1024
"""Patterns per forward pass without gradients: a few MB per layer."""


@dataclass(frozen=True)
class Epoch:
    """State of a training after one pass over the training patterns."""

    learning_rate: float
    """Learning rate of Adam."""
    train_loss: float
    """Mean loss during the pass, while the weights changed."""
    validation_loss: float
    """Loss on the validation patterns after the pass."""
    validation_accuracy: float
    """Fraction of the validation patterns in the correct class; within 0.25 nm for a regression."""


@dataclass(frozen=True, eq=False)
class PaperFit:
    """A trained network and its accuracy on parents that were not in its training set."""

    network: nn.Module
    """Network with the weights of the lowest validation loss."""
    classes_nm: NDArray[np.float64]
    """Size classes, nm."""
    accuracy: float
    """Fraction of the test patterns in the correct class; within 0.25 nm for a regression."""
    accuracy_by_area_fraction: dict[float, float]
    """Accuracy for each area fraction."""
    half_width_nm: float
    """95 % quantile of the error on the validation patterns, nm; NaN for a classifier."""
    history: tuple[Epoch, ...]
    """Epochs of all stages."""
    seconds: float
    """Wall time of the training without the simulation, s."""
    cpu_seconds: float
    """CPU time of the training, s; the wall time depends on the load of the machine."""
    n_train: int
    """Number of training patterns."""

    @property
    def offset_nm(self) -> float:
        """Size for which a regression outputs zero, nm."""
        return _scale(self.classes_nm)[0]

    @property
    def scale_nm(self) -> float:
        """Size change per unit of output of a regression, nm."""
        return _scale(self.classes_nm)[1]

    def sizes_nm(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Predict the sizes of standardized patterns.

        Parameters
        ----------
        vectors
            Patterns, shape (n, n_points).

        Returns
        -------
        Class or size, nm, shape (n,).
        """
        return _sizes_nm(_outputs(self.network, vectors), self.classes_nm)


def paper_set(recipe: PaperRecipe, progress: Progress) -> PaperSet:
    """Simulate the library of a recipe and augment it.

    Parameters
    ----------
    recipe
        Recipe of the training.
    progress
        Called at each step.

    Returns
    -------
    The augmented patterns.
    """
    library = simulate(load_recipe(recipe.library), progress)
    progress("augmenting", 0, 1)
    return augment(library, recipe.augmentation, recipe.seed)


def fit_paper(recipe: PaperRecipe, progress: Progress, checkpoint: Checkpoint | None = None) -> PaperFit:
    """Simulate and augment the library, then train until the validation loss no longer falls.

    Parameters
    ----------
    recipe
        Recipe of the training.
    progress
        Called after each epoch.
    checkpoint
        Where the state is saved after each epoch and from which training resumes; None to save nothing.

    Returns
    -------
    The trained network and its accuracy on the test parents.

    Raises
    ------
    ModelError
        The checkpoint is damaged or belongs to another recipe.
    """
    if checkpoint is not None:
        checkpoint.load()  # fails now rather than after the simulation
    return fit_paper_set(recipe, paper_set(recipe, progress), 0, progress, checkpoint)


def fit_paper_set(
    recipe: PaperRecipe,
    patterns: PaperSet,
    fold: int,
    progress: Progress,
    checkpoint: Checkpoint | None = None,
) -> PaperFit:
    """Train on patterns that have already been simulated and augmented.

    Parameters
    ----------
    recipe
        Recipe of the training.
    patterns
        Patterns from `paper_set`.
    fold
        Index of the fold of parents to test on.
    progress
        Called after each epoch.
    checkpoint
        Where the state is saved after each epoch and from which training resumes; None to save nothing.

    Returns
    -------
    The trained network and its test accuracy.

    Raises
    ------
    ModelError
        The checkpoint is damaged or belongs to another recipe.
    """
    finished = None if checkpoint is None else finished_fit(recipe, checkpoint)
    if finished is not None:
        return finished
    split = split_by_parent(patterns.parent, fold, recipe.n_folds, recipe.seed)
    training = _Training(recipe, patterns, split)
    saved = None if checkpoint is None else checkpoint.load()
    if saved is not None:
        training.restore(saved)
    while not training.finished:
        training.epoch()
        if checkpoint is not None:
            checkpoint.save(training.state())
        last = training.history[-1]
        progress(
            f"step {last.learning_rate:g}, validation loss {last.validation_loss:.4f}",
            training.epochs_of_stage,
            recipe.max_epochs,
        )
    training.network.load_state_dict(training.best)
    sizes_nm = _sizes_nm(_outputs(training.network, patterns.vectors[split.test]), patterns.classes_nm)
    correct = _is_correct(sizes_nm, patterns.classes_nm[patterns.class_index[split.test]])
    result: dict[str, Any] = {
        "accuracy": float(correct.mean()),
        "accuracy_by_area_fraction": _by_area_fraction(recipe, patterns, split.test, correct),
        "half_width_nm": _half_width_nm(recipe, training.network, patterns, split.validation),
        "seconds": training.seconds,
        "cpu_seconds": training.cpu_seconds,
        "n_train": int(split.train.size),
    }
    if checkpoint is not None:
        classes = patterns.classes_nm.tolist()
        checkpoint.save({**training.state(), "result": result, "classes_nm": classes})
    return PaperFit(training.network, patterns.classes_nm, history=tuple(training.history), **result)


def finished_fit(recipe: PaperRecipe, checkpoint: Checkpoint) -> PaperFit | None:
    """Read the result of a finished training from its checkpoint.

    Parameters
    ----------
    recipe
        Recipe of the training.
    checkpoint
        Checkpoint of the training.

    Returns
    -------
    The trained network; None if the training has not started or not finished.

    Raises
    ------
    ModelError
        The checkpoint is damaged or belongs to another recipe.
    """
    state = checkpoint.load()
    if state is None or "result" not in state:
        return None
    classes_nm = np.array(state["classes_nm"])
    network = _network(recipe, classes_nm)
    network.load_state_dict(state["best"])
    history = tuple(Epoch(**epoch) for epoch in state["history"])
    return PaperFit(network, classes_nm, history=history, **state["result"])


@dataclass(eq=False)
class _Training:
    """State of a training between two epochs: everything its next epoch depends on, and its history."""

    recipe: PaperRecipe
    patterns: PaperSet
    split: Split
    stage: int = 0
    epochs_of_stage: int = 0
    epochs_without_gain: int = 0
    best_loss: float = float("inf")
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    history: list[Epoch] = field(default_factory=list)

    def __post_init__(self) -> None:
        recipe, patterns = self.recipe, self.patterns
        torch.manual_seed(recipe.seed)
        self.rng = np.random.default_rng(recipe.seed)
        self.network = _network(recipe, patterns.classes_nm)
        self.best = copy.deepcopy(self.network.state_dict())
        self.targets = _targets(recipe, patterns)
        self.validation = patterns.vectors[self.split.validation]
        if recipe.augmentation.degradation is not None:
            # The same degradation at every epoch, so that the losses of epochs are comparable.
            self.validation = degrade_randomly(
                self.validation,
                patterns.q_inv_angstrom,
                recipe.augmentation.degradation,
                np.random.default_rng((recipe.seed, 1)),
            )
        self._begin_stage()

    def _begin_stage(self) -> None:
        if not self.finished:
            rate = self.recipe.learning_rates[self.stage]
            self.optimizer = torch.optim.Adam(self.network.parameters(), rate)

    @property
    def finished(self) -> bool:
        """Whether all stages are finished."""
        return self.stage == len(self.recipe.learning_rates)

    def epoch(self) -> None:
        """Train for one pass over the training patterns."""
        recipe, start, cpu_start = self.recipe, time.perf_counter(), time.process_time()
        order = self.rng.permutation(self.split.train)
        total = 0.0
        self.network.train()
        batches = np.split(order, range(recipe.batch_size, order.size, recipe.batch_size))
        for rows, vectors in zip(batches, self._prefetched(batches), strict=True):
            self.optimizer.zero_grad()
            # bfloat16 products take a quarter of the time on processors that support them; sums, weights and
            # reported values remain float32.
            with torch.autocast("cpu", torch.bfloat16):
                outputs = self.network(torch.from_numpy(vectors))
            loss = _loss(recipe, outputs.float(), self.targets[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            total += loss.item() * rows.size
        outputs = _outputs(self.network, self.validation)
        sizes = _sizes_nm(outputs, self.patterns.classes_nm)
        truth = self.patterns.classes_nm[self.patterns.class_index[self.split.validation]]
        self.history.append(
            Epoch(
                learning_rate=recipe.learning_rates[self.stage],
                train_loss=total / order.size,
                validation_loss=_loss(recipe, outputs, self.targets[self.split.validation]).item(),
                validation_accuracy=float(_is_correct(sizes, truth).mean()),
            )
        )
        self.seconds += time.perf_counter() - start
        self.cpu_seconds += time.process_time() - cpu_start
        self._update_best(self.history[-1].validation_loss)

    def _prefetched(self, batches: list[NDArray[np.int64]]) -> Iterator[NDArray[np.float32]]:
        """Patterns of the batches of an epoch; the next batch is drawn while the network trains."""
        with ThreadPoolExecutor(1) as pool:
            next_batch = pool.submit(self._draw, batches[0])
            for rows in batches[1:]:
                vectors, next_batch = next_batch.result(), pool.submit(self._draw, rows)
                yield vectors
            yield next_batch.result()

    def _draw(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        augmentation = self.recipe.augmentation
        if augmentation.fresh_area_fraction is None:
            vectors = self.patterns.vectors[rows]
        else:
            vectors = self.patterns.redraw(
                rows, augmentation.fresh_area_fraction, self.rng, augmentation.random_liquid_share or 0.0
            )
        if augmentation.degradation is None:
            return vectors
        return degrade_randomly(vectors, self.patterns.q_inv_angstrom, augmentation.degradation, self.rng)

    def _update_best(self, validation_loss: float) -> None:
        """Keep the best weights, and end the stage after too many epochs without a lower loss."""
        self.epochs_of_stage += 1
        self.epochs_without_gain += 1
        if validation_loss < self.best_loss:
            self.best_loss, self.epochs_without_gain = validation_loss, 0
            self.best = copy.deepcopy(self.network.state_dict())
        if self.epochs_of_stage == self.recipe.max_epochs or self.epochs_without_gain == self.recipe.patience:
            self.stage, self.epochs_of_stage, self.epochs_without_gain, self.best_loss = (
                self.stage + 1,
                0,
                0,
                float("inf"),
            )
            self.network.load_state_dict(self.best)
            self._begin_stage()

    def state(self) -> dict[str, Any]:
        """State for a checkpoint."""
        return {
            "stage": self.stage,
            "epochs_of_stage": self.epochs_of_stage,
            "waited": self.epochs_without_gain,
            "best_loss": self.best_loss,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "history": [vars(epoch) for epoch in self.history],
            "network": self.network.state_dict(),
            "best": self.best,
            "optimizer": self.optimizer.state_dict(),
            "rng": self.rng.bit_generator.state,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the state from a checkpoint."""
        for name in ("stage", "epochs_of_stage", "best_loss", "seconds", "cpu_seconds", "best"):
            setattr(self, name, state[name])
        self.epochs_without_gain = state["waited"]
        self.history = [Epoch(**epoch) for epoch in state["history"]]
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.rng.bit_generator.state = state["rng"]


def _network(recipe: PaperRecipe, classes_nm: NDArray[np.float64]) -> nn.Module:
    n_outputs = classes_nm.size if recipe.target is None else 1
    if recipe.n_hidden is None:
        return PaperNetwork(n_outputs)
    return PositionalNetwork(load_recipe(recipe.library).grid.n_points, recipe.n_hidden, n_outputs)


def _scale(classes_nm: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard deviation of the classes, nm, which scale the targets of a regression to about 1."""
    return float(classes_nm.mean()), float(classes_nm.std())


def _targets(recipe: PaperRecipe, patterns: PaperSet) -> Tensor:
    if recipe.target is None:
        return torch.from_numpy(patterns.class_index)
    offset, scale = _scale(patterns.classes_nm)
    sizes = (patterns.classes_nm[patterns.class_index] - offset) / scale
    return torch.from_numpy(sizes.astype(np.float32))


def _loss(recipe: PaperRecipe, outputs: Tensor, targets: Tensor) -> Tensor:
    if recipe.target is None:
        return nn.functional.cross_entropy(outputs, targets)
    return nn.functional.mse_loss(outputs[:, 0], targets)


def _outputs(network: nn.Module, vectors: NDArray[np.float32]) -> Tensor:
    network.eval()
    with torch.no_grad():
        return torch.cat(
            [
                network(torch.from_numpy(vectors[start : start + INFERENCE_BATCH]))
                for start in range(0, len(vectors), INFERENCE_BATCH)
            ]
        )


def _sizes_nm(outputs: Tensor, classes_nm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Most probable class, or the size of a regression, nm."""
    if outputs.shape[1] > 1:
        return np.asarray(classes_nm[outputs.argmax(dim=1).numpy()])
    offset, scale = _scale(classes_nm)
    return np.asarray(offset + scale * outputs[:, 0].double().numpy())


def _is_correct(sizes_nm: NDArray[np.float64], truth_nm: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(np.abs(sizes_nm - truth_nm) <= TOLERANCE_NM)


def _half_width_nm(
    recipe: PaperRecipe, network: nn.Module, patterns: PaperSet, rows: NDArray[np.int64]
) -> float:
    if recipe.target is None:
        return float("nan")
    sizes_nm = _sizes_nm(_outputs(network, patterns.vectors[rows]), patterns.classes_nm)
    return float(np.quantile(np.abs(sizes_nm - patterns.classes_nm[patterns.class_index[rows]]), COVERAGE))


def _by_area_fraction(
    recipe: PaperRecipe, patterns: PaperSet, rows: NDArray[np.int64], correct: NDArray[np.bool_]
) -> dict[float, float]:
    _, fraction, _, _ = np.unravel_index(rows, patterns.shape)
    return {x: float(correct[fraction == i].mean()) for i, x in enumerate(recipe.augmentation.area_fractions)}

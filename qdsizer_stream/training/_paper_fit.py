"""Training of the paper's network, as classifier or as regression."""

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

from ..simulation import load_recipe, simulate
from ._checkpoint import Checkpoint
from ._degrade import degrade_some
from ._networks import PaperNetwork, PlacesNetwork
from ._paper_set import PaperSet, Split, augment, split_by_parent
from ._progress import Progress
from ._recipe import PaperRecipe

__all__ = ["WITHIN_NM", "Epoch", "PaperFit", "fit_paper", "fit_paper_set", "kept_fit", "paper_set"]

WITHIN_NM = 0.25
"""A regression is right within half a class (paper, Results)."""

COVERED = 0.95
"""Share of the validation patterns whose errors the interval of a regression holds."""

ROWS_AT_ONCE = 1024
"""Patterns a forward pass without gradients: a few MB a layer."""


@dataclass(frozen=True)
class Epoch:
    """How far a training was after one pass."""

    learning_rate: float
    """Adam step."""
    train_loss: float
    """Mean loss over the pass, while the weights moved."""
    validation_loss: float
    """Loss on the validation patterns after it."""
    validation_accuracy: float
    """Share of these put into their class; within 0.25 nm for a regression."""


@dataclass(frozen=True, eq=False)
class PaperFit:
    """A trained network and how it did on parents it had never seen."""

    network: nn.Module
    """The network at its best validation loss."""
    classes_nm: NDArray[np.float64]
    """Size classes, nm."""
    accuracy: float
    """Share of test patterns put into their class; within 0.25 nm for a regression."""
    accuracy_by_area_fraction: dict[float, float]
    """The same for each dilution."""
    half_width_nm: float
    """Error that 95 % of the validation patterns stay within, nm; NaN for a classifier."""
    history: tuple[Epoch, ...]
    """Every epoch of all stages."""
    seconds: float
    """Wall time of the training, without simulation."""
    cpu_seconds: float
    """Processor time of the training: the wall time of a busy machine says little."""
    n_train: int
    """Patterns trained on."""

    @property
    def offset_nm(self) -> float:
        """Size at output zero of a regression, nm."""
        return _scale(self.classes_nm)[0]

    @property
    def scale_nm(self) -> float:
        """Nanometres per unit of output of a regression."""
        return _scale(self.classes_nm)[1]

    def sizes_nm(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Size standardized patterns.

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
        What is trained.
    progress
        Told of each step.

    Returns
    -------
    The patterns.
    """
    library = simulate(load_recipe(recipe.library), progress)
    progress("augmenting", 0, 1)
    return augment(library, recipe.augmentation, recipe.seed)


def fit_paper(recipe: PaperRecipe, progress: Progress, checkpoint: Checkpoint | None = None) -> PaperFit:
    """Simulate the library, augment it, and train until the validation loss stops falling.

    Parameters
    ----------
    recipe
        What to train.
    progress
        Told of each epoch.
    checkpoint
        Where the state is kept after each epoch, and taken up again; nowhere if left out.

    Returns
    -------
    The trained network and its test accuracy, parents split.

    Raises
    ------
    ModelError
        The checkpoint is damaged or of another recipe.
    """
    if checkpoint is not None:
        checkpoint.load()  # refused now, not after the simulation
    return fit_paper_set(recipe, paper_set(recipe, progress), 0, progress, checkpoint)


def fit_paper_set(
    recipe: PaperRecipe,
    patterns: PaperSet,
    fold: int,
    progress: Progress,
    checkpoint: Checkpoint | None = None,
) -> PaperFit:
    """Train on patterns that are there already.

    Parameters
    ----------
    recipe
        What to train.
    patterns
        Its patterns (`paper_set`).
    fold
        Fold of the parents to test on.
    progress
        Told of each epoch.
    checkpoint
        Where the state is kept after each epoch, and taken up again; nowhere if left out.

    Returns
    -------
    The trained network and its test accuracy.

    Raises
    ------
    ModelError
        The checkpoint is damaged or of another recipe.
    """
    kept = None if checkpoint is None else kept_fit(recipe, checkpoint)
    if kept is not None:
        return kept
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
    found = _sizes_nm(_outputs(training.network, patterns.vectors[split.test]), patterns.classes_nm)
    right = _right(found, patterns.classes_nm[patterns.class_index[split.test]])
    result: dict[str, Any] = {
        "accuracy": float(right.mean()),
        "accuracy_by_area_fraction": _by_area_fraction(recipe, patterns, split.test, right),
        "half_width_nm": _half_width_nm(recipe, training.network, patterns, split.validation),
        "seconds": training.seconds,
        "cpu_seconds": training.cpu_seconds,
        "n_train": int(split.train.size),
    }
    if checkpoint is not None:
        classes = patterns.classes_nm.tolist()
        checkpoint.save({**training.state(), "result": result, "classes_nm": classes})
    return PaperFit(training.network, patterns.classes_nm, history=tuple(training.history), **result)


def kept_fit(recipe: PaperRecipe, checkpoint: Checkpoint) -> PaperFit | None:
    """Read a finished training from its checkpoint.

    Parameters
    ----------
    recipe
        What was trained.
    checkpoint
        Where its state is kept.

    Returns
    -------
    The trained network; None where the training has not begun or not ended.

    Raises
    ------
    ModelError
        The checkpoint is damaged or of another recipe.
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
    """A training between two epochs: all that its next epoch depends on, and what has been so far."""

    recipe: PaperRecipe
    patterns: PaperSet
    split: Split
    stage: int = 0
    epochs_of_stage: int = 0
    waited: int = 0
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
            # The same losses at every epoch, so that epochs can be compared.
            self.validation = degrade_some(
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
        """Whether all stages have ended."""
        return self.stage == len(self.recipe.learning_rates)

    def epoch(self) -> None:
        """Pass once over the training patterns."""
        recipe, began, cpu_began = self.recipe, time.perf_counter(), time.process_time()
        order = self.rng.permutation(self.split.train)
        total = 0.0
        self.network.train()
        batches = np.split(order, range(recipe.batch_size, order.size, recipe.batch_size))
        for rows, vectors in zip(batches, self._drawn(batches), strict=True):
            self.optimizer.zero_grad()
            # bfloat16 products take a quarter of the time where the processor has them; the sums, the
            # weights and whatever is reported stay float32.
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
                validation_accuracy=float(_right(sizes, truth).mean()),
            )
        )
        self.seconds += time.perf_counter() - began
        self.cpu_seconds += time.process_time() - cpu_began
        self._count(self.history[-1].validation_loss)

    def _drawn(self, batches: list[NDArray[np.int64]]) -> Iterator[NDArray[np.float32]]:
        """Patterns of the batches of an epoch; the next ones are drawn while the network learns."""
        with ThreadPoolExecutor(1) as pool:
            following = pool.submit(self._draw, batches[0])
            for rows in batches[1:]:
                vectors, following = following.result(), pool.submit(self._draw, rows)
                yield vectors
            yield following.result()

    def _draw(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        made = self.recipe.augmentation
        if made.fresh_area_fraction is None:
            vectors = self.patterns.vectors[rows]
        else:
            vectors = self.patterns.drawn_anew(
                rows, made.fresh_area_fraction, self.rng, made.random_liquid_share or 0.0
            )
        if made.degradation is None:
            return vectors
        return degrade_some(vectors, self.patterns.q_inv_angstrom, made.degradation, self.rng)

    def _count(self, validation_loss: float) -> None:
        """Keep the best weights, and end the stage where nothing has got better for long."""
        self.epochs_of_stage += 1
        self.waited += 1
        if validation_loss < self.best_loss:
            self.best_loss, self.waited = validation_loss, 0
            self.best = copy.deepcopy(self.network.state_dict())
        if self.epochs_of_stage == self.recipe.max_epochs or self.waited == self.recipe.patience:
            self.stage, self.epochs_of_stage, self.waited, self.best_loss = self.stage + 1, 0, 0, float("inf")
            self.network.load_state_dict(self.best)
            self._begin_stage()

    def state(self) -> dict[str, Any]:
        """All of it, for a checkpoint."""
        return {
            "stage": self.stage,
            "epochs_of_stage": self.epochs_of_stage,
            "waited": self.waited,
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
        """Go back to where a checkpoint was written."""
        for name in ("stage", "epochs_of_stage", "waited", "best_loss", "seconds", "cpu_seconds", "best"):
            setattr(self, name, state[name])
        self.history = [Epoch(**epoch) for epoch in state["history"]]
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.rng.bit_generator.state = state["rng"]


def _network(recipe: PaperRecipe, classes_nm: NDArray[np.float64]) -> nn.Module:
    n_outputs = classes_nm.size if recipe.target is None else 1
    if recipe.n_hidden is None:
        return PaperNetwork(n_outputs)
    return PlacesNetwork(load_recipe(recipe.library).grid.n_points, recipe.n_hidden, n_outputs)


def _scale(classes_nm: NDArray[np.float64]) -> tuple[float, float]:
    """Centre and spread of the sizes, nm: a regression starts near 1."""
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
                network(torch.from_numpy(vectors[start : start + ROWS_AT_ONCE]))
                for start in range(0, len(vectors), ROWS_AT_ONCE)
            ]
        )


def _sizes_nm(outputs: Tensor, classes_nm: NDArray[np.float64]) -> NDArray[np.float64]:
    """The most probable class, or the size of a regression."""
    if outputs.shape[1] > 1:
        return np.asarray(classes_nm[outputs.argmax(dim=1).numpy()])
    offset, scale = _scale(classes_nm)
    return np.asarray(offset + scale * outputs[:, 0].double().numpy())


def _right(sizes_nm: NDArray[np.float64], truth_nm: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(np.abs(sizes_nm - truth_nm) <= WITHIN_NM)


def _half_width_nm(
    recipe: PaperRecipe, network: nn.Module, patterns: PaperSet, rows: NDArray[np.int64]
) -> float:
    if recipe.target is None:
        return float("nan")
    found = _sizes_nm(_outputs(network, patterns.vectors[rows]), patterns.classes_nm)
    return float(np.quantile(np.abs(found - patterns.classes_nm[patterns.class_index[rows]]), COVERED))


def _by_area_fraction(
    recipe: PaperRecipe, patterns: PaperSet, rows: NDArray[np.int64], right: NDArray[np.bool_]
) -> dict[float, float]:
    _, fraction, _, _ = np.unravel_index(rows, patterns.shape)
    return {x: float(right[fraction == i].mean()) for i, x in enumerate(recipe.augmentation.area_fractions)}

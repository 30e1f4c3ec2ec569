"""Training of a size network on frames that are simulated as it trains."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..models import TWO_SIDED_95, GaussianOutput, binned_vectors
from ..simulation import FrameBatch, FrameStream
from ._checkpoint import Checkpoint
from ._interval_calibration import interval_floors, interval_scale, log_size_sds
from ._networks import SizeNetwork
from ._progress import Progress
from ._recipe import SizeRecipe

__all__ = ["ShuffledFrames", "SizeFit", "fit_size"]

TARGET_OFFSET = (float(np.log(5.0)), float(np.log(5.0)), 0.14, 0.0)
TARGET_SCALE = (0.5, 0.5, 0.06, 0.004)
"""Centre and spread of ln size, ln mass mean, dispersion and strain: the network starts near 1."""

PRESENCE_WEIGHT = 0.5
"""Weight of the dots-or-none loss: it settles early, and the sizes matter more."""

WEIGHT_DECAY = 1e-4
GRADIENT_LIMIT = 1.0
"""Norm at which gradients are cut: one confident miss must not undo a thousand steps."""

SHUFFLED_FRAMES = 8192
"""Frames that batches are drawn from: 256 structures, strains and sources."""

CHECKPOINT_STEPS = 250
"""A minute of work on two cores is all that an interruption costs."""


@dataclass(frozen=True, eq=False)
class SizeFit:
    """A trained size network with intervals calibrated on held-out simulations."""

    network: SizeNetwork
    """The network."""
    output: GaussianOutput
    """Scales of its answers."""
    evaluation: dict[str, float]
    """Results on fresh frames."""
    seconds: float
    """Wall time."""


def fit_size(
    recipe: SizeRecipe,
    progress: Progress,
    checkpoint: Checkpoint | None = None,
    checkpoint_steps: int = CHECKPOINT_STEPS,
) -> SizeFit:
    """Train, then set the width of the intervals.

    Parameters
    ----------
    recipe
        What to train.
    progress
        Told of each step.
    checkpoint
        Where the state is saved and from which training resumes; None to save nothing.
    checkpoint_steps
        Number of steps between saves.

    Returns
    -------
    The trained network.

    Raises
    ------
    ModelError
        The checkpoint is damaged or of another recipe.
    """
    began = time.perf_counter()
    progress("tabulating dots", 0, recipe.steps)
    torch.manual_seed(recipe.seed)
    network = SizeNetwork(recipe.generator.grid, len(TARGET_SCALE))
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.steps, pct_start=0.1
    )
    first, running, spent = 1, 0.0, 0.0
    state = None if checkpoint is None else checkpoint.load()
    if state is not None:
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        first, running, spent = state["step"] + 1, state["running"], state["seconds"]
    # The next batch is drawn while the network learns from this one.
    with ThreadPoolExecutor(1) as pool:
        if first <= recipe.steps:
            frames = ShuffledFrames(recipe, first)
            following = pool.submit(frames.draw)
        for step in range(first, recipe.steps + 1):
            vectors, targets, present = following.result()
            if step < recipe.steps:
                following = pool.submit(frames.draw)
            loss = _loss(network, vectors, targets, present)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_LIMIT)
            optimizer.step()
            schedule.step()
            running += (1.0 if step == 1 else 0.02) * (loss.item() - running)
            if step % 10 == 0 or step == recipe.steps:
                progress(f"training, loss {running:.3f}", step, recipe.steps)
            if checkpoint is not None and (step % checkpoint_steps == 0 or step == recipe.steps):
                checkpoint.save(
                    {
                        "step": step,
                        "running": running,
                        "seconds": spent + time.perf_counter() - began,
                        "network": network.state_dict(),
                        "optimizer": optimizer.state_dict(),
                        "schedule": schedule.state_dict(),
                    }
                )
    network.eval()
    progress("calibrating intervals", recipe.steps, recipe.steps)
    # Structures that the network has not seen, from the same ranges and from others.
    few = {"n_structures": min(recipe.generator.n_structures, recipe.held_out.n_structures)}
    fresh = FrameStream(recipe.generator.model_copy(update=few), recipe.seed + 1, torch.get_num_threads())
    held_out = FrameStream(recipe.held_out, recipe.seed + 2, torch.get_num_threads())
    output = _calibrated(recipe, network, fresh, held_out)
    evaluation = {
        f"{name}, {where}": value
        for where, source in (("training physics", fresh), ("held-out physics", held_out))
        for name, value in _evaluate(network, output, source.batch(recipe.calibration_frames)).items()
    }
    return SizeFit(network, output, evaluation, spent + time.perf_counter() - began)


class ShuffledFrames:
    """Batches drawn from the newest frames of a stream, each seen twice on the average.

    The stream draws 32 frames of one structure, strain and source at a time; a batch of a few such
    groups would pull the network to and fro.

    Parameters
    ----------
    recipe
        What to draw.
    step
        Step of the first batch: the batches do not depend on where a training was taken up again.
    """

    def __init__(self, recipe: SizeRecipe, step: int) -> None:
        self._recipe, self._step = recipe, step
        self._stream = FrameStream(recipe.generator, recipe.seed, torch.get_num_threads())
        self._fresh = recipe.batch_size // 2
        self._stream.skip((step - 1) * self._fresh)
        n_blocks = min(SHUFFLED_FRAMES // self._fresh, recipe.steps)  # a short training need not draw more
        self._kept = [self._new() for _ in range(n_blocks)]

    def _new(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
        batch = self._stream.batch(self._fresh)
        return binned_vectors(batch.intensity, batch.sigma, batch.mask), _targets(batch), batch.present

    def draw(self) -> tuple[Tensor, Tensor, Tensor]:
        """Draw a batch: network inputs, targets and whether there are dots."""
        rng = np.random.default_rng([self._recipe.seed, self._step])
        self._step += 1
        self._kept = [*self._kept[1:], self._new()]
        chosen = rng.integers(len(self._kept) * self._fresh, size=self._recipe.batch_size)
        vectors, targets, present = (
            torch.from_numpy(np.array([part[n // self._fresh][n % self._fresh] for n in chosen]))
            for part in zip(*self._kept, strict=True)
        )
        return vectors, targets, present


def _targets(batch: FrameBatch) -> NDArray[np.float32]:
    columns = (np.log(batch.number_mean_nm), np.log(batch.mass_mean_nm), batch.dispersion, batch.strain)
    scaled = (np.stack(columns, axis=1) - TARGET_OFFSET) / TARGET_SCALE
    return np.asarray(scaled, np.float32)


def _loss(network: SizeNetwork, vectors: Tensor, targets: Tensor, present: Tensor) -> Tensor:
    """Gaussian negative log likelihood where there are dots, plus cross-entropy of their presence."""
    # bfloat16 products halve the time of a step where the processor has them. Its two digits are too few for
    # the patterns that go in and the sizes that come out.
    stems = network.stems(vectors)
    with torch.autocast("cpu", torch.bfloat16):
        features = network.features(*stems)
    mean, log_sigma, presence = network.outputs(features.float())
    squared = ((mean - targets) / log_sigma.exp()) ** 2
    likelihood = (0.5 * squared + log_sigma)[present].mean()
    crossed = nn.functional.binary_cross_entropy_with_logits(presence, present.float())
    return torch.as_tensor(likelihood + PRESENCE_WEIGHT * crossed)


def _sizes(
    network: SizeNetwork, batch: FrameBatch
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Error of ln size, its predicted sd and the probability of dots, each of shape (n,)."""
    vectors = torch.from_numpy(binned_vectors(batch.intensity, batch.sigma, batch.mask))
    with torch.no_grad():
        parts = [network(vectors[start : start + 1024]) for start in range(0, len(vectors), 1024)]
    mean, log_sigma, presence = (torch.cat(column).double().numpy() for column in zip(*parts, strict=True))
    error = TARGET_OFFSET[0] + TARGET_SCALE[0] * mean[:, 0] - np.log(batch.number_mean_nm)
    return error, TARGET_SCALE[0] * np.exp(log_sigma[:, 0]), 1 / (1 + np.exp(-presence))


def _calibrated(
    recipe: SizeRecipe, network: SizeNetwork, fresh: FrameStream, held_out: FrameStream
) -> GaussianOutput:
    """Scale so that 95 % of fresh frames are covered, then floors so that 95 % of held-out ones are."""
    batch = fresh.batch(recipe.calibration_frames)
    error, sigma, _ = _sizes(network, batch)
    scale = interval_scale(error[batch.present], sigma[batch.present])
    batch = held_out.batch(recipe.calibration_frames)
    error, sigma, _ = _sizes(network, batch)
    read_nm = batch.number_mean_nm * np.exp(error)
    # The variance that each frame needs on top of the scaled one, for its truth to lie in the interval.
    without_floors = log_size_sds(sigma, read_nm, scale=scale)
    needed = np.maximum((error / TWO_SIDED_95) ** 2 - without_floors**2, 0.0)
    floor, floor_nm = interval_floors(needed[batch.present], read_nm[batch.present])
    return GaussianOutput(
        target_offset=TARGET_OFFSET,
        target_scale=TARGET_SCALE,
        interval_scale=scale,
        interval_floor=floor,
        interval_floor_nm=floor_nm,
    )


def _evaluate(network: SizeNetwork, output: GaussianOutput, batch: FrameBatch) -> dict[str, float]:
    error, sigma, presence = _sizes(network, batch)
    present = batch.present
    read_nm = batch.number_mean_nm * np.exp(error)
    width = log_size_sds(
        sigma,
        read_nm,
        scale=output.interval_scale,
        floor=output.interval_floor,
        floor_nm=output.interval_floor_nm,
    )
    size_error = np.abs(np.expm1(error) * batch.number_mean_nm)[present]
    return {
        "median error (nm)": float(np.median(size_error)),
        "mean error (nm)": float(np.mean(size_error)),
        "coverage of 95 % interval": float(np.mean(np.abs(error) <= TWO_SIDED_95 * width, where=present)),
        "median interval half-width (nm)": float(
            np.median((TWO_SIDED_95 * width * batch.number_mean_nm)[present])
        ),
        "frames without dots called dots": float(np.mean(presence[~present] > 0.5)),
        "frames with dots called empty": float(np.mean(presence[present] < 0.5)),
    }

"""Training of a size network on frames that are simulated during training."""

import inspect
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn

from ..errors import ModelError
from ..models import TWO_SIDED_95, GaussianOutput, IntervalCalibration, binned_vectors
from ..simulation import FrameBatch, FrameStream, Progress, silent
from ._checkpoint import Checkpoint
from ._interval_calibration import interval_floors, interval_scale, log_size_sds
from ._networks import SizeNetwork
from ._recipe import SizeRecipe
from ._workers import check_workers, run_workers

__all__ = ["ShuffledFrames", "SizeFit", "SizeLoss", "fit_size", "frame_vectors"]

TARGET_OFFSET = (float(np.log(5.0)), float(np.log(5.0)), 0.14, 0.0)
TARGET_SCALE = (0.5, 0.5, 0.06, 0.004)
"""Offsets and scales of ln size, ln mass mean, dispersion and strain, so that targets are of order 1."""

WIDTH_ERROR = 0.05
"""Relative error of the width of the instrument that networks are given: standards give it no better."""

MIN_FLOOR, MIN_FLOOR_NM = 0.006, 0.02
"""Smallest floors, relative and in nm: whatever simulations say, sizes of one sample in two solvents or at
two wavelengths differ by 0.01 to 0.03 nm."""

PRESENCE_WEIGHT = 0.5
"""Weight of the loss for the presence of dots, which converges early and matters less than the sizes."""

WEIGHT_DECAY = 1e-4
MAX_GRADIENT_NORM = 1.0
"""Norm to which gradients are clipped, so that one outlier does not undo a thousand steps."""

SHUFFLED_FRAMES = 8192
"""Number of newest frames from which batches are drawn: 256 combinations of structure, strain and source."""

CHECKPOINT_STEPS = 250
"""Steps between saves: an interruption costs at most one minute of training on two cores."""

OWN_STATISTICS: dict[str, Any] = {
    "forward_sync_buffers"
    if "forward_sync_buffers" in inspect.signature(nn.parallel.DistributedDataParallel).parameters
    else "broadcast_buffers": False
}
"""Workers keep running statistics of the normalization until they are averaged. The option's name is that of
torch since 2.13 or of older versions."""


@dataclass(frozen=True, eq=False)
class SizeFit:
    """A trained size network with intervals calibrated on held-out simulations."""

    network: SizeNetwork
    """The network."""
    output: GaussianOutput
    """Scales of its outputs."""
    evaluation: dict[str, float]
    """Results on new frames."""
    seconds: float
    """Wall time, s."""


def fit_size(
    recipe: SizeRecipe,
    progress: Progress,
    checkpoint: Checkpoint | None = None,
    checkpoint_steps: int = CHECKPOINT_STEPS,
    n_workers: int = 1,
) -> SizeFit:
    """Train a size network, then calibrate its intervals.

    Parameters
    ----------
    recipe
        Recipe of the training.
    progress
        Called at each step.
    checkpoint
        Where the state is saved and from which training resumes; None to save nothing.
    checkpoint_steps
        Number of steps between saves.
    n_workers
        Number of processes that share the frames of each step; they share the threads of this one. Recipe and
        number determine the network. More than 1 start new processes, which import the main script: code of
        a script belongs below ``if __name__ == "__main__":``.

    Returns
    -------
    The trained network.

    Raises
    ------
    ConfigurationError
        The frames of a step cannot be shared among the workers.
    ModelError
        The checkpoint is damaged, or belongs to another recipe or number of workers, or a worker has ended
        early.
    """
    start = time.perf_counter()
    check_workers(n_workers, recipe.batch_size)
    state = None if checkpoint is None else checkpoint.load()
    if state is not None:
        assert checkpoint is not None
        _check_same_workers(checkpoint, state, n_workers)
    if n_workers > 1 and (state is None or state["step"] < recipe.steps):
        state = run_workers(
            _optimized, n_workers, (recipe, checkpoint, checkpoint_steps, n_workers), progress
        )
    else:
        state = _optimized(progress, recipe, checkpoint, checkpoint_steps)
    network = _new_network(recipe)
    network.load_state_dict(state["network"])
    network.eval()
    progress("calibrating intervals", recipe.steps, recipe.steps)
    # New structures, from the ranges of the training and from those of the held-out simulations.
    changes = {"n_structures": min(recipe.generator.n_structures, recipe.held_out.n_structures)}
    n_threads = torch.get_num_threads()
    fresh = FrameStream(recipe.generator.model_copy(update=changes), recipe.seed + 1, n_threads, progress)
    held_out = FrameStream(recipe.held_out, recipe.seed + 2, n_threads, progress)
    output = _calibrated(recipe, network, fresh, held_out)
    # Names of results are stored in model files and keep their wording.
    evaluation = {
        f"{name}, {origin}": value
        for origin, stream in (("training physics", fresh), ("held-out physics", held_out))
        for name, value in _evaluate(network, output, stream.batch(recipe.calibration_frames)).items()
    }
    return SizeFit(network, output, evaluation, state["earlier"] + time.perf_counter() - start)


def _check_same_workers(checkpoint: Checkpoint, state: dict[str, Any], n_workers: int) -> None:
    found = state.get("workers", 1)
    if found != n_workers:
        raise ModelError(
            f"checkpoint {checkpoint.path} belongs to a training with workers = {found}, this one has "
            f"{n_workers}, which draw other frames: continue with --workers {found}, or train with "
            "--no-resume"
        )


def _new_network(recipe: SizeRecipe) -> SizeNetwork:
    torch.manual_seed(recipe.seed)
    return SizeNetwork(recipe.generator.grid, len(TARGET_SCALE), bool(recipe.resolution))


def _optimized(
    progress: Progress,
    recipe: SizeRecipe,
    checkpoint: Checkpoint | None,
    checkpoint_steps: int,
    n_workers: int = 1,
) -> dict[str, Any]:
    """Train a network; in one of several workers, with its share of the frames of each step.

    Returns the state of the network and the time that trainings before an interruption took, s.
    """
    start = time.perf_counter()
    worker = distributed.get_rank() if n_workers > 1 else 0
    network = _new_network(recipe)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.steps, pct_start=0.1
    )
    first_step, running_loss, earlier_seconds = 1, 0.0, 0.0
    state = None if checkpoint is None else checkpoint.load()
    if state is not None:
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        first_step, running_loss, earlier_seconds = state["step"] + 1, state["running"], state["seconds"]
    loss_of: nn.Module = SizeLoss(network)
    if n_workers > 1:
        loss_of = nn.parallel.DistributedDataParallel(loss_of, **OWN_STATISTICS)
    # The next batch is drawn while the network trains on this one.
    with ThreadPoolExecutor(1) as pool:
        if first_step <= recipe.steps:
            frames = ShuffledFrames(recipe, first_step, progress, worker, n_workers)
            next_batch = pool.submit(frames.draw)
        for step in range(first_step, recipe.steps + 1):
            vectors, targets, present = next_batch.result()
            if step < recipe.steps:
                next_batch = pool.submit(frames.draw)
            loss = loss_of(vectors, targets, present)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT_NORM)
            optimizer.step()
            schedule.step()
            value = float(_mean_of_workers(loss.detach()))
            running_loss += (1.0 if step == 1 else 0.02) * (value - running_loss)
            if step % 10 == 0 or step == recipe.steps:
                progress(f"training, loss {running_loss:.3f}", step, recipe.steps)
            saves = checkpoint is not None and step % checkpoint_steps == 0
            if saves or step == recipe.steps:
                _share_statistics(network)
            if checkpoint is not None and worker == 0 and (saves or step == recipe.steps):
                checkpoint.save(
                    {
                        "step": step,
                        "running": running_loss,
                        "seconds": earlier_seconds + time.perf_counter() - start,
                        "network": network.state_dict(),
                        "optimizer": optimizer.state_dict(),
                        "schedule": schedule.state_dict(),
                        "workers": n_workers,
                    }
                )
    return {"network": network.state_dict(), "earlier": earlier_seconds}


def _mean_of_workers(value: Tensor) -> Tensor:
    """Mean over the workers; the same value where there are none."""
    if not distributed.is_initialized():
        return value
    total = value.clone()
    distributed.all_reduce(total)
    return total / distributed.get_world_size()


def _share_statistics(network: nn.Module) -> None:
    """Replace the running statistics of the normalization by their mean over the workers."""
    for buffer in network.buffers():
        if buffer.is_floating_point():
            buffer.copy_(_mean_of_workers(buffer))


class SizeLoss(nn.Module):
    """Gaussian negative log-likelihood of frames with dots, plus cross-entropy of the presence of dots.

    In a process group of `torch.distributed`, the mean of the losses of all processes is the loss of all
    their frames, although they have different numbers of frames with dots.

    Parameters
    ----------
    network
        Network.
    reduced_precision
        Whether the middle layers use bfloat16.
    """

    def __init__(self, network: SizeNetwork, reduced_precision: bool = True) -> None:
        super().__init__()
        self.network = network
        """As given."""
        self._reduced_precision = reduced_precision

    def forward(self, vectors: Tensor, targets: Tensor, present: Tensor) -> Tensor:
        """Loss of a batch.

        Parameters
        ----------
        vectors
            Network inputs, shape (n, 3 or 4, n_bins).
        targets
            Scaled targets, shape (n, n_targets).
        present
            Whether there are dots, shape (n,).

        Returns
        -------
        The loss, a scalar.
        """
        # bfloat16 products halve the time of a step on processors that support them. Their precision of two
        # digits is too low for the input patterns and the output sizes.
        stems = self.network.stems(vectors)
        with torch.autocast("cpu", torch.bfloat16, enabled=self._reduced_precision):
            features = self.network.features(*stems)
        mean, log_sigma, presence = self.network.outputs(features.float())
        squared = ((mean - targets) / log_sigma.exp()) ** 2
        losses = (0.5 * squared + log_sigma)[present]
        if distributed.is_initialized():
            likelihood = losses.sum() / (_mean_of_workers(present.sum().float()) * targets.shape[1])
        else:
            likelihood = losses.mean()
        presence_loss = nn.functional.binary_cross_entropy_with_logits(presence, present.float())
        return torch.as_tensor(likelihood + PRESENCE_WEIGHT * presence_loss)


class ShuffledFrames:
    """Batches drawn from the newest frames of a stream; each frame is used twice on average.

    The stream draws 32 frames of one structure, strain and source at a time. Training on batches of a few
    such groups would be unstable.

    Parameters
    ----------
    recipe
        Recipe of the training.
    step
        Step of the first batch; the batches do not depend on where a training is resumed.
    progress
        Called for each structure that is tabulated.
    worker
        Number of the worker, from 0.
    n_workers
        Number of workers. Each draws structures and frames of its own, together as many as one would.
    """

    def __init__(
        self,
        recipe: SizeRecipe,
        step: int,
        progress: Progress = silent,
        worker: int = 0,
        n_workers: int = 1,
    ) -> None:
        self._recipe, self._step = recipe, step
        self._seed, generator, stream_seed = [recipe.seed], recipe.generator, recipe.seed
        if n_workers > 1:
            self._seed += [n_workers, worker]
            generator = generator.model_copy(
                update={"n_structures": math.ceil(generator.n_structures / n_workers)}
            )
            # Far from the seeds of the calibration, which follow that of the recipe.
            stream_seed = int(np.random.SeedSequence(self._seed).generate_state(1, np.uint64)[0])
        self._stream = FrameStream(generator, stream_seed, torch.get_num_threads(), progress)
        self._n_frames = recipe.batch_size // n_workers
        self._n_new = self._n_frames // 2
        self._stream.skip((step - 1) * self._n_new)
        n_blocks = min(
            SHUFFLED_FRAMES // n_workers // self._n_new, recipe.steps
        )  # short trainings need fewer
        self._kept = [self._new() for _ in range(n_blocks)]

    def _new(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
        batch = self._stream.batch(self._n_new)
        vectors = frame_vectors(batch, bool(self._recipe.resolution))
        return vectors, _targets(batch), batch.present

    def draw(self) -> tuple[Tensor, Tensor, Tensor]:
        """Draw the next batch.

        Returns
        -------
        Network inputs, shape (n, 3 or 4, n_bins), targets, shape (n, n_targets), and presence of dots,
        shape (n,).
        """
        rng = np.random.default_rng([self._seed[0], self._step, *self._seed[1:]])
        self._step += 1
        self._kept = [*self._kept[1:], self._new()]
        chosen = rng.integers(len(self._kept) * self._n_new, size=self._n_frames)
        vectors, targets, present = (
            torch.from_numpy(np.array([part[n // self._n_new][n % self._n_new] for n in chosen]))
            for part in zip(*self._kept, strict=True)
        )
        return vectors, targets, present


def frame_vectors(batch: FrameBatch, resolution: bool) -> NDArray[np.float32]:
    """Network inputs of simulated frames.

    Parameters
    ----------
    batch
        Frames.
    resolution
        Whether the network takes the width of the instrument, which is then known to `WIDTH_ERROR`.

    Returns
    -------
    Network inputs, shape (n, 3, n_bins) or (n, 4, n_bins).
    """
    if not resolution:
        return binned_vectors(batch.intensity, batch.sigma, batch.mask)
    # The error follows from the frame, so that batches do not depend on how they are divided.
    seeds = batch.intensity.sum(axis=1).astype(np.uint64) + (batch.mass_mean_nm * 1e6).astype(np.uint64)
    errors = [np.random.default_rng(int(seed)).standard_normal() for seed in seeds]
    width = batch.resolution_inv_angstrom * np.exp(WIDTH_ERROR * np.array(errors))[:, None]
    return binned_vectors(batch.intensity, batch.sigma, batch.mask, resolution_inv_angstrom=width)


def _targets(batch: FrameBatch) -> NDArray[np.float32]:
    columns = (np.log(batch.number_mean_nm), np.log(batch.mass_mean_nm), batch.dispersion, batch.strain)
    scaled = (np.stack(columns, axis=1) - TARGET_OFFSET) / TARGET_SCALE
    return np.asarray(scaled, np.float32)


class _Predictions(NamedTuple):
    """Errors of a batch and the standard deviations that the network predicts for them."""

    error: NDArray[np.float64]
    """Errors of ln number mean, ln mass mean and dispersion, shape (n, 3)."""
    sd: NDArray[np.float64]
    """Predicted standard deviations, shape (n, 3)."""
    presence: NDArray[np.float64]
    """Probability of dots, shape (n,)."""


def _predictions(network: SizeNetwork, batch: FrameBatch) -> _Predictions:
    vectors = torch.from_numpy(frame_vectors(batch, network.resolution))
    with torch.no_grad():
        parts = [network(vectors[start : start + 1024]) for start in range(0, len(vectors), 1024)]
    mean, log_sigma, presence = (torch.cat(column).double().numpy() for column in zip(*parts, strict=True))
    truth = np.stack([np.log(batch.number_mean_nm), np.log(batch.mass_mean_nm), batch.dispersion], axis=1)
    offset, scale = np.array(TARGET_OFFSET[:3]), np.array(TARGET_SCALE[:3])
    error = offset + scale * mean[:, :3] - truth
    return _Predictions(error, scale * np.exp(log_sigma[:, :3]), 1 / (1 + np.exp(-presence)))


def _calibrated(
    recipe: SizeRecipe, network: SizeNetwork, fresh: FrameStream, held_out: FrameStream
) -> GaussianOutput:
    """Set the scales to cover 95 % of new training frames, then the floors to cover 95 % of held-out ones.

    Held-out frames that the network is too unsure of to be sized do not count: they would set the floors of
    those that are.
    """
    batch = fresh.batch(recipe.calibration_frames)
    trained, present = _predictions(network, batch), batch.present
    scales = [interval_scale(trained.error[present, k], trained.sd[present, k]) for k in range(3)]
    batch = held_out.batch(recipe.calibration_frames)
    found = _predictions(network, batch)
    relative_width = 2 * TWO_SIDED_95 * scales[0] * found.sd[:, 0]
    kept = batch.present & (relative_width <= recipe.thresholds.max_relative_interval)
    if not kept.any():  # after a few steps of training a network is sure of nothing
        kept = batch.present
    dispersion = np.maximum(batch.dispersion + found.error[:, 2], 0.0)[kept]
    intervals = []
    for k, truth in enumerate((batch.number_mean_nm, batch.mass_mean_nm)):
        error = found.error[kept, k]
        size_nm = truth[kept] * np.exp(error)
        floor, floor_nm, broad = interval_floors(error, scales[k] * found.sd[kept, k], size_nm, dispersion)
        floor, floor_nm = max(floor, MIN_FLOOR), max(floor_nm, MIN_FLOOR_NM)
        intervals.append(
            IntervalCalibration(scale=scales[k], floor=floor, floor_nm=floor_nm, floor_dispersion=broad)
        )
    needed = (found.error[kept, 2] / TWO_SIDED_95) ** 2 - (scales[2] * found.sd[kept, 2]) ** 2
    dispersion_floor = math.sqrt(max(float(np.quantile(needed, 0.95)), 0.0))
    number, mass = intervals
    return GaussianOutput(
        target_offset=TARGET_OFFSET,
        target_scale=TARGET_SCALE,
        interval_scale=number.scale,
        interval_floor=number.floor,
        interval_floor_nm=number.floor_nm,
        interval_floor_dispersion=number.floor_dispersion,
        mass_interval=mass,
        dispersion_interval=IntervalCalibration(scale=scales[2], floor=dispersion_floor),
    )


def _evaluate(network: SizeNetwork, output: GaussianOutput, batch: FrameBatch) -> dict[str, float]:
    found, present = _predictions(network, batch), batch.present
    number = output.number_interval
    dispersion = np.maximum(batch.dispersion + found.error[:, 2], 0.0)[present]
    results: dict[str, float] = {}
    # Names of results are stored in model files and keep their wording.
    for k, (name, truth, interval) in enumerate(
        (
            ("", batch.number_mean_nm, number),
            (" of the mass mean", batch.mass_mean_nm, output.mass_interval or number),
        )
    ):
        error = found.error[present, k]
        size_nm = truth[present] * np.exp(error)
        width = log_size_sds(found.sd[present, k], size_nm, dispersion, interval)
        size_error = np.abs(np.expm1(error) * truth[present])
        results |= {
            f"median error{name} (nm)": float(np.median(size_error)),
            f"mean error{name} (nm)": float(np.mean(size_error)),
            f"coverage of 95 % interval{name}": float(np.mean(np.abs(error) <= TWO_SIDED_95 * width)),
            f"median interval half-width{name} (nm)": float(np.median(TWO_SIDED_95 * width * truth[present])),
        }
    return results | {
        "frames without dots called dots": float(np.mean(found.presence[~present] > 0.5)),
        "frames with dots called empty": float(np.mean(found.presence[present] < 0.5)),
    }

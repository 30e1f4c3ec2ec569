"""Training of a size network on frames that are simulated as it trains."""

import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..models import N_CHANNELS, GaussianOutput, binned_vectors
from ..simulation import FrameBatch, FrameGenerator
from ._networks import SizeNetwork
from ._progress import Progress
from ._recipe import SizeRecipe

__all__ = ["SizeFit", "fit_size"]

TARGET_OFFSET = (float(np.log(5.0)), float(np.log(5.0)), 0.14, 0.0)
TARGET_SCALE = (0.5, 0.5, 0.06, 0.004)
"""Centre and spread of ln size, ln mass mean, dispersion and strain: the network starts near 1."""

PRESENCE_WEIGHT = 0.5
"""Weight of the dots-or-none loss: it settles early, and the sizes matter more."""

WEIGHT_DECAY = 1e-4
GRADIENT_LIMIT = 1.0
"""Norm at which gradients are cut: one confident miss must not undo a thousand steps."""

QUANTILE_95 = 1.959964


@dataclass(frozen=True, eq=False)
class SizeFit:
    """A trained size network with intervals made honest on held-out physics."""

    network: SizeNetwork
    """The network."""
    output: GaussianOutput
    """Scales of its answers."""
    evaluation: dict[str, float]
    """Results on fresh frames."""
    seconds: float
    """Wall time."""


def fit_size(recipe: SizeRecipe, progress: Progress) -> SizeFit:
    """Train, then set the width of the intervals.

    Parameters
    ----------
    recipe
        What to train.
    progress
        Told of each step.

    Returns
    -------
    The trained network.
    """
    began = time.perf_counter()
    progress("tabulating dots", 0, recipe.steps)
    torch.manual_seed(recipe.seed)
    generator = FrameGenerator(recipe.generator, recipe.seed)
    network = SizeNetwork(recipe.generator.grid.n_bins, N_CHANNELS, len(TARGET_SCALE))
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.steps, pct_start=0.1
    )
    running = 0.0
    for step in range(1, recipe.steps + 1):
        batch = generator.batch(recipe.batch_size)
        loss = _loss(network, batch)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_LIMIT)
        optimizer.step()
        schedule.step()
        running += (1.0 if step == 1 else 0.02) * (loss.item() - running)
        if step % 10 == 0 or step == recipe.steps:
            progress(f"training, loss {running:.3f}", step, recipe.steps)
    network.eval()
    progress("calibrating intervals", recipe.steps, recipe.steps)
    fresh = FrameGenerator(recipe.generator, recipe.seed + 1)
    held_out = FrameGenerator(recipe.held_out, recipe.seed + 2)
    output = _calibrated(recipe, network, fresh, held_out)
    evaluation = {
        f"{name}, {where}": value
        for where, source in (("training physics", fresh), ("held-out physics", held_out))
        for name, value in _evaluate(network, output, source.batch(recipe.calibration_frames)).items()
    }
    return SizeFit(network, output, evaluation, time.perf_counter() - began)


def _targets(batch: FrameBatch) -> Tensor:
    columns = (np.log(batch.number_mean_nm), np.log(batch.mass_mean_nm), batch.dispersion, batch.strain)
    scaled = (np.stack(columns, axis=1) - TARGET_OFFSET) / TARGET_SCALE
    return torch.from_numpy(scaled.astype(np.float32))


def _loss(network: SizeNetwork, batch: FrameBatch) -> Tensor:
    """Gaussian negative log likelihood where there are dots, plus cross-entropy of their presence."""
    vectors = torch.from_numpy(binned_vectors(batch.intensity, batch.sigma, batch.mask))
    # bfloat16 products halve the time of a step where the processor has them; the sums stay float32.
    with torch.autocast("cpu", torch.bfloat16):
        mean, log_sigma, presence = (output.float() for output in network(vectors))
    present = torch.from_numpy(batch.present)
    squared = ((mean - _targets(batch)) / log_sigma.exp()) ** 2
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
    recipe: SizeRecipe, network: SizeNetwork, fresh: FrameGenerator, held_out: FrameGenerator
) -> GaussianOutput:
    """Scale so that 95 % of fresh frames are covered, then a floor so that 95 % of held-out ones are."""
    batch = fresh.batch(recipe.calibration_frames)
    error, sigma, _ = _sizes(network, batch)
    ratio = np.abs(error / sigma)[batch.present]
    scale = max(1.0, float(np.quantile(ratio, 0.95)) / QUANTILE_95)
    batch = held_out.batch(recipe.calibration_frames)
    error, sigma, _ = _sizes(network, batch)
    # |error| ≤ q √((s σ)² + floor²) for 95 %: the floor each frame needs, and its 95 % quantile.
    needed = np.maximum((error / QUANTILE_95) ** 2 - (scale * sigma) ** 2, 0.0)[batch.present]
    return GaussianOutput(
        target_offset=TARGET_OFFSET,
        target_scale=TARGET_SCALE,
        interval_scale=scale,
        interval_floor=float(np.sqrt(np.quantile(needed, 0.95))),
    )


def _evaluate(network: SizeNetwork, output: GaussianOutput, batch: FrameBatch) -> dict[str, float]:
    error, sigma, presence = _sizes(network, batch)
    present = batch.present
    width = np.hypot(output.interval_scale * sigma, output.interval_floor)
    size_error = np.abs(np.expm1(error) * batch.number_mean_nm)[present]
    return {
        "median error (nm)": float(np.median(size_error)),
        "mean error (nm)": float(np.mean(size_error)),
        "coverage of 95 % interval": float(np.mean(np.abs(error) <= QUANTILE_95 * width, where=present)),
        "median interval half-width (nm)": float(
            np.median((QUANTILE_95 * width * batch.number_mean_nm)[present])
        ),
        "frames without dots called dots": float(np.mean(presence[~present] > 0.5)),
        "frames with dots called empty": float(np.mean(presence[present] < 0.5)),
    }

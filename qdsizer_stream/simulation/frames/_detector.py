"""What a detector leaves of a pattern: range, gaps and gains of modules, coarse steps, dead regions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._draws import log_uniform
from ._stream_recipe import StreamRecipe

__all__ = ["CoarseScans", "Modules", "averaged_over_steps", "drawn_mask", "drawn_modules"]

MIN_BINS = 30
"""Bins with data that every frame has; no model sizes frames with fewer."""


@dataclass(frozen=True, eq=False)
class Modules:
    """Modules of a detector, equal and in a row, and their gains; one detector for each frame."""

    pitch_deg: NDArray[np.float32]
    """From module to module, degrees, shape (n, 1)."""
    begin: NDArray[np.float32]
    """Position of 2θ = 0 in a module, 0 to 1, shape (n, 1)."""
    gain: NDArray[np.float32]
    """Gain of each module, shape (n, n_modules)."""

    def gains(self, two_theta_deg: NDArray[np.float64]) -> NDArray[np.float32]:
        """Gain at each bin.

        Parameters
        ----------
        two_theta_deg
            Apparent scattering angles, degrees, shape (n_bins,).

        Returns
        -------
        Gains, shape (n, n_bins).
        """
        module = np.floor(two_theta_deg.astype(np.float32) / self.pitch_deg + self.begin).astype(np.intp)
        return np.take_along_axis(self.gain, module, axis=1)


@dataclass(frozen=True, eq=False)
class CoarseScans:
    """Frames that are scans in coarse steps."""

    frames: NDArray[np.intp]
    """Indices of these frames, shape (n_coarse,)."""
    bins_per_step: NDArray[np.float64]
    """Step, in bins, shape (n_coarse,)."""


def drawn_modules(
    rng: np.random.Generator, recipe: StreamRecipe, n: int, max_two_theta_deg: float
) -> Modules:
    """Draw the modules of n detectors with unequal gains.

    Parameters
    ----------
    rng
        Source of randomness.
    recipe
        Ranges: `module_gain_step` and `gap_pitch_deg`.
    n
        Number of frames.
    max_two_theta_deg
        Largest angle, degrees.

    Returns
    -------
    The modules; gains are uniform within half a step of 1.
    """
    pitch = rng.uniform(*recipe.gap_pitch_deg, (n, 1)).astype(np.float32)
    begin = rng.uniform(0, 1, (n, 1)).astype(np.float32)
    step = rng.uniform(*(recipe.module_gain_step or (0.0, 0.0)), (n, 1))
    n_modules = int(max_two_theta_deg / pitch.min()) + 3
    gain = 1 + step * rng.uniform(-0.5, 0.5, (n, n_modules))
    return Modules(pitch, begin, gain.astype(np.float32))


def drawn_mask(
    rng: np.random.Generator,
    recipe: StreamRecipe,
    q_inv_angstrom: NDArray[np.float64],
    two_theta_deg: NDArray[np.float64],
    n_bins: int,
    n: int,
    modules: Modules | None,
) -> tuple[NDArray[np.bool_], CoarseScans]:
    """Draw short ranges, module gaps, coarse steps and dead regions.

    Parameters
    ----------
    rng
        Source of randomness.
    recipe
        Ranges.
    q_inv_angstrom, two_theta_deg
        Momentum transfers, Å⁻¹, and apparent angles, degrees, of the bins, each of shape (n_bins_all,).
    n_bins
        Bins within reach of the source.
    n
        Number of frames.
    modules
        Modules, where they have been drawn already: gaps are then where their gains change.

    Returns
    -------
    True for bins without data, shape (n, n_bins_all), and the coarse scans.
    """
    q = q_inv_angstrom
    reach = q[n_bins - 1]
    lowest, highest = recipe.q_low_inv_angstrom[0], min(recipe.q_high_inv_angstrom[1], reach)
    low = np.where(rng.random(n) < 0.5, rng.uniform(*recipe.q_low_inv_angstrom, n), lowest)
    first_end = min(recipe.q_high_inv_angstrom[0], highest)
    short = rng.random(n) < 0.5
    if recipe.q_high_logarithmic:
        high = np.where(short, log_uniform(rng, (first_end, highest), n), highest)
    else:
        high = np.where(short, rng.uniform(first_end, highest, n), highest)
    mask = (q < low[:, None]) | (q > high[:, None])
    gapped = np.flatnonzero(rng.random(n) < recipe.gaps)
    pitch = rng.uniform(*recipe.gap_pitch_deg, (gapped.size, 1)).astype(np.float32)
    width = rng.uniform(*recipe.gap_width_deg, (gapped.size, 1)).astype(np.float32)
    begin = rng.uniform(0, 1, (gapped.size, 1)).astype(np.float32)
    if modules is not None:
        pitch, begin = modules.pitch_deg[gapped], modules.begin[gapped]
    in_modules = two_theta_deg.astype(np.float32) / pitch + begin
    mask[gapped] |= in_modules - np.floor(in_modules) >= 1 - width / pitch
    outside = mask.copy()
    coarse = np.flatnonzero(rng.random(n) < recipe.coarse)
    bins_per_step = (
        rng.uniform(*recipe.coarse_step_inv_angstrom, coarse.size) / recipe.grid.q_step_inv_angstrom
    )
    phase = rng.random(coarse.size)
    index = np.arange(-1, q.size)
    for row, stride, first in zip(coarse, bins_per_step, phase, strict=True):
        mask[row] |= np.diff(np.floor(index / stride + first)) == 0
    for row in np.flatnonzero(rng.random(n) < recipe.missing):
        width_inv_angstrom = rng.uniform(*recipe.missing_inv_angstrom)
        start = rng.uniform(q[0] - width_inv_angstrom, q[-1])
        mask[row] |= (q >= start) & (q < start + width_inv_angstrom)
    # A dead region may cover all of a short range: such a frame keeps its range without it.
    empty = np.count_nonzero(~mask, axis=1) < MIN_BINS
    mask[empty] = outside[empty]
    return np.asarray(mask), CoarseScans(coarse, bins_per_step)


def averaged_over_steps(frames: NDArray[np.float32], scans: CoarseScans) -> None:
    """Replace frames by their averages over the steps of coarse scans, as wide channels count.

    Parameters
    ----------
    frames
        Expected counts, shape (n, n_bins); the frames of the scans are changed in place.
    scans
        Frames to average, and their steps.
    """
    edges = np.arange(frames.shape[1] + 1, dtype=np.float64)
    centres = edges[:-1] + 0.5
    for row, step in zip(scans.frames, scans.bins_per_step, strict=True):
        integral = np.concatenate([[0.0], np.cumsum(frames[row], dtype=np.float64)])
        # At the ends of the grid a step is cut short.
        low, high = np.maximum(centres - step / 2, 0.0), np.minimum(centres + step / 2, edges[-1])
        total = np.interp(high, edges, integral) - np.interp(low, edges, integral)
        frames[row] = total / (high - low)

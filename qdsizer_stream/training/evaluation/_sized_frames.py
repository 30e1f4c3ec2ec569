"""Frames of a stream, sized with all acceptance checks, and their true sizes."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import PatternError
from ...models import SizingModel
from ...patterns import Pattern
from ...simulation import FrameBatch, FrameStream
from ...sizing import Sizer, SizingConfig, Status
from ._photon_limit import min_half_width_nm

__all__ = ["SizedFrames", "drawn", "size_frames"]

GROUP_SIZE = 32
"""Number of frames per group of the stream."""

BATCH_SIZE = 256
"""Maximum number of frames in memory: 20 MB on the finest grid."""


@dataclass(frozen=True, eq=False)
class SizedFrames:
    """Frames and their estimates by a model, one entry per frame."""

    group: NDArray[np.int64]
    """Group of each frame; frames of a group have the same structure, strain and instrument, so that their
    errors
    are correlated."""
    truth_nm: NDArray[np.float64]
    """Realised number-weighted mean diameter, nm."""
    area_fraction: NDArray[np.float64]
    """Fraction of the pattern's area due to dots."""
    counts_per_bin: NDArray[np.float64]
    """Mean photons per usable bin."""
    q_high_inv_angstrom: NDArray[np.float64]
    """Maximum usable Q, Å⁻¹."""
    status: NDArray[np.str_]
    """Status of the estimate."""
    size_nm: NDArray[np.float64]
    """Size predicted by the network, also for rejected frames, nm; NaN if it could not be predicted."""
    low_nm: NDArray[np.float64]
    """Lower end of its 95 % interval, nm."""
    high_nm: NDArray[np.float64]
    """Upper end of its 95 % interval, nm."""
    limit_nm: NDArray[np.float64]
    """Half-width due to counting noise alone, nm; NaN if the physics check was not done."""

    @property
    def sized(self) -> NDArray[np.bool_]:
        """Whether the frame passed all acceptance checks."""
        return np.asarray(self.status == Status.SIZED.value)

    @property
    def covered(self) -> NDArray[np.bool_]:
        """Whether the interval contains the true size."""
        return np.asarray((self.low_nm <= self.truth_nm) & (self.truth_nm <= self.high_nm))

    @property
    def error_nm(self) -> NDArray[np.float64]:
        """Absolute error of the size, nm."""
        return np.abs(self.size_nm - self.truth_nm)

    @property
    def half_width_nm(self) -> NDArray[np.float64]:
        """Half of the width of the interval, nm."""
        return 0.5 * (self.high_nm - self.low_nm)

    @property
    def coverage(self) -> tuple[float, float]:
        """Fraction of the frames whose interval contains the true size, and its standard error.

        Errors of frames of one group are correlated, so the standard error is that of the groups, and at
        least
        that of the same number of independent frames at 95 %.
        """
        n = self.truth_nm.size
        if n == 0:
            return math.nan, math.nan
        coverage = float(self.covered.mean())
        by_group = np.bincount(self.group - self.group.min(), self.covered - coverage)
        return coverage, max(float(np.linalg.norm(by_group)) / n, math.sqrt(0.95 * 0.05 / n))

    def take(self, rows: NDArray[np.bool_]) -> "SizedFrames":
        """Select frames.

        Parameters
        ----------
        rows
            Selection, shape (n,).

        Returns
        -------
        The selected frames.
        """
        return SizedFrames(**{name: values[rows] for name, values in vars(self).items()})


def drawn(
    stream: FrameStream, n_frames: int, progress: Callable[[int], None] = lambda _done: None
) -> Iterator[FrameBatch]:
    """Draw frames in batches that fit in memory.

    Parameters
    ----------
    stream
        Frame stream.
    n_frames
        Number of frames, rounded up to a multiple of 32.
    progress
        Called with the number of frames drawn.

    Yields
    ------
    Batches of frames.
    """
    total = -(-n_frames // GROUP_SIZE) * GROUP_SIZE
    for done in range(0, total, BATCH_SIZE):
        progress(done)
        yield stream.batch(min(total - done, BATCH_SIZE))


def size_frames(
    model: SizingModel, q_inv_angstrom: NDArray[np.float64], batches: Iterable[FrameBatch]
) -> SizedFrames:
    """Size frames with all acceptance checks.

    Parameters
    ----------
    model
        Model.
    q_inv_angstrom
        Assumed centres of the bins of the frames, Å⁻¹, shape (n_bins,).
    batches
        Batches of frames.

    Returns
    -------
    The frames that contain dots, with their estimates.
    """
    sizer = Sizer(SizingConfig(model=str(model.path)))
    rows: list[tuple[float | str, ...]] = []
    n_before = 0
    for batch in batches:
        for i in np.flatnonzero(batch.present):
            pattern = Pattern(q_inv_angstrom, batch.intensity[i], batch.sigma[i], batch.mask[i])
            usable = pattern.usable
            width = np.interp(sizer.bins.centres, q_inv_angstrom, batch.resolution_inv_angstrom[i])
            examination = sizer.examine(pattern, resolution_inv_angstrom=width)
            binned, fit = examination.binned, examination.fit
            truth_nm, dispersion = float(batch.number_mean_nm[i]), float(batch.dispersion[i])
            limit_nm = math.nan
            if binned is not None and fit is not None:
                limit_nm = min_half_width_nm(model.templates, binned, fit, truth_nm, dispersion)
            rows.append(
                (
                    int(n_before + i) // GROUP_SIZE,
                    truth_nm,
                    float(batch.area_fraction[i]),
                    float(pattern.intensity[usable].mean()),
                    float(pattern.q_inv_angstrom[usable][-1]),
                    examination.estimate.status.value,
                    *_predicted(model, pattern, binned, width),
                    limit_nm,
                )
            )
        n_before += batch.present.size
    return SizedFrames(*(np.array(column) for column in zip(*rows, strict=True)))


def _predicted(
    model: SizingModel, pattern: Pattern, binned: Pattern | None, width: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Size and interval that the network predicts, nm, whether the frame is rejected or not."""
    assert binned is not None  # a pattern always has bins, filled or empty
    try:
        answer = model.allow_for_channels(model.answer(pattern, width), binned)
    except PatternError:  # no usable points, so the sizer has rejected the frame
        return math.nan, math.nan, math.nan
    return answer.size_nm, answer.size_low_nm, answer.size_high_nm

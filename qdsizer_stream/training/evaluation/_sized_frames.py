"""Frames of a stream through the whole path, beside their truth."""

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
from ._photon_limit import least_half_width_nm

__all__ = ["SizedFrames", "drawn", "size_frames"]

DRAWN_TOGETHER = 32
"""The stream draws frames in groups of this."""

AT_ONCE = 256
"""Frames in memory: 20 MB on the finest grid."""


@dataclass(frozen=True, eq=False)
class SizedFrames:
    """What a model made of frames, one entry a frame."""

    group: NDArray[np.int64]
    """Which frames share structure, strain and instrument: they err together."""
    truth_nm: NDArray[np.float64]
    """Realised number-weighted mean diameter, nm."""
    area_fraction: NDArray[np.float64]
    """Share of the dots in the area."""
    counts_per_bin: NDArray[np.float64]
    """Mean photons of a usable bin."""
    q_high_inv_angstrom: NDArray[np.float64]
    """Last usable Q, Å⁻¹."""
    status: NDArray[np.str_]
    """What became of the frame."""
    size_nm: NDArray[np.float64]
    """What the network says, whatever the refusals say of it, nm; NaN where it could not be asked."""
    low_nm: NDArray[np.float64]
    """Lower end of its 95 % interval, nm."""
    high_nm: NDArray[np.float64]
    """Upper end of its 95 % interval, nm."""
    limit_nm: NDArray[np.float64]
    """Half-width that the photons allow, nm; NaN where the physics check was not made."""

    @property
    def sized(self) -> NDArray[np.bool_]:
        """Whether the answer is shown to anybody."""
        return np.asarray(self.status == Status.SIZED.value)

    @property
    def covered(self) -> NDArray[np.bool_]:
        """Whether the truth lies in the interval."""
        return np.asarray((self.low_nm <= self.truth_nm) & (self.truth_nm <= self.high_nm))

    @property
    def error_nm(self) -> NDArray[np.float64]:
        """Size less truth, without sign, nm."""
        return np.abs(self.size_nm - self.truth_nm)

    @property
    def half_width_nm(self) -> NDArray[np.float64]:
        """Half of the interval, nm."""
        return 0.5 * (self.high_nm - self.low_nm)

    @property
    def coverage(self) -> tuple[float, float]:
        """Share of the frames whose interval holds the truth, and its standard error.

        Frames of one group err together, so that the error is that of groups, and no less than that of as
        many independent frames at 95 %.
        """
        n = self.truth_nm.size
        if n == 0:
            return math.nan, math.nan
        share = float(self.covered.mean())
        by_group = np.bincount(self.group - self.group.min(), self.covered - share)
        return share, max(float(np.linalg.norm(by_group)) / n, math.sqrt(0.95 * 0.05 / n))

    def take(self, rows: NDArray[np.bool_]) -> "SizedFrames":
        """Some of the frames.

        Parameters
        ----------
        rows
            Which, shape (n,).

        Returns
        -------
        These frames.
        """
        return SizedFrames(**{name: values[rows] for name, values in vars(self).items()})


def drawn(
    stream: FrameStream, n_frames: int, tell: Callable[[int], None] = lambda _done: None
) -> Iterator[FrameBatch]:
    """Draw frames a few at a time.

    Parameters
    ----------
    stream
        Where the frames come from.
    n_frames
        Frames, rounded up to a multiple of 32.
    tell
        Told how many frames are done.

    Yields
    ------
    The frames.
    """
    total = -(-n_frames // DRAWN_TOGETHER) * DRAWN_TOGETHER
    for done in range(0, total, AT_ONCE):
        tell(done)
        yield stream.batch(min(total - done, AT_ONCE))


def size_frames(
    model: SizingModel, q_inv_angstrom: NDArray[np.float64], batches: Iterable[FrameBatch]
) -> SizedFrames:
    """Put frames through the whole path.

    Parameters
    ----------
    model
        Model.
    q_inv_angstrom
        Centres of the frames' bins as the program believes them, Å⁻¹, shape (n_bins,).
    batches
        Frames.

    Returns
    -------
    What became of the frames that hold dots.
    """
    sizer = Sizer(SizingConfig(model=str(model.path)))
    rows: list[tuple[float | str, ...]] = []
    before = 0
    for batch in batches:
        for i in np.flatnonzero(batch.present):
            pattern = Pattern(q_inv_angstrom, batch.intensity[i], batch.sigma[i], batch.mask[i])
            usable = pattern.usable
            examination = sizer.examine(pattern)
            binned, fit = examination.binned, examination.fit
            truth_nm, dispersion = float(batch.number_mean_nm[i]), float(batch.dispersion[i])
            limit_nm = math.nan
            if binned is not None and fit is not None:
                limit_nm = least_half_width_nm(model.templates, binned, fit, truth_nm, dispersion)
            rows.append(
                (
                    int(before + i) // DRAWN_TOGETHER,
                    truth_nm,
                    float(batch.area_fraction[i]),
                    float(pattern.intensity[usable].mean()),
                    float(pattern.q_inv_angstrom[usable][-1]),
                    examination.estimate.status.value,
                    *_predicted(model, pattern, binned),
                    limit_nm,
                )
            )
        before += batch.present.size
    return SizedFrames(*(np.array(column) for column in zip(*rows, strict=True)))


def _predicted(model: SizingModel, pattern: Pattern, binned: Pattern | None) -> tuple[float, float, float]:
    """Size and interval that the network predicts, nm, whether the frame is rejected or not."""
    assert binned is not None  # a pattern always has bins, filled or empty
    try:
        answer = model.allow_for_channels(model.answer(pattern), binned)
    except PatternError:  # nothing to standardize, which the sizer has refused
        return math.nan, math.nan, math.nan
    return answer.size_nm, answer.size_low_nm, answer.size_high_nm

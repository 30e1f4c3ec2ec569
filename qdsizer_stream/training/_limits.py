"""Limits of the refusals, from stated rates of error on simulated frames."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..configuration import validated
from ..errors import ModelError
from ..models import PhysicsFit, SizingModel, load_model
from ..patterns import Pattern
from ..simulation import (
    EMPTY_KINDS,
    FrameBatch,
    FrameStream,
    NegativeControl,
    StreamRecipe,
    negative_controls,
)
from ..sizing import Sizer, SizingConfig, Status
from ._progress import Progress, silent
from ._recard import recard
from ._recipe import SizeRecipe

__all__ = ["held_out_physics", "refusal_rates", "set_limits"]

FALSE_REFUSE = 0.001
"""Share of well-sized good frames that each limit alone may refuse; there are six."""

SLACK = 1.2
"""Room above the quantile: a few thousand frames know the last thousandth badly."""

FALSE_SIGHT = 0.001
"""Share of frames without dots in which network and check may both see some, the empty ones of the hostile
corpus among them."""

LEAST_SIGNIFICANCE = 40.0
"""Fall of χ² that the fifteen free peaks of the dots pass by chance once in two thousand."""

MAX_LOST = 10.8
"""χ² of one degree of freedom that is passed by chance once in a thousand."""

LEAST_SHIFT = 0.004
"""Shift by a 2θ zero 0.02° off at 0.56 Å, which every beamline has, Å⁻¹."""

LEAST_SHARE = 0.001
"""Smallest share of the dots' χ² allowed on top: templates come in steps."""


def held_out_physics(path: Path) -> StreamRecipe:
    """Tell which frames a model was not trained on but ought to size.

    Parameters
    ----------
    path
        Model file.

    Returns
    -------
    The held-out physics of the recipe on its card.

    Raises
    ------
    ModelError
        The file cannot be loaded, or its recipe keeps no physics out of training.
    ConfigurationError
        The recipe is one of another version of this package.
    """
    card = load_model(str(path)).card
    if card.recipe.get("kind") != "size":
        raise ModelError(
            f"model {card.name!r} is of kind {card.recipe.get('kind')!r}, which keeps no physics out of its "
            "training: limits are set from rates for models of kind 'size'"
        )
    return validated(SizeRecipe, card.recipe, "the recipe on its card").held_out


def set_limits(
    path: Path,
    good: StreamRecipe,
    *,
    n_frames: int = 2048,
    n_hostile: int = 20,
    seed: int = 1000,
    progress: Progress = silent,
) -> SizingModel:
    """Set the limits on the card of a model from good frames, and put their rates of error there.

    Limits come from one set of frames, rates from another; neither has a seed of the reports.

    Parameters
    ----------
    path
        Model file, which gets a new card.
    good
        Frames that ought to be sized, an eighth or so without any dots.
    n_frames
        Good frames in each set, a multiple of 32.
    n_hostile
        Hostile frames of each kind for the rates.
    seed
        Seed of both sets.
    progress
        Told of each step.

    Returns
    -------
    The model with its new card.

    Raises
    ------
    ModelError
        No good frame is sized rightly, or none is without dots.
    """
    progress("frames for the limits", 0, 3)
    stream = FrameStream(good, seed)
    model = load_model(str(path))
    fits, empty = _fits(model, stream.batch(n_frames), good)
    if not fits or not empty:
        raise ModelError(
            f"{n_frames} frames hold {len(fits)} that {path} sizes rightly and {len(empty)} without dots: "
            "limits need hundreds of both, give a recipe that the model knows, with no_dots above 0"
        )
    progress("frames for the rates", 1, 3)
    sizer = Sizer(SizingConfig(model=str(path)))
    for frame in negative_controls(model.card.material, seed + 2, n_hostile):
        if frame.kind in EMPTY_KINDS and (fit := sizer.examine(frame.pattern).fit) is not None:
            empty.append(_seen(model, frame.pattern, fit))
    lost = [max(fit.delta_chi2_better_size - MAX_LOST, 0.0) / fit.significance for fit in fits]
    thresholds = model.card.thresholds.model_copy(
        update={
            "min_significance": max(
                LEAST_SIGNIFICANCE, _rounded(SLACK * np.quantile(empty, 1 - FALSE_SIGHT))
            ),
            "min_explained": 1 - _rounded(SLACK * _quantile([1 - fit.explained for fit in fits])),
            "max_residual": _rounded(SLACK * _quantile([fit.residual for fit in fits])),
            "max_misfit": _rounded(SLACK * _quantile([fit.misfit for fit in fits])),
            "max_shift_inv_angstrom": max(
                LEAST_SHIFT, _rounded(SLACK * _quantile([abs(fit.shift_inv_angstrom) for fit in fits]))
            ),
            "max_delta_chi2_better_size": MAX_LOST,
            "max_delta_chi2_fraction": max(LEAST_SHARE, _rounded(SLACK * _quantile(lost))),
        }
    )
    model = recard(path, thresholds=thresholds)
    hostile = list(negative_controls(model.card.material, seed + 1, n_hostile))
    progress("rates", 2, 3)
    rates = refusal_rates(model, stream.batch(n_frames), good, hostile)
    progress("done", 3, 3)
    return recard(path, evaluation={name: round(rate, 5) for name, rate in rates.items()})


def refusal_rates(
    model: SizingModel, batch: FrameBatch, good: StreamRecipe, hostile: Sequence[NegativeControl]
) -> dict[str, float]:
    """Tell how often a model errs in what it refuses.

    Parameters
    ----------
    model
        Model with its limits.
    batch
        Good frames.
    good
        Recipe that they come from.
    hostile
        Hostile frames.

    Returns
    -------
    Rates by name: good frames refused, for whatever reason, for other reasons than few photons and by status;
    good frames sized past their interval, frames without dots sized, hostile frames wrongly sized.
    """
    sizer = Sizer(SizingConfig(model=str(model.path)))
    low, high = model.card.size_range_nm
    statuses, missed, empty = [], [], []
    for pattern, size_nm, present in _patterns(batch, good):
        estimate = sizer.size(pattern)
        if not present:
            empty.append(estimate.status is Status.SIZED)
        elif low <= size_nm <= high:
            statuses.append(estimate.status)
            if estimate.status is Status.SIZED:
                missed.append(not estimate.size_low_nm <= size_nm <= estimate.size_high_nm)
    estimates = [(frame.size_nm, sizer.size(frame.pattern)) for frame in hostile]
    wrong = [
        estimate.status is Status.SIZED and not estimate.size_low_nm <= size_nm <= estimate.size_high_nm
        for size_nm, estimate in estimates
    ]
    refused = [status is not Status.SIZED for status in statuses]
    foreign = [status not in (Status.SIZED, Status.LOW_COUNTS) for status in statuses]
    reasons = (reason for reason in Status if reason is not Status.SIZED)
    return {
        "good frames refused": float(np.mean(refused)),
        "good frames refused, not for few photons": float(np.mean(foreign)),
        **{f"good frames refused as {reason}": statuses.count(reason) / len(statuses) for reason in reasons},
        "good frames sized with an interval that misses": float(np.mean(missed)),
        "frames without dots sized": float(np.mean(empty)),
        "hostile frames sized with an interval that misses": float(np.mean(wrong)),
    }


def _patterns(batch: FrameBatch, good: StreamRecipe) -> Iterator[tuple[Pattern, float, bool]]:
    """Frames with their number mean and whether they hold dots at all."""
    for row in range(batch.mask.shape[0]):
        mask = batch.mask[row]
        intensity = np.where(mask, np.nan, batch.intensity[row])
        pattern = Pattern(good.grid.centres, intensity, batch.sigma[row], mask)
        yield pattern, float(batch.number_mean_nm[row]), bool(batch.present[row])


def _fits(model: SizingModel, batch: FrameBatch, good: StreamRecipe) -> tuple[list[PhysicsFit], list[float]]:
    """Fits of frames that the network sizes rightly, and what dots seem to bring to frames without any."""
    sizer = Sizer(SizingConfig(model=str(model.path)))
    low, high = model.card.size_range_nm
    right, empty = [], []
    for pattern, size_nm, present in _patterns(batch, good):
        examination = sizer.examine(pattern)
        if examination.fit is None:  # refused for what can be counted
            continue
        if not present:
            empty.append(_seen(model, pattern, examination.fit))
            continue
        assert examination.binned is not None  # there is a fit of it
        answer = model.allow_for_channels(model.answer(pattern), examination.binned)
        seen = examination.fit.significance >= model.card.thresholds.min_significance
        if seen and low <= size_nm <= high and answer.size_low_nm <= size_nm <= answer.size_high_nm:
            right.append(examination.fit)
    return right, empty


def _seen(model: SizingModel, pattern: Pattern, fit: PhysicsFit) -> float:
    """Fall of χ² that dots bring, none where the network sees no dots."""
    return fit.significance if model.answer(pattern).presence >= model.card.thresholds.min_presence else 0.0


def _quantile(values: Sequence[float]) -> NDArray[np.float64]:
    return np.asarray(np.quantile(values, 1 - FALSE_REFUSE))


def _rounded(value: float | NDArray[np.float64]) -> float:
    """Two digits, upwards: a card is read by people."""
    number = float(value)
    if number <= 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(number)) - 1)
    return round(math.ceil(number / unit) * unit, 12)

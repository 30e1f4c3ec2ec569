"""Thresholds of the acceptance checks, from error rates on simulated frames."""

import math
import os
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
    Progress,
    StreamRecipe,
    negative_controls,
    silent,
)
from ..sizing import Sizer, SizingConfig, Status
from ._recipe import SizeRecipe
from ._update_model_card import update_model_card

__all__ = ["error_rates", "held_out_simulations", "round_up", "set_thresholds"]

MAX_FALSE_REJECTION = 0.001
"""Maximum fraction of correctly sized good frames that each of the six thresholds alone may reject."""

SAFETY_FACTOR = 1.2
"""Factor on the quantiles, because a few thousand frames determine the last thousandth inaccurately."""

MAX_FALSE_DETECTION = 0.001
"""Maximum fraction of frames without dots, including such negative controls, in which both the network and
the
physics check may detect dots."""

MIN_SIGNIFICANCE = 40.0
"""Decrease of χ² that the fifteen free peaks of the dots exceed by chance once in two thousand frames."""

MAX_DELTA_CHI2 = 10.8
"""χ² with one degree of freedom that is exceeded by chance once in a thousand frames."""

MAX_RATIO_REJECTION = 0.003
"""Maximum fraction of good frames whose peaks may have heights that are rejected: a stricter quantile would
be that of frames with a handful of points, and accept every other crystal. The threshold for dots without
preferred orientation stays that of the recipe, whose good frames include films."""

MIN_RATIO_MISFIT = 5.5
"""Smallest threshold for the heights of the peaks, χ²; it rejects 1 in 400 good frames of `pbs`."""

MIN_DELTA_CHI2_FRACTION = 0.001
"""Minimum threshold for the fraction of the dots' χ²: the sizes of the templates are discrete."""


def held_out_simulations(path: str | os.PathLike[str]) -> StreamRecipe:
    """Recipe of frames that were held out from the training of a model but should be sized.

    Parameters
    ----------
    path
        Model file.

    Returns
    -------
    The held-out simulations of the recipe on its card.

    Raises
    ------
    ModelError
        The file cannot be loaded, or its recipe has no held-out simulations.
    ConfigurationError
        The recipe is not valid in this version of the package.
    """
    card = load_model(str(path)).card
    if card.recipe.get("kind") != "size":
        raise ModelError(
            f"model {card.name!r} is of kind {card.recipe.get('kind')!r}, which has no held-out "
            "simulations: give a model of kind 'size'"
        )
    return validated(SizeRecipe, card.recipe, "the recipe on its card").held_out


def set_thresholds(
    path: str | os.PathLike[str],
    good: StreamRecipe,
    *,
    n_frames: int = 2048,
    n_negative_controls: int = 20,
    seed: int = 1000,
    progress: Progress = silent,
) -> SizingModel:
    """Set the thresholds on the card of a model from good frames, and store their error rates there.

    Thresholds and error rates come from different sets of frames, with other seeds than the evaluation
    suites.

    Parameters
    ----------
    path
        Model file, whose card is updated in place.
    good
        Recipe of frames that should be sized, about one eighth of them without dots.
    n_frames
        Number of good frames in each set, a multiple of 32.
    n_negative_controls
        Number of negative controls of each kind in each set.
    seed
        Seed of the frames.
    progress
        Called at each step.

    Returns
    -------
    The model with its updated card.

    Raises
    ------
    ModelError
        No good frame is sized correctly, or none is without dots.
    """
    path = Path(path)
    progress("frames for the thresholds", 0, 3)
    stream = FrameStream(good, seed)
    model = load_model(str(path))
    fits, empty = _fits(model, stream.batch(n_frames), good)
    if not fits or not empty:
        raise ModelError(
            f"of {n_frames} frames, {path} sizes {len(fits)} correctly and {len(empty)} are without dots: "
            "thresholds need hundreds of both, give a recipe of the model's material with no_dots above 0"
        )
    progress("frames for the error rates", 1, 3)
    sizer = Sizer(SizingConfig(model=str(path)))
    for frame in negative_controls(model.card.material, seed + 2, n_negative_controls):
        if (
            frame.kind in EMPTY_KINDS
            and (fit := sizer.examine(frame.pattern, resolution_inv_angstrom=0.0).fit) is not None
        ):
            empty.append(_detected(model, frame.pattern, fit))
    fractions = [max(fit.delta_chi2_better_size - MAX_DELTA_CHI2, 0.0) / fit.significance for fit in fits]
    thresholds = model.card.thresholds.model_copy(
        update={
            "min_significance": max(
                MIN_SIGNIFICANCE, round_up(SAFETY_FACTOR * np.quantile(empty, 1 - MAX_FALSE_DETECTION))
            ),
            "min_explained": 1 - round_up(SAFETY_FACTOR * _quantile([1 - fit.explained for fit in fits])),
            "max_residual": round_up(SAFETY_FACTOR * _quantile([fit.residual for fit in fits])),
            "max_misfit": round_up(SAFETY_FACTOR * _quantile([fit.misfit for fit in fits])),
            "max_ratio_misfit_textured": max(
                MIN_RATIO_MISFIT,
                round_up(np.quantile([fit.ratio_misfit.textured for fit in fits], 1 - MAX_RATIO_REJECTION)),
            ),
            "max_delta_chi2_better_size": MAX_DELTA_CHI2,
            "max_delta_chi2_fraction": max(
                MIN_DELTA_CHI2_FRACTION, round_up(SAFETY_FACTOR * _quantile(fractions))
            ),
        }
    )
    model = update_model_card(path, thresholds=thresholds)
    controls = list(negative_controls(model.card.material, seed + 1, n_negative_controls))
    progress("error rates", 2, 3)
    rates = error_rates(model, stream.batch(n_frames), good, controls)
    progress("done", 3, 3)
    return update_model_card(path, evaluation={name: round(rate, 5) for name, rate in rates.items()})


def error_rates(
    model: SizingModel, batch: FrameBatch, good: StreamRecipe, controls: Sequence[NegativeControl]
) -> dict[str, float]:
    """Error rates of the acceptance checks of a model.

    Parameters
    ----------
    model
        Model with its thresholds.
    batch
        Good frames.
    good
        Recipe of the good frames.
    controls
        Negative controls.

    Returns
    -------
    Fractions by name: good frames rejected, in total, for other reasons than low counts, and by status; good
    frames sized with an interval that misses the true size; frames without dots sized; and negative controls
    sized wrongly. The names are stored in model files and keep their wording.
    """
    sizer = Sizer(SizingConfig(model=str(model.path)))
    low, high = model.card.size_range_nm
    statuses, missed, empty = [], [], []
    for pattern, size_nm, present, width in _patterns(batch, good, sizer):
        estimate = sizer.examine(pattern, resolution_inv_angstrom=width).estimate
        if not present:
            empty.append(estimate.status is Status.SIZED)
        elif low <= size_nm <= high:
            statuses.append(estimate.status)
            if estimate.status is Status.SIZED:
                missed.append(not estimate.size_low_nm <= size_nm <= estimate.size_high_nm)
    estimates = [
        (frame.size_nm, sizer.size(frame.pattern, resolution_inv_angstrom=0.0)) for frame in controls
    ]
    wrong = [
        estimate.status is Status.SIZED and not estimate.size_low_nm <= size_nm <= estimate.size_high_nm
        for size_nm, estimate in estimates
    ]
    rejected = [status is not Status.SIZED for status in statuses]
    rejected_with_counts = [status not in (Status.SIZED, Status.LOW_COUNTS) for status in statuses]
    reasons = (reason for reason in Status if reason is not Status.SIZED)
    return {
        "good frames refused": float(np.mean(rejected)),
        "good frames refused, not for few photons": float(np.mean(rejected_with_counts)),
        **{f"good frames refused as {reason}": statuses.count(reason) / len(statuses) for reason in reasons},
        "good frames sized with an interval that misses": float(np.mean(missed)),
        "frames without dots sized": float(np.mean(empty)),
        "hostile frames sized with an interval that misses": float(np.mean(wrong)),
    }


def _patterns(
    batch: FrameBatch, good: StreamRecipe, sizer: Sizer
) -> Iterator[tuple[Pattern, float, bool, NDArray[np.float64]]]:
    """Frames, number-weighted mean diameter, nm, presence of dots, and width of the instrument, Å⁻¹."""
    for row in range(batch.mask.shape[0]):
        mask = batch.mask[row]
        intensity = np.where(mask, np.nan, batch.intensity[row])
        pattern = Pattern(good.grid.centres, intensity, batch.sigma[row], mask)
        width = np.interp(sizer.bins.centres, good.grid.centres, batch.resolution_inv_angstrom[row])
        yield pattern, float(batch.number_mean_nm[row]), bool(batch.present[row]), width


def _fits(model: SizingModel, batch: FrameBatch, good: StreamRecipe) -> tuple[list[PhysicsFit], list[float]]:
    """Fits of frames that the network sizes correctly, and significance of dots in frames without dots."""
    sizer = Sizer(SizingConfig(model=str(model.path)))
    low, high = model.card.size_range_nm
    correct, empty = [], []
    for pattern, size_nm, present, width in _patterns(batch, good, sizer):
        examination = sizer.examine(pattern, resolution_inv_angstrom=width)
        if examination.fit is None:  # rejected before the physics check
            continue
        if not present:
            empty.append(_detected(model, pattern, examination.fit, width))
            continue
        assert examination.binned is not None  # it has been fitted
        answer = model.allow_for_channels(model.answer(pattern, width), examination.binned)
        detected = examination.fit.significance >= model.card.thresholds.min_significance
        if detected and low <= size_nm <= high and answer.size_low_nm <= size_nm <= answer.size_high_nm:
            correct.append(examination.fit)
    return correct, empty


def _detected(
    model: SizingModel, pattern: Pattern, fit: PhysicsFit, width: NDArray[np.float64] | None = None
) -> float:
    """Decrease of χ² due to dots; 0 if the network detects no dots."""
    presence = model.answer(pattern, width).presence
    return fit.significance if presence >= model.card.thresholds.min_presence else 0.0


def _quantile(values: Sequence[float]) -> NDArray[np.float64]:
    return np.asarray(np.quantile(values, 1 - MAX_FALSE_REJECTION))


def round_up(value: float | NDArray[np.float64]) -> float:
    """Round a threshold up to two significant digits, so that the model card stays readable.

    Parameters
    ----------
    value
        Threshold.

    Returns
    -------
    The rounded threshold; 0 if the value is not positive.
    """
    value = float(value)
    if value <= 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return round(math.ceil(value / unit) * unit, 12)

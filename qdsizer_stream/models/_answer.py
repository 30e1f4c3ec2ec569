"""The answer of a network for one frame, in physical units."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ._card import ClassOutput, FitOutput, GaussianOutput, SizeOutput
from ._interval import TWO_SIDED_95, log_size_sd

__all__ = [
    "WIDTH_Q_INV_ANGSTROM",
    "Answer",
    "allowing_for_exponent",
    "allowing_for_phases",
    "class_answer",
    "corrected_for_width",
    "gaussian_answer",
    "interpreted",
    "raised_for_width",
    "raised_to",
    "size_answer",
    "size_with_interval",
    "upper_widening",
    "with_widening",
]

CLASS_MARGIN = 1.5
"""Classes by which a classifier's interval extends beyond its quantiles: half of one is the class itself, and
on frames unlike its training a softmax near 1 was found one class off."""

CHANNEL_BROADENING_ANGSTROM_PER_NM = 1.3
"""Channels of width h make dots of diameter D look like D/√(1 + (1.3 h D)²), as widths of peaks add in
quadrature. The constant was 1.2 to 1.4 in 2048 simulated frames, h 0.028 to 0.056 Å⁻¹, D 2 to 10.5 nm."""

WIDTH_BROADENING_ANGSTROM_PER_NM = 2.0
"""An instrument of Gaussian FWHM w, of which a network does not know, makes dots of diameter D look like
D/√(1 + (2.0 w D)²). In 23 third-party patterns smeared to 0.02 to 0.09 Å⁻¹ the constant was 1.95 to 2.1 for
dots above 4 nm."""

WIDTH_BROADENING_ERROR = 0.2
"""Uncertainty of that constant: it depends on the dispersion, and was 1.8 to 2.2 for nearly all of those."""

WIDTH_Q_INV_ANGSTROM = 2.7
"""Q at which the width of an instrument stands for the whole pattern, Å⁻¹: with a bandwidth of 1 to 2 %,
of which the width rises with Q, patterns were as if it were that of 2.6 to 2.7."""

PHASES_TO_MASS_MEAN = 1.2
"""Relative standard deviation of the mass mean over the fraction of other crystals that were found: with it
and `PHASES_TO_SIZE`, 95 % intervals hold at least 92 % of the sizes of 585 simulated frames with 2 to 15 % of
one of six crystals of 1.5 to 12 nm, for each of them."""

PHASES_TO_SIZE = 1.6
"""The same for the number mean."""

MAX_CHANNEL_FRACTION = 0.95
"""Largest fraction of the squared width of the peaks attributed to channels or the instrument: the widening
stays finite."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Sizes of one frame, before any acceptance check; values that the model does not give are NaN."""

    size_nm: float
    """Number-weighted mean diameter, nm."""
    size_low_nm: float
    """Lower end of its 95 % interval, nm."""
    size_high_nm: float
    """Upper end of its 95 % interval, nm."""
    size_frame_sd_nm: float = math.nan
    """Standard deviation of `size_nm` by the frame itself, nm: it differs from frame to frame."""
    size_shared_sd_nm: float = math.nan
    """Standard deviation of `size_nm` that all frames of a sample share, nm: shape, surface, physics."""
    mass_mean_nm: float = math.nan
    """Mass-weighted mean diameter, nm."""
    mass_mean_low_nm: float = math.nan
    """Lower end of its 95 % interval, nm."""
    mass_mean_high_nm: float = math.nan
    """Upper end of its 95 % interval, nm."""
    mass_mean_frame_sd_nm: float = math.nan
    """Standard deviation of `mass_mean_nm` by the frame itself, nm."""
    mass_mean_shared_sd_nm: float = math.nan
    """Standard deviation of `mass_mean_nm` that all frames of a sample share, nm."""
    dispersion: float = math.nan
    """Relative standard deviation of the number distribution."""
    dispersion_low: float = math.nan
    """Lower end of its 95 % interval."""
    dispersion_high: float = math.nan
    """Upper end of its 95 % interval."""
    strain: float = math.nan
    """Isotropic strain of the lattice."""
    class_nm: float = math.nan
    """Most probable class, nm."""
    class_probability: float = math.nan
    """Softmax of that class."""
    presence: float = math.nan
    """Probability that the frame contains dots."""
    lower_factor: float = 1.0
    """Factor, at most 1, by which the lower ends are lower for what no frame of the sample shows."""
    upper_factor: float = 1.0
    """Factor, at least 1, by which the upper ends are higher for what no frame of the sample shows."""


def class_answer(output: ClassOutput, logits: NDArray[np.float32]) -> Answer:
    """Turn the logits of a classifier into sizes.

    Parameters
    ----------
    output
        Classes of the model.
    logits
        Logits, shape (n_classes,).

    Returns
    -------
    The most probable class as size; its interval runs from the 2.5 to the 97.5 % quantile of the
    softmax, widened by one and a half classes on either side.
    """
    probability = np.exp(logits.astype(np.float64) - logits.max())
    probability /= probability.sum()
    best = int(np.argmax(probability))
    cumulative = np.cumsum(probability)
    low = int(np.searchsorted(cumulative, 0.025))
    high = min(int(np.searchsorted(cumulative, 0.975)), len(output.classes_nm) - 1)
    margin = CLASS_MARGIN * output.step_nm
    low_nm, high_nm = output.classes_nm[low], output.classes_nm[high]
    return Answer(
        size_nm=output.classes_nm[best],
        size_low_nm=low_nm - margin,
        size_high_nm=high_nm + margin,
        # The width of a class is scatter, since frames of a sample near its edge change class; the margin
        # allows for a class that is wrong for all of them.
        size_frame_sd_nm=math.hypot((high_nm - low_nm) / (2 * TWO_SIDED_95), output.step_nm / math.sqrt(12)),
        size_shared_sd_nm=margin / TWO_SIDED_95,
        class_nm=output.classes_nm[best],
        class_probability=float(probability[best]),
    )


def size_answer(output: SizeOutput, scaled: float) -> Answer:
    """Turn the single output of a regression into a size.

    Parameters
    ----------
    output
        Scale of the output.
    scaled
        The network's output.

    Returns
    -------
    The size; its interval has the same width for every frame.
    """
    size = output.offset_nm + output.scale_nm * scaled
    return Answer(
        size_nm=size,
        size_low_nm=size - output.half_width_nm,
        size_high_nm=size + output.half_width_nm,
        # One measured error for all frames, whose parts are not known: both are at most all of it.
        size_frame_sd_nm=output.half_width_nm / TWO_SIDED_95,
        size_shared_sd_nm=output.half_width_nm / TWO_SIDED_95,
    )


def gaussian_answer(
    output: GaussianOutput, mean: NDArray[np.float32], log_sigma: NDArray[np.float32], presence_logit: float
) -> Answer:
    """Turn the normal distributions of a size network into sizes.

    Parameters
    ----------
    output
        Scales of the targets.
    mean, log_sigma
        The network's targets, each of shape (4,).
    presence_logit
        Logit that there are dots.

    Returns
    -------
    Sizes; the intervals are symmetric in the logarithm of the size. That of the mass-weighted mean has the
    floors of the number-weighted mean where it has none of its own.
    """
    scale, log_sd = output.target_scale, log_sigma.tolist()
    target = [
        offset + factor * scaled
        for offset, factor, scaled in zip(output.target_offset, scale, mean.tolist(), strict=True)
    ]
    size_nm, mass_mean_nm = math.exp(target[0]), math.exp(target[1])
    dispersion = max(target[2], 0.0)
    settings = output.number_floors(dispersion)
    network_sd, mass_network_sd = scale[0] * math.exp(log_sd[0]), scale[1] * math.exp(log_sd[1])
    sigma = log_size_sd(network_sd, size_nm, **settings)
    mass = settings if output.mass_interval is None else output.mass_interval.floors(dispersion)
    mass_sigma = log_size_sd(mass_network_sd, mass_mean_nm, **mass)
    dispersion_low, dispersion_high = math.nan, math.nan
    if output.dispersion_interval is not None:
        network = scale[2] * math.exp(log_sd[2])
        sd = math.hypot(output.dispersion_interval.scale * network, output.dispersion_interval.floor)
        dispersion_low = max(dispersion - TWO_SIDED_95 * sd, 0.0)
        dispersion_high = dispersion + TWO_SIDED_95 * sd
    return Answer(
        size_nm=size_nm,
        size_low_nm=math.exp(target[0] - TWO_SIDED_95 * sigma),
        size_high_nm=math.exp(target[0] + TWO_SIDED_95 * sigma),
        size_frame_sd_nm=size_nm * output.interval_scale * network_sd,
        size_shared_sd_nm=size_nm * log_size_sd(0.0, size_nm, **settings),
        mass_mean_nm=mass_mean_nm,
        mass_mean_low_nm=math.exp(target[1] - TWO_SIDED_95 * mass_sigma),
        mass_mean_high_nm=math.exp(target[1] + TWO_SIDED_95 * mass_sigma),
        mass_mean_frame_sd_nm=mass_mean_nm * mass["scale"] * mass_network_sd,
        mass_mean_shared_sd_nm=mass_mean_nm * log_size_sd(0.0, mass_mean_nm, **mass),
        dispersion=dispersion,
        dispersion_low=dispersion_low,
        dispersion_high=dispersion_high,
        strain=target[3],
        presence=1 / (1 + math.exp(-presence_logit)),
    )


def interpreted(
    output: ClassOutput | SizeOutput | GaussianOutput | FitOutput, outputs: Sequence[NDArray[np.float32]]
) -> Answer:
    """Turn the outputs of a network for one frame into sizes.

    Parameters
    ----------
    output
        Output on the card.
    outputs
        Outputs of the graph, in its order, without the axis of frames.

    Returns
    -------
    The answer.

    Raises
    ------
    ModelError
        The card is that of a model without a network.
    """
    match output:
        case ClassOutput() as classes:
            return class_answer(classes, outputs[0])
        case SizeOutput() as size:
            return size_answer(size, float(outputs[0][0]))
        case GaussianOutput() as gaussian:
            mean, log_sigma, presence = outputs
            return gaussian_answer(gaussian, mean, log_sigma, float(presence))
        case FitOutput():
            raise ModelError(
                "a card of a fit without a network stands beside a network: build the model again"
            )


def size_with_interval(answer: Answer) -> NDArray[np.float64]:
    """Size and the ends of its interval, nm, shape (3,): what a model file stores for its references."""
    return np.array([answer.size_nm, answer.size_low_nm, answer.size_high_nm])


def with_widening(answer: Answer, factor: float) -> Answer:
    """Move one end of the intervals of both means by what no frame of the sample shows.

    Parameters
    ----------
    answer
        Answer.
    factor
        Factor by which all sizes may differ: above 1 it raises the upper ends, below 1 it lowers the lower
        ones.

    Returns
    -------
    The answer with wider intervals.
    """
    down, up = min(factor, 1.0), max(factor, 1.0)
    return replace(
        answer,
        size_low_nm=answer.size_low_nm * down,
        size_high_nm=answer.size_high_nm * up,
        mass_mean_low_nm=answer.mass_mean_low_nm * down,
        mass_mean_high_nm=answer.mass_mean_high_nm * up,
        lower_factor=answer.lower_factor * down,
        upper_factor=answer.upper_factor * up,
    )


def upper_widening(size_nm: float, width_inv_angstrom: float, trained_inv_angstrom: float) -> float:
    """Factor on the upper end of an interval that allows for wide detector channels.

    Points far apart may be samples, or averages over the channels of a detector; which of the two cannot be
    determined from a pattern. Networks are trained on samples; where the points are averages, dots look too
    small.

    Parameters
    ----------
    size_nm
        Size that the network predicts, nm.
    width_inv_angstrom
        Distance of the points, Å⁻¹.
    trained_inv_angstrom
        Width of the bins of the training, Å⁻¹, whose averaging the network has learned.

    Returns
    -------
    Factor, at least 1.
    """
    beyond = max(width_inv_angstrom**2 - trained_inv_angstrom**2, 0.0)
    fraction = beyond * (CHANNEL_BROADENING_ANGSTROM_PER_NM * size_nm) ** 2
    return 1 / math.sqrt(1 - min(fraction, MAX_CHANNEL_FRACTION))


def corrected_for_width(answer: Answer, fwhm_inv_angstrom: float, trained_inv_angstrom: float) -> Answer:
    """Take the declared width of an instrument off the answer of a network that does not take it.

    Parameters
    ----------
    answer
        Answer of the network.
    fwhm_inv_angstrom
        Declared width of the instrument, FWHM at `WIDTH_Q_INV_ANGSTROM`, Å⁻¹.
    trained_inv_angstrom
        Width up to which the training of the network went, Å⁻¹.

    Returns
    -------
    The answer with larger sizes; the intervals are wider by the uncertainty of the correction. Unchanged up
    to the width of the training.
    """
    beyond = max(fwhm_inv_angstrom**2 - trained_inv_angstrom**2, 0.0)
    if beyond == 0:
        return answer
    constant, error = WIDTH_BROADENING_ANGSTROM_PER_NM, WIDTH_BROADENING_ERROR
    middle = _unbroadened(answer.size_nm, beyond, constant)
    low = _unbroadened(answer.size_low_nm, beyond, constant - error)
    high = _unbroadened(answer.size_high_nm, beyond, constant + error)
    # The derivative of the corrected by the uncorrected size is the cube of the factor.
    slope = middle**3
    return replace(
        answer,
        size_nm=answer.size_nm * middle,
        size_low_nm=answer.size_low_nm * low,
        size_high_nm=answer.size_high_nm * high,
        size_frame_sd_nm=answer.size_frame_sd_nm * slope,
        size_shared_sd_nm=answer.size_shared_sd_nm * slope,
        mass_mean_nm=answer.mass_mean_nm * middle,
        mass_mean_low_nm=answer.mass_mean_low_nm * low,
        mass_mean_high_nm=answer.mass_mean_high_nm * high,
        mass_mean_frame_sd_nm=answer.mass_mean_frame_sd_nm * slope,
        mass_mean_shared_sd_nm=answer.mass_mean_shared_sd_nm * slope,
    )


def raised_for_width(answer: Answer, plausible_inv_angstrom: float, trained_inv_angstrom: float) -> Answer:
    """Raise the upper ends of intervals by what an instrument of undeclared width may hide.

    Parameters
    ----------
    answer
        Answer of the network.
    plausible_inv_angstrom
        Largest plausible width of the instrument, FWHM, Å⁻¹.
    trained_inv_angstrom
        As in `corrected_for_width`.

    Returns
    -------
    The answer with the same sizes and lower ends, and the upper ends of dots that this width makes look like
    these.
    """
    beyond = max(plausible_inv_angstrom**2 - trained_inv_angstrom**2, 0.0)
    constant = WIDTH_BROADENING_ANGSTROM_PER_NM + WIDTH_BROADENING_ERROR
    return with_widening(answer, _unbroadened(answer.size_high_nm, beyond, constant))


def raised_to(answer: Answer, wide: Answer) -> Answer:
    """Raise the upper ends of intervals to those of an answer for the same frame.

    Parameters
    ----------
    answer
        Answer.
    wide
        Answer for the same frame and the widest plausible instrument.

    Returns
    -------
    The answer with the same sizes and lower ends.
    """
    size_high_nm = max(answer.size_high_nm, wide.size_high_nm)
    mass_mean_high_nm = max(answer.mass_mean_high_nm, wide.mass_mean_high_nm)
    # `max` passes over the NaN of a mean that the model does not give.
    factor = max(size_high_nm / answer.size_high_nm, mass_mean_high_nm / answer.mass_mean_high_nm)
    return replace(
        answer,
        size_high_nm=size_high_nm,
        mass_mean_high_nm=mass_mean_high_nm,
        upper_factor=answer.upper_factor * factor,
    )


def allowing_for_phases(answer: Answer, fraction: float) -> Answer:
    """Widen intervals by what other crystals beside the dots may do to a size.

    Parameters
    ----------
    answer
        Answer of a model.
    fraction
        Fraction of other crystals in the mean intensity.

    Returns
    -------
    The answer with the same sizes and wider intervals.
    """

    def ends(value: float, low: float, high: float, sd: float) -> tuple[float, float]:
        down, up = (math.hypot(math.log(ratio), TWO_SIDED_95 * sd) for ratio in (value / low, high / value))
        return value * math.exp(-down), value * math.exp(up)

    size_sd, mass_sd = (constant * fraction for constant in (PHASES_TO_SIZE, PHASES_TO_MASS_MEAN))
    low_nm, high_nm = ends(answer.size_nm, answer.size_low_nm, answer.size_high_nm, size_sd)
    mass_low_nm, mass_high_nm = ends(
        answer.mass_mean_nm, answer.mass_mean_low_nm, answer.mass_mean_high_nm, mass_sd
    )
    return replace(
        answer,
        size_low_nm=low_nm,
        size_high_nm=high_nm,
        size_shared_sd_nm=math.hypot(answer.size_shared_sd_nm, size_sd * answer.size_nm),
        mass_mean_low_nm=mass_low_nm,
        mass_mean_high_nm=mass_high_nm,
        mass_mean_shared_sd_nm=math.hypot(answer.mass_mean_shared_sd_nm, mass_sd * answer.mass_mean_nm),
    )


def allowing_for_exponent(answer: Answer, exponent: float) -> Answer:
    """Move one end of each interval by what intensities that are a power of the photons do to a size.

    To the power γ, a Gaussian peak is 1/√γ times as wide, and dots look √γ times as large. A background
    beside the peaks makes the change smaller.

    Parameters
    ----------
    answer
        Answer of a model.
    exponent
        Exponent γ; 1 for intensities in proportion to the photons.

    Returns
    -------
    The answer with the same sizes: lower ends are lowered for an exponent above 1, upper ends raised for one
    below 1.
    """
    return with_widening(answer, exponent**-0.5)


def _unbroadened(size_nm: float, beyond: float, constant: float) -> float:
    """Size without the broadening of an instrument, over that with it."""
    fraction = beyond * (constant * size_nm) ** 2
    return 1 / math.sqrt(1 - min(fraction, MAX_CHANNEL_FRACTION))

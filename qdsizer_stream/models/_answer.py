"""What a network says of one frame, in physical units."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ._card import ClassOutput, GaussianOutput, SizeOutput

__all__ = ["Answer", "allowing_for_channels", "class_answer", "gaussian_answer", "size_answer"]

TWO_SIDED_95 = 1.959964
"""Standard deviations of a 95 % interval of a normal distribution."""

CLASS_MARGIN = 1.5
"""Classes by which a classifier's interval reaches past its quantiles: half of one is the class itself, and
on frames unlike its training a certain softmax was found one class off."""

CHANNEL_BROADENING_ANGSTROM_PER_NM = 1.3
"""Channels of width h make dots of diameter D look like D/√(1 + (1.3 h D)²), for widths of peaks add in
quadrature. The constant was 1.2 to 1.4 in 2048 simulated frames, h 0.028 to 0.056 Å⁻¹, D 2 to 10.5 nm."""

WIDEST_SHARE = 0.95
"""Of the apparent width of the peaks that channels may make up, in square: what is left tells no size."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Sizes of one frame, before any guard; what the model does not tell is NaN."""

    size_nm: float
    """Number-weighted mean diameter, nm."""
    size_low_nm: float
    """Lower end of its 95 % interval, nm."""
    size_high_nm: float
    """Upper end of its 95 % interval, nm."""
    raised: float = 1.0
    """Factor in it that allows for wide channels."""
    mass_mean_nm: float = math.nan
    """Mass-weighted mean diameter, nm."""
    dispersion: float = math.nan
    """Relative standard deviation of the number distribution."""
    strain: float = math.nan
    """Isotropic strain of the lattice."""
    class_nm: float = math.nan
    """Most probable class, nm."""
    class_probability: float = math.nan
    """Softmax of that class."""
    presence: float = math.nan
    """Probability that there are dots at all."""


def class_answer(output: ClassOutput, logits: NDArray[np.float32]) -> Answer:
    """Read the logits of a classifier.

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
    return Answer(
        size_nm=output.classes_nm[best],
        size_low_nm=output.classes_nm[low] - margin,
        size_high_nm=output.classes_nm[high] + margin,
        class_nm=output.classes_nm[best],
        class_probability=float(probability[best]),
    )


def size_answer(output: SizeOutput, scaled: float) -> Answer:
    """Read the one number of a regression.

    Parameters
    ----------
    output
        Scale of the number.
    scaled
        The network's output.

    Returns
    -------
    The size; its interval has the same width for every frame.
    """
    size = output.offset_nm + output.scale_nm * scaled
    return Answer(
        size_nm=size, size_low_nm=size - output.half_width_nm, size_high_nm=size + output.half_width_nm
    )


def gaussian_answer(
    output: GaussianOutput, mean: NDArray[np.float32], log_sigma: NDArray[np.float32], presence_logit: float
) -> Answer:
    """Read the normal distributions of a size network.

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
    Sizes, the interval that of the logarithm of the size.
    """
    scale = np.array(output.target_scale)
    target = np.array(output.target_offset) + scale * mean.astype(np.float64)
    size_nm = math.exp(target[0])
    sigma = math.hypot(
        output.interval_scale * output.target_scale[0] * math.exp(log_sigma[0]),
        output.interval_floor,
        output.interval_floor_nm / size_nm,
    )
    return Answer(
        size_nm=size_nm,
        size_low_nm=math.exp(target[0] - TWO_SIDED_95 * sigma),
        size_high_nm=math.exp(target[0] + TWO_SIDED_95 * sigma),
        mass_mean_nm=math.exp(target[1]),
        dispersion=max(float(target[2]), 0.0),
        strain=float(target[3]),
        presence=1 / (1 + math.exp(-presence_logit)),
    )


def allowing_for_channels(answer: Answer, width_inv_angstrom: float, trained_inv_angstrom: float) -> Answer:
    """Raise the upper end of an interval by what wide channels may hide.

    Points far apart may be samples or averages over the channels of a detector, and nothing in a pattern
    tells which. Networks are trained on samples; where the points are averages, dots look too small.

    Parameters
    ----------
    answer
        What the network says.
    width_inv_angstrom
        Distance of the points, Å⁻¹.
    trained_inv_angstrom
        Width of the bins of the training, Å⁻¹, whose averaging the network knows.

    Returns
    -------
    The answer, its interval no narrower.
    """
    beyond = max(width_inv_angstrom**2 - trained_inv_angstrom**2, 0.0)
    share = beyond * (CHANNEL_BROADENING_ANGSTROM_PER_NM * answer.size_nm) ** 2
    raised = 1 / math.sqrt(1 - min(share, WIDEST_SHARE))
    return replace(answer, size_high_nm=answer.size_high_nm * raised, raised=raised)

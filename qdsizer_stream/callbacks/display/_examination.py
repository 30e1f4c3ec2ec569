"""The picture of one frame in matplotlib: the pattern, its fit, the residual, and the sizes or the reason."""

import math
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...sizing import Examination, SizeEstimate, Status
from ._reflection_marks import ReflectionMarks, reflection_marks
from ._view import LOOKS, describe_failed_check, residual_limit_sd

__all__ = ["BACKGROUND", "FIT", "MEASURED", "SOLVENT", "draw_examination", "draw_fit"]

MEASURED, FIT, SOLVENT, BACKGROUND = "#000000", "#D55E00", "#56B4E9", "#999999"
"""Okabe and Ito's palette, as for the statuses."""

REASON_WIDTH = 78
"""Characters per line of the reason, in large print on a figure 10 inches wide."""

MIN_LABEL_DISTANCE = 0.018
"""Distance of the labels of two reflections, of the width of the axes: closer ones would overlap."""

HEADROOM = 1.22
"""Upper end of the intensity over its largest value: room for the reflections above the peaks."""


def draw_examination(examination: Examination, figure: Figure, title: str = "") -> None:
    """Draw one examined frame.

    Parameters
    ----------
    examination
        The frame with its fit.
    figure
        Figure to draw into; emptied first.
    title
        Name of the frame, such as that of its file.
    """
    figure.clear()
    estimate = examination.estimate
    with rc_context({"font.size": 11}):
        layout = figure.add_gridspec(
            2, 1, height_ratios=(3, 1), hspace=0.06, left=0.1, right=0.97, top=0.84, bottom=0.1
        )
        pattern = figure.add_subplot(layout[0])
        draw_fit(pattern, figure.add_subplot(layout[1], sharex=pattern), examination, "intensity")
        look, sized = LOOKS[estimate.status], estimate.status is Status.SIZED
        status: dict[str, Any] = {"fontweight": "bold", "va": "top", "color": look.text_colour}
        if sized:
            figure.text(0.1, 0.965, _heading(estimate), fontsize=16, fontweight="bold", va="top")
            figure.text(0.97, 0.965, f"{look.sign} {look.words}", fontsize=14, ha="right", **status)
            figure.text(0.1, 0.905, _details(estimate), fontsize=10.5, va="top")
        else:
            figure.text(0.1, 0.975, f"{look.sign} {look.words}: no size", fontsize=16, **status)
            figure.text(0.1, 0.925, fill(estimate.reason, REASON_WIDTH), fontsize=13, va="top")
        figure.text(0.97, 0.015, f"{title}   model {estimate.model}".strip(), fontsize=9, ha="right")


def draw_fit(
    axes: Axes, below: Axes, examination: Examination | None, intensity: str = "counts per strip"
) -> None:
    """Draw the measured pattern, its parts as the physics check fits them, and the residual.

    Parameters
    ----------
    axes
        Axes of the pattern.
    below
        Axes of the residual.
    examination
        The frame; None to label the axes alone.
    intensity
        Label of the intensity, with its unit.
    """
    below.set(xlabel="Q (Å⁻¹)", ylabel="residual (σ)")
    axes.set_ylabel(intensity)
    axes.tick_params(labelbottom=False)
    if examination is None or examination.binned is None:
        return
    binned = examination.binned
    q, measured = binned.q_inv_angstrom, np.where(binned.mask, np.nan, binned.intensity)
    axes.plot(q, measured, color=MEASURED, lw=0, marker=".", ms=2.5, label="measured")
    fit = examination.fit
    if fit is not None:
        axes.plot(q, fit.total, color=FIT, lw=1.5, label="fit")
        axes.fill_between(q, fit.background, color=BACKGROUND, alpha=0.45, lw=0, label="background")
        axes.fill_between(q, fit.background, fit.background + fit.solvent, color=SOLVENT, alpha=0.45, lw=0,
                          label="solvent")  # fmt: skip
        axes.fill_between(q, fit.background + fit.solvent, fit.total, color=FIT, alpha=0.25, lw=0,
                          label="dots")  # fmt: skip
        residual = (measured - fit.total) / binned.sigma
        below.plot(q, residual, ".", color=MEASURED, ms=2)
        below.axhline(0, color=FIT, lw=1)
        limit = residual_limit_sd(residual)
        below.set_ylim(-limit, limit)
        _draw_reflections(axes, reflection_marks(examination, MIN_LABEL_DISTANCE))
    if np.isfinite(measured).any():
        # Noise below zero is part of the measurement.
        axes.set_ylim(min(0.0, 1.05 * float(np.nanmin(measured))), HEADROOM * float(np.nanmax(measured)))
    axes.legend(frameon=False, loc="center right")
    axes.grid(alpha=0.25)
    below.grid(alpha=0.25)
    if failed := describe_failed_check(examination):
        colour = LOOKS[examination.estimate.status].text_colour
        axes.set_title(failed, loc="right", fontsize=10, color=colour)


def _draw_reflections(axes: Axes, found: ReflectionMarks) -> None:
    """Mark the reflections of the dots along the top, with their Miller indices where there is room."""
    marks: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "color": FIT}
    for q in found.q_inv_angstrom:
        axes.plot([q, q], [0.965, 1.0], lw=1, **marks)
    for q, label in found.labels:
        axes.text(q, 0.95, label, fontsize=8, rotation=90, ha="center", va="top", **marks)


def _heading(estimate: SizeEstimate) -> str:
    if math.isnan(estimate.mass_mean_nm):
        return f"number-weighted mean diameter {estimate.size_nm:.2f} nm"
    return f"mass-weighted mean diameter {estimate.mass_mean_nm:.2f} nm"


def _details(estimate: SizeEstimate) -> str:
    interval = _range(estimate.size_low_nm, estimate.size_high_nm)
    if math.isnan(estimate.mass_mean_nm):
        return f"95 % interval {interval}"
    mass = f"95 % interval {_range(estimate.mass_mean_low_nm, estimate.mass_mean_high_nm)}"
    number = f"number-weighted {estimate.size_nm:.2f} nm ({interval})"
    return f"{mass};  {number};  dispersion {estimate.dispersion:.0%}"


def _range(low_nm: float, high_nm: float) -> str:
    return f"{low_nm:.2f}–{high_nm:.2f} nm"

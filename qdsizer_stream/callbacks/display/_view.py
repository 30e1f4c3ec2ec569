"""What a picture of a synthesis says, in words, numbers and colours, whoever draws it."""

import math
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from ...sizing import Status
from ._record import SizedFrame, SynthesisRecord

__all__ = [
    "LOOKS",
    "Headline",
    "Look",
    "Waterfall",
    "footer",
    "growth_nm_per_minute",
    "headline",
    "size_limits_nm",
    "tell_frame",
    "waterfall",
]

GROWTH_FRAMES = 10
"""Growth is the slope over the last so many sized frames: fewer are noise, more are history."""

WATERFALL_ROWS = 400
"""Rows of a waterfall: a panel of a screen has about as many."""

BRIGHT_PERCENT = 99.5
"""The colour scale covers so much of what is seen, %: a hot strip must not darken all else."""


@dataclass(frozen=True)
class Look:
    """How a status is shown: by colour, by shape and in words, never by colour alone."""

    words: str
    """The status in words."""
    colour: str
    """Of Okabe and Ito's palette, told apart by every kind of colour vision."""
    sign: str
    """Shape as text."""
    marker: str
    """Shape in matplotlib."""
    glyph: str
    """Shape in Bokeh."""


LOOKS = {
    Status.SIZED: Look("sized", "#0072B2", "●", "o", "circle"),
    Status.LOW_COUNTS: Look("low counts", "#E69F00", "▼", "v", "inverted_triangle"),
    Status.NO_CRYSTAL: Look("no crystal", "#009E73", "◆", "D", "diamond"),
    Status.OUT_OF_RANGE: Look("out of range", "#CC79A7", "▲", "^", "triangle"),
    Status.OUT_OF_DOMAIN: Look("out of domain", "#D55E00", "■", "s", "square"),
    Status.BAD_FRAME: Look("bad frame", "#000000", "✕", "x", "x"),
}
"""How each status is shown."""


@dataclass(frozen=True)
class Headline:
    """The top line, readable from two metres."""

    size: str
    """Size with its interval; a dash where the newest frame has none."""
    growth: str
    """Growth a minute; empty before there is any."""
    status: str
    """Status of the newest frame, sign and words."""
    colour: str
    """Colour of the status."""
    counts: str
    """Frames seen, sized and refused."""


def headline(record: SynthesisRecord) -> Headline:
    """Say in one line where a synthesis stands.

    Parameters
    ----------
    record
        The synthesis.

    Returns
    -------
    Its top line.
    """
    if not record.frames:
        return Headline("no frame yet", "", "", "#000000", "0 frames")
    last = record.frames[-1]
    look = LOOKS[last.status]
    growth = growth_nm_per_minute(record.frames)
    refused = ", ".join(
        f"{number} {LOOKS[status].words}" for status, number in record.n_refused.most_common()
    )
    counts = f"{record.n_frames} frames: {record.n_sized} sized, {record.n_refused.total()} refused"
    return Headline(
        size=f"{last.size_nm:.2f} nm  [{last.low_nm:.2f}, {last.high_nm:.2f}]"
        if last.status is Status.SIZED
        else "— nm",
        growth="" if math.isnan(growth) else f"{growth:+.2f} nm/min",
        status=f"{look.sign} {look.words}",
        colour=look.colour,
        counts=f"{counts} ({refused})" if refused else counts,
    )


def growth_nm_per_minute(frames: list[SizedFrame]) -> float:
    """Estimate how fast the dots grow now.

    Parameters
    ----------
    frames
        Frames of a run, in order.

    Returns
    -------
    Slope of a line through the newest sized frames, nm/min; NaN for fewer than three, or for no time
    between them.
    """
    recent = [frame for frame in frames if frame.status is Status.SIZED][-GROWTH_FRAMES:]
    minutes = np.array([frame.minutes for frame in recent])
    if len(recent) < 3 or np.ptp(minutes) == 0:
        return math.nan
    size = np.array([frame.size_nm for frame in recent])
    # A line by its sums: a polynomial fit warns where the times hardly differ.
    minutes -= minutes.mean()
    return float(minutes @ size / (minutes @ minutes))


def footer(record: SynthesisRecord, spooled: int | None = None) -> str:
    """Say what the sizes rest on and how far behind they are.

    Parameters
    ----------
    record
        The synthesis.
    spooled
        Runs that went to the spool; None where there is none.

    Returns
    -------
    One line; empty before the first estimate.
    """
    said = record.configuration
    if not said:
        return ""
    parts = [
        f"model {said['qdsizer_model']} {said['qdsizer_model_sha256'][:8]}",
        f"wavelength {said['qdsizer_wavelength']:.5g} Å from {said['qdsizer_wavelength_source']}",
    ]
    if not math.isnan(record.latency_s):
        parts.append(f"latency {1000 * record.latency_s:.0f} ms")
    if record.queued is not None:
        parts.append(f"queue {record.queued}")
    if spooled is not None:
        parts.append(f"spool {spooled} runs")
    return "   ·   ".join(parts)


def tell_frame(frame: SizedFrame) -> str:
    """Say what became of one frame, for whoever points at it.

    Parameters
    ----------
    frame
        The frame.

    Returns
    -------
    One line: number, time on the wall, size or status with its reason.
    """
    when = datetime.fromtimestamp(frame.time).strftime("%H:%M:%S")
    what = (
        f"{frame.size_nm:.2f} nm [{frame.low_nm:.2f}, {frame.high_nm:.2f}]"
        if frame.status is Status.SIZED
        else f"{LOOKS[frame.status].words}: {frame.reason}"
    )
    return f"frame {frame.number}, {when}: {what}"


def size_limits_nm(record: SynthesisRecord) -> tuple[float, float]:
    """Choose the range of sizes to show.

    Parameters
    ----------
    record
        The synthesis.

    Returns
    -------
    Lowest and highest, nm: of all that was sized, the truth and the target where there are any, and a margin.
    """
    shown = [record.target_nm]
    for frame in record.frames:
        shown += [frame.low_nm, frame.high_nm, frame.truth_nm]
    finite = [value for value in shown if math.isfinite(value)]
    if not finite:
        return 0.0, 10.0  # what the models answer for, until there is something to show
    margin = 0.08 * (max(finite) - min(finite)) + 0.05
    return min(finite) - margin, max(finite) + margin


@dataclass(frozen=True, eq=False)
class Waterfall:
    """Intensity over Q and time as an image."""

    image: NDArray[np.float64]
    """Intensities, shape (n_rows, n_bins), the newest last; NaN where there is nothing."""
    minutes: tuple[float, float]
    """First and last edge of the rows, min."""
    q_inv_angstrom: tuple[float, float]
    """First and last edge of the bins, Å⁻¹."""
    highest: float
    """End of the colour scale, which begins at zero."""


def waterfall(record: SynthesisRecord) -> Waterfall | None:
    """Lay the patterns of a run on an even grid in time.

    Parameters
    ----------
    record
        The synthesis.

    Returns
    -------
    The image; None before the first pattern.
    """
    q = record.q_inv_angstrom
    frames = [frame for frame in record.frames if frame.pattern.size and frame.pattern.size == q.size]
    if not frames or q.size < 2:
        return None
    minutes = np.array([frame.minutes for frame in frames])
    if np.any(np.diff(minutes) < 0):  # a clock that stepped back
        order = np.argsort(minutes, kind="stable")
        minutes, frames = minutes[order], [frames[index] for index in order]
    steps = np.diff(minutes)
    usual = float(np.median(steps[steps > 0])) if np.any(steps > 0) else 1.0
    first, last = float(minutes[0]) - usual / 2, float(minutes[-1]) + usual / 2
    n_rows = min(round((last - first) / usual), WATERFALL_ROWS)
    row = (last - first) / n_rows
    centres = first + row * (np.arange(n_rows) + 0.5)
    after = np.clip(np.searchsorted(minutes, centres), 1, max(len(frames) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(frames) - 1)
    nearest = np.where(centres - minutes[before] <= minutes[after] - centres, before, after)
    image = np.array([frames[index].pattern for index in nearest])
    # A pause of the run is blank, not the last frame for as long as it takes.
    image[np.abs(minutes[nearest] - centres) > max(usual, row)] = np.nan
    seen = image[np.isfinite(image)]
    step = float(q[1] - q[0])
    return Waterfall(
        image=image,
        minutes=(first, last),
        q_inv_angstrom=(float(q[0]) - step / 2, float(q[-1]) + step / 2),
        highest=_round_up(float(np.percentile(seen, BRIGHT_PERCENT)) if seen.size else 0.0),
    )


def _round_up(value: float) -> float:
    """Next of 1, 2 and 5 times a power of ten: a colour scale that follows every frame would mean nothing."""
    if not value > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)

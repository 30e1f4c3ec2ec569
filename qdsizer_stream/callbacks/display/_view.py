"""Words, numbers and colours of the picture of a synthesis, for every program that draws it."""

import math
import time
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from ...sizing import Examination, Status
from ._record import Growth, SizedFrame, SynthesisRecord

__all__ = [
    "LOOKS",
    "STALE_COLOUR",
    "WATERFALL_LABEL",
    "Freshness",
    "Headline",
    "Look",
    "Waterfall",
    "describe_failed_check",
    "describe_frame",
    "footer",
    "forecast_words",
    "freshness",
    "growth",
    "growth_words",
    "headline",
    "residual_limit_sd",
    "size_limits_nm",
    "subject",
    "waterfall",
]

PERIOD_FRAMES = 10
"""Newest frames of which the usual period is taken."""

STALE_PERIODS = 3.0
"""Frame periods without a new frame after which the newest size is shown as stale."""

MIN_STALE_S = 10.0
"""No size is stale before this age, s, however short the exposures: files and archives take seconds."""

MAX_ARCHIVE_SILENCE_S = 5.0
"""Time without an answer after which the archive counts as lost, s: five of the reader's periods."""

WATERFALL_ROWS = 400
"""Rows of a waterfall: a panel of a screen has about as many."""

RESIDUAL_SD = 6.0
"""Range of the residual's axis at least, standard deviations: three are common, six are a misfit."""

BRIGHT_PERCENT = 99.5
"""Percentile of the signal at the end of the colour scale, %: one hot strip must not darken the rest."""


NO_SIZE = "— nm"
"""In place of the size of a frame that has none."""

WATERFALL_LABEL = "dots above background (σ)"
"""What the colours of a waterfall are."""


@dataclass(frozen=True)
class Look:
    """How a status is shown: by colour, by shape and in words, never by colour alone."""

    words: str
    """The status in words."""
    colour: str
    """Colour of symbols, of Okabe and Ito's palette, which people with any colour vision can tell apart."""
    text_colour: str
    """The same hue, dark enough to be read on white (contrast 4.5 or more, as WCAG 2 asks of text)."""
    sign: str
    """Shape as text."""
    marker: str
    """Shape in matplotlib."""
    glyph: str
    """Shape in Bokeh."""


LOOKS = {
    Status.SIZED: Look("sized", "#0072B2", "#0072B2", "●", "o", "circle"),
    Status.LOW_COUNTS: Look("low counts", "#E69F00", "#8A5F00", "▼", "v", "inverted_triangle"),
    Status.NO_CRYSTAL: Look("no crystal", "#009E73", "#00704F", "◆", "D", "diamond"),
    Status.OUT_OF_RANGE: Look("out of range", "#CC79A7", "#A3437A", "▲", "^", "triangle"),
    Status.OUT_OF_DOMAIN: Look("out of domain", "#D55E00", "#AD4C00", "■", "s", "square"),
    Status.BAD_FRAME: Look("bad frame", "#000000", "#000000", "✕", "x", "x"),
}
"""How each status is shown."""


STALE_COLOUR = "#6B6B6B"
"""Grey of a size that may no longer hold; contrast 5.3 on white."""


@dataclass(frozen=True)
class Headline:
    """The top line, readable from two metres."""

    size: str
    """Size with its 95 % interval; a dash where the newest frame has none."""
    mean: str
    """Which mean the size is: the mass-weighted one, where the model gives it."""
    number: str
    """Number-weighted mean with its interval, where that is not the size itself."""
    subject: str
    """Material, sample, run and date; empty before the first run."""
    growth: str
    """Growth rate with its 95 % interval, "no growth seen", or empty where there are too few sizes."""
    forecast: str
    """When the target will be reached; empty where there is none, or that cannot be foreseen."""
    status: str
    """Status of the newest frame, sign and words."""
    colour: str
    """Colour of the status as text."""
    reason: str
    """Why the newest frame has no size, with a remedy; empty where it has one."""
    counts: str
    """Frames seen, sized and rejected."""
    freshness: str
    """Age of the newest frame, how the run ended, or since when the archive has not answered."""
    stale: bool
    """Whether the size may no longer hold: it is then shown in grey."""
    title: str
    """Size and state in a few characters, for the tab of a browser."""


def headline(record: SynthesisRecord, now: float | None = None) -> Headline:
    """Summarise a synthesis in one line.

    Parameters
    ----------
    record
        The synthesis.
    now
        The time, s since the epoch; None for the clock of this machine.

    Returns
    -------
    Its top line.
    """
    age = freshness(record, time.time() if now is None else now)
    if not record.frames:
        return Headline(
            size="no frame yet",
            mean="",
            number="",
            subject=subject(record),
            growth="",
            forecast="",
            status="",
            colour="#000000",
            reason="",
            counts="0 frames",
            freshness=age.words,
            stale=age.stale,
            title="no frame yet",
        )
    last = record.frames[-1]
    look = LOOKS[last.status]
    sized = last.status is Status.SIZED
    rejected = ", ".join(
        f"{count} {LOOKS[status].words}" for status, count in record.n_rejected.most_common()
    )
    counts = f"{record.n_frames} frames: {record.n_sized} sized, {record.n_rejected.total()} rejected"
    state = age.state or look.words
    number = (last.size_nm, last.low_nm, last.high_nm)
    mass = (last.mass_mean_nm, last.mass_mean_low_nm, last.mass_mean_high_nm)
    by_mass = math.isfinite(last.mass_mean_nm)
    shown = mass if by_mass else number
    return Headline(
        size=_with_interval(*shown) if sized else NO_SIZE,
        mean=("mass-weighted mean diameter" if by_mass else "number-weighted mean diameter") if sized else "",
        number=f"number-weighted mean {_with_interval(*number)}" if sized and by_mass else "",
        subject=subject(record),
        growth=growth_words(growth(record.frames)),
        forecast=forecast_words(record.target_nm, last.time_to_target_s),
        status=f"{look.sign} {look.words}",
        colour=STALE_COLOUR if age.stale else look.text_colour,
        reason=last.reason,
        counts=f"{counts} ({rejected})" if rejected else counts,
        freshness=age.words,
        stale=age.stale,
        title=f"{shown[0]:.2f} nm · {state}" if sized else f"{NO_SIZE} · {state}",
    )


def subject(record: SynthesisRecord) -> str:
    """Name what was measured.

    Parameters
    ----------
    record
        The synthesis.

    Returns
    -------
    Material, sample, the first characters of the run's identifier, and its date; empty before the first run.
    """
    if not record.run:
        return ""
    material = str(record.configuration.get("qdsizer_material", ""))
    began = (
        "" if math.isnan(record.start_time) else f"{datetime.fromtimestamp(record.start_time):%Y-%m-%d %H:%M}"
    )
    parts = (material, record.sample and f"sample {record.sample}", f"run {record.run[:8]}", began)
    return "   ·   ".join(part for part in parts if part)


def _with_interval(value_nm: float, low_nm: float, high_nm: float) -> str:
    return f"{value_nm:.2f} nm  [{low_nm:.2f}, {high_nm:.2f}]"


@dataclass(frozen=True)
class Freshness:
    """How far the newest size can be taken as the size now."""

    words: str
    """The same in words; empty before the first run."""
    stale: bool
    """Whether the size may no longer hold although the run has not ended."""
    state: str = ""
    """One word where the run is not simply being measured: "ended", "no news" or "waiting"."""


def freshness(record: SynthesisRecord, now: float) -> Freshness:
    """Describe how old the newest frame is, and whether another can be expected.

    Parameters
    ----------
    record
        The synthesis.
    now
        The time, s since the epoch.

    Returns
    -------
    The end of the run where it has ended; else since when the archive has not answered, where it does not;
    else the age of the newest frame, stale after three of the usual periods.
    """
    if record.exit_status:
        ended = f"ended {_moment(record.end_time, now)}, {record.exit_status}"
        return Freshness(ended, stale=False, state="ended")
    if now - record.archive_read_time > MAX_ARCHIVE_SILENCE_S:
        since = _moment(record.archive_read_time, now)
        return Freshness(f"no news from the archive since {since}", stale=True, state="no news")
    if not record.frames:
        return Freshness("waiting for the first frame" if record.run else "", stale=False, state="waiting")
    age_s = max(now - record.frames[-1].time, 0.0)
    times = np.array([frame.time for frame in record.frames[-PERIOD_FRAMES:]])
    period_s = float(np.median(np.diff(times))) if times.size > 1 else math.inf
    stale = age_s > max(STALE_PERIODS * period_s, MIN_STALE_S)
    return Freshness(f"newest frame {_duration(age_s)} ago", stale, "waiting" if stale else "")


def _clock(time_s: float) -> str:
    return datetime.fromtimestamp(time_s).strftime("%H:%M:%S")


def _moment(time_s: float, now: float) -> str:
    """Time of day, with the date where that is not today's: yesterday's run has not ended today."""
    moment = datetime.fromtimestamp(time_s)
    today = moment.date() == datetime.fromtimestamp(now).date()
    return moment.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S")


def _duration(seconds: float) -> str:
    """A duration to the precision at which it matters: 7 s, 40 s, 12 min, 3 h 05 min."""
    if seconds < 10:
        return f"{seconds:.0f} s"
    if seconds < 60:
        return f"{10 * int(seconds / 10)} s"
    minutes = int(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def growth(frames: list[SizedFrame]) -> Growth:
    """State how fast the dots grow now, as the track of the run has it.

    Parameters
    ----------
    frames
        Frames of a run, in order.

    Returns
    -------
    Growth rate at the newest frame, with its interval; NaN where the track has none.
    """
    return frames[-1].growth if frames else Growth()


def growth_words(rate: Growth) -> str:
    """Put a growth rate in words.

    Parameters
    ----------
    rate
        Growth rate with its interval.

    Returns
    -------
    Such as "+0.07 ± 0.05 nm/min", "no growth seen" where zero is in the interval, or nothing for NaN.
    """
    if math.isnan(rate.nm_per_minute):
        return ""
    if rate.low_nm_per_minute <= 0 <= rate.high_nm_per_minute:
        return "no growth seen"
    half_width = (rate.high_nm_per_minute - rate.low_nm_per_minute) / 2
    # Enough digits for the error to have one that is not zero, as slow syntheses grow by 0.01 nm/min.
    digits = min(max(2, math.ceil(-math.log10(max(half_width, 1e-4)))), 4)
    return f"{rate.nm_per_minute:+.{digits}f} ± {half_width:.{digits}f} nm/min"


def forecast_words(target_nm: float, time_s: tuple[float, float, float]) -> str:
    """Put the time to a target in words.

    Parameters
    ----------
    target_nm
        Target, nm.
    time_s
        Time until it is reached, with its 95 % interval, s.

    Returns
    -------
    Such as "3.5 nm in 4 ± 1 min"; empty where there is no target, or nothing can be said.
    """
    time, low, high = time_s
    target = f"{target_nm:g} nm"
    if math.isnan(target_nm) or (math.isnan(time) and math.isnan(low)):
        return ""
    if time == 0:
        return f"{target} reached"
    if math.isnan(high):
        return f"{target} not before {_short(low, low)} {_unit(low)[1]}"
    return f"{target} in {_short(time, high)} ± {_short((high - low) / 2, high)} {_unit(high)[1]}"


def _unit(max_s: float) -> tuple[float, str]:
    """Unit of times up to this one: seconds, minutes or hours."""
    return (1.0, "s") if max_s < 100 else (60.0, "min") if max_s < 6000 else (3600.0, "h")


def _short(seconds: float, max_s: float) -> str:
    value = seconds / _unit(max_s)[0]
    return f"{value:.0f}" if value >= 9.95 or max_s < 100 else f"{value:.2g}"


def footer(record: SynthesisRecord, spooled: int | None = None) -> str:
    """State the model and wavelength behind the sizes, and how far they lag.

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
    settings = record.configuration
    if not settings:
        return ""
    parts = [
        f"model {settings['qdsizer_model']} {settings['qdsizer_model_sha256'][:8]}",
        f"wavelength {settings['qdsizer_wavelength']:.5g} Å from {settings['qdsizer_wavelength_source']}",
    ]
    # For a run that has ended it means nothing: the last frame may have waited for the others.
    if not math.isnan(record.latency_s) and not record.exit_status:
        parts.append(f"latency {1000 * record.latency_s:.0f} ms")
    if record.queued is not None:
        parts.append(f"queue {record.queued}")
    if spooled is not None:
        parts.append(f"spool {spooled} runs")
    if record.loading is not None:
        parts.append("loading patterns: {} of {}".format(*record.loading))
    return "   ·   ".join(parts)


def describe_frame(frame: SizedFrame) -> str:
    """Describe one frame, for a tool tip.

    Parameters
    ----------
    frame
        The frame.

    Returns
    -------
    One line: index, time of day, size or status with its reason.
    """
    if frame.status is Status.SIZED:
        result = f"{frame.size_nm:.2f} nm [{frame.low_nm:.2f}, {frame.high_nm:.2f}] number mean"
        if math.isfinite(frame.mass_mean_nm):
            result += f", {frame.mass_mean_nm:.2f} nm mass mean"
    else:
        result = f"{LOOKS[frame.status].words}: {frame.reason}"
    return f"frame {frame.number}, {_clock(frame.time)}: {result}"


def describe_failed_check(examination: Examination) -> str:
    """Describe the check that rejected a frame, with the value, the threshold and the margin between them.

    Parameters
    ----------
    examination
        Examination of the frame.

    Returns
    -------
    One line, such as ``χ² per bin: 12.3 (threshold ≤ 8.7, missed by 3.6)``; empty where no check failed.
    """
    failed = examination.failed
    if failed is None:
        return ""
    value, missed = (f"{number:.3g} {failed.unit}".rstrip() for number in (failed.value, -failed.margin))
    return f"{failed.name}: {value} (threshold {failed.threshold}, missed by {missed})"


def size_limits_nm(record: SynthesisRecord) -> tuple[float, float]:
    """Choose the range of sizes to show.

    Parameters
    ----------
    record
        The synthesis.

    Returns
    -------
    Lowest and highest, nm: of all intervals, the mass means, the track, the truth and the target where there
    are any, with a margin.
    """
    shown = [record.target_nm]
    for frame in record.frames:
        shown += [frame.low_nm, frame.high_nm, frame.truth_nm, frame.track_nm, frame.mass_mean_nm]
    finite = [value for value in shown if math.isfinite(value)]
    if not finite:
        return 0.0, 10.0  # the range of the models, until there is something to show
    margin = 0.08 * (max(finite) - min(finite)) + 0.05
    return min(finite) - margin, max(finite) + margin


def residual_limit_sd(residual_sd: NDArray[np.float64]) -> float:
    """Choose the range of residuals to show.

    Parameters
    ----------
    residual_sd
        Residuals, standard deviations, shape (n,); may be empty or hold NaN.

    Returns
    -------
    Largest absolute value to show: 6, which leaves out no point of a good fit, or more where one is beyond.
    """
    seen = np.abs(residual_sd[np.isfinite(residual_sd)])
    return max(RESIDUAL_SD, 1.1 * float(seen.max())) if seen.size else RESIDUAL_SD


@dataclass(frozen=True, eq=False)
class Waterfall:
    """Signal of the dots over Q and time as an image.

    Intensities less the fitted solvents and background, in standard deviations: so the weak peaks at high Q
    are seen beside those at low Q, wherever photons show them.
    """

    image: NDArray[np.float64]
    """Signal, standard deviations, shape (n_rows, n_bins), the newest last; NaN where nothing was fitted."""
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
    frames = [frame for frame in record.frames if frame.signal_sd.size and frame.signal_sd.size == q.size]
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
    image = np.array([frames[index].signal_sd for index in nearest])
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
    """Next of 1, 2 and 5 times a power of ten: a scale that changes with every frame is unreadable."""
    if not value > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)

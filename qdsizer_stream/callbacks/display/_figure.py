"""The picture of a synthesis in matplotlib: the same in IPython and in the demo's file."""

import time
from textwrap import fill
from typing import Any, Protocol

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from ...models import TWO_SIDED_95
from ...sizing import Status
from ._distribution import distribution
from ._examination import draw_fit
from ._record import SizedFrame, SynthesisRecord
from ._view import (
    LOOKS,
    STALE_COLOUR,
    WATERFALL_LABEL,
    describe_frame,
    footer,
    headline,
    size_limits_nm,
    waterfall,
)

__all__ = ["LiveFigure", "draw_synthesis"]

SIZE, TRACK = "#0072B2", "#D55E00"
"""Blue and vermilion of Okabe and Ito's palette, as for the statuses."""

FONT_POINTS = 12
"""Of axes and legends, on 16 by 9 inches; the top line is four times as large."""

REASON_WIDTH = 110
"""Characters per line of the reason for a rejected frame, in large print across the figure."""

REDRAW_MS = 100
"""Nothing is drawn more often than ten times a second."""

REST_FACTOR = 4.0
"""After each drawing the window rests this many times as long: drawing shares the interpreter with the plan
and the sizing, and takes at most a fifth of it."""


class Spool(Protocol):
    """Counts the runs that a writer could not write."""

    @property
    def spooled(self) -> int:
        """Runs that went to the spool."""


class LiveFigure:
    """A window that shows the newest state of a synthesis; older states are skipped, never queued.

    The window is drawn by its own timer, in the thread of the user interface: neither the plan nor the
    sizing waits for it. It shows its run until the next one begins, and is then reused.

    Parameters
    ----------
    record
        The synthesis.
    figure
        Figure to draw into; None for the window `qdsizer`, opened where there is none.
    spool
        Writer with a spool, whose runs the footer counts.
    rest_factor
        Shortest time between two drawings, as a multiple of the time that one takes.
    """

    def __init__(
        self,
        record: SynthesisRecord,
        figure: Figure | None = None,
        spool: Spool | None = None,
        rest_factor: float = REST_FACTOR,
    ) -> None:
        if figure is None:
            from matplotlib import pyplot

            figure = pyplot.figure("qdsizer", figsize=(16, 9))
        self.figure = figure
        self._record = record
        self._spool = spool
        self._rest_factor = rest_factor
        self._drawn: tuple[str, int, str] = ("", -1, "")
        self._rests_until = 0.0
        self._timer: Any = figure.canvas.new_timer(interval=REDRAW_MS)
        self._timer.add_callback(self.refresh)
        self._timer.start()

    def refresh(self) -> bool:
        """Draw the newest state where it, or the words on its age, are new and the window has rested.

        Returns
        -------
        Whether something was drawn.
        """
        begin = time.monotonic()
        state = self._record.snapshot()
        now = (state.run, state.n_frames, headline(state).freshness)
        if now == self._drawn or begin < self._rests_until:
            return False
        draw_synthesis(state, self.figure, None if self._spool is None else self._spool.spooled)
        self.figure.canvas.draw()
        self._drawn = now
        end = time.monotonic()
        self._rests_until = end + self._rest_factor * (end - begin)
        return True

    def close(self) -> None:
        """Stop drawing; the window stays."""
        self._timer.stop()


def draw_synthesis(record: SynthesisRecord, figure: Figure, spooled: int | None = None) -> None:
    """Draw a synthesis.

    Parameters
    ----------
    record
        The synthesis.
    figure
        Figure to draw into; emptied first.
    spooled
        Runs that went to the spool; None where there is none.
    """
    figure.clear()
    with rc_context({"font.size": FONT_POINTS}):
        _draw(record, figure, spooled)


def _draw(record: SynthesisRecord, figure: Figure, spooled: int | None) -> None:
    layout = figure.add_gridspec(
        4, 2, height_ratios=(0.46, 1, 0.28, 0.95), width_ratios=(1.25, 1), hspace=0.44, wspace=0.16,
        left=0.06, right=0.97, top=0.985, bottom=0.11,
    )  # fmt: skip
    _top_line(figure.add_subplot(layout[0, :]), record)
    upper = layout[1:3, 0].subgridspec(2, 1, height_ratios=(4, 1), hspace=0.08)
    sizes = figure.add_subplot(upper[0])
    _size_against_time(sizes, record)
    _dispersion(figure.add_subplot(upper[1], sharex=sizes), record.frames)
    right = layout[1:, 1].subgridspec(2, 1, height_ratios=(3, 1), hspace=0.3)
    newest = right[0].subgridspec(2, 1, height_ratios=(3, 1), hspace=0.06)
    pattern = figure.add_subplot(newest[0])
    _newest(pattern, figure.add_subplot(newest[1], sharex=pattern), record)
    _distribution(figure.add_subplot(right[1]), record.frames)
    _waterfall(figure, figure.add_subplot(layout[3, 0]), record)
    figure.text(0.06, 0.02, footer(record, spooled), fontsize=11, color="#444444")


def _top_line(axes: Axes, record: SynthesisRecord) -> None:
    """Size, growth and status, readable from two metres."""
    axes.set_axis_off()
    line = headline(record)
    where: dict[str, Any] = {"va": "center", "transform": axes.transAxes}
    size_colour = STALE_COLOUR if line.stale else "#000000"
    axes.text(0, 0.78, line.size, fontsize=40, fontweight="bold", color=size_colour, **where)
    mean = f"{line.mean};  {line.number}" if line.number else line.mean
    if line.reason:
        axes.text(0, 0.36, fill(line.reason, REASON_WIDTH), fontsize=20, **where)
    else:
        axes.text(0, 0.36, mean, fontsize=16, **where)
        axes.text(0.62, 0.36, line.forecast, fontsize=16, color=size_colour, **where)
    axes.text(0.5, 0.8, line.growth, fontsize=24, color=size_colour, **where)
    axes.text(1, 0.8, line.status, fontsize=28, fontweight="bold", color=line.colour, ha="right", **where)
    axes.text(0, 0.02, line.subject, fontsize=14, **where)
    axes.text(1, 0.02, f"{line.freshness}   ·   {line.counts}" if line.freshness else line.counts,
              fontsize=14, ha="right", **where)  # fmt: skip


def _size_against_time(axes: Axes, record: SynthesisRecord) -> None:
    frames = record.frames
    minutes = np.array([frame.minutes for frame in frames])
    size, low, high, truth, frame_sd, track, mass = (
        np.array([getattr(frame, name) for frame in frames])
        for name in ("size_nm", "low_nm", "high_nm", "truth_nm", "frame_sd_nm", "track_nm", "mass_mean_nm")
    )
    if np.isfinite(record.target_nm):
        axes.axhline(record.target_nm, color="#000000", lw=1.5, ls=":", label="target", zorder=3)
    if np.any(np.isfinite(truth)):
        axes.plot(minutes, truth, color="#000000", lw=1.5, ls="--", label="truth (number mean)", zorder=3)
    axes.fill_between(minutes, low, high, color=SIZE, alpha=0.2, lw=0, label="95 % interval")
    if np.any(np.isfinite(frame_sd)):
        half = TWO_SIDED_95 * frame_sd
        axes.fill_between(
            minutes,
            size - half,
            size + half,
            color=SIZE,
            alpha=0.3,
            lw=0,
            label="its part from frame to frame",
        )
    if np.any(np.isfinite(track)):
        axes.plot(minutes, track, color=TRACK, lw=2, label="track", zorder=5)
    for frame in frames:
        if frame.change:
            axes.axvline(frame.minutes, color=TRACK, lw=1, ls="-.", zorder=2)
    axes.plot(minutes, size, LOOKS[Status.SIZED].marker, color=SIZE, ms=6, label="number mean", zorder=4)
    if np.any(np.isfinite(mass)):
        axes.plot(minutes, mass, LOOKS[Status.SIZED].marker, color=SIZE, ms=6, mfc="none", label="mass mean",
                  zorder=4)  # fmt: skip
    # Frames without a size are marked on the axis, by their status.
    for status, look in LOOKS.items():
        at = [frame.minutes for frame in frames if frame.status is status]
        if at and status is not Status.SIZED:
            axes.plot(at, np.zeros(len(at)), look.marker, color=look.colour, ms=9, mew=2, clip_on=False,
                      zorder=5, transform=axes.get_xaxis_transform(), label=look.words)  # fmt: skip
    axes.set(ylabel="diameter (nm)", ylim=size_limits_nm(record))
    axes.tick_params(labelbottom=False)
    axes.format_coord = lambda x, y: _pointed_at(frames, minutes, x)  # type: ignore[method-assign]
    axes.grid(alpha=0.25)
    # Above the panel, where it hides no point.
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.02, 0.98), ncols=4, frameon=False, fontsize=10, labelspacing=0.2,
        columnspacing=1.2,
    )  # fmt: skip


def _pointed_at(frames: list[SizedFrame], minutes: Any, x: float) -> str:
    """Description of the frame under the mouse."""
    return describe_frame(frames[int(np.abs(minutes - x).argmin())]) if frames else ""


def _dispersion(axes: Axes, frames: list[SizedFrame]) -> None:
    axes.plot(
        [frame.minutes for frame in frames], [100 * frame.dispersion for frame in frames],
        ".", color=SIZE, ms=5,
    )  # fmt: skip
    axes.set(xlabel="time since start (min)", ylabel="dispersion (%)")
    axes.margins(y=0.3)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)


def _newest(axes: Axes, below: Axes, record: SynthesisRecord) -> None:
    draw_fit(axes, below, record.newest)
    axes.set_title("newest frame", loc="left")


def _distribution(axes: Axes, frames: list[SizedFrame]) -> None:
    """The log-normal distribution of the newest sized frame, by number and by mass."""
    axes.set(xlabel="diameter (nm)", ylabel="fraction (1/nm)")
    axes.set_title("size distribution, taken as log-normal", loc="left", fontsize=FONT_POINTS)
    newest = next((frame for frame in reversed(frames) if frame.status is Status.SIZED), None)
    curves = None if newest is None else distribution(newest.size_nm, newest.dispersion)
    if curves is None:
        return
    axes.plot(curves.diameters_nm, curves.number_per_nm, color=SIZE, lw=2, label="by number")
    axes.plot(curves.diameters_nm, curves.mass_per_nm, color=TRACK, lw=2, ls="--", label="by mass")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, loc="upper right")


def _waterfall(figure: Figure, axes: Axes, record: SynthesisRecord) -> None:
    axes.set(xlabel="Q (Å⁻¹)", ylabel="time (min)")
    shown = waterfall(record)
    if shown is None:
        return
    image = axes.imshow(
        shown.image,
        extent=(*shown.q_inv_angstrom, *shown.minutes),
        origin="lower",  # time runs upwards: the newest frame is on top
        aspect="auto",
        interpolation="nearest",
        cmap="cividis",
        # The square root shows the weak peaks at high Q beside the strong ones.
        norm=PowerNorm(0.5, 0.0, shown.highest),
    )
    figure.colorbar(image, ax=axes, label=WATERFALL_LABEL, pad=0.02)

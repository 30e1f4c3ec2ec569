"""The picture of a synthesis: the same in IPython and in the demo's file. Loads matplotlib."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..sizing import Status
from ._record import SizedFrame, SynthesisRecord

__all__ = ["LiveFigure", "draw_synthesis"]

# Okabe and Ito's palette: told apart by every kind of colour vision.
SIZE, TRUTH, MEASURED, FIT, LIQUID = "#0072B2", "#000000", "#000000", "#D55E00", "#56B4E9"
REFUSED = {
    Status.LOW_COUNTS: ("#E69F00", "v"),
    Status.NO_CRYSTAL: ("#56B4E9", "o"),
    Status.OUT_OF_RANGE: ("#CC79A7", "^"),
    Status.OUT_OF_DOMAIN: ("#D55E00", "s"),
    Status.BAD_FRAME: ("#000000", "x"),
}
"""Colour and marker of each status: never colour alone."""

GROWTH_FRAMES = 10
"""Growth is the slope over the last so many sized frames: fewer are noise, more are history."""


REDRAW_MS = 100
"""Nothing is drawn more often than ten times a second."""


class LiveFigure:
    """A window that shows the newest state of a synthesis; older states are skipped, never queued.

    The window is drawn by its own timer, in the thread of the user interface: neither the plan nor the
    sizing waits for it. It outlives its run until the next one begins, and is reused.

    Parameters
    ----------
    record
        The synthesis.
    figure
        Figure to draw into; None for the window `qdsizer`, opened where there is none.
    """

    def __init__(self, record: SynthesisRecord, figure: Figure | None = None) -> None:
        if figure is None:
            from matplotlib import pyplot

            figure = pyplot.figure("qdsizer", figsize=(16, 9))
        self.figure = figure
        self._record = record
        self._drawn: tuple[str, int] = ("", -1)
        self._timer: Any = figure.canvas.new_timer(interval=REDRAW_MS)
        self._timer.add_callback(self.refresh)
        self._timer.start()

    def refresh(self) -> bool:
        """Draw the newest state where it is new.

        Returns
        -------
        Whether something was drawn.
        """
        state = self._record.snapshot()
        now = (state.run, state.n_frames)
        if now == self._drawn:
            return False
        draw_synthesis(state, self.figure)
        self.figure.canvas.draw_idle()
        self._drawn = now
        return True

    def close(self) -> None:
        """Stop drawing; the window stays."""
        self._timer.stop()


def draw_synthesis(record: SynthesisRecord, figure: Figure) -> None:
    """Draw a synthesis.

    Parameters
    ----------
    record
        The synthesis.
    figure
        Figure to draw into; emptied first.
    """
    figure.clear()
    layout = figure.add_gridspec(
        3, 2, height_ratios=(0.14, 1, 0.9), width_ratios=(1.25, 1), hspace=0.42, wspace=0.2,
        left=0.06, right=0.97, top=0.97, bottom=0.11,
    )  # fmt: skip
    _top_line(figure.add_subplot(layout[0, :]), record)
    _size_against_time(figure.add_subplot(layout[1, 0]), record.frames)
    newest = layout[1:, 1].subgridspec(2, 1, height_ratios=(3, 1), hspace=0.06)
    upper = figure.add_subplot(newest[0])
    _newest(upper, figure.add_subplot(newest[1], sharex=upper), record)
    _waterfall(figure, figure.add_subplot(layout[2, 0]), record)
    _footer(figure, record)


def _top_line(axes: Axes, record: SynthesisRecord) -> None:
    """Size, growth and status, readable from two metres."""
    axes.set_axis_off()
    sized = [frame for frame in record.frames if frame.status is Status.SIZED]
    last = record.frames[-1] if record.frames else None
    if last is None:
        text, status, colour = "no frame yet", "", "#000000"
    elif last.status is Status.SIZED:
        text = f"{last.size_nm:.2f} nm  [{last.low_nm:.2f}, {last.high_nm:.2f}]"
        status, colour = "sized", SIZE
    else:
        text, status, colour = "— nm", last.status.value.replace("_", " "), REFUSED[last.status][0]
    axes.text(0, 0.4, text, fontsize=30, fontweight="bold", va="center", transform=axes.transAxes)
    growth = _growth(sized)
    right = f"{growth:+.2f} nm/min   " if np.isfinite(growth) else ""
    axes.text(0.57, 0.4, right, fontsize=22, va="center", transform=axes.transAxes)
    counts = f"{record.n_frames} frames: {record.n_sized} sized, {record.n_frames - record.n_sized} refused"
    axes.text(1, 0.72, status, fontsize=22, fontweight="bold", color=colour, ha="right", va="center",
              transform=axes.transAxes)  # fmt: skip
    axes.text(1, 0.0, counts, fontsize=12,
              ha="right", va="center", transform=axes.transAxes)  # fmt: skip


def _growth(sized: list[SizedFrame]) -> float:
    recent = sized[-GROWTH_FRAMES:]
    if len(recent) < 3:
        return float("nan")
    return float(np.polyfit([f.minutes for f in recent], [f.size_nm for f in recent], 1)[0])


def _size_against_time(axes: Axes, frames: list[SizedFrame]) -> None:
    minutes = np.array([frame.minutes for frame in frames])
    size, low, high, truth = (
        np.array([getattr(frame, name) for frame in frames])
        for name in ("size_nm", "low_nm", "high_nm", "truth_nm")
    )
    if np.any(np.isfinite(truth)):
        axes.plot(minutes, truth, color=TRUTH, lw=1.5, ls="--", label="truth", zorder=3)
    axes.fill_between(minutes, low, high, color=SIZE, alpha=0.25, lw=0, label="95 % interval")
    axes.plot(minutes, size, "o", color=SIZE, ms=5, label="number mean", zorder=4)
    # Frames without a size stand on the axis, as ticks of their status.
    for status, (colour, marker) in REFUSED.items():
        at = [frame.minutes for frame in frames if frame.status is status]
        if at:
            axes.plot(at, np.zeros(len(at)), marker, color=colour, ms=8, clip_on=False, zorder=5,
                      transform=axes.get_xaxis_transform(), label=status.value.replace("_", " "))  # fmt: skip
    axes.set(xlabel="time since start (min)", ylabel="diameter (nm)")
    if np.any(np.isfinite(size)):
        top = np.nanmax(np.concatenate([high, truth]))
        bottom = np.nanmin(np.concatenate([low, truth]))
        axes.set_ylim(bottom - 0.08 * (top - bottom) - 0.05, top + 0.08 * (top - bottom) + 0.05)
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right", frameon=False, fontsize=10)


def _newest(axes: Axes, below: Axes, record: SynthesisRecord) -> None:
    """Measured pattern, what the physics check says it is made of, and what that leaves."""
    below.set_xlabel("Q (Å⁻¹)")
    below.set_ylabel("residual (σ)")
    axes.set_ylabel("counts per strip")
    axes.tick_params(labelbottom=False)
    examination = record.newest
    if examination is None or examination.binned is None:
        return
    binned = examination.binned
    q, measured = binned.q_inv_angstrom, np.where(binned.mask, np.nan, binned.intensity)
    axes.plot(q, measured, color=MEASURED, lw=0, marker=".", ms=2.5, label="measured")
    fit = examination.fit
    if fit is not None:
        axes.plot(q, fit.total, color=FIT, lw=1.5, label="fit")
        axes.fill_between(q, fit.background, color="#999999", alpha=0.45, lw=0, label="background")
        axes.fill_between(q, fit.background, fit.background + fit.liquid, color=LIQUID, alpha=0.45, lw=0,
                          label="solvent")  # fmt: skip
        axes.fill_between(q, fit.background + fit.liquid, fit.total, color=FIT, alpha=0.25, lw=0,
                          label="dots")  # fmt: skip
        below.plot(q, (measured - fit.total) / binned.sigma, ".", color=MEASURED, ms=2)
        below.axhline(0, color=FIT, lw=1)
        below.set_ylim(-6, 6)
    axes.set_ylim(bottom=0)
    axes.set_title("newest frame", loc="left", fontsize=11)
    axes.legend(frameon=False, fontsize=10)
    axes.grid(alpha=0.25)
    below.grid(alpha=0.25)


def _waterfall(figure: Figure, axes: Axes, record: SynthesisRecord) -> None:
    frames = [frame for frame in record.frames if frame.pattern.size]
    axes.set(xlabel="Q (Å⁻¹)", ylabel="time (min)")
    if not frames:
        return
    patterns: NDArray[np.float64] = np.array([frame.pattern for frame in frames])
    minutes = np.array([frame.minutes for frame in frames])
    # The colour scale is that of the whole run, so that a colour means one intensity; its root shows
    # the weak peaks at high Q beside the solvent's halo.
    low, high = np.nanpercentile(patterns, [1, 99.5])
    mesh = axes.pcolormesh(
        _edges(record.q_inv_angstrom),
        _edges(minutes),
        patterns,
        cmap="cividis",
        norm=PowerNorm(0.5, low, high),
        rasterized=True,
    )
    figure.colorbar(mesh, ax=axes, label="counts per strip", pad=0.02)


def _edges(centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Edges half-way between centres."""
    half = np.diff(centres) / 2 if centres.size > 1 else np.array([0.5])
    ends = centres[0] - half[0], centres[-1] + half[-1]
    return np.concatenate([ends[:1], (centres[:-1] + centres[1:]) / 2, ends[1:]])


def _footer(figure: Figure, record: SynthesisRecord) -> None:
    said: dict[str, Any] = record.configuration
    if not said:
        return
    figure.text(
        0.06,
        0.02,
        f"model {said['qdsizer_model']} {said['qdsizer_model_sha256'][:8]}   ·   "
        f"wavelength {said['qdsizer_wavelength']:.5g} Å from {said['qdsizer_wavelength_source']}   ·   "
        f"latency {1000 * record.latency_s:.0f} ms",
        fontsize=10,
        color="#444444",
    )

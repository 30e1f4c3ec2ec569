"""The picture of a synthesis as a page of Bokeh."""

import math
from collections.abc import Callable
from html import escape
from typing import Any

import numpy as np
from bokeh.document import Document
from bokeh.layouts import column, row
from bokeh.models import (
    ColorBar,
    ColumnDataSource,
    CustomJSTickFormatter,
    Div,
    HoverTool,
    LinearColorMapper,
    Range1d,
    Span,
)
from bokeh.palettes import Cividis256
from bokeh.plotting import figure
from numpy.typing import NDArray

from ...callbacks import SizedFrame, SynthesisRecord
from ...callbacks.display import (
    LOOKS,
    STALE_COLOUR,
    Headline,
    describe_frame,
    footer,
    headline,
    size_limits_nm,
    waterfall,
)
from ...models import TWO_SIDED_95
from ...sizing import Examination, Status

__all__ = ["draw_page"]

REDRAW_MS = 250
"""How often a page is brought up to date; states in between are skipped."""

SIZE, FIT, SOLVENT, BACKGROUND = "#0072B2", "#D55E00", "#56B4E9", "#999999"
"""Okabe and Ito's palette, as for the statuses."""

FONT = "16px"
"""Of axes and legends."""

REASON_FONT = "26px"
"""Of the reason why the newest frame has no size: it says what to do, and is read from a distance."""

WIDTH = "97vw"
"""Of the top line, which Bokeh would otherwise make as wide as its words."""

PANEL_STYLES = {"flex": "1 1 600px", "min-width": "min(100%, 600px)"}
"""Of the two halves of the page, which are placed below each other where there is no room beside."""

Columns = dict[str, Any]


def draw_page(document: Document, snapshot: Callable[[], SynthesisRecord]) -> None:
    """Fill a page, and keep it up to date while somebody looks at it.

    Parameters
    ----------
    document
        The page.
    snapshot
        Gives the newest state of the synthesis.
    """
    page = _Page()
    document.title = "qdsizer"
    document.add_root(page.layout)
    shown: tuple[str, int, tuple[int, int] | None] | None = None

    def refresh() -> None:
        nonlocal shown
        record = snapshot()
        line = headline(record)
        if line != page.line:  # the age of the newest frame changes without news
            page.show_line(line)
            document.title = f"{line.title} · qdsizer"
        state = (record.run, record.n_frames, record.loading)
        if state != shown:
            page.show(record)
            shown = state

    refresh()
    document.add_periodic_callback(refresh, REDRAW_MS)


class _Page:
    """The parts of a page, and their contents."""

    def __init__(self) -> None:
        self.line: Headline | None = None
        self._headline = Div(name="headline", sizing_mode="stretch_width")
        self._footer = Div(name="footer", sizing_mode="stretch_width")
        self._sized = _source("minutes", "size", "dispersion", "truth", "description")
        self._rejected = _source("minutes", "at", "glyph", "colour", "words", "description")
        self._interval, self._scatter = _source("xs", "ys"), _source("xs", "ys")
        self._track = _source("minutes", "size")
        self._limits = Range1d(0, 10)
        self._target = Span(dimension="width", line_dash="dotted", line_width=2, visible=False)
        sizes = self._sizes()
        dispersion = self._dispersion(sizes.x_range)
        self._image = _source("image", "x", "y", "dw", "dh")
        self._colours = LinearColorMapper(Cividis256, nan_color="rgba(0, 0, 0, 0)")
        fall = self._waterfall()
        self._measured = _source("q", "intensity", "residual")
        self._fit = _source("q", "total")
        self._bands = {name: _source("xs", "ys") for name in ("background", "solvent", "dots")}
        newest = self._newest()
        residual = self._residual(newest.x_range)
        self.layout = column(
            self._headline,
            row(
                column(sizes, dispersion, fall, sizing_mode="stretch_width", styles=PANEL_STYLES),
                column(newest, residual, sizing_mode="stretch_width", styles=PANEL_STYLES),
                sizing_mode="stretch_width",
                styles={"flex-wrap": "wrap"},
            ),
            self._footer,
            sizing_mode="stretch_width",
        )

    def show_line(self, line: Headline) -> None:
        """Show a top line."""
        self._headline.text = _headline_html(line)
        self.line = line

    def show(self, record: SynthesisRecord) -> None:
        """Show a state of a synthesis."""
        self._footer.text = f'<div style="font-size: {FONT}; color: #444">{escape(footer(record))}</div>'
        low, high = size_limits_nm(record)
        self._limits.start, self._limits.end = low, high
        has_target = math.isfinite(record.target_nm)
        self._target.location, self._target.visible = record.target_nm if has_target else 0.0, has_target
        sized = [frame for frame in record.frames if frame.status is Status.SIZED]
        self._sized.data = _sized(sized)
        self._interval.data, self._scatter.data = _segments(record.frames)
        self._track.data = {
            "minutes": np.array([frame.minutes for frame in record.frames]),
            "size": np.array([frame.track_nm for frame in record.frames]),
        }
        self._rejected.data = _rejected(record.frames, low + 0.03 * (high - low))
        self._show_waterfall(record)
        self._show_newest(record.newest)

    def _show_waterfall(self, record: SynthesisRecord) -> None:
        shown = waterfall(record)
        if shown is None:
            self._image.data = {name: [] for name in ("image", "x", "y", "dw", "dh")}
            return
        (left, right), (bottom, top) = shown.q_inv_angstrom, shown.minutes
        # The square root shows the weak peaks at high Q beside the solvent's halo.
        self._image.data = {
            "image": [np.sqrt(np.maximum(shown.image, 0.0)).astype(np.float32)],
            "x": [left],
            "y": [bottom],
            "dw": [right - left],
            "dh": [top - bottom],
        }
        self._colours.low, self._colours.high = 0.0, math.sqrt(shown.highest)

    def _show_newest(self, examination: Examination | None) -> None:
        binned = None if examination is None else examination.binned
        fit = None if examination is None else examination.fit
        empty: NDArray[np.float64] = np.empty(0)
        if binned is None:
            self._measured.data = {"q": empty, "intensity": empty, "residual": empty}
        else:
            seen = ~binned.mask
            off = (binned.intensity - fit.total) / binned.sigma if fit is not None else binned.sigma * np.nan
            self._measured.data = {
                "q": binned.q_inv_angstrom[seen],
                "intensity": binned.intensity[seen],
                "residual": off[seen],
            }
        if binned is None or fit is None:
            self._fit.data = {"q": empty, "total": empty}
            for source in self._bands.values():
                source.data = {"xs": [], "ys": []}
            return
        q = binned.q_inv_angstrom
        self._fit.data = {"q": q, "total": fit.total}
        below, above = fit.background, fit.background + fit.solvent
        self._bands["background"].data = _bands(q, np.zeros_like(q), below)
        self._bands["solvent"].data = _bands(q, below, above)
        self._bands["dots"].data = _bands(q, above, fit.total)

    def _sizes(self) -> Any:
        plot = figure(
            height=330, sizing_mode="stretch_width", y_axis_label="diameter (nm)", y_range=self._limits,
            tools="pan,wheel_zoom,reset",
        )  # fmt: skip
        plot.patches(
            "xs",
            "ys",
            source=self._interval,
            color=SIZE,
            alpha=0.2,
            line_width=0,
            legend_label="95 % interval",
        )
        plot.patches(
            "xs",
            "ys",
            source=self._scatter,
            color=SIZE,
            alpha=0.3,
            line_width=0,
            legend_label="its part from frame to frame",
        )
        plot.line("minutes", "size", source=self._track, color=FIT, line_width=2, legend_label="track")
        plot.line("minutes", "truth", source=self._sized, color="black", line_dash="dashed", line_width=2)
        points = plot.scatter(
            "minutes", "size", source=self._sized, marker=LOOKS[Status.SIZED].glyph, color=SIZE, size=9,
            legend_label="number mean",
        )  # fmt: skip
        rejected = plot.scatter(
            "minutes", "at", source=self._rejected, marker="glyph", color="colour", size=13, line_width=3,
            legend_field="words",
        )  # fmt: skip
        plot.add_layout(self._target)
        plot.add_tools(HoverTool(renderers=[points, rejected], tooltips=[("", "@description")]))
        plot.legend.location = "bottom_right"
        plot.legend.background_fill_alpha = 0.7
        return _readable(plot)

    def _dispersion(self, x_range: Any) -> Any:
        plot = figure(
            height=130, sizing_mode="stretch_width", x_axis_label="time since start (min)",
            y_axis_label="dispersion (%)", x_range=x_range, tools="",
        )  # fmt: skip
        plot.y_range.start = 0
        plot.scatter("minutes", "dispersion", source=self._sized, color=SIZE, size=5)
        plot.yaxis.ticker.desired_num_ticks = 3
        return _readable(plot)

    def _waterfall(self) -> Any:
        plot = figure(
            height=290, sizing_mode="stretch_width", x_axis_label="Q (Å⁻¹)", y_axis_label="time (min)",
            tools="pan,wheel_zoom,reset",
        )  # fmt: skip
        plot.x_range.range_padding = plot.y_range.range_padding = 0
        plot.image("image", x="x", y="y", dw="dw", dh="dh", source=self._image, color_mapper=self._colours)
        bar = ColorBar(
            color_mapper=self._colours,
            title="counts per strip",
            formatter=CustomJSTickFormatter(code="return (tick * tick).toPrecision(2) * 1"),
            major_label_text_font_size=FONT,
            title_text_font_size=FONT,
        )
        plot.add_layout(bar, "right")
        return _readable(plot)

    def _newest(self) -> Any:
        plot = figure(
            height=500, sizing_mode="stretch_width", title="newest frame", y_axis_label="counts per strip",
            tools="pan,wheel_zoom,box_zoom,reset",
        )  # fmt: skip
        plot.y_range.start = 0
        for (name, source), colour in zip(self._bands.items(), (BACKGROUND, SOLVENT, FIT), strict=True):
            plot.patches("xs", "ys", source=source, color=colour, alpha=0.4, line_width=0, legend_label=name)
        plot.line("q", "total", source=self._fit, color=FIT, line_width=2, legend_label="fit")
        plot.scatter("q", "intensity", source=self._measured, color="black", size=3, legend_label="measured")
        return _readable(plot)

    def _residual(self, x_range: Any) -> Any:
        plot = figure(
            height=250, sizing_mode="stretch_width", x_axis_label="Q (Å⁻¹)", y_axis_label="residual (σ)",
            x_range=x_range, y_range=Range1d(-6, 6), tools="",
        )  # fmt: skip
        plot.scatter("q", "residual", source=self._measured, color="black", size=3)
        plot.add_layout(Span(location=0, dimension="width", line_color=FIT, line_width=2))
        return _readable(plot)


def _source(*columns: str) -> ColumnDataSource:
    """A source without rows: whatever draws from it needs its columns."""
    return ColumnDataSource({column: [] for column in columns})


def _readable(plot: Any) -> Any:
    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    plot.axis.axis_label_text_font_size = plot.axis.major_label_text_font_size = FONT
    plot.axis.axis_label_text_font_style = "normal"
    plot.title.text_font_size = FONT
    plot.min_border_left = 80  # panels above each other are aligned
    for legend in plot.legend:  # some have none, and setting one of these would warn
        legend.label_text_font_size = FONT
    return plot


def _headline_html(line: Headline) -> str:
    """The top line as HTML; everything that comes from a document is escaped."""
    colour = STALE_COLOUR if line.stale else "#000000"
    size, mean, growth, status, reason, forecast = map(
        escape, (line.size, line.mean, line.growth, line.status, line.reason, line.forecast)
    )
    last = escape(f"{line.freshness}   ·   {line.counts}" if line.freshness else line.counts)
    return (
        f'<div role="status" aria-live="polite" style="width: {WIDTH}; font-family: sans-serif">'
        '<div style="display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 3vw">'
        f'<h1 style="font-size: clamp(28px, 5vw, 60px); margin: 0; color: {colour}">{size}</h1>'
        f'<span style="font-size: clamp(18px, 3vw, 40px); color: {colour}">{growth}</span>'
        '<strong style="font-size: clamp(18px, 3vw, 40px); margin-left: auto; '
        f'color: {line.colour}">{status}</strong></div>'
        '<div style="display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 3vw">'
        f'<span style="font-size: {REASON_FONT if reason else FONT}">{reason or mean}</span>'
        f'<span style="font-size: {REASON_FONT}">{forecast}</span>'
        f'<span style="font-size: 18px; margin-left: auto">{last}</span></div></div>'
    )


def _sized(frames: list[SizedFrame]) -> Columns:
    return {
        "minutes": np.array([frame.minutes for frame in frames]),
        "size": np.array([frame.size_nm for frame in frames]),
        "dispersion": np.array([100 * frame.dispersion for frame in frames]),
        "truth": np.array([frame.truth_nm for frame in frames]),
        "description": [describe_frame(frame) for frame in frames],
    }


def _rejected(frames: list[SizedFrame], at: float) -> Columns:
    """Frames without a size, which are marked on the axis."""
    rejected = [frame for frame in frames if frame.status is not Status.SIZED]
    looks = [LOOKS[frame.status] for frame in rejected]
    return {
        "minutes": np.array([frame.minutes for frame in rejected]),
        "at": np.full(len(rejected), at),
        "glyph": [look.glyph for look in looks],
        "colour": [look.colour for look in looks],
        "words": [look.words for look in looks],
        "description": [describe_frame(frame) for frame in rejected],
    }


def _segments(frames: list[SizedFrame]) -> tuple[Columns, Columns]:
    """The intervals, and their part from frame to frame, as bands broken where a frame has no size."""
    minutes, low, high, size, sd = (
        np.array([getattr(frame, name) for frame in frames])
        for name in ("minutes", "low_nm", "high_nm", "size_nm", "frame_sd_nm")
    )
    half = TWO_SIDED_95 * sd
    return _bands(minutes, low, high), _bands(minutes, size - half, size + half)


def _bands(x: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> Columns:
    """Outlines of the area between two curves, one for each section that has both."""
    there = np.isfinite(low) & np.isfinite(high)
    sections = np.split(np.arange(x.size), np.flatnonzero(np.diff(there)) + 1)
    wanted = [section for section in sections if section.size > 1 and there[section[0]]]
    return {
        "xs": [np.concatenate([x[section], x[section][::-1]]) for section in wanted],
        "ys": [np.concatenate([low[section], high[section][::-1]]) for section in wanted],
    }

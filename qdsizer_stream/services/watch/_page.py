"""The picture of a synthesis as a page of Bokeh."""

import json
import math
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import numpy as np
from bokeh.document import Document
from bokeh.models import (
    ColorBar,
    ColumnDataSource,
    CustomJS,
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
    describe_frame,
    distribution,
    footer,
    headline,
    reflection_marks,
    residual_limit_sd,
    size_limits_nm,
    waterfall,
)
from ...models import TWO_SIDED_95
from ...sizing import Examination, Status
from ._shelf import RunEntry

__all__ = ["draw_page"]

REDRAW_MS = 250
"""How often a page is brought up to date; states in between are skipped."""

SIZE, FIT, SOLVENT, BACKGROUND = "#0072B2", "#D55E00", "#56B4E9", "#999999"
"""Okabe and Ito's palette, as for the statuses."""

HEADROOM = 1.22
"""Upper end of the intensity over its largest value: room for the reflections above the peaks."""

MIN_LABEL_DISTANCE = 0.03
"""Distance of the labels of two reflections, of the range of Q: closer ones would overlap."""

Columns = dict[str, Any]


def draw_page(
    document: Document,
    snapshot: Callable[[], SynthesisRecord],
    runs: Callable[[], list[RunEntry]] = list,
    problem: Callable[[], str] = str,
    refines: bool = False,
) -> None:
    """Fill a page, and keep it up to date while somebody looks at it.

    Parameters
    ----------
    document
        The page.
    snapshot
        Gives the newest state of the synthesis.
    runs
        Gives the runs that the page lists, newest first.
    problem
        Gives the reason why the run cannot be shown, or an empty text.
    refines
        Whether the page offers to refine the newest frame.
    """
    page = _Page()
    document.title = "qdsizer"
    document.template = (files(__package__) / "page.html").read_text(encoding="utf-8")
    for root in page.roots:
        document.add_root(root)
    script = (files(__package__) / "page.js").read_text(encoding="utf-8")
    apply = CustomJS(args={"source": page.state, "plots": page.plots, "labels": page.labels}, code=script)
    page.state.js_on_change("text", apply)
    document.js_on_event("document_ready", apply)
    shown: tuple[str, int, tuple[int, int] | None] | None = None

    def refresh() -> None:
        nonlocal shown
        record = snapshot()
        words, title = _words(record, runs(), problem(), refines)
        if words != page.state.text:  # the age of the newest frame changes without news
            page.state.text = words
            document.title = f"{title} · qdsizer"
        state = (record.run, record.n_frames, record.loading)
        if state != shown:
            page.show(record)
            shown = state

    refresh()
    document.add_periodic_callback(refresh, REDRAW_MS)


def _words(record: SynthesisRecord, runs: list[RunEntry], problem: str, refines: bool) -> tuple[str, str]:
    """All words of the page as JSON, and the title of its tab."""
    line = headline(record)
    words = {
        "size": line.size,
        "growth": line.growth,
        "status": line.status,
        "problem": problem,
        "reason": line.reason,
        "means": f"{line.mean};  {line.number}" if line.number else line.mean,
        "forecast": line.forecast,
        "subject": line.subject,
        "freshness": f"{line.freshness}   ·" if line.freshness else "",
        "counts": line.counts,
        "footer": footer(record),
    }
    state = {
        "words": words,
        "size_colour": STALE_COLOUR if line.stale else "#000000",
        "colour": line.colour,
        "run": record.run,
        "refines": refines and record.newest is not None and record.newest.binned is not None,
        "truth": any(math.isfinite(frame.truth_nm) for frame in record.frames),
        "target": math.isfinite(record.target_nm),
        "runs": [{"uid": run.uid, "title": run.title, "about": run.about} for run in runs],
    }
    return json.dumps(state), line.title


class _Page:
    """The parts of a page, and their contents."""

    def __init__(self) -> None:
        self.state = Div(name="state", visible=False)
        self._sized = _source("minutes", "size", "mass", "dispersion", "truth", "description")
        self._rejected = _source("minutes", "at", "glyph", "colour", "words", "description")
        self._interval, self._scatter = _source("xs", "ys"), _source("xs", "ys")
        self._track = _source("minutes", "size")
        self._limits, self._intensities, self._residuals = Range1d(0, 10), Range1d(0, 1), Range1d(-6, 6)
        self._target = Span(dimension="width", line_dash="dotted", line_width=2, visible=False)
        sizes = self._sizes()
        self._image = _source("image", "x", "y", "dw", "dh")
        self._colours = LinearColorMapper(Cividis256, nan_color="rgba(0, 0, 0, 0)")
        self._measured = _source("q", "intensity", "residual")
        self._fit = _source("q", "total")
        self._bands = {name: _source("xs", "ys") for name in ("background", "solvent", "dots")}
        self._reflections, self._labels = _source("q"), _source("q", "label")
        self._number, self._mass = _source("x", "y"), _source("x", "y")
        newest = self._newest()
        self.plots = [
            sizes,
            self._dispersion(sizes.x_range),
            self._waterfall(),
            newest,
            self._residual(newest.x_range),
            self._distribution(),
        ]
        self.roots = [self.state, *self.plots]

    def show(self, record: SynthesisRecord) -> None:
        """Show a state of a synthesis."""
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
        self._rejected.data = _rejected(record.frames, low + 0.05 * (high - low))
        self._show_waterfall(record)
        self._show_newest(record.newest)
        curves = distribution(sized[-1].size_nm, sized[-1].dispersion) if sized else None
        for source, name in ((self._number, "number_per_nm"), (self._mass, "mass_per_nm")):
            source.data = {
                "x": [] if curves is None else curves.diameters_nm,
                "y": [] if curves is None else getattr(curves, name),
            }

    def _show_waterfall(self, record: SynthesisRecord) -> None:
        shown = waterfall(record)
        if shown is None:
            self._image.data = {name: [] for name in ("image", "x", "y", "dw", "dh")}
            return
        (left, right), (bottom, top) = shown.q_inv_angstrom, shown.minutes
        # The square root shows the weak peaks at high Q beside the strong ones.
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
        marks = reflection_marks(examination, MIN_LABEL_DISTANCE)
        self._reflections.data = {"q": marks.q_inv_angstrom}
        self._labels.data = {
            name: [mark[i] for mark in marks.labels] for i, name in enumerate(("q", "label"))
        }
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
            if np.any(seen):  # noise below zero is part of the measurement
                intensity = binned.intensity[seen]
                self._intensities.start = min(0.0, 1.05 * float(intensity.min()))
                self._intensities.end = max(HEADROOM * float(intensity.max()), 1e-9)
            limit = residual_limit_sd(off[seen])
            self._residuals.start, self._residuals.end = -limit, limit
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
        plot = _figure("sizes", "time since start (min)", "diameter (nm)", y_range=self._limits)
        for source, alpha in ((self._interval, 0.2), (self._scatter, 0.3)):
            plot.patches("xs", "ys", source=source, color=SIZE, alpha=alpha, line_width=0)
        plot.line("minutes", "size", source=self._track, color=FIT, line_width=2)
        plot.line("minutes", "truth", source=self._sized, color="black", line_dash="dashed", line_width=2)
        glyph = LOOKS[Status.SIZED].glyph
        plot.scatter("minutes", "mass", source=self._sized, marker=glyph, color=SIZE, fill_color=None, size=9)
        points = plot.scatter("minutes", "size", source=self._sized, marker=glyph, color=SIZE, size=9)
        rejected = plot.scatter(
            "minutes", "at", source=self._rejected, marker="glyph", color="colour", size=13, line_width=3,
        )  # fmt: skip
        plot.add_layout(self._target)
        plot.add_tools(HoverTool(renderers=[points, rejected], tooltips=[("", "@description")]))
        return plot

    def _dispersion(self, x_range: Any) -> Any:
        plot = _figure("dispersion", "time since start (min)", "(%)", x_range=x_range, tools="")
        plot.y_range.start = 0
        plot.scatter("minutes", "dispersion", source=self._sized, color=SIZE, size=5)
        plot.yaxis.ticker.desired_num_ticks = 3
        return plot

    def _waterfall(self) -> Any:
        plot = _figure("waterfall", "Q (Å⁻¹)", "time (min)")
        plot.x_range.range_padding = plot.y_range.range_padding = 0
        plot.image("image", x="x", y="y", dw="dw", dh="dh", source=self._image, color_mapper=self._colours)
        bar = ColorBar(
            color_mapper=self._colours,
            formatter=CustomJSTickFormatter(code="return (tick * tick).toPrecision(2) * 1"),
            width=12,
        )
        plot.add_layout(bar, "right")
        return plot

    def _newest(self) -> Any:
        plot = _figure(
            "newest",
            "Q (Å⁻¹)",
            "counts per strip",
            y_range=self._intensities,
            tools="pan,wheel_zoom,box_zoom,reset",
        )
        for source, colour in zip(self._bands.values(), (BACKGROUND, SOLVENT, FIT), strict=True):
            plot.patches("xs", "ys", source=source, color=colour, alpha=0.4, line_width=0)
        plot.line("q", "total", source=self._fit, color=FIT, line_width=2)
        plot.scatter("q", "intensity", source=self._measured, fill_color="black", line_color=None, size=3)
        plot.extra_y_ranges = {"marks": Range1d(0, 1)}
        marks = {"y_range_name": "marks", "level": "overlay"}
        plot.segment("q", 0.965, "q", 1.0, source=self._reflections, color=FIT, **marks)
        self.labels = plot.text(
            "q", 0.95, "label", source=self._labels, color="#AD4C00", text_font_size="12px",
            angle=math.pi / 2, text_align="right", text_baseline="middle", **marks,
        ).glyph  # fmt: skip
        return plot

    def _residual(self, x_range: Any) -> Any:
        plot = _figure("residual", "Q (Å⁻¹)", "(σ)", x_range=x_range, y_range=self._residuals, tools="")
        plot.scatter("q", "residual", source=self._measured, fill_color="black", line_color=None, size=3)
        plot.add_layout(Span(location=0, dimension="width", line_color=FIT, line_width=2))
        return plot

    def _distribution(self) -> Any:
        plot = _figure("distribution", "diameter (nm)", "fraction (1/nm)")
        plot.y_range.start = 0
        plot.line("x", "y", source=self._number, color=SIZE, line_width=2)
        plot.line("x", "y", source=self._mass, color=FIT, line_width=2, line_dash="dashed")
        return plot


def _source(*columns: str) -> ColumnDataSource:
    """A source without rows: whatever draws from it needs its columns."""
    return ColumnDataSource({column: [] for column in columns})


def _figure(name: str, x_label: str, y_label: str, **settings: Any) -> Any:
    """A plot that fills the place that the page has for it."""
    plot = figure(
        name=name,
        sizing_mode="stretch_both",
        x_axis_label=x_label,
        y_axis_label=y_label,
        min_width=0,
        min_height=0,
        **{"tools": "pan,wheel_zoom,reset", **settings},
    )
    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    plot.axis.axis_label_text_font_style = "normal"
    return plot


def _sized(frames: list[SizedFrame]) -> Columns:
    return {
        "minutes": np.array([frame.minutes for frame in frames]),
        "size": np.array([frame.size_nm for frame in frames]),
        "mass": np.array([frame.mass_mean_nm for frame in frames]),
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

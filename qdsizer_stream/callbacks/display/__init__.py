"""Displays: the record of a synthesis and the figure, table and page drawn from it."""

from typing import TYPE_CHECKING, Any

from ..documents import smoothed_track
from ._distribution import Distribution, distribution
from ._record import SIMULATION_KEY, Growth, SizedFrame, SynthesisRecord
from ._reflection_marks import ReflectionMarks, reflection_marks
from ._report import ReportWriter, RunData, render_report
from ._table import LiveSizeTable
from ._view import (
    LOOKS,
    STALE_COLOUR,
    WATERFALL_LABEL,
    Freshness,
    Headline,
    Look,
    Waterfall,
    describe_failed_check,
    describe_frame,
    footer,
    forecast_words,
    freshness,
    growth,
    growth_words,
    headline,
    residual_limit_sd,
    size_limits_nm,
    subject,
    waterfall,
)

if TYPE_CHECKING:
    from ._examination import draw_examination
    from ._figure import LiveFigure, draw_synthesis
    from ._notebook_figure import NotebookFigure

__all__ = [
    "LOOKS",
    "SIMULATION_KEY",
    "STALE_COLOUR",
    "WATERFALL_LABEL",
    "Distribution",
    "Freshness",
    "Growth",
    "Headline",
    "LiveFigure",
    "LiveSizeTable",
    "Look",
    "NotebookFigure",
    "ReflectionMarks",
    "ReportWriter",
    "RunData",
    "SizedFrame",
    "SynthesisRecord",
    "Waterfall",
    "describe_failed_check",
    "describe_frame",
    "distribution",
    "draw_examination",
    "draw_synthesis",
    "footer",
    "forecast_words",
    "freshness",
    "growth",
    "growth_words",
    "headline",
    "reflection_marks",
    "render_report",
    "residual_limit_sd",
    "size_limits_nm",
    "smoothed_track",
    "subject",
    "waterfall",
]


def __getattr__(name: str) -> Any:
    """Import the figure only when it is used: it needs matplotlib, which a live session may not have."""
    if name in ("LiveFigure", "draw_synthesis"):
        from . import _figure

        return getattr(_figure, name)
    if name == "NotebookFigure":
        from ._notebook_figure import NotebookFigure

        return NotebookFigure
    if name == "draw_examination":
        from ._examination import draw_examination

        return draw_examination
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Displays: the record of a synthesis and the figure, table and page drawn from it."""

from typing import TYPE_CHECKING, Any

from ._record import SizedFrame, SynthesisRecord
from ._table import LiveSizeTable
from ._view import (
    LOOKS,
    Headline,
    Look,
    Waterfall,
    footer,
    growth_nm_per_minute,
    headline,
    size_limits_nm,
    tell_frame,
    waterfall,
)

if TYPE_CHECKING:
    from ._figure import LiveFigure, draw_synthesis

__all__ = [
    "LOOKS",
    "Headline",
    "LiveFigure",
    "LiveSizeTable",
    "Look",
    "SizedFrame",
    "SynthesisRecord",
    "Waterfall",
    "draw_synthesis",
    "footer",
    "growth_nm_per_minute",
    "headline",
    "size_limits_nm",
    "tell_frame",
    "waterfall",
]


def __getattr__(name: str) -> Any:
    """Import the figure only when it is used: it needs matplotlib, which a live session may not have."""
    if name in ("LiveFigure", "draw_synthesis"):
        from . import _figure

        return getattr(_figure, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

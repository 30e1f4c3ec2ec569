"""Figures of an evaluation report."""

import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import ModelError
from ._intervals_suite import CALIBRATED_COVERAGE, STRATUM_AXES, IntervalResults
from ._paper_suite import PaperResults
from ._report import Cell, Section

__all__ = ["check_drawing", "draw_intervals", "draw_paper", "draw_trainings"]

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SERIES = ("Q range", "Coarser steps", "Concentration")
"""Titles of the sections that are drawn as curves."""

DARK_BELOW = 84
"""Coverage, %, below which the red of a cell is too dark for black digits."""

REDUNDANT = re.compile(r" \(.*|, area fraction.*")
"""Part of a row name that is not needed as the label of a tick."""


def check_drawing() -> None:
    """Check that figures can be drawn, before hours of computation.

    Raises
    ------
    ModelError
        Matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise ModelError("a report contains figures, which need Matplotlib: install qdsizer-stream[plot]")


def draw_paper(results: PaperResults, name: str, path: Path) -> None:
    """Draw the paper suite: accuracy by Q range, step and concentration; confusion matrix; error by size.

    Parameters
    ----------
    results
        Results of the suite.
    name
        Name of the model.
    path
        PNG file to write.
    """
    figure = _figure(15, 9)
    axes = figure.subplots(2, 3).ravel()
    sections = {section.title: section for section in results.sections}
    for ax, title in zip(axes, SERIES, strict=False):
        _series(ax, sections[title], name)
    fractions = results.confusion / np.maximum(results.confusion.sum(axis=1, keepdims=True), 1)
    image = axes[3].imshow(fractions, cmap="viridis", vmin=0, vmax=1, origin="lower")
    ticks = range(0, results.classes_nm.size, 4)
    for which in ("x", "y"):
        axes[3].set(
            **{f"{which}ticks": ticks, f"{which}ticklabels": [f"{results.classes_nm[t]:g}" for t in ticks]}
        )
    axes[3].set(title="Confusion", xlabel="assigned class (nm)", ylabel="true class (nm)")
    figure.colorbar(image, ax=axes[3], label="fraction of the true class")
    by_size = sections["By size and concentration"]
    for column, heading in enumerate(by_size.columns[1:], start=1):
        is_error = heading.endswith("(nm)")
        cells = [row[column] for row in by_size.rows]
        axes[4 + is_error].plot(
            results.classes_nm,
            [cell if is_error and isinstance(cell, float) else _percent(cell) for cell in cells],
            "o-",
            label=heading.split(",")[0].replace("x", "area fraction"),
        )
    axes[4].set(
        title="Accuracy, by size", xlabel="true class (nm)", ylabel="correct class (%)", ylim=(0, 102)
    )
    axes[5].set(title="Error, by size", xlabel="true class (nm)", ylabel="mean error (nm)")
    axes[5].set_ylim(bottom=0)
    axes[4].legend(loc="lower left")
    figure.savefig(path, dpi=110)


def draw_trainings(curves: Mapping[str, Mapping[str, list[float]]], path: Path) -> None:
    """Draw loss and accuracy after every epoch.

    Parameters
    ----------
    curves
        Curves by variant.
    path
        PNG file to write.
    """
    figure = _figure(12, 4.5)
    for ax, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for variant, of_variant in curves.items():
            values = of_variant[f"validation_{quantity}"]
            ax.plot(range(1, len(values) + 1), values, label=variant)
        ax.set(title=f"Validation {quantity}", xlabel="epoch")
        ax.legend()
    figure.savefig(path, dpi=110)


def draw_intervals(results: IntervalResults, name: str, path: Path) -> None:
    """Draw the coverage of every stratum as a heat map, one panel per kind of simulation.

    Parameters
    ----------
    results
        Results of the suite.
    name
        Name of the model.
    path
        PNG file to write.
    """
    from matplotlib.colors import TwoSlopeNorm

    size, counts, area, q_max = STRATUM_AXES
    figure = _figure(7.5 * len(results.coverage), 8)
    axes = np.atleast_1d(figure.subplots(1, len(results.coverage), sharey=True))
    across = [(n, m) for n in range(len(counts.labels)) for m in range(len(size.labels))]
    down = [(n, m) for n in range(len(q_max.labels)) for m in range(len(area.labels))]
    for ax, (simulation, coverage) in zip(axes, results.coverage.items(), strict=True):
        percent = np.array([[100 * coverage[m, n, a, r] for n, m in across] for r, a in down])
        # Red is too low a coverage; blue is too high, which matters less and gets less dark.
        image = ax.imshow(percent, cmap="RdBu", norm=TwoSlopeNorm(95, 80, 110), aspect="auto")
        for (row, column), value in np.ndenumerate(percent):
            is_calibrated = 100 * CALIBRATED_COVERAGE[0] <= value <= 100 * CALIBRATED_COVERAGE[1]
            ax.text(
                column,
                row,
                "–" if np.isnan(value) else f"{value:.0f}",
                ha="center",
                va="center",
                fontweight="normal" if is_calibrated else "bold",
                color="white" if value < DARK_BELOW else "black",
            )
        for n in range(1, len(counts.labels)):
            ax.axvline(n * len(size.labels) - 0.5, color="black", linewidth=1)
        ax.set(
            title=f"{name}, {simulation} (bold: outside 93 to 97 %)",
            xlabel=f"{size.name} above {counts.name}",
        )
        labels = [f"{size.labels[m]}\n{counts.labels[n]}" for n, m in across]
        ax.set_xticks(range(len(across)), labels, fontsize=7)
        ax.set_yticks(
            range(len(down)),
            [f"{area.name} {area.labels[a]}\n{q_max.name} {q_max.labels[r]}" for r, a in down],
            fontsize=8,
        )
    bar = figure.colorbar(image, ax=list(axes), label="true size in the 95 % interval (%)", extend="min")
    bar.ax.set_ylim(80, 100)
    figure.savefig(path, dpi=110)


def _figure(width_inch: float, height_inch: float) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_inch, height_inch), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _series(ax: "Axes", section: Section, name: str) -> None:
    labels = [REDUNDANT.sub("", str(row[0])) for row in section.rows]
    for column, style, label in ((3, "k--", "information limit"), (2, "o-", name)):
        ax.plot(range(len(labels)), [_percent(row[column]) for row in section.rows], style, label=label)
    published = [(i, str(row[1])) for i, row in enumerate(section.rows) if row[1] is not None]
    values = [float(text.split()[-1]) for _, text in published]
    ax.plot([i for i, _ in published], values, "x", color="tab:red", label="published")
    ax.set(title=section.title, ylabel="correct class (%)", ylim=(0, 102))
    ax.set_xticks(range(len(labels)), labels, rotation=90, fontsize=7)
    ax.legend(loc="lower left")


def _percent(cell: Cell) -> float:
    return 100 * cell if isinstance(cell, float) else float("nan")

"""``qdsizer-stream simulate``: simulate a library of patterns, or draw it."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from ..errors import ConfigurationError
from ._app import app, examples
from ._picture import check_picture
from ._progress import progress_bar

if TYPE_CHECKING:
    from ..simulation import Library, LibraryRecipe

__all__ = ["plot", "simulate"]

MAX_SIZES = 6
"""Patterns in one picture: more could not be distinguished."""

SURFACE, INK, SECOND_INK, GRID = "#fcfcfb", "#0b0b0b", "#52514e", "#e4e3df"
"""Colours of background, text, secondary text and grid lines."""

LIGHTEST, DARKEST = 0.35, 1.0
"""Range of the blue colour scale for small to large dots: paler lines vanish on the background."""

group = typer.Typer(
    help="Simulate a library of patterns, or draw it.",
    epilog=examples(
        "simulate --recipe paper --out library.h5", "simulate plot --recipe paper --out paper.png"
    ),
)
app.add_typer(group, name="simulate")


@group.callback(invoke_without_command=True)
def simulate(
    context: typer.Context,
    recipe: Annotated[
        str, typer.Option(help="Name of a recipe of this package, or path of a TOML file.")
    ] = "paper",
    out: Annotated[Path, typer.Option(help="HDF5 file to write.")] = Path("library.h5"),
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Address of a Dask scheduler whose workers run the simulation, such as tcp://host:8786."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
) -> None:
    """Simulate a library of patterns; the same command continues an interrupted simulation."""
    if context.invoked_subcommand is not None:
        return
    import time

    from ..simulation import build_library, load_recipe

    settings = load_recipe(recipe)
    began = time.perf_counter()
    with progress_bar() as show, _warnings_as_lines():
        library = build_library(settings, out, show, scheduler)
    seconds = time.perf_counter() - began
    n_patterns, n_points = library.intensity.shape
    if as_json:
        summary = {
            "file": str(out),
            "patterns": n_patterns,
            "points": n_points,
            "recipe_sha256": settings.sha256,
            "seconds": seconds,
        }
        typer.echo(json.dumps(summary))
    else:
        typer.echo(f"{out}: {n_patterns} patterns of {n_points} points in {seconds:.1f} s")


@group.command(
    epilog=examples(
        "simulate plot --recipe paper", "simulate plot --recipe pbs --against paper --out difference.png"
    )
)
def plot(
    recipe: Annotated[
        str, typer.Option(help="Name of a recipe of this package, or path of a TOML file.")
    ] = "paper",
    against: Annotated[
        str | None, typer.Option(help="Second recipe, whose patterns are subtracted from those of the first.")
    ] = None,
    dispersion: Annotated[
        float | None, typer.Option(help="Dispersion to draw; by default the middle one of the recipe.")
    ] = None,
    out: Annotated[Path, typer.Option(help="PNG file to write.")] = Path("simulation.png"),
) -> None:
    """Draw the unstrained patterns of a recipe and their populations, or the difference of two recipes."""
    check_picture(out)
    from matplotlib.figure import Figure

    from ..simulation import load_recipe

    settings = load_recipe(recipe)
    shown = _chosen_dispersion(settings, dispersion)
    other = None if against is None else load_recipe(against)
    with progress_bar() as show, _warnings_as_lines():
        library = _unstrained(settings, show)
        second = None if other is None else _unstrained(other, show)
    figure = Figure(figsize=(11, 6.5), dpi=150, facecolor=SURFACE, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.7, 1))
    if second is None:
        _draw_patterns(left, library, shown)
        _draw_populations(right, library, shown)
        title = (
            f"{settings.name}: {settings.material}, {settings.wavelength_angstrom:g} Å, dispersion {shown:g}"
        )
    else:
        _draw_difference(left, right, library, second, shown)
        title = f"{settings.name} minus {second.recipe.name}: dispersion {shown:g}"
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold", color=INK)
    figure.savefig(out)
    typer.echo(f"{out}: {title}")


def _chosen_dispersion(recipe: "LibraryRecipe", wanted: float | None) -> float:
    if wanted is None:
        return sorted(recipe.dispersions)[len(recipe.dispersions) // 2]
    if wanted not in recipe.dispersions:
        raise ConfigurationError(
            f"dispersion {wanted:g} is not in recipe {recipe.name}: choose "
            + ", ".join(f"{r:g}" for r in recipe.dispersions)
        )
    return wanted


def _unstrained(recipe: "LibraryRecipe", report: Any) -> "Library":
    """Simulate only the smallest strain of a recipe: the pictures show no other."""
    from ..simulation import simulate

    smallest = float(recipe.strains[np.argmin(np.abs(recipe.strains))])
    return simulate(
        recipe.model_copy(update={"strain_first": smallest, "strain_last": smallest, "n_strains": 1}), report
    )


def _rows(library: "Library", dispersion: float) -> NDArray[np.intp]:
    """Rows of one dispersion at a few evenly spaced sizes."""
    rows = np.flatnonzero(library.nominal_dispersion == dispersion)
    picked = np.unique(np.rint(np.linspace(0, rows.size - 1, min(MAX_SIZES, rows.size))).astype(int))
    return np.asarray(rows[picked])


def _shades(n: int) -> NDArray[np.float64]:
    """One hue, darker for larger dots."""
    from matplotlib import colormaps

    return np.asarray(colormaps["Blues"](np.linspace(LIGHTEST, DARKEST, n)))


def _plain(axes: Any, what: str, x_label: str) -> None:
    axes.set_facecolor(SURFACE)
    axes.set_title(what, loc="left", fontsize=10, color=SECOND_INK)
    axes.set_xlabel(x_label, color=SECOND_INK)
    axes.tick_params(colors=SECOND_INK, length=3)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    axes.set_yticks([])


def _scaled(library: "Library", row: np.intp) -> NDArray[np.float64]:
    intensity = np.asarray(library.intensity[row], np.float64)
    return np.asarray(intensity / intensity.mean())


def _draw_patterns(axes: Any, library: "Library", dispersion: float) -> None:
    """Draw patterns of equal area with vertical offsets, small dots at the bottom."""
    rows = _rows(library, dispersion)
    q = library.q_inv_angstrom
    patterns = [np.sqrt(_scaled(library, row)) for row in rows]
    step = 0.75 * max(float(np.ptp(pattern)) for pattern in patterns)
    for number, (row, pattern, shade) in enumerate(zip(rows, patterns, _shades(rows.size), strict=True)):
        axes.plot(q, pattern + number * step, color=shade, linewidth=1.1)
        end = pattern[-q.size // 50 :].mean() + number * step
        axes.annotate(
            f"{library.nominal_mean_nm[row]:g} nm", (q[-1], end), xytext=(6, 0),
            textcoords="offset points", va="center", fontsize=9, color=INK, annotation_clip=False,
        )  # fmt: skip
    axes.margins(x=0)
    _plain(axes, "√I of equal area, with vertical offsets", "Q (Å⁻¹)")


def _draw_populations(axes: Any, library: "Library", dispersion: float) -> None:
    """Draw the number fractions of the clusters of each pattern, with their mean."""
    from ..simulation import Sampling, lognormal_weights

    recipe = library.recipe
    rows = _rows(library, dispersion)
    diameters_nm = recipe.diameters_angstrom / 10
    weights = lognormal_weights(
        diameters_nm,
        library.nominal_mean_nm[rows],
        library.nominal_dispersion[rows],
        recipe.weighting,
        recipe.sampling or Sampling.POINTS,
        min_fraction=0.0,
    )
    for number, (row, column, shade) in enumerate(zip(rows, weights.T, _shades(rows.size), strict=True)):
        shown = column > 1e-3 * column.max()
        axes.vlines(
            diameters_nm[shown], number, number + 0.8 * column[shown] / column.max(), color=shade, linewidth=3
        )
        axes.plot(library.number_mean_nm[row], number - 0.07, marker="^", color=INK, markersize=5)
        mean = library.number_mean_nm[row]
        axes.annotate(
            f"{mean:.2f} ± {mean * library.dispersion[row]:.2f} nm", (diameters_nm[shown][-1], number),
            xytext=(10, 6), textcoords="offset points", fontsize=9, color=INK,
        )  # fmt: skip
    largest = diameters_nm[np.any(weights > 1e-3 * weights.max(axis=0), axis=1)][-1]
    axes.set_xlim(0, 1.35 * largest)
    axes.set_ylim(-0.25, rows.size)
    _plain(axes, "Number fraction of clusters; ▲ mean (± standard deviation)", "diameter (nm)")


def _draw_difference(left: Any, right: Any, first: "Library", second: "Library", dispersion: float) -> None:
    """Draw differences of patterns of equal area, and their root mean square against size."""
    common = np.intersect1d(
        first.nominal_mean_nm[first.nominal_dispersion == dispersion],
        second.nominal_mean_nm[second.nominal_dispersion == dispersion],
    )
    low = max(first.q_inv_angstrom[0], second.q_inv_angstrom[0])
    high = min(first.q_inv_angstrom[-1], second.q_inv_angstrom[-1])
    if not common.size or low >= high:
        raise ConfigurationError(
            f"recipes {first.recipe.name} and {second.recipe.name} have no mean diameter of dispersion "
            f"{dispersion:g}, or no Q, in common: choose another dispersion or another recipe"
        )
    inside = (first.q_inv_angstrom >= low) & (first.q_inv_angstrom <= high)
    q = first.q_inv_angstrom[inside]
    differences = []
    for mean_nm in common:
        pair = []
        for library in (first, second):
            row = np.flatnonzero(
                (library.nominal_mean_nm == mean_nm) & (library.nominal_dispersion == dispersion)
            )[0]
            intensity = np.interp(q, library.q_inv_angstrom, library.intensity[row])
            pair.append(intensity / intensity.mean())
        differences.append(pair[0] - pair[1])
    picked = np.unique(np.rint(np.linspace(0, common.size - 1, min(MAX_SIZES, common.size))).astype(int))
    step = 1.1 * max(float(np.ptp(differences[k])) for k in picked) or 1.0
    for number, (k, shade) in enumerate(zip(picked, _shades(picked.size), strict=True)):
        left.axhline(number * step, color=GRID, linewidth=0.8)
        left.plot(q, differences[k] + number * step, color=shade, linewidth=1.1)
        left.annotate(
            f"{common[k]:g} nm", (q[-1], number * step), xytext=(6, 0), textcoords="offset points",
            va="center", fontsize=9, color=INK, annotation_clip=False,
        )  # fmt: skip
    left.margins(x=0)
    bar = 10 ** np.floor(np.log10(step))
    left.plot([q[0] + 0.02 * np.ptp(q)] * 2, [-0.9 * step, -0.9 * step + bar], color=INK, linewidth=2)
    left.annotate(
        f"{100 * bar:g} % of the mean", (q[0] + 0.03 * np.ptp(q), -0.9 * step + bar / 2), va="center",
        fontsize=9, color=INK,
    )  # fmt: skip
    _plain(left, "Difference of patterns of equal area, with vertical offsets", "Q (Å⁻¹)")
    rms = [100 * float(np.sqrt(np.mean(difference**2))) for difference in differences]
    right.plot(common, rms, color=_shades(3)[1], linewidth=1.5, marker="o", markersize=5)
    right.set_ylim(0, 1.1 * max(rms) or 1.0)
    _plain(right, "Root mean square difference, % of the mean", "nominal mean diameter (nm)")
    right.yaxis.set_major_locator(_few_ticks())
    right.grid(axis="y", color=GRID, linewidth=0.6)


def _few_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=5)


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Print warnings at once, without the source lines that Python adds."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_: typer.echo(f"warning: {message}", err=True)
        yield

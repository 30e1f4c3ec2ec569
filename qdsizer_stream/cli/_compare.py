"""``qdsizer-stream compare``: tracks of several runs side by side."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ._app import app, examples
from ._archive import opened_archive
from ._picture import check_picture
from ._run_name import RUN_SETTINGS, RunNames

__all__ = ["compare"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette."""


@app.command(
    context_settings=RUN_SETTINGS,
    epilog=examples(
        "compare demo/archive -1 -2",
        "compare http://tiled.beamline:8000 5e3c0f1a 1c9d7e52 --picture runs.png --json",
    ),
)
def compare(
    archive: Annotated[
        str,
        typer.Argument(
            help="Folder of an embedded archive, URL of a Tiled server, or name of a Tiled profile."
        ),
    ],
    runs: RunNames,
    picture: Annotated[Path | None, typer.Option(help="Draw the tracks to this file, .png or .svg.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per run.")] = False,
) -> None:
    """Compare runs: final size, growth and model of each, and their smoothed tracks in one picture."""
    from ..archive import find_run, sized_run

    rows: list[dict[str, Any]] = []
    if picture is not None:
        check_picture(picture)
    tracks = []
    with opened_archive(archive) as catalog:
        for uid in runs:
            run = sized_run(find_run(catalog, uid))
            points = run.smoothed
            if run.not_smoothed:
                typer.echo(f"warning: run {run.start['uid']}: {run.not_smoothed}", err=True)
            tracks.append(points)
            last = points[-1]
            fastest = max(points, key=lambda point: _rank(point.growth_nm_per_min))
            sample = run.start.get("sample", "")
            rows.append(
                {
                    "run": str(run.start["uid"]),
                    "sample": sample if isinstance(sample, str) else str(sample.get("name", "")),
                    "model": str(run.configuration["qdsizer_model"]),
                    "model_sha256": str(run.configuration["qdsizer_model_sha256"]),
                    "frames": len(run.events),
                    "sized": sum(one["qdsizer_status"] == "sized" for one in run.events),
                    "minutes": (points[-1].time_s - points[0].time_s) / 60,
                    "mass_mean_nm": last.mass_mean_nm,
                    "mass_mean_low_nm": last.mass_mean_low_nm,
                    "mass_mean_high_nm": last.mass_mean_high_nm,
                    "size_nm": last.size_nm,
                    "size_low_nm": last.size_low_nm,
                    "size_high_nm": last.size_high_nm,
                    "growth_nm_per_min": last.growth_nm_per_min,
                    "growth_low_nm_per_min": last.growth_low_nm_per_min,
                    "growth_high_nm_per_min": last.growth_high_nm_per_min,
                    "fastest_growth_nm_per_min": fastest.growth_nm_per_min,
                }
            )
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row))
    else:
        _print(rows)
    if picture is not None:
        _draw(rows, tracks, picture)
        if not as_json:
            typer.echo(f"picture: {picture}")


def _rank(value: float) -> float:
    """For a maximum: NaN is smallest."""
    return value if value == value else float("-inf")


def _print(rows: list[dict[str, Any]]) -> None:
    from ..callbacks.display import Growth, growth_words

    # Each run takes two lines, so that the table fits a terminal of 80 columns without broken numbers.
    table = Table("run", "sized", "mass mean (nm)", "number mean (nm)", "growth at the end", show_lines=True)
    for row in rows:
        growth = Growth(*(row[f"growth{end}_nm_per_min"] for end in ("", "_low", "_high")))
        table.add_row(
            f"{row['run'][:8]}\n{row['sample']}".strip(),
            f"{row['sized']} of {row['frames']}\n{row['model']}",
            *(
                f"{row[f'{mean}_nm']:.2f}\n{row[f'{mean}_low_nm']:.2f}–{row[f'{mean}_high_nm']:.2f}"
                for mean in ("mass_mean", "size")
            ),
            growth_words(growth),
        )
    Console().print(table)


def _draw(rows: list[dict[str, Any]], tracks: list[Any], path: Path) -> None:
    """Draw the tracks over each other; the file appears once it is complete."""
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7))
    sizes, growth = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    for index, (row, points) in enumerate(zip(rows, tracks, strict=True)):
        colour = COLOURS[index % len(COLOURS)]
        minutes = np.array([point.time_s for point in points]) / 60
        minutes -= minutes[0]
        for axes, low, middle, high in (
            (sizes, "size_low_nm", "size_nm", "size_high_nm"),
            (growth, "growth_low_nm_per_min", "growth_nm_per_min", "growth_high_nm_per_min"),
        ):
            ends = [np.array([getattr(point, name) for point in points]) for name in (low, middle, high)]
            axes.fill_between(minutes, ends[0], ends[2], color=colour, alpha=0.2, lw=0)
            label = f"{row['sample']} {row['run'][:8]}, {row['model']}".strip()
            axes.plot(minutes, ends[1], color=colour, lw=2, label=label)
    sizes.set_ylabel("number mean, smoothed (nm)")
    sizes.legend(frameon=False)
    growth.set(xlabel="time since the first frame (min)", ylabel="growth (nm/min)")
    growth.axhline(0, color="#000000", lw=0.8)
    part = path.with_suffix(".part")
    figure.savefig(part, format=path.suffix.removeprefix(".") or "png")
    os.replace(part, path)

"""``qdsizer-stream report``: the report of an archived run as one HTML file."""

from pathlib import Path
from typing import Annotated

import typer

from ._app import app, examples
from ._archive import opened_archive
from ._run_name import RUN_SETTINGS, RunName

__all__ = ["report"]


@app.command(
    context_settings=RUN_SETTINGS,
    epilog=examples(
        "report demo/archive -1", "report http://tiled.beamline:8000 5e3c0f1a --out synthesis.html"
    ),
)
def report(
    archive: Annotated[
        str,
        typer.Argument(
            help="Folder of an embedded archive, URL of a Tiled server, or name of a Tiled profile."
        ),
    ],
    run: RunName,
    out: Annotated[
        Path | None, typer.Option(help="File to write; by default the first part of the uid with .html.")
    ] = None,
) -> None:
    """Write the report of a run for the lab book: one HTML file with pictures, which needs no network."""
    import os

    from ..archive import WatchedRun, find_run, sized_run
    from ..callbacks.display import RunData, render_report
    from ..sizing import Status

    with opened_archive(archive) as catalog:
        found = sized_run(find_run(catalog, run))
        data = RunData(
            start=found.start,
            configuration=found.configuration,
            events=list(found.events),
            stop=found.stop,
            smoothed=found.smoothed,
            not_smoothed=found.not_smoothed,
        )
        watched = WatchedRun(catalog, run)
        watched.update()
        sized = [frame for frame in watched.record.frames if frame.status is Status.SIZED]
        for index in sorted({0, (len(sized) - 1) // 2, len(sized) - 1}) if sized else ():
            examination = watched.examine(sized[index])
            if examination is not None:
                data.examinations.append((sized[index].seq_num, examination))
    path = out or Path(f"{data.uid[:8]}.html")
    part = path.with_suffix(".part")
    part.write_text(render_report(data), encoding="utf-8")
    os.replace(part, path)
    typer.echo(f"report: {path}")

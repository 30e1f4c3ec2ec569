"""``qdsizer-stream spool``: runs that an archive did not accept."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ..errors import ArchiveError
from ._app import app, examples
from ._archive import opened_archive
from ._progress import progress_bar

__all__ = ["list_spool", "upload_spool"]

spool = typer.Typer(
    help="List and upload runs that an archive did not accept.",
    epilog=examples("spool list spool/", "spool upload spool/ http://tiled.beamline:8000"),
    no_args_is_help=True,
)
app.add_typer(spool, name="spool")

Folder = Annotated[Path, typer.Argument(help="Folder of the spool.")]
Unfinished = Annotated[
    bool,
    typer.Option("--unfinished", help="Also runs without a stop document: still measured, or interrupted."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object per journal.")]


@spool.command("list", epilog=examples("spool list spool/", "spool list spool/ --unfinished --json"))
def list_spool(folder: Folder, unfinished: Unfinished = False, as_json: AsJson = False) -> None:
    """List the journals in a spool, oldest first."""
    from ..archive import spooled_runs

    journals = spooled_runs(folder, unfinished)
    for journal in journals:
        size_mb = journal.stat().st_size / 1e6
        row = {"journal": str(journal), "megabytes": size_mb}
        typer.echo(json.dumps(row) if as_json else f"{journal} ({size_mb:.1f} MB)")
    if not journals and not as_json:
        typer.echo(f"{folder}: no runs waiting")


@spool.command(
    "upload",
    epilog=examples(
        "spool upload spool/ demo/archive", "spool upload spool/ http://tiled.beamline:8000 --unfinished"
    ),
)
def upload_spool(
    folder: Folder,
    archive: Annotated[str, typer.Argument(help="Folder of an embedded archive, or URL of a Tiled server.")],
    unfinished: Unfinished = False,
    as_json: AsJson = False,
) -> None:
    """Upload every journal to an archive, each run once; uploaded journals are deleted."""
    from bluesky_tiled_plugins import TiledWriter

    from ..archive import spooled_runs, upload

    journals = spooled_runs(folder, unfinished)
    errors = Console(stderr=True, soft_wrap=True)
    rows = []
    if journals:
        with opened_archive(archive) as catalog, progress_bar() as show:
            for done, journal in enumerate(journals):
                show("uploading", done, len(journals))
                try:
                    rows.append(
                        {"journal": str(journal), "run": upload(journal, catalog, TiledWriter(catalog))}
                    )
                except ArchiveError as error:
                    rows.append({"journal": str(journal), "error": str(error)})
                    errors.print(str(error), style="red", markup=False, highlight=False)
            show("uploading", len(journals), len(journals))
    for one in rows:
        if as_json:
            typer.echo(json.dumps(one))
        elif "run" in one:
            typer.echo(f"run {one['run']} is in the archive")
    if any("error" in one for one in rows):
        raise typer.Exit(1)
    if not journals and not as_json:
        typer.echo(f"{folder}: no runs waiting")

"""``qdsizer-stream spool``: runs that a writer could not write."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ..errors import ArchiveError
from ._app import app
from ._archive import opened_archive
from ._progress import progress_bar

__all__ = ["list_spool", "upload_spool"]

spool = typer.Typer(help="List and upload the runs that a writer could not write.", no_args_is_help=True)
app.add_typer(spool, name="spool")

Folder = Annotated[Path, typer.Argument(help="Folder of the spool.")]
Unfinished = Annotated[
    bool,
    typer.Option("--unfinished", help="Also runs without an end: measured still, or cut off."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object a journal.")]


@spool.command("list")
def list_spool(folder: Folder, unfinished: Unfinished = False, as_json: AsJson = False) -> None:
    """List the journals that wait, oldest first."""
    from ..archive import spooled_runs

    journals = spooled_runs(folder, unfinished)
    for journal in journals:
        size_mb = journal.stat().st_size / 1e6
        told = {"journal": str(journal), "megabytes": size_mb}
        typer.echo(json.dumps(told) if as_json else f"{journal} ({size_mb:.1f} MB)")
    if not journals and not as_json:
        typer.echo(f"{folder}: nothing waits")


@spool.command("upload")
def upload_spool(
    folder: Folder,
    archive: Annotated[str, typer.Argument(help="Folder of an embedded archive, or URL of a Tiled server.")],
    unfinished: Unfinished = False,
    as_json: AsJson = False,
) -> None:
    """Bring every journal into the archive, nothing doubled; what got there leaves the spool."""
    from bluesky_tiled_plugins import TiledWriter

    from ..archive import spooled_runs, upload

    journals = spooled_runs(folder, unfinished)
    errors = Console(stderr=True, soft_wrap=True)
    told = []
    if journals:
        with opened_archive(archive) as catalog, progress_bar() as tell:
            for number, journal in enumerate(journals):
                tell("uploading", number, len(journals))
                try:
                    told.append(
                        {"journal": str(journal), "run": upload(journal, catalog, TiledWriter(catalog))}
                    )
                except ArchiveError as error:
                    told.append({"journal": str(journal), "error": str(error)})
                    errors.print(str(error), style="red", markup=False, highlight=False)
            tell("uploading", len(journals), len(journals))
    for one in told:
        if as_json:
            typer.echo(json.dumps(one))
        elif "run" in one:
            typer.echo(f"run {one['run']} is in the archive")
    if any("error" in one for one in told):
        raise typer.Exit(1)
    if not journals and not as_json:
        typer.echo(f"{folder}: nothing waits")

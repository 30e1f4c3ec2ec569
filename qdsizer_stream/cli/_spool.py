"""``qdsizer-stream spool``: runs that a writer could not write."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ..errors import ArchiveError
from ._app import app
from ._archive import opened_archive

__all__ = ["list_spool", "upload_spool"]

spool = typer.Typer(help="List and upload the runs that a writer could not write.", no_args_is_help=True)
app.add_typer(spool, name="spool")

Folder = Annotated[Path, typer.Argument(help="Folder of the spool.")]
Unfinished = Annotated[
    bool,
    typer.Option("--unfinished", help="Also runs without an end: measured still, or cut off."),
]


@spool.command("list")
def list_spool(folder: Folder, unfinished: Unfinished = False) -> None:
    """List the journals that wait, oldest first."""
    from ..archive import spooled_runs

    journals = spooled_runs(folder, unfinished)
    for journal in journals:
        typer.echo(f"{journal} ({journal.stat().st_size / 1e6:.1f} MB)")
    if not journals:
        typer.echo(f"{folder}: nothing waits")


@spool.command("upload")
def upload_spool(
    folder: Folder,
    archive: Annotated[str, typer.Argument(help="Folder of an embedded archive, or URL of a Tiled server.")],
    unfinished: Unfinished = False,
) -> None:
    """Bring every journal into the archive, nothing doubled; what got there leaves the spool."""
    from bluesky_tiled_plugins import TiledWriter

    from ..archive import spooled_runs, upload

    journals = spooled_runs(folder, unfinished)
    errors = Console(stderr=True, soft_wrap=True)
    failed = 0
    with opened_archive(archive) as catalog:
        for journal in journals:
            try:
                typer.echo(f"run {upload(journal, catalog, TiledWriter(catalog))} is in the archive")
            except ArchiveError as error:
                failed += 1
                errors.print(str(error), style="red", markup=False, highlight=False)
    if failed:
        raise typer.Exit(1)
    if not journals:
        typer.echo(f"{folder}: nothing waits")

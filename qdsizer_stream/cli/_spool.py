"""``qdsizer-stream spool``: runs that an archive did not accept."""

import json
from pathlib import Path
from typing import Annotated, Any

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
Incomplete = Annotated[
    bool,
    typer.Option("--incomplete", help="Also runs with missing or damaged documents; uploads what is left."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object per journal.")]


@spool.command("list", epilog=examples("spool list spool/", "spool list spool/ --unfinished --json"))
def list_spool(folder: Folder, unfinished: Unfinished = False, as_json: AsJson = False) -> None:
    """List the journals in a spool, oldest first, with what is missing or damaged in them."""
    from ..archive import inspect_journal, spooled_runs

    journals = spooled_runs(folder, unfinished)
    for journal in journals:
        size_mb = journal.stat().st_size / 1e6
        report = inspect_journal(journal)
        row = {
            "journal": str(journal),
            "megabytes": size_mb,
            "run": report.uid,
            "events": {stream: count.rows for stream, count in report.tally.counts.items()},
            "problems": report.problems,
        }
        problems = "".join(f"\n  incomplete: {problem}" for problem in report.problems)
        typer.echo(json.dumps(row) if as_json else f"{journal} ({size_mb:.1f} MB){problems}")
    if not journals and not as_json:
        typer.echo(f"{folder}: no runs waiting")


@spool.command(
    "upload",
    epilog=examples(
        "spool upload spool/ demo/archive",
        "spool upload spool/ http://tiled.beamline:8000 --unfinished",
    ),
)
def upload_spool(
    folder: Folder,
    archive: Annotated[str, typer.Argument(help="Folder of an embedded archive, or URL of a Tiled server.")],
    unfinished: Unfinished = False,
    incomplete: Incomplete = False,
    as_json: AsJson = False,
) -> None:
    """Upload every journal to an archive, each run once, and delete what is counted there."""
    from bluesky_tiled_plugins import TiledWriter

    from ..archive import spooled_runs, upload

    journals = spooled_runs(folder, unfinished)
    errors = Console(stderr=True, soft_wrap=True)
    rows: list[dict[str, Any]] = []
    if journals:
        with opened_archive(archive) as catalog, progress_bar() as show:
            for done, journal in enumerate(journals):
                show("uploading", done, len(journals))
                try:
                    receipt = upload(journal, catalog, TiledWriter(catalog), incomplete=incomplete)
                except (ArchiveError, OSError) as error:  # one bad journal must not stop the others
                    rows.append({"journal": str(journal), "error": f"{error}"})
                    errors.print(f"{error}", style="red", markup=False, highlight=False)
                else:
                    counts = {stream: count.rows for stream, count in receipt.counts.items()}
                    rows.append({"journal": str(journal), "run": receipt.run, "rows": counts})
                    if not as_json:
                        typer.echo(f"{receipt}")
            show("uploading", len(journals), len(journals))
    if as_json:
        for one in rows:
            typer.echo(json.dumps(one))
    if any("error" in one for one in rows):
        raise typer.Exit(1)
    if not journals and not as_json:
        typer.echo(f"{folder}: no runs waiting")

"""``qdsizer-stream audit``: find doubled, short and orphaned runs in an archive."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ._app import app, examples
from ._archive import opened_archive

__all__ = ["audit"]


@app.command(epilog=examples("audit demo/archive", "audit http://tiled.beamline:8000 --mend --json"))
def audit(
    archive: Annotated[
        str,
        typer.Argument(
            help="Folder of an embedded archive, URL of a Tiled server, or name of a Tiled profile."
        ),
    ],
    mend: Annotated[
        bool,
        typer.Option(
            "--mend", help="Remove doubled rows, and delete derived runs that replay can make again."
        ),
    ] = False,
    backup: Annotated[
        Path, typer.Option(help="Folder for copies of tables while their doubled rows are removed.")
    ] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per fault.")] = False,
) -> None:
    """Compare the rows of every run with its stop document; exit code 1 where a fault remains."""
    from ..archive import audit as audited

    faults: Counter[str] = Counter()
    remaining = 0
    with opened_archive(archive) as catalog:
        n_runs = len(catalog)
        for finding in audited(catalog, mend, backup):
            faults[finding.fault] += 1
            remaining += not finding.mended
            kind = "derived run" if finding.derived else "run"
            mended = f": {finding.mended}" if finding.mended else ""
            line = f"{finding.fault}: {kind} {finding.run}: {finding.what}{mended}"
            typer.echo(json.dumps(asdict(finding)) if as_json else line)
    if not as_json:
        counts = ", ".join(f"{count} {fault}" for fault, count in faults.items()) or "no faults"
        typer.echo(f"{n_runs} runs: {counts}")
    if remaining:
        raise typer.Exit(1)

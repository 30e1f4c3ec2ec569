"""``qdsizer-stream replay``: size archived runs again."""

import csv
import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from ._app import app
from ._archive import opened_archive
from ._progress import progress_bar

__all__ = ["replay"]


@app.command()
def replay(
    archive: Annotated[str, typer.Argument(help="Folder of an embedded archive, or URL of a Tiled server.")],
    run: Annotated[str, typer.Argument(help="Unique identifier of the run.")],
    config: Annotated[
        Path | None, typer.Option(help="TOML file of the beamline; else the settings stored in the run.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Size with this model instead.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write a table (.csv) here instead of a linked run in the archive.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Size an archived run again, as a new run that is linked to it."""
    from bluesky_tiled_plugins import TiledWriter

    from ..archive import archived_config, find_run
    from ..archive import replay as replayed
    from ..callbacks import STREAM_NAME, LiveConfig, config_of_run
    from ..configuration import load_toml
    from ..sizing import Sizer

    with opened_archive(archive) as catalog:
        found = find_run(catalog, run)
        if config is None:
            settings = archived_config(found)
        else:
            settings = config_of_run(load_toml(LiveConfig, config), found.metadata["start"])
        if model is not None:
            sizing = settings.sizing.model_copy(update={"model": model})
            settings = settings.model_copy(update={"sizing": sizing})
        sizer = Sizer(settings.sizing)
        outcome: dict[str, Any] = {"run": run, "replayed_run": None, "model": sizer.model.name}
        statuses: Counter[str] = Counter()
        # Only for the bar: a run that was never sized has as many frames as events, more or less.
        counted = (found.metadata.get("stop") or {}).get("num_events", {})
        expected = counted.get(STREAM_NAME, sum(counted.values()))
        writer = _table_writer(out) if out is not None else _passing(TiledWriter(catalog))
        with writer as write, progress_bar() as tell:
            for name, doc in replayed(found, settings, sizer):
                write(name, doc)
                if name == "start":
                    outcome["replayed_run"] = None if out is not None else doc["uid"]
                elif name == "event":
                    statuses[doc["data"]["qdsizer_status"]] += 1
                    tell("sizing", statuses.total(), max(expected, statuses.total()))
        outcome |= {
            "frames": statuses.total(),
            "statuses": dict(statuses),
            "table": str(out) if out else None,
        }
    if as_json:
        typer.echo(json.dumps(outcome))
        return
    counts = ", ".join(f"{number} {status}" for status, number in statuses.most_common())
    typer.echo(f"{outcome['frames']} frames with model {outcome['model']}: {counts}")
    typer.echo(f"table: {out}" if out is not None else f"linked run: {outcome['replayed_run']}")


@contextmanager
def _passing(writer: Callable[[str, Any], object]) -> Iterator[Callable[[str, Any], object]]:
    yield writer


@contextmanager
def _table_writer(path: Path) -> Iterator[Callable[[str, Any], object]]:
    """Write events as rows of a table, whole or not at all."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            columns: list[str] = []

            def write(name: str, doc: Any) -> None:
                if name != "event":
                    return
                if not columns:
                    columns.extend(doc["data"])
                    rows.writerow(["time", *(column.removeprefix("qdsizer_") for column in columns)])
                values = (doc["data"][column] for column in columns)
                rows.writerow([doc["time"], *("" if _is_nan(value) else value for value in values)])

            yield write
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)

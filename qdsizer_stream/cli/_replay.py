"""``qdsizer-stream replay``: size archived runs again."""

import json
import os
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ..errors import ArchiveError, ConfigurationError, QdsizerError
from ._app import app
from ._archive import opened_archive
from ._progress import progress_bar

if TYPE_CHECKING:
    from ..archive import Destination, Outcome
    from ..callbacks import LiveConfig
    from ..sizing import Sizer

__all__ = ["replay"]

MOMENTS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
"""How a moment may be written; local time."""


@app.command()
def replay(
    archive: Annotated[
        str,
        typer.Argument(
            help="Folder of an embedded archive, URL of a Tiled server, or name of a Tiled profile."
        ),
    ],
    run: Annotated[str | None, typer.Argument(help="Unique identifier of the run.")] = None,
    scan_id: Annotated[int | None, typer.Option(help="The newest run of this number.")] = None,
    since: Annotated[
        datetime | None, typer.Option(formats=MOMENTS, help="Runs that began then or later.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=MOMENTS, help="Runs that began then or earlier.")
    ] = None,
    query: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Runs whose start document says so.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file of the beamline; else the settings stored in the run.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Size with this model instead.")] = None,
    write_back: Annotated[
        bool, typer.Option("--write-back", help="Add the stream qd_size to the run itself.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="With --write-back: delete the stream that is there.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write a table (.csv) here instead.")] = None,
    compare: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Write nothing; print what differs from the sizes in this run: the same, or a derived one.",
        ),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Size even what is there already.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    patience: Annotated[
        float, typer.Option(help="How long a run in progress may bring nothing new, s.", min=0.0)
    ] = 60.0,
    work: Annotated[
        Path | None, typer.Option(help="Folder for what an interrupted replay has sized.")
    ] = None,
    workers: Annotated[
        int, typer.Option(help="Processes that size beside this one; 0 for none.", min=0, max=64)
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Size archived runs again, as new runs that are linked to them; go on where an interruption stopped."""
    from ..archive import SizingWorkers, replay_into
    from ..sizing import Sizer

    if sum((write_back, out is not None, compare is not None)) > 1:
        raise ConfigurationError("--write-back, --out and --compare exclude one another: give one of them")
    if replace and not write_back:
        raise ConfigurationError("--replace belongs to --write-back: give both")
    outcomes: list[dict[str, Any]] = []
    failed = False
    errors = Console(stderr=True, soft_wrap=True)
    with ExitStack() as stack:
        catalog = stack.enter_context(opened_archive(archive))
        runs = _runs(catalog, run, scan_id, since, until, query)
        destination = stack.enter_context(_destination(catalog, write_back, replace, out, compare, model))
        sizer: Sizer | None = None
        processes: SizingWorkers | None = None
        for one in runs:
            try:
                settings = _settings(one, config, model)
                if sizer is None or sizer.config != settings.sizing:
                    sizer = Sizer(settings.sizing)
                if dry_run:
                    outcomes.append(_planned(one, settings, sizer, destination))
                    continue
                if workers and processes is None:
                    processes = stack.enter_context(SizingWorkers(sizer, workers))
                with progress_bar() as tell:
                    outcome = replay_into(
                        one,
                        settings,
                        destination,
                        work or _default_work(),
                        sizer,
                        again=again,
                        patience_s=patience,
                        workers=processes,
                        tell=tell,
                    )
                outcomes.append(_said(outcome, sizer, destination))
            except QdsizerError as error:
                if len(runs) == 1:
                    raise
                # One run of many that cannot be sized must not keep the others from it.
                failed = True
                outcomes.append({"run": one.metadata["start"]["uid"], "error": f"{error}"})
                errors.print(f"run {one.metadata['start']['uid']}: {error}", style="red", markup=False)
    if as_json:
        typer.echo(json.dumps(outcomes[0] if run is not None else outcomes))
    else:
        for told in outcomes:
            _print(told)
    if failed:
        raise typer.Exit(1)


def _runs(
    catalog: Any,
    run: str | None,
    scan_id: int | None,
    since: datetime | None,
    until: datetime | None,
    query: list[str] | None,
) -> list[Any]:
    """Runs that the arguments name, at least one."""
    from ..archive import find_run, parse_query, select_runs

    chosen = scan_id is not None or since is not None or until is not None or bool(query)
    if (run is not None) == chosen:
        raise ConfigurationError(
            "give either the identifier of a run, or --scan-id, --since, --until and --query to choose runs"
        )
    if run is not None:
        return [find_run(catalog, run)]
    found = select_runs(
        catalog, scan_id=scan_id, since=since, until=until, query=dict(map(parse_query, query or []))
    )
    if not found:
        raise ArchiveError(f"none of the {len(catalog)} runs of this archive fits: give other conditions")
    return found


def _destination(
    catalog: Any, write_back: bool, replace: bool, out: Path | None, compare: str | None, model: str | None
) -> AbstractContextManager["Destination"]:
    from ..archive import Comparison, LinkedRuns, TableFile, WriteBack, find_run

    if write_back:
        return nullcontext(WriteBack(replace))
    if out is not None:
        return TableFile(out)
    if compare is not None:
        return nullcontext(Comparison(find_run(catalog, compare), other_model=model is not None))
    return nullcontext(LinkedRuns(catalog))


def _settings(run: Any, config: Path | None, model: str | None) -> "LiveConfig":
    """Settings of the file, as the run overrides them, or those with which the run was sized."""
    from ..archive import archived_config
    from ..callbacks import LiveConfig, config_of_run
    from ..configuration import load_toml

    if config is None:
        settings = archived_config(run)
    else:
        settings = config_of_run(load_toml(LiveConfig, config), run.metadata["start"])
    if model is None:
        return settings
    return settings.model_copy(update={"sizing": settings.sizing.model_copy(update={"model": model})})


def _default_work() -> Path:
    """Folder for interrupted replays, where programs keep what they can make again."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "qdsizer_stream" / "replay"


def _planned(run: Any, settings: "LiveConfig", sizer: "Sizer", destination: "Destination") -> dict[str, Any]:
    """What would be done with a run."""
    start, stop = run.metadata["start"], run.metadata.get("stop") or {}
    there = destination.find(run, settings, sizer.model)
    return {
        "run": start["uid"],
        "scan_id": start.get("scan_id"),
        "exit_status": stop.get("exit_status", "in progress"),
        "num_events": dict(stop.get("num_events", {})),
        "model": sizer.model.name,
        "would": f"find the sizes in {there}" if there is not None else "size",
    }


def _said(outcome: "Outcome", sizer: "Sizer", destination: "Destination") -> dict[str, Any]:
    from ..archive import Comparison

    said = {**asdict(outcome), "model": sizer.model.name}
    if isinstance(destination, Comparison):
        said["differences"] = asdict(destination.differences)
    return said


def _print(told: dict[str, Any]) -> None:
    """Tell the outcome of one run in one line, and a comparison in a table."""
    run = told["run"]
    if "error" in told:
        typer.echo(f"{run}: not sized, see the error above")
    elif "would" in told:
        counts = ", ".join(f"{number} in {stream}" for stream, number in told["num_events"].items())
        typer.echo(f"{run}: {told['exit_status']}, {counts or 'no events'}; would {told['would']}")
    elif told["found"]:
        typer.echo(f"{run}: sized before with model {told['model']}, found in {told['written']}")
    elif told["written"] is None:
        typer.echo(f"{run}: no frames, nothing written")
    else:
        counts = ", ".join(f"{number} {status}" for status, number in told["statuses"].items())
        resumed = f" ({told['resumed']} of them before an interruption)" if told["resumed"] else ""
        typer.echo(f"{run}: {told['frames']} frames{resumed} with model {told['model']}: {counts}")
        if "differences" not in told:
            typer.echo(f"sizes: {told['written']}")
            return
        table = Table("against the sizes in", told["written"])
        for name, value in told["differences"].items():
            if isinstance(value, dict):
                value = ", ".join(f"{change}: {number}" for change, number in value.items()) or "none"
            table.add_row(name.replace("_", " "), f"{value:.4g}" if isinstance(value, float) else f"{value}")
        Console().print(table)

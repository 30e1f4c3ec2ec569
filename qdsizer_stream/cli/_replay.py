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
from ._app import app, examples
from ._archive import opened_archive
from ._progress import progress_bar
from ._run_name import RUN_SETTINGS, OptionalRunName

if TYPE_CHECKING:
    from ..archive import ReplayDestination, ReplayOutcome
    from ..callbacks import LiveConfig
    from ..sizing import Sizer

__all__ = ["replay"]

TIME_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
"""Formats of a date and time; local time."""


@app.command(
    context_settings=RUN_SETTINGS,
    epilog=examples(
        "replay demo/archive -1 --model pbs",
        "replay http://tiled.beamline:8000 --since 2026-11-01 --config qdsizer.toml --out sizes.csv",
    ),
)
def replay(
    archive: Annotated[
        str,
        typer.Argument(
            help="Folder of an embedded archive, URL of a Tiled server, or name of a Tiled profile."
        ),
    ],
    run: OptionalRunName = None,
    scan_id: Annotated[int | None, typer.Option(help="Newest run with this scan_id.")] = None,
    since: Annotated[
        datetime | None, typer.Option(formats=TIME_FORMATS, help="Runs that started at this time or later.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=TIME_FORMATS, help="Runs that started at this time or earlier.")
    ] = None,
    query: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Runs whose start document holds this value."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="TOML file of the beamline; by default the settings stored in the run."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Use this model instead of that of the settings.")] = None,
    write_back: Annotated[
        bool, typer.Option("--write-back", help="Add the streams of sizes to the run itself.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="With --write-back: replace an existing stream qd_size.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write a table (.csv) to this file instead.")] = None,
    compare: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Write nothing; compare with the sizes in this run: the run itself, or one derived from it.",
        ),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Size again even where equal sizes exist.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")
    ] = False,
    patience: Annotated[
        float,
        typer.Option(help="Time without new frames after which a run in progress is abandoned, s.", min=0.0),
    ] = 60.0,
    work: Annotated[
        Path | None, typer.Option(help="Folder for the journal of an interrupted replay.")
    ] = None,
    workers: Annotated[int, typer.Option(help="Additional sizing processes; 0 for none.", min=0, max=64)] = 0,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="SCHEDULER",
            help="Address of a Dask scheduler, such as tcp://host:8786, whose workers size the runs.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Size archived runs again and write the sizes as linked runs; continues after an interruption."""
    from ..archive import SizingWorkers, replay_into, replay_on_cluster
    from ..sizing import Sizer

    if sum((write_back, out is not None, compare is not None)) > 1:
        raise ConfigurationError("--write-back, --out and --compare exclude each other: give one of them")
    if replace and not write_back:
        raise ConfigurationError("--replace has no effect without --write-back: give both")
    if cluster is not None and (workers or out is not None or compare is not None):
        raise ConfigurationError(
            "--cluster sizes on the workers of the cluster, which write to the archive: leave out --workers, "
            "--out and --compare"
        )
    outcomes: list[dict[str, Any]] = []
    failed = False
    errors = Console(stderr=True, soft_wrap=True)

    def reject(uid: str, error: QdsizerError) -> None:
        nonlocal failed
        if len(runs) == 1:
            raise error
        # One run that cannot be sized must not stop the others.
        failed = True
        outcomes.append({"run": uid, "error": f"{error}"})
        errors.print(f"run {uid}: {error}", style="red", markup=False)

    with ExitStack() as stack:
        catalog = stack.enter_context(opened_archive(archive))
        runs = _runs(catalog, run, scan_id, since, until, query)
        destination = stack.enter_context(_destination(catalog, write_back, replace, out, compare, model))
        sizer: Sizer | None = None
        processes: SizingWorkers | None = None
        on_cluster: dict[str, LiveConfig] = {}
        for one in runs:
            try:
                settings = _settings(one, config, model)
                if cluster is not None and not dry_run:
                    on_cluster[one.metadata["start"]["uid"]] = settings
                    continue
                if sizer is None or sizer.config != settings.sizing:
                    sizer = Sizer(settings.sizing)
                if dry_run:
                    outcomes.append(_planned(one, settings, sizer, destination))
                    continue
                if workers and processes is None:
                    processes = stack.enter_context(SizingWorkers(sizer, workers))
                with progress_bar() as show:
                    done = replay_into(
                        one,
                        settings,
                        destination,
                        work or _default_work(),
                        sizer,
                        again=again,
                        patience_s=patience,
                        workers=processes,
                        report=show,
                    )
                outcomes.append(_report(done, sizer, destination))
            except QdsizerError as error:
                reject(one.metadata["start"]["uid"], error)
        if cluster is not None and on_cluster:
            with progress_bar() as show:
                finished = replay_on_cluster(
                    archive,
                    on_cluster,
                    cluster,
                    work or _default_work(),
                    write_back=write_back,
                    replace=replace,
                    again=again,
                    patience_s=patience,
                    report=show,
                )
                for uid, result in finished:
                    if isinstance(result, QdsizerError):
                        reject(uid, result)
                    else:
                        outcomes.append({**asdict(result), "model": on_cluster[uid].sizing.model})
            # In the order of the runs, whichever was finished first.
            order = {one.metadata["start"]["uid"]: number for number, one in enumerate(runs)}
            outcomes.sort(key=lambda outcome: order[outcome["run"]])
    if as_json:
        typer.echo(json.dumps(outcomes[0] if run is not None else outcomes))
    else:
        for outcome in outcomes:
            _print(outcome)
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
    """Runs that the arguments select, at least one."""
    from ..archive import find_run, parse_query, select_runs

    chosen = scan_id is not None or since is not None or until is not None or bool(query)
    if (run is not None) == chosen:
        raise ConfigurationError(
            "give either the identifier of a run, or --scan-id, --since, --until and --query to select runs"
        )
    if run is not None:
        return [find_run(catalog, run)]
    found = select_runs(
        catalog, scan_id=scan_id, since=since, until=until, query=dict(map(parse_query, query or []))
    )
    if not found:
        raise ArchiveError(f"none of the {len(catalog)} runs of this archive matches: give other conditions")
    return found


def _destination(
    catalog: Any, write_back: bool, replace: bool, out: Path | None, compare: str | None, model: str | None
) -> AbstractContextManager["ReplayDestination"]:
    from ..archive import Comparison, LinkedRuns, TableFile, WriteBack, find_run

    if write_back:
        return nullcontext(WriteBack(replace))
    if out is not None:
        return TableFile(out)
    if compare is not None:
        return nullcontext(Comparison(find_run(catalog, compare), other_model=model is not None))
    return nullcontext(LinkedRuns(catalog))


def _settings(run: Any, config: Path | None, model: str | None) -> "LiveConfig":
    """Settings of the file with the overrides of the run, or those with which the run was sized."""
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
    """Folder for interrupted replays, in the cache folder of the user."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "qdsizer_stream" / "replay"


def _planned(
    run: Any, settings: "LiveConfig", sizer: "Sizer", destination: "ReplayDestination"
) -> dict[str, Any]:
    """Summary of what would be done with a run."""
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


def _report(outcome: "ReplayOutcome", sizer: "Sizer", destination: "ReplayDestination") -> dict[str, Any]:
    from ..archive import Comparison

    report = {**asdict(outcome), "model": sizer.model.name}
    if isinstance(destination, Comparison):
        report["differences"] = asdict(destination.differences)
    return report


def _print(report: dict[str, Any]) -> None:
    """Print the result of one run in one line, and a comparison as a table."""
    run = report["run"]
    if "error" in report:
        typer.echo(f"{run}: not sized, see the error above")
    elif "would" in report:
        counts = ", ".join(f"{count} in {stream}" for stream, count in report["num_events"].items())
        typer.echo(f"{run}: {report['exit_status']}, {counts or 'no events'}; would {report['would']}")
    elif report["found"]:
        typer.echo(f"{run}: already sized with model {report['model']}, in {report['written']}")
    elif report["written"] is None:
        typer.echo(f"{run}: no frames, nothing written")
    else:
        counts = ", ".join(f"{count} {status}" for status, count in report["statuses"].items())
        resumed = f" ({report['resumed']} of them before an interruption)" if report["resumed"] else ""
        typer.echo(f"{run}: {report['frames']} frames{resumed} with model {report['model']}: {counts}")
        if "differences" not in report:
            typer.echo(f"sizes: {report['written']}")
            return
        table = Table("compared with the sizes in", report["written"])
        for name, value in report["differences"].items():
            if isinstance(value, dict):
                value = ", ".join(f"{change}: {count}" for change, count in value.items()) or "none"
            table.add_row(name.replace("_", " "), f"{value:.4g}" if isinstance(value, float) else f"{value}")
        Console().print(table)

"""``qdsizer-stream profile``: settings of a beamline, its start-up file, and a check of both."""

import json
import os
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ..errors import ConfigurationError
from ._app import app, examples
from ._archive import opened_archive

if TYPE_CHECKING:
    from ..profiles import Discovery

__all__ = ["check_profile", "init_profile", "install_profile", "print_schema"]

profile = typer.Typer(
    help="Write and check the settings and the start-up file of a beamline.",
    epilog=examples("profile init qdsizer.toml", "profile check qdsizer.toml"),
    no_args_is_help=True,
)
app.add_typer(profile, name="profile")

Config = Annotated[Path, typer.Argument(help="TOML file of the beamline.")]
Archive = Annotated[
    str | None,
    typer.Option(help="Folder of an embedded archive, URL of a Tiled server, or name of a Tiled profile."),
]
Spool = Annotated[Path | None, typer.Option(help="Folder for runs that the archive did not accept.")]

CONFIG = Path("qdsizer.toml")


@profile.command(
    "init",
    epilog=examples(
        "profile init qdsizer.toml --calibration ang.off --wavelength 22 --unit keV",
        "profile init qdsizer.toml --from-run demo/archive 5d3f2c81 --calibration ang.off",
    ),
)
def init_profile(
    config: Config = CONFIG,
    from_run: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="ARCHIVE RUN",
            help="Take data keys and units from this measured run, and size its first frame.",
        ),
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Angle calibration of the detector (.off).")
    ] = None,
    wavelength: Annotated[
        float | None, typer.Option(help="Fixed wavelength or energy; by default read from the run.")
    ] = None,
    unit: Annotated[str, typer.Option(help="Unit of --wavelength: angstrom, nm, keV or eV.")] = "angstrom",
    model: Annotated[str, typer.Option(help="Name of a shipped model, or path of a model file.")] = "pbs",
) -> None:
    """Write a commented settings file for a beamline; asks only for what a run does not state."""
    from ..profiles import SCHEMA_FILE, settings_schema, settings_text

    if config.exists():
        raise ConfigurationError(f"{config} exists: give another name, or move that file first")
    console = Console(stderr=True, soft_wrap=True)
    with ExitStack() as stack:
        run: Any = None
        found: Discovery | None = None
        if from_run is not None:
            from ..archive import find_run

            run = find_run(stack.enter_context(opened_archive(from_run[0])), from_run[1])
            found = _discovered(run)
            console.print(
                f"frames: {found.data_key} in {found.stream}, {found.n_strips} strips", highlight=False
            )
        if calibration is None and sys.stdin.isatty():
            calibration = Path(typer.prompt("Angle calibration of the detector (.off)", "ang.off"))
        if wavelength is None and (found is None or found.wavelength is None) and sys.stdin.isatty():
            wavelength = typer.prompt("Wavelength, angstrom (fixed)", type=float)
        text = settings_text(
            found,
            model=model,
            calibration=_seen_from(config.parent, calibration or Path("ang.off")),
            wavelength=None if wavelength is None else (wavelength, unit),
        )
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(text, encoding="utf-8")
        (config.parent / SCHEMA_FILE).write_text(settings_schema(), encoding="utf-8")
        typer.echo(f"{config} written")
        _validated(config, run, console)


@profile.command(
    "install",
    epilog=examples(
        "profile install qdsizer.toml --profile collection --archive http://tiled.beamline:8000",
        "profile install qdsizer.toml --startup-dir /opt/queueserver/startup",
    ),
)
def install_profile(
    config: Config = CONFIG,
    profile_name: Annotated[
        str | None, typer.Option("--profile", help="Name of the IPython profile.")
    ] = None,
    startup_dir: Annotated[
        Path | None, typer.Option(help="Start-up folder, for example that of a queue server.")
    ] = None,
    archive: Archive = None,
    spool: Spool = None,
) -> None:
    """Write a start-up file that installs the sizer in every session; prints it where no folder is given."""
    from ..callbacks import LiveConfig
    from ..configuration import load_toml
    from ..profiles import profile_folders, startup_text, write_startup
    from ..sizing import Sizer

    if profile_name is not None and startup_dir is not None:
        raise ConfigurationError("--profile and --startup-dir exclude each other: give one of them")
    Sizer(load_toml(LiveConfig, config).sizing)  # fails here rather than in the next session
    text = startup_text(config, archive, spool)
    if profile_name is not None:
        folders = profile_folders()
        if profile_name not in folders:
            raise ConfigurationError(
                f"no IPython profile {profile_name}: existing profiles are "
                f"{', '.join(folders) or 'none'}; create it with `ipython profile create {profile_name}`"
            )
        startup_dir = folders[profile_name] / "startup"
        startup_dir.mkdir(exist_ok=True)
    if startup_dir is None:
        typer.echo(text, nl=False)
        return
    typer.echo(f"{write_startup(startup_dir, text)} written: it expects a RunEngine named RE")


@profile.command(
    "check",
    epilog=examples(
        "profile check qdsizer.toml --archive demo/archive --json",
        "profile check qdsizer.toml --run demo/archive 5d3f2c81",
    ),
)
def check_profile(
    config: Config = CONFIG,
    archive: Archive = None,
    spool: Spool = None,
    run: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="ARCHIVE RUN",
            help="Also read each setting from the first frame of this measured run: live, and in replay.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check settings, model, detector and archive on one screen; exit code 1 where something is wrong.

    ASK marks values of the template that nobody has confirmed yet.
    """
    from ..profiles import check

    findings = list(check(config, archive, spool))
    if run is not None:
        from ..archive import find_run
        from ..callbacks import LiveConfig
        from ..configuration import load_toml
        from ..profiles import check_run

        settings = load_toml(LiveConfig, config)
        with opened_archive(run[0]) as catalog:
            findings += check_run(settings, find_run(catalog, run[1]))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings]))
    else:
        table = Table(box=None, show_header=False)
        for finding in findings:
            # Words besides colour: one man in twelve cannot distinguish red from green.
            sign = {True: "[green]right[/]", False: "[bold red]WRONG[/]", None: "[dim]·[/]"}[finding.good]
            sign = "[bold yellow]ASK[/]" if finding.ask else sign
            table.add_row(sign, finding.what, finding.found.replace("[", r"\["))
        Console().print(table)
    if any(finding.good is False for finding in findings):
        raise typer.Exit(1)


@profile.command(
    "schema",
    epilog=examples("profile schema", "profile schema > qdsizer.schema.json"),
)
def print_schema() -> None:
    """Print the JSON schema of the settings file, with which editors complete and check its keys."""
    from ..profiles import settings_schema

    typer.echo(settings_schema(), nl=False)


def _discovered(run: Any) -> "Discovery":
    from ..callbacks import DERIVED_STREAMS
    from ..profiles import discover

    descriptors = {name: run[name].descriptors[0] for name in run if name not in DERIVED_STREAMS}
    return discover(run.metadata["start"], descriptors)


def _seen_from(folder: Path, path: Path) -> str:
    """Path relative to the folder of the settings file."""
    return Path(os.path.relpath(path, folder)).as_posix()


def _validated(config: Path, run: Any, console: Console) -> None:
    """Read the file back and, if a run is given, size its first frame."""
    from ..callbacks import LiveConfig
    from ..configuration import load_toml

    settings = load_toml(LiveConfig, config)
    if settings.wavelength is None:
        console.print("not set yet: \\[wavelength]; without it no frame is sized", style="yellow")
    if run is None:
        console.print("`qdsizer-stream profile check` lists what is missing", highlight=False)
        return
    from ..archive import replay

    for name, doc in replay(run, settings):
        if name == "event":
            sizes = doc["data"]
            size = (
                f"{sizes['qdsizer_size']:.2f} nm"
                if sizes["qdsizer_status"] == "sized"
                else sizes["qdsizer_reason"]
            )
            console.print(
                f"first frame of the run: {sizes['qdsizer_status']}, {size}", highlight=False, markup=False
            )
            return

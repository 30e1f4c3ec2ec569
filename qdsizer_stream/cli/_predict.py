"""``qdsizer-stream predict``: sizes of patterns and raw frames in files."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ..errors import PatternError
from ..patterns import Axis
from ._app import app, examples

if TYPE_CHECKING:
    from ..sizing import Examination, Sizer

__all__ = ["predict"]

TableRow = dict[str, Any]


@app.command(
    epilog=examples(
        "predict pattern.xy --wavelength 0.5637",
        "predict pattern.xy --wavelength 0.5637 --explain",
        "predict --raw --config qdsizer.toml frames.h5 --json",
    )
)
def predict(
    files: Annotated[
        list[Path],
        typer.Argument(help="Patterns: .xy, .xye, .dat or .csv; raw frames: text, X04SA HDF5 or NXmonopd."),
    ],
    wavelength: Annotated[
        float | None, typer.Option(help="Wavelength, Å; required unless the raw frame file states it.")
    ] = None,
    axis: Annotated[Axis, typer.Option(help="Quantity in the first column.")] = Axis.TWO_THETA,
    solvent: Annotated[
        Path | None, typer.Option(help="Measured pattern of the pure solvent: Q (Å⁻¹), intensity.")
    ] = None,
    model: Annotated[str, typer.Option(help="Name of a shipped model, or path of a model file.")] = "pbs",
    raw: Annotated[bool, typer.Option("--raw", help="The files contain raw detector frames.")] = False,
    config: Annotated[
        Path | None,
        typer.Option(help="For raw frames: TOML file of the beamline with a table \\[reduction]."),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show every acceptance check with its value and threshold.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per pattern or frame instead of a table.")
    ] = False,
) -> None:
    """Size the nanocrystals in pattern files or raw frames; prints a table, or JSON in a pipe."""
    from ..patterns import check_wavelength
    from ..reduction import load_reduction
    from ..sizing import Sizer, SizingConfig

    if raw != (config is not None):
        raise typer.BadParameter(
            "raw frames require both --raw and --config, patterns neither", param_hint="--raw, --config"
        )
    if wavelength is None and not raw:
        raise typer.BadParameter(
            "pattern files do not state the wavelength: give it in Å", param_hint="--wavelength"
        )
    if wavelength is not None:
        check_wavelength(wavelength)
    reduction = None if config is None else load_reduction(config)
    sizer = Sizer(SizingConfig(model=model, solvent=solvent, reduction=reduction))
    errors = Console(stderr=True, soft_wrap=True)
    rows: list[TableRow] = []
    failed = 0
    as_table = Console().is_terminal and not as_json
    for file in files:
        try:
            if raw:
                sized = _frames(sizer, file, wavelength, explain)
            else:
                assert wavelength is not None  # checked above
                sized = [_pattern(sizer, file, wavelength, axis, explain)]
        except PatternError as error:
            failed += 1
            errors.print(f"error: {error}", style="red", highlight=False, markup=False)
            continue
        rows.extend(sized)
        for row in [] if as_table else sized:
            typer.echo(json.dumps(_for_json(row)))
    if as_table and rows:
        Console().print(_table(rows))
        for row in rows if explain else []:
            Console().print(_checks_table(row))
    if failed:
        raise typer.Exit(1)


def _for_json(value: Any) -> Any:
    """Replace NaN, which JSON does not have, by None."""
    match value:
        case dict():
            return {key: _for_json(item) for key, item in value.items()}
        case list():
            return [_for_json(item) for item in value]
        case float() if math.isnan(value):
            return None
    return value


def _pattern(sizer: "Sizer", file: Path, wavelength_angstrom: float, axis: Axis, explain: bool) -> TableRow:
    """Size the pattern of a file."""
    from ..patterns import read_pattern

    examined = sizer.examine(read_pattern(file, wavelength_angstrom, axis))
    return {"file": str(file), **examined.estimate.to_dict(), **_checks(examined, explain)}


def _checks(examined: "Examination", explain: bool) -> TableRow:
    """Acceptance checks of a frame, where they are to be shown."""
    return {"checks": [check.to_dict() for check in examined.checks]} if explain else {}


def _frames(sizer: "Sizer", file: Path, wavelength_angstrom: float | None, explain: bool) -> list[TableRow]:
    """Size the raw frames of a file."""
    from ..reduction import read_raw_frames
    from ..sizing import RawFrame

    rows = []
    for index, frame in enumerate(read_raw_frames(file)):
        light = frame.wavelength_angstrom if wavelength_angstrom is None else wavelength_angstrom
        if light is None:
            raise typer.BadParameter(
                f"{file} does not state the wavelength: give it in Å", param_hint="--wavelength"
            )
        examined = sizer.examine_frame(
            RawFrame(
                counts=frame.counts,
                wavelength_angstrom=light,
                arm_deg=frame.arm_deg,
                exposure_s=frame.exposure_s,
                monitor=frame.monitor,
            )
        )
        rows.append(
            {
                "file": str(file),
                "frame": index,
                **examined.estimate.to_dict(),
                "warnings": list(examined.warnings),
                **_checks(examined, explain),
            }
        )
    return rows


def _table(rows: list[TableRow]) -> Table:
    table = Table(title=f"model {rows[0]['model']}")
    for heading in ("file", "status", "size (nm)", "95 % interval", "class"):
        table.add_column(
            heading, justify="left" if heading in ("file", "status") else "right", overflow="fold"
        )
    for row in rows:
        sized = row["status"] == "sized"
        table.add_row(
            _name(row),
            row["status"] if sized else f"{row['status']}: {row['reason']}",
            f"{row['size_nm']:.2f}" if sized else "",
            f"{row['size_low_nm']:.2f} – {row['size_high_nm']:.2f}" if sized else "",
            f"{row['class_nm']:.1f}" if sized and not math.isnan(row["class_nm"]) else "",
        )
    return table


def _name(row: TableRow) -> str:
    return Path(row["file"]).name + (f", frame {row['frame']}" if "frame" in row else "")


def _checks_table(row: TableRow) -> Table:
    """Acceptance checks of one frame; those of the fit are missing where the frame is rejected before it."""
    table = Table(title=f"{_name(row)}: {row['status']}", caption=row["reason"] or None)
    for heading in ("acceptance check", "value", "threshold", "result"):
        table.add_column(heading, justify="right" if heading in ("value", "threshold") else "left")
    for check in row["checks"]:
        table.add_row(
            check["name"],
            f"{check['value']:.4g} {check['unit']}".rstrip(),
            check["threshold"],
            "passed" if check["passed"] else "[bold red]failed[/]",
        )
    return table

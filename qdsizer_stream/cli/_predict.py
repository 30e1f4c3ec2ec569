"""``qdsizer-stream predict``: sizes of patterns and raw frames in files."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ..errors import PatternFileError, QdsizerError
from ..patterns import Axis
from ._app import app, examples
from ._identify import identified_material
from ._pattern_options import AxisOption, EnergyOption, WavelengthOption
from ._picture import check_picture
from ._progress import progress_bar
from ._table_output import check_table_path, write_table

if TYPE_CHECKING:
    from ..sizing import Examination, Sizer

__all__ = ["predict"]

TableRow = dict[str, Any]


@app.command(
    epilog=examples(
        "predict pattern.xye --energy 22keV --material Au.cif",
        "predict --raw --config qdsizer.toml frames.h5 --json",
    )
)
def predict(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Patterns: .xy, .xye, .csv, .chi, .ras, .xrdml, GSAS, CIF, NeXus; raw frames: text or HDF5."
        ),
    ],
    wavelength: WavelengthOption = None,
    energy: EnergyOption = None,
    axis: AxisOption = None,
    solvent: Annotated[
        Path | None, typer.Option(help="Measured pattern of the pure solvent: Q (Å⁻¹), intensity.")
    ] = None,
    resolution: Annotated[
        str | None,
        typer.Option(help="FWHM of the instrument's lines: 0.02/A (in Q) or 0.05deg (in 2θ)."),
    ] = None,
    standard: Annotated[
        Path | None,
        typer.Option(help="Pattern of a powder standard from the same instrument, which gives its width."),
    ] = None,
    standard_material: Annotated[
        str | None, typer.Option(help="Material of that standard: Si, LaB6, CeO2, Ni.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Name of a shipped model, or path of a model file; pbs where left out."),
    ] = None,
    material: Annotated[
        str | None,
        typer.Option(
            help="Instead of a model: a material of the package, or a CIF or TOML file. Its model is built "
            "the first time, without training, and kept. 'auto' for the one that the first pattern is of."
        ),
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="The files contain raw detector frames.")] = False,
    config: Annotated[
        Path | None,
        typer.Option(help="For raw frames: TOML file of the beamline with a table \\[reduction]."),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(help="Picture of the last pattern or frame with its fit (.png, .svg, .pdf)."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Table of all sizes (.csv, .xlsx or .parquet).")] = None,
    fail_on_rejected: Annotated[
        bool, typer.Option("--fail-on-rejected", help="Exit with 1 where a pattern or frame is not sized.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show every acceptance check with its value and threshold.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per pattern or frame instead of a table.")
    ] = False,
) -> None:
    """Size the nanocrystals in pattern files or raw frames; prints a table, or JSON in a pipe."""
    from ..patterns import InstrumentResolution, given_wavelength
    from ..reduction import load_reduction
    from ..sizing import Sizer, SizingConfig, load_instrument

    if raw != (config is not None):
        raise typer.BadParameter(
            "raw frames require both --raw and --config, patterns neither", param_hint="--raw, --config"
        )
    if raw and material == "auto":
        raise typer.BadParameter("auto needs patterns, not raw frames", param_hint="--material")
    wavelength = given_wavelength(wavelength, energy)
    reduction = None if config is None else load_reduction(config)
    instrument = None if config is None else load_instrument(config)
    if model is not None and material is not None:
        raise typer.BadParameter("give one of the two", param_hint="--model, --material")
    if (standard is None) != (standard_material is None) or (standard is not None and resolution is not None):
        raise typer.BadParameter(
            "give a standard with its material, or a resolution", param_hint="--standard, --standard-material"
        )
    if standard is not None and standard_material is not None:
        from ._calibrate_width import fit_standard

        instrument = fit_standard(standard, standard_material, wavelength).resolution
    if resolution is not None:
        instrument = InstrumentResolution.from_text(resolution)
    if material == "auto":
        material = identified_material(files[0], wavelength, axis)
    if material is not None:
        model = _built(material, wavelength)
    sizer = Sizer(
        SizingConfig(model=model or "pbs", solvent=solvent, reduction=reduction, instrument=instrument)
    )
    if out is not None:
        check_table_path(out)
    if picture is not None:
        check_picture(picture)
    errors = Console(stderr=True, soft_wrap=True)
    rows: list[TableRow] = []
    last: tuple[str, Examination] | None = None
    failed = 0
    as_table = Console().is_terminal and not as_json
    for file in files:
        try:
            if raw:
                examined = _frames(sizer, file, wavelength, explain)
            else:
                examined = [_pattern(sizer, file, wavelength, axis, explain)]
        except (QdsizerError, OSError) as error:  # one bad file never ends a batch
            failed += 1
            named = str(error) if str(error).startswith(str(file)) else f"{file}: {error}"
            errors.print(f"error: {named}", style="red", highlight=False, markup=False)
            continue
        sized = [row for row, _ in examined]
        rows.extend(sized)
        if examined:
            last = _name(examined[-1][0]), examined[-1][1]
        for row in [] if as_table else sized:
            typer.echo(json.dumps(_for_json(row)))
    if as_table and rows:
        Console().print(_table(rows))
        for row in rows if explain else []:
            Console().print(_checks_table(row))
        for row in rows:
            for warning in row["warnings"]:
                text = f"warning: {row['file']}: {warning}"
                errors.print(text, style="yellow", highlight=False, markup=False)
    if out is not None and rows:
        write_table(rows, out)
        errors.print(f"table: {out}", highlight=False, markup=False)
    if picture is not None and last is not None:
        _draw(*last, picture)
        errors.print(f"picture: {picture}", highlight=False, markup=False)
    if failed or (fail_on_rejected and any(row["status"] != "sized" for row in rows)):
        raise typer.Exit(1)


def _built(material: str, wavelength_angstrom: float | None) -> str:
    """Model of a material, built the first time; what happens is said."""
    from ..fitting import DEFAULT_WAVELENGTH_ANGSTROM, cached_fit_model

    errors = Console(stderr=True, soft_wrap=True)
    wavelength = DEFAULT_WAVELENGTH_ANGSTROM if wavelength_angstrom is None else wavelength_angstrom
    with progress_bar() as show:
        path, trouble = cached_fit_model(material, wavelength_angstrom=wavelength, progress=show)
    errors.print(f"model of {material}: {path}", highlight=False, markup=False)
    if trouble:
        errors.print(f"warning: {trouble}", style="yellow", highlight=False, markup=False)
    return str(path)


def _draw(name: str, examined: "Examination", picture: Path) -> None:
    from matplotlib.figure import Figure

    from ..callbacks.display import draw_examination

    figure = Figure(figsize=(10, 7))
    draw_examination(examined, figure, name)
    figure.savefig(picture, dpi=120)


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


def _pattern(
    sizer: "Sizer", file: Path, wavelength_angstrom: float | None, axis: Axis | None, explain: bool
) -> "tuple[TableRow, Examination]":
    """Size the pattern of a file."""
    from ..patterns import load_pattern

    loaded = load_pattern(file, wavelength_angstrom, axis)
    examined = sizer.examine(loaded.pattern, wavelength_angstrom=loaded.wavelength_angstrom)
    row = {"file": str(file), **examined.estimate.to_dict(), "warnings": list(loaded.warnings)}
    if not loaded.photons_known:
        row["counts"] = math.nan
        row["warnings"].append("the intensities are not counts: the number of photons is unknown")
    if row["reason"] and loaded.warnings:  # what is wrong with the file explains it best
        row["reason"] += f" ({'; '.join(loaded.warnings)})"
    row["warnings"] += examined.warnings
    return row | _checks(examined, explain), examined


def _checks(examined: "Examination", explain: bool) -> TableRow:
    """Acceptance checks of a frame, where they are to be shown."""
    return {"checks": [check.to_dict() for check in examined.checks]} if explain else {}


def _frames(
    sizer: "Sizer", file: Path, wavelength_angstrom: float | None, explain: bool
) -> "list[tuple[TableRow, Examination]]":
    """Size the raw frames of a file."""
    from ..reduction import read_raw_frames
    from ..sizing import RawFrame

    rows = []
    for index, frame in enumerate(read_raw_frames(file)):
        light = frame.wavelength_angstrom if wavelength_angstrom is None else wavelength_angstrom
        if light is None:
            raise PatternFileError(
                f"{file} does not state the wavelength: give --wavelength in Å, or --energy such as 22keV"
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
        row = {
            "file": str(file),
            "frame": index,
            **examined.estimate.to_dict(),
            "warnings": list(examined.warnings),
            **_checks(examined, explain),
        }
        rows.append((row, examined))
    return rows


def _table(rows: list[TableRow]) -> Table:
    table = Table(title=f"model {rows[0]['model']}")
    headings = ["file", "status", "mass mean (nm)", "95 % interval", "number mean (nm)", "95 % interval"]
    with_classes = any(not math.isnan(row["class_nm"]) for row in rows)
    for heading in [*headings, "class"] if with_classes else headings:
        table.add_column(
            heading, justify="left" if heading in ("file", "status") else "right", overflow="fold"
        )
    for row in rows:
        sized = row["status"] == "sized"
        table.add_row(
            _name(row),
            row["status"] if sized else f"{row['status']}: {row['reason']}",
            *(_mean(row, "mass_mean") if sized else ("", "")),
            *(_mean(row, "size") if sized else ("", "")),
            *((_class(row) if sized else "",) if with_classes else ()),
        )
    return table


def _mean(row: TableRow, name: str) -> tuple[str, str]:
    """A mean and its interval, empty where the model does not give them."""
    value, low, high = (row[f"{name}{end}_nm"] for end in ("", "_low", "_high"))
    interval = "" if math.isnan(low) else f"{low:.2f} – {high:.2f}"
    return "" if math.isnan(value) else f"{value:.2f}", interval


def _class(row: TableRow) -> str:
    return "" if math.isnan(row["class_nm"]) else f"{row['class_nm']:.1f}"


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

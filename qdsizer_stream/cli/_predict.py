"""``qdsizer-stream predict``: sizes of pattern files."""

import json
import math
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ..errors import PatternError
from ..patterns import Axis
from ._app import app

__all__ = ["predict"]

TableRow = dict[str, Any]


@app.command()
def predict(
    files: Annotated[list[Path], typer.Argument(help="Patterns: .xy, .xye, .dat or .csv.")],
    wavelength: Annotated[float, typer.Option(help="Wavelength, Å.")],
    axis: Annotated[Axis, typer.Option(help="What the first column holds.")] = Axis.TWO_THETA,
    solvent: Annotated[
        Path | None, typer.Option(help="Measured pattern of the pure solvent: Q (Å⁻¹), intensity.")
    ] = None,
    model: Annotated[str, typer.Option(help="Model by name or path.")] = "pbs",
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per file, also on a terminal.")
    ] = False,
) -> None:
    """Size patterns from files; one JSON object a file, a table on a terminal."""
    from ..patterns import check_wavelength, read_pattern
    from ..sizing import Sizer, SizingConfig

    check_wavelength(wavelength)
    sizer = Sizer(SizingConfig(model=model, solvent=solvent))
    errors = Console(stderr=True, soft_wrap=True)
    rows: list[TableRow] = []
    failed = 0
    as_table = Console().is_terminal and not as_json
    for file in files:
        try:
            row = {"file": str(file), **sizer.size(read_pattern(file, wavelength, axis)).to_dict()}
        except PatternError as error:
            failed += 1
            errors.print(f"error: {error}", style="red", highlight=False, markup=False)
            continue
        rows.append(row)
        if not as_table:
            # JSON has no NaN: what was not sized is null.
            typer.echo(
                json.dumps({k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()})
            )
    if as_table and rows:
        Console().print(_table(rows))
    if failed:
        raise typer.Exit(1)


def _table(rows: list[TableRow]) -> Table:
    table = Table(title=f"model {rows[0]['model']}")
    for heading in ("file", "status", "size (nm)", "95 % interval", "class"):
        table.add_column(
            heading, justify="left" if heading in ("file", "status") else "right", overflow="fold"
        )
    for row in rows:
        sized = row["status"] == "sized"
        table.add_row(
            Path(row["file"]).name,
            row["status"] if sized else f"{row['status']}: {row['reason']}",
            f"{row['size_nm']:.2f}" if sized else "",
            f"{row['size_low_nm']:.2f} – {row['size_high_nm']:.2f}" if sized else "",
            f"{row['class_nm']:.1f}" if sized and not math.isnan(row["class_nm"]) else "",
        )
    return table

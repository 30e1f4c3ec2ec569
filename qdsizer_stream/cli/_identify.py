"""``qdsizer-stream identify``: name the material of a pattern."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from ..errors import ConfigurationError, QdsizerError
from ..patterns import Axis
from ._app import app, examples
from ._pattern_options import AxisOption, EnergyOption, WavelengthOption
from ._progress import progress_bar

if TYPE_CHECKING:
    from ..sizing import Identification

__all__ = ["identified_material", "identify_files"]

N_SHOWN = 5
"""Materials in the table of one pattern."""


@app.command(
    "identify",
    epilog=examples(
        "identify pattern.xye --energy 22keV", "identify pattern.xye --material PbS --material Au.cif"
    ),
)
def identify_files(
    files: Annotated[
        list[Path], typer.Argument(help="Pattern files: 2θ or Q, intensity and, where known, sigma.")
    ],
    material: Annotated[
        list[str] | None,
        typer.Option(
            help="A material to compare, or a CIF or TOML file; can be repeated. "
            "All of the package where left out."
        ),
    ] = None,
    wavelength: WavelengthOption = None,
    energy: EnergyOption = None,
    axis: AxisOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per pattern instead of a table.")
    ] = False,
) -> None:
    """Compare patterns with nanocrystals of many materials, and name the material where one is certain."""
    from ..patterns import given_wavelength

    light = given_wavelength(wavelength, energy)
    errors = Console(stderr=True, soft_wrap=True)
    as_table = Console().is_terminal and not as_json
    failed = False
    for file in files:
        try:
            found = _identified(file, material, light, axis)
        except (QdsizerError, OSError) as error:  # one bad file never ends a batch
            failed = True
            named = str(error) if str(error).startswith(str(file)) else f"{file}: {error}"
            errors.print(f"error: {named}", style="red", highlight=False, markup=False)
            continue
        if as_table:
            Console().print(_table(file, found))
        else:
            typer.echo(
                json.dumps(
                    {
                        "file": str(file),
                        "identity": found.identity.value,
                        "material": found.material,
                        "probabilities": found.probabilities,
                        "misfits": found.misfits,
                        "explained": found.explained,
                    }
                )
            )
    if failed:
        raise typer.Exit(1)


def identified_material(file: Path, wavelength_angstrom: float | None, axis: Axis | None) -> str:
    """Material of a pattern, which is said.

    Parameters
    ----------
    file
        Pattern file.
    wavelength_angstrom
        Wavelength, Å; None for that of the file.
    axis
        Quantity in its first column; None for the one that it names.

    Returns
    -------
    The material.

    Raises
    ------
    ConfigurationError
        No material can be named.
    """
    found = _identified(file, None, wavelength_angstrom, axis)
    if found.material is None:
        raise ConfigurationError(
            f"{file}: {found}. Give --material, after a look at: qdsizer-stream identify {file}"
        )
    Console(stderr=True, soft_wrap=True).print(f"material: {found}", highlight=False, markup=False)
    return found.material


def _identified(
    file: Path, materials: list[str] | None, wavelength_angstrom: float | None, axis: Axis | None
) -> "Identification":
    from ..fitting import identify
    from ..patterns import load_pattern

    loaded = load_pattern(file, wavelength_angstrom, axis)
    with progress_bar() as show:
        return identify(
            loaded.pattern, materials, wavelength_angstrom=loaded.wavelength_angstrom, progress=show
        )


def _table(file: Path, found: "Identification") -> Table:
    table = Table(title=f"{file.name}: {found}", title_justify="left")
    table.add_column("material")
    for heading in ("probability", "χ² per bin"):
        table.add_column(heading, justify="right")
    for name in list(found.probabilities)[:N_SHOWN]:
        table.add_row(name, f"{found.probabilities[name]:.1%}", f"{found.misfits[name]:.2f}")
    return table

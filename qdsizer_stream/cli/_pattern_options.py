"""Options of the commands that read pattern files."""

from typing import Annotated

import typer

from ..patterns import Axis

__all__ = ["AxisOption", "EnergyOption", "WavelengthOption"]

WavelengthOption = Annotated[
    float | None, typer.Option(help="Wavelength, Å; for angles, unless the file states it.")
]
EnergyOption = Annotated[str | None, typer.Option(help="Photon energy with its unit instead, such as 22keV.")]
AxisOption = Annotated[
    Axis | None, typer.Option(help="Quantity in the first column, if the file does not name it.")
]

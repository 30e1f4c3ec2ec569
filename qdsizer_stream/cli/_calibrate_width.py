"""``qdsizer-stream calibrate width``: width of the instrument's lines from the pattern of a standard."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from ..patterns import Axis
from ._app import examples
from ._calibrate import calibrate
from ._pattern_options import AxisOption, EnergyOption, WavelengthOption
from ._picture import check_picture

if TYPE_CHECKING:
    from ..reduction import InstrumentWidthFit

__all__ = ["fit_standard", "width"]


@calibrate.command(
    epilog=examples(
        "calibrate width lab6.xye --material LaB6 --wavelength 0.5637 --out width.toml --picture width.png",
        "calibrate width ceo2.chi --material CeO2 --crystallite 200 --json",
    )
)
def width(
    standard: Annotated[Path, typer.Argument(help="Pattern of the standard, measured as the frames are.")],
    material: Annotated[str, typer.Option(help="Standard that was measured: Si, LaB6, CeO2, Ni.")],
    wavelength: WavelengthOption = None,
    energy: EnergyOption = None,
    axis: AxisOption = None,
    crystallite: Annotated[
        float,
        typer.Option(help="Diameter of the crystallites, nm, whose own broadening is taken off."),
    ] = 500.0,
    lattice_parameter: Annotated[
        float | None, typer.Option(help="Lattice parameter, Å; by default the certified value.")
    ] = None,
    k_alpha_2: Annotated[
        bool | None,
        typer.Option(
            "--k-alpha-2/--no-k-alpha-2",
            help="Whether Kα2 is in the beam; by default at the wavelengths of Cu and Mo tubes.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Settings file to write, for \\[instrument].")] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw widths and lines into this file (.png, .svg, .pdf).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Measure the width of the instrument's lines with a powder standard; prints it as settings."""
    from ..patterns import given_wavelength

    if picture is not None:
        check_picture(picture)
    wavelength = given_wavelength(wavelength, energy)
    fit = fit_standard(
        standard,
        material,
        wavelength,
        axis,
        crystallite_nm=crystallite,
        lattice_parameter_angstrom=lattice_parameter,
        k_alpha_2=k_alpha_2,
    )
    settings = _settings(fit, standard, material)
    if out is not None:
        part = out.with_name(out.name + ".part")
        part.write_text(settings, encoding="utf-8")
        os.replace(part, out)
    if picture is not None:
        _draw(fit, material, picture)
    if as_json:
        typer.echo(json.dumps(_summary(fit)))
        return
    console = Console(soft_wrap=True, highlight=False, markup=False)
    console.print(_table(fit, material))
    written = f'written to {out}; set file = "{out}" in [sizing.instrument]'
    console.print(settings if out is None else written)


def fit_standard(
    path: Path, material: str, wavelength_angstrom: float | None, axis: Axis | None = None, **options: Any
) -> "InstrumentWidthFit":
    """Read the pattern of a standard and fit the width of its lines.

    Parameters
    ----------
    path
        Pattern file.
    material
        Name of the standard.
    wavelength_angstrom
        Wavelength, Å; None for that of the file.
    axis
        Quantity in the first column; None for the one that the file names.
    **options
        As in `fit_instrument_width`.

    Returns
    -------
    The width.

    Raises
    ------
    QdsizerError
        The file cannot be read, or does not show the lines of the standard.
    """
    from ..errors import CalibrationError
    from ..patterns import load_pattern
    from ..reduction import Standard, fit_instrument_width

    if material not in list(Standard):
        raise typer.BadParameter(
            f"{material!r} is not a known standard: choose {', '.join(Standard)}", param_hint="--material"
        )
    loaded = load_pattern(path, wavelength_angstrom, axis)
    known = loaded.wavelength_angstrom if wavelength_angstrom is None else wavelength_angstrom
    try:
        return fit_instrument_width(loaded.pattern, material, wavelength_angstrom=known, **options)
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from error


def _span(fit: "InstrumentWidthFit") -> np.ndarray:
    """First, middle and last line, Å⁻¹."""
    ends = [line.q_inv_angstrom for line in fit.lines]
    return np.linspace(min(ends), max(ends), 3)


def _settings(fit: "InstrumentWidthFit", standard: Path, material: str) -> str:
    """Text of the settings file."""
    light = "" if fit.wavelength_angstrom is None else f" at {fit.wavelength_angstrom:.6g} Å"
    at = _span(fit)
    values = ", ".join(
        f"{w:.5f} ± {s:.5f} at {q:.2f}"
        for q, w, s in zip(at, fit.fwhm_inv_angstrom(at), fit.sigma_inv_angstrom(at), strict=True)
    )
    settings = fit.resolution.model_dump(exclude_none=True, mode="json")
    rounded = {key: np.array(value).round(10).tolist() for key, value in settings.items()}
    lines = "".join(f"{key} = {value}\n" for key, value in rounded.items())
    n_lines = sum(line.used for line in fit.lines)
    return (
        f"# Width of the instrument, {fit.law}, from {n_lines} lines of {material}\n"
        f"# in {standard.name}{light}; broadening by crystallites of {fit.crystallite_nm:g} nm"
        f"{' and Kα2 are' if fit.k_alpha_2 else ' is'} taken off.\n"
        f"# FWHM in Å⁻¹ at Q in Å⁻¹: {values}\n"
        f"[instrument]\n{lines}"
    )


def _summary(fit: "InstrumentWidthFit") -> dict[str, Any]:
    at = _span(fit)
    return {
        "instrument": fit.resolution.model_dump(exclude_none=True, mode="json"),
        "law": fit.law,
        "lorentzian": fit.lorentzian,
        "wavelength_angstrom": fit.wavelength_angstrom,
        "k_alpha_2": fit.k_alpha_2,
        "crystallite_nm": fit.crystallite_nm,
        "q_inv_angstrom": at.tolist(),
        "fwhm_inv_angstrom": fit.fwhm_inv_angstrom(at).tolist(),
        "sigma_inv_angstrom": fit.sigma_inv_angstrom(at).tolist(),
        "n_lines": len(fit.lines),
        "n_lines_left_out": sum(not line.used for line in fit.lines),
        "scatter": fit.scatter,
    }


def _table(fit: "InstrumentWidthFit", material: str) -> Table:
    table = Table(title=f"{len(fit.lines)} lines of {material}, width {fit.law}")
    for heading in ("h²+k²+l²", "Q (Å⁻¹)", "FWHM (Å⁻¹)", "±", "law", ""):
        table.add_column(heading, justify="right" if heading else "left")
    q = np.array([line.q_inv_angstrom for line in fit.lines])
    for line, law in zip(fit.lines, fit.fwhm_inv_angstrom(q), strict=True):
        table.add_row(
            str(line.square_sum),
            f"{line.q_inv_angstrom:.4f}",
            f"{line.fwhm_inv_angstrom:.5f}",
            f"{line.sigma_inv_angstrom:.5f}",
            f"{law:.5f}",
            "" if line.used else "left out",
        )
    return table


def _draw(fit: "InstrumentWidthFit", material: str, path: Path) -> None:
    """Draw the widths with the law and its error, and the lines with their fits."""
    from matplotlib.figure import Figure  # without pyplot: no window, no global state

    figure = Figure(figsize=(9, 7), layout="constrained")
    widths, pattern = figure.subplots(2, 1, sharex=True)
    for used, marker, colour, label in ((True, "o", "#0072b2", "lines"), (False, "x", "#d55e00", "left out")):
        lines = [line for line in fit.lines if line.used is used]
        if lines:
            widths.errorbar(
                [line.q_inv_angstrom for line in lines],
                [line.fwhm_inv_angstrom for line in lines],
                [line.sigma_inv_angstrom for line in lines],
                fmt=marker, color=colour, capsize=2, label=label,
            )  # fmt: skip
    q = np.linspace(fit.lines[0].q_inv_angstrom, fit.lines[-1].q_inv_angstrom, 200)
    law, sigma = fit.fwhm_inv_angstrom(q), fit.sigma_inv_angstrom(q)
    widths.plot(q, law, color="#e69f00", label=fit.law)
    widths.fill_between(q, law - 2 * sigma, law + 2 * sigma, color="#e69f00", alpha=0.3, lw=0)
    widths.set(ylabel="FWHM of the instrument (Å⁻¹)", ylim=(0, None), title=f"{material}: {fit.resolution}")
    widths.legend()
    pattern.plot(fit.q_inv_angstrom, fit.intensity, ".", color="0.6", markersize=2, label="measured")
    pattern.plot(fit.q_inv_angstrom, fit.fitted, color="#0072b2", lw=1, label="fitted lines")
    pattern.set(xlabel="Q (Å⁻¹)", ylabel="intensity")
    pattern.legend()
    figure.savefig(path, dpi=150)

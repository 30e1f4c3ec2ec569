"""``qdsizer-stream refine``: fit one pattern with the Debye scattering equation."""

import json
from itertools import cycle
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ._app import app, examples
from ._pattern_options import AxisOption, EnergyOption, WavelengthOption
from ._picture import check_picture
from ._progress import progress_bar

if TYPE_CHECKING:
    from ..fitting import Refinement
    from ..models.fit import FitResult

__all__ = ["draw_fit", "fit_values", "refine_pattern"]

PART_COLOURS = {
    "nanocrystals": "#1f5fa8",
    "disordered": "#8e5aa8",
    "solvent": "#c8801a",
    "background": "#7a7a76",
}
"""Colours of the parts of a fit: distinct without colour vision by their brightness."""

PHASE_COLOURS = ("#2e8b57", "#b03a5b", "#6b6b00", "#00808a")
"""Colours of other crystals, in the order in which they are given."""


@app.command(
    "refine",
    epilog=examples(
        "refine pattern.xye --energy 22keV --picture fit.png",
        "refine pattern.xy --material Au.cif --phase Ag.cif --json",
    ),
)
def refine_pattern(
    file: Annotated[Path, typer.Argument(help="Pattern file: 2θ or Q, intensity and, where known, sigma.")],
    material: Annotated[
        str, typer.Option(help="Material of the package (`materials list`), or a CIF or TOML file.")
    ] = "PbS",
    wavelength: WavelengthOption = None,
    energy: EnergyOption = None,
    axis: AxisOption = None,
    solvent: Annotated[
        Path | None, typer.Option(help="Measured pattern of the pure solvent: Q (Å⁻¹), intensity.")
    ] = None,
    q_min: Annotated[float | None, typer.Option(help="First Q of the fit, Å⁻¹; with --q-max.")] = None,
    q_max: Annotated[float | None, typer.Option(help="Last Q of the fit, Å⁻¹; with --q-min.")] = None,
    fwhm: Annotated[
        float, typer.Option(help="Full width at half maximum of the instrument in 2θ, degrees.")
    ] = 0.0,
    phase: Annotated[
        list[str] | None,
        typer.Option(
            help="Another crystal that may be beside the dots, a material or a CIF file; can be repeated."
        ),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw measured and fitted intensity with the residual into this PNG.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Fit one pattern: sizes, dispersion, lattice, thermal motion and fractions, with standard deviations.

    Beside the fit with all physics the table gives the literature convention: ideal spheres whose atoms move
    independently, as in most published fits.
    """
    from ..fitting import refine

    if (q_min is None) != (q_max is None):
        raise typer.BadParameter("give both or neither", param_hint="--q-min, --q-max")
    q_range = None if q_min is None or q_max is None else (q_min, q_max)
    if picture is not None:
        check_picture(picture)
    with progress_bar() as show:
        refined = refine(
            file,
            material=material,
            wavelength=wavelength,
            energy=energy,
            axis=axis,
            solvent=solvent,
            q_range=q_range,
            fwhm_deg=fwhm,
            phases=phase or (),
            progress=show,
        )
    if as_json or not Console().is_terminal:
        typer.echo(json.dumps({"file": str(file), **refined.to_dict()}))
    else:
        Console().print(_table(file, refined))
    errors = Console(stderr=True, soft_wrap=True)
    for note in refined.notes:
        errors.print(f"note: {note}", style="yellow", highlight=False, markup=False)
    if picture is not None:
        draw_fit(file.name, refined, picture)
        errors.print(f"{picture}: fit of {file.name}", highlight=False, markup=False)


def _table(file: Path, refined: "Refinement") -> Table:
    low, high = refined.q_limits_inv_angstrom
    title = f"{file.name}: {refined.material}, {low:.2f}–{high:.2f} Å⁻¹, {refined.fit.n_points} bins"
    table = Table(title=escape(title), title_justify="left")
    table.add_column("parameter", overflow="fold")
    table.add_column("all physics", justify="right", no_wrap=True)
    table.add_column("literature", justify="right", no_wrap=True)
    columns = [fit_values(refined.fit), fit_values(refined.literature)]
    for name in columns[0]:
        table.add_row(name, columns[0][name], columns[1].get(name, "–"))
    return table


def fit_values(fit: "FitResult") -> dict[str, str]:
    """Write the values of a fit with their standard deviations.

    Parameters
    ----------
    fit
        The fit.

    Returns
    -------
    Text by parameter, in the order of the table.
    """
    rows = {
        "mass-weighted mean (nm)": _with_sd(fit.mass_mean_nm, fit.mass_mean_sd_nm),
        "number-weighted mean (nm)": _with_sd(fit.number_mean_nm, fit.number_mean_sd_nm),
        "dispersion (%)": _with_sd(100 * fit.dispersion, 100 * fit.dispersion_sd),
        "correlation with dispersion": f"{fit.size_dispersion_correlation:+.2f}",
        "lattice parameter (Å)": _with_sd(fit.lattice_parameter_angstrom, fit.lattice_parameter_sd_angstrom),
    }
    for element, b in fit.b_angstrom2.items():
        rows[f"B of {element} (Å²)"] = _with_sd(b, fit.b_sd_angstrom2[element])
    if fit.correlated_sd_angstrom2 > 0:
        rows["correlated motion A (Å²)"] = _with_sd(fit.correlated_angstrom2, fit.correlated_sd_angstrom2)
    rows["2θ zero (°)"] = _with_sd(fit.two_theta_zero_deg, fit.two_theta_zero_sd_deg)
    for name, share in fit.shares.items():
        if name != "disordered" or fit.correlated_sd_angstrom2 > 0:
            rows[f"{name} (% of the area)"] = _with_sd(100 * share, 100 * fit.share_sds[name])
    rows["χ² per point"] = f"{fit.chi2:.2f}"
    rows["misfit beyond noise (%)"] = f"{100 * fit.model_error:.2f}"
    return rows


def _with_sd(value: float, sd: float) -> str:
    """A value and its standard deviation with two digits of the latter."""
    if not sd > 0:
        return f"{value:.4g}"
    digits = max(0, 1 - int(np.floor(np.log10(sd))))
    return f"{value:.{digits}f} ± {sd:.{digits}f}"


def draw_fit(title: str, refined: "Refinement", target: Path | IO[bytes]) -> None:
    """Draw measured and fitted intensity, the parts of the fit, and the residual.

    Parameters
    ----------
    title
        What was fitted.
    refined
        The fits.
    target
        File to write, of the kind that its name states; PNG for an open file.
    """
    from matplotlib.figure import Figure

    fit, literature = refined.fit, refined.literature
    figure = Figure(figsize=(10, 6.5), dpi=150, layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    q = fit.q_inv_angstrom
    top.plot(q, fit.intensity, ".", color="0.55", markersize=3, label="measured")
    others = [name for name in fit.curves if name not in PART_COLOURS]
    colours = PART_COLOURS | dict(zip(others, cycle(PHASE_COLOURS)))
    for name, curve in fit.curves.items():
        if np.any(curve > 0):
            top.plot(q, curve, color=colours[name], linewidth=1, label=name)
    top.plot(q, fit.fitted, color="#0b0b0b", linewidth=1.2, label="fit")
    top.set_ylabel("intensity")
    top.set_ylim(bottom=0)
    top.legend(frameon=False, ncols=2)
    top.set_title(f"{title}: {refined}", loc="left", fontsize=9)
    mean = float(np.mean(fit.intensity))
    bottom.axhline(0, color="0.8", linewidth=0.8)
    for result, colour, label in ((literature, "#c8801a", "literature convention"), (fit, "#0b0b0b", "fit")):
        residual = 100 * (result.intensity - result.fitted) / mean
        bottom.plot(q, residual, color=colour, linewidth=0.9, label=label)
    bottom.set(xlabel="Q (Å⁻¹)", ylabel="residual, % of the mean")
    bottom.legend(frameon=False, ncols=2)
    for axes in (top, bottom):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(target)

"""``qdsizer-stream calibrate``: offset and wavelength from a frame of a standard."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ._app import app

if TYPE_CHECKING:
    from ..reduction import CalibrationFit, Standard

__all__ = ["calibrate"]


@app.command()
def calibrate(
    file: Annotated[Path, typer.Argument(help="Raw frame of the standard.")],
    config: Annotated[Path, typer.Option(help="Beamline's TOML file, with a table \\[reduction].")],
    standard: Annotated[str, typer.Option(help="What was in the beam: Si or LaB6.")],
    wavelength: Annotated[float, typer.Option(help="Wavelength to start from, Å.")],
    arm: Annotated[
        float | None, typer.Option(help="Arm angle, degrees; that of the file or settings otherwise.")
    ] = None,
    hold_wavelength: Annotated[bool, typer.Option(help="Refine the offset alone.")] = False,
    lattice_parameter: Annotated[
        float | None, typer.Option(help="Lattice parameter of the standard, Å; certified one otherwise.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Picture of the residuals (.png, .svg, .pdf).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the output.")] = False,
) -> None:
    """Refine global offset and wavelength, and say which modules are off; exit code 2 where one is."""
    from ..reduction import (
        Reducer,
        Standard,
        load_reduction,
        read_raw_frames,
        refine_calibration,
        strip_counts,
    )

    if standard not in list(Standard):
        raise typer.BadParameter(f"{standard!r} is none of {', '.join(Standard)}", param_hint="--standard")

    settings = load_reduction(config)
    reducer = Reducer(settings)
    detector = reducer.detector
    frames = read_raw_frames(file)
    if len(frames) != 1:
        raise typer.BadParameter(f"{file} holds {len(frames)} frames, one is needed", param_hint="FILE")
    frame = frames[0]
    angle = next((a for a in (arm, frame.arm_deg, settings.arm_deg) if a is not None), None)
    if angle is None:
        raise typer.BadParameter("neither file nor settings hold the arm angle: give it", param_hint="--arm")
    fit = refine_calibration(
        detector,
        strip_counts(frame.counts, detector.n_strips, settings.n_counters, settings.counter),
        wavelength,
        angle,
        Standard(standard),
        lattice_parameter_angstrom=lattice_parameter,
        bad_strips=settings.load_bad_strips(detector.n_strips).tolist(),
        hold_wavelength=hold_wavelength,
    )
    if picture is not None:
        _draw(fit, Standard(standard), picture)
    off = [module.module for module in fit.modules if module.is_off]
    if as_json:
        typer.echo(json.dumps(_summary(fit, off)))
    else:
        _print(fit, off, detector.global_offset_deg, wavelength)
    if off:
        raise typer.Exit(2)


def _summary(fit: "CalibrationFit", off: list[int]) -> dict[str, Any]:
    return {
        "global_offset_deg": fit.global_offset_deg,
        "global_offset_sigma_deg": fit.global_offset_sigma_deg,
        "wavelength_angstrom": fit.wavelength_angstrom,
        "wavelength_sigma_angstrom": fit.wavelength_sigma_angstrom,
        "n_lines": fit.line_deg.size,
        "modules": [asdict(module) for module in fit.modules],
        "modules_off": off,
    }


def _print(fit: "CalibrationFit", off: list[int], offset_before_deg: float, wavelength_before: float) -> None:
    console = Console()
    table = Table(title=f"{fit.line_deg.size} lines")
    for heading in ("module", "lines", "residual (mdeg)", "± (mdeg)", ""):
        table.add_column(heading, justify="right" if heading else "left")
    for module in fit.modules:
        table.add_row(
            str(module.module),
            str(module.n_lines),
            f"{1000 * module.residual_deg:+.2f}",
            f"{1000 * module.sigma_deg:.2f}",
            "off" if module.is_off else "",
        )
    console.print(table)
    console.print(
        f"global_offset_deg = {fit.global_offset_deg:.5f} ± {fit.global_offset_sigma_deg:.5f} "
        f"(was {offset_before_deg:.5f}); set it in [reduction.detector]",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    console.print(
        f"wavelength = {fit.wavelength_angstrom:.7f} ± {fit.wavelength_sigma_angstrom:.7f} Å "
        f"(was {wavelength_before:.7f})",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    if off:
        console.print(
            f"modules {off} are off: recalibrate them, or list their strips in bad_strips",
            style="bold red",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def _draw(fit: "CalibrationFit", standard: "Standard", path: Path) -> None:
    """Residual of every line against its angle, modules told apart, those that are off crossed."""
    from matplotlib.figure import Figure  # without pyplot: no window, no global state

    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.add_subplot()
    for module in fit.modules:
        of_module = fit.line_module == module.module
        axes.errorbar(
            fit.line_deg[of_module],
            1000 * fit.line_residual_deg[of_module],
            1000 * fit.line_sigma_deg[of_module],
            fmt="x" if module.is_off else "o",
            # Blue and orange alternate: told apart by all eyes; shape, not colour, says off.
            color=("#0072b2", "#e69f00")[module.module % 2],
            capsize=2,
        )
        if module.is_off:
            axes.annotate(
                f"module {module.module} off",
                (
                    float(fit.line_deg[of_module].mean()),
                    1000 * float(fit.line_residual_deg[of_module].max()),
                ),
                xytext=(0, 8),
                textcoords="offset points",
                ha="center",
            )
    axes.axhline(0, color="0.6", linewidth=1)
    axes.set(
        xlabel="2θ (degrees)",
        ylabel="measured - expected (mdeg)",
        title=f"{standard.value}: offset {fit.global_offset_deg:.5f}°, "
        f"wavelength {fit.wavelength_angstrom:.6f} Å",
    )
    figure.savefig(path, dpi=150)

"""``qdsizer-stream calibrate angles``: angle offset and wavelength from a frame of a standard."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core
from rich.console import Console
from rich.table import Table

from ._app import app, examples
from ._picture import check_picture

if TYPE_CHECKING:
    from ..reduction import CalibrationFit, Standard

__all__ = ["angles", "calibrate"]


class _AnglesByDefault(typer.core.TyperGroup):
    """Takes ``calibrate FILE`` for ``calibrate angles FILE``, as it was called in earlier versions."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert the command where the first word is none."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["angles", *args]
        return super().parse_args(ctx, args)


calibrate = typer.Typer(
    help="Calibrate the instrument with a powder standard: its angles, and the width of its lines.",
    epilog=examples(
        "calibrate angles silicon.h5 --config qdsizer.toml --standard Si --wavelength 0.5637",
        "calibrate width lab6.xye --material LaB6 --wavelength 0.5637 --out width.toml",
    ),
    no_args_is_help=True,
    cls=_AnglesByDefault,
)
app.add_typer(calibrate, name="calibrate")


@calibrate.command(
    epilog=examples(
        "calibrate angles silicon.h5 --config qdsizer.toml --standard Si --wavelength 0.5637",
        "calibrate angles lab6.h5 --config qdsizer.toml --standard LaB6 --wavelength 0.56 --picture si.png",
    )
)
def angles(
    file: Annotated[Path, typer.Argument(help="File with one raw frame of the standard.")],
    config: Annotated[Path, typer.Option(help="TOML file of the beamline with a table \\[reduction].")],
    standard: Annotated[str, typer.Option(help="Standard that was measured: Si, LaB6, CeO2, Ni.")],
    wavelength: Annotated[float, typer.Option(help="Wavelength at which the fit starts, Å.")],
    arm: Annotated[
        float | None,
        typer.Option(
            help="Angle of the detector arm, degrees; by default from the frame file or the settings."
        ),
    ] = None,
    hold_wavelength: Annotated[bool, typer.Option(help="Refine the angle offset only.")] = False,
    lattice_parameter: Annotated[
        float | None,
        typer.Option(help="Lattice parameter of the standard, Å; by default the certified value."),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw the residuals into this file (.png, .svg, .pdf).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Refine angle offset and wavelength from a powder standard; exit code 2 where a module is misaligned."""
    from ..reduction import (
        Reducer,
        Standard,
        load_reduction,
        read_raw_frames,
        refine_calibration,
        strip_counts,
    )

    if picture is not None:
        check_picture(picture)
    if standard not in list(Standard):
        raise typer.BadParameter(
            f"{standard!r} is not a known standard: choose {', '.join(Standard)}", param_hint="--standard"
        )

    settings = load_reduction(config)
    reducer = Reducer(settings)
    detector = reducer.detector
    frames = read_raw_frames(file)
    if len(frames) != 1:
        raise typer.BadParameter(
            f"{file} holds {len(frames)} frames: give a file with exactly one", param_hint="FILE"
        )
    frame = frames[0]
    angle = next((a for a in (arm, frame.arm_deg, settings.arm_deg) if a is not None), None)
    if angle is None:
        raise typer.BadParameter(
            "neither the frame file nor the settings state the angle of the arm: give it in degrees",
            param_hint="--arm",
        )
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
            "misaligned" if module.is_off else "",
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
            f"modules {off} are misaligned: recalibrate them, or list their strips in bad_strips",
            style="bold red",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def _draw(fit: "CalibrationFit", standard: "Standard", path: Path) -> None:
    """Draw the residual of every line against its angle; crosses mark misaligned modules."""
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
            # Blue and orange alternate, also distinct for colour-blind eyes; the shape marks misalignment.
            color=("#0072b2", "#e69f00")[module.module % 2],
            capsize=2,
        )
        if module.is_off:
            axes.annotate(
                f"module {module.module} misaligned",
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

"""``qdsizer-stream reduce``: reduce raw frames to pattern files."""

import json
import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ..errors import QdsizerError
from ._app import app, examples

if TYPE_CHECKING:
    from ..reduction import BackgroundSubtractor, PooledCounts, Reducer

__all__ = ["OutputFormat", "reduce"]


class OutputFormat(StrEnum):
    """File format of a reduced pattern."""

    NEXUS = "nexus"
    """NXcanSAS: Q, I, Idev, mask, systematic errors, provenance (.h5)."""
    Q = "q"
    """Text: Q in Å⁻¹, intensity, sigma (.dat)."""
    XYE = "xye"
    """Text: 2θ in degrees, intensity, sigma (.xye)."""


@app.command(
    epilog=examples(
        "reduce frames.h5 --config qdsizer.toml",
        "reduce *.raw --config qdsizer.toml --wavelength 0.5637 --format xye --together",
    )
)
def reduce(
    files: Annotated[list[Path], typer.Argument(help="Raw frames: text, X04SA HDF5 or NXmonopd.")],
    config: Annotated[Path, typer.Option(help="TOML file of the beamline with a table \\[reduction].")],
    wavelength: Annotated[
        float | None, typer.Option(help="Wavelength, Å; by default from the frame file.")
    ] = None,
    arm: Annotated[
        float | None,
        typer.Option(
            help="Angle of the detector arm, degrees; by default from the frame file or the settings."
        ),
    ] = None,
    exposure: Annotated[
        float | None, typer.Option(help="Exposure, s; by default from the frame file.")
    ] = None,
    monitor: Annotated[
        float | None, typer.Option(help="Monitor (I0); by default from the frame file.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the patterns; by default that of each frame file.")
    ] = None,
    output_format: Annotated[
        OutputFormat, typer.Option("--format", help="File format of the patterns.")
    ] = OutputFormat.NEXUS,
    angle_step: Annotated[
        float | None,
        typer.Option(
            help="Bin width in degrees, in place of the bins of the settings; 0.0036 is common.",
            min=0.002,
            max=1,
        ),
    ] = None,
    together: Annotated[
        bool, typer.Option(help="Sum all frames into one pattern, named after the first.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per pattern.")] = False,
) -> None:
    r"""Reduce raw detector frames to patterns; subtract backgrounds where the TOML file has \[background]."""
    from ..reduction import (
        AngleGrid,
        BackgroundSubtractor,
        Reducer,
        load_background,
        load_reduction,
        read_raw_frames,
    )

    settings = load_reduction(config)
    if angle_step is not None:
        # From the first bin to the last before 180°; bins without a strip are not written.
        bins = AngleGrid(first_deg=angle_step, step_deg=angle_step, n_bins=int(179 / angle_step))
        settings = settings.model_copy(update={"bins": bins})
    reducer = Reducer(settings)
    background = load_background(config)
    subtractors: dict[float, BackgroundSubtractor] = {}  # by wavelength
    errors = Console(stderr=True, soft_wrap=True)
    total: PooledCounts | None = None
    light_of_total = 0.0
    failed = False

    def finish(stem: Path, pooled: "PooledCounts", light: float) -> None:
        folder = stem.parent if out is None else out
        if background is not None and light not in subtractors:
            subtractors[light] = BackgroundSubtractor.from_files(background, pooled.q_inv_angstrom, light)
        row = _write(folder, stem.name, pooled, light, reducer, subtractors.get(light), output_format)
        for warning in pooled.warnings:
            errors.print(f"{stem.name}: {warning}", style="yellow", highlight=False, markup=False)
        text = f"{row['file']}: {row['points']} points, {row['counts']} counts of {row['n_frames']} frames"
        typer.echo(json.dumps(row) if as_json else text)

    for file in files:
        try:
            frames = read_raw_frames(file)
            for index, frame in enumerate(frames):
                light = frame.wavelength_angstrom if wavelength is None else wavelength
                if light is None:
                    raise typer.BadParameter(
                        f"{file} does not state the wavelength: give it in Å", param_hint="--wavelength"
                    )
                pooled = reducer.pool(
                    frame.counts,
                    light,
                    frame.arm_deg if arm is None else arm,
                    exposure_s=frame.exposure_s if exposure is None else exposure,
                    monitor=frame.monitor if monitor is None else monitor,
                )
                if not together:
                    stem = file.with_suffix("")
                    finish(stem if len(frames) == 1 else Path(f"{stem}_{index:04d}"), pooled, light)
                    continue
                if total is not None and light != light_of_total:
                    raise typer.BadParameter(
                        f"{file} has wavelength {light} Å, the frames before it {light_of_total} Å: reduce "
                        "them separately",
                        param_hint="--together",
                    )
                total, light_of_total = (pooled if total is None else total + pooled), light
        except QdsizerError as error:
            failed = True
            errors.print(f"error: {file}: {error}", style="red", highlight=False, markup=False)
    if total is not None:
        finish(Path(f"{files[0].with_suffix('')}_sum"), total, light_of_total)
    if failed:
        raise typer.Exit(1)


def _write(
    folder: Path,
    name: str,
    pooled: "PooledCounts",
    wavelength_angstrom: float,
    reducer: "Reducer",
    subtractor: "BackgroundSubtractor | None",
    output_format: OutputFormat,
) -> dict[str, Any]:
    """Write one pattern and return a summary."""
    from ..patterns import write_pattern
    from ..reduction import write_reduced, write_xye

    folder.mkdir(parents=True, exist_ok=True)
    pattern, systematic = pooled.pattern(), pooled.systematic()
    provenance = {
        **reducer.provenance(),
        "wavelength_angstrom": wavelength_angstrom,
        "n_frames": pooled.n_frames,
        "warnings": list(pooled.warnings),
    }
    if subtractor is not None:
        left = subtractor.subtract(pattern)
        pattern, systematic = left.pattern, {**systematic, **left.systematic}
        provenance["background"] = subtractor.config.model_dump(mode="json")
        if not math.isnan(left.solvent_scale):
            provenance["solvent_scale"] = [left.solvent_scale, left.solvent_scale_sigma]
    match output_format:
        case OutputFormat.NEXUS:
            path = folder / f"{name}.reduced.h5"
            write_reduced(path, pattern, title=name, systematic=systematic, provenance=provenance)
        case OutputFormat.Q:
            path = folder / f"{name}.q.dat"
            write_pattern(path, pattern)
        case OutputFormat.XYE:
            path = folder / f"{name}.xye"
            write_xye(path, pattern, wavelength_angstrom)
    return {
        "file": str(path),
        "n_frames": pooled.n_frames,
        "counts": round(pooled.total_counts),
        "points": int(pattern.usable.sum()),
        "warnings": list(pooled.warnings),
    }

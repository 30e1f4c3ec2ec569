"""``qdsizer-stream demo``: a simulated synthesis from detector to archive and back."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from ..errors import QdsizerError
from ._app import app, examples

if TYPE_CHECKING:
    from ..callbacks import SizedFrame, SynthesisRecord

__all__ = ["demo"]

WAVELENGTH_ANGSTROM = 0.5637
"""22 keV, the photon energy of the paper's measurements."""

N_MODULES = 24
"""The MYTHEN of X04SA: 24 modules, 120°."""

EXPOSURE_S = 30.0
"""Exposure, s of the synthesis: sixty frames are half an hour."""

COUNTS_PER_SECOND = 1.0
"""Counts per second and strip in pure solvent: a frame of 30 s holds about a million photons."""

FRAME_PERIOD_S = 0.2
"""Real time between frames, s: slow enough to watch."""

ROWS_SHOWN = 12
"""Frames in the live table."""

BATCH_FRAMES = 20
"""Frames per request to the archive."""


@dataclass(frozen=True)
class DemoReport:
    """Results of the demo."""

    run: str
    replayed_run: str
    frames: int
    sized: int
    replayed_equal: int
    root_mean_square_error_nm: float
    largest_error_nm: float
    truth_in_interval: int
    picture: str
    archive: str


@app.command(epilog=examples("demo", "demo --frames 20 --out /tmp/demo --json"))
def demo(
    frames: Annotated[int, typer.Option(min=2, max=10_000, help="Number of frames to measure.")] = 60,
    out: Annotated[Path, typer.Option(help="Folder for archive, spool and picture.")] = Path("demo"),
    model: Annotated[str, typer.Option(help="Name of a shipped model, or path of a model file.")] = "pbs",
    seed: Annotated[int, typer.Option(help="Seed of the photon noise.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Run a simulated PbS synthesis: measure frames, size them live, archive, replay and compare."""
    # Progress goes to the error stream, so that the output holds the result alone.
    console = Console(stderr=True)
    outcome = _run(frames, out, model, seed, console)
    if as_json:
        typer.echo(json.dumps(asdict(outcome)))
    else:
        typer.echo(
            f"{outcome.sized} of {outcome.frames} frames sized; error against truth: "
            f"{outcome.root_mean_square_error_nm:.3f} nm root mean square, "
            f"{outcome.largest_error_nm:.3f} nm largest; "
            f"truth within the 95 % interval: {outcome.truth_in_interval} of {outcome.sized}"
        )
        typer.echo(f"picture: {outcome.picture}")
        typer.echo(f"archive: {outcome.archive}, run {outcome.run}, replayed as {outcome.replayed_run}")
        typer.echo(f"replayed sizes equal to live sizes: {outcome.replayed_equal} of {outcome.frames}")
    if outcome.replayed_equal != outcome.frames or not outcome.sized:
        raise typer.Exit(1)


def _run(frames: int, out: Path, model: str, seed: int, console: Console) -> DemoReport:
    """Measure, size, archive, replay and draw."""
    from bluesky import RunEngine
    from bluesky.plans import count
    from bluesky_tiled_plugins import TiledWriter

    from ..archive import SpooledWriter, archived_config, embedded_tiled, replay
    from ..callbacks import STREAM_NAME, LiveConfig, LiveSizer, SynthesisRecord, WavelengthSource
    from ..callbacks.display import SIMULATION_KEY
    from ..devices import SimMythen
    from ..patterns import q_from_two_theta
    from ..reduction import ReductionConfig, nominal_detector
    from ..simulation import GrowingDots, SynthesisRecipe
    from ..simulation.frames import MEASURED_DOTS
    from ..sizing import Sizer, SizingConfig

    detector = nominal_detector(N_MODULES, 0.0)
    config = LiveConfig(
        sizing=SizingConfig(model=model, reduction=ReductionConfig(detector=detector, arm_deg=0.0)),
        wavelength=WavelengthSource(configuration_key="mythen_wavelength"),
    )
    sizer = Sizer(config.sizing)
    with console.status("computing the scattering of the dots"):
        q_max = float(q_from_two_theta(detector.two_theta(0.0), WAVELENGTH_ANGSTROM).max())
        recipe = SynthesisRecipe(wavelength_angstrom=WAVELENGTH_ANGSTROM, **MEASURED_DOTS)
        dots = GrowingDots(recipe, q_max)
    mythen = SimMythen(
        name="mythen",
        scene=dots,
        detector=detector,
        wavelength_angstrom=WAVELENGTH_ANGSTROM,
        counts_per_second=COUNTS_PER_SECOND,
        exposure_s=EXPOSURE_S,
        speed=EXPOSURE_S / FRAME_PERIOD_S,
        seed=seed,
    )
    out.mkdir(parents=True, exist_ok=True)
    with _starting(console, out / "archive", embedded_tiled) as archive:
        live = LiveSizer(config, sizer)
        writer = SpooledWriter(TiledWriter(archive, batch_size=BATCH_FRAMES), out / "spool")
        live.subscribe(writer)
        record = SynthesisRecord(live)
        live.subscribe(record)
        engine: Any = RunEngine({})  # bluesky has no type annotations
        engine.subscribe(live)
        with Live(console=console, auto_refresh=False) as table:
            live.subscribe(lambda name, doc: table.update(_table(record), refresh=True), "event")
            (uid,) = engine(
                count([mythen, _truth(mythen, dots.number_mean_nm)], frames),
                sample="PbS in toluene",
                # For every later view: the synthesis runs 150 times faster than the wall clock.
                **{SIMULATION_KEY: {"elapsed_key": "mythen_elapsed", "number_mean_key": "truth_number_mean"}},
            )
            live.close()
        if not console.is_terminal:
            console.print()  # in a log file the last table lacks a line end
        if live.counters.contained or not writer.close():
            raise QdsizerError(f"{live.counters.contained} errors during the measurement: see the log above")
        if writer.spooled:
            raise QdsizerError(f"the archive failed: the run is in {out / 'spool'}, see the log above")
        with console.status("replaying the archived run"):
            run = archive[uid]
            sizes = run[STREAM_NAME].base["internal"].read()
            replayed: list[dict[str, Any]] = []
            replayed_uid = ""
            derived_writer = TiledWriter(archive)
            for name, doc in replay(run, archived_config(run), sizer):
                derived_writer(name, doc)
                if name == "start":
                    replayed_uid = doc["uid"]
                elif name == "event":
                    replayed.append(doc["data"])
        with console.status("drawing"):
            picture = _draw(record, out / "synthesis.png")
    errors = [frame.size_nm - frame.truth_nm for frame in record.frames if frame.status == "sized"]
    inside = [frame.low_nm <= frame.truth_nm <= frame.high_nm for frame in record.frames]
    return DemoReport(
        run=uid,
        replayed_run=replayed_uid,
        frames=frames,
        sized=len(errors),
        replayed_equal=_equal(sizes.to_dict("records"), replayed),
        root_mean_square_error_nm=(sum(e * e for e in errors) / max(len(errors), 1)) ** 0.5,
        largest_error_nm=max((abs(e) for e in errors), default=float("nan")),
        truth_in_interval=sum(inside),
        picture=str(picture),
        archive=str(out / "archive"),
    )


@contextmanager
def _starting(console: Console, directory: Path, server: Callable[[Path], Any]) -> Iterator[Any]:
    """Show a status line while the archive starts."""
    with console.status("starting the archive"):
        context = server(directory)
        archive = context.__enter__()
    try:
        yield archive
    finally:
        context.__exit__(None, None, None)


def _truth(mythen: Any, number_mean_nm: Callable[[float], float]) -> Any:
    """Signal with the true size at the time of the newest frame; the sizer does not read it."""
    from ophyd import DerivedSignal

    class Truth(DerivedSignal):  # type: ignore[misc]  # ophyd has no type annotations
        def inverse(self, value: float) -> float:
            return number_mean_nm(value)

    return Truth(mythen.elapsed, name="truth_number_mean", write_access=False)


def _equal(live: list[dict[str, Any]], replayed: list[dict[str, Any]]) -> int:
    """Count the frames whose estimates agree to the last bit; NaN equals NaN."""
    fields = [key for key in replayed[0] if key != "qdsizer_latency"] if replayed else []

    def same(a: Any, b: Any) -> bool:
        return bool(a == b or (a != a and b != b))

    return sum(
        all(same(one[field], other[field]) for field in fields)
        for one, other in zip(live, replayed, strict=False)
    )


def _table(record: "SynthesisRecord") -> Table:
    table = Table(title="PbS synthesis, simulated")
    for heading in ("frame", "time (min)", "size (nm)", "95 % interval", "truth (nm)", "status"):
        table.add_column(heading, justify="left" if heading == "status" else "right")
    first = max(len(record.frames) - ROWS_SHOWN, 0)
    for index, frame in enumerate(record.frames[first:], start=first + 1):
        table.add_row(*_row(index, frame))
    return table


def _row(index: int, frame: "SizedFrame") -> tuple[str, ...]:
    sized = frame.status == "sized"
    return (
        str(index),
        f"{frame.minutes:.1f}",
        f"{frame.size_nm:.2f}" if sized else "",
        f"{frame.low_nm:.2f} – {frame.high_nm:.2f}" if sized else "",
        f"{frame.truth_nm:.2f}",
        frame.status.value if sized else f"{frame.status.value}: {frame.reason}",
    )


def _draw(record: "SynthesisRecord", path: Path) -> Path:
    """Draw the picture; the file appears once it is complete."""
    from matplotlib.figure import Figure

    from ..callbacks.display import draw_synthesis

    figure = Figure(figsize=(16, 9), dpi=120)
    draw_synthesis(record, figure)
    part = path.with_suffix(".part")
    figure.savefig(part, format="png")
    os.replace(part, path)
    return path

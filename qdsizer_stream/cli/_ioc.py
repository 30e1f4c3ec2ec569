"""``qdsizer-stream ioc``: EPICS records of a MYTHEN detector that measures a simulated synthesis."""

from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from ..errors import ConfigurationError
from ._app import app, examples

__all__ = ["ioc"]

WAVELENGTH_ANGSTROM = 0.5637
"""22 keV, the photon energy of the paper's measurements."""

MAX_MODULES = 48
"""Two rings of X04SA, the largest MYTHEN detector."""


class RecordNames(StrEnum):
    """Driver whose record names are used."""

    ADMYTHEN = "admythen"
    SLSDETECTOR = "slsdetector"


@app.command(epilog=examples("ioc", "ioc --driver admythen --prefix MY:MYTHEN: --modules 4 --speed 10"))
def ioc(
    driver: Annotated[
        RecordNames, typer.Option(help="Driver whose record names are served.")
    ] = RecordNames.SLSDETECTOR,
    prefix: Annotated[str, typer.Option(help="Prefix of all record names.")] = "SIM:MYTHEN:",
    interface: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 for the whole network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Channel Access port.")] = 5064,
    modules: Annotated[int, typer.Option(min=1, max=MAX_MODULES, help="Number of detector modules.")] = 24,
    counts_per_second: Annotated[
        float, typer.Option(help="Mean counts per second and strip in pure solvent.")
    ] = 1.0,
    growth_time_s: Annotated[
        float, typer.Option(help="Time constant of the growth towards the final size, s.")
    ] = 600.0,
    speed: Annotated[float, typer.Option(help="Seconds of synthesis per second of real time.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the photon noise.")] = 1,
    first_module_only: Annotated[
        bool, typer.Option(help="admythen: pass only the first module to the plugins, as that driver does.")
    ] = False,
    lose_every: Annotated[
        int, typer.Option(min=0, help="slsdetector: lose packets in every n-th frame; 0 for never.")
    ] = 0,
) -> None:
    """Serve EPICS records of a MYTHEN detector that measures a simulated synthesis, until interrupted.

    Every frame advances the synthesis by one exposure.
    """
    try:
        from ..devices.ioc import AdMythenIoc, SlsMythenIoc, serve
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            'EPICS records need the package caproto: pip install "qdsizer-stream[epics]"'
        ) from error
    from ..devices import SimMythen
    from ..patterns import q_from_two_theta
    from ..reduction import nominal_detector
    from ..simulation import GrowingDots, SynthesisRecipe
    from ..simulation.frames import MEASURED_DOTS

    console = Console(stderr=True, soft_wrap=True)
    detector = nominal_detector(modules, 0.0)
    with console.status("computing the scattering of the dots"):
        q_max = float(q_from_two_theta(detector.two_theta(0.0), WAVELENGTH_ANGSTROM).max())
        recipe = SynthesisRecipe(
            wavelength_angstrom=WAVELENGTH_ANGSTROM, growth_time_s=growth_time_s, **MEASURED_DOTS
        )
        dots = GrowingDots(recipe, q_max)
    mythen = SimMythen(
        name="mythen",
        scene=dots,
        detector=detector,
        wavelength_angstrom=WAVELENGTH_ANGSTROM,
        counts_per_second=counts_per_second,
        speed=speed,
        seed=seed,
    )
    served = (
        AdMythenIoc(prefix, mythen, first_module_only)
        if driver is RecordNames.ADMYTHEN
        else SlsMythenIoc(prefix, mythen, lose_every)
    )
    try:
        serve(
            served,
            interface,
            port,
            lambda: typer.echo(
                f"serving {prefix}cam1:, image1: and HDF1: at {interface}:{port}; stop with Ctrl-C"
            ),
        )
    except OSError as error:
        raise ConfigurationError(error.strerror or f"{error}") from error

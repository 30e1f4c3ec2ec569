"""``qdsizer-stream ioc``: a MYTHEN over Channel Access that counts a simulated synthesis."""

from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from ..errors import ConfigurationError
from ._app import app

__all__ = ["ioc"]

WAVELENGTH_ANGSTROM = 0.5637
"""22 keV, the energy of the paper's measurements."""

MOST_MODULES = 48
"""Two rings of X04SA, the largest MYTHEN there is."""


class Driver(StrEnum):
    """Whose names the records have."""

    ADMYTHEN = "admythen"
    SLSDETECTOR = "slsdetector"


@app.command()
def ioc(
    driver: Annotated[Driver, typer.Option(help="Driver whose records are served.")] = Driver.SLSDETECTOR,
    prefix: Annotated[str, typer.Option(help="Prefix of all records.")] = "SIM:MYTHEN:",
    interface: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 for the whole network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of Channel Access.")] = 5064,
    modules: Annotated[int, typer.Option(min=1, max=MOST_MODULES, help="Modules of the detector.")] = 24,
    counts_per_second: Annotated[
        float, typer.Option(help="Mean counts a second of a strip in pure solvent.")
    ] = 1.0,
    growth_time_s: Annotated[
        float, typer.Option(help="Time in which the distance to the last size falls to 1/e, s.")
    ] = 600.0,
    speed: Annotated[
        float, typer.Option(help="Seconds of the synthesis in a second of the clock on the wall.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the photons.")] = 1,
    first_module_only: Annotated[
        bool, typer.Option(help="admythen: show plugins the first module alone, as that driver does.")
    ] = False,
    lose_every: Annotated[
        int, typer.Option(min=0, help="slsdetector: lose packets every so many frames; 0 for never.")
    ] = 0,
) -> None:
    """Serve a MYTHEN over Channel Access that counts a simulated synthesis, until it is interrupted.

    The synthesis goes on by one exposure with every frame.
    """
    try:
        from ..devices.ioc import AdMythenIoc, SlsMythenIoc, serve
    except ModuleNotFoundError as error:
        raise ConfigurationError("serving records needs caproto: install qdsizer-stream[epics]") from error
    from ..devices import SimMythen
    from ..patterns import q_from_two_theta
    from ..reduction import nominal_detector
    from ..simulation import GrowingDots, SynthesisRecipe

    console = Console(stderr=True, soft_wrap=True)
    detector = nominal_detector(modules, 0.0)
    with console.status("computing the scattering of the dots"):
        q_max = float(q_from_two_theta(detector.two_theta(0.0), WAVELENGTH_ANGSTROM).max())
        recipe = SynthesisRecipe(wavelength_angstrom=WAVELENGTH_ANGSTROM, growth_time_s=growth_time_s)
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
        if driver is Driver.ADMYTHEN
        else SlsMythenIoc(prefix, mythen, lose_every)
    )
    try:
        serve(
            served,
            interface,
            port,
            lambda: typer.echo(
                f"serving {prefix}cam1:, image1: and HDF1: at {interface}:{port}; Ctrl-C ends it"
            ),
        )
    except OSError as error:
        raise ConfigurationError(error.strerror or f"{error}") from error

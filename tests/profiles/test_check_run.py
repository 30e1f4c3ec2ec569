"""Settings checked on a measured run: what can be read live, and what in replay."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky.plans import count
from bluesky_tiled_plugins import TiledWriter
from ophyd import Signal
from typer.testing import CliRunner

from qdsizer_stream.archive import embedded_tiled, replay, run_documents
from qdsizer_stream.callbacks import AngleSource, ExposureSource, LiveConfig, NumberSource, WavelengthSource
from qdsizer_stream.cli import app
from qdsizer_stream.profiles import Finding, check_run
from qdsizer_stream.testing import FlyingMythen, fly

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("check")


@pytest.fixture(scope="module")
def archive(folder: Path) -> Iterator[Any]:
    with embedded_tiled(folder / "archive", readable=[folder]) as client:
        yield client


@pytest.fixture
def measure(archive: Any) -> Callable[[Any], Any]:
    def run(plan: Any) -> Any:
        engine = RunEngine({})
        engine.subscribe(TiledWriter(archive))
        (uid,) = engine(plan)
        return archive[uid]

    return run


def checked(config: LiveConfig, run: Any, **settings: Any) -> dict[str, Finding]:
    return {one.what: one for one in check_run(config.model_copy(update=settings), run)}


class UnitSignal(Signal):
    """A signal with a unit."""

    def describe(self) -> dict[str, Any]:
        return {self.name: {**super().describe()[self.name], "units": "keV"}}


def test_what_is_in_events_configuration_and_start_is_read_live_and_in_replay(
    measure: Any, mythen: Callable[..., Any], config: LiveConfig
) -> None:
    energy = UnitSignal(name="mono_energy", value=[22.0])  # a waveform with one element
    run = measure(count([mythen(), energy], 2, md={"current": 0.25}))
    found = checked(
        config,
        run,
        wavelength=WavelengthSource(data_key="mono_energy"),
        arm_angle=AngleSource(configuration_key="mythen_arm_angle"),
        exposure=ExposureSource(data_key="mythen_exposure"),
        monitor=NumberSource(start_key="current"),
    )
    assert {name: one.good for name, one in found.items()} == {
        "frames": True,
        "wavelength": True,
        "arm_angle": True,
        "exposure": False,
        "monitor": True,
    }
    assert found["frames"].found.startswith("mythen_image in primary, run ")
    assert found["wavelength"].found == "0.563565 from data key mono_energy, live and in replay"
    assert found["monitor"].found == "0.25 from start key current, live and in replay"
    assert found["exposure"].found.startswith(
        "neither live nor in replay: no exposure: data key mythen_exposure is missing, found mono_energy, "
    )


def test_a_waveform_of_one_element_keeps_all_its_digits(
    measure: Any, mythen: Callable[..., Any], config: LiveConfig, sizer: Any
) -> None:
    """The table of the archive shows its text, rounded to eight digits: [22.01234568]."""
    energy = UnitSignal(name="mono_energy", value=np.array([22.012345678901]))
    run = measure(count([mythen(), energy], 1))
    settings = config.model_copy(update={"wavelength": WavelengthSource(data_key="mono_energy")})
    found = checked(settings, run)["wavelength"]
    assert (found.good, found.found) == (True, "0.563248 from data key mono_energy, live and in replay")
    (event,) = [doc for name, doc in run_documents(run, settings) if name == "event"]
    assert list(event["data"]["mono_energy"]) == [22.012345678901]
    (sized,) = [doc["data"] for name, doc in replay(run, settings, sizer) if name == "event"]
    assert sized["qdsizer_status"] == "sized"


def test_a_flown_stream_has_no_events_to_read_from(
    measure: Any, mythen: Callable[..., Any], config: LiveConfig, folder: Path
) -> None:
    run = measure(fly(mythen(kind=FlyingMythen, directory=folder)))
    found = checked(config, run, monitor=NumberSource(data_key="mythen_monitor"))
    assert (found["wavelength"].good, found["monitor"].good) == (True, False)
    assert found["monitor"].found == (
        "neither live nor in replay: mythen_monitor is announced in fly, but no event came with the frames: "
        "in flown streams give configuration_key, start_key or value instead"
    )


def test_what_changed_between_flights_can_be_read_live_only(
    measure: Any, mythen: Callable[..., Any], config: LiveConfig, folder: Path
) -> None:
    class Configurable(FlyingMythen):
        frames = 1

        def configure(self, settings: dict[str, Any]) -> tuple[Any, Any]:
            old = self.read_configuration()
            self.wavelength.put(settings["wavelength"])
            return old, self.read_configuration()

        def describe_collect(self) -> dict[str, Any]:
            return {self.image.name: self.describe()[self.image.name]}

    device = mythen(kind=Configurable, directory=folder)

    def flights() -> Iterator[Any]:
        yield from bps.stage(device)
        yield from bps.open_run()
        yield from bps.declare_stream(device, name="fly", collect=True)
        for number in range(2):
            if number:
                yield from bps.configure(device, {"wavelength": 0.6})
            yield from bps.kickoff(device, wait=True)
            yield from bps.complete(device, wait=True)
            yield from bps.collect(device, name="fly")
        yield from bps.close_run()
        yield from bps.unstage(device)

    run = measure(flights())
    found = checked(config, run, monitor=NumberSource(value=2.0))
    reason = "the configuration of this flown stream changed (2 descriptors), and the archive does not hold"
    assert (found["frames"].good, found["wavelength"].good, found["monitor"].good) == (None, None, True)
    assert f": live only, {reason}" in found["frames"].found
    assert found["wavelength"].found.startswith(
        f"0.5637 from configuration key mythen_wavelength, live only: {reason}"
    )


def test_the_command_lists_the_settings_of_a_run(
    measure: Any, mythen: Callable[..., Any], folder: Path, tmp_path: Path
) -> None:
    run = measure(count([mythen()], 1))
    settings = tmp_path / "qdsizer.toml"
    settings.write_text(
        '[wavelength]\ndata_key = "nowhere"\n[sizing.reduction]\narm_deg = 0.0\n'
        "[sizing.reduction.detector]\nglobal_offset_deg = 0.0\n"
        + "".join(
            "[[sizing.reduction.detector.modules]]\ncentre_strip = 639.5\n"
            f"conversion_rad_per_strip = 6.578947e-05\noffset_deg = {index * 5.005}\n"
            for index in range(24)
        )
    )
    uid = run.metadata["start"]["uid"]
    where = ("profile", "check", str(settings), "--run", str(run.context.api_uri), uid)
    result = CliRunner().invoke(app, [*where, "--json"], env={"TILED_API_KEY": run.context.api_key})
    assert result.exit_code == 1, result.output
    found = {one["what"]: one for one in json.loads(result.stdout)}
    assert found["frames"]["good"] is True
    last = [one for one in json.loads(result.stdout) if one["what"] == "wavelength"][-1]
    assert last["found"].startswith("neither live nor in replay: no wavelength: data key nowhere is missing")
    unknown = CliRunner().invoke(app, [*where[:-1], "0000"], env={"TILED_API_KEY": run.context.api_key})
    assert unknown.exit_code == 1

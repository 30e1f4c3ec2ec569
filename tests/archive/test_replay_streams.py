"""Replays give every frame the settings of its own descriptor, and frames of the main stream alone."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky.plans import count
from bluesky_tiled_plugins import TiledWriter
from ophyd import DeviceStatus, Signal

from qdsizer_stream.archive import replay
from qdsizer_stream.callbacks import LiveConfig, LiveSizer, NumberSource
from qdsizer_stream.devices import SimMythen, SimMythenHdf5
from qdsizer_stream.sizing import Sizer

from ..callbacks.producers import FlyingMythen

pytestmark = pytest.mark.integration

Documents = list[tuple[str, Any]]
OTHER_WAVELENGTH = 0.5652
"""0.27 % longer than that of the first descriptor: other sizes, still sized."""


@pytest.fixture
def both(
    archive: Any, config: LiveConfig, sizer: Sizer
) -> Callable[[Any], tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
    """Estimates of a plan, live and replayed."""

    def measure(plan: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        live = LiveSizer(config, sizer)
        out: Documents = []
        live.subscribe(lambda name, doc: out.append((name, doc)))
        live.subscribe(TiledWriter(archive))
        engine = RunEngine({})
        engine.subscribe(live)
        (uid,) = engine(plan)
        assert live.close(60)
        assert live.counters.contained == 0
        return estimates(out), estimates(list(replay(archive[uid], config, sizer)))

    return measure


def estimates(documents: Documents) -> list[dict[str, Any]]:
    return [
        {key: doc["data"][f"qdsizer_{key}"] for key in ("frame_seq_num", "size", "status", "reason")}
        for name, doc in documents
        if name == "event" and "qdsizer_size" in doc["data"]
    ]


class Configurable:
    """Changes its wavelength with `bps.configure`."""

    def configure(self, settings: dict[str, Any]) -> tuple[Any, Any]:
        old = self.read_configuration()  # type: ignore[attr-defined]
        self.wavelength.put(settings["wavelength"])  # type: ignore[attr-defined]
        return old, self.read_configuration()  # type: ignore[attr-defined]


class StepMythen(Configurable, SimMythen):
    """Measures in steps."""


class FlightMythen(Configurable, FlyingMythen):
    """Measures in flights of two frames; its scalars come with no document."""

    frames = 2

    def describe_collect(self) -> dict[str, Any]:
        return {key: value for key, value in self.describe().items() if key == self.image.name}


def open_with(device: Any, plan: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    yield from bps.stage(device)
    yield from bps.open_run()
    yield from plan()
    yield from bps.close_run()
    yield from bps.unstage(device)


def test_every_frame_has_the_configuration_of_its_own_descriptor(
    both: Callable[[Any], Any], mythen: Callable[..., Any], sizer: Sizer
) -> None:
    device = mythen(kind=StepMythen)
    frames: list[Any] = []

    def plan() -> Iterator[Any]:
        for number in range(4):
            if number == 2:
                yield from bps.configure(device, {"wavelength": OTHER_WAVELENGTH})
            reading = yield from bps.trigger_and_read([device])
            frames.append(reading["mythen_image"]["value"])

    live, again = both(open_with(device, plan))
    assert again == live
    wavelengths = [0.5637, 0.5637, OTHER_WAVELENGTH, OTHER_WAVELENGTH]
    assert [one["size"] for one in again] == [
        sizer.size_frame(frame, one).size_nm for frame, one in zip(frames, wavelengths, strict=True)
    ]
    assert again[2]["size"] != sizer.size_frame(frames[2], 0.5637).size_nm


def flights(device: FlightMythen, *wavelengths: float) -> Iterator[Any]:
    def plan() -> Iterator[Any]:
        yield from bps.declare_stream(device, name="fly", collect=True)
        for number, wavelength in enumerate(wavelengths):
            if number:
                yield from bps.configure(device, {"wavelength": wavelength})
            yield from bps.kickoff(device, wait=True)
            yield from bps.complete(device, wait=True)
            yield from bps.collect(device, name="fly")

    return open_with(device, plan)


def test_flights_whose_configuration_changed_are_refused_where_the_archive_mixes_them(
    both: Callable[[Any], Any], mythen: Callable[..., Any], files: Path
) -> None:
    live, again = both(
        flights(mythen(kind=FlightMythen, directory=files / "mixed"), 0.5637, OTHER_WAVELENGTH)
    )
    assert [one["status"] for one in live] == ["sized"] * 4
    assert [one["status"] for one in again] == ["bad_frame"] * 4
    reason = "the configuration of this flown stream changed (2 descriptors), and the archive does not hold"
    assert all(one["reason"].startswith(reason) for one in again)


def test_flights_of_one_configuration_are_replayed(
    both: Callable[[Any], Any], mythen: Callable[..., Any], files: Path
) -> None:
    live, again = both(flights(mythen(kind=FlightMythen, directory=files / "same"), 0.5637, 0.5637))
    assert [one["status"] for one in live] == ["sized"] * 4
    assert again == live


def test_a_declared_scalar_that_never_came(
    both: Callable[[Any], Any], mythen: Callable[..., Any], files: Path
) -> None:
    class Declared(FlightMythen):
        def describe_collect(self) -> dict[str, Any]:
            description: dict[str, Any] = self.describe()
            return description

    live, again = both(flights(mythen(kind=Declared, directory=files / "declared"), 0.5637))
    assert [one["status"] for one in live] == ["sized"] * 2
    assert again == live


def test_dark_frames_are_left_out_of_a_replay_as_they_are_live(
    both: Callable[[Any], Any], mythen: Callable[..., Any]
) -> None:
    device = mythen()

    def plan() -> Iterator[Any]:
        yield from bps.trigger_and_read([device], name="dark")
        for _ in range(2):
            yield from bps.trigger_and_read([device], name="primary")

    live, again = both(open_with(device, plan))
    assert [one["status"] for one in live] == ["sized"] * 2
    assert again == live


class FormerMythen(SimMythenHdf5):
    """States its frames per event in the resource, and describes one frame, as ophyd-async used to."""

    def trigger(self) -> Any:
        status = DeviceStatus(self)

        def expose() -> None:
            for _ in range(2):
                super(FormerMythen, self).trigger().wait()
            status.set_finished()

        threading.Thread(target=expose).start()
        return status

    def get_index(self) -> int:
        return int(super().get_index()) // 2

    def collect_asset_docs(self, index: int | None = None) -> Iterator[tuple[str, Any]]:
        for name, doc in super().collect_asset_docs(index):
            if name == "stream_resource":
                doc["parameters"]["multiplier"] = 2
            yield name, doc


def test_the_multiplier_of_a_resource_is_followed_live_and_replayed(
    both: Any, mythen: Any, files: Path
) -> None:
    live, replayed = both(count([mythen(kind=FormerMythen, directory=files)], 2))
    assert [(one["frame_seq_num"], one["status"]) for one in live] == [
        (number, "sized") for number in (1, 1, 2, 2)
    ]
    assert len({one["size"] for one in live}) == 4
    assert replayed == live


def test_a_setting_whose_key_begins_like_a_timestamp(
    archive: Any, config: LiveConfig, sizer: Sizer, mythen: Any
) -> None:
    """The table of the archive has the time of `x` as `ts_x`."""
    monitored = config.model_copy(update={"monitor": NumberSource(data_key="ts_monitor")})
    live = LiveSizer(monitored, sizer)
    out: Documents = []
    live.subscribe(lambda name, doc: out.append((name, doc)))
    live.subscribe(TiledWriter(archive))
    engine = RunEngine({})
    engine.subscribe(live)
    (uid,) = engine(count([mythen(), Signal(name="ts_monitor", value=1.5)], 2))
    assert live.close(60)
    now, then = estimates(out), estimates(list(replay(archive[uid], monitored, sizer)))
    assert [one["status"] for one in now] == ["sized", "sized"]
    assert then == now

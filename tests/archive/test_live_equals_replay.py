"""Runs drawn at random, measured by a real RunEngine and stored in Tiled: replayed sizes are the live ones.

Every run is also compared with the frames that its detector took, in their order, each with the settings that
were valid when it was taken.
"""

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky.utils import RunEngineInterrupted
from bluesky_tiled_plugins import TiledWriter
from ophyd import DeviceStatus, Signal

from qdsizer_stream.archive import replay
from qdsizer_stream.callbacks import LiveConfig, LiveSizer, NumberSource, WavelengthSource
from qdsizer_stream.devices import SimMythen
from qdsizer_stream.patterns import q_from_two_theta
from qdsizer_stream.reduction import ReductionConfig, StripDetector, StripModule
from qdsizer_stream.simulation import GrowingDots, SynthesisRecipe
from qdsizer_stream.sizing import Sizer, SizingConfig

pytestmark = pytest.mark.integration

Documents = list[tuple[str, Any]]

WAVELENGTHS = (0.5637, 0.5652)
"""0.27 % apart: frames that are given each other's have other sizes, still sized."""

# One module of wide strips sees the angles of a whole ring: 1280 numbers per frame instead of 30 720.
DETECTOR = StripDetector(
    modules=(StripModule(centre_strip=639.5, conversion_rad_per_strip=9e-4, offset_deg=0.0),),
    global_offset_deg=0.5,
)

BLOCK = 20
"""Runs drawn in each of the slow tests."""

N_SLOW = int(os.environ.get("QDSIZER_DRAWN_RUNS", BLOCK))
"""Runs drawn in all of them; 500 take ten minutes of one core."""


# What is drawn


@dataclass(frozen=True)
class Draw:
    """One run: how its frames come, and what else happens."""

    layout: str
    """inline, list, page, datum, stream or flown."""
    k: int
    """Frames per event."""
    stacked: bool
    """Whether the dataset has an axis for the frames of an event."""
    join_method: str | None
    """Of the stream_resource."""
    datum_kwargs: str
    """Which key of a datum names the rows."""
    wavelength: str
    """Source: value, start, configuration, event or waveform (one element, in the event)."""
    n_events: int
    """Events, or frames of a flight."""
    n_flights: int
    """Flights, of a flown stream."""
    change_at: int | None
    """Event, or flight, before which the wavelength changes."""
    pause_at: int | None
    """Event after which the run is paused, so that it is repeated."""
    others: tuple[str, ...]
    """Other streams: dark, baseline, monitor, declared."""
    stream: str
    """Stream of the frames."""
    keys: tuple[str, ...]
    """Other keys in the events: text, short (three numbers), i0."""
    late_s: float
    """How long after its announcement a file appears."""


def draw(seed: int) -> Draw:
    """Draw a run."""
    of = random.Random(seed)
    layout = of.choice(["inline", "list", "page", "datum", "stream", "stream", "flown"])
    stepped = layout in ("inline", "list", "datum", "stream")
    k = of.choice([1, 1, 2, 3]) if layout in ("inline", "datum", "stream", "flown") else 1
    stacked = of.random() < 0.5
    n_events = of.choice([1, 2, 3, 4])
    n_flights = of.choice([1, 2]) if layout == "flown" else 1
    steps = n_events if stepped else n_flights
    sources = ["value", "start", "configuration"] + ["event", "waveform"] * (layout not in ("flown", "page"))
    wavelength = of.choice(sources)
    changes = wavelength in ("configuration", "event", "waveform") and layout != "page" and of.random() < 0.5
    others = tuple(one for one in ("dark", "baseline", "monitor", "declared") if of.random() < 0.2)
    return Draw(
        layout=layout,
        k=k,
        stacked=stacked,
        join_method=of.choice([None, "stack" if stacked else "concat"]),
        # Several frames that a datum names by rows are lost in bluesky-tiled-plugins 2.0.12.
        datum_kwargs=of.choice(["point_number"] + ["frame", "indices"] * (k == 1)),
        wavelength=wavelength,
        n_events=n_events,
        n_flights=n_flights,
        change_at=of.randrange(1, steps) if changes and steps > 1 else None,
        pause_at=of.randrange(n_events) if stepped and of.random() < 0.3 else None,
        others=others if stepped else (),
        stream="fly" if not stepped else of.choice(["primary", "primary", "scan"]),
        keys=tuple(one for one in ("text", "short", "i0") if of.random() < 0.4) if stepped else (),
        late_s=of.choice([0.0, 0.0, 0.1]) if layout in ("datum", "stream", "flown") else 0.0,
    )


# Devices


class DrawnMythen(SimMythen):
    """A detector that gives its frames as drawn, and remembers each with its wavelength."""

    def __init__(self, *, drawn: Draw, directory: Path, **arguments: Any) -> None:
        self.drawn = drawn
        self.taken: list[tuple[Any, float]] = []
        self.wavelength_now: Callable[[], float] = lambda: WAVELENGTHS[0]
        self._directory = directory
        self._frames: list[Any] = []
        super().__init__(**arguments)

    def configure(self, settings: dict[str, Any]) -> tuple[Any, Any]:
        old = self.read_configuration()
        self.wavelength.put(settings["wavelength"])
        return old, self.read_configuration()

    def trigger(self) -> DeviceStatus:
        """Take the frames of one event."""
        status = DeviceStatus(self)

        def expose() -> None:
            try:
                self._frames = []
                for _ in range(self.drawn.k):
                    super(DrawnMythen, self).trigger().wait()
                    self._frames.append(np.array(self.image.get()))
                    self.taken.append((self._frames[-1], self.wavelength_now()))
                self._store()
            except Exception as error:
                status.set_exception(error)
            else:
                status.set_finished()

        threading.Thread(target=expose).start()
        return status

    def _store(self) -> None:
        """Write the frames of an event where they are not in it."""

    def describe(self) -> dict[str, Any]:
        description: dict[str, Any] = super().describe()
        n_strips, k = self.image.get().size, self.drawn.k
        description[self.image.name]["shape"] = [k, n_strips] if k > 1 else [n_strips]
        return description

    def read(self) -> dict[str, Any]:
        reading: dict[str, Any] = super().read()
        if self.drawn.layout == "list":
            reading[self.image.name]["value"] = self._frames[0].tolist()
        elif self.drawn.k > 1:
            reading[self.image.name]["value"] = np.array(self._frames)
        return reading


class Flown:
    """Measures by itself between kickoff and complete."""

    def kickoff(self) -> DeviceStatus:
        self._readings: list[dict[str, Any]] = []

        def expose() -> None:
            for _ in range(self.drawn.n_events):  # type: ignore[attr-defined]
                self.trigger().wait()  # type: ignore[attr-defined]
                self._readings.append(self.read())  # type: ignore[attr-defined]

        self._flight = threading.Thread(target=expose)
        self._flight.start()
        return _finished(self)

    def complete(self) -> DeviceStatus:
        self._flight.join()
        return _finished(self)


def _finished(device: Any) -> DeviceStatus:
    status = DeviceStatus(device)
    status.set_finished()
    return status


class PageMythen(Flown, DrawnMythen):
    """Gives all events of a flight at its end, as event_page."""

    def describe_collect(self) -> dict[str, Any]:
        return {"fly": self.describe()}

    def collect(self) -> Iterator[dict[str, Any]]:
        for reading in self._readings:
            yield {
                "data": {key: one["value"] for key, one in reading.items()},
                "timestamps": {key: one["timestamp"] for key, one in reading.items()},
                "time": reading[self.image.name]["timestamp"],
            }


class FileMythen(DrawnMythen):
    """Writes frames to a new file each time it is staged; it may appear under its name later."""

    def stage(self) -> list[Any]:
        self._resource = f"resource-{time.monotonic_ns()}"
        self._path = self._directory / f"{self._resource}.h5"
        written = self._path.with_suffix(".writing") if self.drawn.late_s else self._path
        row = self._row(self.image.get().size)
        self._file = h5py.File(written, "w", libver="latest")
        self._file.create_dataset("frames", (0, *row), np.uint32, maxshape=(None, *row), chunks=(1, *row))
        self._file.swmr_mode = True
        self._points = 0
        staged: list[Any] = super().stage()
        return staged

    def unstage(self) -> list[Any]:
        self._file.close()
        unstaged: list[Any] = super().unstage()
        return unstaged

    def _row(self, n_strips: int) -> tuple[int, ...]:
        """Shape of a row of the dataset."""
        return (self.drawn.k, n_strips) if self.drawn.stacked else (n_strips,)

    def _store(self) -> None:
        dataset = self._file["frames"]
        rows = np.array(self._frames).reshape(-1, *dataset.shape[1:])
        dataset.resize(len(dataset) + len(rows), axis=0)
        dataset[-len(rows) :] = rows
        dataset.flush()
        self._points += 1
        if self._points == 1 and self.drawn.late_s:
            threading.Timer(
                self.drawn.late_s, self._path.with_suffix(".writing").rename, [self._path]
            ).start()


class DatumMythen(FileMythen):
    """Announces its files by resource and datum."""

    def _row(self, n_strips: int) -> tuple[int, ...]:
        return (1, n_strips)

    def describe(self) -> dict[str, Any]:
        description: dict[str, Any] = super().describe()
        shape = [self.drawn.k, 1, self.image.get().size]
        description[self.image.name] |= {"shape": shape, "external": "FILESTORE:"}
        return description

    def read(self) -> dict[str, Any]:
        reading: dict[str, Any] = super().read()
        reading[self.image.name]["value"] = f"{self._resource}/{self._points - 1}"
        return reading

    def collect_asset_docs(self) -> Iterator[tuple[str, Any]]:
        point, k = self._points - 1, self.drawn.k
        if point == 0:
            resource = {
                "uid": self._resource,
                "spec": "AD_HDF5",
                "root": str(self._directory),
                "resource_path": self._path.name,
                "resource_kwargs": {"dataset": "frames", "frame_per_point": k},
                "path_semantics": "posix",
                "run_start": "",
            }
            yield "resource", resource
        names = {
            "point_number": {"point_number": point},
            "frame": {"frame": point * k},
            "indices": {"indices": {"start": point * k, "stop": (point + 1) * k}},
        }
        datum = {
            "datum_id": f"{self._resource}/{point}",
            "resource": self._resource,
            "datum_kwargs": names[self.drawn.datum_kwargs],
        }
        yield "datum", datum


class StreamMythen(FileMythen):
    """Announces its files by stream documents."""

    def stage(self) -> list[Any]:
        self._announced = 0
        return super().stage()

    def describe(self) -> dict[str, Any]:
        description: dict[str, Any] = super().describe()
        shape = [self.drawn.k, self.image.get().size]
        description[self.image.name] |= {"shape": shape, "external": "STREAM:"}
        return description

    def read(self) -> dict[str, Any]:
        reading: dict[str, Any] = super().read()
        del reading[self.image.name]
        return reading

    def get_index(self) -> int:
        return self._points

    def collect_asset_docs(self, index: int | None = None) -> Iterator[tuple[str, Any]]:
        last = self._points if index is None else min(index, self._points)
        if last <= self._announced:
            return
        if not self._announced:
            parameters = {"dataset": "frames", "swmr": True, "chunk_shape": self._file["frames"].chunks}
            if self.drawn.join_method is not None:
                parameters["join_method"] = self.drawn.join_method
            resource = {
                "uid": self._resource,
                "data_key": self.image.name,
                "mimetype": "application/x-hdf5",
                "uri": f"file://localhost{self._path.resolve()}",
                "parameters": parameters,
            }
            yield "stream_resource", resource
        datum = {
            "uid": f"{self._resource}/{self._announced}",
            "stream_resource": self._resource,
            "descriptor": "",
            "indices": {"start": self._announced, "stop": last},
            "seq_nums": {"start": 0, "stop": 0},
        }
        self._announced = last
        yield "stream_datum", datum


class FlownMythen(Flown, StreamMythen):
    """Announces the frames of a flight together, without events."""

    def describe_collect(self) -> dict[str, Any]:
        return {self.image.name: self.describe()[self.image.name]}


KINDS: dict[str, type[DrawnMythen]] = {
    "inline": DrawnMythen,
    "list": DrawnMythen,
    "page": PageMythen,
    "datum": DatumMythen,
    "stream": StreamMythen,
    "flown": FlownMythen,
}


class UnitSignal(Signal):
    """A signal with a unit."""

    def __init__(self, unit: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._unit = unit

    def describe(self) -> dict[str, Any]:
        return {self.name: {**super().describe()[self.name], "units": self._unit}}


# The runs


@dataclass
class Beamline:
    """Everything that runs share."""

    archive: Any
    files: Path
    config: LiveConfig
    sizer: Sizer
    scene: GrowingDots
    n_frames: int = 0
    others: list[Any] = field(default_factory=list)

    def mythen(self, drawn: Draw, seed: int, name: str = "mythen") -> DrawnMythen:
        return KINDS[drawn.layout](
            name=name,
            drawn=drawn,
            directory=self.files,
            scene=self.scene,
            detector=DETECTOR,
            wavelength_angstrom=WAVELENGTHS[0],
            counts_per_second=20.0,
            exposure_s=30.0,
            speed=np.inf,
            seed=seed,
        )

    def settings(self, drawn: Draw) -> LiveConfig:
        sources = {
            "value": {"value": WAVELENGTHS[0], "unit": "angstrom"},
            "start": {"start_key": "wavelength", "unit": "angstrom"},
            "configuration": {"configuration_key": "mythen_wavelength"},
            "event": {"data_key": "mono"},
            "waveform": {"data_key": "mono"},
        }
        monitor = NumberSource(data_key="i0") if "i0" in drawn.keys else None
        return self.config.model_copy(
            update={"wavelength": WavelengthSource(**sources[drawn.wavelength]), "monitor": monitor}
        )


def plan(drawn: Draw, beamline: Beamline, detector: DrawnMythen, seed: int) -> Iterator[Any]:
    """Measure a run as drawn."""
    waveform = drawn.wavelength == "waveform"

    def mono_value(wavelength: float) -> Any:
        return np.array([wavelength]) if waveform else wavelength

    mono = UnitSignal("angstrom", name="mono", value=mono_value(WAVELENGTHS[0]))
    values = {"text": "sample 1", "short": np.array([1.0, 2.0, 3.0]), "i0": 1.5}
    devices = [detector, *(UnitSignal("", name=key, value=values[key]) for key in drawn.keys)]
    if drawn.wavelength in ("event", "waveform"):
        devices.insert(seed % 2, mono)
        detector.wavelength_now = lambda: float(np.ravel(mono.get())[0])
    elif drawn.wavelength == "configuration":
        detector.wavelength_now = detector.wavelength.get

    def change() -> Iterator[Any]:
        if drawn.wavelength == "configuration":
            yield from bps.configure(detector, {"wavelength": WAVELENGTHS[1]})
        else:
            mono.put(mono_value(WAVELENGTHS[1]))

    other = beamline.mythen(
        Draw("inline", 1, False, None, "", "value", 1, 1, None, None, (), "", (), 0.0), seed + 1, "other"
    )
    yield from bps.stage(detector)
    yield from bps.open_run({"wavelength": WAVELENGTHS[0]})
    if "declared" in drawn.others:
        yield from bps.declare_stream(other, name="unused")
    if "baseline" in drawn.others:
        yield from bps.trigger_and_read([other], name="baseline")
    if "monitor" in drawn.others:
        yield from bps.monitor(other.image, name="other_monitor")
    if "dark" in drawn.others:
        yield from bps.trigger_and_read([other], name="dark")
    if drawn.layout in ("page", "flown"):
        if drawn.layout == "flown":
            yield from bps.declare_stream(detector, name="fly", collect=True)
        for flight in range(drawn.n_flights):
            if flight == drawn.change_at:
                yield from change()
            yield from bps.kickoff(detector, wait=True)
            yield from bps.complete(detector, wait=True)
            if drawn.layout == "flown":
                yield from bps.collect(detector, name="fly")
            else:
                yield from bps.collect(detector)
    else:
        for event in range(drawn.n_events):
            if event == drawn.change_at:
                yield from change()
            yield from bps.checkpoint()
            yield from bps.trigger_and_read(devices, name=drawn.stream)
            if event == drawn.pause_at:
                yield from bps.pause()
    yield from bps.checkpoint()
    if "monitor" in drawn.others:
        yield from bps.unmonitor(other.image)
    if "baseline" in drawn.others:
        yield from bps.trigger_and_read([other], name="baseline")
    yield from bps.close_run()
    yield from bps.unstage(detector)


@pytest.fixture(scope="module")
def beamline(archive: Any, files: Path) -> Beamline:
    config = LiveConfig(
        sizing=SizingConfig(model="pbs", reduction=ReductionConfig(detector=DETECTOR, arm_deg=0.0)),
        wavelength=WavelengthSource(value=WAVELENGTHS[0], unit="angstrom"),
        workers=0,
    )
    q_max = float(q_from_two_theta(DETECTOR.two_theta(0.0), WAVELENGTHS[0]).max())
    scene = GrowingDots(SynthesisRecipe(wavelength_angstrom=WAVELENGTHS[0], growth_time_s=100.0), q_max)
    return Beamline(archive, files, config, Sizer(config.sizing), scene)


UNLIKE = frozenset({"qdsizer_latency"})
"""A replay has no latency."""

DATED = frozenset(f"qdsizer_{key}" for key in ("track", "growth", "evidence_age"))
"""An archive does not hold when the frames of a flight came: what depends on their times is not compared."""

MIXED = "the configuration of this flown stream changed (2 descriptors), and the archive does not hold which"


def estimates(documents: Documents, dated: bool) -> dict[str, list[dict[str, Any]]]:
    """Data of the estimates of each stream, in order."""
    streams: dict[str, str] = {}
    found: dict[str, list[dict[str, Any]]] = {}
    for name, doc in documents:
        if name == "descriptor" and doc["name"] == "qd_size":
            streams[doc["uid"]] = doc["configuration"]["qdsizer"]["data"]["qdsizer_frame_stream"]
        elif name == "event" and doc["descriptor"] in streams:
            data = {
                key: value if value == value else None  # NaN
                for key, value in doc["data"].items()
                if key not in UNLIKE and (dated or not key.startswith(tuple(DATED)))
            }
            found.setdefault(streams[doc["descriptor"]], []).append(data)
    return found


def account(documents: Documents) -> dict[str, Any]:
    (stop,) = [doc for name, doc in documents if name == "stop"]
    streams: dict[str, Any] = stop["qdsizer"]["streams"]
    for one in streams.values():
        assert one["announced"] == one["sized"] + sum(one["rejected"].values())
    return streams


def play(beamline: Beamline, seed: int) -> None:
    """Draw a run, measure it, replay it and compare."""
    drawn = draw(seed)
    config = beamline.settings(drawn)
    detector = beamline.mythen(drawn, seed)
    live = LiveSizer(config, beamline.sizer)
    out: Documents = []
    live.subscribe(lambda name, doc: out.append((name, doc)))
    live.subscribe(TiledWriter(beamline.archive))
    engine = RunEngine({})
    engine.subscribe(live)
    try:
        engine(plan(drawn, beamline, detector, seed))
    except RunEngineInterrupted:
        engine.resume()
    assert engine.state == "idle"
    assert live.close(60)
    assert live.counters.contained == 0
    (uid,) = [doc["uid"] for name, doc in out if name == "start"]

    measured = account(out)[drawn.stream]
    n_frames = len(detector.taken)
    assert measured["announced"] == n_frames
    dated = drawn.layout != "flown"
    now = estimates(out, dated)
    expected = [beamline.sizer.size_frame(counts, wavelength) for counts, wavelength in detector.taken]
    mine = now[drawn.stream]
    assert [one["qdsizer_size"] for one in mine] == [_number(one.size_nm) for one in expected]
    assert [one["qdsizer_status"] for one in mine] == [one.status.value for one in expected]

    again = list(replay(beamline.archive[uid], config, beamline.sizer))
    then = estimates(again, dated)
    if drawn.layout == "flown" and drawn.change_at is not None:
        # An event whose frames cannot be read has one estimate for all of them.
        assert sum(one["qdsizer_n_frames"] for one in then["fly"]) == n_frames
        assert account(again)["fly"]["rejected"] == {"bad_frame": n_frames}
        assert all(one["qdsizer_reason"].startswith(MIXED) for one in then["fly"])
    else:
        assert then.keys() == now.keys()
        for stream in now:
            assert_equal(then[stream], now[stream])
        assert account(again)[drawn.stream] == measured
    beamline.n_frames += n_frames


def _number(value: float) -> float | None:
    return value if value == value else None


def assert_equal(then: list[dict[str, Any]], now: list[dict[str, Any]]) -> None:
    """Equal in every value; names the first frame and the keys where they are not."""
    assert len(then) == len(now)
    for index, (one, other) in enumerate(zip(then, now, strict=True)):
        differing = {key: (other[key], one[key]) for key in other if one[key] != other[key]}
        assert not differing, f"estimate {index}, live and replayed: {differing}"


@pytest.mark.parametrize("seed", range(6))
def test_a_drawn_run_is_replayed_as_it_was_sized(seed: int, beamline: Beamline) -> None:
    play(beamline, seed)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("block", range(N_SLOW // BLOCK))
def test_hundreds_of_drawn_runs_are_replayed_as_they_were_sized(block: int, beamline: Beamline) -> None:
    for seed in range(1000 + block * BLOCK, 1000 + (block + 1) * BLOCK):
        try:
            play(beamline, seed)
        except BaseException as error:
            error.add_note(f"seed {seed}: {draw(seed)}")
            raise

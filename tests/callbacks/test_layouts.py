"""Frames that come in every way Bluesky knows, from real devices through a real RunEngine: one size each."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky.plans import count
from bluesky.preprocessors import run_decorator, set_run_key_wrapper
from ophyd_async.core import init_devices

from qdsizer_stream.callbacks import LiveSizer, WavelengthSource
from qdsizer_stream.devices import SimMythenHdf5
from qdsizer_stream.reduction import nominal_detector
from qdsizer_stream.testing import (
    FlyingMythen,
    ListMythen,
    PageMythen,
    ResourceDatumMythen,
    StackMythen,
    fly,
    fly_page,
)
from qdsizer_stream.testing.async_producers import FrameFileDetector, fly_async

Documents = list[tuple[str, Any]]
Mythen = Callable[..., Any]
N_FRAMES = 4


def sizes_of(plan: Any, sizer: LiveSizer) -> list[tuple[int, float, str]]:
    """Number, size and reason of every frame of a plan, sized while it runs."""
    sizes: list[tuple[int, float, str]] = []

    def note(name: str, doc: Any) -> None:
        if "qdsizer_size" in doc["data"]:
            data = doc["data"]
            sizes.append((data["qdsizer_frame_seq_num"], data["qdsizer_size"], data["qdsizer_reason"]))

    token = sizer.subscribe(note, "event")
    engine = RunEngine({})
    engine.subscribe(sizer)
    engine(plan)
    assert sizer.wait(60)
    sizer.unsubscribe(token)
    assert sizer.counters.contained == 0
    return sizes


@pytest.fixture(scope="module")
def frames(mythen: Mythen) -> Any:
    documents: Documents = []
    RunEngine({})(count([mythen()], N_FRAMES), lambda name, doc: documents.append((name, doc)))
    return np.array([doc["data"]["mythen_image"] for name, doc in documents if name == "event"])


@pytest.fixture
def expected(frames: Any, sizer: Any) -> list[float]:
    """Sizes of the same frames, without any document."""
    return [sizer.size_frame(frame, 0.5637).size_nm for frame in frames]


def flying(mythen: Mythen, kind: type[Any], **settings: Any) -> Any:
    device = mythen(kind=kind, **settings)
    device.frames = N_FRAMES
    return device


PLANS: dict[str, Callable[[Mythen, Path], Any]] = {
    "array in events": lambda mythen, folder: count([mythen()], N_FRAMES),
    "list in events": lambda mythen, folder: count([mythen(kind=ListMythen)], N_FRAMES),
    "two frames in an event": lambda mythen, folder: count([mythen(kind=StackMythen)], N_FRAMES // 2),
    "event_page": lambda mythen, folder: fly_page(flying(mythen, PageMythen)),
    "resource and datum": lambda mythen, folder: count(
        [mythen(kind=ResourceDatumMythen, directory=folder)], N_FRAMES
    ),
    "stream_datum, file open": lambda mythen, folder: count(
        [mythen(kind=SimMythenHdf5, directory=folder)], N_FRAMES
    ),
    "fly scan, no events": lambda mythen, folder: fly(flying(mythen, FlyingMythen, directory=folder)),
}
NUMBERS = {"two frames in an event": [1, 1, 2, 2]}


@pytest.mark.slow
@pytest.mark.parametrize("layout", PLANS)
def test_equal_frames_have_equal_sizes(
    layout: str, live: Callable[..., LiveSizer], mythen: Mythen, expected: list[float], tmp_path: Path
) -> None:
    found = sizes_of(PLANS[layout](mythen, tmp_path), live())
    assert [reason for _, _, reason in found] == [""] * N_FRAMES
    assert [size for _, size, _ in found] == expected
    assert [number for number, _, _ in found] == NUMBERS.get(layout, [1, 2, 3, 4])


@pytest.mark.parametrize("kind", ["step", "fly"])
def test_ophyd_async_with_the_file_open(
    kind: str, live: Callable[..., LiveSizer], frames: Any, expected: list[float], tmp_path: Path
) -> None:
    sizer = live(wavelength=WavelengthSource(configuration_key="mythen-energy"))
    engine = RunEngine({})  # ophyd-async connects in the event loop of a RunEngine
    with init_devices():
        detector = FrameFileDetector(tmp_path, frames, energy_kev=12.39841984 / 0.5637)
    assert engine.state == "idle"
    plan = count([detector], N_FRAMES) if kind == "step" else fly_async(detector, N_FRAMES)
    found = sizes_of(plan, sizer)
    assert [reason for _, _, reason in found] == [""] * N_FRAMES
    assert [number for number, _, _ in found] == [1, 2, 3, 4]
    # The energy stands for the wavelength to ten digits, not to the last bit.
    np.testing.assert_allclose([size for _, size, _ in found], expected, rtol=1e-5)


def test_runs_that_one_plan_interleaves(live: Callable[..., LiveSizer], mythen: Mythen, sizer: Any) -> None:
    """Two runs of one RunEngine, open at once, each with its own detector."""
    devices = {"one": mythen(seed=5), "two": mythen("other", seed=6)}

    def plan() -> Iterator[Any]:
        for key in devices:
            yield from set_run_key_wrapper(bps.open_run(), key)
        for _ in range(2):
            for key, device in devices.items():
                yield from set_run_key_wrapper(bps.trigger_and_read([device]), key)
        for key in devices:
            yield from set_run_key_wrapper(bps.close_run(), key)

    both = live(wavelength=WavelengthSource(value=0.5637, unit="angstrom"))
    out: Documents = []
    both.subscribe(lambda name, doc: out.append((name, doc)))
    engine = RunEngine({})
    engine.subscribe(both)
    engine(plan())
    assert both.wait(60)
    descriptors = {doc["uid"]: doc for name, doc in out if name == "descriptor"}
    sizes: dict[str, list[float]] = {}
    counts: dict[str, list[Any]] = {}
    for name, doc in out:
        if name == "event":
            run = descriptors[doc["descriptor"]]["run_start"]
            if "qdsizer_size" in doc["data"]:
                sizes.setdefault(run, []).append(doc["data"]["qdsizer_size"])
            else:
                image = next(value for key, value in doc["data"].items() if key.endswith("image"))
                counts.setdefault(run, []).append(image)
    assert len(sizes) == 2
    for run, images in counts.items():
        assert sizes[run] == [sizer.size_frame(image, 0.5637).size_nm for image in images]
    stops = [doc for name, doc in out if name == "stop"]
    assert [stop["num_events"]["qd_size"] for stop in stops] == [2, 2]


def test_several_detectors_in_one_event(
    live: Callable[..., LiveSizer], mythen: Mythen, expected: list[float]
) -> None:
    devices = [mythen(), mythen("other", seed=9)]
    found = sizes_of(count(devices, N_FRAMES), live(data_key="mythen_image"))
    assert [size for _, size, _ in found] == expected
    refused = sizes_of(count(devices, 1), live())
    assert "set data_key to the one that holds the frames" in refused[0][2]


def test_subscription_in_mid_run(live: Callable[..., LiveSizer], mythen: Mythen) -> None:
    sizer = live()
    engine = RunEngine({})
    out: Documents = []
    sizer.subscribe(lambda name, doc: out.append((name, doc)))
    device = mythen()

    @run_decorator()
    def plan() -> Iterator[Any]:
        yield from bps.trigger_and_read([device])
        engine.subscribe(sizer)
        yield from bps.trigger_and_read([device])

    engine(plan())
    assert sizer.wait(60)
    assert [name for name, _ in out] == ["event", "stop"]  # passed on, of a run whose start it never saw
    assert (sizer.counters.orphans, sizer.counters.contained) == (2, 0)
    engine(count([device], 1))
    assert sizer.wait(60)
    assert sizer.counters.sized == 1


def test_a_detector_whose_frames_do_not_fit_is_left_alone(
    live: Callable[..., LiveSizer], mythen: Mythen
) -> None:
    small = mythen("small", detector=nominal_detector(2, 0.0))
    assert sizes_of(count([small], 2), live()) == []

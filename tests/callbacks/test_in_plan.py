"""Plans that act on sizes."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky.plans import count
from bluesky.preprocessors import run_decorator
from bluesky.utils import FailedStatus
from event_model import DocumentNames, schema_validators

from qdsizer_stream.callbacks import LiveSizer
from qdsizer_stream.devices import LiveCounters, SimMythen, SizeDevice

Documents = list[tuple[str, Any]]


def grow_until(mythen: SimMythen, size: SizeDevice, target_nm: float, at_most: int) -> Iterator[Any]:
    """Measure until the dots have grown enough."""

    @run_decorator()
    def plan() -> Iterator[Any]:
        for _ in range(at_most):
            yield from bps.trigger_and_read([mythen])
            yield from bps.trigger_and_read([size], name="size")
            if (yield from bps.rd(size.size)) >= target_nm:
                return

    yield from plan()


def test_a_plan_stops_at_a_size(live: Callable[..., LiveSizer], mythen: Callable[..., SimMythen]) -> None:
    sizer = live()
    engine = RunEngine({})
    engine.subscribe(sizer)
    documents: Documents = []
    device = SizeDevice(name="size", live=sizer)
    engine(
        grow_until(mythen(exposure_s=10.0, counts_per_second=6.0), device, 4.0, at_most=60),
        lambda name, doc: documents.append((name, doc)),
    )
    for name, doc in documents:
        schema_validators[DocumentNames[name]].validate(doc)
    streams = {doc["uid"]: doc["name"] for name, doc in documents if name == "descriptor"}
    events = [doc for name, doc in documents if name == "event" and streams[doc["descriptor"]] == "size"]
    sizes = [event["data"]["size_size"] for event in events]
    # Every reading is that of the frame just measured, and the plan stopped at the first that is enough.
    assert [event["data"]["size_frame_seq_num"] for event in events] == list(range(1, len(events) + 1))
    assert all(size < 4.0 for size in sizes[:-1])
    assert sizes[-1] >= 4.0
    assert 1 < len(sizes) < 60
    assert {event["data"]["size_status"] for event in events} == {"sized"}


def test_triggering_before_any_frame_says_what_to_do(live: Callable[..., LiveSizer]) -> None:
    with pytest.raises(FailedStatus) as failure:
        RunEngine({})(count([SizeDevice(name="size", live=live())]))
    assert "trigger and read the detector in its own event before this device" in str(failure.value.__cause__)


def test_counters_are_current(live: Callable[..., LiveSizer], mythen: Callable[..., SimMythen]) -> None:
    sizer = live()
    counters = LiveCounters(name="counters", live=sizer)
    assert counters.frames.get() == 0
    engine = RunEngine({})
    engine.subscribe(sizer)
    engine(count([mythen()], 3))
    assert sizer.wait(60)
    assert (counters.frames.get(), counters.sized.get(), counters.queued.get()) == (3, 3, 0)
    documents: Documents = []
    engine(count([counters], 1), lambda name, doc: documents.append((name, doc)))
    descriptor = documents[1][1]
    assert descriptor["data_keys"]["counters_lag"]["units"] == "s"
    assert documents[2][1]["data"]["counters_frames"] == 3
    assert np.isfinite(documents[2][1]["data"]["counters_lag"])

"""A live sizer whose frames are sized in a process of their own."""

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky.preprocessors import run_decorator
from numpy.testing import assert_equal

from qdsizer_stream.callbacks import LiveSizer
from qdsizer_stream.devices import LiveCounters, SimMythen
from qdsizer_stream.reduction import AccumulationConfig

pytestmark = pytest.mark.integration

Documents = list[tuple[str, Any]]


def estimates(documents: Documents) -> list[dict[str, Any]]:
    """What must not depend on where a frame was sized."""
    found = [doc["data"] for name, doc in documents if name == "event" and "qdsizer_size" in doc["data"]]
    return [{key: value for key, value in data.items() if key != "qdsizer_latency"} for data in found]


@pytest.mark.parametrize("sums", [False, True])
def test_the_numbers_are_those_of_the_thread(
    sums: bool, raw: Documents, through: Callable[..., Documents]
) -> None:
    settings = (
        {"accumulation": AccumulationConfig(mode="reset", min_counts=1e6, max_seconds=3600)} if sums else {}
    )
    here, there = (estimates(through(raw, workers=workers, **settings)) for workers in (0, 1))
    assert here
    assert_equal(there, here)


def test_a_process_that_is_killed_costs_at_most_the_frame_in_hand(
    live: Callable[..., LiveSizer], mythen: Callable[..., SimMythen]
) -> None:
    sizer = live(workers=1)
    counters = LiveCounters(name="counters", live=sizer)
    out: Documents = []
    sizer.subscribe(lambda name, doc: out.append((name, doc)))
    device = mythen()

    @run_decorator()
    def plan() -> Iterator[Any]:
        for number in range(6):
            if number == 2:
                assert sizer.wait(60)
                # Stopped first, so that it dies with a frame in hand.
                os.kill(sizer.worker_pid, signal.SIGSTOP)
            yield from bps.trigger_and_read([device])
        os.kill(sizer.worker_pid, signal.SIGKILL)

    engine = RunEngine({})
    engine.subscribe(sizer)
    engine(plan())
    assert sizer.wait(120)
    found = estimates(out)
    assert [data["qdsizer_status"] for data in found] == ["sized"] * 2 + ["bad_frame"] + ["sized"] * 3
    assert "the sizing process ended with status -9 while this frame was sized" in found[2]["qdsizer_reason"]
    assert [data["qdsizer_frame_seq_num"] for data in found] == [1, 2, 3, 4, 5, 6]
    assert (counters.restarts.get(), counters.bad_frame.get(), counters.sized.get()) == (1, 1, 5)


def test_closing_ends_the_process(live: Callable[..., LiveSizer]) -> None:
    sizer = live(workers=1)
    pid = sizer.worker_pid
    assert sizer.close(60)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_without_a_process_there_is_none(live: Callable[..., LiveSizer]) -> None:
    with pytest.raises(LookupError, match="workers is 0: a thread of this process sizes"):
        _ = live(workers=0).worker_pid

"""A subscriber that does not return holds neither the plan nor the other subscribers."""

import copy
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.plans import count

from qdsizer_stream.callbacks import LiveSizer
from qdsizer_stream.callbacks.documents import QueuePolicy
from qdsizer_stream.devices import SimMythen

Documents = list[tuple[str, Any]]


class Hanging:
    """A subscriber that blocks at the first document of a kind, until it is let go."""

    def __init__(self, blocks_at: Callable[[str, Any], bool]) -> None:
        self.received: Documents = []
        self.go = threading.Event()
        self.blocked = False
        self._blocks_at = blocks_at

    def __call__(self, name: str, doc: Any) -> None:
        self.received.append((name, doc))
        if not self.blocked and self._blocks_at(name, doc):
            self.blocked = True
            self.go.wait(60)


def sized(name: str, doc: Any) -> bool:
    return name == "event" and "qdsizer_size" in doc["data"]


AT: dict[str, Callable[[str, Any], bool]] = {
    "start": lambda name, _: name == "start",
    "descriptor": lambda name, doc: name == "descriptor" and doc["name"] == "primary",
    "event": lambda name, doc: name == "event" and not sized(name, doc) and doc["seq_num"] == 2,
    "descriptor of sizes": lambda name, doc: name == "descriptor" and doc["name"] == "qd_size",
    "size": lambda name, doc: sized(name, doc) and doc["seq_num"] == 2,
    "stop": lambda name, _: name == "stop",
}


@pytest.fixture
def hanging() -> Iterator[Callable[..., Hanging]]:
    """Makes hanging subscribers and lets them go."""
    made: list[Hanging] = []

    def make(blocks_at: Callable[[str, Any], bool]) -> Hanging:
        made.append(Hanging(blocks_at))
        return made[-1]

    yield make
    for one in made:
        one.go.set()


@pytest.mark.slow
@pytest.mark.parametrize("where", AT)
def test_it_is_taken_off_and_the_others_receive_every_document_once(
    where: str, hanging: Callable[..., Hanging], live: Callable[..., LiveSizer],
    mythen: Callable[..., SimMythen], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    sizer, hung = live(), hanging(AT[where])
    before: Documents = []
    after: Documents = []
    sizer.subscribe(lambda name, doc: before.append((name, doc)))
    sizer.subscribe(hung, timeout_s=0.3)
    sizer.subscribe(lambda name, doc: after.append((name, doc)))
    engine = RunEngine({})
    engine.subscribe(sizer)
    raw: Documents = []
    engine.subscribe(lambda name, doc: raw.append((name, doc)))
    engine(count([mythen()], 3))
    assert sizer.wait(60)
    assert hung.blocked
    assert not hung.go.is_set()
    assert before == after
    uids = [doc["uid"] for _, doc in after]
    assert len(set(uids)) == len(uids)
    assert [uid for uid in uids if uid in {doc["uid"] for _, doc in raw}] == [doc["uid"] for _, doc in raw]
    sizes = [doc for name, doc in after if sized(name, doc)]
    assert [one["seq_num"] for one in sizes] == [1, 2, 3]
    assert [one["data"]["qdsizer_frame_seq_num"] for one in sizes] == [1, 2, 3]
    assert [one["data"]["qdsizer_status"] for one in sizes] == ["sized"] * 3
    assert hung.received == after[: len(hung.received)]  # up to where it blocks
    assert sizer.counters.contained == 1
    assert sizer.counters.restarts == 1
    assert sizer.counters.undelivered == len(after) - len(hung.received)
    kind = "descriptor" if "descriptor" in where else "event" if where == "size" else where
    assert f"Hanging is taken off: its call with a {kind} document has not returned for 0 s" in caplog.text
    account = after[-1][1]["qdsizer"]
    assert account["streams"] == {"primary": {"announced": 3, "sized": 3, "rejected": {}}}
    # At the stop the account had been composed already.
    assert account.get("subscribers_taken_off") == (None if where == "stop" else ["Hanging"])


@pytest.mark.slow
def test_once_it_returns_it_receives_whole_runs_again(
    hanging: Callable[..., Hanging], live: Callable[..., LiveSizer], mythen: Callable[..., SimMythen],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    sizer, hung = live(), hanging(AT["event"])
    seen: Documents = []
    sizer.subscribe(hung, timeout_s=0.3)
    sizer.subscribe(lambda name, doc: seen.append((name, doc)))
    engine = RunEngine({})
    engine.subscribe(sizer)
    detector = mythen()

    def returns() -> Any:
        hung.go.set()
        deadline = time.monotonic() + 20
        while "Hanging has returned after" not in caplog.text:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def messages() -> Iterator[Any]:
        for message in count([detector], 3):
            if message.command == "close_run":
                returns()
            yield message

    engine(count([detector], 2))
    assert sizer.wait(60)
    n_first, n_received = len(seen), len(hung.received)
    engine(messages())  # it returns in the middle of this run
    assert sizer.wait(60)
    n_second = len(seen)
    assert len(hung.received) == n_received
    assert seen[n_first - 1][1]["qdsizer"]["subscribers_taken_off"] == ["Hanging"]
    assert seen[n_second - 1][1]["qdsizer"]["subscribers_taken_off"] == ["Hanging"]
    undelivered = sizer.counters.undelivered
    engine(count([detector], 2))
    assert sizer.wait(60)
    assert hung.received[n_received:] == seen[n_second:]
    assert sizer.counters.undelivered == undelivered
    assert "subscribers_taken_off" not in seen[-1][1]["qdsizer"]


@pytest.mark.slow
@pytest.mark.parametrize("policy", [QueuePolicy.MARK, QueuePolicy.NEWEST])
def test_the_plan_is_not_held_at_ten_times_the_queue(
    policy: QueuePolicy, hanging: Callable[..., Hanging], live: Callable[..., LiveSizer],
    mythen: Callable[..., SimMythen], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    sizer, hung = live(queue_frames=1, queue_policy=policy), hanging(AT["event"])
    seen: Documents = []
    sizer.subscribe(hung)
    sizer.subscribe(lambda name, doc: seen.append((name, doc)))
    engine = RunEngine({})
    engine.subscribe(sizer)
    raw: Documents = []
    engine.subscribe(lambda name, doc: raw.append((name, copy.deepcopy(doc))))
    engine(count([mythen()], 30))  # returns, although nothing is passed on
    assert hung.blocked
    assert not hung.go.is_set()
    assert sizer.counters.queued >= 29
    held = [item for item in sizer._queue._items if item.name == "event" and item.doc]
    assert len(held) == 10  # the others are on disk
    assert "the queue is full: documents wait in a temporary file in " in caplog.text
    hung.go.set()
    assert sizer.wait(60)
    received = [(name, doc) for name, doc in seen if doc["uid"] in {one["uid"] for _, one in raw}]
    assert [doc["uid"] for _, doc in received] == [doc["uid"] for _, doc in raw]
    for (_, doc), (_, measured) in zip(received, raw, strict=True):
        if "data" in doc:
            np.testing.assert_array_equal(doc["data"]["mythen_image"], measured["data"]["mythen_image"])
    (account,) = seen[-1][1]["qdsizer"]["streams"].values()
    assert account["announced"] == 30
    assert account["sized"] + sum(account["rejected"].values()) == 30
    assert account["rejected"] == {"bad_frame": sizer.counters.marked}

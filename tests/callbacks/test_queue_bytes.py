"""The queue of the sizer is bounded in bytes: one event page can hold as much as thousands of events."""

import threading
import time

import numpy as np
import pytest

from qdsizer_stream.callbacks import Item
from qdsizer_stream.callbacks.documents import QueuePolicy, array_bytes
from qdsizer_stream.callbacks.live import _queue as queue_module
from qdsizer_stream.callbacks.live._queue import WorkQueue

SIZE = 300_000
"""Bytes in each document."""


@pytest.mark.parametrize(
    ("policy", "n_waiting", "n_marked"),
    [
        (QueuePolicy.WAIT, 3, 0),  # 1 MB
        (QueuePolicy.MARK, 13, 10),  # 4 MB; those beyond 1 MB are marked
        (QueuePolicy.NEWEST, 13, 10),
    ],
)
def test_a_queue_holds_no_more_bytes_than_its_limit(
    policy: QueuePolicy, n_waiting: int, n_marked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_module, "QUEUE_BYTES", 1_000_000)
    monkeypatch.setattr(queue_module, "MARKED_BYTES", 4_000_000)
    go, handled = threading.Event(), []

    def handle(item: Item, behind: object) -> None:
        go.wait(60)
        handled.append(item.doc["number"])

    queue = WorkQueue(handle, 1000, policy)
    items = [Item("event_page", {"number": number}, n_bytes=SIZE) for number in range(20)]
    producer = threading.Thread(target=lambda: [queue.put(item) for item in items])
    producer.start()
    deadline = time.monotonic() + 20
    while len(queue) < n_waiting and time.monotonic() < deadline:
        time.sleep(0.01)
    producer.join(0.7)  # it would have gone on by now
    assert producer.is_alive()
    assert len(queue) == n_waiting
    # The one that waits for room is marked too.
    assert queue.marked == n_marked + (policy is not QueuePolicy.WAIT)
    go.set()
    producer.join(20)
    assert queue.close(20)
    assert handled == list(range(20))


def test_a_document_larger_than_the_queue_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_module, "QUEUE_BYTES", 10)
    handled: list[str] = []
    queue = WorkQueue(lambda item, _: handled.append(item.name), 1000, QueuePolicy.WAIT)
    queue.put(Item("event_page", {}, n_bytes=SIZE))
    assert queue.close(20)
    assert handled == ["event_page"]


def test_bytes_of_documents() -> None:
    counts = np.zeros((3, 1280), np.uint32)
    doc = {"data": {"image": [counts, counts], "list": [1, 2, 3], "text": "abc"}, "seq_num": [1, 2]}
    assert array_bytes(doc) == 2 * counts.nbytes + 3 * 8 + 2 * 8

"""The queue of the sizer is bounded in bytes: one event page can hold as much as thousands of events."""

import os
import threading
import time

import numpy as np
import pytest

from qdsizer_stream.callbacks import Item
from qdsizer_stream.callbacks.documents import QueuePolicy, array_bytes
from qdsizer_stream.callbacks.live import WorkQueue

SIZE = 300_000
"""Bytes in each document."""


@pytest.mark.slow
@pytest.mark.parametrize("policy", QueuePolicy)
def test_a_queue_holds_no_more_bytes_than_its_limit(policy: QueuePolicy) -> None:
    go, handled = threading.Event(), []

    def handle(item: Item, behind: object) -> None:
        go.wait(60)
        handled.append(item.doc["number"])

    queue = WorkQueue(handle, 1000, policy, max_bytes=1_000_000, max_marked_bytes=4_000_000)
    items = [Item("event_page", {"number": number}, n_bytes=SIZE) for number in range(20)]
    producer = threading.Thread(target=lambda: [queue.put(item) for item in items])
    producer.start()
    waits = policy is QueuePolicy.WAIT
    n_waiting = 3 if waits else 20  # 1 MB, or all
    deadline = time.monotonic() + 20
    while len(queue) < n_waiting and time.monotonic() < deadline:
        time.sleep(0.01)
    producer.join(0.7)  # it would have gone on by now
    assert producer.is_alive() == waits
    assert len(queue) == n_waiting
    # In memory are 1 MB that are sized and, marked, 3 MB more; the rest waits on disk.
    in_memory = [item.doc["number"] for item in items if item.doc]
    assert in_memory == list(range(20 if waits else 13))
    assert queue.marked == (0 if waits else 17)
    go.set()
    producer.join(20)
    assert queue.close(20)
    assert handled == list(range(20))


@pytest.mark.slow
def test_the_plan_waits_where_the_disk_is_full(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    go, handled = threading.Event(), []

    def handle(item: Item, behind: object) -> None:
        go.wait(60)
        handled.append(item.doc["number"])

    queue = WorkQueue(handle, 1, QueuePolicy.MARK)
    producer = threading.Thread(
        target=lambda: [queue.put(Item("event", {"number": number})) for number in range(12)]
    )
    producer.start()
    producer.join(0.7)
    assert producer.is_alive()
    assert len(queue) == 10
    assert "a document cannot wait in a temporary file, so the plan waits" in caplog.text
    go.set()
    producer.join(20)
    assert queue.close(20)
    assert handled == list(range(12))


def test_a_document_larger_than_the_queue_is_accepted() -> None:
    handled: list[str] = []
    queue = WorkQueue(lambda item, _: handled.append(item.name), 1000, QueuePolicy.WAIT, max_bytes=10)
    queue.put(Item("event_page", {}, n_bytes=SIZE))
    assert queue.close(20)
    assert handled == ["event_page"]


def test_bytes_of_documents() -> None:
    counts = np.zeros((3, 1280), np.uint32)
    doc = {"data": {"image": [counts, counts], "list": [1, 2, 3], "text": "abc"}, "seq_num": [1, 2]}
    assert array_bytes(doc) == 2 * counts.nbytes + 3 * 8 + 2 * 8

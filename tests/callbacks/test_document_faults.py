"""Whatever comes, the plan goes on, no raw document is lost or altered, and every frame has an event."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.plans import count
from event_model import DocumentNames, schema_validators

from qdsizer_stream.callbacks import LiveSizer
from qdsizer_stream.callbacks.documents import owned, unchanged
from qdsizer_stream.devices import SimMythen
from qdsizer_stream.testing import document_faults

Documents = list[tuple[str, Any]]

FAULTS = document_faults("mythen_image", n_strips=30720)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.filterwarnings("ignore:Casting complex values")
def test_faulty_documents(
    name: str, live: Callable[..., LiveSizer], mythen: Callable[..., SimMythen]
) -> None:
    expected = FAULTS[name]
    sizer = live()
    out: Documents = []
    sizer.subscribe(lambda kind, doc: out.append((kind, doc)))
    sent: Documents = []
    kept: list[Any] = []
    fault = expected.start()

    def faulty(kind: str, doc: Any) -> None:
        for document in fault(kind, doc):
            sent.append(document)
            kept.append(copy.deepcopy(document[1]))
            sizer(*document)

    engine = RunEngine({})
    token = engine.subscribe(faulty)
    engine(count([mythen()], 3))  # raises where a callback does
    assert sizer.wait(60)
    counters = sizer.counters
    assert (counters.orphans, counters.contained) == (expected.orphans, expected.contained)

    derived = {id(doc) for _, doc in out if is_derived(doc)}
    # Raw documents all arrive, in order, with the same content: the same objects, unless their arrays can be
    # changed while they wait. A stop may be a copy.
    passed = [(kind, doc) for kind, doc in out if id(doc) not in derived]
    raw = [(kind, doc) for kind, doc in sent]
    assert [kind for kind, _ in passed] == [kind for kind, _ in raw]
    for (kind, one), (_, other) in zip(passed, raw, strict=True):
        if kind != "stop":
            assert one is other or not unchanged(other, owned(other))
            np.testing.assert_equal(plain(one), plain(other))
    np.testing.assert_equal([plain(doc) for _, doc in sent], [plain(doc) for doc in kept])

    events = [doc for kind, doc in out if id(doc) in derived and kind == "event"]
    for kind, doc in out:
        if id(doc) in derived:
            schema_validators[DocumentNames[kind]].validate(doc)
    assert [event["data"]["qdsizer_status"] for event in events] == expected.statuses.split()
    assert [event["seq_num"] for event in events] == list(range(1, len(events) + 1))
    numbers = tuple(event["data"]["qdsizer_frame_seq_num"] for event in events)
    assert numbers == (expected.seq_nums or tuple(range(1, len(events) + 1)))
    for event in events:
        reason = event["data"]["qdsizer_reason"]
        sized = event["data"]["qdsizer_status"] == "sized"
        assert bool(reason) != sized
        assert sized or expected.reason in reason
        assert "\n" not in reason

    # A proper run afterwards is sized as ever.
    engine.unsubscribe(token)
    engine.subscribe(sizer)
    engine(count([mythen()], 1))
    assert sizer.wait(60)
    assert sizer.newest is not None
    assert sizer.newest["qdsizer_status"] == "sized"


def is_derived(doc: Any) -> bool:
    if not doc:
        return False
    data = doc.get("data")
    return doc.get("name") == "qd_size" or (isinstance(data, dict) and "qdsizer_size" in data)


def plain(doc: Any) -> Any:
    """Give a document without what cannot be compared."""
    return repr(doc) if "lambda" in repr(doc) else doc


@pytest.mark.parametrize("n_strips", [0, 1280, 2561])
def test_faults_need_whole_modules(n_strips: int) -> None:
    with pytest.raises(
        ValueError, match=f"n_strips is {n_strips}: give the strips of two or more whole modules"
    ):
        document_faults("image", n_strips)

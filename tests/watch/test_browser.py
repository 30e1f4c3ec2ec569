"""The page, in a real browser."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bokeh.document import Document

from qdsizer_stream.callbacks import LiveSizer, SynthesisRecord
from qdsizer_stream.callbacks.display import headline
from qdsizer_stream.errors import ConfigurationError
from qdsizer_stream.services.watch import BrowserView, draw_page

from .conftest import as_shown, errors, headline_shown, painted, wait_for

Documents = list[tuple[str, Any]]

# A browser on a busy machine takes minutes to begin.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]


class Watched:
    """A live sizer with its record."""

    def __init__(self, sizer: LiveSizer) -> None:
        self.sizer = sizer
        self.record = SynthesisRecord(sizer)
        sizer.subscribe(self.record)

    def feed(self, documents: Documents) -> None:
        for name, doc in documents:
            self.sizer(name, doc)
        assert self.sizer.wait(60)


@pytest.fixture
def watched(live: Callable[..., LiveSizer]) -> Watched:
    return Watched(live())


def page_models(record: SynthesisRecord) -> Document:
    document = Document()
    draw_page(document, record.snapshot)
    return document


def words_of(page: Document) -> dict[str, str]:
    return dict(json.loads(page.get_model_by_name("state").text)["words"])


def test_the_page_says_what_the_top_line_says(raw: Documents, watched: Watched) -> None:
    assert words_of(page_models(watched.record))["size"] == "no frame yet"
    watched.feed(raw)
    page = page_models(watched.record)
    said, words = headline(watched.record), words_of(page)
    for name in ("size", "growth", "status", "counts", "subject"):
        assert words[name] == getattr(said, name)
    assert words["means"] == f"{said.mean};  {said.number}"
    assert said.freshness in words["freshness"]
    assert "wavelength 0.5637 Å from configuration key" in words["footer"]
    page.validate()


@pytest.fixture
def served(watched: Watched) -> Iterator[str]:
    """Address of the page, served in a thread as the command does in its process."""
    view = BrowserView(watched.record, port=0)
    thread = threading.Thread(target=view.run)
    thread.start()
    yield view.url
    view.stop()
    thread.join(60)


def test_a_browser_shows_a_synthesis_as_it_goes_on(
    driver: Any, served: str, watched: Watched, raw: Documents
) -> None:
    driver.get(served)
    wait_for(lambda: "no frame yet" in headline_shown(driver))
    spoiled = [
        (name, {**doc, "data": {**doc["data"], "mythen_image": doc["data"]["mythen_image"][:100]}})
        if name == "event" and doc["seq_num"] == 3
        else (name, doc)
        for name, doc in raw
    ]
    watched.feed(spoiled[:4])
    watched.feed(spoiled[4:])
    said = headline(watched.record)
    wait_for(lambda: as_shown(said.size) in headline_shown(driver))
    assert said.counts == "6 frames: 5 sized, 1 rejected (1 bad frame)"
    assert said.counts in headline_shown(driver)

    wait_for(lambda: painted(driver))
    assert errors(driver) == []


def test_a_page_of_another_site_may_not_read_this_one(served: str) -> None:
    import websockets.sync.client
    from websockets.exceptions import InvalidStatus

    address = served.replace("http", "ws") + "ws"
    with pytest.raises(InvalidStatus, match="403"):
        websockets.sync.client.connect(address, origin="http://elsewhere.example", subprotocols=["bokeh"])


def test_a_port_that_is_taken_is_told(watched: Watched, served: str) -> None:
    port = int(served.rstrip("/").rpartition(":")[2])
    with pytest.raises(ConfigurationError, match=f"cannot listen on 127.0.0.1:{port}: .* give another port"):
        BrowserView(watched.record, port=port)

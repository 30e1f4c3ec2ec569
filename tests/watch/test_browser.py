"""The page, in a real browser."""

import io
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bokeh.document import Document
from bokeh.palettes import Cividis256
from PIL import Image

from qdsizer_stream.callbacks import LiveSizer, SynthesisRecord
from qdsizer_stream.callbacks.view import LOOKS, headline
from qdsizer_stream.errors import ConfigurationError
from qdsizer_stream.services.watch import BrowserView, draw_page
from qdsizer_stream.sizing import Status

Documents = list[tuple[str, Any]]

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1920,1150",
)

TIMEOUT_S = 240

# A browser on a busy machine takes minutes to begin.
pytestmark = pytest.mark.timeout(900)


class Watched:
    """A live sizer with its record."""

    def __init__(self, sizer: LiveSizer) -> None:
        self.sizer = sizer
        self.record = SynthesisRecord(sizer, "mythen_elapsed")
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


def test_the_page_says_what_the_top_line_says(raw: Documents, watched: Watched) -> None:
    assert "no frame yet" in page_models(watched.record).get_model_by_name("headline").text
    watched.feed(raw)
    page = page_models(watched.record)
    said = headline(watched.record)
    text = page.get_model_by_name("headline").text
    for words in (said.size, said.growth, said.status, said.counts):
        assert words in text
    assert "wavelength 0.5637 Å from configuration key" in page.get_model_by_name("footer").text
    page.validate()


def test_what_stands_in_documents_is_never_taken_for_the_page_itself(
    raw: Documents, watched: Watched
) -> None:
    watched.feed(raw[:3])
    record = watched.record.snapshot()
    script = "<script>alert(1)</script>"
    descriptor = record._size_descriptor
    descriptor["configuration"]["qdsizer"]["data"]["qdsizer_model"] = script
    text = page_models(record).get_model_by_name("footer").text
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Any]:
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("chromium and chromedriver are not on this machine: apt-get install chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in (*OPTIONS, f"--user-data-dir={tmp_path / 'browser'}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=Service(DRIVER))
    started.command_executor.client_config.timeout = TIMEOUT_S
    started.set_page_load_timeout(TIMEOUT_S)
    yield started
    started.quit()


@pytest.fixture
def served(watched: Watched) -> Iterator[str]:
    """Address of the page, served in a thread as the command does in its process."""
    view = BrowserView(watched.record, port=0)
    thread = threading.Thread(target=view.run)
    thread.start()
    yield view.url
    view.stop()
    thread.join(60)


def headline_shown(driver: Any) -> str:
    """What the browser's own copy of the page says."""
    return str(
        driver.execute_script(
            "return window.Bokeh && Bokeh.documents.length"
            " ? Bokeh.documents[0].get_model_by_name('headline').text : ''"
        )
    )


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def colours(picture: Image.Image) -> set[tuple[int, int, int]]:
    found = picture.convert("RGB").getcolors(1 << 24)
    assert found is not None
    return {colour for count, colour in found if count > 20}


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
    wait_for(lambda: said.size in headline_shown(driver))
    assert said.counts == "6 frames: 5 sized, 1 refused (1 bad frame)"
    assert said.counts in headline_shown(driver)

    def painted() -> bool:
        # The points, the fit and the waterfall's brightest colour stand on the screen.
        shown = colours(Image.open(io.BytesIO(driver.get_screenshot_as_png())))
        wanted = [LOOKS[Status.SIZED].colour, "#D55E00", Cividis256[-1]]
        return all(tuple(bytes.fromhex(colour[1:])) in shown for colour in wanted)

    wait_for(painted)
    errors = [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
    assert [entry for entry in errors if "favicon" not in entry["message"]] == []


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

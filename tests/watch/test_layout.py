"""The page on a telephone, a notebook computer and a wall display; its runs, downloads and keyboard."""

import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from bluesky_tiled_plugins import TiledWriter
from PIL import Image

from qdsizer_stream.archive import embedded_tiled, find_run, sizes
from qdsizer_stream.callbacks import LiveConfig, LiveSizer
from qdsizer_stream.callbacks.display import SIMULATION_KEY
from qdsizer_stream.services.watch import ArchivedRuns, BrowserView
from qdsizer_stream.sizing import Sizer

from .conftest import errors, headline_shown, painted, wait_for

Documents = list[tuple[str, Any]]

# A browser on a busy machine takes minutes to begin.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

SAMPLES = {"older": "PbS 6", "newer": "<b>PbS</b> 7"}
"""Runs, and their samples, one of which is written like a piece of the page."""

WIDTHS = {(420, 860): False, (1366, 768): True, (3840, 2160): True}
"""Screens, and whether all plots are seen without scrolling."""

PLOTS = ("sizes", "dispersion", "waterfall", "newest", "residual", "distribution")


@pytest.fixture(scope="module")
def archive(
    raw: Documents, config: LiveConfig, sizer: Sizer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """An archive with two runs, one a day after the other."""
    with embedded_tiled(tmp_path_factory.mktemp("archive")) as client:
        for day, (run, sample) in enumerate(SAMPLES.items()):
            live = LiveSizer(config, sizer)
            live.subscribe(TiledWriter(client, batch_size=1))
            for name, doc in raw:
                new = {**doc, "time": doc["time"] + 86400 * day}
                if name == "start":
                    new |= {"uid": run, "sample": sample, "target_nm": 4.0}
                    new |= {SIMULATION_KEY: {"elapsed_key": "mythen_elapsed"}}
                elif name in ("descriptor", "stop"):
                    new |= {"run_start": run, "uid": f"{run}-{doc['uid']}"}
                else:
                    new |= {"descriptor": f"{run}-{doc['descriptor']}", "uid": f"{run}-{doc['uid']}"}
                live(name, new)
            assert live.close(60)
        yield client


@pytest.fixture
def served(archive: Any) -> Iterator[str]:
    """Address of the pages of an archive, which a thread reads as the command does."""
    runs = ArchivedRuns(archive)
    view = BrowserView(runs, port=0)
    stopping = threading.Event()

    def read() -> None:
        while not stopping.is_set():
            while runs.update() and not stopping.is_set():
                pass
            stopping.wait(0.2)

    threads = [threading.Thread(target=read), threading.Thread(target=view.run)]
    for thread in threads:
        thread.start()
    yield view.url
    stopping.set()
    view.stop()
    for thread in threads:
        thread.join(60)


def resize(driver: Any, width: int, height: int) -> None:
    """Set the inner size of the page: a window has a smallest width."""
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
    )


def boxes(driver: Any) -> dict[str, dict[str, float]]:
    """Place of each plot on the page, and how wide its frame is drawn."""
    found = driver.execute_script(
        """
        const boxes = {}, models = Bokeh.documents[0]
        for (const name of arguments[0]) {
          const model = models.get_model_by_name(name)
          const view = [...Bokeh.index.all_views()].find((one) => one.model === model)
          const {left, right, top, bottom} = view.el.getBoundingClientRect()
          boxes[name] = {left, right, top, bottom, drawn: model.inner_width, high: model.inner_height}
        }
        return boxes
        """,
        PLOTS,
    )
    return dict(found)


def text_of(driver: Any, element: str) -> str:
    return str(driver.execute_script("return document.getElementById(arguments[0]).textContent", element))


def test_the_page_fits_from_a_telephone_to_a_wall_display(driver: Any, served: str, tmp_path: Path) -> None:
    for (width, height), without_scrolling in WIDTHS.items():
        resize(driver, width, height)
        driver.get(served)
        wait_for(lambda: "6 frames: 6 sized" in headline_shown(driver))
        wait_for(lambda: all(box["drawn"] for box in boxes(driver).values()))
        driver.save_screenshot(str(tmp_path / f"page-{width}.png"))
        size = driver.execute_script(
            "const page = document.documentElement; return [page.scrollWidth, page.scrollHeight]"
        )
        assert size[0] <= width
        assert (size[1] <= height) == without_scrolling
        for name, box in boxes(driver).items():
            where = (width, name, box)
            assert box["left"] >= 0, where
            assert box["right"] <= width, where
            assert box["drawn"] > 0.25 * min(width, 1366), where
            assert box["high"] > 25, where
            if without_scrolling:
                assert box["bottom"] <= height, where
        # No words are cut either.
        for element in ("size", "status", "means", "subject", "counts", "footer", "downloads"):
            place = driver.execute_script(
                "return document.getElementById(arguments[0]).getBoundingClientRect().toJSON()", element
            )
            assert 0 <= place["left"] < place["right"] <= width, (width, element, place)
        if without_scrolling:
            wait_for(lambda: painted(driver))
    assert errors(driver) == []


def test_the_page_can_be_read_aloud_and_asks_no_other_host(driver: Any, served: str) -> None:
    resize(driver, 1366, 768)
    driver.get(served)
    wait_for(lambda: "6 frames: 6 sized" in headline_shown(driver))
    found = driver.execute_script(
        """
        const all = (what) => [...document.querySelectorAll(what)]
        return {
          lang: document.documentElement.lang,
          h1: all("h1").map((one) => one.textContent),
          live: all("[aria-live]").map((one) => one.id),
          sections: all("section").map((one) => one.getAttribute("aria-labelledby"))
            .map((id) => document.getElementById(id).textContent),
          landmarks: ["header", "nav", "main", "footer"].map((one) => all(one).length),
          hosts: [...new Set(performance.getEntriesByType("resource").map((one) => new URL(one.name).host))],
          bold: all("b").length,
          status: getComputedStyle(document.getElementById("status")).color,
        }
        """
    )
    assert found["lang"] == "en"
    assert len(found["h1"]) == 1
    assert " nm  [" in found["h1"][0]
    # What is read aloud by itself: the size, the status and the reason, not the age of the frame.
    assert found["live"] == ["size", "status", "reason"]
    assert len(found["sections"]) == 6
    assert found["landmarks"] == [1, 1, 1, 1]
    assert found["hosts"] == [served.removeprefix("http://").rstrip("/")]
    assert found["bold"] == 0  # the name of a sample is text
    assert "sample <b>PbS</b> 7" in text_of(driver, "subject")
    assert found["status"] == "rgb(0, 114, 178)"
    assert "ended" in text_of(driver, "freshness")
    assert "success" in text_of(driver, "freshness")


def test_one_key_leads_from_run_to_run(driver: Any, served: str) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    driver.get(served)
    wait_for(lambda: len(driver.find_elements(By.CSS_SELECTOR, "nav a")) == 2)
    wait_for(lambda: "run newer" in text_of(driver, "subject"))
    links = driver.find_elements(By.CSS_SELECTOR, "nav a")
    assert [link.text.split("\n")[1] for link in links] == ["newer, ended, success", "older, ended, success"]
    assert [link.get_attribute("aria-current") for link in links] == ["page", None]
    links[1].send_keys(Keys.ENTER)
    wait_for(lambda: "run older" in headline_shown(driver) and "6 frames: 6 sized" in headline_shown(driver))
    assert "sample PbS 6" in text_of(driver, "subject")
    wait_for(
        lambda: (
            [link.get_attribute("aria-current") for link in driver.find_elements(By.CSS_SELECTOR, "nav a")]
            == [None, "page"]
        )
    )
    driver.get(f"{served}?run=nowhere")
    wait_for(lambda: "no run nowhere among the 2 of this archive" in headline_shown(driver))
    assert text_of(driver, "size") == "no frame yet"


def test_a_run_is_downloaded_as_a_picture_and_as_a_table(archive: Any, served: str) -> None:
    for run in SAMPLES:
        table = httpx.get(f"{served}download/{run}.csv", timeout=60)
        assert table.headers["content-disposition"] == f'attachment; filename="{run}.csv"'
        there = pd.read_csv(io.StringIO(table.text), index_col="frame")
        expected = sizes(find_run(archive, run))
        assert list(there.columns) == list(expected.columns)
        assert list(there["mass_mean_nm"]) == pytest.approx(list(expected["mass_mean_nm"]), rel=1e-12)
    assert httpx.get(f"{served}download/nowhere.csv", timeout=60).status_code == 404
    wait_for(lambda: len(httpx.get(f"{served}download/newer.png", timeout=60).content) > 100_000)
    picture = httpx.get(f"{served}download/newer.png", timeout=60)
    assert picture.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(picture.content)).size == (1920, 1080)

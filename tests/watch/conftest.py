"""A real browser."""

import io
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bokeh.palettes import Cividis256
from PIL import Image

from qdsizer_stream.callbacks.display import LOOKS
from qdsizer_stream.sizing import Status

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


def headline_shown(driver: Any) -> str:
    """What the top of the page shows, as it is read aloud or copied."""
    return str(
        driver.execute_script(
            "const header = document.querySelector('header'); return header ? header.innerText : ''"
        )
    )


def as_shown(text: str) -> str:
    """A text as a page shows it: HTML makes one blank of several."""
    return " ".join(text.split())


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def painted(driver: Any) -> bool:
    """Whether the points, the fit and the waterfall's colours are on the screen."""
    picture = Image.open(io.BytesIO(driver.get_screenshot_as_png())).convert("RGB")
    found = picture.getcolors(1 << 24)
    assert found is not None
    shown = {colour for count, colour in found if count > 20}
    wanted = [LOOKS[Status.SIZED].colour, "#D55E00"]
    shades = [colour for colour in Cividis256 if tuple(bytes.fromhex(colour[1:])) in shown]
    return all(tuple(bytes.fromhex(colour[1:])) in shown for colour in wanted) and len(shades) > 40


def errors(driver: Any) -> list[Any]:
    """What the browser complains of."""
    severe = [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
    return [entry for entry in severe if "favicon" not in entry["message"]]

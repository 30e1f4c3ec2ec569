"""The command, as whoever stands at the beamline starts it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky_tiled_plugins import TiledWriter

from qdsizer_stream.archive import embedded_tiled
from qdsizer_stream.callbacks import LiveSizer, SynthesisRecord
from qdsizer_stream.callbacks.display import headline
from qdsizer_stream.devices import SimMythen

from .conftest import as_shown, errors, headline_shown, painted, wait_for

# A browser and a server on a busy machine take minutes to begin.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Any]:
    with embedded_tiled(tmp_path / "archive") as client:
        yield client


@pytest.fixture
def command(archive: Any, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], str]]]:
    """The command, running, and what it says."""
    said = tmp_path / "watch.log"
    with said.open("w") as log:
        process = subprocess.Popen(
            [
                str(Path(sys.executable).with_name("qdsizer-stream")),
                *("watch", str(archive.context.api_uri), "--port", "0", "--no-browser"),
            ],
            stdout=log,
            stderr=log,
            env={**os.environ, "TILED_API_KEY": archive.context.api_key, "PYTHONUNBUFFERED": "1"},
        )
    yield process, said.read_text
    process.kill()
    process.wait()


def test_the_page_shows_the_sizes_of_a_run_while_it_is_measured(
    command: tuple[subprocess.Popen[bytes], Callable[[], str]],
    driver: Any,
    archive: Any,
    live: Callable[..., LiveSizer],
    mythen: Callable[..., SimMythen],
    tmp_path: Path,
) -> None:
    process, said = command
    wait_for(lambda: "watching at" in said() or process.poll() is not None)
    assert process.poll() is None, said()
    driver.get(said().partition("watching at ")[2].split()[0])
    wait_for(lambda: "no frame yet" in headline_shown(driver))
    sizer, engine = live(), RunEngine({})
    record = SynthesisRecord(sizer)
    sizer.subscribe(TiledWriter(archive, batch_size=1))
    sizer.subscribe(record)
    engine.subscribe(sizer)
    engine(count([mythen()], 6))
    assert sizer.wait(60)
    told = headline(record)
    wait_for(lambda: told.counts in headline_shown(driver))
    assert told.counts == "6 frames: 6 sized, 0 rejected"
    assert as_shown(told.size) in headline_shown(driver)
    wait_for(lambda: painted(driver))
    driver.save_screenshot(str(tmp_path / "page.png"))  # for whoever looks
    assert errors(driver) == []
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0, said()

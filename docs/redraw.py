"""Draw the pictures of the documentation and run its notebooks again, where the shipped model has changed.

Each picture and each notebook states the hash of the model that it was made with. ``make docs`` runs this
script before it builds the pages; it does nothing where all hashes are those of the shipped model. Chromium
draws the page (`apt-get install chromium-driver`).
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from qdsizer_stream.models import load_model

HASH_KEY = "qdsizer_model_sha256"
"""Text of a PNG file, and metadata of a notebook, with the hash of the model."""

DOCS = Path(__file__).parent
IMAGES, NOTEBOOKS = DOCS / "images", DOCS / "notebooks"

COLOURS = 256
"""Colours of a picture: as many as a palette holds, a third of the bytes."""

NOTEBOOK_S = 600
"""Longest time of one cell, s."""


def stated_hash(path: Path) -> str:
    """Hash of the model that a picture or a notebook was made with; empty where it states none."""
    if path.suffix == ".png":
        with Image.open(path) as picture:
            return str(picture.info.get(HASH_KEY, ""))
    return str(nbformat.read(path, 4).metadata.get(HASH_KEY, ""))


def save(picture: bytes, path: Path, sha256: str) -> None:
    """Write a picture with few colours and the hash of the model."""
    text = PngInfo()
    text.add_text(HASH_KEY, sha256)
    reduced = Image.open(BytesIO(picture)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    reduced.save(path, optimize=True, pnginfo=text)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def draw_run(folder: Path, sha256: str) -> None:
    """Run the demo, and draw its window and its page."""
    command = [sys.executable, "-m", "qdsizer_stream", "demo", "--out", str(folder / "demo"), "--json"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    report = json.loads(done.stdout)
    save(Path(report["picture"]).read_bytes(), IMAGES / "synthesis.png", sha256)
    with _watching(folder / "demo/archive", report["run"]) as address:
        save(_screenshot(address, folder / "browser"), IMAGES / "page.png", sha256)


class _watching:  # noqa: N801  (used as a function)
    """Serve the page of a run."""

    def __init__(self, archive: Path, run: str) -> None:
        command = [sys.executable, "-u", "-m", "qdsizer_stream", "watch", str(archive), run]
        self._process = subprocess.Popen(
            [*command, "--no-browser", "--port", "0"], stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().split()[-1]

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(60)


def _screenshot(address: str, profile: Path) -> bytes:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for option in ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"):
        options.add_argument(option)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 1600, "height": 900, "deviceScaleFactor": 1, "mobile": False},
    )
    driver.get(address)

    def complete() -> bool:
        text = str(driver.execute_script("return document.getElementById('page')?.innerText ?? ''"))
        return " nm" in text and "loading" not in text and "Runs" in text

    deadline = time.monotonic() + 300
    while not complete():
        assert time.monotonic() < deadline, "the page shows nothing"
        time.sleep(1)
    time.sleep(5)  # the plots are drawn after their data
    picture: bytes = driver.get_screenshot_as_png()
    driver.quit()
    return picture


def draw_fit(folder: Path, sha256: str) -> None:
    """Draw the frame of a notebook as `predict --picture` does."""
    from qdsizer_stream import size

    notebook = NOTEBOOKS / "one-frame.ipynb"
    source = nbformat.read(notebook, 4).cells
    frame = folder / "frame"
    frame.mkdir()
    script = "\n".join(cell.source for cell in source if cell.cell_type == "code").partition("estimate =")[0]
    subprocess.run([sys.executable, "-c", script], check=True, cwd=frame)
    drawn = size(frame / "frame.xye", resolution="0.006/A").plot()
    png = BytesIO()
    drawn.savefig(png, format="png", dpi=110)
    save(png.getvalue(), IMAGES / "fit.png", sha256)


def run_notebook(path: Path, folder: Path, sha256: str) -> None:
    """Run a notebook in an empty folder and keep its outputs."""
    notebook = nbformat.read(path, 4)
    work = folder / path.stem
    work.mkdir()
    NotebookClient(
        notebook, timeout=NOTEBOOK_S, kernel_name="python3", resources={"metadata": {"path": str(work)}}
    ).execute()
    for cell in notebook.cells:
        cell.get("metadata", {}).pop("execution", None)  # times, which differ in every run
    notebook.metadata[HASH_KEY] = sha256
    nbformat.write(notebook, path)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    """Make again what was made with another model."""
    sha256 = load_model("pbs").sha256
    # The commands that notebooks run are those of this environment.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    makers: dict[Path, Callable[[Path, str], None]] = {
        IMAGES / "synthesis.png": draw_run,
        IMAGES / "page.png": draw_run,
        IMAGES / "fit.png": draw_fit,
    }
    wanted = {make for path, make in makers.items() if not path.exists() or stated_hash(path) != sha256}
    stale = [path for path in sorted(NOTEBOOKS.glob("*.ipynb")) if stated_hash(path) != sha256]
    with tempfile.TemporaryDirectory() as folder:
        for make in sorted(wanted, key=lambda one: one.__name__):
            make(Path(folder), sha256)
        for path in stale:
            run_notebook(path, Path(folder), sha256)


if __name__ == "__main__":
    main()

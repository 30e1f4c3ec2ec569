"""Processes that end with frames in hand."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from qdsizer_stream.archive import open_archive

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("settings_file")]

FRAMES = 12

SESSION = """
import json, multiprocessing, sys, threading, time
from pathlib import Path

sys.path.insert(0, {beamline!r})
folder, kind = Path({folder!r}), {kind!r}

def slow(name, doc):
    if kind == "hangs" and name == "event":
        threading.Event().wait()
    time.sleep(0.05)
    with (folder / "seen").open("a") as file:
        file.write(json.dumps([name, doc.get("num_events", {{}})]) + "\\n")

def session():
    from beamline import RE, take
    from qdsizer_stream.profiles import install

    archive = folder / "archive" if kind == "archive" else None
    timeout_s = 0.5 if kind == "hangs" else 60.0
    sizer = install(RE, folder / "qdsizer.toml", slow, archive=archive, exit_timeout_s=timeout_s)
    RE(take({frames}))
    print("left", sizer.counters.queued, flush=True)

if kind == "child":
    child = multiprocessing.get_context("fork").Process(target=session)
    child.start()
    child.join()
else:
    session()
"""


def ended(tmp_path: Path, kind: str) -> tuple[str, str]:
    """What a session said that ends right after its plan, and has taken none of its last frames."""
    code = SESSION.format(beamline=str(Path(__file__).parent), folder=str(tmp_path), kind=kind, frames=FRAMES)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    left = int(done.stdout.split("left ")[1])
    assert left > FRAMES  # documents: the plan is over long before the writer is
    return done.stdout, done.stderr


@pytest.mark.parametrize("kind", ["archive", "child"])
def test_frames_in_hand_are_written_before_the_process_ends(tmp_path: Path, kind: str) -> None:
    """In a session with a server of its own, and in a child of multiprocessing, as queue servers have."""
    _, errors = ended(tmp_path, kind)
    assert "rror" not in errors, errors
    seen = [json.loads(line) for line in (tmp_path / "seen").read_text().splitlines()]
    assert [name for name, _ in seen].count("event") == 2 * FRAMES
    assert seen[-1] == ["stop", {"primary": FRAMES, "qd_size": FRAMES}]
    if kind == "archive":
        with open_archive(tmp_path / "archive") as archive:
            run = archive.values().last()
            assert run.metadata["stop"]["num_events"] == {"primary": FRAMES, "qd_size": FRAMES}
            assert run["primary"]["mythen_image"].read().shape[0] == FRAMES
            assert len(run["qd_size"].read()["qdsizer_size"]) == FRAMES


def test_a_writer_that_hangs_does_not_keep_the_process(tmp_path: Path) -> None:
    _, errors = ended(tmp_path, "hangs")
    assert "documents not passed on" in errors

"""The table of a synthesis in the terminal."""

import io
import time
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from qdsizer_stream.callbacks import LiveSizer
from qdsizer_stream.callbacks.display import LiveSizeTable

Documents = list[tuple[str, Any]]


@pytest.fixture
def printed(live: Callable[..., LiveSizer]) -> Callable[..., list[str]]:
    def show(documents: Documents, min_pause_s: float = 0.1, **settings: Any) -> list[str]:
        paper = io.StringIO()
        sizer = live(**settings)
        sizer.subscribe(LiveSizeTable(Console(file=paper, width=100), min_pause_s))
        for name, doc in documents:
            sizer(name, doc)
        assert sizer.close(60)
        assert sizer.counters.contained == 0
        return paper.getvalue().splitlines()

    return show


def test_each_frame_has_a_line(
    raw: Documents,
    printed: Callable[..., list[str]],
    through: Callable[..., Documents],
) -> None:
    lines = printed(raw, min_pause_s=0.0)
    sizes = [
        doc["data"]["qdsizer_size"]
        for name, doc in through(raw)
        if name == "event" and "qdsizer_size" in doc["data"]
    ]
    assert lines[0].split() == [
        "frame",
        "time",
        "size",
        "(nm)",
        "95",
        "%",
        "interval",
        "dispersion",
        "growth",
        "status",
    ]
    assert [line.split()[0] for line in lines[1:-1]] == ["1", "2", "3", "4", "5", "6"]
    assert [line.split()[2] for line in lines[1:-1]] == [f"{size:.2f}" for size in sizes]
    assert all(line.endswith("● sized") for line in lines[1:-1])
    assert lines[-1] == "6 frames, 6 sized"


def test_sized_frames_may_be_skipped_and_rejected_ones_never(
    raw: Documents, printed: Callable[..., list[str]]
) -> None:
    lines = printed(raw, min_pause_s=1e6)
    assert [line.split()[0] for line in lines[1:-1]] == ["1", "6"]  # the first and the newest
    rejected = printed(raw, min_pause_s=1e6, wavelength=None)
    assert len(rejected) == 1 + 6 + 1
    assert all("— " in line and "✕ bad frame: no wavelength" in line for line in rejected[1:-1])
    assert rejected[-1] == "6 frames, 0 sized"


def test_the_newest_of_a_burst_is_printed_without_waiting_for_the_end_of_the_run(
    raw: Documents, through: Callable[..., Documents]
) -> None:
    paper = io.StringIO()
    table = LiveSizeTable(Console(file=paper, width=100))
    for name, doc in through(raw):
        if name != "stop":
            table(name, doc)
    deadline = time.monotonic() + 30
    while "\n     6" not in paper.getvalue():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert [line.split()[0] for line in paper.getvalue().splitlines()[1:]] == ["1", "6"]


def test_a_run_without_frames_prints_nothing(raw: Documents, printed: Callable[..., list[str]]) -> None:
    assert printed([raw[0], raw[-1]]) == []

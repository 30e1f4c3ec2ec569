"""The table of a synthesis in the terminal."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from qdsizer_stream.callbacks import LiveSizer
from qdsizer_stream.callbacks.display import LiveSizeTable
from qdsizer_stream.callbacks.display import _table as table_module

Documents = list[tuple[str, Any]]


@pytest.fixture
def printed(live: Callable[..., LiveSizer]) -> Callable[..., list[str]]:
    def show(documents: Documents, **settings: Any) -> list[str]:
        paper = io.StringIO()
        sizer = live(**settings)
        sizer.subscribe(LiveSizeTable(Console(file=paper, width=60)))
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
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(table_module, "SHORTEST_PAUSE_S", 0.0)
    lines = printed(raw)
    sizes = [
        doc["data"]["qdsizer_size"]
        for name, doc in through(raw)
        if name == "event" and "qdsizer_size" in doc["data"]
    ]
    assert lines[0].split() == ["frame", "time", "size", "(nm)", "95", "%", "interval", "spread", "status"]
    assert [line.split()[0] for line in lines[1:-1]] == ["1", "2", "3", "4", "5", "6"]
    assert [line.split()[2] for line in lines[1:-1]] == [f"{size:.2f}" for size in sizes]
    assert all(line.endswith("● sized") for line in lines[1:-1])
    assert lines[-1] == "6 frames, 6 sized"


def test_sized_frames_may_be_skipped_and_refused_ones_never(
    raw: Documents, printed: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_module, "SHORTEST_PAUSE_S", 1e6)
    assert len(printed(raw)) == 1 + 1 + 1  # heading, the first, the count
    refused = printed(raw, wavelength=None)
    assert len(refused) == 1 + 6 + 1
    assert all("— " in line and "✕ bad frame: no wavelength" in line for line in refused[1:-1])
    assert refused[-1] == "6 frames, 0 sized"


def test_a_run_without_frames_prints_nothing(raw: Documents, printed: Callable[..., list[str]]) -> None:
    assert printed([raw[0], raw[-1]]) == []

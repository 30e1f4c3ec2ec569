"""Reports that are written as runs end."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qdsizer_stream.callbacks import LiveSizer
from qdsizer_stream.callbacks.display import ReportWriter, RunData, render_report, smoothed_track

Documents = list[tuple[str, Any]]


@pytest.mark.slow
def test_a_report_is_written_when_the_run_has_ended(
    raw: Documents, live: Callable[..., LiveSizer], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="qdsizer_stream")
    sizer = live()
    writer = ReportWriter(sizer, tmp_path / "reports")
    sizer.subscribe(writer)
    for name, doc in raw:
        sizer(name, {**doc, "sample": "<dots> & toluene"} if name == "start" else doc)
    assert sizer.wait(60)
    assert writer.wait(60)
    (path,) = (tmp_path / "reports").iterdir()
    assert path.suffix == ".html"
    assert path.name.endswith(f"-{raw[0][1]['uid'][:8]}.html")
    text = path.read_text(encoding="utf-8")
    assert "&lt;dots&gt; &amp; toluene" in text
    assert "<dots>" not in text
    assert text.count("<svg") == 2
    assert "<tr><th>sized</th><td>6</td></tr>" in text
    # Neither in the thread of the plan nor in that of the sizing.
    (thread,) = (record.threadName for record in caplog.records if "report of run" in record.message)
    assert thread not in (threading.main_thread().name, "qdsizer")


def test_a_folder_that_cannot_be_written_disturbs_nothing(
    raw: Documents, live: Callable[..., LiveSizer], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    sizer = live()
    writer = ReportWriter(sizer, tmp_path / "file")
    sizer.subscribe(writer)
    for name, doc in raw:
        sizer(name, doc)
    assert sizer.wait(60)
    assert writer.wait(60)
    assert sizer.counters.contained == 0
    assert "could not be written" in caplog.text


def test_the_report_of_a_run_without_sizes_says_so() -> None:
    events = [
        {"qdsizer_status": "low_counts", "qdsizer_frame_seq_num": number, "qdsizer_track_time": 10.0 * number}
        for number in range(3)
    ]
    text = render_report(RunData(start={"uid": "0123456789"}, events=events))
    assert "<h1>no size</h1>" in text
    assert "<tr><th>low_counts</th><td>3</td></tr>" in text
    assert len(smoothed_track(events)) == 3
    assert smoothed_track([]) == []

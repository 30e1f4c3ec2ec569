"""The refinement of the newest frame that the page offers."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from bokeh.document import Document

from qdsizer_stream.callbacks import LiveSizer, SynthesisRecord
from qdsizer_stream.cli import RefinedPages
from qdsizer_stream.errors import PatternError
from qdsizer_stream.services.watch import BrowserView, draw_page

Documents = list[tuple[str, Any]]


@pytest.fixture
def sizer(live: Callable[..., LiveSizer]) -> LiveSizer:
    return live()


@pytest.fixture
def record(raw: Documents, sizer: LiveSizer) -> SynthesisRecord:
    taken = SynthesisRecord(sizer)
    sizer.subscribe(taken)
    for name, doc in raw:
        sizer(name, doc)
    assert sizer.wait(60)
    return taken


@contextmanager
def served(record: SynthesisRecord, refine: Any) -> Iterator[str]:
    view = BrowserView(record, port=0, refine=refine)
    thread = threading.Thread(target=view.run)
    thread.start()
    try:
        yield view.url
    finally:
        view.stop()
        thread.join(60)


def offers(record: SynthesisRecord, **options: bool) -> bool:
    page = Document()
    draw_page(page, record.snapshot, **options)
    return bool(json.loads(page.get_model_by_name("state").text)["refines"])


def test_it_is_offered_once_there_is_a_pattern(record: SynthesisRecord, sizer: LiveSizer) -> None:
    assert offers(record, refines=True)
    assert not offers(record)  # a view of a profile has no refinement
    assert not offers(SynthesisRecord(sizer), refines=True)


def test_the_page_is_made_from_the_run_and_errors_are_words(record: SynthesisRecord) -> None:
    asked: list[str] = []

    def refine(state: SynthesisRecord) -> str:
        asked.append(state.run)
        if len(asked) == 2:
            raise PatternError("no frame <yet>")
        return "<p>4.00 nm"

    with served(record, refine) as url:
        page, failed = (httpx.get(f"{url}refine/{record.run}", timeout=60) for _ in range(2))
    assert asked == [record.run, record.run]
    assert (page.status_code, page.text) == (200, "<p>4.00 nm")
    assert failed.status_code == 422
    assert "not refined: no frame &lt;yet&gt;" in failed.text
    with served(record, None) as url:
        assert httpx.get(f"{url}refine/{record.run}", timeout=60).status_code == 404


def test_a_run_without_a_pattern_is_not_refined(sizer: LiveSizer) -> None:
    with pytest.raises(PatternError, match="no frame of this run has a pattern yet: wait"):
        RefinedPages()(SynthesisRecord(sizer))


@pytest.mark.slow
def test_the_newest_frame_is_refined_once(
    record: SynthesisRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QDSIZER_CACHE", str(tmp_path))
    pages = RefinedPages()
    page = pages(record.snapshot())
    assert "data:image/png;base64," in page
    assert f"{record.run[:8]}, frame 6</h1>" in page
    found = re.search(r"number-weighted mean ([0-9.]+) ± ([0-9.]+) nm", page)
    assert found is not None
    size, sized = float(found[1]), record.frames[-1]
    assert sized.low_nm < size < sized.high_nm  # of the network, within its interval of 95 %
    monkeypatch.setattr("qdsizer_stream.fitting.refine", None)
    assert pages(record.snapshot()) is page

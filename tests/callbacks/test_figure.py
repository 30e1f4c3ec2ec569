"""The picture of a synthesis."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from qdsizer_stream.callbacks import LiveSizer, SynthesisRecord
from qdsizer_stream.callbacks.display import SIMULATION_KEY, LiveFigure, draw_synthesis
from qdsizer_stream.callbacks.display import _figure as figure_module
from qdsizer_stream.callbacks.display import _record as record_module
from qdsizer_stream.patterns import Pattern
from qdsizer_stream.sizing import Sizer, SizingConfig

Documents = list[tuple[str, Any]]


@pytest.fixture(autouse=True)
def no_window() -> Iterator[None]:
    before = matplotlib.get_backend()
    matplotlib.use("agg")
    yield
    matplotlib.pyplot.close("all")
    matplotlib.use(before)


def texts(figure: Figure) -> str:
    found = [text.get_text() for axes in figure.axes for text in axes.texts] + [
        t.get_text() for t in figure.texts
    ]
    return " | ".join(found)


@pytest.fixture(scope="module")
def raw(raw: Documents) -> Documents:
    """The shared run, its start naming the clock of the simulated synthesis."""
    (name, start), *others = raw
    return [(name, {**start, SIMULATION_KEY: {"elapsed_key": "mythen_elapsed"}}), *others]


@pytest.fixture
def followed(live: Callable[..., LiveSizer]) -> Callable[..., SynthesisRecord]:
    def follow(documents: Documents, **settings: Any) -> SynthesisRecord:
        sizer = live(**settings)
        record = SynthesisRecord(sizer)
        sizer.subscribe(record)
        for name, doc in documents:
            sizer(name, doc)
        assert sizer.wait(60)
        assert sizer.counters.contained == 0
        return record

    return follow


def test_the_picture_says_what_the_newest_event_says(
    raw: Documents, followed: Callable[..., SynthesisRecord], tmp_path: Path
) -> None:
    record = followed(raw)
    last = record.frames[-1]
    figure = Figure(figsize=(16, 9))
    draw_synthesis(record, figure)
    figure.savefig(tmp_path / "picture.png")
    shown = texts(figure)
    assert f"{last.size_nm:.2f} nm  [{last.low_nm:.2f}, {last.high_nm:.2f}]" in shown
    assert "6 frames: 6 sized, 0 rejected" in shown
    assert "wavelength 0.5637 Å from configuration key mythen_wavelength" in shown
    # x is the time of the synthesis: six frames of 30 s, at their middles.
    np.testing.assert_allclose(
        [frame.minutes for frame in record.frames], [0.25, 0.75, 1.25, 1.75, 2.25, 2.75]
    )
    assert {frame.pattern.shape for frame in record.frames} == {record.q_inv_angstrom.shape}


def test_rejected_frames_are_shown_in_words(raw: Documents, followed: Callable[..., SynthesisRecord]) -> None:
    figure = Figure(figsize=(16, 9))
    draw_synthesis(followed(raw, wavelength=None), figure)
    assert "bad frame" in texts(figure)
    assert "6 frames: 0 sized, 6 rejected (6 bad frame)" in texts(figure)


def test_the_check_that_a_frame_fails_is_shown_beside_it(
    raw: Documents, followed: Callable[..., SynthesisRecord]
) -> None:
    record = followed(raw)
    q = np.linspace(1, 14, 3000)
    flat = np.random.default_rng(0).poisson(1000.0, q.size)
    sizer = Sizer(SizingConfig())
    record.newest = sizer.examine(Pattern.from_arrays(q, flat))
    figure = Figure(figsize=(16, 9))
    draw_synthesis(record, figure)
    (title,) = [t for axes in figure.axes if (t := axes.get_title(loc="right"))]
    assert title.startswith("χ² fall by dots: ")
    least = sizer.model.card.thresholds.min_significance
    assert f"(threshold ≥ {least:g}, missed by " in title


def test_nothing_measured_yet(live: Callable[..., LiveSizer]) -> None:
    figure = Figure(figsize=(16, 9))
    draw_synthesis(SynthesisRecord(live()), figure)
    assert "no frame yet" in texts(figure)


@pytest.fixture
def tireless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figure_module, "REST_FACTOR", 0.0)


@pytest.mark.usefixtures("tireless")
def test_the_window_shows_the_newest_and_skips_the_rest(
    raw: Documents, live: Callable[..., LiveSizer]
) -> None:
    sizer = live()
    record = SynthesisRecord(sizer)
    sizer.subscribe(record)
    window = LiveFigure(record)
    assert window.refresh()
    assert not window.refresh()  # nothing new, nothing drawn
    for name, doc in raw:
        sizer(name, doc)
    assert sizer.wait(60)
    assert window.refresh()  # six frames, one drawing
    assert "6 frames: 6 sized" in texts(window.figure)
    assert "ended" in texts(window.figure)
    assert not window.refresh()  # it is shown until the next run
    again = LiveFigure(record)
    assert again.figure is window.figure
    # The next run begins: the picture is emptied, then filled again.
    sizer("start", {**raw[0][1], "uid": "next"})
    assert sizer.wait(60)
    assert window.refresh()
    assert "no frame yet" in texts(window.figure)
    window.close()
    again.close()


def test_the_window_rests_after_drawing(
    raw: Documents, followed: Callable[..., SynthesisRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figure_module, "REST_FACTOR", 1e6)
    record = followed(raw)
    window = LiveFigure(record)
    assert window.refresh()
    record.n_frames += 1
    assert not window.refresh()
    window.close()


def test_the_window_tells_of_the_frame_under_the_mouse(
    raw: Documents, followed: Callable[..., SynthesisRecord]
) -> None:
    figure = Figure(figsize=(16, 9))
    draw_synthesis(followed(raw, wavelength=None), figure, spooled=2)
    sizes = next(axes for axes in figure.axes if axes.get_ylabel() == "diameter (nm)")
    told = sizes.format_coord(0.8, 0.0)
    assert told.startswith("frame 2, ")
    assert ": bad frame: no wavelength" in told
    assert "spool 2 runs" in texts(figure)


def test_a_long_run_is_thinned_out(
    raw: Documents, followed: Callable[..., SynthesisRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_module, "KEPT_FRAMES", 4)
    record = followed(raw)
    assert (record.n_frames, record.n_sized) == (6, 6)
    assert [round(frame.minutes, 2) for frame in record.frames] == [0.25, 1.25, 2.25, 2.75]

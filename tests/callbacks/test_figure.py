"""The picture of a synthesis."""

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from qdsizer_stream.callbacks import LiveSizer, SynthesisRecord
from qdsizer_stream.callbacks.display import (
    LOOKS,
    SIMULATION_KEY,
    LiveFigure,
    draw_examination,
    draw_synthesis,
    waterfall,
)
from qdsizer_stream.patterns import Pattern
from qdsizer_stream.sizing import Examination, SizeEstimate, Sizer, SizingConfig, Status

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


@pytest.mark.slow
def test_the_picture_says_what_the_newest_event_says(
    raw: Documents, followed: Callable[..., SynthesisRecord], tmp_path: Path
) -> None:
    record = followed(raw)
    last = record.frames[-1]
    figure = Figure(figsize=(16, 9))
    draw_synthesis(record, figure)
    figure.savefig(tmp_path / "picture.png")
    shown = texts(figure)
    assert f"{last.mass_mean_nm:.2f} nm  [{last.mass_mean_low_nm:.2f}, {last.mass_mean_high_nm:.2f}]" in shown
    number = f"number-weighted mean {last.size_nm:.2f} nm  [{last.low_nm:.2f}, {last.high_nm:.2f}]"
    assert f"mass-weighted mean diameter;  {number}" in shown
    assert f"PbS   ·   run {raw[0][1]['uid'][:8]}" in shown
    assert "6 frames: 6 sized, 0 rejected" in shown
    assert "wavelength 0.5637 Å from configuration key mythen_wavelength" in shown
    # x is the time of the synthesis: six frames of 30 s, at their middles.
    np.testing.assert_allclose(
        [frame.minutes for frame in record.frames], [0.25, 0.75, 1.25, 1.75, 2.25, 2.75]
    )
    assert {frame.signal_sd.shape for frame in record.frames} == {record.q_inv_angstrom.shape}


def panel(figure: Figure, label: str) -> Any:
    return next(axes for axes in figure.axes if axes.get_ylabel() == label)


@pytest.mark.slow
def test_the_panels_have_legends_reflections_and_the_distribution(
    raw: Documents, followed: Callable[..., SynthesisRecord]
) -> None:
    (_, start), *others = raw
    steered = {
        **start,
        "target_nm": 9.0,
        SIMULATION_KEY: {**start[SIMULATION_KEY], "number_mean_key": "true"},
    }
    known = [
        (name, {**doc, "data": {**doc["data"], "true": 3.5}} if name == "event" else doc)
        for name, doc in others
    ]
    record = followed([("start", steered), *known])
    figure = Figure(figsize=(16, 9))
    draw_synthesis(record, figure)
    sizes = panel(figure, "diameter (nm)")
    legend = {text.get_text() for text in sizes.get_legend().get_texts()}
    assert {"target", "truth (number mean)", "number mean", "mass mean", "track"} <= legend
    low, high = sizes.get_ylim()
    assert low < 3.5
    assert high > 9.0
    # The legend is above the panel: it hides no point.
    figure.savefig(io.BytesIO(), format="png")
    assert sizes.get_legend().get_window_extent().y0 >= sizes.get_window_extent().y1 - 4
    pattern = panel(figure, "counts per strip")
    labels = [text.get_text() for text in pattern.texts]
    assert labels[:4] == ["111", "200", "220", "311"]
    # 220 lies at 2π√8/a, and the fit has moved it by the strain alone.
    fit = record.newest.fit
    found = {text.get_text(): text.get_position()[0] for text in pattern.texts}
    lattice = 5.936 * (1 + fit.strain)
    assert found["220"] == pytest.approx(2 * np.pi * np.sqrt(8) / lattice + fit.shift_inv_angstrom, abs=0.01)
    by_number, by_mass = panel(figure, "fraction (1/nm)").get_lines()
    assert by_number.get_label() == "by number"
    diameters, density = by_number.get_data()
    assert np.trapezoid(diameters * density, diameters) == pytest.approx(record.frames[-1].size_nm, rel=2e-3)
    assert by_mass.get_data()[1].argmax() > density.argmax()


@pytest.mark.slow
def test_peaks_past_6_inverse_angstrom_are_seen_in_the_waterfall(
    raw: Documents, followed: Callable[..., SynthesisRecord]
) -> None:
    record = followed(raw)
    shown = waterfall(record)
    assert shown is not None
    q = record.q_inv_angstrom
    mean = shown.image.mean(axis=0)  # NaN in the gaps between modules
    # 531 and 600 lie together at 6.3 Å⁻¹, as fractions of the colour scale.
    colour = np.sqrt(np.maximum(mean, 0) / shown.highest)
    peak = np.nanmean(colour[(q > 6.2) & (q < 6.4)])
    valley = np.nanmean(colour[(q > 5.7) & (q < 5.85)])
    assert peak > 0.2
    assert peak > 1.3 * valley


def test_no_point_of_a_noisy_frame_is_cut(raw: Documents, followed: Callable[..., SynthesisRecord]) -> None:
    record = followed(raw)
    assert record.newest is not None
    binned = record.newest.binned
    intensity = binned.intensity.copy()
    intensity[200], intensity[300] = -50.0, 9000.0
    record.newest = replace(record.newest, binned=replace(binned, intensity=intensity))
    figure = Figure(figsize=(16, 9))
    draw_synthesis(record, figure)
    low, high = panel(figure, "counts per strip").get_ylim()
    assert low < -50.0
    assert high > 9000.0
    furthest = np.nanmax(np.abs((intensity - record.newest.fit.total) / binned.sigma))
    assert panel(figure, "residual (σ)").get_ylim()[1] > furthest > 6


@pytest.mark.slow
@pytest.mark.parametrize("reason", ["too few photons: 120 (threshold 300); expose about 3 times longer"])
def test_the_reason_of_a_rejected_frame_is_in_large_print(
    reason: str, raw: Documents, followed: Callable[..., SynthesisRecord]
) -> None:
    record = followed(raw, wavelength=None)
    record.frames[-1] = replace(record.frames[-1], reason=reason)
    figure = Figure(figsize=(16, 9))
    draw_synthesis(record, figure)
    (shown,) = [text for axes in figure.axes for text in axes.texts if text.get_text() == reason]
    assert shown.get_fontsize() >= 18
    assert shown.get_color() in ("black", "#000000")
    examination = replace(record_of_flat(), estimate=SizeEstimate(status=Status.LOW_COUNTS, reason=reason))
    figure = Figure(figsize=(10, 6.5))
    draw_examination(examination, figure)
    (shown,) = [text for text in figure.texts if text.get_text() == reason]
    assert shown.get_fontsize() >= 13
    (status,) = [text for text in figure.texts if "no size" in text.get_text()]
    assert status.get_text() == "▼ low counts: no size"
    assert status.get_color() == LOOKS[Status.LOW_COUNTS].text_colour
    assert status.get_fontsize() > shown.get_fontsize()


def record_of_flat() -> Examination:
    q = np.linspace(1, 14, 3000)
    flat = np.random.default_rng(0).poisson(1000.0, q.size)
    return Sizer(SizingConfig()).examine(Pattern.from_arrays(q, flat))


def test_rejected_frames_are_shown_in_words(raw: Documents, followed: Callable[..., SynthesisRecord]) -> None:
    figure = Figure(figsize=(16, 9))
    draw_synthesis(followed(raw, wavelength=None), figure)
    assert "bad frame" in texts(figure)
    assert "6 frames: 0 sized, 6 rejected (6 bad frame)" in texts(figure)


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_window_shows_the_newest_and_skips_the_rest(
    raw: Documents, live: Callable[..., LiveSizer]
) -> None:
    sizer = live()
    record = SynthesisRecord(sizer)
    sizer.subscribe(record)
    window = LiveFigure(record, rest_factor=0.0)
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


@pytest.mark.slow
def test_the_window_rests_after_drawing(raw: Documents, followed: Callable[..., SynthesisRecord]) -> None:
    record = followed(raw)
    window = LiveFigure(record, rest_factor=1e6)
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
    shown = sizes.format_coord(0.8, 0.0)
    assert shown.startswith("frame 2, ")
    assert ": bad frame: no wavelength" in shown
    assert "spool 2 runs" in texts(figure)


def test_a_long_run_is_thinned_out(raw: Documents, live: Callable[..., LiveSizer]) -> None:
    sizer = live()
    record = SynthesisRecord(sizer, max_frames=4)
    sizer.subscribe(record)
    for name, doc in raw:
        sizer(name, doc)
    assert sizer.wait(60)
    assert (record.n_frames, record.n_sized) == (6, 6)
    assert [round(frame.minutes, 2) for frame in record.frames] == [0.25, 1.25, 2.25, 2.75]

"""Report of a run for the lab book: one HTML file that needs no network."""

import io
import json
import logging
import math
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from ...models import TWO_SIDED_95
from ...sizing import Examination, Status
from ...tracking import TrackPoint
from ..documents import OBJECT_NAME, RUN_KEY, STREAM_NAME, smoothed_track
from ._record import Examined, Growth
from ._view import growth_words

__all__ = ["ReportWriter", "RunData", "render_report"]

logger = logging.getLogger(__name__)

KEPT_EXAMINATIONS = 32
"""Examined frames kept for the fits of the report, 3 MB; with more, every second one is dropped."""

CITATION = "https://doi.org/10.1038/s41524-024-01241-6"
"""Paper of the method."""

STYLE = """
body { font-family: sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #000 }
h1 { font-size: 2em; margin: 0 } table { border-collapse: collapse; margin: 0.5em 0 }
td, th { text-align: left; vertical-align: top; padding: 0.2em 1em 0.2em 0; border-bottom: 1px solid #ccc }
td { overflow-wrap: anywhere } svg { max-width: 100%; height: auto } pre { white-space: pre-wrap }
@media print { body { margin: 0 } h2, svg { break-inside: avoid } }
"""


@dataclass
class RunData:
    """Documents of one run that its report is made of."""

    start: Mapping[str, Any]
    """Start document of the run of the frames."""
    configuration: Mapping[str, Any] = field(default_factory=dict)
    """Configuration of the estimates, from their descriptor."""
    events: list[Mapping[str, Any]] = field(default_factory=list)
    """Data of the events in `qd_size`, in order."""
    stop: Mapping[str, Any] = field(default_factory=dict)
    """Stop document."""
    examinations: list[tuple[int, Examination]] = field(default_factory=list)
    """Sequence number and examination of some sized frames, in order."""
    smoothed: Sequence[TrackPoint] | None = None
    """Smoothed track, one point for each event; None to compute it from the events."""
    not_smoothed: str = ""
    """Why there is no smoothed track; empty where there is one."""
    frame_streams: list[str] = field(default_factory=list)
    """Stream of the frame of each event; empty for one stream."""

    @property
    def uid(self) -> str:
        """Identifier of the run."""
        return str(self.start.get("uid", ""))


def render_report(run: RunData) -> str:
    """Render the report of a run.

    Parameters
    ----------
    run
        Its documents.

    Returns
    -------
    A whole HTML page with its pictures in it.
    """
    points = run.smoothed
    if points is None:
        points = smoothed_track(run.events, run.frame_streams or None)
    sample = run.start.get("sample", "")
    name = sample.get("name", "") if isinstance(sample, Mapping) else sample
    title = f"{name or 'run'} {run.uid[:8]}"
    sections = [
        f"<h1>{escape(_headline(points))}</h1><p>{escape(_growth(points))}</p>",
        _table("Run", _run_rows(run)),
        "<h2>Track (smoothed)</h2><p>Each value is estimated from all frames of the run, later ones too; the "
        "live track in the documents is filtered from earlier frames alone.</p>",
        *([f"<p>{escape(run.not_smoothed)}</p>"] if run.not_smoothed else []),
        _svg(_draw_track, run, points),
    ]
    if run.examinations:
        sections += ["<h2>First, middle and last fit</h2>", _svg(_draw_fits, run)]
    sections += [
        _table("Frames", _ledger_rows(run)),
        _table("Settings", {key: _readable(value) for key, value in run.configuration.items()}),
        _table("Start document", {key: _readable(value) for key, value in run.start.items()}),
        "<h2>How to cite</h2><p>Sizes by qdsizer-stream "
        f"{escape(str(run.configuration.get('qdsizer_version', '')))}, method: "
        f'<a href="{CITATION}">{CITATION}</a>; model '
        f"{escape(str(run.configuration.get('qdsizer_model', '')))}, SHA-256 "
        f"{escape(str(run.configuration.get('qdsizer_model_sha256', '')))}.</p>",
    ]
    body = "\n".join(sections)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


class ReportWriter:
    """Writes the report of each run when it has ended; subscribe it to a live sizer.

    The report is drawn in a thread of its own: neither the plan nor the sizing waits for it.

    Parameters
    ----------
    live
        The live sizer, which has examined the frames.
    folder
        Folder of the reports; made where it does not exist.
    """

    def __init__(self, live: Examined, folder: str | os.PathLike[str]) -> None:
        self._live = live
        self._folder = Path(folder)
        self._run: RunData | None = None
        self._descriptors: dict[str, str] = {}  # stream of the frames
        self._every = 1
        self._threads: list[threading.Thread] = []

    def __call__(self, name: str, doc: Any) -> None:
        """Take a document.

        Parameters
        ----------
        name
            Kind of the document.
        doc
            The document.
        """
        if name == "start":
            self._run, self._every = RunData(start=dict(doc)), 1
            self._descriptors.clear()
        elif self._run is None:
            return
        elif name == "descriptor" and doc.get("name") == STREAM_NAME:
            self._run.configuration = dict(doc["configuration"][OBJECT_NAME]["data"])
            self._descriptors[doc["uid"]] = str(self._run.configuration.get("qdsizer_frame_stream", ""))
        elif name == "event" and doc["descriptor"] in self._descriptors:
            self._run.frame_streams.append(self._descriptors[doc["descriptor"]])
            self._add(self._run, doc["data"])
        elif name == "stop" and doc["run_start"] == self._run.uid:
            self._run.stop = dict(doc)
            run, self._run = self._run, None
            if run.events:
                self._threads = [one for one in self._threads if one.is_alive()]
                # Daemon: an exit does not wait for a picture.
                self._threads.append(threading.Thread(target=self._write, args=(run,), daemon=True))
                self._threads[-1].start()

    def wait(self, timeout_s: float) -> bool:
        """Wait until the reports so far are written.

        Parameters
        ----------
        timeout_s
            How long to wait, s.

        Returns
        -------
        Whether that is the case.
        """
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0.0))
        return not any(thread.is_alive() for thread in self._threads)

    def _add(self, run: RunData, data: Mapping[str, Any]) -> None:
        run.events.append(dict(data))
        examination = self._live.examination
        if examination is None or examination.estimate.status is not Status.SIZED:
            return
        newest = int(data["qdsizer_frame_seq_num"]), examination
        # The newest is always kept; those before it are thinned out evenly.
        if run.examinations and (len(run.events) - 1) % self._every:
            run.examinations[-1] = newest
            return
        run.examinations.append(newest)
        if len(run.examinations) > KEPT_EXAMINATIONS:
            run.examinations = [*run.examinations[:-1:2], newest]
            self._every *= 2

    def _write(self, run: RunData) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = (
                self._folder / f"{datetime.fromtimestamp(run.start['time']):%Y%m%d-%H%M%S}-{run.uid[:8]}.html"
            )
            part = path.with_suffix(".part")
            part.write_text(render_report(run), encoding="utf-8")
            os.replace(part, path)
            logger.info("report of run %s: %s", run.uid, path)
        except Exception:  # a report must not disturb the next run
            logger.exception("the report of run %s could not be written to %s", run.uid, self._folder)


def _headline(points: Sequence[TrackPoint]) -> str:
    last = points[-1] if points else None
    if last is None or math.isnan(last.size_nm):
        return "no size"
    words = f"{last.size_nm:.2f} nm [{last.size_low_nm:.2f}, {last.size_high_nm:.2f}] number-weighted"
    if not math.isnan(last.mass_mean_nm):
        mass = f"{last.mass_mean_nm:.2f} nm [{last.mass_mean_low_nm:.2f}, {last.mass_mean_high_nm:.2f}]"
        words = f"{mass} mass-weighted, {words}"
    return words


def _growth(points: Sequence[TrackPoint]) -> str:
    if not points:
        return ""
    last = points[-1]
    words = growth_words(
        Growth(last.growth_nm_per_min, last.growth_low_nm_per_min, last.growth_high_nm_per_min)
    )
    return f"growth at the end: {words}" if words else ""


def _run_rows(run: RunData) -> dict[str, str]:
    start, stop = run.start, run.stop
    sample = start.get("sample", "")
    rows = {
        "sample": sample if isinstance(sample, str) else _readable(sample),
        "run": run.uid,
        "scan": str(start.get("scan_id", "")),
        "plan": str(start.get("plan_name", "")),
        "started": _clock(start.get("time")),
        "ended": f"{_clock(stop.get('time'))}, {stop.get('exit_status', 'not ended')}",
        "reason": str(stop.get("reason", "")),
        "model": f"{run.configuration.get('qdsizer_model', '')}, SHA-256 "
        f"{run.configuration.get('qdsizer_model_sha256', '')}",
    }
    return {key: value for key, value in rows.items() if value.strip()}


def _ledger_rows(run: RunData) -> dict[str, str]:
    counts: dict[str, int] = {}
    for data in run.events:
        counts[str(data["qdsizer_status"])] = counts.get(str(data["qdsizer_status"]), 0) + 1
    changes = [
        f"frame {data['qdsizer_frame_seq_num']}: {data['qdsizer_track_change']}"
        for data in run.events
        if data.get("qdsizer_track_change")
    ]
    rows = {status: str(count) for status, count in counts.items()}
    if changes:
        rows["changes found"] = "; ".join(changes)
    if RUN_KEY in run.stop:
        rows["as the stop document counts them"] = _readable(run.stop[RUN_KEY])
    return rows


def _clock(seconds: Any) -> str:
    return "" if seconds is None else f"{datetime.fromtimestamp(float(seconds)):%Y-%m-%d %H:%M:%S}"


def _readable(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _table(title: str, rows: Mapping[str, str]) -> str:
    lines = "".join(f"<tr><th>{escape(key)}</th><td>{escape(value)}</td></tr>" for key, value in rows.items())
    return f"<h2>{escape(title)}</h2><table>{lines}</table>"


def _svg(draw: Any, *arguments: Any) -> str:
    """A drawing as text to include in the page."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure()
    paper = io.StringIO()
    with rc_context({"svg.hashsalt": "qdsizer", "svg.fonttype": "none"}):
        draw(figure, *arguments)
        figure.savefig(paper, format="svg", metadata={"Date": None})
    text = paper.getvalue()
    return text[text.index("<svg") :]


def _draw_track(figure: Any, run: RunData, points: Sequence[TrackPoint]) -> None:
    """Size with its bands, growth and dispersion against time."""
    figure.set_size_inches(10, 8)
    sizes, growth, dispersion = figure.subplots(3, 1, sharex=True, height_ratios=(3, 1.5, 1))

    def column(name: str) -> Any:
        return np.array([getattr(point, name) for point in points], float)

    def data(key: str) -> Any:
        return np.array([one.get(key, math.nan) for one in run.events], float)

    minutes = column("time_s") / 60
    minutes = minutes - minutes[0] if minutes.size else minutes
    for mean, colour, words in (("mass_mean", "#0072B2", "mass mean"), ("size", "#D55E00", "number mean")):
        sizes.fill_between(
            minutes, column(f"{mean}_low_nm"), column(f"{mean}_high_nm"), color=colour, alpha=0.15, lw=0
        )
        half_width = TWO_SIDED_95 * column(f"{mean}_sd_nm")
        value = column(f"{mean}_nm")
        sizes.fill_between(minutes, value - half_width, value + half_width, color=colour, alpha=0.3, lw=0)
        sizes.plot(minutes, value, color=colour, lw=2, label=f"{words}, smoothed")
        sizes.plot(minutes, data(f"qdsizer_{mean}"), ".", color=colour, ms=4, label=f"{words}, frames")
    sizes.set_ylabel("diameter (nm)")
    sizes.legend(frameon=False)
    growth.fill_between(
        minutes,
        column("growth_low_nm_per_min"),
        column("growth_high_nm_per_min"),
        color="#009E73",
        alpha=0.3,
        lw=0,
    )
    growth.plot(minutes, column("growth_nm_per_min"), color="#009E73", lw=2)
    growth.axhline(0, color="#000000", lw=0.8)
    growth.set_ylabel("growth (nm/min)")
    for minute, point in zip(minutes, points, strict=True):
        if point.change is not None:
            for axes in (sizes, growth):
                axes.axvline(minute, color="#000000", lw=1, ls="-.")
    dispersion.plot(minutes, 100 * data("qdsizer_dispersion"), ".", color="#0072B2", ms=4)
    dispersion.set(xlabel="time (min)", ylabel="dispersion (%)")
    for axes in (sizes, growth, dispersion):
        axes.grid(alpha=0.25)


def _draw_fits(figure: Any, run: RunData) -> None:
    """First, middle and last examined frame with their residuals."""
    from ._examination import draw_fit

    kept = run.examinations
    chosen = sorted({0, (len(kept) - 1) // 2, len(kept) - 1})
    figure.set_size_inches(12, 5)
    axes = figure.subplots(2, len(chosen), sharex=True, squeeze=False, height_ratios=(3, 1))
    for index, which in enumerate(chosen):
        number, examination = kept[which]
        draw_fit(axes[0, index], axes[1, index], examination)
        estimate = examination.estimate
        axes[0, index].set_title(f"frame {number}: {estimate.size_nm:.2f} nm", loc="left")

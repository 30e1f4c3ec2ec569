"""The state of a synthesis that a picture of it is drawn from."""

import math
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...sizing import Examination, Status
from ..documents import OBJECT_NAME, SIMULATION_KEY, STREAM_NAME

__all__ = ["SIMULATION_KEY", "Examined", "Growth", "SizedFrame", "SynthesisRecord"]

KEPT_FRAMES = 4000
"""Frames kept for the picture, 23 MB of patterns: four times the pixels it has for them. When there are
more, every second one is dropped."""


@dataclass(frozen=True)
class Growth:
    """Growth rate of the mass-weighted mean, as the track of the run has it."""

    nm_per_minute: float = math.nan
    """Rate, nm/min; NaN where there are too few sizes."""
    low_nm_per_minute: float = math.nan
    """Lower end of its 95 % interval, nm/min."""
    high_nm_per_minute: float = math.nan
    """Upper end of its 95 % interval, nm/min."""


class Examined(Protocol):
    """The source of the examination behind the current estimate, such as a live sizer."""

    @property
    def examination(self) -> Examination | None:
        """Pattern and fit behind the current estimate; None where its frame was not examined again."""


@dataclass(frozen=True, eq=False, kw_only=True)
class SizedFrame:
    """One frame as the picture shows it."""

    number: int
    """Index of the frame in the run, from 1."""
    seq_num: int
    """Sequence number of its raw event."""
    minutes: float
    """Time since the start, min."""
    time: float
    """When the frame was measured, s since the epoch."""
    size_nm: float
    """Number-weighted mean diameter, nm; NaN where the frame was not sized."""
    low_nm: float
    """Lower end of the 95 % interval, nm."""
    high_nm: float
    """Upper end of the 95 % interval, nm."""
    dispersion: float
    """Relative standard deviation of the number distribution; NaN where the frame was not sized."""
    status: Status
    """Whether the frame was sized, and if not, the kind of reason."""
    reason: str
    """Why it was not sized, with a remedy; empty where it was."""
    truth_nm: float
    """True size of a simulated synthesis, nm; NaN where there is none."""
    signal_sd: NDArray[np.float64]
    """Intensity above the fitted solvents and background, standard deviations, shape (n_bins,): NaN without a
    fit; empty where the frame could not be binned."""
    mass_mean_nm: float = math.nan
    """Mass-weighted mean diameter, nm; NaN where the frame was not sized or the model does not give it."""
    mass_mean_low_nm: float = math.nan
    """Lower end of its 95 % interval, nm."""
    mass_mean_high_nm: float = math.nan
    """Upper end of its 95 % interval, nm."""
    frame_sd_nm: float = math.nan
    """Part of the standard deviation of the size that differs from frame to frame, nm."""
    track_nm: float = math.nan
    """Filtered number-weighted mean diameter, nm; also at a frame that was not sized."""
    track_low_nm: float = math.nan
    """Lower end of its 95 % interval, nm."""
    track_high_nm: float = math.nan
    """Upper end of its 95 % interval, nm."""
    growth: Growth = Growth()
    """Growth rate at this frame."""
    time_to_target_s: tuple[float, float, float] = (math.nan, math.nan, math.nan)
    """Time until the target is reached, and its 95 % interval, s."""
    change: str = ""
    """Change that was found with this frame: "rate", "jump", or empty."""


class SynthesisRecord:
    """Gathers the newest run from raw and derived documents; subscribe it to its live sizer.

    Times count from the start of the run on the wall clock, except in a simulated synthesis, whose start
    document names the data keys of its own clock and of the true size (`SIMULATION_KEY`).

    Parameters
    ----------
    live
        The live sizer, which has examined the frames, or whatever examines those of an archived run.
    max_frames
        Frames of a long run that are kept for its picture, evenly spaced.
    """

    def __init__(self, live: Examined, max_frames: int = KEPT_FRAMES) -> None:
        self._live = live
        self._max_frames = max_frames
        self._lock = threading.RLock()
        self._start: Any = {}
        self._stop: Any = {}
        self._raw: Any = {}
        self._size_descriptor: Any = None
        self.frames: list[SizedFrame] = []
        """Frames so far; of a long run an evenly spaced selection."""
        self.n_frames = 0
        """Frames seen."""
        self.n_sized = 0
        """Frames sized."""
        self.n_rejected: Counter[Status] = Counter()
        """Frames without a size, by status."""
        self.newest: Examination | None = None
        """Newest frame that could be binned, with its fit."""
        self.q_inv_angstrom: NDArray[np.float64] = np.empty(0)
        """Momentum transfers of the patterns, Å⁻¹, shape (n_bins,)."""
        self.latency_s: float = float("nan")
        """From the newest raw event to its estimate, s."""
        self.archive_read_time: float = float("nan")
        """When the archive last answered, s since the epoch; NaN for a live run, which needs no archive."""
        self.loading: tuple[int, int] | None = None
        """Patterns of an archived run that have been read, and that are wanted; None once all are there."""

    @property
    def run(self) -> str:
        """Identifier of the run; empty before the first."""
        return str(self._start.get("uid", ""))

    @property
    def sample(self) -> str:
        """Sample, as the start document names it; empty where it does not."""
        sample = self._start.get("sample", "")
        return sample if isinstance(sample, str) else str(sample.get("name", ""))

    @property
    def start_time(self) -> float:
        """When the run began, s since the epoch; NaN before the first."""
        return float(self._start.get("time", "nan"))

    @property
    def exit_status(self) -> str:
        """How the run ended, by its stop document: "success", "abort" or "fail"; empty while it runs."""
        return str(self._stop.get("exit_status", "")) if self._stop else ""

    @property
    def end_time(self) -> float:
        """When the run ended, s since the epoch; NaN while it runs."""
        return float(self._stop.get("time", "nan")) if self._stop else float("nan")

    @property
    def target_nm(self) -> float:
        """Size that the plan steers to, nm; NaN where it has none."""
        target = self._start.get("target_nm")
        return float(target) if isinstance(target, int | float) else float("nan")

    @property
    def queued(self) -> int | None:
        """Documents that wait to be sized; None where the run is not sized now."""
        counters = getattr(self._live, "counters", None)
        return None if counters is None else int(counters.queued)

    @property
    def configuration(self) -> dict[str, Any]:
        """Model, wavelength and their sources, as the descriptor of the estimates states them."""
        if self._size_descriptor is None:
            return {}
        return dict(self._size_descriptor["configuration"][OBJECT_NAME]["data"])

    def __call__(self, name: str, doc: Any) -> None:
        """Take a document.

        Parameters
        ----------
        name
            Kind of the document.
        doc
            The document.
        """
        with self._lock:
            self._take(name, doc)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Take many documents at once: a copy taken meanwhile waits, and shows none of them or all."""
        with self._lock:
            yield

    def _take(self, name: str, doc: Any) -> None:
        if name == "start":
            self._start, self._stop, self._raw, self._size_descriptor = doc, {}, {}, None
            self.frames = []
            self.n_frames = self.n_sized = 0
            self.n_rejected = Counter()
            self.newest = self.loading = None
        elif name == "stop" and doc["run_start"] == self.run:
            self._stop = doc
        elif name == "descriptor" and doc["name"] == STREAM_NAME:
            self._size_descriptor = doc
        elif name == "event":
            if self._size_descriptor is not None and doc["descriptor"] == self._size_descriptor["uid"]:
                self._add(doc)
            else:
                self._raw = doc

    def snapshot(self) -> "SynthesisRecord":
        """Take a copy that does not change when further documents arrive.

        Returns
        -------
        The copy.
        """
        with self._lock:
            taken = copy(self)
            taken.frames = list(self.frames)
            taken.n_rejected = self.n_rejected.copy()
        return taken

    def add_pattern(self, number: int, examination: Examination) -> None:
        """Add the pattern of a frame whose size is here already, as it is read from an archive.

        Parameters
        ----------
        number
            Index of the frame in the run, from 1; nothing happens where it is no longer kept.
        examination
            The frame, examined again; it becomes the newest where no later frame has a pattern.
        """
        with self._lock:
            index = next((i for i, frame in enumerate(self.frames) if frame.number == number), None)
            if index is None or examination.binned is None:
                return
            if not any(frame.signal_sd.size for frame in self.frames[index + 1 :]):
                self.newest = examination
            self.frames[index] = replace(self.frames[index], signal_sd=self._signal_of(examination))

    def _add(self, event: Any) -> None:
        data, raw = event["data"], self._raw.get("data", {})
        simulation = self._start.get(SIMULATION_KEY, {})

        def known(key: str) -> float:
            """A value that runs sized by earlier versions do not have."""
            return float(data.get(f"qdsizer_{key}", math.nan))

        seconds = raw.get(
            simulation.get("elapsed_key"), event["time"] - self._start.get("time", event["time"])
        )
        self.latency_s = data["qdsizer_latency"]
        self.n_frames += 1
        status = Status(data["qdsizer_status"])
        if status is Status.SIZED:
            self.n_sized += 1
        else:
            self.n_rejected[status] += 1
        if len(self.frames) >= self._max_frames:
            self.frames = self.frames[::2]
        self.frames.append(
            SizedFrame(
                number=self.n_frames,
                seq_num=int(data["qdsizer_frame_seq_num"]),
                minutes=seconds / 60,
                time=event["time"],
                size_nm=data["qdsizer_size"],
                low_nm=data["qdsizer_size_low"],
                high_nm=data["qdsizer_size_high"],
                dispersion=data["qdsizer_dispersion"],
                status=status,
                reason=data["qdsizer_reason"],
                truth_nm=raw.get(simulation.get("number_mean_key"), float("nan")),
                signal_sd=self._signal(),
                mass_mean_nm=known("mass_mean"),
                mass_mean_low_nm=known("mass_mean_low"),
                mass_mean_high_nm=known("mass_mean_high"),
                frame_sd_nm=known("size_frame_sd"),
                track_nm=known("track_size"),
                track_low_nm=known("track_size_low"),
                track_high_nm=known("track_size_high"),
                growth=Growth(known("growth"), known("growth_low"), known("growth_high")),
                time_to_target_s=(
                    known("time_to_target"),
                    known("time_to_target_low"),
                    known("time_to_target_high"),
                ),
                change=str(data.get("qdsizer_track_change", "")),
            )
        )

    def _signal(self) -> NDArray[np.float64]:
        examination = self._live.examination
        if examination is None or examination.binned is None:
            return np.empty(0)
        self.newest = examination
        return self._signal_of(examination)

    def _signal_of(self, examination: Examination) -> NDArray[np.float64]:
        binned, fit = examination.binned, examination.fit
        assert binned is not None  # both callers have looked
        self.q_inv_angstrom = binned.q_inv_angstrom
        if fit is None:
            return np.full(binned.q_inv_angstrom.shape, np.nan)
        above = (binned.intensity - fit.background - fit.solvent) / binned.sigma
        return np.where(binned.mask, np.nan, above)

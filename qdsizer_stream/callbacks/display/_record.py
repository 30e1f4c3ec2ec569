"""What a picture of a synthesis is drawn from."""

from collections import Counter
from copy import copy
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...sizing import Examination, Status
from ..documents import OBJECT_NAME, STREAM_NAME

__all__ = ["Examined", "SizedFrame", "SynthesisRecord"]

KEPT_FRAMES = 4000
"""Frames kept for the picture, 23 MB of patterns: four times the pixels it has for them. When there are
more, every second one goes."""


class Examined(Protocol):
    """Whoever has examined the frame whose estimate is in hand, such as a live sizer."""

    @property
    def examination(self) -> Examination | None:
        """What the estimate in hand rests on; None where nobody has looked at its frame."""


@dataclass(frozen=True, eq=False, kw_only=True)
class SizedFrame:
    """One frame as the picture shows it."""

    number: int
    """Which frame of the run."""
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
    """What became of the frame."""
    reason: str
    """Why it was not sized."""
    truth_nm: float
    """True size of a simulated synthesis, nm; NaN where there is none."""
    pattern: NDArray[np.float64]
    """Binned intensity, shape (n_bins,); empty where the frame could not be binned."""


class SynthesisRecord:
    """Gathers the newest run from raw and derived documents; subscribe it to its live sizer.

    Parameters
    ----------
    live
        The live sizer, which has examined the frames, or who examines those of an archived run.
    time_key
        Data key of the time of a synthesis, s; None for the clock on the wall.
    truth_key
        Data key of the true size of a simulated synthesis, nm.
    """

    def __init__(self, live: Examined, time_key: str | None = None, truth_key: str | None = None) -> None:
        self._live = live
        self._time_key = time_key
        self._truth_key = truth_key
        self._start: Any = {}
        self._raw: Any = {}
        self._size_descriptor: Any = None
        self.frames: list[SizedFrame] = []
        """Frames so far, of a long run evenly thinned out."""
        self.n_frames = 0
        """Frames seen."""
        self.n_sized = 0
        """Frames sized."""
        self.n_refused: Counter[Status] = Counter()
        """Frames without a size, by status."""
        self.newest: Examination | None = None
        """Newest frame that could be binned, with its fit."""
        self.q_inv_angstrom: NDArray[np.float64] = np.empty(0)
        """Momentum transfers of the patterns, Å⁻¹, shape (n_bins,)."""
        self.latency_s: float = float("nan")
        """From the newest raw event to its estimate, s."""

    @property
    def run(self) -> str:
        """Identifier of the run; empty before the first."""
        return str(self._start.get("uid", ""))

    @property
    def target_nm(self) -> float:
        """Size that the plan steers to, nm; NaN where it has none."""
        target = self._start.get("target_nm")
        return float(target) if isinstance(target, int | float) else float("nan")

    @property
    def queued(self) -> int | None:
        """Documents that wait to be sized; None where nobody sizes now."""
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
        if name == "start":
            self._start, self._size_descriptor = doc, None
            self.frames = []
            self.n_frames = self.n_sized = 0
            self.n_refused = Counter()
            self.newest = None
        elif name == "descriptor" and doc["name"] == STREAM_NAME:
            self._size_descriptor = doc
        elif name == "event":
            if self._size_descriptor is not None and doc["descriptor"] == self._size_descriptor["uid"]:
                self._add(doc)
            else:
                self._raw = doc

    def snapshot(self) -> "SynthesisRecord":
        """Take a copy that stays as it is while documents go on coming.

        Returns
        -------
        The copy.
        """
        taken = copy(self)
        taken.frames = list(self.frames)
        taken.n_refused = self.n_refused.copy()
        return taken

    def _add(self, event: Any) -> None:
        data, raw = event["data"], self._raw.get("data", {})
        seconds = raw.get(self._time_key, event["time"] - self._start.get("time", event["time"]))
        self.latency_s = data["qdsizer_latency"]
        self.n_frames += 1
        status = Status(data["qdsizer_status"])
        if status is Status.SIZED:
            self.n_sized += 1
        else:
            self.n_refused[status] += 1
        if len(self.frames) >= KEPT_FRAMES:
            self.frames = self.frames[::2]
        self.frames.append(
            SizedFrame(
                number=self.n_frames,
                minutes=seconds / 60,
                time=event["time"],
                size_nm=data["qdsizer_size"],
                low_nm=data["qdsizer_size_low"],
                high_nm=data["qdsizer_size_high"],
                dispersion=data["qdsizer_dispersion"],
                status=status,
                reason=data["qdsizer_reason"],
                truth_nm=raw.get(self._truth_key, float("nan")),
                pattern=self._pattern(),
            )
        )

    def _pattern(self) -> NDArray[np.float64]:
        examination = self._live.examination
        if examination is None or examination.binned is None:
            return np.empty(0)
        self.newest = examination
        self.q_inv_angstrom = examination.binned.q_inv_angstrom
        return np.where(examination.binned.mask, np.nan, examination.binned.intensity)

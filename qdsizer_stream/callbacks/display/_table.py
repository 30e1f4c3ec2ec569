"""A synthesis as a table in the terminal, one line per frame."""

import math
import threading
import time
from typing import TYPE_CHECKING, Any

from ...sizing import Status
from ..documents import STREAM_NAME
from ._record import Growth
from ._view import LOOKS, growth_words

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["LiveSizeTable"]

COLUMNS = (
    ("frame", 6),
    ("time", 10),
    ("size (nm)", 10),
    ("95 % interval", 14),
    ("dispersion", 11),
    ("growth", 20),
)
"""Headings and widths; the status follows, at its full length."""

MIN_PAUSE_S = 0.1
"""At most ten sized frames per second get a line: nobody can read faster."""


class LiveSizeTable:
    """Prints a line for each estimate; subscribe it to a live sizer.

    Of sized frames that come faster than one per `min_pause_s` some get no line, but the newest of a burst
    always does, and so does every frame that is not sized. A line at the end gives the number of frames.

    Parameters
    ----------
    console
        Where to print; None for the terminal.
    min_pause_s
        Shortest time between two lines of sized frames, s.
    """

    def __init__(self, console: "Console | None" = None, min_pause_s: float = MIN_PAUSE_S) -> None:
        from rich.console import Console

        self._console = console if console is not None else Console()
        self._min_pause_s = min_pause_s
        self._descriptors: set[str] = set()
        self._printed = -math.inf
        self._lock = threading.Lock()  # a timer prints the newest of a burst
        self._waiting: Any = None
        self._timer: threading.Timer | None = None
        self._n_frames = self._n_sized = 0

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

    def _take(self, name: str, doc: Any) -> None:
        from rich.text import Text

        if name == "descriptor" and doc.get("name") == STREAM_NAME:
            if not self._descriptors:
                self._console.print(
                    Text("".join(f"{title:>{width}}" for title, width in COLUMNS) + "  status", "bold")
                )
            self._descriptors.add(doc["uid"])
        elif name == "event" and doc["descriptor"] in self._descriptors:
            self._line(doc)
        elif name == "stop" and self._descriptors:
            self._print_waiting()
            self._console.print(f"{self._n_frames} frames, {self._n_sized} sized", highlight=False)
            self._descriptors.clear()
            self._n_frames = self._n_sized = 0

    def _line(self, event: Any) -> None:
        """Print the line of an event, or keep it where the last line is too recent."""
        sized = event["data"]["qdsizer_status"] == Status.SIZED
        self._n_frames += 1
        self._n_sized += sized
        pause_s = self._printed + self._min_pause_s - time.monotonic()
        if sized and pause_s > 0:
            self._waiting = event
            if self._timer is None:
                self._timer = threading.Timer(pause_s, self._burst_over)
                self._timer.daemon = True  # the end of a session does not wait for it
                self._timer.start()
            return
        self._waiting = None  # an older frame is of no interest after a newer one
        self._print(event)

    def _burst_over(self) -> None:
        with self._lock:
            self._print_waiting()

    def _print_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting is not None:
            self._print(self._waiting)
            self._waiting = None

    def _print(self, event: Any) -> None:
        self._printed = time.monotonic()
        data = event["data"]
        status = Status(data["qdsizer_status"])
        sized = status is Status.SIZED
        interval = f"{data['qdsizer_size_low']:.2f} – {data['qdsizer_size_high']:.2f}"
        cells = (
            str(data["qdsizer_frame_seq_num"]),
            time.strftime("%H:%M:%S", time.localtime(event["time"])),
            f"{data['qdsizer_size']:.2f}" if sized else "—",
            interval if sized else "",
            f"{data['qdsizer_dispersion']:.0%}" if sized else "",
            growth_words(Growth(*(data[f"qdsizer_growth{end}"] for end in ("", "_low", "_high")))),
        )
        from rich.text import Text

        look = LOOKS[status]
        line = Text("".join(f"{cell:>{width}}" for cell, (_, width) in zip(cells, COLUMNS, strict=True)))
        # Whether a terminal is dark or bright is unknown: black would vanish on one of them.
        line.append(f"  {look.sign} {look.words}", "" if status is Status.BAD_FRAME else look.colour)
        if not sized:
            line.append(f": {data['qdsizer_reason']}")
        self._console.print(line, soft_wrap=True)

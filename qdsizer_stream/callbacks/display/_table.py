"""A synthesis as a table in the terminal, one line a frame."""

import math
import time
from typing import Any

from rich.console import Console
from rich.text import Text

from ...sizing import Status
from ..documents import STREAM_NAME
from ._view import LOOKS

__all__ = ["LiveSizeTable"]

COLUMNS = (("frame", 7), ("time", 10), ("size (nm)", 11), ("95 % interval", 15), ("spread", 8))
"""Headings and widths; the status follows, as long as it is."""

SHORTEST_PAUSE_S = 0.1
"""No more than ten sized frames a second get a line: nobody reads faster."""


class LiveSizeTable:
    """Prints a line for each estimate; subscribe it to a live sizer.

    Of frames that come faster than ten a second some get no line, but those that are not sized always
    do, and a line at the end says how many frames there were.

    Parameters
    ----------
    console
        Where to print; None for the terminal.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console if console is not None else Console()
        self._descriptors: set[str] = set()
        self._printed = -math.inf
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
        if name == "descriptor" and doc.get("name") == STREAM_NAME:
            if not self._descriptors:
                self._console.print(
                    Text("".join(f"{title:>{width}}" for title, width in COLUMNS) + "  status", "bold")
                )
            self._descriptors.add(doc["uid"])
        elif name == "event" and doc["descriptor"] in self._descriptors:
            self._line(doc)
        elif name == "stop" and self._descriptors:
            self._console.print(f"{self._n_frames} frames, {self._n_sized} sized", highlight=False)
            self._descriptors.clear()
            self._n_frames = self._n_sized = 0

    def _line(self, event: Any) -> None:
        data = event["data"]
        status = Status(data["qdsizer_status"])
        sized = status is Status.SIZED
        self._n_frames += 1
        self._n_sized += sized
        now = time.monotonic()
        if sized and now - self._printed < SHORTEST_PAUSE_S:
            return
        self._printed = now
        interval = f"{data['qdsizer_size_low']:.2f} – {data['qdsizer_size_high']:.2f}"
        cells = (
            str(data["qdsizer_frame_seq_num"]),
            time.strftime("%H:%M:%S", time.localtime(event["time"])),
            f"{data['qdsizer_size']:.2f}" if sized else "—",
            interval if sized else "",
            f"{data['qdsizer_dispersion']:.0%}" if sized else "",
        )
        look = LOOKS[status]
        line = Text("".join(f"{cell:>{width}}" for cell, (_, width) in zip(cells, COLUMNS, strict=True)))
        # The bright and dark of a terminal are not known: black would vanish on one of them.
        line.append(f"  {look.sign} {look.words}", "" if status is Status.BAD_FRAME else look.colour)
        if not sized:
            line.append(f": {data['qdsizer_reason']}")
        self._console.print(line, soft_wrap=True)

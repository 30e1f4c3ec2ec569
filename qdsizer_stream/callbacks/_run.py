"""What is known of one run while it is sized."""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..errors import QdsizerError
from ..sizing import SizeEstimate, Sizer, SizingConfig, Status
from ._config import LiveConfig, config_of_run
from ._derived import STREAM_NAME, SizeStream
from ._frame import Frame
from ._queue import Item
from ._source import FrameSource

__all__ = ["RunSizing"]

logger = logging.getLogger(__name__)


class RunSizing:
    """Takes the documents of one run and gives those of its estimates.

    Parameters
    ----------
    start
        Start document of the run.
    config
        Settings of the beamline; the start document may override them.
    sizer_for
        Gives the sizer of a configuration; may raise.
    live
        Whether the documents come from a running experiment.
    derived_start
        Start document of the run that the estimates are to stand in; None for the same run.
    """

    def __init__(
        self,
        start: Mapping[str, Any],
        config: LiveConfig,
        sizer_for: Callable[[SizingConfig], Sizer],
        live: bool = True,
        derived_start: Mapping[str, Any] | None = None,
    ) -> None:
        self._sizer: Sizer | None = None
        self._refusal = ""
        self._live = live
        try:
            config = config_of_run(config, start)
            self._sizer = sizer_for(config.sizing)
        except Exception as error:
            # Every frame of the run will carry the reason; the run itself goes on.
            self._refusal = f"{error}"
            logger.exception("run %s cannot be sized", start.get("uid"))
        self._source = FrameSource(config, start)
        self._size_stream = SizeStream(derived_start or start, config, self._sizer)
        self.uid = str(start["uid"])
        """Identifier of the run."""

    @property
    def n_events(self) -> int:
        """Estimates so far."""
        return self._size_stream.n_events

    def documents(self, item: Item) -> Iterator[tuple[str, Any, SizeEstimate | None]]:
        """Take one raw document.

        Parameters
        ----------
        item
            The document with how far its handling has come.

        Returns
        -------
        Name, document and, for an event, its estimate: of every frame that the document completes.
        """
        for number, frame in enumerate(self._source.frames(item.name, item.doc, item.received)):
            if number < item.frames_done:
                continue
            reason = frame.reason or self._refusal
            if item.marked:
                reason = "not sized: the queue was full; raise queue_frames, or set queue_policy to wait"
            elif item.interrupted and number == item.frames_done:
                reason = "the sizing thread ended while this frame was sized"
            estimate = self._estimate(frame, reason)
            for name, doc in self._size_stream.documents(
                frame, estimate, self._source.stream or "", self._source.data_key or "", self._live
            ):
                yield name, doc, estimate if name == "event" else None
            item.frames_done = number + 1

    def stop(self, doc: Mapping[str, Any]) -> Mapping[str, Any]:
        """Close the run.

        Parameters
        ----------
        doc
            Stop document.

        Returns
        -------
        A copy that counts the estimates; the document itself where there are none.
        """
        self._source.close()
        if not self.n_events:
            logger.warning("run %s: %s", self.uid, self._source.explain_no_frames())
            return doc
        return {**doc, "num_events": {**doc.get("num_events", {}), STREAM_NAME: self.n_events}}

    def _estimate(self, frame: Frame, reason: str) -> SizeEstimate:
        if reason or self._sizer is None:
            return SizeEstimate(status=Status.BAD_FRAME, reason=reason)
        try:
            return self._sizer.size_frame(frame.counts, frame.wavelength_angstrom, frame.arm_deg)
        except Exception as error:
            logger.exception("frame %d of run %s could not be sized", frame.seq_num, self.uid)
            kind = "" if isinstance(error, QdsizerError) else f"{type(error).__name__}: "
            return SizeEstimate(status=Status.BAD_FRAME, reason=f"sizing failed: {kind}{error}")

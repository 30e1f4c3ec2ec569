"""A run of estimates, linked to the run of their frames."""

from collections.abc import Mapping
from typing import Any, Literal

from event_model import compose_run

from ... import __version__
from ...sizing import Sizer
from ._config import RUN_KEY, LiveConfig
from ._derived import STREAM_NAME

__all__ = ["LinkedRun"]

OF_THE_ORIGINAL = frozenset({"uid", "time", "hints", RUN_KEY})
"""Entries of a start document that are not copied to a derived run."""


class LinkedRun:
    """Start and stop of a run that holds the estimates of another run's frames.

    Parameters
    ----------
    original
        Start document of the other run.
    config
        Settings of the run.
    sizer
        The sizer; None where the settings are invalid.
    """

    def __init__(self, original: Mapping[str, Any], config: LiveConfig, sizer: Sizer | None) -> None:
        self._bundle = compose_run(
            metadata={key: value for key, value in original.items() if key not in OF_THE_ORIGINAL}
            | {
                "original_run_uid": original["uid"],
                "plan_name": "qdsizer",
                RUN_KEY: config.model_dump(mode="json"),
                "qdsizer_model": sizer.model.name if sizer is not None else "",
                "qdsizer_model_sha256": sizer.model.sha256 if sizer is not None else "",
                "qdsizer_version": __version__,
            }
        )
        self.start: Any = self._bundle.start_doc
        """Start document."""

    def stop(
        self, n_events: int, exit_status: Literal["success", "abort", "fail"], reason: str = ""
    ) -> dict[str, Any]:
        """Compose the stop document.

        Parameters
        ----------
        n_events
            Number of estimates in the run.
        exit_status
            How it ended.
        reason
            Why it ended so.

        Returns
        -------
        The document.
        """
        doc = self._bundle.compose_stop(exit_status=exit_status, reason=reason)
        return {**doc, "num_events": {STREAM_NAME: n_events}}

"""A plan that chooses each exposure from what the track needs."""

import math
from typing import Any

import numpy as np
from bluesky import plan_stubs as bps
from pydantic import Field

from ...configuration import Config, validated
from ...errors import ConfigurationError
from ...models import TWO_SIDED_95
from .._size_device import Sizing
from ._frames import Detectors, Messages, SteeringFrame, device_list
from ._outcome import Ending
from ._safety import Shutter
from ._steer import MAX_UNSIZED, steer

__all__ = ["choose_exposure", "follow_synthesis"]

N_EXPOSURES = 25
"""Exposures that are compared, evenly spaced in their logarithm: of a range of 1 to 100 each is 21 %
longer."""

MAX_BLUR = 2.0
"""Largest growth during an exposure over the required precision: a frame shows the mean of its exposure."""


class Exposures(Config):
    """Required precision, and allowed exposures."""

    precision_nm: float = Field(gt=0)
    """Required standard deviation of the track, without the error that all frames share, nm."""
    min_exposure_s: float = Field(gt=0)
    """Shortest exposure, s."""
    max_exposure_s: float = Field(gt=0)
    """Longest exposure, s."""


def choose_exposure(
    frame: SteeringFrame,
    exposure_s: float,
    precision_nm: float,
    min_exposure_s: float,
    max_exposure_s: float,
) -> float:
    """Choose the exposure of the next frame by the precision that the track is expected to have after it.

    A frame of exposure t scatters as 1/√t; meanwhile the track loses what its growth rate is uncertain by.
    The shortest exposure that gives the required precision is chosen, or the one that gives the best where
    none does. None is so long that the dots may grow by more than twice the precision.

    Parameters
    ----------
    frame
        Newest sized frame, with the state of the track.
    exposure_s
        Its exposure, s.
    precision_nm
        Required standard deviation of the track, nm.
    min_exposure_s, max_exposure_s
        Allowed exposures, s.

    Returns
    -------
    Exposure, s.
    """
    exposures = np.geomspace(min_exposure_s, max_exposure_s, N_EXPOSURES)
    growth_sd = (frame.growth_high_nm_per_min - frame.growth_low_nm_per_min) / (2 * TWO_SIDED_95 * 60)
    if not math.isfinite(growth_sd) or not math.isfinite(frame.frame_sd_nm):
        return exposure_s
    before = frame.track_sd_nm**2 + (growth_sd * exposures) ** 2
    measured = frame.frame_sd_nm**2 * exposure_s / exposures
    after = before * measured / (before + measured)
    blur = (abs(frame.growth_nm_per_min) / 60 + growth_sd) * exposures
    allowed = blur <= MAX_BLUR * precision_nm
    if not allowed.any():
        return min_exposure_s
    precise = allowed & (after <= precision_nm**2)
    if precise.any():
        return float(exposures[np.argmax(precise)])
    return float(exposures[allowed][np.argmin(after[allowed])])


def follow_synthesis(
    detectors: Detectors,
    sizer: Sizing,
    precision_nm: float,
    min_exposure_s: float,
    max_exposure_s: float,
    max_frames: int,
    timeout: float,
    *,
    exposure: str = "exposure_s",
    max_unsized: int = MAX_UNSIZED,
    shutter: Shutter | None = None,
    time_key: str | None = None,
    md: dict[str, Any] | None = None,
) -> Messages:
    """Measure a synthesis with exposures that suit its growth: short while it is fast, long while it is slow.

    Parameters
    ----------
    detectors, sizer, max_frames, timeout, max_unsized, shutter, time_key, md
        As in `size_until`.
    precision_nm
        Required standard deviation of the track, nm, without the error that all frames share, which no
        exposure changes.
    min_exposure_s, max_exposure_s
        Allowed exposures, s.
    exposure
        Configuration attribute that sets the exposure in seconds, of the first detector that has it.

    Yields
    ------
    Messages for the RunEngine; the exposure is set with `configure`, so that documents state it.

    Returns
    -------
    The `PlanOutcome`; it is also the reason in the stop document.

    Raises
    ------
    ConfigurationError
        As in `size_until`.
    """
    settings = {
        "precision_nm": precision_nm,
        "min_exposure_s": min_exposure_s,
        "max_exposure_s": max_exposure_s,
    }
    wanted = validated(Exposures, settings, "follow_synthesis")
    devices = device_list(detectors)
    exposing = next((device for device in devices if hasattr(device, exposure)), None)
    if exposing is None:
        raise ConfigurationError(
            f"follow_synthesis: none of {', '.join(device.name for device in devices)} has an attribute "
            f"{exposure!r}: give the one that sets the exposure as exposure"
        )
    current_s = wanted.min_exposure_s

    def prepare(frame: SteeringFrame | None) -> Messages:
        nonlocal current_s
        if frame is None:  # not described yet: its first descriptor will hold the exposure
            yield from bps.mv(getattr(exposing, exposure), current_s)
            return
        chosen_s = choose_exposure(
            frame, current_s, wanted.precision_nm, wanted.min_exposure_s, wanted.max_exposure_s
        )
        if chosen_s != current_s:
            current_s = chosen_s
            # Bluesky looks for the configuration in the stream that was read last, which is `size`: an empty
            # bundle turns it to the stream of the detector.
            yield from bps.create("primary")
            yield from bps.drop()
            yield from bps.configure(exposing, {exposure: current_s})

    def check(frame: SteeringFrame) -> tuple[Ending, str] | None:
        return None  # ends with its frames or its time

    return (
        yield from steer(
            "follow_synthesis",
            detectors,
            sizer,
            check,
            {"max_frames": max_frames, "timeout": timeout, "max_unsized": max_unsized},
            shutter=shutter,
            time_key=time_key,
            md={**settings, **(md or {})},
            prepare=prepare,
        )
    )

"""A plan that counts until the size is precise enough."""

import math
from typing import Any

from pydantic import Field

from ...configuration import Config, validated
from ...reduction import AccumulationConfig
from .._size_device import Sizing
from ._frames import Detectors, Messages, SteeringFrame
from ._outcome import Ending
from ._safety import Shutter
from ._steer import steer

__all__ = ["count_until_precise"]

MAX_UNSIZED_SUMS = 10
"""Successive sums without a size: if ten exposures together show nothing, a hundred hardly will."""

MAX_ACHIEVABLE_RATIO = 1.5
"""Achievable over required width at which the plan gives up. The margin is there because the width of an
interval is itself an estimate, which varies by a tenth from one frame to the next."""

SETTINGS_KEY = "qdsizer"
"""Key of a start document under which a run overrides the settings of the live sizer."""

ADD_ALL = AccumulationConfig(mode="all", min_counts=1, max_seconds=1e9)
"""Every sum contains all frames of the run, because the sample does not change."""


class Precision(Config):
    """Required precision of the size."""

    width_nm: float = Field(gt=0)
    """Width of the 95 % interval, nm."""


def count_until_precise(
    detectors: Detectors,
    sizer: Sizing,
    width_nm: float,
    max_frames: int,
    timeout: float,
    *,
    max_unsized: int = MAX_UNSIZED_SUMS,
    shutter: Shutter | None = None,
    md: dict[str, Any] | None = None,
) -> Messages:
    """Measure a sample that does not change until its size is precise enough.

    The frames are added up, and after each one the sum of all of them is sized: no photon is wasted, and no
    exposure is longer than the detector allows. These runs ignore the beamline's `[accumulation]`. An
    interval narrows at most as the square root of the counts; if it would still be far too wide after
    `max_frames`, the plan ends at once.

    Parameters
    ----------
    detectors, sizer, max_frames, timeout, shutter, md
        As in `size_until`.
    width_nm
        Required width of the 95 % interval, nm.
    max_unsized
        Maximum number of successive sums without a size.

    Yields
    ------
    Messages for the RunEngine.

    Returns
    -------
    The `PlanOutcome`; it is also the reason in the stop document.

    Raises
    ------
    ConfigurationError
        As in `size_until`.
    """
    wanted = validated(Precision, {"width_nm": width_nm}, "count_until_precise")
    given = md or {}

    def check(frame: SteeringFrame) -> tuple[Ending, str] | None:
        width = frame.high_nm - frame.low_nm
        state = (
            f"{frame.number} frames together give {frame.size_nm:.2f} nm [{frame.low_nm:.2f}, "
            f"{frame.high_nm:.2f}], {width:.2f} nm wide, {width_nm:g} nm required"
        )
        if width <= wanted.width_nm:
            return Ending.PRECISE, state
        at_best = width * math.sqrt(frame.number / max_frames)
        if at_best > MAX_ACHIEVABLE_RATIO * wanted.width_nm:
            return Ending.IMPRECISE, f"{state}; {max_frames} frames would give {at_best:.2f} nm at best"
        return None

    return (
        yield from steer(
            "count_until_precise",
            detectors,
            sizer,
            check,
            {"max_frames": max_frames, "timeout": timeout, "max_unsized": max_unsized},
            shutter=shutter,
            time_key=None,
            md={
                "width_nm": width_nm,
                **given,
                SETTINGS_KEY: {
                    **given.get(SETTINGS_KEY, {}),
                    "accumulation": ADD_ALL.model_dump(mode="json"),
                },
            },
        )
    )

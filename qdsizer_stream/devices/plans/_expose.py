"""A plan that counts until the size is known well enough."""

import math
from typing import Any

from pydantic import Field

from ...configuration import Config, validated
from ...reduction import AccumulationConfig
from .._size_device import Sizing
from ._frames import Messages, SteeringFrame
from ._outcome import Ending
from ._safety import Shutter
from ._steer import steer

__all__ = ["count_until_precise"]

MAX_UNSIZED_SUMS = 10
"""Sums in a row without a size: what ten exposures together cannot show, ten times as many hardly will."""

HOPELESS = 1.5
"""How far from the width wanted the best that can still be hoped for is too far: the width of an interval is
itself an estimate, which differs by a tenth from one frame to the next."""

SETTINGS_KEY = "qdsizer"
"""Key of a start document under which a run overrides the settings of the live sizer."""

ADD_ALL = AccumulationConfig(mode="all", min_counts=1, max_seconds=1e9)
"""Every frame of the run in every sum, however old: the sample does not change."""


class Precision(Config):
    """How well the size is to be known."""

    width_nm: float = Field(gt=0, allow_inf_nan=False)
    """Width of the 95 % interval, nm."""


def count_until_precise(
    detector: Any,
    sizer: Sizing,
    width_nm: float,
    max_frames: int,
    timeout: float,
    *,
    max_unsized: int = MAX_UNSIZED_SUMS,
    shutter: Shutter | None = None,
    md: dict[str, Any] | None = None,
) -> Messages:
    """Measure a sample that does not change until its size is known well enough.

    The frames are added up, and after each one the sum of all of them is sized: no photon is lost, and no
    exposure is longer than the detector can take. `[accumulation]` of the beamline does not hold for such a
    run. An interval narrows at most as the square root of the counts; where `max_frames` would then still
    leave it far too wide, the plan ends at once.

    Parameters
    ----------
    detector, sizer, max_frames, timeout, shutter, md
        As of `size_until`.
    width_nm
        Width of the 95 % interval that is narrow enough, nm.
    max_unsized
        Sums in a row without a size at most.

    Yields
    ------
    Messages for the RunEngine.

    Returns
    -------
    The `Outcome`; the stop document has it as its reason.

    Raises
    ------
    ConfigurationError
        As of `size_until`.
    """
    wanted = validated(Precision, {"width_nm": width_nm}, "count_until_precise")
    given = md or {}

    def judge(frame: SteeringFrame) -> tuple[Ending, str] | None:
        width = frame.high_nm - frame.low_nm
        said = (
            f"{frame.number} frames together are {frame.size_nm:.2f} nm [{frame.low_nm:.2f}, "
            f"{frame.high_nm:.2f}], {width:.2f} nm wide, {width_nm:g} nm wanted"
        )
        if width <= wanted.width_nm:
            return Ending.PRECISE, said
        at_best = width * math.sqrt(frame.number / max_frames)
        if at_best > HOPELESS * wanted.width_nm:
            return Ending.IMPRECISE, f"{said}; {max_frames} frames would leave {at_best:.2f} nm at best"
        return None

    return (
        yield from steer(
            "count_until_precise",
            detector,
            sizer,
            judge,
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

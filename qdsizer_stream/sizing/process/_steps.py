"""Steps of a sizer that run here or in another process."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ...reduction import PooledCounts
from .. import Examination, Sizer

__all__ = [
    "Begun",
    "Step",
    "StepRunner",
    "begin_here",
    "examine_frame",
    "examine_pooled",
    "load",
    "pool_frame",
]

Step = Callable[[Sizer, Any], Any]
"""One of the functions here: a sizer and what it is to work on to what comes out."""

Begun = Callable[[], Any]
"""A step that has begun: waits for what comes out and gives it, or raises what the step raised."""

StepRunner = Callable[[Step, Sizer, Any], Begun]
"""Begins a step; does not raise."""


def begin_here(step: Step, sizer: Sizer, argument: Any) -> Begun:
    """Run a step in the thread that waits for it.

    Parameters
    ----------
    step
        What to do.
    sizer
        Does it.
    argument
        To what.

    Returns
    -------
    The step, which begins when it is waited for.
    """
    return partial(step, sizer, argument)


def examine_frame(sizer: Sizer, readings: Mapping[str, Any]) -> Examination:
    """Size one raw frame.

    Parameters
    ----------
    sizer
        Sizes it.
    readings
        Arguments of `Sizer.examine_frame` by name.

    Returns
    -------
    The estimate and what it rests on.
    """
    return sizer.examine_frame(**readings)


def pool_frame(sizer: Sizer, readings: Mapping[str, Any]) -> PooledCounts:
    """Reduce one raw frame, to be added to others.

    Parameters
    ----------
    sizer
        A sizer of raw frames.
    readings
        Arguments of `Reducer.pool` by name.

    Returns
    -------
    Photons and exposure in bins.

    Raises
    ------
    CalibrationError, PatternError
        As `Reducer.pool`.
    """
    assert sizer.reducer is not None  # the caller has looked
    return sizer.reducer.pool(**readings)


def examine_pooled(sizer: Sizer, pooled: PooledCounts) -> Examination:
    """Size a sum of frames.

    Parameters
    ----------
    sizer
        Sizes it.
    pooled
        Photons and exposure in bins.

    Returns
    -------
    The estimate and what it rests on.
    """
    return sizer.examine_pooled(pooled)


def load(sizer: Sizer, _: object) -> None:
    """Do nothing with a sizer: to run this step, a process must have loaded it.

    Parameters
    ----------
    sizer
        The sizer.
    """

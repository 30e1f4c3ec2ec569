"""Zero of 2θ that the peaks in measured frames ask for."""

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from ..callbacks import LiveConfig
from ..callbacks.documents import FrameSource
from ..sizing import RawFrame, Sizer, Status
from ._check import Finding

__all__ = ["check_zero"]

WHAT = "2θ zero"
"""Subject of the finding."""

N_FRAMES = 20
"""Frames that are tried: a synthesis begins without nanocrystals."""

RANGE_DEG = 3.0
"""Largest error of the zero that is looked for, degrees; the arm of a detector is rarely known worse."""

STEP_DEG = 0.1
"""Distance of the zeros that are tried, degrees: less than the shift that a fit finds by itself, 0.11° at
0.56 Å."""


def check_zero(settings: LiveConfig, run: Any) -> Finding:
    """Compare the peaks of a run's frames with those of the material at other zeros of 2θ.

    Parameters
    ----------
    settings
        Settings of the run, with a wavelength.
    run
        A run, as of `run_documents`.

    Returns
    -------
    Right where a frame is sized as it is, with the shift of its peaks; wrong where one is sized only with
    another zero; neutral where no frame shows enough.
    """
    sizer = Sizer(settings.sizing)
    frames = list(islice(_raw_frames(settings, run), N_FRAMES))
    if not frames:
        return Finding(WHAT, None, "not checked: no frame of the run can be read")
    material = sizer.model.card.material
    reasons = []
    for frame in frames:
        estimate = sizer.examine_frame(frame).estimate
        if estimate.status is Status.SIZED:
            shift = f"{estimate.two_theta_shift_deg:+.3f}°"
            return Finding(WHAT, True, f"the peaks of a frame are those of {material}, shifted by {shift}")
        reasons.append(estimate.reason)
    brightest = int(np.argmax([np.sum(frame.counts, dtype=float) for frame in frames]))
    zero_error = _zero_error_deg(sizer, frames[brightest])
    if zero_error is None:
        return Finding(
            WHAT,
            None,
            f"not checked: no frame of the run shows {material} with a zero up to {RANGE_DEG:g}° off; the "
            f"brightest is rejected: {reasons[brightest]}",
        )
    error_deg, sd_deg = zero_error
    assert sizer.reducer is not None  # LiveConfig requires it
    now = sizer.reducer.detector.global_offset_deg
    return Finding(
        WHAT,
        False,
        f"the peaks of a frame are those of {material} if all angles are {abs(error_deg):.2f} ± "
        f"{2 * sd_deg:.2f}° {'smaller' if error_deg > 0 else 'larger'}: check the arm and the calibration, "
        f"or set global_offset_deg = {now - error_deg:.3f} (now {now:g})",
    )


def _raw_frames(settings: LiveConfig, run: Any) -> Iterator[RawFrame]:
    """Frames of a run with their readings, without those that cannot be read."""
    from ..archive import run_documents  # a session that only sizes needs no client of Tiled

    source = FrameSource(settings, run.metadata["start"])
    try:
        for name, doc in run_documents(run, settings, patience_s=0.0):
            for frame in source.frames(name, doc, time.time()):
                if frame.raw is not None:
                    yield frame.raw
    finally:
        source.close()


def _zero_error_deg(sizer: Sizer, frame: RawFrame) -> tuple[float, float] | None:
    """Error of all angles with which a frame is sized and fits best, and its standard deviation, degrees.

    None where the frame is not sized with any.
    """
    assert sizer.reducer is not None
    arm_deg = frame.arm_deg if frame.arm_deg is not None else sizer.reducer.config.arm_deg or 0.0

    def tried(added_deg: float) -> tuple[float, float, float] | None:
        """Misfit, error and its standard deviation; the arm shifts all strips, as the zero does."""
        examination = sizer.examine_frame(replace(frame, arm_deg=arm_deg + added_deg))
        if examination.estimate.status is not Status.SIZED or examination.fit is None:
            return None
        sd = examination.fit.shift_sd_inv_angstrom * frame.wavelength_angstrom / (2 * math.pi)
        error_deg = examination.estimate.two_theta_shift_deg - added_deg
        return examination.fit.misfit, error_deg, math.degrees(sd)

    steps = STEP_DEG * np.arange(1, round(RANGE_DEG / STEP_DEG) + 1)
    found = [one for added_deg in (*steps, *-steps) if (one := tried(float(added_deg))) is not None]
    if not found:
        return None
    best = min(found)
    # Once more where it is about zero: there all peaks are inside the range that the fit knows best.
    return (tried(-best[1]) or best)[1:]

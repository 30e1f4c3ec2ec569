"""Data keys of the track of a run, and what of a frame informs it."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import repeat
from typing import Any

from ...models import Answer
from ...tracking import Change, Measurement, Track, TrackPoint

__all__ = [
    "SIMULATION_KEY",
    "SMOOTHED_KEYS",
    "TARGET_KEYS",
    "TRACK_KEYS",
    "clock_key",
    "evidence_data",
    "measurement_of",
    "smoothed_data",
    "smoothed_point",
    "smoothed_track",
    "target_of",
    "track_data",
]

SIMULATION_KEY = "qdsizer_simulation"
"""Key of the start document of a simulated synthesis: which data keys of its events hold the time of the
synthesis, s (`elapsed_key`), and its true number-weighted mean diameter, nm (`number_mean_key`)."""

TIME_KEY = "time_key"
"""Key of the start document with the data key of the time of a frame, s, as plans have it."""

TARGET_KEY = "target_nm"
"""Key of the start document with the number-weighted mean diameter that a plan aims at, nm."""

NETWORK_PRIOR = (math.log(5.0), 0.5)
"""Mean and standard deviation of ln size (nm) in the training. The answer for a faint frame is drawn towards
them; the track divides them out, because ten answers together would be drawn ten times."""

MAX_PRIOR_FRACTION = 0.8
"""Largest variance of an answer over that of the training at which it still depends on the frame."""


def _number(units: str | None, precision: int) -> dict[str, Any]:
    return {"dtype": "number", "dtype_numpy": "<f8", "shape": [], "units": units, "precision": precision}


def _with_ends(key: str, units: str, precision: int) -> dict[str, dict[str, Any]]:
    return {f"{key}{end}": _number(units, precision) for end in ("", "_low", "_high")}


EVIDENCE = ("mass_mean", "mass_mean_sd", "mass_mean_shared_sd", "size", "size_sd", "size_shared_sd")

TRACK_KEYS: dict[str, dict[str, Any]] = {
    **_with_ends("qdsizer_track_mass_mean", "nm", 3),
    **_with_ends("qdsizer_track_size", "nm", 3),
    "qdsizer_track_size_sd": _number("nm", 4),
    **_with_ends("qdsizer_growth", "nm/min", 4),
    "qdsizer_track_change": {"dtype": "string", "shape": [], "choices": ["", "rate", "jump"]},
    "qdsizer_track_time": _number("s", 3),
    **{f"qdsizer_evidence_{name}": _number("nm", 4) for name in EVIDENCE},
    "qdsizer_evidence_lower_factor": _number(None, 4),
    "qdsizer_evidence_upper_factor": _number(None, 4),
    "qdsizer_evidence_age": _number("s", 3),
}
"""Data keys of the track, without their source."""

TARGET_KEYS: dict[str, dict[str, Any]] = {
    **_with_ends("qdsizer_time_to_target", "s", 1),
    "qdsizer_probability_reached": _number(None, 4),
}
"""Data keys of a track with a target."""

_SMOOTHED_FIELDS = {
    f"qdsizer_smoothed_{name}{end}": f"{name}{end}_{unit}"
    for name, unit, ends in (
        ("mass_mean", "nm", ("", "_low", "_high", "_sd")),
        ("size", "nm", ("", "_low", "_high", "_sd")),
        ("growth", "nm_per_min", ("", "_low", "_high")),
    )
    for end in ends
}
"""Fields of a point of the track by the data keys that hold them once it is smoothed."""

SMOOTHED_KEYS: dict[str, dict[str, Any]] = {
    **{
        key: _number("nm/min", 4) if field.endswith("per_min") else _number("nm", 3 + ("_sd" in field))
        for key, field in _SMOOTHED_FIELDS.items()
    },
    "qdsizer_smoothed_change": {"dtype": "string", "shape": [], "choices": ["", "rate", "jump"]},
    "qdsizer_smoothed_time": _number("s", 3),
}
"""Data keys of a smoothed track, without their source."""


def clock_key(start: Mapping[str, Any]) -> str | None:
    """Find the data key of the clock of a run.

    Parameters
    ----------
    start
        Start document.

    Returns
    -------
    Key of the time of a frame, s, in its event; None for the time of the event.
    """
    simulation = start.get(SIMULATION_KEY)
    key = simulation.get("elapsed_key") if isinstance(simulation, Mapping) else start.get(TIME_KEY)
    return key if isinstance(key, str) else None


def target_of(start: Mapping[str, Any]) -> float:
    """Find the size that the plan of a run aims at.

    Parameters
    ----------
    start
        Start document.

    Returns
    -------
    Number-weighted mean diameter, nm; NaN where there is none.
    """
    target = start.get(TARGET_KEY)
    valid = isinstance(target, int | float) and not isinstance(target, bool) and 0 < target < math.inf
    return float(target) if valid else math.nan  # type: ignore[arg-type]


def evidence_data(answer: Answer | None, age_s: float, n_shared: int) -> dict[str, float]:
    """Data of what a frame, or a sum of frames, contributes to the track; it is not a size.

    Parameters
    ----------
    answer
        Answer of the network; None where the frame contributes nothing.
    age_s
        Time of the frame less that of the evidence, s.
    n_shared
        Estimates that the same photons are in: their errors are not independent.

    Returns
    -------
    Values by data key; NaN where there are none.
    """
    if answer is None:
        return dict.fromkeys(
            (f"qdsizer_evidence_{name}" for name in (*EVIDENCE, "lower_factor", "upper_factor", "age")),
            math.nan,
        )
    wider = math.sqrt(n_shared)
    return {
        "qdsizer_evidence_mass_mean": answer.mass_mean_nm,
        "qdsizer_evidence_mass_mean_sd": wider * answer.mass_mean_frame_sd_nm,
        "qdsizer_evidence_mass_mean_shared_sd": answer.mass_mean_shared_sd_nm,
        "qdsizer_evidence_size": answer.size_nm,
        "qdsizer_evidence_size_sd": wider * answer.size_frame_sd_nm,
        "qdsizer_evidence_size_shared_sd": answer.size_shared_sd_nm,
        "qdsizer_evidence_lower_factor": answer.lower_factor,
        "qdsizer_evidence_upper_factor": answer.upper_factor,
        "qdsizer_evidence_age": age_s,
    }


def measurement_of(data: Mapping[str, Any]) -> Measurement | None:
    """Read what a frame contributes to the track from the data of its event, live and archived alike.

    Parameters
    ----------
    data
        Data of an event in `qd_size`.

    Returns
    -------
    The measurement; None where the frame contributes nothing, or was sized before there was a track.
    """
    mass, mass_sd, mass_shared, size, size_sd, size_shared = (
        float(data.get(f"qdsizer_evidence_{name}", math.nan)) for name in EVIDENCE
    )
    if not size > 0:
        return None
    ln_size, ln_size_sd = math.log(size), size_sd / size
    ln_mass, ln_mass_sd = math.nan, math.nan
    if mass > 0:  # only networks with both means answer with the mean of a posterior
        ln_mass, ln_mass_sd = _without_prior(math.log(mass), mass_sd / mass)
        ln_size, ln_size_sd = _without_prior(ln_size, ln_size_sd)
        if math.isnan(ln_mass):
            return None
    return Measurement(
        time_s=float(data["qdsizer_track_time"]) - float(data["qdsizer_evidence_age"]),
        mass_mean=ln_mass,
        mass_mean_sd=ln_mass_sd,
        mass_mean_shared_sd=mass_shared / mass if mass > 0 else math.nan,
        size=ln_size,
        size_sd=ln_size_sd,
        size_shared_sd=size_shared / size,
        # Runs of earlier versions do not have the two.
        below=-math.log(data.get("qdsizer_evidence_lower_factor", 1.0)),
        above=math.log(data.get("qdsizer_evidence_upper_factor", 1.0)),
    )


def _without_prior(mean: float, sd: float) -> tuple[float, float]:
    """Likelihood of ln size from its posterior; NaN where they hardly differ from the prior."""
    prior_mean, prior_sd = NETWORK_PRIOR
    variance, prior = sd**2, prior_sd**2
    if not 0 < variance < MAX_PRIOR_FRACTION * prior:
        return math.nan, math.nan
    precision = 1 / variance - 1 / prior
    return (mean / variance - prior_mean / prior) / precision, math.sqrt(1 / precision)


def track_data(point: TrackPoint, target: bool) -> dict[str, Any]:
    """Data of a track by data key.

    Parameters
    ----------
    point
        State of the track after the frame.
    target
        Whether the run has a target.

    Returns
    -------
    Values and strings.
    """
    data: dict[str, Any] = {
        "qdsizer_track_mass_mean": point.mass_mean_nm,
        "qdsizer_track_mass_mean_low": point.mass_mean_low_nm,
        "qdsizer_track_mass_mean_high": point.mass_mean_high_nm,
        "qdsizer_track_size": point.size_nm,
        "qdsizer_track_size_low": point.size_low_nm,
        "qdsizer_track_size_high": point.size_high_nm,
        "qdsizer_track_size_sd": point.size_sd_nm,
        "qdsizer_growth": point.growth_nm_per_min,
        "qdsizer_growth_low": point.growth_low_nm_per_min,
        "qdsizer_growth_high": point.growth_high_nm_per_min,
        "qdsizer_track_change": "" if point.change is None else point.change.value,
    }
    if target:
        data |= {
            "qdsizer_time_to_target": point.time_to_target_s,
            "qdsizer_time_to_target_low": point.time_to_target_low_s,
            "qdsizer_time_to_target_high": point.time_to_target_high_s,
            "qdsizer_probability_reached": point.probability_reached,
        }
    return data


def smoothed_track(
    events: Iterable[Mapping[str, Any]], streams: Iterable[str] | None = None
) -> list[TrackPoint]:
    """Smooth the track of a run that has ended.

    Parameters
    ----------
    events
        Data of its events in `qd_size`, in order.
    streams
        Stream of the frame of each, whose tracks are smoothed separately; None for one stream.

    Returns
    -------
    One point for each event, from all events of its stream; NaN throughout where the run was sized before
    there was a track.
    """
    tracks: defaultdict[str, Track] = defaultdict(Track)
    order = []
    for data, stream in zip(events, repeat("") if streams is None else streams, strict=False):
        tracks[stream].add(float(data.get("qdsizer_track_time", math.nan)), measurement_of(data))
        order.append(stream)
    points = {stream: iter(track.smoothed()) for stream, track in tracks.items()}
    return [next(points[stream]) for stream in order]


def smoothed_data(point: TrackPoint) -> dict[str, Any]:
    """Data of a smoothed track by data key.

    Parameters
    ----------
    point
        State of the track at a frame, from all frames of the run.

    Returns
    -------
    Values and strings.
    """
    data: dict[str, Any] = {key: getattr(point, field) for key, field in _SMOOTHED_FIELDS.items()}
    return data | {
        "qdsizer_smoothed_change": "" if point.change is None else point.change.value,
        "qdsizer_smoothed_time": point.time_s,
    }


def smoothed_point(data: Mapping[str, Any]) -> TrackPoint:
    """Read a point of a smoothed track back from the data of its event.

    Parameters
    ----------
    data
        Data of an event in `qd_size_smoothed`.

    Returns
    -------
    The point.
    """
    change = str(data["qdsizer_smoothed_change"])
    return TrackPoint(
        time_s=float(data["qdsizer_smoothed_time"]),
        change=Change(change) if change else None,
        **{field: float(data[key]) for key, field in _SMOOTHED_FIELDS.items()},
    )

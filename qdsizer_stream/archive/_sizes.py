"""The sizes of an archived run as a table of pandas, or as a data set of xarray."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..callbacks import SMOOTHED_KEYS, smoothed_data
from ..errors import missing_extra
from ._sized_run import SizedRun, sized_run

if TYPE_CHECKING:
    from pandas import DataFrame
    from xarray import Dataset

__all__ = ["sizes", "sizes_dataset"]

SUFFIXES = {
    "nm": "_nm",
    "angstrom": "_angstrom",
    "angstrom^-1": "_inv_angstrom",
    "deg": "_deg",
    "s": "_s",
    "nm/min": "_nm_per_minute",
}
"""Endings of column names by unit, as in the fields of an estimate; other units have none."""

SECONDS_PER_MINUTE = 60.0


def sizes(run: Any) -> "DataFrame":
    """Read the sizes of a run as a table.

    Parameters
    ----------
    run
        A run from Tiled that holds the stream `qd_size`, as of `find_run`, or a `SizedRun`.

    Returns
    -------
    One row per frame, indexed by `frame`, the sequence number of its raw event. Columns are the fields of an
    estimate (`mass_mean_nm`, `size_nm`, `status`, …), those of the track (`growth_nm_per_minute`, …) and of
    the smoothed track (`smoothed_mass_mean_nm`, …: read from `qd_size_smoothed`, or computed where there is
    none), `time` (UTC) and `minutes` since the first frame. ``attrs["units"]`` holds the units by
    column, ``attrs`` also the run, sample, model and the hash of the model, and in ``not_smoothed`` why
    the smoothed track is missing.

    Raises
    ------
    ArchiveError
        The run was never sized, or the archive does not answer.
    MissingExtraError
        pandas is not installed.
    """
    try:
        import pandas as pd
    except ModuleNotFoundError as error:
        raise missing_extra(error) from error
    found = run if isinstance(run, SizedRun) else sized_run(run)
    keys, columns = dict(found.data_keys), _columns(found.data_keys)
    table = pd.DataFrame(list(found.events), columns=[*columns, "time"])
    minutes = _minutes(found, table)
    if "qdsizer_track_time" in columns:  # runs that were sized before there was a track have none
        smoothed = {key: about for key, about in SMOOTHED_KEYS.items() if key != "qdsizer_smoothed_time"}
        keys, columns = keys | smoothed, columns | _columns(smoothed)
        points = [smoothed_data(point) for point in found.smoothed]
        table = table.join(pd.DataFrame(points, columns=list(smoothed)))
    table = table.rename(columns=columns).drop(columns="frame_seq_num")
    table.insert(0, "minutes", minutes)
    table.insert(0, "time", pd.to_datetime(table.pop("time"), unit="s", utc=True))
    table.index = pd.Index([int(event["qdsizer_frame_seq_num"]) for event in found.events], name="frame")
    units = {columns[key]: about["units"] for key, about in keys.items() if about.get("units")}
    table.attrs = {
        "units": {"minutes": "min", **{name: unit for name, unit in units.items() if name in table}},
        "run": str(found.start["uid"]),
        "sample": _sample(found),
        "model": str(found.configuration["qdsizer_model"]),
        "model_sha256": str(found.configuration["qdsizer_model_sha256"]),
    }
    if found.not_smoothed:
        table.attrs["not_smoothed"] = found.not_smoothed
    return table


def sizes_dataset(run: Any) -> "Dataset":
    """Read the sizes of a run as a data set.

    Parameters
    ----------
    run
        As of `sizes`.

    Returns
    -------
    The columns of `sizes` along the dimension `frame`, each with its ``units`` in its attributes; run,
    sample, model and hash of the model are attributes of the data set.

    Raises
    ------
    ArchiveError, MissingExtraError
        As of `sizes`; xarray is not installed.
    """
    table = sizes(run)
    try:
        import xarray  # noqa: F401  (pandas imports it below)
    except ModuleNotFoundError as error:
        raise missing_extra(error) from error
    units = table.attrs.pop("units")
    table["time"] = table["time"].dt.tz_localize(None)  # xarray has no time zones; UTC is in the attributes
    dataset: Dataset = table.to_xarray()
    dataset.attrs = dict(table.attrs)
    for name, unit in units.items():
        dataset[name].attrs["units"] = unit
    dataset["time"].attrs["time_zone"] = "UTC"
    return dataset


def _columns(keys: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Names of columns by data key."""
    return {
        key: key.removeprefix("qdsizer_") + SUFFIXES.get(about.get("units") or "", "")
        for key, about in keys.items()
    }


def _minutes(run: SizedRun, table: Any) -> Any:
    """Minutes since the first frame, by the clock of the track, which is that of a simulated synthesis."""
    clock_s = table["qdsizer_track_time"] if "qdsizer_track_time" in table else table["time"]
    seconds = np.asarray(clock_s, dtype=float)
    return (seconds - seconds[0]) / SECONDS_PER_MINUTE if seconds.size else seconds


def _sample(run: SizedRun) -> str:
    sample = run.start.get("sample", "")
    return sample if isinstance(sample, str) else str(sample.get("name", ""))

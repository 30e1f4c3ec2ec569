"""Files of raw frames."""

import math
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import PatternFileError
from ..patterns import check_wavelength
from ._frames import strip_counts
from ._geometry import MODULE_STRIPS, StripDetector

__all__ = ["RawFrame", "read_raw_frames", "write_nxmonopd", "write_raw_text"]

HDF5_SUFFIXES = {".h5", ".hdf5", ".hdf", ".nxs", ".nx5"}

MOST_COUNTERS = 3
"""A last axis this short holds counters, not strips."""

MOST_STRIPS = 48 * MODULE_STRIPS * MOST_COUNTERS
"""Values of the largest ring, all counters side by side."""

NO_COUNT = -1
"""Integer that stands for a strip without a count, as in the files of Dectris."""

EPICS_DATA = "entry/instrument/detector/data"
EPICS_ATTRIBUTES = "entry/instrument/NDAttributes"
"""Where the EPICS file writer of X04SA puts frames and what belongs to them."""


@dataclass(frozen=True, eq=False, kw_only=True)
class RawFrame:
    """One frame as a file holds it; None for what the file does not say.

    Parameters
    ----------
    counts
        Counts in a layout of `strip_counts`; NaN where the file has none.
    exposure_s
        Exposure, s.
    arm_deg
        Angle of the detector arm, degrees.
    monitor
        Reading of the monitor (I0).
    wavelength_angstrom
        Wavelength, Å.
    """

    counts: NDArray[Any]
    exposure_s: float | None = None
    arm_deg: float | None = None
    monitor: float | None = None
    wavelength_angstrom: float | None = None


def read_raw_frames(path: Path) -> list[RawFrame]:
    """Read the frames of a file.

    Parameters
    ----------
    path
        ``strip counts`` text; or HDF5 (by its suffix): NXmonopd, or what the EPICS file writer of X04SA
        leaves.

    Returns
    -------
    Frames in the order of the file.

    Raises
    ------
    PatternFileError
        The file is missing or damaged, of another layout, or holds no frame.
    """
    return _read_hdf5(path) if path.suffix.lower() in HDF5_SUFFIXES else [_read_text(path)]


def _read_text(path: Path) -> RawFrame:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise PatternFileError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PatternFileError(
            f"{path} is neither text nor, by its suffix, HDF5: give 'strip counts' rows, or one of "
            f"{', '.join(sorted(HDF5_SUFFIXES))}"
        ) from error
    counts: dict[int, float] = {}
    for number, line in enumerate(lines, start=1):
        cells = line.partition("#")[0].split()
        if not cells:
            continue
        try:
            strip, count = int(cells[0]), float(cells[1])
        except (ValueError, IndexError):
            raise PatternFileError(
                f"{path}, line {number}: {line.strip()[:40]!r} is no raw frame: rows 'strip counts' are "
                "needed, strips as whole numbers"
            ) from None
        if len(cells) > 2:
            raise PatternFileError(
                f"{path}, line {number}: {len(cells)} columns, a raw frame has 2, strip and counts: is it "
                "reduced already?"
            )
        if strip in counts:
            raise PatternFileError(f"{path}, line {number}: strip {strip} is given twice")
        if not 0 <= strip < MOST_STRIPS:
            raise PatternFileError(
                f"{path}, line {number}: strip {strip} is on no detector: 0 … {MOST_STRIPS - 1} are allowed"
            )
        counts[strip] = count
    if not counts:
        raise PatternFileError(f"{path} holds no frame: rows 'strip counts' are needed")
    # A strip that is not listed has no count; the ones behind it must keep their place.
    frame = np.full(math.ceil((max(counts) + 1) / MODULE_STRIPS) * MODULE_STRIPS, np.nan)
    frame[list(counts)] = list(counts.values())
    return RawFrame(counts=frame)


def write_raw_text(path: Path, counts: NDArray[np.integer]) -> None:
    """Write a frame as ``strip counts`` rows.

    Parameters
    ----------
    path
        File to write; it appears whole or not at all.
    counts
        Counts, shape (n_strips,).
    """
    part = path.with_name(path.name + ".part")
    part.write_text("".join(f"{strip} {count}\n" for strip, count in enumerate(counts)), encoding="utf-8")
    os.replace(part, path)


def _read_hdf5(path: Path) -> list[RawFrame]:
    try:
        with h5py.File(path) as file:
            entry = _child(file, "NXentry")
            if _string(entry.get("definition")) == "NXmonopd":
                return _read_nxmonopd(path, entry)
            if EPICS_DATA in file:
                return _read_epics(path, file)
            raise PatternFileError(
                f"{path} is neither NXmonopd nor does it hold {EPICS_DATA}: found "
                f"{', '.join(file) or 'nothing'}"
            )
    except OSError as error:
        raise PatternFileError(f"cannot read {path}: {error}") from error


def _child(parent: Any, nexus_class: str) -> Any:
    """First group of a class in a group; an empty one where there is none."""
    for group in parent.values():
        if isinstance(group, h5py.Group) and _string(group.attrs.get("NX_class")) == nexus_class:
            return group
    return {}


def _string(value: Any) -> str:
    """Text of an attribute or dataset, empty where there is none."""
    if value is None:
        return ""
    content = value[()] if isinstance(value, h5py.Dataset) else value
    if isinstance(content, np.ndarray):
        content = content.flat[0] if content.size else ""
    return content.decode() if isinstance(content, bytes) else str(content)


def _frames(data: NDArray[Any]) -> list[NDArray[Any]]:
    """Split a dataset of one frame or a stack of them; counters stay with their frame."""
    inner = 2 if data.ndim > 1 and data.shape[-1] <= MOST_COUNTERS else 1
    return list(data.reshape(-1, *data.shape[-inner:]))


def _read_epics(path: Path, file: Any) -> list[RawFrame]:
    frames = _frames(file[EPICS_DATA][()])
    if not frames:
        raise PatternFileError(f"{path}: {EPICS_DATA} holds no frame")
    attributes = {
        name: _per_frame(path, file, f"{EPICS_ATTRIBUTES}/{name}", len(frames))
        for name in ("AcquireTime", "DetectorAngle", "Izero")
    }
    return [
        RawFrame(counts=counts, exposure_s=exposure, arm_deg=arm, monitor=monitor)
        for counts, exposure, arm, monitor in zip(
            frames,
            attributes["AcquireTime"],
            attributes["DetectorAngle"],
            attributes["Izero"],
            strict=True,
        )
    ]


def _per_frame(path: Path, file: Any, name: str, n_frames: int) -> list[float | None]:
    """One number a frame: from an array of them, or one for all; None where the file has none."""
    if name not in file:
        return [None] * n_frames
    values = np.ravel(file[name][()]).astype(np.float64)
    if values.size not in (1, n_frames):
        raise PatternFileError(
            f"{path}: {name} has {values.size} values for {n_frames} frames: one, or one a frame, is needed"
        )
    return [float(v) for v in np.broadcast_to(values, n_frames)]


def _read_nxmonopd(path: Path, entry: Any) -> list[RawFrame]:
    instrument = _child(entry, "NXinstrument")
    detector, crystal = _child(instrument, "NXdetector"), _child(instrument, "NXcrystal")
    monitor = _child(entry, "NXmonitor")
    if "data" not in detector:
        raise PatternFileError(f"{path} says NXmonopd but has no detector data")
    counts = detector["data"][()]
    if counts.ndim != 1:
        raise PatternFileError(
            f"{path}: the data of NXmonopd have shape {counts.shape}, one frame (n,) is needed"
        )
    timed = _string(monitor.get("mode")) == "timer"
    return [
        RawFrame(
            counts=counts,
            exposure_s=_number(monitor.get("preset")) if timed else None,
            arm_deg=_number(detector.get("arm_angle")),
            monitor=_number(monitor.get("integral")),
            wavelength_angstrom=_number(crystal.get("wavelength")),
        )
    ]


def _number(value: Any) -> float | None:
    return None if value is None else float(np.ravel(value[()])[0])


def write_nxmonopd(
    path: Path,
    frame: RawFrame,
    detector: StripDetector,
    *,
    title: str,
    sample: str,
    source: str,
    start_time: datetime,
    n_counters: int = 1,
    counter: int = 0,
) -> None:
    """Archive a raw frame as the NeXus application definition NXmonopd.

    Parameters
    ----------
    path
        File to write; it appears whole or not at all.
    frame
        Frame with wavelength, exposure and arm angle.
    detector
        Calibration, for the angles.
    title, sample, source
        What the frame is, of what, and at which facility.
    start_time
        When the exposure began, with its time zone.
    n_counters, counter
        As in `strip_counts`: one counter goes into the file.

    Raises
    ------
    PatternFileError
        The frame lacks its wavelength, exposure or arm angle, or the time its zone.
    CalibrationError
        The frame does not fit the detector.
    PatternError
        The wavelength is not that of X-rays.
    """
    if frame.wavelength_angstrom is None or frame.exposure_s is None or frame.arm_deg is None:
        raise PatternFileError(
            f"{path}: NXmonopd needs wavelength ({frame.wavelength_angstrom}), exposure ({frame.exposure_s}) "
            f"and arm angle ({frame.arm_deg}) of the frame"
        )
    if start_time.tzinfo is None:
        raise PatternFileError(f"{path}: start time {start_time} has no time zone: give one, such as UTC")
    values = strip_counts(frame.counts, detector.n_strips, n_counters, counter)
    angles = detector.two_theta(frame.arm_deg)
    part = path.with_name(path.name + ".part")
    with h5py.File(part, "w") as file:
        file.attrs["default"] = "entry"
        entry = _group(file, "entry", "NXentry")
        entry.attrs["default"] = "data"
        entry["title"] = title
        entry["start_time"] = start_time.isoformat()
        entry["definition"] = "NXmonopd"
        instrument = _group(entry, "instrument", "NXinstrument")
        light = _group(instrument, "source", "NXsource")
        light["type"], light["name"], light["probe"] = "Synchrotron X-ray Source", source, "x-ray"
        crystal = _group(instrument, "crystal", "NXcrystal")
        _dataset(crystal, "wavelength", check_wavelength(frame.wavelength_angstrom), "angstrom")
        strips = _group(instrument, "detector", "NXdetector")
        _dataset(strips, "polar_angle", angles, "degrees")
        _dataset(strips, "arm_angle", frame.arm_deg, "degrees")
        whole = np.where(np.isfinite(values), values, NO_COUNT).astype(np.int64)
        strips.create_dataset("data", data=whole, compression="gzip", shuffle=True).attrs["units"] = "counts"
        thing = _group(entry, "sample", "NXsample")
        thing["name"] = sample
        _dataset(thing, "rotation_angle", 0.0, "degrees")
        monitor = _group(entry, "monitor", "NXmonitor")
        monitor["mode"] = "timer"
        _dataset(monitor, "preset", frame.exposure_s, "s")
        if frame.monitor is not None:
            monitor["integral"] = frame.monitor
        data = _group(entry, "data", "NXdata")
        data.attrs["signal"], data.attrs["axes"] = "data", "polar_angle"
        data["data"], data["polar_angle"] = strips["data"], strips["polar_angle"]  # hard links
    os.replace(part, path)


def _group(parent: Any, name: str, nexus_class: str) -> Any:
    group = parent.create_group(name)
    group.attrs["NX_class"] = nexus_class
    return group


def _dataset(parent: Any, name: str, value: Any, units: str) -> None:
    parent[name] = value
    parent[name].attrs["units"] = units

"""Reading and writing raw frames."""

import math
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import PatternFileError
from ..patterns import check_wavelength, structure_checked
from ._frames import strip_counts
from ._geometry import MODULE_STRIPS, StripDetector

__all__ = ["RawFrame", "read_raw_frames", "write_nxmonopd", "write_raw_text"]

HDF5_SUFFIXES = {".h5", ".hdf5", ".hdf", ".nxs", ".nx5"}

MAX_COUNTERS = 3
"""A last axis of at most this length contains counters, not strips."""

MAX_VALUES = 48 * MODULE_STRIPS * MAX_COUNTERS
"""Number of values of the largest ring, with all counters side by side."""

NO_COUNT = -1
"""Value of a strip without a count, as in the files of Dectris."""

EPICS_DATA = "entry/instrument/detector/data"
EPICS_ATTRIBUTES = "entry/instrument/NDAttributes"
"""Paths of frames and their metadata in files of the EPICS file writer of X04SA."""


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class RawFrame:
    """One frame from a file; None for values that are not in the file.

    Parameters
    ----------
    counts
        Counts in a layout of `strip_counts`; NaN for strips that the file does not contain.
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

    def __repr__(self) -> str:
        known = {
            name: getattr(self, name)
            for name in ("exposure_s", "arm_deg", "monitor", "wavelength_angstrom")
            if getattr(self, name) is not None
        }
        details = "".join(f", {name} {value:.6g}" for name, value in known.items())
        return f"<RawFrame: counts of shape {np.shape(self.counts)}{details}>"


def read_raw_frames(path: str | os.PathLike[str]) -> list[RawFrame]:
    """Read the frames of a file.

    Parameters
    ----------
    path
        ``strip counts`` text; or HDF5 (recognised by the suffix): NXmonopd, or a file of the EPICS file
        writer of X04SA.

    Returns
    -------
    Frames in the order of the file.

    Raises
    ------
    PatternFileError
        The file is missing or damaged, in another layout, or contains no frame.
    """
    path = Path(path)
    return _read_hdf5(path) if path.suffix.lower() in HDF5_SUFFIXES else [_read_text(path)]


def _read_text(path: Path) -> RawFrame:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise PatternFileError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PatternFileError(
            f"{path} is neither text nor, by its suffix, HDF5: give rows 'strip counts', or a file ending in "
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
                f"{path}, line {number}: {line.strip()[:40]!r} is not a row of a raw frame: rows must be "
                "'strip counts', strips as integers"
            ) from None
        if len(cells) > 2:
            raise PatternFileError(
                f"{path}, line {number}: {len(cells)} columns, but a raw frame has 2 (strip and counts): is "
                "it already reduced?"
            )
        if strip in counts:
            raise PatternFileError(f"{path}, line {number}: strip {strip} is given twice")
        if not 0 <= strip < MAX_VALUES:
            raise PatternFileError(
                f"{path}, line {number}: strip {strip} does not exist: give 0 … {MAX_VALUES - 1}"
            )
        counts[strip] = count
    if not counts:
        raise PatternFileError(f"{path} contains no frame: it must have rows 'strip counts'")
    # A strip that is not listed has no count; the following strips must keep their positions.
    frame = np.full(math.ceil((max(counts) + 1) / MODULE_STRIPS) * MODULE_STRIPS, np.nan)
    frame[list(counts)] = list(counts.values())
    return RawFrame(counts=frame)


def write_raw_text(path: str | os.PathLike[str], counts: NDArray[np.integer]) -> None:
    """Write a frame as ``strip counts`` rows.

    Parameters
    ----------
    path
        File to write; it appears complete or not at all.
    counts
        Counts, shape (n_strips,).
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")
    part.write_text("".join(f"{strip} {count}\n" for strip, count in enumerate(counts)), encoding="utf-8")
    os.replace(part, path)


def _read_hdf5(path: Path) -> list[RawFrame]:
    import h5py

    try:
        with structure_checked(path), h5py.File(path) as file:
            entry = _child(file, "NXentry")
            if _string(entry.get("definition")) == "NXmonopd":
                return _read_nxmonopd(path, entry)
            if EPICS_DATA in file:
                return _read_epics(path, file)
            raise PatternFileError(
                f"{path} is neither NXmonopd nor does it contain {EPICS_DATA}: found "
                f"{', '.join(file) or 'nothing'}"
            )
    except OSError as error:
        raise PatternFileError(f"cannot read {path}: {error}") from error


def _child(parent: Any, nexus_class: str) -> Any:
    """First group of a NeXus class in a group; an empty dict if there is none."""
    import h5py

    for group in parent.values():
        if isinstance(group, h5py.Group) and _string(group.attrs.get("NX_class")) == nexus_class:
            return group
    return {}


def _string(value: Any) -> str:
    """Text of an attribute or dataset, empty if there is none."""
    if value is None:
        return ""
    import h5py

    content = value[()] if isinstance(value, h5py.Dataset) else value
    if isinstance(content, np.ndarray):
        content = content.flat[0] if content.size else ""
    return content.decode() if isinstance(content, bytes) else str(content)


def _frames(data: NDArray[Any]) -> list[NDArray[Any]]:
    """Split a dataset of one or several frames; counters stay with their frame."""
    inner = 2 if data.ndim > 1 and data.shape[-1] <= MAX_COUNTERS else 1
    return list(data.reshape(-1, *data.shape[-inner:]))


def _read_epics(path: Path, file: Any) -> list[RawFrame]:
    frames = _frames(file[EPICS_DATA][()])
    if not frames:
        raise PatternFileError(f"{path}: {EPICS_DATA} contains no frame")
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
    """One value per frame, from an array of them or one for all; None if the file has none."""
    if name not in file:
        return [None] * n_frames
    values = np.ravel(file[name][()]).astype(np.float64)
    if values.size not in (1, n_frames):
        raise PatternFileError(
            f"{path}: {name} has {values.size} values for {n_frames} frames: it must have one, or one per "
            "frame"
        )
    return [float(v) for v in np.broadcast_to(values, n_frames)]


def _read_nxmonopd(path: Path, entry: Any) -> list[RawFrame]:
    instrument = _child(entry, "NXinstrument")
    detector, crystal = _child(instrument, "NXdetector"), _child(instrument, "NXcrystal")
    monitor = _child(entry, "NXmonitor")
    if "data" not in detector:
        raise PatternFileError(f"{path} is declared NXmonopd but has no detector data")
    counts = detector["data"][()]
    if counts.ndim != 1:
        raise PatternFileError(
            f"{path}: the data of NXmonopd have shape {counts.shape}, but must be one frame of shape (n,)"
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
    path: str | os.PathLike[str],
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
        File to write; it appears complete or not at all.
    frame
        Frame with wavelength, exposure and arm angle.
    detector
        Calibration, to write the angles.
    title, sample, source
        Title of the frame, name of the sample and of the facility.
    start_time
        Start of the exposure, with its time zone.
    n_counters, counter
        As in `strip_counts`: one counter is written to the file.

    Raises
    ------
    PatternFileError
        The frame has no wavelength, exposure or arm angle, or the start time no time zone.
    CalibrationError
        The frame does not fit the detector.
    PatternError
        The wavelength is not that of X-rays.
    """
    path = Path(path)
    if frame.wavelength_angstrom is None or frame.exposure_s is None or frame.arm_deg is None:
        raise PatternFileError(
            f"{path}: NXmonopd needs wavelength ({frame.wavelength_angstrom}), exposure ({frame.exposure_s}) "
            f"and arm angle ({frame.arm_deg}) of the frame"
        )
    if start_time.tzinfo is None:
        raise PatternFileError(f"{path}: start time {start_time} has no time zone: give one, such as UTC")
    values = strip_counts(frame.counts, detector.n_strips, n_counters, counter)
    angles = detector.two_theta(frame.arm_deg)
    import h5py

    part = path.with_name(path.name + ".part")
    with h5py.File(part, "w") as file:
        file.attrs["default"] = "entry"
        entry = _group(file, "entry", "NXentry")
        entry.attrs["default"] = "data"
        entry["title"] = title
        entry["start_time"] = start_time.isoformat()
        entry["definition"] = "NXmonopd"
        instrument = _group(entry, "instrument", "NXinstrument")
        beam = _group(instrument, "source", "NXsource")
        beam["type"], beam["name"], beam["probe"] = "Synchrotron X-ray Source", source, "x-ray"
        crystal = _group(instrument, "crystal", "NXcrystal")
        _dataset(crystal, "wavelength", check_wavelength(frame.wavelength_angstrom), "angstrom")
        strips = _group(instrument, "detector", "NXdetector")
        _dataset(strips, "polar_angle", angles, "degrees")
        _dataset(strips, "arm_angle", frame.arm_deg, "degrees")
        integers = np.where(np.isfinite(values), values, NO_COUNT).astype(np.int64)
        strips.create_dataset("data", data=integers, compression="gzip", shuffle=True).attrs["units"] = (
            "counts"
        )
        sample_group = _group(entry, "sample", "NXsample")
        sample_group["name"] = sample
        _dataset(sample_group, "rotation_angle", 0.0, "degrees")
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

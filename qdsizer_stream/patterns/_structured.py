"""Structured pattern files: PANalytical .xrdml, powder CIF, and NeXus HDF5."""

import itertools
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from ..errors import PatternFileError
from ._damaged_hdf5 import structure_checked
from ._table import Table

__all__ = ["is_powder_cif", "is_xrdml", "nexus_table", "powder_cif_table", "xrdml_table"]


def is_xrdml(text: str) -> bool:
    """Whether a text is a PANalytical .xrdml file.

    Parameters
    ----------
    text
        Content of the file.

    Returns
    -------
    True if it is XML with measurements.
    """
    return "<xrdMeasurement" in text


def xrdml_table(path: Path, text: str) -> Table:
    """Read the first scan of a PANalytical .xrdml file.

    Parameters
    ----------
    path
        File, for error messages.
    text
        Its content, any version of the schema.

    Returns
    -------
    Angles in degrees, intensity, and the Kα1 wavelength of the file.

    Raises
    ------
    PatternFileError
        The file is not complete.
    """
    try:
        root = ElementTree.fromstring(text.encode() if text.startswith("<?xml") else text)
    except (ElementTree.ParseError, LookupError) as error:  # the second: an encoding that is not known
        raise PatternFileError(f"{path} is not a complete .xrdml file: {error}") from error
    for element in root.iter():  # versions of the schema have namespaces of their own
        element.tag = element.tag.rpartition("}")[2]
    scans = root.findall(".//scan")
    points = None if not scans else scans[0].find("dataPoints")
    data = (
        None
        if points is None
        else next((points.find(k) for k in ("counts", "intensities") if points.find(k) is not None), None)
    )
    if points is None or data is None or not (data.text or "").split():
        raise PatternFileError(f"{path} is an .xrdml file without a scan")
    intensity = _numbers(path, data.text or "")
    factors = points.findtext("beamAttenuationFactors")
    if data.tag == "counts" and factors:  # counts are as measured, intensities are corrected already
        applied = _numbers(path, factors)
        if applied.size != intensity.size:
            raise PatternFileError(
                f"{path}: {applied.size} attenuation factors for {intensity.size} counts: the file is damaged"
            )
        intensity = intensity * applied
    angles = None
    for positions in points.findall("positions"):
        if positions.get("axis") == "2Theta":
            angles = _xrdml_angles(path, positions, intensity.size)
    if angles is None:
        raise PatternFileError(f"{path}: the scan has no 2Theta positions: is it a scan of another axis?")
    if angles.size != intensity.size:
        raise PatternFileError(
            f"{path}: {angles.size} 2Theta positions for {intensity.size} intensities: the file is damaged"
        )
    wavelength = root.findtext(".//usedWavelength/kAlpha1")
    warnings = (f"the file has {len(scans)} scans: the first is used",) if len(scans) > 1 else ()
    return Table(
        np.column_stack([angles, intensity]),
        (),
        ("2theta", "intensity"),
        warnings,
        float(_numbers(path, wavelength)[0]) if wavelength and wavelength.split() else None,
    )


def _xrdml_angles(path: Path, positions: ElementTree.Element, n_points: int) -> NDArray[np.float64] | None:
    if (listed := positions.findtext("listPositions")) is not None:
        return _numbers(path, listed)
    start, stop = positions.findtext("startPosition"), positions.findtext("endPosition")
    if start is None or stop is None:
        return None
    ends = _numbers(path, f"{start} {stop}")
    if ends.size != 2:
        raise PatternFileError(f"{path}: start {start!r} and end {stop!r} of 2Theta must be a number each")
    return np.linspace(float(ends[0]), float(ends[1]), n_points)


def _numbers(path: Path, text: str) -> NDArray[np.float64]:
    """Numbers between blanks."""
    try:
        return np.array(text.split(), dtype=np.float64)
    except ValueError as error:
        raise PatternFileError(f"{path}: {error}: give the file as the instrument wrote it") from error


def is_powder_cif(text: str) -> bool:
    """Whether a text is a CIF with powder data.

    Parameters
    ----------
    text
        Content of the file.

    Returns
    -------
    True if it has a data block and powder items.
    """
    return "_pd_" in text and re.search(r"^(data_|_pd_block_id)", text, re.MULTILINE) is not None


CIF_ANGLES = (
    "_pd_proc_2theta_corrected",
    "_pd_meas_2theta_scan",
    "_pd_meas_angle_2theta",
    "_pd_meas_2theta_corrected",
)
CIF_RANGES = ("_pd_meas_2theta_range_", "_pd_proc_2theta_range_")
CIF_INTENSITIES = (
    "_pd_meas_counts_total",
    "_pd_meas_intensity_total",
    "_pd_proc_intensity_total",
    "_pd_proc_intensity_net",
    "_pd_meas_counts",
)
CIF_WAVELENGTHS = ("_diffrn_radiation_wavelength", "_pd_proc_wavelength")


def powder_cif_table(path: Path, text: str) -> Table:
    """Read the first block with powder data of a CIF, with gemmi (extra `simulate`).

    Parameters
    ----------
    path
        File, for error messages.
    text
        Its content; numbers may have their standard deviation in parentheses.

    Returns
    -------
    Angles in degrees, intensity, and sigma where the intensities have one.

    Raises
    ------
    PatternFileError
        gemmi is not installed, the CIF cannot be parsed, or holds no angles and intensities.
    """
    try:
        from gemmi import cif
    except ImportError as error:
        fix = 'pip install "qdsizer-stream[simulate]", or export the data as .xye'
        raise PatternFileError(f"{path} is a powder CIF, which needs gemmi: {fix}") from error
    try:
        if re.search(r"^data_", text, re.MULTILINE) is None:  # .esg of MAUD: blocks without that line
            blocks = itertools.count()
            text = re.sub(r"^_pd_block_id", lambda _: f"data_{next(blocks)}\n_pd_block_id", text, flags=re.M)
        document = cif.read_string(text)
    except (ValueError, RuntimeError) as error:
        raise PatternFileError(f"{path} is not a valid CIF: {error}") from error
    for block in document:
        intensities = next((c for c in (list(block.find_values(tag)) for tag in CIF_INTENSITIES) if c), None)
        if intensities is None:
            continue
        angles = next((c for c in (list(block.find_values(tag)) for tag in CIF_ANGLES) if c), None)
        x: NDArray[np.float64] | None
        if angles is not None:
            x = np.array([_cif_number(cell)[0] for cell in angles])
        else:
            x = _cif_range(block, len(intensities))
        if x is None or x.size != len(intensities):
            continue
        pairs = np.array([_cif_number(cell) for cell in intensities])
        columns = [x, pairs[:, 0]] + ([pairs[:, 1]] if np.any(np.isfinite(pairs[:, 1])) else [])
        wavelength = next((w for w in (block.find_value(tag) for tag in CIF_WAVELENGTHS) if w), None)
        light = None if wavelength is None else _cif_number(wavelength)[0]
        return Table(
            np.column_stack(columns),
            (),
            ("2theta", "intensity", "sigma")[: len(columns)],
            warnings=(f"the file has {len(document)} blocks: the first with a pattern is used",)
            if len(document) > 1 and sum(map(_has_intensities, document)) > 1
            else (),
            wavelength_angstrom=light if light is not None and np.isfinite(light) else None,
        )
    raise PatternFileError(
        f"{path} is a CIF without a powder pattern against 2theta: it needs 2theta and counts or intensities"
    )


def _has_intensities(block: Any) -> bool:
    return any(len(block.find_values(tag)) > 0 for tag in CIF_INTENSITIES)


def _cif_range(block: Any, n_points: int) -> NDArray[np.float64] | None:
    for prefix in CIF_RANGES:
        ends = [block.find_value(f"{prefix}{end}") for end in ("min", "max")]
        if all(ends):
            low, high = (_cif_number(end)[0] for end in ends)
            return np.linspace(low, high, n_points)
        steps = [block.find_value(f"{prefix}{end}") for end in ("min", "inc")]
        if all(steps):
            low, step = (_cif_number(end)[0] for end in steps)
            return np.asarray(low + step * np.arange(n_points), dtype=np.float64)
    return None


def _cif_number(cell: str) -> tuple[float, float]:
    """Value and standard deviation of a cell such as 1234(35); NaN for ? and a missing deviation."""
    match = re.fullmatch(r"([+-]?[\d.]+(?:[eE][+-]?\d+)?)(?:\((\d+)\))?", cell.strip("'\""))
    if match is None:
        return float("nan"), float("nan")
    if match[2] is None:
        return float(match[1]), float("nan")
    decimals = len(match[1].partition(".")[2])
    return float(match[1]), int(match[2]) / 10**decimals


def nexus_table(path: Path) -> Table:
    """Read the default plot of a NeXus file: NXdata or NXcanSAS.

    Parameters
    ----------
    path
        HDF5 file.

    Returns
    -------
    First axis, signal and its errors, with their units in the names.

    Raises
    ------
    PatternFileError
        The file is damaged, or holds no one-dimensional NXdata.
    """
    import h5py

    try:
        with structure_checked(path), h5py.File(path) as file:
            data = _default_data(file)
            if data is None:
                raise PatternFileError(
                    f"{path} holds no NXdata group: raw frames need --raw, or export the pattern as .xye"
                )
            return _nxdata(path, data)
    except OSError as error:
        raise PatternFileError(f"{path}: cannot read this file: {error}") from error


def _default_data(file: Any) -> Any:
    """Follow the `default` attributes to an NXdata group, or take the first one."""
    import h5py

    group = file
    while isinstance(group, h5py.Group):
        if _text(group.attrs.get("NX_class")) == "NXdata":
            return group
        name = _text(group.attrs.get("default"))
        if not name or name not in group:
            break
        group = group[name]
    found: list[Any] = []
    file.visititems(
        lambda _, node: found.append(node) if _text(node.attrs.get("NX_class")) == "NXdata" else None
    )
    return found[0] if found else None


def _nxdata(path: Path, data: Any) -> Table:
    signal = _text(data.attrs.get("signal"))
    axes = data.attrs.get("axes", data.attrs.get("I_axes"))
    axis = _text(np.ravel(axes)[-1]) if axes is not None and np.size(axes) else ""
    if signal not in data or axis not in data:
        raise PatternFileError(f"{path}: {data.name} names no signal and axis that it contains")
    y, x = data[signal], data[axis]
    values = np.squeeze(y[()])
    if values.ndim == 2:  # a series of patterns: the newest
        warnings: tuple[str, ...] = (f"the file has {len(values)} patterns: the last is used",)
        values = values[-1]
    else:
        warnings = ()
    if values.ndim != 1 or np.squeeze(x[()]).shape != values.shape:
        raise PatternFileError(
            f"{path}: signal of shape {y.shape} on an axis of shape {x.shape}: one pattern of shape (n,) is "
            "needed"
        )
    columns, names = [np.squeeze(x[()]), values], [f"{axis} ({_text(x.attrs.get('units'))})", "intensity"]
    error_names = (_text(y.attrs.get("uncertainties")), f"{signal}_errors", "errors")
    for error in (name for name in error_names if name and name in data):
        columns.append(np.squeeze(data[error][()]).reshape(-1, values.size)[-1])
        names.append("sigma")
        break
    if "mask" in data:
        columns[1] = np.where(np.squeeze(data["mask"][()]).astype(bool), np.nan, columns[1])
    for name, column in zip(names, columns, strict=True):
        if column.dtype.kind not in "iuf":
            raise PatternFileError(
                f"{path}: {name.partition(' ')[0]} in {data.name} holds {column.dtype}, not real numbers"
            )
    return Table(np.column_stack(columns).astype(np.float64), (), tuple(names), warnings)


def _text(value: Any) -> str:
    if value is None:
        return ""
    import h5py

    content = value[()] if isinstance(value, h5py.Dataset) else value
    if isinstance(content, np.ndarray):
        content = content.flat[0] if content.size else ""
    return content.decode() if isinstance(content, bytes) else str(content)

"""Damaged files: every parser gives a result or its own error with the name of the file, and never hangs.

The damage follows the structure of a file: numbers, words, lines, columns and datasets are replaced, removed,
repeated and exchanged. The number of examples is that of the hypothesis profile:
`pytest --hypothesis-profile=fuzz tests/fuzz` tries for minutes.
"""

import os
import re
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qdsizer_stream.archive import JournalWriter, inspect_journal, read_journal
from qdsizer_stream.callbacks import LiveConfig
from qdsizer_stream.configuration import load_toml
from qdsizer_stream.errors import QdsizerError
from qdsizer_stream.models import load_model
from qdsizer_stream.patterns import Pattern, load_pattern
from qdsizer_stream.reduction import (
    AngleConvention,
    FlatLayout,
    nominal_detector,
    read_angle_calibration,
    read_bad_strips,
    read_flat_field,
    read_raw_frames,
    read_reduced,
    write_angle_calibration,
    write_reduced,
)
from qdsizer_stream.simulation import material_from_cif

HANG_S = 30
"""A parser that takes longer hangs: the valid files take milliseconds."""

SHORT, LONG = 15, int(os.environ.get("QDSIZER_FUZZ_EXAMPLES", "300"))
"""Examples per parser in the ordinary suite and in the slow one, where five minutes are about 20 000."""

# Damage --------------------------------------------------------------------------------------------------

VALUES = [
    "", "?", ".", "nan", "inf", "-inf", "1e400", "-1e400", "1e-400", "0", "-0", "-1", "1.", "1,5", "1e",
    "0x10", "999999999999999999999", "1(2)", "1(", "'", '"', ";", "#", "_", "loop_", "data_", "[", "]",
    "{", "}", "=",
    "true", "\x00", "\ufeff", "Å", "𝟙", "١", "\u2028", "1 2", "-", "+", "--", "/", "\t", "0.0.0", "None",
]  # fmt: skip
"""What stands in damaged files in place of a number or a word."""

TOKEN = re.compile(r"[^\s,;=\[\]{}'\"]+")

edits = st.lists(
    st.tuples(
        st.sampled_from(["token", "token", "drop token", "drop line", "repeat line", "swap", "cut", "byte"]),
        st.floats(0, 1, exclude_max=True),
        st.sampled_from(VALUES),
    ),
    min_size=1,
    max_size=4,
)
"""Kind of damage, where in the file, and what comes instead."""


def damaged(text: str, damage: list[tuple[str, float, str]]) -> bytes:
    """A text with each damage made in turn."""
    content = text
    raw: list[tuple[float, int]] = []
    for kind, where, value in damage:
        lines = content.splitlines(keepends=True)
        tokens = list(TOKEN.finditer(content))
        if kind in ("token", "drop token") and tokens:
            token = tokens[int(where * len(tokens))]
            new = value if kind == "token" else ""
            content = content[: token.start()] + new + content[token.end() :]
        elif kind in ("drop line", "repeat line", "swap") and lines:
            index = int(where * len(lines))
            line = lines[index]
            if kind == "drop line":
                del lines[index]
            elif kind == "repeat line":
                lines[index] = line * (1 + len(value))
            else:
                lines[index], lines[0] = lines[0], line
            content = "".join(lines)
        elif kind == "cut":
            content = content[: int(where * len(content))]
        else:
            raw.append((where, ord(value[0]) % 256 if value else 0xFF))
    encoded = bytearray(content.encode())
    for where, byte in raw:
        if encoded:
            encoded[int(where * len(encoded))] = byte
    return bytes(encoded)


@contextmanager
def in_time() -> Iterator[None]:
    """End a parser that hangs."""

    def late(*_: Any) -> None:
        raise AssertionError(f"the parser takes longer than {HANG_S} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(HANG_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def parse(path: Path, parser: Callable[[Path], Any]) -> None:
    """Nothing but a result or an own error that names the file."""
    with in_time(), warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        warnings.simplefilter("ignore", UserWarning)
        try:
            parser(path)
            return
        except QdsizerError as error:
            message = str(error)
    assert path.name in message, f"the message does not name the file: {message}"
    assert len(message) > len(str(path)) + 10


# Valid files -----------------------------------------------------------------------------------------------

CIF = """data_galena
_cell_length_a 5.936
_cell_length_b 5.936
_cell_length_c 5.936
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'F m -3 m'
_symmetry_Int_Tables_number 225
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
_atom_site_U_iso_or_equiv
Pb1 Pb2+ 0 0 0 1 0.012
S1 S2- 0.5 0.5 0.5 1 0.015(3)
"""

COLUMNS = "# 2theta (deg) intensity sigma\n" + "".join(
    f"{5 + 0.25 * index:.2f} {1000 + 37 * (index % 7):d} {31.6 + index / 100:.3f}\n" for index in range(60)
)

CSV = "Q (1/A);I;sigma\n" + "".join(
    f"{0.5 + 0.1 * index:.1f};{100 + index},5;{10 + index % 3},25\n".replace(".", ",") for index in range(50)
)

XRDML = """<?xml version="1.0" encoding="UTF-8"?>
<xrdMeasurements xmlns="http://www.xrdml.com/XRDMeasurement/1.5" status="Completed"><xrdMeasurement>
<usedWavelength intended="K-Alpha 1"><kAlpha1 unit="Angstrom">1.5406</kAlpha1></usedWavelength>
<scan appendNumber="0" mode="Continuous" scanAxis="Gonio" status="Completed"><dataPoints>
<positions axis="2Theta" unit="deg"><startPosition>10.0</startPosition>
<endPosition>12.9</endPosition></positions>
<commonCountingTime unit="seconds">1.00</commonCountingTime>
<intensities unit="counts">10 12 14 17 20 30 45 60 88 99 120 90 80 64 50 41 33 28 25 20 18 17 16 15 14 13
12 12 11 10</intensities></dataPoints></scan></xrdMeasurement></xrdMeasurements>
"""

TOML = """
[wavelength]
configuration_key = "mythen_wavelength"
unit = "angstrom"
[sizing]
model = "pbs"
[sizing.reduction]
arm_deg = 0.0
bit_depth = 24
[sizing.reduction.detector]
global_offset_deg = 0.0
modules = [{ centre_strip = 639.5, conversion_rad_per_strip = 6.579e-5, offset_deg = 0.0 }]
[accumulation]
mode = "reset"
min_counts = 1000
max_seconds = 60.0
"""


def off_file(folder: Path) -> str:
    path = folder / "valid.off"
    write_angle_calibration(path, nominal_detector(3, 0.0).modules, AngleConvention.PSI)
    return path.read_text()


def strips(step: int) -> str:
    return "".join(f"{index} {100 + index % 9}\n" for index in range(0, 1280, step))


COUNTS = [f"{100 + index % 9}" for index in range(64)]

ASC = (
    "*TYPE = Raw\n*WAVE_LENGTH1 = 1.5406\n*START = 5\n*STOP = 11.3\n*STEP = 0.1\n*COUNT = 64\n"
    + "\n".join(", ".join(COUNTS[row : row + 4]) for row in range(0, 64, 4))
    + "\n*END\n*EOF\n"
)
UDF = (
    "SampleIdent,PbS,/\nLabdaAlpha1, 1.5406,/\nDataAngleRange, 5.0, 11.3,/\nScanStepSize, 0.1,/\nRawScan\n"
    + ",\n".join(", ".join(COUNTS[row : row + 8]) for row in range(0, 64, 8))
    + "/\n"
)
MDI = "PbS 05-04-26\n5.0 0.1 1.0 CU 1.5406 11.3 64\n" + "\n".join(COUNTS) + "\n"
CPI = (
    "SIETRONICS XRD SCAN\n5.0\n11.3\n0.1\nCu\n1.5406\n4-5-2026\n1.0\nPbS\nSCANDATA\n"
    + "\n".join(COUNTS)
    + "\n"
)
XDD = "5 0.1 11.3\n" + "\n".join(COUNTS) + "\n"

TEXTS: dict[str, tuple[str, Callable[[Path], str], Callable[[Path], Any]]] = {
    "cif": (".cif", lambda _: CIF, material_from_cif),
    "columns": (".xye", lambda _: COLUMNS, lambda path: load_pattern(path, 0.5637)),
    "csv": (".csv", lambda _: CSV, load_pattern),
    "xrdml": (".xrdml", lambda _: XRDML, load_pattern),
    "Rigaku .asc": (".asc", lambda _: ASC, load_pattern),
    "Philips .udf": (".udf", lambda _: UDF, load_pattern),
    "Jade .mdi": (".mdi", lambda _: MDI, load_pattern),
    "Sietronics .cpi": (".cpi", lambda _: CPI, load_pattern),
    "TOPAS .xdd": (".xdd", lambda _: XDD, lambda path: load_pattern(path, 0.5637)),
    "settings": (".toml", lambda _: TOML, lambda path: load_toml(LiveConfig, path)),
    "angle calibration": (".off", off_file, lambda path: read_angle_calibration(path, "psi")),
    "bad strips": (".chans", lambda _: "5-6\n17\n100-110\n1200\n", lambda path: read_bad_strips(path, 1280)),
    "flat field": (
        ".flat",
        lambda _: strips(1),
        lambda path: read_flat_field(path, 1280, FlatLayout.COUNTS),
    ),
    "raw frame": (".raw", lambda _: strips(1), read_raw_frames),
}
"""Suffix, valid text and parser."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def tried(examples: int | None) -> Callable[[Any], Any]:
    """Settings of a test: its number of examples, or that of a profile such as `fuzz`."""
    profile = settings.get_current_profile_name()
    # Only the long search is another one each time: a check that is the same for all must not find by chance.
    number: dict[str, Any] = {"derandomize": profile != "fuzz"}
    if profile != "fuzz" and examples is not None:
        number["max_examples"] = examples
    health = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(deadline=None, suppress_health_check=health, **number)


def text_test(name: str, folder: Path, damage: list[tuple[str, float, str]]) -> None:
    suffix, valid, parser = TEXTS[name]
    path = folder / f"damaged{suffix}"
    path.write_bytes(damaged(valid(folder), damage))
    parse(path, parser)


@pytest.mark.parametrize("name", TEXTS)
def test_the_valid_texts_are_read(name: str, folder: Path) -> None:
    suffix, valid, parser = TEXTS[name]
    path = folder / f"valid-{name}{suffix}"
    path.write_text(valid(folder))
    parser(path)


@pytest.mark.slow
@pytest.mark.parametrize("name", TEXTS)
@given(damage=edits)
@tried(SHORT)
def test_damaged_texts(name: str, folder: Path, damage: list[tuple[str, float, str]]) -> None:
    text_test(name, folder, damage)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", TEXTS)
@given(damage=edits)
@tried(LONG)
def test_many_damaged_texts(name: str, folder: Path, damage: list[tuple[str, float, str]]) -> None:
    text_test(name, folder, damage)


# HDF5: the structure is damaged, or the file is cut; flipped bytes are for the library itself

HDF5_VALUES: list[Any] = [
    np.float64(np.nan), "text", b"\xff\xfe", np.int64(-1), np.zeros((0,)), np.zeros((3, 3)),
    np.full(40, np.inf), np.full(40, 1e300), np.arange(40)[::-1], np.zeros(40, bool), np.zeros(40, "S3"),
    np.array([1 + 2j] * 40),
    np.zeros(40, [("a", "f8"), ("b", "i4")]), h5py.Empty("f8"),
]  # fmt: skip

hdf5_edits = st.lists(
    st.tuples(
        st.sampled_from(["replace", "remove", "group", "attribute", "cut", "link"]),
        st.floats(0, 1, exclude_max=True),
        st.sampled_from(range(len(HDF5_VALUES))),
    ),
    min_size=1,
    max_size=3,
)


def reduced_file(path: Path) -> None:
    q = np.linspace(0.5, 4.4, 40)
    write_reduced(path, Pattern.from_arrays(q, 100 + 10 * np.sin(q), np.full(40, 3.0)), title="fuzz")


def nexus_file(path: Path) -> None:
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry")
        entry.attrs.update({"NX_class": "NXentry", "default": "data", "definition": "NXmonopd"})
        data = entry.create_group("data")
        data.attrs.update({"NX_class": "NXdata", "signal": "data", "axes": "polar_angle"})
        data["data"] = np.arange(40) % 7 + 100
        data["polar_angle"] = np.linspace(5, 40, 40)
        data["polar_angle"].attrs["units"] = "deg"


def raw_file(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = np.arange(2 * 1280, dtype="u4").reshape(2, 1280) % 50
        file["entry/data"].attrs["NX_class"] = "NXdata"


HDF5: dict[str, tuple[Callable[[Path], None], Callable[[Path], Any]]] = {
    "reduced": (reduced_file, read_reduced),
    "reduced as a pattern": (reduced_file, load_pattern),
    "nexus": (nexus_file, lambda path: load_pattern(path, 0.5637)),
    "raw": (raw_file, read_raw_frames),
}


def hdf5_test(name: str, folder: Path, damage: list[tuple[str, float, int]]) -> None:
    write, parser = HDF5[name]
    path = folder / "damaged.h5"
    path.unlink(missing_ok=True)
    write(path)
    for kind, where, index in damage:
        if kind == "cut":
            path.write_bytes(path.read_bytes()[: int(where * path.stat().st_size)])
            break
        with h5py.File(path, "r+") as file:
            names: list[str] = []
            file.visit(names.append)
            if not names:
                break
            chosen = sorted(names)[int(where * len(names))]
            if kind == "attribute":
                file[chosen].attrs[["signal", "axes", "units", "NX_class"][index % 4]] = HDF5_VALUES[index]
                continue
            del file[chosen]
            if kind == "replace":
                file[chosen] = HDF5_VALUES[index]
            elif kind == "group":
                file.create_group(chosen)
            elif kind == "link":
                file[chosen] = h5py.ExternalLink("nowhere.h5", "/data")
    parse(path, parser)


@pytest.mark.slow
@pytest.mark.parametrize("name", HDF5)
@given(damage=hdf5_edits)
@tried(SHORT)
def test_damaged_hdf5(name: str, folder: Path, damage: list[tuple[str, float, int]]) -> None:
    hdf5_test(name, folder, damage)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", HDF5)
@given(damage=hdf5_edits)
@tried(LONG)
def test_many_damaged_hdf5(name: str, folder: Path, damage: list[tuple[str, float, int]]) -> None:
    hdf5_test(name, folder, damage)


# Binary files: model and journal ---------------------------------------------------------------------------

flips = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "zeros", "repeat"]),
        st.floats(0, 1, exclude_max=True),
        st.integers(0, 255),
    ),
    min_size=1,
    max_size=3,
)


def flipped(content: bytes, damage: list[tuple[str, float, int]]) -> bytes:
    """Bytes with each damage made in turn."""
    changed = bytearray(content)
    for kind, where, byte in damage:
        position = int(where * len(changed))
        if kind == "flip" and changed:
            changed[position] ^= max(byte, 1)
        elif kind == "cut":
            del changed[position:]
        elif kind == "zeros":
            changed[position : position + byte] = bytes(byte)
        else:
            changed[position:position] = changed[position : position + byte]
    return bytes(changed)


@pytest.fixture(scope="module")
def model_file() -> bytes:
    import qdsizer_stream.models

    return (Path(qdsizer_stream.models.__file__).parent / "shipped" / "pbs-paper.onnx").read_bytes()


@pytest.mark.slow
@given(damage=flips)
@tried(SHORT)
def test_damaged_models(folder: Path, model_file: bytes, damage: list[tuple[str, float, int]]) -> None:
    path = folder / "damaged.onnx"
    path.write_bytes(flipped(model_file, damage))
    parse(path, load_model)


def journal_file(path: Path) -> bytes:
    with path.open("wb", buffering=0) as file:
        journal = JournalWriter(file)
        journal.append("start", {"uid": "a", "time": 0.0})
        for index in range(5):
            journal.append("event", {"uid": f"{index}", "data": {"image": np.arange(100)}})
        journal.append("stop", {"run_start": "a", "uid": "z"})
    return path.read_bytes()


def journal_test(folder: Path, damage: list[tuple[str, float, int]]) -> None:
    content = journal_file(folder / "valid.spool")
    path = folder / "damaged.spool"
    path.write_bytes(flipped(content, damage))

    def read(path: Path) -> None:
        list(read_journal(path))
        inspect_journal(path)

    parse(path, read)


@given(damage=flips)
@tried(SHORT)
def test_damaged_journals(folder: Path, damage: list[tuple[str, float, int]]) -> None:
    journal_test(folder, damage)


@pytest.mark.slow
@pytest.mark.timeout(900)
@given(damage=flips)
@tried(LONG)
def test_many_damaged_journals(folder: Path, damage: list[tuple[str, float, int]]) -> None:
    journal_test(folder, damage)

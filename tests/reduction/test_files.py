from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pytest

from qdsizer_stream.errors import PatternFileError
from qdsizer_stream.patterns import BinGrid, Pattern, read_pattern
from qdsizer_stream.reduction import (
    RawFrame,
    Reducer,
    ReductionConfig,
    nominal_detector,
    read_raw_frames,
    read_reduced,
    write_nxmonopd,
    write_raw_text,
    write_reduced,
    write_xye,
)

DETECTOR = nominal_detector(2, 2.0)
COUNTS = np.random.default_rng(0).poisson(40, 2560)
WAVELENGTH = 0.5636
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def test_raw_text_of_a_beamline(tmp_path: Path) -> None:
    path = tmp_path / "frame_0001.raw"
    path.write_text("".join(f"{strip} {count}\n" for strip, count in enumerate(COUNTS)))
    (frame,) = read_raw_frames(path)
    assert np.array_equal(frame.counts, COUNTS)
    assert frame.exposure_s is None


def test_raw_text_with_decimals_in_any_order_and_with_holes(tmp_path: Path) -> None:
    path = tmp_path / "frame.raw"
    path.write_text("# strip counts\n1300 7.000000\n0 47.000000\n")
    (frame,) = read_raw_frames(path)
    assert frame.counts.shape == (2560,)
    assert frame.counts[[0, 1300]].tolist() == [47, 7]
    assert np.count_nonzero(np.isnan(frame.counts)) == 2558


def test_raw_text_survives_a_round_trip(tmp_path: Path) -> None:
    write_raw_text(tmp_path / "a.raw", COUNTS)
    assert np.array_equal(read_raw_frames(tmp_path / "a.raw")[0].counts, COUNTS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "contains no frame: it must have rows 'strip counts'"),
        ("0 1\n0 2\n", "line 2: strip 0 is given twice"),
        ("-1 5\n", "line 1: strip -1 does not exist: give 0 … 184319"),
        (
            "10.083837 2415 49\n",
            "line 1: '10.083837 2415 49' is not a row of a raw frame: rows must be 'strip counts'",
        ),
        (
            "3 2415 49\n",
            r"line 1: 3 columns, but a raw frame has 2 \(strip and counts\): is it already reduced\?",
        ),
        ("7\n", "line 1: '7' is not a row of a raw frame"),
    ],
)
def test_text_that_is_no_raw_frame(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "frame.raw"
    path.write_text(text)
    with pytest.raises(PatternFileError, match=message):
        read_raw_frames(path)


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(PatternFileError, match=r"cannot read .*none.raw: No such file"):
        read_raw_frames(tmp_path / "none.raw")
    with pytest.raises(PatternFileError, match=r"cannot read .*none.h5"):
        read_raw_frames(tmp_path / "none.h5")
    (tmp_path / "bytes.raw").write_bytes(b"\x89HDF\xff\xfe")
    with pytest.raises(PatternFileError, match=r"is neither text nor, by its suffix, HDF5"):
        read_raw_frames(tmp_path / "bytes.raw")
    (tmp_path / "text.h5").write_text("0 1\n")
    with pytest.raises(PatternFileError, match=r"cannot read .*text.h5"):
        read_raw_frames(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["scan"] = 1
    with pytest.raises(PatternFileError, match=r"is neither NXmonopd nor does it contain .*: found scan"):
        read_raw_frames(tmp_path / "other.h5")


@pytest.mark.parametrize(
    ("shape", "each"),
    [
        ((2560,), (2560,)),
        ((3, 2560), (2560,)),
        ((3, 1, 2560), (2560,)),
        ((2560, 3), (2560, 3)),
        ((4, 2560, 3), (2560, 3)),
    ],
)
def test_hdf5_of_the_epics_file_writer(tmp_path: Path, shape: tuple[int, ...], each: tuple[int, ...]) -> None:
    path = tmp_path / "name_0060.h5"
    data = np.arange(np.prod(shape), dtype=np.uint32).reshape(shape)
    n_frames = data.size // int(np.prod(each))
    with h5py.File(path, "w") as file:
        file["entry/instrument/detector/data"] = data
        file["entry/instrument/NDAttributes/DetectorAngle"] = 5.0 + np.arange(n_frames)
        file["entry/instrument/NDAttributes/AcquireTime"] = 0.5
        file["entry/instrument/NDAttributes/Izero"] = np.full(n_frames, 1000)
    frames = read_raw_frames(path)
    assert len(frames) == n_frames
    assert [frame.arm_deg for frame in frames] == [5.0 + n for n in range(n_frames)]
    assert all(frame.exposure_s == 0.5 and frame.monitor == 1000 for frame in frames)
    assert all(frame.counts.shape == each for frame in frames)
    assert np.array_equal(np.concatenate([f.counts.ravel() for f in frames]), data.ravel())


def test_hdf5_with_angles_for_other_frames_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["entry/instrument/detector/data"] = np.zeros((4, 1280), "u4")
        file["entry/instrument/NDAttributes/DetectorAngle"] = np.zeros(3)
    with pytest.raises(
        PatternFileError, match="DetectorAngle has 3 values for 4 frames: it must have one, or one per frame"
    ):
        read_raw_frames(path)


def nxmonopd(path: Path, **changes: object) -> None:
    frame = RawFrame(counts=COUNTS, exposure_s=2.0, arm_deg=3.5, monitor=1e5, wavelength_angstrom=WAVELENGTH)
    write_nxmonopd(
        path, RawFrame(**{**vars(frame), **changes}), DETECTOR,  # type: ignore[arg-type]
        title="PbS growing", sample="PbS in toluene", source="a ring", start_time=NOON,
    )  # fmt: skip


def test_nxmonopd_survives_a_round_trip(tmp_path: Path) -> None:
    nxmonopd(tmp_path / "frame.nxs")
    (frame,) = read_raw_frames(tmp_path / "frame.nxs")
    assert np.array_equal(frame.counts, COUNTS)
    assert (frame.exposure_s, frame.arm_deg, frame.monitor) == (2.0, 3.5, 1e5)
    assert frame.wavelength_angstrom == WAVELENGTH


def test_nxmonopd_has_what_the_definition_requires(tmp_path: Path) -> None:
    nxmonopd(tmp_path / "frame.nxs")
    with h5py.File(tmp_path / "frame.nxs") as file:
        entry = file["entry"]
        assert entry["definition"][()] == b"NXmonopd"
        assert entry["start_time"][()] == b"2026-05-04T12:00:00+00:00"
        for path in (
            "title", "instrument/source/type", "instrument/source/name", "instrument/source/probe",
            "instrument/crystal/wavelength", "instrument/detector/polar_angle", "instrument/detector/data",
            "sample/name", "sample/rotation_angle", "monitor/mode", "monitor/preset", "monitor/integral",
            "data/polar_angle", "data/data",
        ):  # fmt: skip
            assert path in entry
        assert entry["instrument/crystal/wavelength"].attrs["units"] == "angstrom"
        assert entry["instrument/detector/data"].dtype.kind == "i"
        assert entry["data/data"] == entry["instrument/detector/data"]
        assert np.array_equal(entry["data/polar_angle"][()], DETECTOR.two_theta(3.5))
        classes = {
            name: group.attrs["NX_class"] for name, group in entry.items() if "NX_class" in group.attrs
        }
    assert classes == {
        "data": "NXdata",
        "instrument": "NXinstrument",
        "monitor": "NXmonitor",
        "sample": "NXsample",
    }


def test_strips_without_a_count_stay_so_in_nxmonopd(tmp_path: Path) -> None:
    counts = COUNTS.astype(float)
    counts[7] = np.nan
    nxmonopd(tmp_path / "frame.nxs", counts=counts)
    (frame,) = read_raw_frames(tmp_path / "frame.nxs")
    pooled = Reducer(DETECTOR).pool(frame.counts, WAVELENGTH)
    assert np.flatnonzero(pooled.pattern().mask).tolist() == [7]


def test_nxmonopd_that_lacks_something(tmp_path: Path) -> None:
    with pytest.raises(PatternFileError, match=r"NXmonopd needs wavelength \(None\)"):
        nxmonopd(tmp_path / "a.nxs", wavelength_angstrom=None)
    assert not list(tmp_path.iterdir())
    nxmonopd(tmp_path / "frame.nxs")
    with h5py.File(tmp_path / "frame.nxs", "r+") as file:
        del file["entry/instrument/detector/data"]
    with pytest.raises(PatternFileError, match="is declared NXmonopd but has no detector data"):
        read_raw_frames(tmp_path / "frame.nxs")


def test_time_without_a_zone_is_refused(tmp_path: Path) -> None:
    frame = RawFrame(counts=COUNTS, exposure_s=1, arm_deg=0, wavelength_angstrom=WAVELENGTH)
    with pytest.raises(PatternFileError, match="has no time zone"):
        write_nxmonopd(
            tmp_path / "a.nxs", frame, DETECTOR, title="", sample="", source="",
            start_time=NOON.replace(tzinfo=None),
        )  # fmt: skip


def reduced() -> tuple[Reducer, Pattern]:
    grid = BinGrid(q_first_inv_angstrom=0.5, q_step_inv_angstrom=0.02, n_bins=60)
    reducer = Reducer(ReductionConfig(detector=DETECTOR, arm_deg=0.0, bins=grid))
    return reducer, reducer.reduce(COUNTS, WAVELENGTH)


def test_reduced_pattern_survives_a_round_trip(tmp_path: Path) -> None:
    reducer, pattern = reduced()
    path = tmp_path / "pattern.h5"
    flat = np.full(60, 0.1)
    write_reduced(
        path, pattern, title="PbS", systematic={"flat_field": flat}, provenance=reducer.provenance()
    )
    again, provenance = read_reduced(path)
    for name in ("q_inv_angstrom", "intensity", "sigma", "mask"):
        assert np.array_equal(getattr(again, name), getattr(pattern, name), equal_nan=name != "mask")
    assert again.mask.any()
    assert ReductionConfig.model_validate(provenance["settings"]) == reducer.config
    with h5py.File(path) as file:
        entry, data = file["entry"], file["entry/data"]
        assert entry["definition"][()] == b"NXcanSAS"
        assert (entry.attrs["canSAS_class"], data.attrs["canSAS_class"]) == ("SASentry", "SASdata")
        assert data[data.attrs["signal"]].attrs["uncertainties"] == "Idev"
        assert data["Q"].attrs["units"] == "1/angstrom"
        assert np.array_equal(data["Idev_flat_field"][()], flat)


def test_file_that_is_no_reduced_pattern(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["entry/data/Q"] = [1.0]
    with pytest.raises(PatternFileError, match="is not a reduced pattern of this package"):
        read_reduced(tmp_path / "a.h5")
    with pytest.raises(PatternFileError, match="cannot read"):
        read_reduced(tmp_path / "none.h5")


def test_xye_reads_back_through_the_pattern_reader(tmp_path: Path) -> None:
    _, pattern = reduced()
    write_xye(tmp_path / "a.xye", pattern, WAVELENGTH)
    again = read_pattern(tmp_path / "a.xye", WAVELENGTH)
    assert again.q_inv_angstrom == pytest.approx(pattern.q_inv_angstrom[pattern.usable])
    assert again.intensity == pytest.approx(pattern.intensity[pattern.usable])
    assert again.sigma == pytest.approx(pattern.sigma[pattern.usable])

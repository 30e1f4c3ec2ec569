"""Pattern files in the layouts in which programs write them, each made here, against their numbers."""

import bz2
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from qdsizer_stream.errors import PatternError, PatternFileError, PatternFileWarning
from qdsizer_stream.patterns import Axis, LoadedPattern, load_pattern, q_from_two_theta, read_pattern

WAVELENGTH = 0.5637
ANGLES = np.round(5 + 0.02 * np.arange(2500), 4)
Q = q_from_two_theta(ANGLES, WAVELENGTH)
CURVE = 900 * np.exp(-((Q - 1.35) ** 2) / 0.2) + 250 * np.exp(-Q / 5) + 40
for centre, height in ((1.83, 120), (2.12, 220), (2.99, 200), (3.51, 90), (4.24, 60), (5.2, 60)):
    CURVE = CURVE + height * np.exp(-((Q - centre) ** 2) / 0.008)
COUNTS = np.random.default_rng(0).poisson(4 * CURVE).astype(float)
SIGMA = np.sqrt(COUNTS + 1)

Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(content: str | bytes) -> Path:
        path = tmp_path / "pattern.dat"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return to_file


def rows(*columns: NDArray[np.float64], separator: str = " ", form: str = "{:.10g}") -> str:
    return "".join(
        separator.join(form.format(value) for value in row) + "\n" for row in zip(*columns, strict=True)
    )


def load(path: Path, wavelength: float | None = WAVELENGTH, axis: Axis | str | None = None) -> LoadedPattern:
    return load_pattern(path, wavelength, axis)


def is_counted(loaded: LoadedPattern, about: str = "") -> None:
    """The pattern is the counts of this test, and its sigma that of counts."""
    assert loaded.pattern.q_inv_angstrom == pytest.approx(Q, rel=1e-6)
    assert loaded.pattern.intensity == pytest.approx(COUNTS, rel=1e-9)
    # The scatter of 2500 points gives the scale of the variance to 4 %.
    assert np.median(loaded.pattern.sigma / SIGMA) == pytest.approx(1, abs=0.06)
    assert any(about in message for message in loaded.warnings) if about else not loaded.warnings
    assert loaded.photons_known


# Text ---------------------------------------------------------------------------------------------

COMMA = rows(ANGLES, COUNTS, SIGMA, separator=";").replace(".", ",")

TEXTS: dict[str, str | bytes] = {
    "two columns": rows(ANGLES, COUNTS),
    "three columns": rows(ANGLES, COUNTS, SIGMA),
    "descending": rows(ANGLES[::-1], COUNTS[::-1], SIGMA[::-1]),
    "decimal comma, semicolons": COMMA,
    "decimal comma, tabs": COMMA.replace(";", "\t"),
    "decimal comma, blanks and names": "2theta Intensity Sigma\n" + COMMA.replace(";", "   "),
    "decimal comma, two columns": rows(ANGLES, COUNTS, separator="\t").replace(".", ","),
    "cp1252 degree sign": "# Winkel in °, Wellenlänge 0.5637 Å\n".encode("cp1252")
    + rows(ANGLES, COUNTS).encode(),
    "utf-16 with byte order mark": rows(ANGLES, COUNTS).encode("utf-16"),
    "utf-16 without one": rows(ANGLES, COUNTS).encode("utf-16-le"),
    "utf-8 with byte order mark": rows(ANGLES, COUNTS).encode("utf-8-sig"),
    "quoted csv": '"2theta","counts"\n'
    + "".join(f'"{x:.4f}","{y:.0f}"\n' for x, y in zip(ANGLES, COUNTS, strict=True)),
    "fortran exponents": rows(ANGLES, COUNTS, form="{:.8E}").replace("E", "D"),
    "a column of words": "".join(f"{x:.4f},{y:.0f},ok\n" for x, y in zip(ANGLES, COUNTS, strict=True)),
    "trailing separators": "".join(f"{x:.4f},{y:.0f},,\n" for x, y in zip(ANGLES, COUNTS, strict=True)),
    "end mark EOF": rows(ANGLES, COUNTS) + "EOF\n",
    "a footer": rows(ANGLES, COUNTS) + "measured on a rainy day\n",
    "apostrophe comments below": rows(ANGLES, COUNTS) + "' end of scan\n",
    "exclamation marks above": "! a comment\n" + rows(ANGLES, COUNTS),
    "SRS header": "&SRS\nSRSRUN=1234,SRSDAT=20260504\n&END\n" + rows(ANGLES, COUNTS),
    "carriage returns": rows(ANGLES, COUNTS).replace("\n", "\r\n"),
    "gzip": gzip.compress(rows(ANGLES, COUNTS).encode()),
    "bzip2": bz2.compress(rows(ANGLES, COUNTS).encode()),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TEXTS)
def test_text_of_every_kind_is_read(write: Write, name: str) -> None:
    is_counted(load(write(TEXTS[name])))


def test_gaps_written_as_minus_one_or_zero_are_masked(write: Write) -> None:
    for value in (-1.0, 0.0):
        holed = COUNTS.copy()
        holed[600:720] = value
        loaded = load(write(rows(ANGLES, holed)))
        assert f"120 points at {value:g}: taken as a gap and masked" in loaded.warnings
        assert np.array_equal(np.flatnonzero(loaded.pattern.mask), np.arange(600, 720))
        assert loaded.pattern.intensity[loaded.pattern.usable] == pytest.approx(
            np.delete(COUNTS, np.s_[600:720])
        )


def test_zeros_of_weak_counts_are_no_gap(write: Write) -> None:
    weak = np.random.default_rng(1).poisson(0.004 * CURVE).astype(float)
    loaded = load(write(rows(ANGLES, weak)))
    assert not loaded.pattern.mask.any()
    assert not any("gap" in message for message in loaded.warnings)


def test_a_cut_file_is_noticed(write: Write) -> None:
    text = "PbS in toluene\n2-Theta Angle (Degrees)\nIntensity\n  2600\n" + rows(ANGLES, COUNTS)
    assert load(write(text)).warnings == (
        "the header declares 2600 points, the file has 2500: is it complete?",
    )
    complete = text.replace("2600", "2500")
    assert load(write(complete)).warnings == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "14.1680 1022\n14.168110228\n",
            r"line 2: '14\.168110228' is one number after rows of 2: .* fixed width",
        ),
        (
            b"RAW1.01" + bytes(50),
            "is a Bruker RAW file .version 3., which cannot be read: export it as .xy or .uxd",
        ),
        (b"RAW4.00" + bytes(50), "version 4.*: export it as .xy from DIFFRAC.EVA"),
        (b"RAW_1.06" + bytes(50), "a STOE RAW file, .* from WinXPOW"),
        (b"PK\x03\x04" + bytes(50), "ZIP archive, such as Bruker .brml"),
        (
            b"II*\x00" + bytes(50),
            "is an image, which cannot be read: integrate it to intensity against 2θ or Q",
        ),
        (bytes(range(32)) * 20, "is not a text file"),
        (b"BZh9 not really", "cannot decompress this file"),
    ],
)
def test_what_cannot_be_read_is_named_with_the_fix(write: Write, content: str | bytes, message: str) -> None:
    path = write(content)
    with pytest.raises(PatternFileError, match=message) as failure:
        load(path)
    assert str(path) in str(failure.value)


# Columns -------------------------------------------------------------------------------------------

BACKGROUND = 4 * (250 * np.exp(-Q / 5) + 40)
MODEL = 4 * CURVE
SECOND = np.random.default_rng(5).poisson(4 * CURVE).astype(float)
PER_CENT = 100 * SIGMA / np.maximum(COUNTS, 1)

NAMED: dict[str, str] = {
    "observed, weight, calculated, background, Q": '"x","y_obs","weight","y_calc","y_bkg","Q"\n'
    + rows(ANGLES, COUNTS, 1 / SIGMA**2, MODEL, BACKGROUND, Q, separator=","),
    "per cent": "# tth I err%\n" + rows(ANGLES, COUNTS, PER_CENT),
    "observed, calculated, difference": "# 2theta Iobs Icalc diff\n"
    + rows(ANGLES, COUNTS, MODEL, COUNTS - MODEL),
    "observed, background": "# 2theta Iobs Ibkg\n" + rows(ANGLES, COUNTS, BACKGROUND),
    "PANalytical csv": "Angle,TimePerStep,Intensity,ESD\n"
    + rows(ANGLES, np.full(ANGLES.size, 30.0), COUNTS, SIGMA, separator=","),
    "angle, Q, intensity, sigma": "# tth q I sigma\n" + rows(ANGLES, Q, COUNTS, SIGMA),
    "variance": "# 2theta intensity variance\n" + rows(ANGLES, COUNTS, SIGMA**2),
    "sigma before the intensity": "# 2theta esd counts\n" + rows(ANGLES, SIGMA, COUNTS),
    "pyFAI 2th_deg": "# == pyFAI calibration ==\n#     2th_deg    I    sigma\n" + rows(ANGLES, COUNTS, SIGMA),
    "pyFAI 2th_rad": "#     2th_rad    I    sigma\n" + rows(np.radians(ANGLES), COUNTS, SIGMA),
    "attenuator and sigma": "# tth I attenuator esd\n"
    + rows(ANGLES, COUNTS / 4, np.full(ANGLES.size, 4.0), SIGMA / 4),
    "milliradians": "# 2th_mrad I\n" + rows(1000 * np.radians(ANGLES), COUNTS),
    "pyFAI q_A^-1": "#     q_A^-1    I    sigma\n" + rows(Q, COUNTS, SIGMA),
    "pyFAI q_nm^-1": "#     q_nm^-1    I    sigma\n" + rows(10 * Q, COUNTS, SIGMA),
    "Q and units": "Q (nm-1), Intensity (counts), Error\n" + rows(10 * Q, COUNTS, SIGMA, separator=","),
    "FIT2D Q": "PbS\nQ (Inverse Nanometres)\nIntensity\n 2500\n" + rows(10 * Q, COUNTS),
    "FIT2D 2theta": "PbS\n2-Theta Angle (Degrees)\nIntensity\n 2500\n" + rows(ANGLES, COUNTS),
    "SrXgui": "# SrXgui configration #\nintegrationspace = qspace\n#### start data\n"
    + rows(Q, COUNTS, SIGMA),
    "mean over Q": "# chi_Q chi_I\n" + rows(Q, COUNTS),
    "xPDFsuite": "[DEFAULT]\nversion = 1.0\nqmax = 20\n#### start data\n#S 1\n#L Q(A^-1) I(Q)\n"
    + rows(Q, COUNTS),
}


NAMED |= {
    "row numbers of pandas": ",2theta,I,sigma\n"
    + rows(np.arange(ANGLES.size), ANGLES, COUNTS, SIGMA, separator=","),
    "units below the names": "Q I dI\nnm-1 counts counts\n" + rows(10 * Q, COUNTS, SIGMA),
    "Origin": "Q\tIntensity\nnm\\+(-1)\tcounts\n\tPbS 4 nm\n" + rows(10 * Q, COUNTS, separator="\t"),
    "radians below the names": "2theta,Intensity\nrad,counts\n"
    + rows(np.radians(ANGLES), COUNTS, separator=","),
    "a mark below the names": "q_nm^-1 I\n[Data]\n" + rows(10 * Q, COUNTS),
    "unit of the axis": "# radial unit = q_nm^-1\n# x y e\n" + rows(10 * Q, COUNTS, SIGMA),
    "per metre": "# q(1/m) I\n" + rows(1e10 * Q, COUNTS),
    "per centimetre": "# Q(cm-1) I\n" + rows(1e8 * Q, COUNTS),
    "error of Q": "# Q I Q_err I_err\n" + rows(Q, COUNTS, 0.01 + 0.001 * Q, SIGMA),
    "only an error of Q": "# Q I sigmaQ\n" + rows(Q, COUNTS, 0.01 + 0.002 * Q),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMED)
def test_columns_are_found_by_their_names(write: Write, name: str) -> None:
    is_counted(load(write(NAMED[name])))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("third", "reason"),
    [
        (np.ones(ANGLES.size), "it is 1 everywhere"),
        (np.full(ANGLES.size, 7.0), "it is 7 everywhere"),
        (np.zeros(ANGLES.size), "it is zero everywhere"),
        (-SIGMA, "it is negative or zero everywhere"),
        (1 / SIGMA**2, r"it does not rise with the intensity (power -1.00)"),
        (PER_CENT, "it does not rise with the intensity (power -0.50)"),
        (MODEL, "it rises in proportion to the intensity (power 1."),
        (SECOND, "it rises in proportion to the intensity (power 1."),
        (SIGMA**2, "it is above the intensity everywhere"),
        (0.005 * BACKGROUND + 1, r"it is 0.15 times the error of the counts"),
        (BACKGROUND / 3, "it is 6.7 times the error of the counts"),
        (0.8 * MODEL, "it rises in proportion to the intensity (power 1."),
        (np.where(np.arange(ANGLES.size) % 50, SIGMA, -1.0), "50 of its values are negative"),
    ],
)
def test_a_third_column_that_is_not_sigma_is_not_used(
    write: Write, third: NDArray[np.float64], reason: str
) -> None:
    loaded = load(write(rows(ANGLES, COUNTS, third)))
    is_counted(loaded, f"the third column is not used as sigma ({reason}")
    assert loaded.sigma_source == "scatter of neighbouring points"


@pytest.mark.slow
@pytest.mark.parametrize("factor", [10.0, 0.05])
def test_the_error_of_counts_does_not_belong_to_a_rate(write: Write, factor: float) -> None:
    loaded = load(write("# 2theta I sigma\n" + rows(ANGLES, COUNTS / factor, SIGMA)))
    assert any(
        f"intensities are counts divided by {factor:.3g}"[:38] in message for message in loaded.warnings
    )
    assert np.median(loaded.pattern.sigma / (SIGMA / factor)) == pytest.approx(1, abs=0.06)
    assert not loaded.photons_known
    right = load(write("# 2theta I sigma\n" + rows(ANGLES, COUNTS / factor, SIGMA / factor)))
    assert right.warnings == ()
    assert right.pattern.sigma == pytest.approx(SIGMA / factor, rel=1e-6)
    assert right.photons_known


@pytest.mark.slow
@pytest.mark.parametrize(
    "sigma",
    [
        SIGMA,  # counts
        np.sqrt(COUNTS) / 2.5,  # better than that of the counts, but not beyond belief
        np.sqrt(COUNTS + 3000),  # with a subtracted background
        np.hypot(SIGMA, 0.02 * COUNTS),  # with an error in proportion
        SIGMA * np.random.default_rng(2).uniform(0.7, 1.4, ANGLES.size),  # with flat field and gaps
    ],
)
def test_a_third_column_that_behaves_like_sigma_is_used(write: Write, sigma: NDArray[np.float64]) -> None:
    sigma = np.maximum(sigma, 1e-3)
    loaded = load(write(rows(ANGLES, COUNTS, sigma)))
    assert loaded.warnings == ()
    assert loaded.pattern.sigma == pytest.approx(sigma, rel=1e-6)
    assert loaded.sigma_source == "column 3"


def test_an_error_that_a_name_vouches_for_may_be_in_proportion(write: Write) -> None:
    loaded = load(write("# 2theta I sigma\n" + rows(ANGLES, COUNTS, 0.05 * COUNTS + 0.1)))
    assert loaded.warnings == ()
    assert loaded.pattern.sigma == pytest.approx(0.05 * COUNTS + 0.1, rel=1e-6)


def test_counts_scaled_by_a_monitor_have_the_noise_of_their_scatter(write: Write) -> None:
    loaded = load(write(rows(ANGLES, COUNTS * 1e-9)))
    assert np.median(loaded.pattern.sigma / (SIGMA * 1e-9)) == pytest.approx(1, abs=0.06)
    assert loaded.warnings == ()
    assert not loaded.photons_known


def test_a_subtracted_background_leaves_its_noise(write: Write) -> None:
    background = 3000 * np.exp(-Q / 8) + 1500
    counts = np.random.default_rng(3).poisson(4 * CURVE + background)
    loaded = load(write(rows(ANGLES, counts - background)))
    truth = np.sqrt(4 * CURVE + background)
    assert np.median(loaded.pattern.sigma / truth) == pytest.approx(1, abs=0.12)
    weakest = np.argsort(CURVE)[:600]  # counting alone would give 160^0.5, a quarter of what it is
    assert np.median((loaded.pattern.sigma / truth)[weakest]) == pytest.approx(1, abs=0.2)
    assert not loaded.photons_known
    assert any("a background was subtracted" in message for message in loaded.warnings)


def test_a_rolling_minimum_is_recognised(write: Write) -> None:
    counts = np.random.default_rng(4).poisson(4 * CURVE + 2000.0)
    lowest = np.array([counts[max(i - 60, 0) : i + 61].min() for i in range(counts.size)])
    loaded = load(write(rows(ANGLES, (counts - lowest).astype(float))))
    assert any("give the file without that subtraction" in message for message in loaded.warnings)


# Formats -------------------------------------------------------------------------------------------


def ras(attenuator: NDArray[np.float64]) -> str:
    return (
        '*RAS_DATA_START\n*RAS_HEADER_START\n*HW_XG_WAVE_LENGTH_ALPHA1 "0.563700"\n'
        '*MEAS_SCAN_AXIS_X "TwoThetaTheta"\n'
        "*RAS_HEADER_END\n*RAS_INT_START\n"
        + rows(ANGLES, COUNTS / attenuator, attenuator)
        + "*RAS_INT_END\n*RAS_DATA_END\n"
    )


def fxye() -> str:
    head = "PbS in toluene\nBANK 1 2500 2500 CONS 500.0 2.0 0 0 FXYE\n"
    return head + rows(100 * ANGLES, COUNTS, SIGMA)


def gsas_esd() -> str:
    cells = [f"{value:8.1f}" for pair in zip(COUNTS, SIGMA, strict=True) for value in pair]
    lines = ["".join(cells[i : i + 10]).ljust(80) for i in range(0, len(cells), 10)]
    return "PbS\nBANK 1 2500 500 CONS 500.0 2.0 0 0 ESD\n" + "\n".join(lines) + "\n"


def gsas_std() -> str:
    cells = [f" 1{value:6.0f}" for value in COUNTS]
    lines = ["".join(cells[i : i + 10]).ljust(80) for i in range(0, len(cells), 10)]
    return "PbS\nBANK 1 2500 250 CONS 500.0 2.0 0 0 STD\n" + "\n".join(lines) + "\n"


def steps(sigma: bool) -> str:
    def block(values: NDArray[np.float64]) -> str:
        return "".join(
            " ".join(f"{v:.10g}" for v in values[i : i + 10]) + "\n" for i in range(0, values.size, 10)
        )

    return "PbS, DMC\n 5.0 0.02 54.98\n" + block(COUNTS) + (block(SIGMA) if sigma else "")


def uxd(both: bool) -> str:
    head = "; exported\n_FILEVERSION=1\n_WL1 = 0.563700\n; Data for range 1\n"
    head += "_DRIVE='COUPLED'\n_STEPSIZE=0.020000\n_START=5.000000\n"
    if both:
        return head + "_2THETACOUNTS\n; 2theta counts\n" + rows(ANGLES, COUNTS)
    body = "".join(" ".join(f"{v:.0f}" for v in COUNTS[i : i + 8]) + "\n" for i in range(0, COUNTS.size, 8))
    return head + "_COUNTS\n" + body


def xrdml(listed: bool) -> str:
    positions = (
        f"<listPositions>{' '.join(f'{a:.4f}' for a in ANGLES)}</listPositions>"
        if listed
        else "<startPosition>5.0</startPosition><endPosition>54.98</endPosition>"
    )
    data = (
        f"<beamAttenuationFactors>{' '.join(['2'] * COUNTS.size)}</beamAttenuationFactors>"
        f'<counts unit="counts">{" ".join(f"{c / 2:.1f}" for c in COUNTS)}</counts>'
        if listed
        else f'<intensities unit="counts">{" ".join(f"{c:.0f}" for c in COUNTS)}</intensities>'
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<xrdMeasurements xmlns="http://www.xrdml.com/XRDMeasurement/1.5">'
        '<xrdMeasurement><usedWavelength><kAlpha1 unit="Angstrom">0.5637</kAlpha1></usedWavelength><scan>'
        f'<dataPoints><positions axis="2Theta" unit="deg">{positions}</positions>'
        '<positions axis="Omega" unit="deg"><commonPosition>1</commonPosition></positions>'
        f"{data}</dataPoints></scan></xrdMeasurement></xrdMeasurements>\n"
    )


def cif(angles: bool) -> str:
    head = "data_pbs\n_diffrn_radiation_wavelength 0.5637\n"
    cells = [f"{c:.0f}({max(round(s), 1)})" for c, s in zip(COUNTS, SIGMA, strict=True)]
    if angles:
        return (
            head
            + "loop_\n_pd_meas_2theta_scan\n_pd_meas_counts_total\n"
            + "".join(f"{a:.4f} {c}\n" for a, c in zip(ANGLES, cells, strict=True))
        )
    ends = "_pd_meas_2theta_range_min 5.0\n_pd_meas_2theta_range_max 54.98\n_pd_meas_2theta_range_inc 0.02\n"
    return head + ends + "loop_\n_pd_meas_counts_total\n" + "\n".join(cells) + "\n"


FORMATS: dict[str, str] = {
    "Rigaku .ras": ras(np.ones(ANGLES.size)),
    "Rigaku .ras with an attenuator": ras(np.where(ANGLES < 15, 4.0, 1.0)),
    "GSAS FXYE": fxye(),
    "GSAS ESD": gsas_esd(),
    "GSAS STD": gsas_std(),
    "PSI and FullProf steps": steps(sigma=False),
    "PSI steps with sigma": steps(sigma=True),
    "UXD counts": uxd(both=False),
    "UXD angles and counts": uxd(both=True),
    ".xrdml 1.5": xrdml(listed=False),
    ".xrdml 2.0 with attenuation": xrdml(listed=True),
    "powder CIF": cif(angles=True),
    "powder CIF with a range": cif(angles=False),
}


@pytest.mark.parametrize("name", FORMATS)
def test_formats_of_instruments_and_programs(write: Write, name: str) -> None:
    if "CIF" in name:
        pytest.importorskip("gemmi", reason="gemmi is not installed")
    is_counted(load(write(FORMATS[name])))


@pytest.mark.parametrize("name", ["Rigaku .ras", "UXD counts", ".xrdml 1.5", "powder CIF"])
def test_the_wavelength_of_a_format_is_used_and_compared(write: Write, name: str) -> None:
    if "CIF" in name:
        pytest.importorskip("gemmi", reason="gemmi is not installed")
    path = write(FORMATS[name])
    loaded = load(path, None)
    is_counted(loaded)
    assert loaded.wavelength_angstrom == WAVELENGTH
    with pytest.raises(
        PatternFileError, match=r"states a wavelength of 0\.5637 Å, but 1\.5406 Å is given: leave"
    ):
        load(path, 1.5406)
    assert load(path, 0.5640).warnings == (
        "the file states a wavelength of 0.5637 Å, 0.564 Å is used as given",
    )


def nexus(path: Path, *, cansas: bool, series: bool = False, unit: str = "1/nm") -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["default"] = "entry"
        entry = file.create_group("entry")
        entry.attrs.update({"NX_class": "NXentry", "default": "result"})
        data = entry.create_group("result")
        data.attrs.update({"NX_class": "NXdata", "signal": "I", "axes": ["Q"]})
        data["Q"] = 10 * Q if unit == "1/nm" else Q
        data["Q"].attrs["units"] = unit
        data["I"] = np.stack([SECOND, COUNTS]) if series else COUNTS
        errors = "Idev" if cansas else "I_errors"
        data[errors] = np.stack([SIGMA, SIGMA]) if series else SIGMA
        if cansas:
            data["I"].attrs["uncertainties"] = errors
    return path


@pytest.mark.slow
@pytest.mark.parametrize("cansas", [True, False])
@pytest.mark.parametrize("unit", ["1/nm", "1/angstrom"])
def test_nexus_files(tmp_path: Path, cansas: bool, unit: str) -> None:
    loaded = load_pattern(nexus(tmp_path / "a.nxs", cansas=cansas, unit=unit))
    is_counted(loaded)
    assert loaded.axis is Axis.Q
    assert loaded.pattern.sigma == pytest.approx(SIGMA)


def test_of_a_nexus_series_the_last_pattern_is_used(tmp_path: Path) -> None:
    loaded = load_pattern(nexus(tmp_path / "a.nxs", cansas=True, series=True))
    is_counted(loaded, "the file has 2 patterns: the last is used")


def test_a_nexus_file_without_a_pattern(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["scan"] = 1
    with pytest.raises(PatternFileError, match=r"a\.h5 holds no NXdata group"):
        load_pattern(tmp_path / "a.h5")


# Units and axes -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("header", "wavelength"),
    [
        ("# Wavelength: 5.637e-11 m\n", 0.5637),
        ("# Wavelength: 5.637e-11\n", 0.5637),
        ("# wavelength = 0.05637 nm\n", 0.5637),
        ("# Wavelength (Å): 0.5637\n", 0.5637),
        ("# lambda 0.5637 A\n", 0.5637),
        ("# wavelength 56.37 pm\n", 0.5637),
        ("# Energy: 22 keV\n", 0.563564538),
        ("# photon energy 21994.7 eV\n", 0.5637),
    ],
)
def test_the_wavelength_of_a_header_is_used(write: Write, header: str, wavelength: float) -> None:
    loaded = load(write(header + rows(ANGLES, COUNTS)), None)
    assert loaded.wavelength_angstrom == pytest.approx(wavelength, rel=2e-6)
    assert loaded.pattern.q_inv_angstrom == pytest.approx(q_from_two_theta(ANGLES, wavelength), rel=1e-5)


def test_q_needs_no_wavelength_and_angles_do(write: Write) -> None:
    path = write("# q_A^-1 I\n" + rows(Q, COUNTS))
    bare = load(path, None)
    is_counted(bare)
    assert bare.wavelength_angstrom is None
    assert np.array_equal(load(path, 0.3).pattern.intensity, bare.pattern.intensity)
    assert load(write(rows(Q, COUNTS)), None, "q").axis is Axis.Q
    with pytest.raises(
        PatternFileError, match=r"pattern\.dat: angles need a wavelength, and the file states none"
    ):
        load(write(rows(ANGLES, COUNTS)), None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "wavelength", "axis", "message"),
    [
        (NAMED["FIT2D 2theta"], WAVELENGTH, "q", r"named '2-Theta', but q is expected: .*--axis two-theta"),
        (NAMED["FIT2D Q"], WAVELENGTH, "two-theta", r"named 'Q', but two-theta is expected: .*--axis q"),
        (
            rows(np.radians(ANGLES), COUNTS),
            WAVELENGTH,
            None,
            "all angles are below 0.96°: are they in radians",
        ),
        (
            rows(10 * Q, COUNTS),
            None,
            "q",
            r"Q = 102.* Å⁻¹ is too large .at most 40 Å⁻¹.: is the column in nm⁻¹",
        ),
        (
            rows(10 * Q, COUNTS),
            WAVELENGTH,
            "q",
            r"Q = 102.* Å⁻¹ cannot be measured at 0\.5637 Å .*: is the column in nm",
        ),
        (rows(100 * ANGLES, COUNTS), WAVELENGTH, None, "past 180°: is it in hundredths of a degree"),
        (rows(COUNTS, ANGLES), WAVELENGTH, None, "are the columns swapped"),
        (
            "# pyFAI\n# {unit} I sigma\n" + rows(Q, COUNTS, SIGMA),
            WAVELENGTH,
            None,
            "does not state the unit .* 0.97.* to 10.2.* give --axis",
        ),
        ("# r G(r)\n" + rows(ANGLES, COUNTS), WAVELENGTH, None, "G.r. cannot be sized, give the measured"),
        (
            "# 2theta log10(I)\n" + rows(ANGLES, np.log10(COUNTS)),
            WAVELENGTH,
            None,
            "the logarithm of the intensity cannot be sized",
        ),
        (
            "#L r($\\AA$)  G($\\AA^{-2}$)\n" + rows(ANGLES, COUNTS),
            WAVELENGTH,
            None,
            r"named 'r.*': G\(r\) cannot be sized",
        ),
        (rows(ANGLES, COUNTS), 22.0, None, r"wavelength 22\.0 Å is not .* \(22 looks like keV: 0\.5636 Å\)"),
        (rows(ANGLES, COUNTS), 22000.0, None, r"22000 looks like eV: 0\.5636 Å"),
        (rows(ANGLES, COUNTS), 5.637e-11, None, r"looks like metres: 0\.5637 Å"),
    ],
)
def test_mistakes_have_a_hint(
    write: Write, text: str, wavelength: float | None, axis: Any, message: str
) -> None:
    with pytest.raises(PatternError, match=message):
        load(write(text), wavelength, axis)


def structure_function() -> NDArray[np.float64]:
    """S(Q) of close neighbours at 2.97 and 4.2 Å with thermal motion, with noise."""
    curve = (
        1
        + 2.5 * np.sin(2.97 * Q) / (2.97 * Q) * np.exp(-0.02 * Q**2)
        + 3 * np.sin(4.2 * Q) / (4.2 * Q) * np.exp(-0.03 * Q**2)
    )
    return curve + np.random.default_rng(6).normal(0, 0.004, Q.size)


@pytest.mark.parametrize(
    ("curve", "what"),
    [
        (np.log10(COUNTS), "the logarithm of the intensity"),
        (np.log(COUNTS), "the logarithm of the intensity"),
        (structure_function(), r"S\(Q\): it oscillates about 1"),
        (Q * (structure_function() - 1), r"F\(Q\) or G\(r\): \d+% of the points are negative"),
    ],
)
def test_derived_curves_are_recognised_by_their_shape(
    write: Write, curve: NDArray[np.float64], what: str
) -> None:
    with pytest.raises(PatternFileError, match=f"this looks like {what}"):
        load(write(rows(ANGLES, curve)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "curve",
    [
        COUNTS,
        COUNTS / COUNTS.mean(),
        COUNTS / COUNTS[-300:].mean(),
        COUNTS + 5000,
        np.random.default_rng(7).poisson(0.01 * CURVE).astype(float),
        np.random.default_rng(8).poisson(4 * CURVE)
        - 4 * CURVE.min()
        + np.random.default_rng(9).normal(0, 5, Q.size),
        4 * CURVE,
    ],
)
def test_patterns_are_taken_for_patterns(write: Write, curve: NDArray[np.float64]) -> None:
    assert load(write(rows(ANGLES, curve))).pattern.intensity == pytest.approx(curve, rel=1e-8)


def test_what_is_unusual_is_a_python_warning_of_the_simple_reader(write: Write) -> None:
    path = write(rows(ANGLES, COUNTS, np.ones(ANGLES.size)))
    with pytest.warns(
        PatternFileWarning, match=r"pattern\.dat: the third column is not used as sigma \(it is 1"
    ):
        read_pattern(path, WAVELENGTH)


@pytest.mark.parametrize(
    ("listed", "old", "new", "message"),
    [
        (
            False,
            '<intensities unit="counts">',
            '<intensities unit="counts">? ',
            "could not convert string to float: '[?]'",
        ),
        (False, '<intensities unit="counts">', '<intensities unit="counts">1 2 ', None),
        (False, "<startPosition>5.0", "<startPosition>five", "could not convert string to float: 'five'"),
        (
            False,
            "<startPosition>5.0",
            "<startPosition>5 0",
            "start '5 0' and end '54.98' of 2Theta must be a number each",
        ),
        (False, ">0.5637<", ">0.56x7<", "could not convert string to float: '0.56x7'"),
        (
            True,
            "<listPositions>",
            "<listPositions>4.98 ",
            r"2501 2Theta positions for 2500 intensities: the file is damaged",
        ),
        (
            True,
            "<beamAttenuationFactors>",
            "<beamAttenuationFactors>2 ",
            r"2501 attenuation factors for 2500 counts: the file is damaged",
        ),
    ],
)
def test_damaged_xrdml(listed: bool, old: str, new: str, message: str | None, tmp_path: Path) -> None:
    """A message names the file and what is wrong in it; more points between the same ends are a pattern."""
    path = tmp_path / "scan.xrdml"
    assert old in xrdml(listed)
    path.write_text(xrdml(listed).replace(old, new))
    if message is None:
        assert load_pattern(path).pattern.q_inv_angstrom.size == ANGLES.size + 2
        return
    with pytest.raises(PatternFileError, match=f"scan.xrdml: {message}"):
        load_pattern(path)


@pytest.mark.parametrize("value", ["inf", "-inf", "1e200"])
def test_endless_intensities_are_not_measured(value: str, tmp_path: Path) -> None:
    lines = rows(ANGLES, COUNTS).splitlines()
    lines[40] = f"{ANGLES[40]} {value}"
    path = tmp_path / "pattern.xy"
    path.write_text("\n".join(lines) + "\n")
    pattern = load_pattern(path, 0.5637).pattern
    assert pattern.q_inv_angstrom.size == ANGLES.size - 1 or pattern.mask[40]
    assert np.isfinite(pattern.intensity[pattern.usable]).all()
    assert np.count_nonzero(pattern.usable) == ANGLES.size - 1


def test_one_point_many_times_is_no_pattern(tmp_path: Path) -> None:
    path = tmp_path / "pattern.xy"
    path.write_text("5.0 100\n" * 60)
    with pytest.raises(PatternFileError, match=r"pattern.xy: a pattern needs at least 2 points, found 1"):
        load_pattern(path, 0.5637)


def test_a_nexus_file_of_complex_numbers(tmp_path: Path) -> None:
    path = nexus(tmp_path / "a.nxs", cansas=True)
    with h5py.File(path, "a") as file:
        found: list[h5py.Dataset] = []
        file.visititems(lambda name, node: found.append(node) if name.endswith("/I") else None)
        values, group, attributes = found[0][()] + 1j, found[0].parent, dict(found[0].attrs)
        del group["I"]
        group.create_dataset("I", data=values).attrs.update(attributes)
    with pytest.raises(PatternFileError, match=r"a.nxs: intensity in .* holds complex128, not real numbers"):
        load_pattern(path)


def test_an_endless_number_in_the_first_row_is_no_number_of_steps(tmp_path: Path) -> None:
    """Three numbers, the last the largest, may be start, step and stop of a file of intensities."""
    path = tmp_path / "pattern.xye"
    lines = [f"{5 + 0.25 * index:.2f} {1000 + 37 * (index % 7)} 31.6" for index in range(60)]
    path.write_text("\n".join(["5.00 0.25 inf", *lines[1:]]) + "\n")
    pattern = load_pattern(path, 0.5637).pattern
    assert pattern.q_inv_angstrom.size == 60
    assert pattern.q_inv_angstrom[-1] == pytest.approx(
        4 * np.pi / 0.5637 * np.sin(np.radians((5 + 0.25 * 59) / 2)), abs=1e-12
    )


def test_angles_that_are_all_endless(tmp_path: Path) -> None:
    path = tmp_path / "a.nxs"
    with h5py.File(path, "w") as file:
        data = file.create_group("entry/data")
        data.attrs.update({"NX_class": "NXdata", "signal": "data", "axes": "polar_angle"})
        data["data"] = np.arange(40) % 7 + 100
        data["polar_angle"] = np.full(40, np.inf)
        data["polar_angle"].attrs["units"] = "deg"
    with pytest.raises(PatternFileError, match=r"a.nxs: angle inf° is past 180°"):
        load_pattern(path, 0.5637)


@pytest.mark.parametrize(
    ("names", "x", "message"),
    [
        ("# theta I", ANGLES / 2, "'theta': half the scattering angle; give 2θ, which is twice as large"),
        ("# d I", 2 * np.pi / Q, "'d': a lattice spacing; give Q = 2π/d"),
        ("# d-Spacing Y", 2 * np.pi / Q, "'d-Spacing': a lattice spacing"),
        ("# s(1/A) I", Q / 2 / np.pi, r"'s\(1/A\)': 1/d or sin θ/λ; give Q"),
        ("# sin(theta)/lambda I", Q / 4 / np.pi, "1/d or sin θ/λ; give Q"),
        ("# TOF I", 100 * ANGLES, "'TOF': a time of flight; convert it to Q"),
        ("# pixel counts", ANGLES, "'pixel': a place on the detector; integrate with a calibration"),
        ("# Energy(keV) counts", ANGLES, "an energy; give 2θ or Q"),
        ("# 2theta sqrt(I)", ANGLES, "the square root of the intensity cannot be sized"),
        ("# Q Q*I", Q, "an intensity times Q cannot be sized"),
    ],
)
def test_an_axis_that_is_neither_2theta_nor_q_is_named(
    write: Write, names: str, x: NDArray[np.float64], message: str
) -> None:
    with pytest.raises(PatternFileError, match=message):
        load(write(f"{names}\n" + rows(x, COUNTS)))


@pytest.mark.parametrize("header", ["Energy: 21.9949 keV", "theta offset: 0.1", "since 2020 measured"])
def test_a_remark_is_no_name_of_an_axis(write: Write, header: str) -> None:
    is_counted(
        load(
            write(
                f"# {header}\n" + rows(ANGLES, COUNTS, SIGMA),
            )
        )
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "".join(f"{a} {n:,.0f}\n" for a, n in zip(ANGLES, 10 * COUNTS, strict=True)),
            "of thousands: export",
        ),
        ('5.0,"1,996"\n5.1,"1,997"\n', "line 1: .* has separators of thousands"),
        ("5,0000;19 960,0\n5,0125;18 830,0\n", "line 1: .* has separators of thousands"),
        (
            "".join(f"{a:.4f},{n:.1f}\n".replace(".", ",") for a, n in zip(ANGLES, COUNTS, strict=True)),
            "do commas separate both decimals and columns",
        ),
        (rows(np.arange(2500.0), ANGLES, COUNTS), "is it the number of the row or channel"),
    ],
)
def test_commas_and_columns_that_would_split_a_number(write: Write, text: str, message: str) -> None:
    with pytest.raises(PatternFileError, match=message):
        load(write(text))


def test_missing_values_and_marks_of_dead_pixels_are_masked(write: Write) -> None:
    lines = rows(ANGLES, COUNTS, SIGMA).splitlines()
    for index, word in ((10, "NA"), (11, "---"), (12, "null")):
        angle, _, sigma = lines[index].split()
        lines[index] = f"{angle} {word} {sigma}"
    loaded = load(write("\n".join(lines)))
    assert np.flatnonzero(loaded.pattern.mask).tolist() == [10, 11, 12]
    marked = load(write(rows(ANGLES, np.where(np.arange(ANGLES.size) < 5, 2.0**32 - 1, COUNTS), SIGMA)))
    assert np.flatnonzero(marked.pattern.mask).tolist() == [0, 1, 2, 3, 4]
    assert "5 points at 4294967295, the mark of a dead pixel: masked" in marked.warnings


def test_a_relative_error_without_per_cent_is_not_guessed(write: Write) -> None:
    loaded = load(write("# tth I rel_err\n" + rows(ANGLES, COUNTS, SIGMA / np.maximum(COUNTS, 1))))
    assert loaded.sigma_source == "scatter of neighbouring points"
    assert "does not say whether it is a fraction or in per cent" in loaded.warnings[0]


@pytest.mark.parametrize(
    "header", ["wavelength (nm): 0.05637", "wavelength_nm = 0.05637", "Energy (keV): 21.9949"]
)
def test_the_unit_of_a_wavelength_may_stand_before_it(write: Write, header: str) -> None:
    text = f"# {header}\n# tth I e\n" + rows(ANGLES, COUNTS, SIGMA)
    assert load(write(text), None).wavelength_angstrom == pytest.approx(0.5637, rel=1e-4)


def test_blocks_of_maud_and_ranges_with_a_step(write: Write) -> None:
    block = "_pd_block_id noTitle|#0\nloop_\n_pd_meas_angle_2theta\n_pd_meas_intensity_total\n"
    two = load(write(block + rows(ANGLES, COUNTS) + "\n" + block + rows(ANGLES, COUNTS)))
    is_counted(two, "the file has 2 blocks: the first with a pattern is used")
    step = ANGLES[1] - ANGLES[0]
    head = f"data_x\n_pd_meas_2theta_range_min {ANGLES[0]}\n_pd_meas_2theta_range_inc {step:.10g}\n"
    is_counted(load(write(head + "loop_\n_pd_meas_counts_total\n" + rows(COUNTS))))


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(PatternFileError, match=r"is a folder: give the files in it, such as .*\*\.xye"):
        load(tmp_path)


def nxdata(path: Path, axis: str, unit: str, x: NDArray[np.float64]) -> Path:
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs.update({"NX_class": "NXdata", "signal": "I", "axes": [axis]})
        data["I"], data[axis], data["errors"] = COUNTS, x, SIGMA
        data[axis].attrs["units"] = unit
    return path


@pytest.mark.parametrize(
    ("axis", "unit", "x"),
    [
        ("radial", "1/nm", 10 * Q),
        ("x", "angstrom^-1", Q),
        ("polar_angle", "degrees", ANGLES),
        ("radial", "rad", np.radians(ANGLES)),
    ],
)
def test_a_nexus_axis_without_a_known_name_is_that_of_its_unit(
    axis: str, unit: str, x: NDArray[np.float64], tmp_path: Path
) -> None:
    is_counted(load(nxdata(tmp_path / "a.h5", axis, unit, x)))


@pytest.mark.parametrize(
    ("axis", "unit", "message"),
    [
        ("dspacing", "angstrom", "a lattice spacing; give Q = 2π/d"),
        ("theta", "deg", "half the scattering angle"),
        ("x", "mm", "has a unit that is neither of 2θ nor of Q"),
    ],
)
def test_a_nexus_axis_that_is_neither_2theta_nor_q(
    axis: str, unit: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(PatternFileError, match=message):
        load(nxdata(tmp_path / "a.h5", axis, unit, ANGLES))

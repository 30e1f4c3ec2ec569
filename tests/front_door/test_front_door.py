"""``import qdsizer_stream as qd``: what it offers, and that it costs nothing until it is used."""

import math
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import qdsizer_stream as qd
from qdsizer_stream.errors import ConfigurationError, PatternError
from qdsizer_stream.patterns import q_from_two_theta, write_pattern
from qdsizer_stream.simulation import GrowingDots, SynthesisRecipe
from qdsizer_stream.sizing import SizingConfig

WAVELENGTH_ANGSTROM = 0.5636
HC_KEV_ANGSTROM = 12.398419843320026


def python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_importing_the_package_imports_nothing_heavy() -> None:
    loaded = python(
        "import sys, qdsizer_stream as qd; print(*sorted(m for m in sys.modules if '.' not in m))"
    )
    assert not {"numpy", "scipy", "pydantic", "onnxruntime", "bluesky", "torch", "email"} & set(
        loaded.split()
    )


@pytest.mark.slow
def test_every_name_of_the_front_door_can_be_had() -> None:
    names = python(
        "import qdsizer_stream as qd; print(*(n for n in qd.__all__ if getattr(qd, n) is not None))"
    )
    assert set(names.split()) == {name for name in dir(qd) if name != "__version__"}
    assert {"size", "Sizer", "SizeEstimate", "read_pattern", "install", "replay", "sizing"} <= set(
        names.split()
    )


def test_the_version_is_that_of_the_installation() -> None:
    assert qd.__version__ == version("qdsizer-stream")


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="sise"):
        qd.sise  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.slow
def test_python_dash_m_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "qdsizer_stream", "predict", "--help"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "--wavelength" in done.stdout


@pytest.fixture(scope="module")
def two_theta_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A frame of a simulated synthesis, number-weighted mean 5.00 nm."""
    two_theta = np.linspace(3.0, 80.0, 5000)
    dots = GrowingDots(SynthesisRecipe(wavelength_angstrom=WAVELENGTH_ANGSTROM, growth_time_s=1000.0), 15.0)
    time_s = 1000.0 * np.log((7.0 - 2.4) / (7.0 - 5.0))  # exponential growth from 2.4 to 7 nm reaches 5 nm
    q = q_from_two_theta(two_theta, WAVELENGTH_ANGSTROM)
    counts = np.random.default_rng(3).poisson(1000 * dots(q, time_s))
    path = tmp_path_factory.mktemp("front") / "frame.xy"
    np.savetxt(path, np.column_stack([two_theta, counts]))
    return path


@pytest.mark.slow
def test_a_file_is_sized_in_one_call(two_theta_file: Path) -> None:
    estimate = qd.size(two_theta_file, wavelength=WAVELENGTH_ANGSTROM)
    assert estimate.status == "sized"
    assert estimate.size_low_nm < 5.0 < estimate.size_high_nm
    assert estimate.size_nm == pytest.approx(5.0, abs=0.25)
    # One way for every caller: the sizer and the pattern give the same bits, and so does the energy.
    pattern = qd.read_pattern(two_theta_file, WAVELENGTH_ANGSTROM)
    # (A pattern has no wavelength, in which a shift of 2θ would be in degrees.)
    expected = {name: value for name, value in estimate.to_dict().items() if name != "two_theta_shift_deg"}
    for sized in (qd.size(pattern), qd.Sizer(model="pbs").size(pattern)):
        found = sized.to_dict()
        assert math.isnan(found.pop("two_theta_shift_deg"))
        assert repr(found) == repr(expected)
    energy = f"{HC_KEV_ANGSTROM / WAVELENGTH_ANGSTROM!r} keV"
    assert qd.size(str(two_theta_file), energy=energy).size_nm == pytest.approx(estimate.size_nm, rel=1e-6)


@pytest.mark.slow
def test_the_axis_of_a_file_is_taken_from_its_name(two_theta_file: Path, tmp_path: Path) -> None:
    pattern = qd.read_pattern(two_theta_file, WAVELENGTH_ANGSTROM)
    write_pattern(tmp_path / "q.xye", pattern)
    estimate = qd.size(tmp_path / "q.xye", wavelength=WAVELENGTH_ANGSTROM, axis="q")
    assert estimate.size_nm == pytest.approx(qd.size(pattern).size_nm, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (
            {"wavelength": 0.5636, "energy": "22 keV"},
            "wavelength 0.5636 Å and energy '22 keV' are both given",
        ),
        ({"wavelength": 0.5636, "axis": "d"}, "axis is 'd': it must be one of two-theta, q"),
    ],
)
def test_what_a_file_lacks_is_named(two_theta_file: Path, arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(reason)):
        qd.size(two_theta_file, **arguments)


def test_a_pattern_needs_no_wavelength(two_theta_file: Path) -> None:
    pattern = qd.read_pattern(two_theta_file, WAVELENGTH_ANGSTROM)
    with pytest.raises(ConfigurationError, match="a Pattern holds Q and needs no wavelength or energy"):
        qd.size(pattern, wavelength=WAVELENGTH_ANGSTROM)


def test_angles_need_a_wavelength_and_q_does_not(two_theta_file: Path, tmp_path: Path) -> None:
    with pytest.raises(PatternError, match="angles need a wavelength, and the file states none"):
        qd.size(two_theta_file)
    qd.patterns.write_pattern(tmp_path / "q.xye", qd.read_pattern(two_theta_file, WAVELENGTH_ANGSTROM))
    assert qd.size(tmp_path / "q.xye").status == "sized"


def test_a_wavelength_in_kev_is_rejected(two_theta_file: Path) -> None:
    with pytest.raises(PatternError, match="wavelength 22 Å is not an X-ray wavelength"):
        qd.size(two_theta_file, wavelength=22)


def test_a_sizer_takes_settings_or_names() -> None:
    with pytest.raises(ConfigurationError, match="not both: found both a config and model"):
        qd.Sizer(SizingConfig(), model="pbs")
    with pytest.raises(ConfigurationError, match="modle"):
        qd.Sizer(modle="pbs")

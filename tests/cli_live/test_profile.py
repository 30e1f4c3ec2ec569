"""Settings of a beamline and its start-up file, from nothing to a session that sizes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky_tiled_plugins import TiledWriter
from ophyd.sim import det
from typer.testing import CliRunner, Result

from qdsizer_stream.archive import embedded_tiled
from qdsizer_stream.callbacks import LiveConfig, WavelengthSource
from qdsizer_stream.callbacks.documents import fixed_wavelength_angstrom
from qdsizer_stream.cli import app
from qdsizer_stream.configuration import load_toml
from qdsizer_stream.devices import SimMythen
from qdsizer_stream.errors import CalibrationError, ConfigurationError
from qdsizer_stream.profiles import check, installed, settings_text, uninstall
from qdsizer_stream.reduction import AngleConvention, nominal_detector, write_angle_calibration

TOML = """
[sizing.reduction]
arm_deg = 0.0

[sizing.reduction.detector]
global_offset_deg = 0.0
modules = [{ centre_strip = 639.5, conversion_rad_per_strip = 6.579e-5, offset_deg = 0.0 }]
"""

WAVELENGTH = '\n[wavelength]\nvalue = 22.0\nunit = "keV"\n'


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["profile", *arguments])


@pytest.fixture(autouse=True)
def ipython(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """IPython's folder of this test, with one profile."""
    folder = tmp_path / "ipython"
    (folder / "profile_collection" / "startup").mkdir(parents=True)
    monkeypatch.setenv("IPYTHONDIR", str(folder))
    return folder


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "qdsizer.toml"
    path.write_text(TOML + WAVELENGTH)
    return path


def test_the_lines_install_a_sizer(config: Path) -> None:
    result = run("install", str(config))
    assert result.exit_code == 0, result.output
    engine = RunEngine({})
    for _ in range(2):  # %run, then %run again
        exec(compile(result.stdout, "startup.py", "exec"), {"RE": engine})
    assert installed(engine) is not None
    assert uninstall(engine)


def test_the_file_is_written_into_the_profile_and_renewed(config: Path, ipython: Path) -> None:
    file = ipython / "profile_collection" / "startup" / "95-qdsizer.py"
    assert run("install", str(config), "--profile", "collection").exit_code == 0
    assert f"install(RE, config={str(config)!r})" in file.read_text()
    options = ("--archive", "http://tiled.example", "--spool", "/data/spool")
    assert run("install", str(config), "--profile", "collection", *options).exit_code == 0
    assert "archive='http://tiled.example', spool='/data/spool')" in file.read_text()
    assert [one.name for one in file.parent.iterdir()] == ["95-qdsizer.py"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--profile", "none"], "no IPython profile none: existing profiles are collection; create it with"),
        (["--startup-dir", "{folder}/none"], "no start-up folder"),
        (["--startup-dir", "x", "--profile", "y"], "exclude each other"),
    ],
)
def test_a_place_that_is_none(config: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    result = run("install", str(config), *(one.format(folder=tmp_path) for one in arguments))
    assert isinstance(result.exception, ConfigurationError)
    assert message in str(result.exception)


def test_a_file_of_somebody_else_is_left_alone(config: Path, ipython: Path) -> None:
    file = ipython / "profile_collection" / "startup" / "95-qdsizer.py"
    file.write_text("print('mine')\n")
    result = run("install", str(config), "--profile", "collection")
    assert "was not written by this command" in str(result.exception)
    assert file.read_text() == "print('mine')\n"


@pytest.mark.parametrize("text", ["", "[sizing]\nmodel = 'nothing'\n" + TOML])
def test_wrong_settings_give_no_lines(config: Path, text: str) -> None:
    config.write_text(text)
    result = run("install", str(config))
    assert result.exit_code != 0
    assert not result.stdout


def test_check_of_what_is_right(config: Path, ipython: Path, tmp_path: Path) -> None:
    run("install", str(config), "--profile", "collection")
    result = run(
        "check", str(config), "--archive", str(tmp_path), "--spool", str(tmp_path / "spool"), "--json"
    )
    assert result.exit_code == 0, result.output
    findings = {one["what"]: one for one in json.loads(result.stdout)}
    assert findings["detector"]["found"].startswith("1280 strips, ")
    assert findings["wavelength"]["found"] == "22 keV = 0.5636 Å, from value in the configuration"
    assert findings["IPython profiles"]["found"] == "collection (95-qdsizer.py)"
    assert "ms per frame" in findings["speed"]["found"]
    assert all(one["good"] is not False for one in findings.values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "what", "found"),
    [
        (TOML, "wavelength", "no frame will be sized: set [wavelength]"),
        (TOML.replace("arm_deg = 0.0", "") + WAVELENGTH, "detector arm", "set [arm_angle], or arm_deg"),
        (
            TOML.replace("arm_deg", "normalise_monitor = true\narm_deg") + WAVELENGTH,
            "monitor",
            "required by the corrections, but has no source: set [monitor]",
        ),
        (
            TOML + WAVELENGTH.replace("22.0", "0.5637"),
            "wavelength",
            "0.5637 looks like angstrom: set wavelength.unit",
        ),
        (
            TOML + WAVELENGTH.replace("22.0", "22000.0"),
            "wavelength",
            "22000 looks like eV: set wavelength.unit",
        ),
        (TOML + WAVELENGTH.replace("22.0", "0.0"), "wavelength", "0 keV: "),
        (TOML + WAVELENGTH.replace('unit = "keV"', ""), "wavelength", "22 has no unit: set wavelength.unit"),
        ("[sizing]\nmodel = 'nothing'\n" + TOML + WAVELENGTH, "model and detector", "nothing"),
        ("[sizing", "settings", "is not TOML"),
    ],
)
def test_check_of_what_is_not(config: Path, text: str, what: str, found: str) -> None:
    config.write_text(text)
    result = run("check", str(config))
    assert result.exit_code == 1
    lines = [line for line in " ".join(result.stdout.split()).split("WRONG") if what in line]
    assert any(found in line for line in lines), result.stdout


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        ("22.0", "keV", "22 keV = 0.5636 Å"),
        ("21995.0", "eV", "21995 eV = 0.5637 Å"),
        ("0.5637", "angstrom", "0.5637 angstrom = 21.995 keV"),
        ("0.05637", "nm", "0.05637 nm = 21.995 keV"),
    ],
)
def test_a_fixed_wavelength_is_shown_as_an_energy_too(
    config: Path, value: str, unit: str, shown: str
) -> None:
    # hc = 12.398420 keV Å: 12.398420/22 = 0.56356, 12.398420/0.5637 = 21.9947
    config.write_text(TOML + WAVELENGTH.replace("22.0", value).replace("keV", unit))
    finding = next(finding for finding in check(config) if finding.what == "wavelength")
    assert finding.found == f"{shown}, from value in the configuration"
    assert finding.good is True


@pytest.mark.parametrize(
    ("angstrom", "good"), [(0.0499, False), (0.0501, True), (4.999, True), (5.001, False)]
)
def test_wavelengths_from_0_05_to_5_angstrom_are_accepted(angstrom: float, good: bool) -> None:
    source = WavelengthSource(value=angstrom, unit="angstrom")
    if good:
        assert fixed_wavelength_angstrom(source) == angstrom
        return
    with pytest.raises(ConfigurationError, match="is not an X-ray wavelength"):
        fixed_wavelength_angstrom(source)


def test_a_wavelength_from_documents_is_not_fixed() -> None:
    assert fixed_wavelength_angstrom(WavelengthSource(start_key="wavelength")) is None


def test_values_of_the_template_are_asked_for_until_somebody_confirms_them(tmp_path: Path) -> None:
    path = tmp_path / "qdsizer.toml"
    path.write_text(settings_text(wavelength=(22.0, "keV")), encoding="utf-8")

    def asked() -> dict[str, str]:
        return {one.what: one.found for one in check(path) if one.ask}

    found = asked()
    assert list(found) == ["arm_deg", "convention", "strip_origin", "global_offset_deg"]
    assert found["convention"] == (
        '"psi" is the template\'s: reference of its offsets, psi or gda; correct it, then delete the comment'
    )
    # Corrected, or confirmed: the comment is gone either way.
    confirmed = path.read_text().replace("# ASK: reference of its offsets, psi or gda", "")
    path.write_text(
        confirmed.replace("global_offset_deg = 0.0  ", "global_offset_deg = 1.25 # from the log\n#")
    )
    assert list(asked()) == ["arm_deg", "strip_origin"]
    shown = " ".join(run("check", str(path)).stdout.split())
    assert "ASK strip_origin" in shown
    assert "right strip_origin" not in shown


def test_an_archive_that_does_not_answer_is_told(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tiled.client.utils.TILED_RETRY_ATTEMPTS", 1)
    result = run("check", str(config), "--archive", "http://127.0.0.1:9", "--json")
    assert result.exit_code == 1
    (archive,) = [one for one in json.loads(result.stdout) if one["what"] == "archive"]
    assert archive["good"] is False
    assert "the server does not answer" in archive["found"]


def test_the_written_settings_are_valid_and_refuse_to_guess(tmp_path: Path) -> None:
    path = tmp_path / "new" / "qdsizer.toml"
    assert run("init", str(path)).exit_code == 0
    settings = load_toml(LiveConfig, path)
    assert settings.wavelength is None
    assert run("init", str(path)).exit_code == 1  # never over another's work
    checked = run("check", str(path), "--json")
    assert checked.exit_code == 1
    wrong = [one for one in json.loads(checked.stdout) if one["good"] is False]
    assert [one["what"] for one in wrong] == ["model and detector", "wavelength"]
    assert "ang.off" in wrong[0]["found"]
    other = tmp_path / "other.toml"
    assert run("init", str(other), "--wavelength", "22", "--unit", "keV").exit_code == 0
    source = load_toml(LiveConfig, other).wavelength
    assert source is not None
    assert (source.value, source.unit) == (22.0, "keV")


@pytest.fixture(scope="module")
def measured(
    tmp_path_factory: pytest.TempPathFactory, mythen: Callable[..., SimMythen]
) -> tuple[str, list[str]]:
    """Archive, a run of a detector, and one without."""
    folder = tmp_path_factory.mktemp("archive")
    with embedded_tiled(folder) as archive:
        engine = RunEngine({})
        engine.subscribe(TiledWriter(archive))
        uids = [engine(count([device], 2))[0] for device in (mythen(), det)]
    return str(folder), uids


@pytest.fixture
def calibration(tmp_path: Path) -> Path:
    path = tmp_path / "ang.off"
    write_angle_calibration(path, nominal_detector(24, 0.0).modules, AngleConvention.PSI)
    return path


@pytest.mark.slow
def test_settings_from_a_run(measured: Any, calibration: Path, tmp_path: Path) -> None:
    archive, (uid, _) = measured
    path = tmp_path / "qdsizer-new.toml"
    result = run("init", str(path), "--from-run", archive, uid, "--calibration", str(calibration))
    assert result.exit_code == 0, result.output
    settings = load_toml(LiveConfig, path)
    assert (settings.data_key, settings.stream) == ("mythen_image", "primary")
    sources = (settings.wavelength, settings.arm_angle, settings.exposure, settings.monitor)
    assert [source.describe() if source else None for source in sources] == [
        "configuration key mythen_wavelength",
        "configuration key mythen_arm_angle",
        "configuration key mythen_exposure_s",
        "data key mythen_monitor",
    ]
    assert [source.unit for source in sources[:3] if source] == ["angstrom", "deg", "s"]
    assert "first frame of the run: sized, " in result.stderr


@pytest.mark.slow
def test_a_run_that_says_nothing(measured: Any, tmp_path: Path) -> None:
    archive, (_, uid) = measured
    path = tmp_path / "none.toml"
    result = run("init", str(path), "--from-run", archive, uid)
    assert isinstance(result.exception, ConfigurationError)
    assert "has 0 arrays of whole modules of 1280 strips, expected one: found none" in str(result.exception)
    assert not path.exists()


@pytest.mark.slow
def test_a_calibration_that_is_not_there_is_told(measured: Any, tmp_path: Path) -> None:
    archive, (uid, _) = measured
    result = run("init", str(tmp_path / "new.toml"), "--from-run", archive, uid)
    assert isinstance(result.exception, CalibrationError)
    assert "ang.off" in str(result.exception)


def test_check_is_one_screen(config: Path) -> None:
    config.write_text(settings_text(wavelength=(22.0, "keV")), encoding="utf-8")
    assert len(run("check", str(config)).stdout.splitlines()) < 24

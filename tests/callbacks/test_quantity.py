"""Numbers of a frame from documents: read from their source, never guessed."""

import math

import pytest
from pydantic import ValidationError

from qdsizer_stream.callbacks import AngleSource, ExposureSource, NumberSource, WavelengthSource
from qdsizer_stream.callbacks.documents import (
    FrameDocuments,
    read_angle,
    read_exposure,
    read_switches,
    read_wavelength,
)
from qdsizer_stream.errors import ConfigurationError


def descriptor(units: str | None = None, value: object = 0.5637) -> dict:
    key = {"dtype": "number", "shape": [], "source": "PV:x"} | ({"units": units} if units else {})
    return {
        "configuration": {
            "mono": {"data": {"mono_x": value}, "data_keys": {"mono_x": key}, "timestamps": {}}
        },
        "data_keys": {"mono_y": dict(key)},
    }


@pytest.mark.parametrize(
    ("unit", "number", "angstrom"),
    [
        ("angstrom", 0.5637, 0.5637),
        ("nm", 0.05637, 0.5637),
        ("keV", 22.0, 0.563564),  # facts of the beamline: 22 keV is 0.5636 Å
        ("eV", 22000.0, 0.563564),
        ("eV", 8047.8, 1.54060),  # Cu Kα1
    ],
)
@pytest.mark.parametrize("kind", ["value", "configuration_key", "data_key", "start_key"])
def test_every_source_and_unit(kind: str, unit: str, number: float, angstrom: float) -> None:
    where = {"value": number, "configuration_key": "mono_x", "data_key": "mono_y", "start_key": "energy"}
    source = WavelengthSource(unit=unit, **{kind: where[kind]})
    found = read_wavelength(
        source, FrameDocuments({"energy": number}, descriptor(value=number), {"mono_y": number})
    )
    assert found == pytest.approx(angstrom, rel=1e-5)


@pytest.mark.parametrize("written", ["keV", "KEV", " kev "])
def test_unit_of_the_descriptor_is_used_where_none_is_stated(written: str) -> None:
    source = WavelengthSource(configuration_key="mono_x")
    found = read_wavelength(source, FrameDocuments({}, descriptor(units=written, value=22.0), {}))
    assert found == pytest.approx(0.563564, rel=1e-5)


@pytest.mark.parametrize(
    ("source", "doc", "message"),
    [
        (
            None,
            {},
            "no wavelength: set [wavelength] in the configuration to one of value, configuration_key, ",
        ),
        (
            WavelengthSource(configuration_key="mono_z", unit="keV"),
            descriptor(),
            "configuration key mono_z is missing, found mono_x; set [wavelength] to its source",
        ),
        (
            WavelengthSource(configuration_key="mono_x"),
            descriptor(),
            "configuration key mono_x has no unit: set wavelength.unit; allowed are angstrom, eV, keV, nm",
        ),
        (
            WavelengthSource(configuration_key="mono_x", unit="angstrom"),
            descriptor(units="keV", value=22.0),
            "the configuration gives the unit angstrom, the descriptor keV; correct wavelength.unit",
        ),
        (
            WavelengthSource(configuration_key="mono_x", unit="angstrom"),
            descriptor(units="mm"),
            "wavelength from configuration key mono_x is in 'mm': allowed are angstrom, eV, keV, nm",
        ),
        (
            WavelengthSource(configuration_key="mono_x", unit="angstrom"),
            descriptor(value="open"),
            "wavelength from configuration key mono_x is 'open', which is not a number: "
            "set [wavelength] to its source",
        ),
        (
            WavelengthSource(configuration_key="mono_x", unit="angstrom"),
            descriptor(value=22.0),
            "wavelength 22.0 Å is not an X-ray wavelength",
        ),
        (WavelengthSource(value=0.0, unit="keV"), {}, "wavelength from value in the configuration, 0.0 keV"),
        (
            WavelengthSource(configuration_key="mono_x", unit="angstrom"),
            descriptor(value=math.nan),
            "wavelength nan Å is not an X-ray wavelength",
        ),
    ],
)
def test_what_cannot_be_read_says_what_to_set(
    source: WavelengthSource | None, doc: dict, message: str
) -> None:
    with pytest.raises(ConfigurationError) as error:
        read_wavelength(source, FrameDocuments({}, doc, {}))
    assert message in str(error.value)


def test_angle_in_radians() -> None:
    assert read_angle(
        AngleSource(value=math.pi / 6, unit="rad"), FrameDocuments({}, {}, {})
    ) == pytest.approx(30.0)


def test_angle_must_be_finite() -> None:
    with pytest.raises(
        ConfigurationError,
        match="arm_angle from start key arm is inf, which is not finite: correct it there",
    ):
        read_angle(AngleSource(start_key="arm", unit="deg"), FrameDocuments({"arm": math.inf}, {}, {}))


@pytest.mark.parametrize("kinds", [{}, {"value": 1.0, "start_key": "w"}])
def test_exactly_one_source(kinds: dict) -> None:
    with pytest.raises(
        ValidationError, match="give exactly one of value, configuration_key, data_key, start_key"
    ):
        WavelengthSource(**kinds)


@pytest.mark.parametrize(
    ("unit", "number", "seconds"),
    [("s", 30.0, 30.0), ("ms", 30_000.0, 30.0), ("us", 500.0, 0.0005), ("ns", 100.0, 1e-7)],
)
def test_exposure_in_every_unit(unit: str, number: float, seconds: float) -> None:
    stated = ExposureSource(configuration_key="mono_x", unit=unit)
    assert read_exposure(stated, FrameDocuments({}, descriptor(value=number), {})) == seconds
    written = ExposureSource(data_key="mono_y")
    assert read_exposure(written, FrameDocuments({}, descriptor(units=unit), {"mono_y": number})) == seconds


def test_an_exposure_without_unit_is_not_guessed() -> None:
    with pytest.raises(
        ConfigurationError, match=r"has no unit: set exposure\.unit; allowed are ms, ns, s, us"
    ):
        read_exposure(ExposureSource(configuration_key="mono_x"), FrameDocuments({}, descriptor(), {}))


def test_the_monitor_needs_no_unit() -> None:
    source = NumberSource(data_key="mono_y")
    documents = FrameDocuments({}, descriptor(units="counts"), {"mono_y": 1234})
    assert source.read("monitor", documents) == (1234.0, "counts")
    with pytest.raises(
        ConfigurationError, match="monitor from data key mono_y is 'off', which is not a number: set"
    ):
        source.read("monitor", FrameDocuments({}, descriptor(), {"mono_y": "off"}))
    with pytest.raises(
        ConfigurationError, match=r"no monitor: data key mono_y is missing, found nothing; set"
    ):
        source.read("monitor", FrameDocuments({}, descriptor(), {}))


def test_switches_are_found_in_data_or_configuration_and_never_missed() -> None:
    keys = {"UseFlatField": "mono_x", "ReadMode": "mono_y"}
    found = read_switches(keys, FrameDocuments({}, descriptor(value=1), {"mono_y": "Raw"}))
    assert found == {"UseFlatField": 1, "ReadMode": "Raw"}
    with pytest.raises(ConfigurationError, match="no ReadMode: mono_y is neither in the data nor in the"):
        read_switches(keys, FrameDocuments({}, descriptor(value=1), {}))

"""Derived keys that compare sizes with an absorption peak of the same event."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from bluesky import RunEngine
from bluesky.plans import count
from event_model import DocumentNames, schema_validators

from qdsizer_stream.callbacks import LiveConfig, LiveSizer
from qdsizer_stream.configuration import validated
from qdsizer_stream.devices import SimMythen, UnitSignal
from qdsizer_stream.errors import ConfigurationError
from qdsizer_stream.simulation import GrowingDots
from qdsizer_stream.sizing import MOREELS_2009

Documents = list[tuple[str, Any]]


def measured(
    live: LiveSizer, detectors: list[Any], frames: int = 2
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Data of the derived events, and the data keys of their descriptor."""
    documents: Documents = []
    live.subscribe(lambda name, doc: documents.append((name, doc)))
    engine = RunEngine({})
    engine.subscribe(live)
    engine(count(detectors, frames))
    assert live.close(60)
    for name, doc in documents:
        schema_validators[DocumentNames[name]].validate(doc)
    (descriptor,) = [doc for name, doc in documents if name == "descriptor" and doc["name"] == "qd_size"]
    events = [
        doc["data"] for name, doc in documents if name == "event" and doc["descriptor"] == descriptor["uid"]
    ]
    return events, descriptor["data_keys"]


def with_optics(config: LiveConfig, **optics: Any) -> Any:
    return validated(LiveConfig, {**config.model_dump(mode="json"), "optics": optics}, "test").optics


@pytest.mark.parametrize(("shift_nm", "verdict"), [(0.0, "agree"), (2.0, "disagree")])
def test_a_peak_in_the_event_is_compared(
    live: Callable[..., LiveSizer],
    config: LiveConfig,
    mythen: Callable[..., SimMythen],
    dots: GrowingDots,
    shift_nm: float,
    verdict: str,
) -> None:
    # Dots of 5 nm, whose peak lies where dots larger by shift_nm would have it.
    truth_nm = dots.number_mean_nm(83.0)
    peak = UnitSignal(
        name="uv_peak", value=1239.841984 / MOREELS_2009.energy_ev(truth_nm + shift_nm), unit="nm"
    )
    detector = mythen(scene=lambda q, _: dots(q, 83.0), counts_per_second=5.0)
    optics = with_optics(config, peak={"data_key": "uv_peak"})
    events, keys = measured(live(optics=optics, workers=0), [detector, peak])
    assert keys["qdsizer_exciton_energy"]["units"] == "eV"
    assert keys["qdsizer_optics"]["choices"] == ["agree", "disagree", "no_peak", "no_size", "outside"]
    for event in events:
        assert event["qdsizer_optics"] == verdict
        assert event["qdsizer_exciton_energy"] == MOREELS_2009.energy_ev(event["qdsizer_size"])
        assert event["qdsizer_optical_size"] == pytest.approx(truth_nm + shift_nm, rel=1e-6)
        assert (
            event["qdsizer_exciton_energy_low"]
            < event["qdsizer_exciton_energy"]
            < event["qdsizer_exciton_energy_high"]
        )


def test_a_frame_without_its_peak_is_sized_as_ever(
    live: Callable[..., LiveSizer],
    config: LiveConfig,
    mythen: Callable[..., SimMythen],
    caplog: pytest.LogCaptureFixture,
) -> None:
    optics = with_optics(config, peak={"data_key": "uv_peak", "unit": "nm"})
    events, _ = measured(live(optics=optics, workers=0), [mythen(counts_per_second=5.0)], 3)
    assert [event["qdsizer_status"] for event in events] == ["sized"] * 3
    assert {event["qdsizer_optics"] for event in events} == {"no_peak"}
    assert all(math.isnan(event["qdsizer_optical_size"]) for event in events)
    told = [record.getMessage() for record in caplog.records if "no absorption peak" in record.getMessage()]
    assert len(told) == 1
    assert "data key uv_peak is missing" in told[0]


def test_a_spectrum_without_peak(
    live: Callable[..., LiveSizer], config: LiveConfig, mythen: Callable[..., SimMythen]
) -> None:
    peak = UnitSignal(name="uv_peak", value=math.nan, unit="nm")
    events, _ = measured(
        live(optics=with_optics(config, peak={"data_key": "uv_peak"}), workers=0), [mythen(), peak], 1
    )
    assert events[0]["qdsizer_optics"] in ("no_peak", "no_size")


def test_no_keys_unless_asked_for(live: Callable[..., LiveSizer], mythen: Callable[..., SimMythen]) -> None:
    _, keys = measured(live(workers=0), [mythen()], 1)
    assert not [key for key in keys if "exciton" in key or "optic" in key]


def test_settings_out_of_range(config: LiveConfig) -> None:
    with pytest.raises(ConfigurationError, match=r"optics.tolerance_nm: .*greater than or equal to 0"):
        with_optics(config, tolerance_nm=-0.1)
    with pytest.raises(ConfigurationError, match=r"optics.peak.unit"):
        with_optics(config, peak={"data_key": "uv_peak", "unit": "cm"})

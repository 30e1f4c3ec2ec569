"""The track of a run in its documents."""

import copy
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.plans import count
from event_model import DocumentNames, schema_validators
from scipy.ndimage import gaussian_filter1d

from qdsizer_stream.callbacks import ExposureSource, LiveSizer
from qdsizer_stream.callbacks.documents import SIMULATION_KEY, measurement_of, target_of, track_data
from qdsizer_stream.devices import SimMythen
from qdsizer_stream.reduction import AccumulationConfig
from qdsizer_stream.tracking import Track

Documents = list[tuple[str, Any]]
Through = Callable[..., Documents]


def data_of(documents: Documents) -> list[dict[str, Any]]:
    return [doc["data"] for name, doc in documents if name == "event" and "qdsizer_size" in doc["data"]]


def starting(documents: Documents, **more: Any) -> Documents:
    (name, start), *others = documents
    return [(name, {**start, **more}), *others]


@pytest.fixture(scope="module")
def synthesis(mythen: Callable[..., SimMythen]) -> Documents:
    """Twenty frames of 10 s that grow from 2.5 to 6.4 nm."""
    documents: Documents = []
    device = mythen(exposure_s=10.0, counts_per_second=3.0)
    RunEngine({})(count([device], 20), lambda name, doc: documents.append((name, doc)))
    return starting(documents, **{SIMULATION_KEY: {"elapsed_key": "mythen_elapsed"}})


@pytest.mark.slow
def test_the_track_follows_from_the_documents_alone(synthesis: Documents, through: Through) -> None:
    out = through(starting(synthesis, target_nm=5.0))
    for name, doc in out:
        if name != "descriptor" or doc["name"] == "qd_size":
            schema_validators[DocumentNames[name]].validate(doc)
    track = Track(5.0)
    for data in data_of(out):
        point = track.update(data["qdsizer_track_time"], measurement_of(data))
        for key, value in track_data(point, target=True).items():
            assert value == data[key] or (math.isnan(value) and math.isnan(data[key])), key


@pytest.mark.slow
def test_the_track_of_a_synthesis_holds_the_truth(synthesis: Documents, through: Through) -> None:
    data = data_of(through(starting(synthesis, target_nm=5.0)))
    assert all(one["qdsizer_status"] == "sized" for one in data)
    # The clock is that of the synthesis, s.
    seconds = np.array([one["qdsizer_track_time"] for one in data])
    np.testing.assert_allclose(seconds, 5.0 + 10.0 * np.arange(20))
    truth = 7.0 - 4.6 * np.exp(-seconds / 100)
    growth = (
        60 * 4.6 / 100 * np.exp(-seconds / 100)
    )  # of the number-weighted mean; the mass-weighted: 4 % more
    sizes = [[one[f"qdsizer_track_size{end}"] for one in data] for end in ("_low", "", "_high")]
    assert np.all((sizes[0] < truth) & (truth < sizes[2]))
    rates = np.array([[one[f"qdsizer_growth{end}"] for one in data] for end in ("_low", "", "_high")])
    assert np.isnan(rates[:, :2]).all()
    held = (rates[0] < 1.04 * growth) & (1.04 * growth < rates[2])
    assert held[4:].mean() >= 0.85
    assert rates[1, 12] == pytest.approx(1.04 * growth[12], rel=0.25)
    # 5 nm is reached after 100 ln(4.6 / 2) = 83.3 s.
    left = 100 * math.log(2.3) - seconds
    times = np.array([[one[f"qdsizer_time_to_target{end}"] for one in data] for end in ("_low", "", "_high")])
    assert times[0, 5] < left[5] < (times[2, 5] if times[2, 5] == times[2, 5] else math.inf)
    assert data[4]["qdsizer_probability_reached"] < 0.05
    assert data[-1]["qdsizer_probability_reached"] > 0.95
    assert data[-1]["qdsizer_time_to_target"] == 0.0


@pytest.mark.slow
def test_the_track_holds_the_truth_where_strong_strips_lose_counts_unseen(
    synthesis: Documents, through: Through
) -> None:
    """A dead time that is not declared takes 30 % of the strongest peak: all sizes are too small."""
    rng = np.random.default_rng(3)
    lossy: Documents = []
    for name, doc in synthesis:
        if name == "descriptor":
            doc = copy.deepcopy(doc)
            doc["configuration"]["mythen"]["data"]["mythen_exposure_s"] = 1.0
        elif name == "event":
            expected = gaussian_filter1d(np.asarray(doc["data"]["mythen_image"], dtype=float), 3.0)
            counts = rng.poisson(expected * 2.1e6 / expected.max())
            counts = np.rint(counts * np.exp(-170e-9 * counts)).astype(int)
            doc = {**doc, "data": {**doc["data"], "mythen_image": counts}}
        lossy.append((name, doc))
    exposure = ExposureSource(configuration_key="mythen_exposure_s", unit="s")
    data = data_of(through(lossy, exposure=exposure))
    seconds = np.array([one["qdsizer_track_time"] for one in data])
    truth = 7.0 - 4.6 * np.exp(-seconds / 100)
    masses = np.array(
        [[one[f"qdsizer_track_mass_mean{end}"] for one in data] for end in ("_low", "", "_high")]
    )
    mass_truth = truth * (1 + 0.12**2) ** 3  # log-normal of 12 %
    assert np.all((masses[0] < mass_truth) & (mass_truth < masses[2]))
    assert np.all(masses[0, -5:] > 0.88 * mass_truth[-5:])  # nothing makes dots look too large
    sizes = np.array([[one[f"qdsizer_track_size{end}"] for one in data] for end in ("_low", "", "_high")])
    assert np.all((sizes[0] < truth) & (truth < sizes[2]))


@pytest.mark.parametrize("target", [5.0, None])
def test_a_forecast_is_described_where_the_run_has_a_target(
    raw: Documents, through: Through, target: float | None
) -> None:
    out = through(starting(raw, target_nm=target))
    (descriptor,) = (doc for _, doc in out if doc.get("name") == "qd_size")
    described = descriptor["data_keys"]
    assert ("qdsizer_time_to_target" in described) is (target is not None)
    assert data_of(out)[0].keys() == described.keys()
    for key in ("qdsizer_config", "qdsizer_reduction"):  # one text for one setting, whatever its order was
        text = descriptor["configuration"]["qdsizer"]["data"][key]
        assert text == json.dumps(json.loads(text), sort_keys=True)


@pytest.mark.slow
@pytest.mark.parametrize("target", [None, "5", True, -1.0, math.nan])
def test_without_a_target_there_is_no_forecast(raw: Documents, through: Through, target: Any) -> None:
    assert math.isnan(target_of({"target_nm": target}))
    data = data_of(through(starting(raw, target_nm=target)))
    assert "qdsizer_track_size" in data[0]
    assert "qdsizer_time_to_target" not in data[0]


def test_a_clock_that_events_lack_is_that_of_the_events(raw: Documents, through: Through) -> None:
    data = data_of(through(starting(raw, time_key="nowhere")))
    events = [doc["time"] for name, doc in raw if name == "event"]
    assert [one["qdsizer_track_time"] for one in data] == events
    data = data_of(through(starting(raw, time_key="mythen_elapsed")))
    assert [one["qdsizer_track_time"] for one in data] == [15.0, 45.0, 75.0, 105.0, 135.0, 165.0]


@pytest.fixture(scope="module")
def faint(mythen: Callable[..., SimMythen]) -> Documents:
    """Thirty-four frames of 3 s with about 290 photons each, too few for a size."""
    documents: Documents = []
    device = mythen(exposure_s=3.0, counts_per_second=0.0122 / 3)
    RunEngine({})(count([device], 34), lambda name, doc: documents.append((name, doc)))
    return starting(documents, **{SIMULATION_KEY: {"elapsed_key": "mythen_elapsed"}})


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_frames_too_faint_for_a_size_have_a_track_together(
    faint: Documents, live: Callable[..., LiveSizer], workers: int
) -> None:
    events: Documents = []
    sizer = live(workers=workers)

    def keep(name: str, doc: Any) -> None:
        events.append((name, doc))
        assert sizer.examination is None or sizer.examination.pooled is None

    sizer.subscribe(keep)
    for name, doc in faint:
        sizer(name, doc)
    assert sizer.close(60)
    assert sizer.counters.contained == 0
    data = data_of(events)
    assert {one["qdsizer_status"] for one in data} == {"low_counts"}
    assert all(math.isnan(one["qdsizer_size"]) for one in data)
    with_answer = [index for index, one in enumerate(data) if one["qdsizer_evidence_size"] > 0]
    # 2 photons in each of 1408 bins: ten or eleven frames; the smallest dots need more to be seen.
    assert 1 <= len(with_answer) <= 3
    first = with_answer[0]
    assert math.isnan(data[first - 1]["qdsizer_track_size"])
    # The sum tells of its middle, and the track has gone on to the newest frame since.
    assert 4.5 * 3 - 0.1 <= data[first]["qdsizer_evidence_age"] <= 5.0 * 3 + 0.1
    truth = 7.0 - 4.6 * math.exp(-data[first]["qdsizer_track_time"] / 100)
    assert data[first]["qdsizer_track_size_low"] < truth < data[first]["qdsizer_track_size_high"]
    assert data[first + 1]["qdsizer_track_size"] == pytest.approx(data[first]["qdsizer_track_size"], rel=0.1)


def test_sums_that_share_frames_count_each_photon_once(synthesis: Documents, through: Through) -> None:
    rolling = AccumulationConfig(mode="rolling", min_counts=1e6, max_seconds=1e6)
    data = data_of(through(synthesis, accumulation=rolling))
    frames = data[-1]["qdsizer_n_frames"]
    assert frames > 1
    assert data[-1]["qdsizer_evidence_size_sd"] == pytest.approx(
        math.sqrt(frames) * data[-1]["qdsizer_size_frame_sd"], rel=1e-12
    )
    once = data_of(through(synthesis, accumulation=rolling.model_copy(update={"mode": "reset"})))
    assert once[0]["qdsizer_n_frames"] > 1
    assert once[0]["qdsizer_evidence_size_sd"] == once[0]["qdsizer_size_frame_sd"]


def test_the_prior_of_the_training_counts_once() -> None:
    """Ten answers, each drawn halfway to the prior: together they are not drawn any further."""
    prior, true, sd = math.log(5.0), math.log(3.0), 0.5
    posterior_sd = math.sqrt(0.5) * 0.5  # likelihood as wide as the prior
    answer = (true + prior) / 2
    data = {
        "qdsizer_evidence_mass_mean": math.exp(answer),
        "qdsizer_evidence_mass_mean_sd": posterior_sd * math.exp(answer),
        "qdsizer_evidence_mass_mean_shared_sd": 0.0,
        "qdsizer_evidence_size": math.exp(answer),
        "qdsizer_evidence_size_sd": posterior_sd * math.exp(answer),
        "qdsizer_evidence_size_shared_sd": 0.03,
        "qdsizer_evidence_age": 2.0,
        "qdsizer_track_time": 10.0,
    }
    measurement = measurement_of(data)
    assert measurement is not None
    assert measurement.mass_mean == pytest.approx(true, rel=1e-9)
    assert measurement.mass_mean_sd == pytest.approx(sd, rel=1e-9)
    assert measurement.size_shared_sd == pytest.approx(0.03 / math.exp(answer))
    assert measurement.time_s == 8.0
    assert (measurement.below, measurement.above) == (0.0, 0.0)  # runs sized before there were factors
    factors = {
        "qdsizer_evidence_lower_factor": math.exp(-0.1),
        "qdsizer_evidence_upper_factor": math.exp(0.3),
    }
    moved = measurement_of({**data, **factors})
    assert moved is not None
    assert (moved.below, moved.above) == pytest.approx((0.1, 0.3))
    # An answer as wide as the training tells nothing.
    for key in ("mass_mean", "size"):
        data[f"qdsizer_evidence_{key}_sd"] = 0.46 * math.exp(answer)
    assert measurement_of(data) is None
    assert measurement_of({}) is None

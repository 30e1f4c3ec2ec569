"""The simulated MYTHEN, in a real RunEngine."""

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky.utils import FailedStatus
from numpy.typing import NDArray

from qdsizer_stream.devices import SimMythen
from qdsizer_stream.errors import CalibrationError, PatternError
from qdsizer_stream.patterns import q_from_two_theta
from qdsizer_stream.reduction import StripSimulator, nominal_detector

DETECTOR = nominal_detector(2, -1.0)
WAVELENGTH = 0.5637


def brighter_with_time(q: NDArray[np.float64], elapsed_s: float) -> NDArray[np.float64]:
    return (1 + elapsed_s) * (1 + q)


def mythen(**settings: object) -> SimMythen:
    defaults = {
        "name": "mythen",
        "scene": brighter_with_time,
        "detector": DETECTOR,
        "wavelength_angstrom": WAVELENGTH,
        "counts_per_second": 40.0,
        "exposure_s": 2.0,
        "speed": np.inf,
        "seed": 7,
    }
    return SimMythen(**{**defaults, **settings})


def frames(device: SimMythen, number: int) -> tuple[list[dict], dict]:
    documents = []
    RunEngine({})(count([device], number), lambda name, doc: documents.append((name, doc)))
    descriptor = next(doc for name, doc in documents if name == "descriptor")
    return [doc for name, doc in documents if name == "event"], descriptor


def test_counts_are_poisson_around_the_scene() -> None:
    events, _ = frames(mythen(), 1)
    counts = events[0]["data"]["mythen_image"]
    q = q_from_two_theta(DETECTOR.two_theta(0.0), WAVELENGTH)
    # 40 counts/s for 2 s of a scene of (1 + 1 s)(1 + Q), written out, on strips of their width; both sides
    # of the beam see the same.
    width = np.diff(DETECTOR.two_theta(0.0), append=np.nan)
    width[1279::1280] = np.nan  # the next strip is on another module
    mean = 40 * 2 * (1 + 1.0) * (1 + np.abs(q)) * width / np.nanmean(width)
    assert counts.dtype == np.uint32
    inside = np.isfinite(mean)
    chi_squared = np.sum((counts[inside] - mean[inside]) ** 2 / mean[inside])
    # Index of dispersion: chi² with n degrees of freedom, sd √(2n); five of them.
    assert abs(chi_squared - inside.sum()) < 5 * np.sqrt(2 * inside.sum())
    assert np.unique(counts).size > 50


def test_the_monitor_follows_the_beam() -> None:
    events, descriptor = frames(mythen(beam=lambda elapsed_s: 1 / (1 + elapsed_s)), 3)
    monitor = [event["data"]["mythen_monitor"] for event in events]
    assert monitor == [1 / 2, 1 / 4, 1 / 6]
    # The scene grows as the beam falls: what is left is one and the same.
    totals = [float(event["data"]["mythen_image"].sum()) for event in events]
    assert max(totals) - min(totals) < 5 * np.sqrt(2 * totals[0])
    assert descriptor["data_keys"]["mythen_monitor"]["dtype"] == "number"


def test_a_detector_with_faults_counts_with_them() -> None:
    response = np.ones(DETECTOR.n_strips)
    response[100:200] = 0.0
    response[200:300] = 3.0
    events, _ = frames(mythen(detector=StripSimulator(detector=DETECTOR, response=response)), 1)
    counts = events[0]["data"]["mythen_image"].astype(float)
    assert np.all(counts[100:200] == 0)
    assert counts[200:300].mean() == pytest.approx(3 * counts[300:400].mean(), rel=0.1)


def test_the_synthesis_moves_by_one_exposure_a_frame() -> None:
    events, _ = frames(mythen(), 3)
    assert [event["data"]["mythen_elapsed"] for event in events] == [1.0, 3.0, 5.0]


def test_frames_depend_on_the_seed_alone() -> None:
    first, _ = frames(mythen(), 2)
    again, _ = frames(mythen(speed=100.0), 2)
    other, _ = frames(mythen(seed=8), 2)
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a["data"]["mythen_image"], b["data"]["mythen_image"])
        assert np.any(a["data"]["mythen_image"] != c["data"]["mythen_image"])


def test_the_descriptor_says_what_sizing_needs() -> None:
    _, descriptor = frames(mythen(), 1)
    key = descriptor["data_keys"]["mythen_image"]
    assert (key["shape"], key["dtype_numpy"], key["units"]) == ([2560], "<u4", "counts")
    configuration = descriptor["configuration"]["mythen"]
    assert configuration["data"]["mythen_wavelength"] == WAVELENGTH
    assert configuration["data_keys"]["mythen_wavelength"]["units"] == "angstrom"
    assert configuration["data"]["mythen_exposure_s"] == 2.0
    assert configuration["data_keys"]["mythen_arm_angle"]["units"] == "deg"


def test_a_scene_that_fails_fails_the_plan_with_its_error() -> None:
    def broken(q: NDArray[np.float64], elapsed_s: float) -> NDArray[np.float64]:
        raise ArithmeticError("no such crystal")

    with pytest.raises(FailedStatus) as failure:
        RunEngine({})(count([mythen(scene=broken)]))
    assert str(failure.value.__cause__) == "no such crystal"


@pytest.mark.parametrize("setting", ["counts_per_second", "exposure_s", "speed"])
def test_settings_must_be_positive(setting: str) -> None:
    with pytest.raises(CalibrationError, match=f"{setting} is -1.0: give a positive number"):
        mythen(**{setting: -1.0})


def test_wavelength_must_be_an_x_ray_one() -> None:
    with pytest.raises(PatternError, match=r"wavelength 22.0 Å is not an X-ray wavelength"):
        mythen(wavelength_angstrom=22.0)

"""A detector with every fault, through the live path: the size is that of the dots, or a refusal says why."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.plans import count

from qdsizer_stream.callbacks import ExposureSource, LiveConfig, LiveSizer, NumberSource, WavelengthSource
from qdsizer_stream.devices import SimMythen
from qdsizer_stream.patterns import q_from_two_theta
from qdsizer_stream.reduction import (
    DeadTime,
    FlatFieldFile,
    FlatLayout,
    ReductionConfig,
    StripDetector,
    StripModule,
    StripSimulator,
    nominal_detector,
    write_raw_text,
)
from qdsizer_stream.simulation import GrowingDots, SynthesisRecipe
from qdsizer_stream.sizing import SizingConfig

pytestmark = pytest.mark.slow

WAVELENGTH = 0.5637
NOMINAL = nominal_detector(24, 0.0)
N_FRAMES = 3


class Bench(NamedTuple):
    dots: GrowingDots
    strips: StripSimulator
    config: LiveConfig


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A detector with faults, and settings that know of all of them."""
    rng = np.random.default_rng(4)
    # Modules are mounted askew by up to half a degree, ten widths of a bin.
    modules = tuple(
        StripModule(
            centre_strip=module.centre_strip + rng.uniform(-20, 20),
            conversion_rad_per_strip=module.conversion_rad_per_strip * (1 + rng.uniform(-5e-3, 5e-3)),
            offset_deg=module.offset_deg + rng.uniform(-0.25, 0.25),
        )
        for module in NOMINAL.modules
    )
    detector = StripDetector(modules=modules, global_offset_deg=0.0)
    n = detector.n_strips
    # Modules differ by a fifth, their strips by a tenth: uncorrected, steps where the modules meet.
    response = np.repeat(rng.uniform(0.8, 1.2, 24), 1280) * rng.normal(1.0, 0.1, n).clip(0.5, 1.5)
    dead, hot = rng.choice(n, 200, replace=False).reshape(2, 100)
    response[dead] = 0.0
    noise = np.zeros(n)
    noise[hot] = 1e5
    dead_time = DeadTime(shaping="standard")
    width = detector.strip_width_deg()
    flat = tmp_path_factory.mktemp("flat") / "flat.raw"
    write_raw_text(flat, rng.poisson(1e6 * response * width / width.mean()))
    reduction = ReductionConfig(
        detector=detector,
        arm_deg=0.0,
        dead_time=dead_time,
        flat_field=FlatFieldFile(path=flat, layout=FlatLayout.COUNTS, energy_ev=22_000),
        bad_strips=tuple(int(strip) for strip in hot),
        normalise_exposure=True,
        normalise_monitor=True,
    )
    q_max = float(q_from_two_theta(detector.two_theta(0.0), WAVELENGTH).max())
    return Bench(
        GrowingDots(SynthesisRecipe(wavelength_angstrom=WAVELENGTH, growth_time_s=100.0), q_max),
        StripSimulator(detector=detector, response=response, noise_cps=noise, dead_time=dead_time),
        LiveConfig(
            sizing=SizingConfig(reduction=reduction),
            wavelength=WavelengthSource(configuration_key="mythen_wavelength"),
            exposure=ExposureSource(configuration_key="mythen_exposure_s", unit="s"),
            monitor=NumberSource(data_key="mythen_monitor"),
        ),
    )


def drifting(elapsed_s: float) -> float:
    return 1.0 + 0.3 * float(np.sin(3 * elapsed_s))


def measure(bench: Bench, config: LiveConfig | None = None, **settings: Any) -> list[dict[str, Any]]:
    """Data of the estimates of a live run; the brightest strips lose some per cent to dead time."""
    defaults: dict[str, Any] = {
        "scene": bench.dots,
        "detector": bench.strips,
        "wavelength_angstrom": WAVELENGTH,
        "counts_per_second": 1.2e4,
        "exposure_s": 0.4,
        "beam": drifting,
        "speed": np.inf,
        "seed": 11,
    }
    live = LiveSizer(config or bench.config)
    sizes: list[dict[str, Any]] = []
    live.subscribe(
        lambda _, doc: sizes.append(doc["data"]) if "qdsizer_size" in doc["data"] else None, "event"
    )
    engine = RunEngine({})
    engine.subscribe(live)
    engine(count([SimMythen(name="mythen", **{**defaults, **settings})], N_FRAMES))
    assert live.close(60)
    assert live.counters.contained == 0
    return sizes


def grown(bench: Bench) -> Callable[..., Any]:
    """Dots that have grown for five minutes and stay as they are."""
    return lambda q, _: bench.dots(q, 300.0)


def test_all_faults_corrected_give_the_true_size(bench: Bench) -> None:
    sizes = measure(bench, scene=grown(bench))
    assert [data["qdsizer_status"] for data in sizes] == ["sized"] * N_FRAMES, sizes
    truth = bench.dots.number_mean_nm(300.0)
    for data in sizes:
        assert data["qdsizer_size_low"] <= truth <= data["qdsizer_size_high"]
        assert data["qdsizer_size"] == pytest.approx(truth, abs=0.3)
        assert data["qdsizer_warnings"] == ""


def test_the_faults_are_faults(bench: Bench) -> None:
    # Without the corrections the same frames are refused, or marked as another lattice: never sized right.
    assert bench.config.sizing.reduction is not None
    blind = bench.config.model_copy(
        update={"sizing": SizingConfig(reduction=ReductionConfig(detector=NOMINAL, arm_deg=0.0))}
    )
    assert {data["qdsizer_status"] for data in measure(bench, blind, scene=grown(bench))} != {"sized"}


def told_otherwise(bench: Bench, reduction: dict[str, Any], **settings: Any) -> LiveConfig:
    """Settings that are wrong in one thing."""
    assert bench.config.sizing.reduction is not None
    wrong = bench.config.sizing.reduction.model_copy(update=reduction)
    return bench.config.model_copy(update={"sizing": SizingConfig(reduction=wrong), **settings})


@pytest.mark.parametrize(
    ("reduction", "settings", "device", "reason"),
    [
        ({"arm_deg": None}, {}, {}, "the frame has no arm angle"),
        ({}, {"exposure": None}, {}, "exposure None of the frame is not a valid time"),
        ({}, {"monitor": None}, {}, "monitor (I0) reading None is not usable for normalisation"),
        (
            {},
            {},
            {"beam": lambda _: 0.0},
            "monitor (I0) reading 0.0 is not usable for normalisation: check the shutter",
        ),
        ({}, {}, {"wavelength_angstrom": 0.6199}, "was measured at 22000 eV, the frame at 20000"),
        (
            {"detector": nominal_detector(18, 0.0), "flat_field": None, "bad_strips": ()},
            {"data_key": "mythen_image"},
            {},
            "the frame has 30720 values (24 modules); the calibration is for 23040 strips",
        ),
        (
            {},
            {"monitor": NumberSource(data_key="ring_current")},
            {},
            "no monitor: data key ring_current is missing, found ",
        ),
        (
            {"bad_strips": None},
            {"applied": {"UseBadChanIntrpl_RBV": "mythen_filled_in"}},
            {},
            "no UseBadChanIntrpl_RBV: mythen_filled_in is neither in the data nor in the configuration",
        ),
    ],
    ids=["arm", "exposure", "monitor", "shutter", "energy", "modules", "key", "switch"],
)
def test_wrong_settings_refuse_every_frame_and_say_why(
    bench: Bench, reduction: dict[str, Any], settings: dict[str, Any], device: dict[str, Any], reason: str
) -> None:
    sizes = measure(bench, told_otherwise(bench, reduction, **settings), **device)
    assert [data["qdsizer_status"] for data in sizes] == ["bad_frame"] * N_FRAMES
    assert all(reason in data["qdsizer_reason"] for data in sizes), sizes[0]["qdsizer_reason"]
    assert all(np.isnan(data["qdsizer_size"]) for data in sizes)


def test_a_module_that_is_off_is_masked_and_told(bench: Bench) -> None:
    response = bench.strips.response.copy()
    response[8 * 1280 : 9 * 1280] = 0.0
    off = StripSimulator(
        detector=bench.strips.detector, response=response, noise_cps=None, dead_time=bench.strips.dead_time
    )
    sizes = measure(bench, detector=off, scene=grown(bench))
    assert {data["qdsizer_warnings"] for data in sizes} == {"modules [8] have no counts"}
    truth = bench.dots.number_mean_nm(300.0)
    assert all(data["qdsizer_size_low"] <= truth <= data["qdsizer_size_high"] for data in sizes)


def test_strips_beyond_their_dead_time_are_told(bench: Bench) -> None:
    # Fifty times the beam: half the the limit of the dead-time correction their dead time is known for.
    sizes = measure(bench, counts_per_second=6e5)
    assert all("the limit of the dead-time correction" in data["qdsizer_warnings"] for data in sizes)

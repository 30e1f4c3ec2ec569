"""A real archive, detector and model."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qdsizer_stream.archive import embedded_tiled
from qdsizer_stream.callbacks import LiveConfig, WavelengthSource
from qdsizer_stream.devices import SimMythen
from qdsizer_stream.patterns import q_from_two_theta
from qdsizer_stream.reduction import ReductionConfig, nominal_detector
from qdsizer_stream.simulation import GrowingDots, SynthesisRecipe
from qdsizer_stream.sizing import Sizer, SizingConfig

WAVELENGTH = 0.5637
DETECTOR = nominal_detector(24, 0.0)


@pytest.fixture(scope="session")
def config() -> LiveConfig:
    return LiveConfig(
        sizing=SizingConfig(model="pbs", reduction=ReductionConfig(detector=DETECTOR, arm_deg=0.0)),
        wavelength=WavelengthSource(configuration_key="mythen_wavelength"),
    )


@pytest.fixture(scope="session")
def sizer(config: LiveConfig) -> Sizer:
    return Sizer(config.sizing)


@pytest.fixture(scope="session")
def dots() -> GrowingDots:
    q_max = float(q_from_two_theta(DETECTOR.two_theta(0.0), WAVELENGTH).max())
    return GrowingDots(SynthesisRecipe(wavelength_angstrom=WAVELENGTH, growth_time_s=100.0), q_max)


@pytest.fixture(scope="session")
def mythen(dots: GrowingDots) -> Callable[..., SimMythen]:
    def make(name: str = "mythen", kind: type[SimMythen] = SimMythen, **settings: Any) -> SimMythen:
        defaults: dict[str, Any] = {
            "scene": dots,
            "detector": DETECTOR,
            "wavelength_angstrom": WAVELENGTH,
            "counts_per_second": 1.0,
            "exposure_s": 30.0,
            "speed": np.inf,
            "seed": 5,
        }
        return kind(name=name, **{**defaults, **settings})

    return make


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of frame files that the archive may read."""
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, files: Path) -> Iterator[Any]:
    with embedded_tiled(tmp_path_factory.mktemp("archive"), readable=[files]) as client:
        yield client

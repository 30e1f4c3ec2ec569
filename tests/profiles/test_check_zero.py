"""The zero of 2θ that the peaks in measured frames ask for."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky_tiled_plugins import TiledWriter

from qdsizer_stream.archive import embedded_tiled
from qdsizer_stream.callbacks import LiveConfig
from qdsizer_stream.profiles import Finding, check_run

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with embedded_tiled(tmp_path_factory.mktemp("zero") / "archive") as client:
        yield client


def zero_of(archive: Any, detector: Any, config: LiveConfig, zero_deg: float) -> Finding:
    """What is found where the settings state another zero than the detector has, which is 0."""
    engine = RunEngine({})
    engine.subscribe(TiledWriter(archive))
    (uid,) = engine(count([detector], 2))
    reduction = config.sizing.reduction
    assert reduction is not None
    assert reduction.detector is not None
    strips = reduction.detector.model_copy(update={"global_offset_deg": zero_deg})
    sizing = config.sizing.model_copy(update={"reduction": reduction.model_copy(update={"detector": strips})})
    *_, found = check_run(config.model_copy(update={"sizing": sizing}), archive[uid])
    assert found.what == "2θ zero"
    return found


@pytest.mark.parametrize("zero_deg", [2.0, -0.75])
def test_a_wrong_zero_is_found(
    zero_deg: float, archive: Any, mythen: Callable[..., Any], config: LiveConfig
) -> None:
    found = zero_of(archive, mythen(), config, zero_deg)
    assert found.good is False
    stated = re.fullmatch(
        r"the peaks of a frame are those of PbS if all angles are ([\d.]+) ± ([\d.]+)° (smaller|larger): "
        r"check the arm and the calibration, or set global_offset_deg = (-?[\d.]+) \(now (-?[\d.]+)\)",
        found.found,
    )
    assert stated is not None, found.found
    within = float(stated[2])
    assert 0.005 < within < 0.1  # peaks of dots of 3 nm are 1.5° wide
    assert float(stated[1]) == pytest.approx(abs(zero_deg), abs=within)
    assert stated[3] == ("smaller" if zero_deg > 0 else "larger")
    assert float(stated[4]) == pytest.approx(0.0, abs=within)
    assert float(stated[5]) == zero_deg


def test_a_right_zero_is_right(archive: Any, mythen: Callable[..., Any], config: LiveConfig) -> None:
    found = zero_of(archive, mythen(), config, 0.0)
    assert found.good is True
    shift = re.fullmatch(r"the peaks of a frame are those of PbS, shifted by ([+-][\d.]+)°", found.found)
    assert shift is not None, found.found
    assert abs(float(shift[1])) < 0.02


def test_frames_without_nanocrystals_do_not_show_a_zero(
    archive: Any, mythen: Callable[..., Any], config: LiveConfig
) -> None:
    def solvent(q: Any, elapsed_s: float) -> Any:
        return 100 * np.exp(-(((q - 1.4) / 0.4) ** 2)) + 20

    found = zero_of(archive, mythen(scene=solvent), config, 0.0)
    assert found.good is None
    assert found.found.startswith(
        "not checked: no frame of the run shows PbS with a zero up to 3° off; the brightest is rejected: "
    )

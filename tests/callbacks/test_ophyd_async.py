"""Frames that an ophyd-async StandardDetector writes to HDF5 while they are read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.plans import count
from ophyd_async.core import init_devices

from qdsizer_stream.callbacks import LiveConfig, WavelengthSource
from qdsizer_stream.callbacks.documents import Frame, FrameSource
from qdsizer_stream.reduction import ReductionConfig, nominal_detector
from qdsizer_stream.sizing import SizingConfig
from qdsizer_stream.testing.async_producers import FrameFileDetector, fly_async

N_STRIPS = 2560
FRAMES = np.random.default_rng(2).poisson(50, (6, N_STRIPS)).astype(np.uint32)
CONFIG = LiveConfig(
    sizing=SizingConfig(reduction=ReductionConfig(detector=nominal_detector(2, -1.0), arm_deg=0.0)),
    wavelength=WavelengthSource(configuration_key="mythen-energy"),
)


@pytest.mark.parametrize("kind", ["step", "fly"])
def test_frames_of_a_standard_detector(kind: str, tmp_path: Path) -> None:
    frames: list[Frame] = []
    names: list[str] = []
    sources: list[FrameSource] = []

    def live(name: str, doc: Any) -> None:
        names.append(name)
        if name == "start":
            sources.append(FrameSource(CONFIG, doc))
        frames.extend(sources[0].frames(name, doc, 1.0e9))  # the writer still has the file open

    engine = RunEngine({})
    with init_devices():
        detector = FrameFileDetector(tmp_path, FRAMES, energy_kev=22.0)
    engine(count([detector], len(FRAMES)) if kind == "step" else fly_async(detector, len(FRAMES)), live)
    sources[0].close()
    assert ("event" in names) == (kind == "step")
    assert [frame.reason for frame in frames] == [""] * len(FRAMES)
    assert [frame.seq_num for frame in frames] == [1, 2, 3, 4, 5, 6]
    np.testing.assert_array_equal([frame.raw.counts for frame in frames], FRAMES)
    # 22 keV in the descriptor, hc/E by hand
    assert frames[0].raw.wavelength_angstrom == pytest.approx(12.398419843 / 22.0)

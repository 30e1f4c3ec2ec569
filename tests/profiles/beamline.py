"""Start-up file of a beamline that exists in the tests alone: a RunEngine, a detector, a plan."""

import numpy as np
from bluesky import RunEngine
from bluesky import plans as bp

from qdsizer_stream.devices import SimMythen
from qdsizer_stream.reduction import nominal_detector

RE = RunEngine({})

mythen = SimMythen(
    name="mythen",
    scene=lambda q, elapsed_s: np.ones_like(q),  # no dots: that frames get an answer is what matters here
    detector=nominal_detector(1, 0.0),
    wavelength_angstrom=0.5637,
    counts_per_second=100.0,
    speed=np.inf,
)


def take(frames: int = 2):
    """Take frames with the one detector there is."""
    yield from bp.count([mythen], frames)

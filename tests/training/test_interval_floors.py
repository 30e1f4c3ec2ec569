"""Calibration of intervals, against errors of known distributions."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'qdsizer-stream[train]'")

from qdsizer_stream.models import TWO_SIDED_95
from qdsizer_stream.training import interval_floors, interval_scale


@pytest.mark.slow
@pytest.mark.parametrize(
    ("relative", "length_nm", "broad"),
    [(0.03, 0.0, 0.0), (0.0, 0.1, 0.0), (0.03, 0.1, 0.0), (0.01, 0.0, 1.2), (0.0, 0.05, 0.8)],
)
def test_floors_are_those_of_the_errors(relative: float, length_nm: float, broad: float) -> None:
    rng = np.random.default_rng(1)
    size_nm = rng.uniform(2, 10, 40_000)
    dispersion = rng.uniform(0.05, 0.4, size_nm.size)
    network_sd = rng.uniform(0.005, 0.02, size_nm.size)

    def sd(floors: tuple[float, float, float]) -> np.ndarray:
        squares = floors[0] ** 2 + (floors[1] / size_nm) ** 2 + (floors[2] * dispersion**2) ** 2
        return np.sqrt(squares + network_sd**2)

    truth = sd((relative, length_nm, broad))
    error = rng.standard_normal(size_nm.size) * truth
    found = sd(interval_floors(error, network_sd, size_nm, dispersion))
    covered = np.abs(error) <= TWO_SIDED_95 * found * (1 + 1e-9)
    assert np.mean(covered) == pytest.approx(0.95, abs=2e-3)
    for by in (size_nm, dispersion):
        for quarter in np.array_split(np.argsort(by), 4):
            assert np.mean(covered[quarter]) > 0.929
    # No wider than the errors are, for most frames.
    assert np.median(found) < 1.02 * np.median(truth)


def test_intervals_that_lack_nothing_get_no_floor() -> None:
    sizes = np.linspace(2, 10, 100)
    assert interval_floors(np.zeros(100), np.full(100, 0.1), sizes, np.full(100, 0.1)) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(("too_small", "scale"), [(2.5, 2.5), (0.4, 1.0)])
def test_the_scale_makes_95_percent_of_the_frames_covered(too_small: float, scale: float) -> None:
    rng = np.random.default_rng(2)
    network_sd = rng.uniform(0.01, 0.1, 100_000)
    error = too_small * network_sd * rng.standard_normal(network_sd.size)
    found = interval_scale(error, network_sd)
    assert found == pytest.approx(scale, rel=0.01)
    # The 95 % interval of the sample itself, no narrower than what the network predicts.
    covered = np.mean(np.abs(error) <= TWO_SIDED_95 * found * network_sd * (1 + 1e-12))
    assert covered == pytest.approx(0.95, abs=1e-4) if too_small > 1 else covered > 0.99

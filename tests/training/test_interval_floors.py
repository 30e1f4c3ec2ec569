"""Calibration of intervals, against errors of known distributions."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'qdsizer-stream[train]'")

from qdsizer_stream.models import TWO_SIDED_95
from qdsizer_stream.training import interval_floors, interval_scale


@pytest.mark.parametrize(("relative", "length_nm"), [(0.03, 0.0), (0.0, 0.1), (0.03, 0.1)])
def test_floors_are_those_of_the_errors(relative: float, length_nm: float) -> None:
    rng = np.random.default_rng(1)
    size_nm = rng.uniform(2, 10, 40_000)
    error = rng.standard_normal(size_nm.size) * np.hypot(relative, length_nm / size_nm)
    floors = interval_floors((error / TWO_SIDED_95) ** 2, size_nm)
    # 10 000 frames per quarter determine its quantile to 1 %, so a length of 0.014 nm can appear by chance.
    assert floors[0] == pytest.approx(relative, abs=0.005)
    assert floors[1] == pytest.approx(length_nm, abs=0.02)
    covered = np.abs(error) <= TWO_SIDED_95 * np.hypot(floors[0], floors[1] / size_nm)
    assert np.mean(covered) == pytest.approx(0.95, abs=1e-3)
    assert np.mean(covered[size_nm < 4]) == pytest.approx(0.95, abs=0.01)
    assert np.mean(covered[size_nm > 8]) == pytest.approx(0.95, abs=0.01)


def test_intervals_that_lack_nothing_get_no_floor() -> None:
    assert interval_floors(np.zeros(100), np.linspace(2, 10, 100)) == (0.0, 0.0)


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

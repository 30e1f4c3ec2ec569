"""The whole chain against a known cross-section: forward through every fault, back through the reduction."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from qdsizer_stream.patterns import BinGrid
from qdsizer_stream.reduction import (
    DeadTime,
    FlatFieldFile,
    FlatLayout,
    Polarisation,
    Reducer,
    ReductionConfig,
    StripDetector,
    StripModule,
    StripSimulator,
    nominal_detector,
)

pytestmark = pytest.mark.slow

WAVELENGTH = 0.5636
GRID = BinGrid(q_first_inv_angstrom=0.5, q_step_inv_angstrom=0.02, n_bins=680)
EXPOSURE_S = 0.5


def cross_section(q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solvent halo, broad Bragg peaks of small dots and a falling background; mean about 1."""
    peaks = ((1.83, 0.5), (2.12, 0.9), (2.99, 0.7), (3.51, 0.4), (4.24, 0.3), (5.2, 0.25))
    curve = 0.75 + 0.7 * np.exp(-q / 5) + 0.8 * np.exp(-((q - 1.3) ** 2) / (2 * 0.22**2))
    return np.asarray(curve + sum(h * np.exp(-((q - c) ** 2) / (2 * 0.06**2)) for c, h in peaks))


def bin_truth() -> NDArray[np.float64]:
    """Cross-section averaged over each bin, by brute force."""
    inside = (np.arange(200) + 0.5) / 200 - 0.5
    q = GRID.centres[:, None] + GRID.q_step_inv_angstrom * inside
    return np.asarray(cross_section(q).mean(axis=1))


class Bench:
    """A detector with every fault, and a reducer that was told of them."""

    def __init__(self, folder: Path, rng: np.random.Generator, flat_counts: float) -> None:
        nominal = nominal_detector(24, 2.0)
        # Modules are mounted askew: each has its own angle, distance and foot point; one is flipped.
        modules = tuple(
            StripModule(
                centre_strip=module.centre_strip + rng.uniform(-10, 10),
                conversion_rad_per_strip=module.conversion_rad_per_strip
                * (1 + rng.uniform(-2e-3, 2e-3))
                * (-1 if number == 5 else 1),
                offset_deg=module.offset_deg + rng.uniform(-0.01, 0.01),
            )
            for number, module in enumerate(nominal.modules)
        )
        detector = StripDetector(modules=modules, global_offset_deg=2.0, sample_across_beam_mm=0.3)
        n = detector.n_strips
        self.dead, self.hot = rng.choice(n, 60, replace=False).reshape(2, 30)
        response = rng.normal(1.0, 0.05, n)
        response[self.dead] = 0.0
        noise = np.zeros(n)
        noise[self.hot] = 1e5
        dead_time = DeadTime(shaping="standard")
        polarisation = Polarisation(fraction=0.95, plane="vertical")
        self.response = response
        self.simulator = StripSimulator(
            detector=detector,
            response=response,
            noise_cps=noise,
            dead_time=dead_time,
            polarisation=polarisation,
        )
        # A flat that was swept past the same light strip by strip holds response and width.
        width = detector.strip_width_deg()
        self.flat_mean = float((response * width / width.mean())[response > 0].mean())
        flat = rng.poisson(flat_counts * response * width / width.mean())
        path = folder / "flat.raw"
        path.write_text("".join(f"{strip} {count}\n" for strip, count in enumerate(flat)))
        self.reducer = Reducer(
            ReductionConfig(
                detector=detector,
                dead_time=dead_time,
                polarisation=polarisation,
                flat_field=FlatFieldFile(path=path, layout=FlatLayout.COUNTS, energy_ev=22_000),
                bad_strips=tuple(int(s) for s in self.hot),
                normalise_exposure=True,
                normalise_monitor=True,
                bins=GRID,
            )
        )

    def frame(
        self, level: float, arm_deg: float, monitor: float, rng: np.random.Generator
    ) -> NDArray[np.uint32]:
        def intensity(q: NDArray[np.float64]) -> NDArray[np.float64]:
            return level / EXPOSURE_S * cross_section(q)

        photons = self.simulator.photons(intensity, WAVELENGTH, arm_deg, EXPOSURE_S, monitor)
        return self.simulator.count(photons, EXPOSURE_S, rng)


@pytest.mark.parametrize("counts_per_strip", [0.5, 2, 5, 20, 100])
def test_reduced_pattern_is_the_cross_section(tmp_path: Path, counts_per_strip: float) -> None:
    rng = np.random.default_rng(5)
    # A flat with so many counts that its own error does not matter here.
    bench = Bench(tmp_path, rng, flat_counts=1e8)
    level = counts_per_strip / cross_section(GRID.centres).mean()
    truth = level / EXPOSURE_S * bin_truth() * bench.flat_mean
    chi_squared, total = [], None
    for number in range(60):
        monitor = 1.0 + 0.3 * np.sin(number)  # the beam drifts
        arm = 0.25 * (number % 2)  # two positions, which fill the gaps
        pooled = bench.reducer.pool(
            bench.frame(level, arm, monitor, rng), WAVELENGTH, arm, exposure_s=EXPOSURE_S, monitor=monitor
        )
        pattern = pooled.pattern()
        # A bin at the edge of a module sees only part of the bin, not its average.
        whole = pooled.n_strips > 0.9 * np.median(pooled.n_strips)
        chi_squared.append(np.mean(((pattern.intensity - truth) / pattern.sigma)[whole] ** 2))
        total = pooled if total is None else total + pooled
    assert 0.9 < np.mean(chi_squared) < 1.1

    assert total is not None
    everything = total.pattern()
    assert not everything.mask.any()
    pulls = (everything.intensity - truth) / everything.sigma
    # No bias: neither all over, nor in any of ten stretches of the pattern.
    for stretch in np.array_split(pulls[total.n_strips > 0.9 * np.median(total.n_strips)], 10):
        assert abs(stretch.mean()) < 4 / np.sqrt(stretch.size)
    assert 0.9 < np.mean(pulls**2) < 1.1 + 4 * np.sqrt(2 / pulls.size)


def test_dead_time_leaves_no_trace_at_200_000_counts_per_second(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    bench = Bench(tmp_path, rng, flat_counts=1e9)
    pooled = bench.reducer.pool(
        bench.frame(1e5, 0.0, 1.0, rng), WAVELENGTH, 0.0, exposure_s=EXPOSURE_S, monitor=1.0
    )
    truth = 1e5 / EXPOSURE_S * bin_truth() * bench.flat_mean
    whole = pooled.n_strips > 0.9 * np.median(pooled.n_strips)
    # The correction itself is 3.5 % on average.
    assert np.mean((pooled.intensity() / truth)[whole]) == pytest.approx(1.0, abs=1e-4)


def test_wrong_calibration_is_seen_by_this_test(tmp_path: Path) -> None:
    # The same comparison fails when a single module is 0.02° from where the reduction believes it.
    rng = np.random.default_rng(6)
    bench = Bench(tmp_path, rng, flat_counts=1e8)
    modules = list(bench.reducer.detector.modules)
    modules[1] = modules[1].model_copy(update={"offset_deg": modules[1].offset_deg + 0.02})
    tilted = bench.reducer.detector.model_copy(update={"modules": tuple(modules)})
    wrong = Reducer(bench.reducer.config.model_copy(update={"detector": tilted}))
    frame = bench.frame(2000.0, 0.0, 1.0, rng)
    pooled = wrong.pool(frame, WAVELENGTH, 0.0, exposure_s=EXPOSURE_S, monitor=1.0)
    pattern = pooled.pattern()
    truth = 2000.0 / EXPOSURE_S * bin_truth() * bench.flat_mean
    whole = pooled.n_strips > 0.9 * np.median(pooled.n_strips)
    assert np.mean(((pattern.intensity - truth) / pattern.sigma)[whole] ** 2) > 1.2


def test_systematic_error_of_the_flat_is_the_scatter_between_flats(tmp_path: Path) -> None:
    # Many frames through one noisy flat: what is left is the flat's error, as predicted.
    rng = np.random.default_rng(7)
    chi_squared = []
    for number in range(5):
        folder = tmp_path / str(number)
        folder.mkdir()
        bench = Bench(folder, rng, flat_counts=400)
        truth = 1e4 / EXPOSURE_S * bin_truth()
        pooled = bench.reducer.pool(
            bench.frame(1e4, 0.0, 1.0, rng), WAVELENGTH, 0.0, exposure_s=EXPOSURE_S, monitor=1.0
        )
        pattern, flat_sigma = pooled.pattern(), pooled.systematic()["flat_field"]
        whole = pooled.n_strips > 0.9 * np.median(pooled.n_strips)
        scale = np.median(pattern.intensity[whole] / truth[whole])  # the mean of the flat is arbitrary
        variance = pattern.sigma**2 + flat_sigma**2
        chi_squared.append(np.mean(((pattern.intensity - scale * truth) ** 2 / variance)[whole]))
        assert np.median(flat_sigma[whole] / pattern.sigma[whole]) > 3
    assert 0.9 < np.mean(chi_squared) < 1.1

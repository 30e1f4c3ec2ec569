import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError
from scipy.optimize import brentq

from qdsizer_stream.configuration import Config
from qdsizer_stream.errors import CalibrationError, ConfigurationError, PatternError
from qdsizer_stream.patterns import BinGrid, q_from_two_theta
from qdsizer_stream.reduction import (
    AngleConvention,
    AngleGrid,
    AppliedCorrections,
    BadStripFile,
    CalibrationFile,
    DeadTime,
    FlatFieldFile,
    FlatLayout,
    Polarisation,
    Reducer,
    ReductionConfig,
    StripDetector,
    StripOrigin,
    load_reduction,
    nominal_detector,
    read_angle_calibration,
    read_flat_field,
    refine_calibration,
    write_angle_calibration,
)

WAVELENGTH = 0.5636  # 22 keV
DETECTOR = nominal_detector(3, 2.0)
N = DETECTOR.n_strips
GRID = BinGrid(q_first_inv_angstrom=0.6, q_step_inv_angstrom=0.02, n_bins=100)
ONES = np.ones(N)


def config(**settings: object) -> ReductionConfig:
    return ReductionConfig.model_validate({"detector": DETECTOR, "arm_deg": 0.0, **settings})


FULL_REDUCER = Reducer(
    ReductionConfig(
        detector=DETECTOR,
        bins=GRID,
        dead_time=DeadTime(shaping="standard"),
        normalise_exposure=True,
        normalise_monitor=True,
    )
)


def flat_file(folder: Path, response: np.ndarray, counts: float = 1e6) -> FlatFieldFile:
    path = folder / "flat.raw"
    path.write_text("".join(f"{strip} {counts * r:.0f}\n" for strip, r in enumerate(response)))
    return FlatFieldFile(path=path, layout=FlatLayout.COUNTS, energy_ev=22_000)


def test_bare_detector_gives_every_strip_a_point() -> None:
    counts = np.random.default_rng(0).poisson(50, N)
    pattern = Reducer(DETECTOR).reduce(counts, WAVELENGTH)
    assert len(pattern) == N
    assert pattern.q_inv_angstrom == pytest.approx(q_from_two_theta(DETECTOR.two_theta(0.0), WAVELENGTH))
    # Counts of a strip of mean width: widths differ by 0.2 %.
    assert pattern.intensity == pytest.approx(counts, rel=2e-3)
    assert pattern.sigma == pytest.approx(np.sqrt(counts), rel=2e-3)


def test_the_error_of_a_flat_field_is_that_of_its_counts(tmp_path: Path) -> None:
    """Of a strip, as a fraction: whatever its response and the polarisation are."""
    flat_counts = np.linspace(2000, 18_000, N).round()
    flat = flat_file(tmp_path, flat_counts, counts=1.0)
    reducer = Reducer(config(flat_field=flat, polarisation=Polarisation(plane="vertical", fraction=0.2)))
    pooled = reducer.pool(np.full(N, 500), WAVELENGTH)
    relative = pooled.systematic()["flat_field"] / pooled.intensity()
    np.testing.assert_allclose(relative, 1 / np.sqrt(flat_counts), rtol=1e-9)


def test_strip_without_counts_keeps_the_error_of_one() -> None:
    pattern = Reducer(DETECTOR).reduce(np.zeros(N), WAVELENGTH)
    assert pattern.sigma == pytest.approx(ONES, rel=2e-3)


def test_negative_angles_are_left_out_and_overlaps_pooled() -> None:
    twice = StripDetector(modules=DETECTOR.modules[:1] * 2, global_offset_deg=-2.0)
    pooled = Reducer(twice).pool(np.full(2560, 3.0), WAVELENGTH)
    angles = twice.two_theta(0.0)[:1280]
    assert pooled.q_inv_angstrom.size == np.count_nonzero(angles > 0)
    assert np.all(pooled.counts == 6.0)
    assert np.all(pooled.n_strips == 2)


def test_bins_pool_whole_strips_as_a_loop_does() -> None:
    rng = np.random.default_rng(1)
    counts = rng.poisson(5, N)
    pooled = Reducer(config(bins=GRID)).pool(counts, WAVELENGTH)
    q = q_from_two_theta(DETECTOR.two_theta(0.0), WAVELENGTH)
    width = DETECTOR.strip_width_deg() / DETECTOR.strip_width_deg().mean()
    for number in range(GRID.n_bins):
        inside = (q >= GRID.edges[number]) & (q < GRID.edges[number + 1])
        assert pooled.counts[number] == counts[inside].sum()
        assert pooled.exposure[number] == pytest.approx(width[inside].sum())
        assert pooled.n_strips[number] == np.count_nonzero(inside)


def test_gaps_are_masked_never_zero() -> None:
    pattern = Reducer(config(bins=GRID)).reduce(np.full(N, 7.0), WAVELENGTH)
    assert np.count_nonzero(pattern.mask) == 2  # one bin in each of the two gaps
    assert np.all(np.isnan(pattern.intensity[pattern.mask]))
    assert pattern.intensity[pattern.usable] == pytest.approx(
        np.full(np.count_nonzero(pattern.usable), 7.0), rel=3e-3
    )


def test_arm_moves_the_pattern() -> None:
    reducer = Reducer(ReductionConfig(detector=DETECTOR))
    near = reducer.reduce(ONES, WAVELENGTH, 0.0)
    far = reducer.reduce(ONES, WAVELENGTH, 10.0)
    assert far.q_inv_angstrom[0] == pytest.approx(
        q_from_two_theta(DETECTOR.two_theta(0.0)[:1] + 10.0, WAVELENGTH)[0]
    )
    again = reducer.reduce(ONES, WAVELENGTH, 0.0)
    assert np.array_equal(again.q_inv_angstrom, near.q_inv_angstrom)


def test_axes_of_a_moving_arm_do_not_pile_up() -> None:
    reducer = Reducer(config(bins=GRID))
    for arm in np.linspace(0, 1, 40):
        reducer.reduce(ONES, WAVELENGTH, float(arm))
    assert len(reducer._axes) <= 16


def test_angle_grid_is_an_export_with_empty_bins() -> None:
    bins = AngleGrid(first_deg=2.5, n_bins=1000)
    pooled = Reducer(config(bins=bins)).pool(np.full(N, 9.0), WAVELENGTH)
    empty = np.mean(pooled.exposure == 0)
    assert 0.035 < empty < 0.055  # strips of 0.00377° over bins of 0.0036°
    assert pooled.counts.sum() == 9 * pooled.n_strips.sum()
    assert pooled.q_inv_angstrom == pytest.approx(q_from_two_theta(bins.centres, WAVELENGTH))


def test_flat_field_takes_the_response_out(tmp_path: Path) -> None:
    response = np.random.default_rng(2).uniform(0.8, 1.2, N)
    reducer = Reducer(config(bins=GRID, flat_field=flat_file(tmp_path, response)))
    pattern = reducer.reduce(1000 * response, WAVELENGTH)
    level = 1000 * response.mean()
    assert pattern.intensity[pattern.usable] == pytest.approx(
        np.full(np.count_nonzero(pattern.usable), level), rel=1e-5
    )


def test_flat_field_of_five_columns_leaves_the_widths_to_the_geometry(tmp_path: Path) -> None:
    path = tmp_path / "flat.txt"
    path.write_text("".join(f"{strip} 1.0 0.01 4e-9 0.00377\n" for strip in range(N)))
    flat = FlatFieldFile(path=path, layout=FlatLayout.ANGCAL, energy_ev=22_000)
    width = DETECTOR.strip_width_deg()
    pattern = Reducer(config(flat_field=flat)).reduce(1000 * width / width.mean(), WAVELENGTH)
    assert pattern.intensity == pytest.approx(np.full(N, 1000.0), rel=1e-9)


def test_flat_error_is_systematic_and_does_not_average_over_frames(tmp_path: Path) -> None:
    # 400 counts a strip in the flat: 5 % for a strip, 5 %/√n for a bin of n strips.
    reducer = Reducer(config(bins=GRID, flat_field=flat_file(tmp_path, ONES, counts=400)))
    frame = reducer.pool(np.full(N, 100.0), WAVELENGTH)
    full = frame.n_strips > 20
    expected = 100 * 0.05 / np.sqrt(frame.n_strips[full])
    assert frame.systematic()["flat_field"][full] == pytest.approx(expected, rel=3e-3)
    four = frame + frame + frame + frame
    assert four.systematic()["flat_field"][full] == pytest.approx(expected, rel=3e-3)
    ratio = four.pattern().sigma[full] / frame.pattern().sigma[full]
    assert ratio == pytest.approx(np.full(ratio.size, 0.5), rel=1e-3)


def test_flat_error_averages_over_arm_positions(tmp_path: Path) -> None:
    reducer = Reducer(config(bins=GRID, flat_field=flat_file(tmp_path, ONES, counts=400)))
    both = reducer.pool(np.full(N, 100.0), WAVELENGTH, 0.0) + reducer.pool(np.full(N, 100.0), WAVELENGTH, 0.6)
    full = both.n_strips > 50
    expected = 100 * 0.05 / np.sqrt(both.n_strips[full])
    assert both.systematic()["flat_field"][full] == pytest.approx(expected, rel=3e-3)


def test_uncovered_and_nearly_dead_strips_are_bad(tmp_path: Path) -> None:
    response = ONES.copy()
    response[10], response[11] = 0.0, 0.05
    reducer = Reducer(config(flat_field=flat_file(tmp_path, response)))
    assert np.flatnonzero(reducer.reduce(ONES, WAVELENGTH).mask).tolist() == [10, 11]


def test_exposure_and_monitor_are_divided_by() -> None:
    reducer = Reducer(
        config(bins=GRID, normalise_exposure=True, normalise_monitor=True, monitor_relative_sigma=0.01)
    )
    pooled = reducer.pool(np.full(N, 80.0), WAVELENGTH, exposure_s=4.0, monitor=2.0)
    pattern = pooled.pattern()
    assert np.nanmean(pattern.intensity) == pytest.approx(10.0, rel=2e-3)
    assert pooled.systematic()["monitor"][pattern.usable] == pytest.approx(
        0.01 * pattern.intensity[pattern.usable]
    )
    assert pooled.exposure_s == 4.0


def test_drifting_beam_is_weighted_by_what_it_delivered() -> None:
    reducer = Reducer(config(bins=GRID, normalise_monitor=True))
    strong = reducer.pool(np.full(N, 90.0), WAVELENGTH, monitor=9.0)
    weak = reducer.pool(np.full(N, 10.0), WAVELENGTH, monitor=1.0)
    assert np.nanmean((strong + weak).intensity()) == pytest.approx(10.0, rel=2e-3)


def test_dead_time_is_taken_out() -> None:
    reducer = Reducer(config(dead_time=DeadTime(shaping="standard")))
    pooled = reducer.pool(np.full(N, 3e4), WAVELENGTH, exposure_s=0.1)  # 300 kcps
    assert pooled.counts == pytest.approx(np.full(N, 3e4 * 1.0553), rel=1e-4)
    assert pooled.warnings == ()


def photon_by_photon(
    rng: np.random.Generator, rate_cps: float, tau_s: float, exposure_s: float, n_strips: int
) -> np.ndarray:
    """Counts of a paralysable counter: a photon counts if none arrived within τ before it."""
    counts = np.empty(n_strips)
    for strip, n in enumerate(rng.poisson(rate_cps * exposure_s, n_strips)):
        arrivals = np.sort(rng.uniform(0, exposure_s, n))
        counts[strip] = np.count_nonzero(np.diff(arrivals, prepend=-1.0) > tau_s)
    return counts


@pytest.mark.slow
@pytest.mark.parametrize("rate_cps", [1e6, 4e6])
def test_sigma_after_the_dead_time_correction_is_the_scatter_of_a_counter(rate_cps: float) -> None:
    tau_ns, exposure_s = 95.0, 1e-3
    rng = np.random.default_rng(21)
    counts = photon_by_photon(rng, rate_cps, tau_ns * 1e-9, exposure_s, N)
    settings = {"dead_time": DeadTime(tau_ns=tau_ns, limit_cps=1e7)}
    pooled = Reducer(config(**settings)).pool(counts, WAVELENGTH, exposure_s=exposure_s)
    photons = rate_cps * exposure_s
    # 3840 counters: the scatter is known to 1.1 %. At 4 Mcps, Poisson's would be 44 % larger
    # and (1 - mτ) in place of (1 - 2mτ) 24 %.
    assert pooled.counts.mean() == pytest.approx(photons, rel=2.5e-3)
    sigma = pooled.pattern().sigma * pooled.exposure
    assert np.sqrt(np.mean(sigma**2)) == pytest.approx(pooled.counts.std(), rel=0.045)
    # The same counts, corrected by the control system, have the same error.
    again = Reducer(config(**settings)).pool(
        pooled.counts, WAVELENGTH, exposure_s=exposure_s, applied=AppliedCorrections(rate=True)
    )
    assert again.variance == pytest.approx(pooled.variance, rel=1e-9)


def test_rates_above_the_limit_are_reported_and_beyond_the_highest_masked() -> None:
    counts = np.full(N, 1e4)
    counts[:5], counts[5:7] = 4e4, 3e5  # 400 kcps, and 3 Mcps where 2.16 Mcps is the highest
    pooled = Reducer(config(dead_time=DeadTime(shaping="standard"))).pool(counts, WAVELENGTH, exposure_s=0.1)
    assert pooled.warnings == (
        "7 strips above 300000 counts per second, the limit of the dead-time correction",
        "2 strips above the maximum rate of the counter",
    )
    assert np.flatnonzero(pooled.pattern().mask).tolist() == [5, 6]


def test_an_undeclared_dead_time_may_hide_photons_of_strong_strips() -> None:
    reducer, counts = Reducer(config()), np.full(N, 100.0)
    counts[3] = 1e6
    # 1 Mcps observed, less four standard deviations of a thousand, with 170 ns.
    true_tau = brentq(lambda x: x * np.exp(-x) - 0.996e6 * 170e-9, 0, 1)
    strong = reducer.pool(counts, WAVELENGTH, exposure_s=1.0)
    assert strong.possible_loss == pytest.approx(1 - np.exp(-true_tau), rel=1e-9)
    (warning,) = strong.warnings
    assert warning == (
        "1e+06 counts per second in a strip, of which an undeclared dead time may hide 19%: the intervals "
        "allow for it; give [reduction.dead_time]"
    )
    weak = reducer.pool(counts, WAVELENGTH, exposure_s=9.99)
    assert (weak.possible_loss, weak.warnings) == (0.0, ())
    assert reducer.pool(counts, WAVELENGTH, exposure_s=9.9).possible_loss == pytest.approx(0.0172, abs=2e-4)
    assert (weak + strong).possible_loss == (strong + weak).possible_loss == strong.possible_loss
    assert reducer.pool(counts, WAVELENGTH).possible_loss == 0  # no exposure, no rate
    corrected = AppliedCorrections(rate=True)
    assert reducer.pool(counts, WAVELENGTH, exposure_s=1.0, applied=corrected).possible_loss == 0
    declared = Reducer(config(dead_time=DeadTime(shaping="standard")))
    assert declared.pool(counts, WAVELENGTH, exposure_s=1.0).possible_loss == 0
    # No counter of that dead time shows 10 Mcps; at its highest rate it loses 1 - 1/e.
    assert reducer.pool(counts, WAVELENGTH, exposure_s=0.1).possible_loss == pytest.approx(1 - np.exp(-1))


def test_nothing_is_corrected_twice(tmp_path: Path) -> None:
    response = np.random.default_rng(3).uniform(0.8, 1.2, N)
    settings = {
        "flat_field": flat_file(tmp_path, response),
        "dead_time": DeadTime(shaping="standard"),
        "bad_strips": (7,),
    }
    reducer = Reducer(config(**settings))
    every = AppliedCorrections(flat_field=True, rate=True, bad_strip_interpolation=True)
    pooled = reducer.pool(np.full(N, 3e4), WAVELENGTH, exposure_s=0.1, applied=every)
    assert np.flatnonzero(pooled.pattern().mask).tolist() == [7]
    assert pooled.intensity()[8:] == pytest.approx(np.full(N - 8, 3e4), rel=1e-12)
    # The variance is that of the raw counts, carried through both corrections.
    raw = Reducer(config(**settings)).pool(np.full(N, 3e4 / 1.0553) * response, WAVELENGTH, exposure_s=0.1)
    sigma_raw = raw.pattern().sigma / response.mean()
    assert pooled.pattern().sigma[8:] == pytest.approx(sigma_raw[8:], rel=0.03)


def test_one_reducer_takes_frames_with_and_without_flat_field(tmp_path: Path) -> None:
    response = np.random.default_rng(3).uniform(0.8, 1.2, N)
    settings = {"flat_field": flat_file(tmp_path, response)}
    shared = Reducer(config(**settings))
    for applied in (AppliedCorrections(), AppliedCorrections(flat_field=True), AppliedCorrections()):
        alone = Reducer(config(**settings)).pool(100 * ONES, WAVELENGTH, applied=applied)
        assert np.array_equal(shared.pool(100 * ONES, WAVELENGTH, applied=applied).exposure, alone.exposure)
        expected = ONES if applied.flat_field else response / response.mean()
        assert alone.exposure == pytest.approx(expected, rel=1e-5)


def test_variance_of_counts_divided_by_a_flat_field(tmp_path: Path) -> None:
    # N / r has the variance N / r², which is (N / r) / r.
    response = np.random.default_rng(4).uniform(0.8, 1.2, N)
    reducer = Reducer(config(flat_field=flat_file(tmp_path, response, 1e9)))
    relative = response / response.mean()
    pooled = reducer.pool(400 / relative, WAVELENGTH, applied=AppliedCorrections(flat_field=True))
    assert pooled.variance == pytest.approx(400 / relative**2, rel=1e-6)


@pytest.mark.parametrize(("relative", "used"), [(0.095, False), (0.105, True)])
def test_a_strip_needs_a_tenth_of_the_mean_response(tmp_path: Path, relative: float, used: bool) -> None:
    response = ONES.copy()
    response[10] = relative
    reducer = Reducer(config(flat_field=flat_file(tmp_path, response)))
    assert bool(reducer.reduce(ONES, WAVELENGTH).mask[10]) is not used


def test_a_flat_field_is_valid_within_one_per_cent_of_its_energy(tmp_path: Path) -> None:
    reducer = Reducer(config(flat_field=flat_file(tmp_path, ONES)))
    at_flat = 12398.419843320026 / 22_000
    for factor in (0.991, 1.009):
        reducer.reduce(ONES, at_flat * factor)
    for factor in (0.989, 1.011):
        with pytest.raises(CalibrationError, match="give the flat field of this energy, within 1 %"):
            reducer.reduce(ONES, at_flat * factor)


@pytest.mark.parametrize(("others", "silent"), [(999, False), (1000, True)])
def test_a_module_is_off_where_the_others_have_a_thousand_counts_each(others: int, silent: bool) -> None:
    counts = np.zeros((3, 1280))
    counts[0, :others] = 1
    counts[2, :others] = 1
    masked = Reducer(config()).reduce(counts, WAVELENGTH).mask.reshape(3, 1280)
    assert masked[1].all() == silent
    assert not masked[[0, 2]].any()


def test_a_rate_that_a_control_system_cannot_have_corrected_is_masked() -> None:
    tau_s, exposure_s = 170e-9, 0.1
    counts = np.full(N, 1e4)
    counts[:2] = exposure_s / tau_s, 0.999 * exposure_s / tau_s
    reducer = Reducer(config(dead_time=DeadTime(shaping="standard")))
    pooled = reducer.pool(counts, WAVELENGTH, exposure_s=exposure_s, applied=AppliedCorrections(rate=True))
    assert "1 strip above the maximum rate of the counter" in pooled.warnings
    assert np.flatnonzero(pooled.pattern().mask).tolist() == [0]


def test_flat_error_of_single_strips_and_of_bins_with_bad_strips(tmp_path: Path) -> None:
    # Poisson counts f of the flat: the response of a strip is known to 1/√f, whatever its size.
    response = np.tile([0.5, 1.5], N // 2)
    flat = flat_file(tmp_path, response, counts=400)
    pooled = Reducer(config(flat_field=flat)).pool(100 * ONES, WAVELENGTH)
    assert pooled.systematic()["flat_field"] / pooled.intensity() == pytest.approx(
        1 / np.sqrt(400 * response)
    )
    counts = 100 * response
    counts[1::2] = np.nan
    halved = Reducer(config(flat_field=flat, bins=GRID)).pool(counts, WAVELENGTH)
    full = halved.n_strips > 0
    expected = 1 / np.sqrt(200 * halved.n_strips[full])
    assert (halved.systematic()["flat_field"] / halved.intensity())[full] == pytest.approx(expected)
    applied = AppliedCorrections(flat_field=True)
    corrected = Reducer(config(flat_field=flat)).pool(100 * ONES, WAVELENGTH, applied=applied)
    assert np.all(corrected.systematic()["flat_field"] == 0)


def test_sums_keep_times_warnings_and_the_common_error_of_the_monitor() -> None:
    reducer = Reducer(config(bins=GRID, normalise_monitor=True, monitor_relative_sigma=0.02))
    counts = np.full(N, 50.0)
    counts[0] = -1
    one = reducer.pool(counts, WAVELENGTH, exposure_s=2.0, monitor=1.0)
    three = one + one + one
    assert (three.n_frames, three.exposure_s) == (3, 6.0)
    assert three.warnings == ("1 strip with a negative or missing count",)
    seen = three.exposure > 0
    assert three.systematic()["monitor"][seen] == pytest.approx(0.02 * three.intensity()[seen])


def test_pooled_bins_have_the_mean_square_distance_of_all_rates() -> None:
    # ∫ (μ - N)² μ^N e^-μ / N! dμ by a sum, for a bin that counts what it does.
    pooled = Reducer(config(bins=GRID)).pool(np.tile([0.0, 0.0, 1.0], N // 3), WAVELENGTH)
    bin_index = int(np.argmax(pooled.n_strips))
    n = pooled.counts[bin_index]
    rates = np.linspace(0, n + 40 * np.sqrt(n) + 40, 200_001)
    weights = np.exp(n * np.log(np.maximum(rates, 1e-300)) - rates - n * np.log(n) + n)
    mean_square = np.sum((rates - n) ** 2 * weights) / np.sum(weights)
    sigma = pooled.pattern().sigma[bin_index] * pooled.exposure[bin_index]
    assert sigma**2 == pytest.approx(mean_square, rel=1e-6)


def test_unknown_interpolated_strips_are_rejected() -> None:
    interpolated = AppliedCorrections(bad_strip_interpolation=True)
    with pytest.raises(
        CalibrationError,
        match=r"the settings do not list these strips: give bad_strips in \[reduction\], or switch",
    ):
        Reducer(config()).reduce(ONES, WAVELENGTH, applied=interpolated)
    assert not Reducer(config(bad_strips=())).reduce(ONES, WAVELENGTH, applied=interpolated).mask.any()


def test_saturated_negative_and_missing_counts_are_masked() -> None:
    counts = np.full(N, 50.0)
    counts[:4] = [-1, np.nan, np.inf, 0.995 * (2**24 - 1)]
    pooled = Reducer(config()).pool(counts, WAVELENGTH)
    assert np.flatnonzero(pooled.pattern().mask).tolist() == [0, 1, 2, 3]
    assert pooled.warnings == (
        "2 strips saturated (24-bit counter)",
        "2 strips with a negative or missing count",
    )


def test_bad_strip_in_a_bin_neither_counts_nor_exposes() -> None:
    counts = np.full(N, 50.0)
    counts[1000:1010] = np.nan
    reducer = Reducer(config(bins=GRID))
    whole, holed = reducer.pool(np.full(N, 50.0), WAVELENGTH), reducer.pool(counts, WAVELENGTH)
    assert whole.n_strips.sum() - holed.n_strips.sum() == 10
    assert np.nanmax(np.abs(holed.intensity() - 50)) < 0.1


def test_strips_known_to_be_bad_are_no_news() -> None:
    counts = np.full(N, 1e4)
    counts[:3] = [np.nan, 2**24 - 1, 5e6]
    settings = {"bad_strips": (0, 1, 2), "dead_time": DeadTime(shaping="standard")}
    pooled = Reducer(config(**settings)).pool(counts, WAVELENGTH, exposure_s=0.1)
    assert pooled.warnings == ()
    assert np.flatnonzero(pooled.pattern().mask).tolist() == [0, 1, 2]
    assert pooled.counts[3:] == pytest.approx(np.full(N - 3, 1e4 * 1.0174), rel=1e-4)


def test_edges_of_modules_can_be_left_out() -> None:
    mask = Reducer(config(edge_strips=20)).reduce(ONES, WAVELENGTH).mask.reshape(3, 1280)
    assert np.all(mask[:, :20])
    assert np.all(mask[:, -20:])
    assert not mask[:, 20:-20].any()


def test_module_that_is_off_is_masked_and_reported() -> None:
    counts = np.full(N, 5.0)
    counts[1280:2560] = 0
    pooled = Reducer(config()).pool(counts, WAVELENGTH)
    assert pooled.warnings == ("modules [1] have no counts",)
    assert np.array_equal(np.flatnonzero(pooled.pattern().mask), np.arange(1280, 2560))


def test_few_photons_do_not_make_a_module_look_off() -> None:
    counts = np.zeros(N)
    counts[[3, 2600]] = 1
    assert Reducer(config()).pool(counts, WAVELENGTH).warnings == ()


def test_module_left_out_on_purpose_is_no_news() -> None:
    counts = np.full(N, 5.0)
    counts[1280:2560] = 0
    assert Reducer(config(bad_strips=tuple(range(1280, 2560)))).pool(counts, WAVELENGTH).warnings == ()


def test_counter_of_mythen3() -> None:
    frame = np.stack([ONES, 2 * ONES, 3 * ONES], axis=1).astype(np.uint32)
    reducer = Reducer(config(n_counters=3, counter=2))
    for layout in (frame, frame.ravel(), frame[None]):
        assert np.all(reducer.pool(layout, WAVELENGTH).counts == 3)


@pytest.mark.parametrize(("plane", "at_90"), [("vertical", 0.975), ("horizontal", 0.025)])
def test_polarisation_factor(plane: str, at_90: float) -> None:
    polarisation = Polarisation.model_validate({"fraction": 0.95, "plane": plane})
    assert polarisation.factor(np.array([0.0, 90.0])) == pytest.approx([1.0, at_90])
    # Light that is polarised fully across the plane scatters alike everywhere.
    full = Polarisation(fraction=1.0, plane="vertical")
    assert full.factor(np.linspace(0, 120, 7)) == pytest.approx(np.ones(7))
    assert Polarisation(fraction=0.0, plane="vertical").factor(np.array([60.0]))[0] == pytest.approx(0.625)


@pytest.mark.parametrize("fraction", [-1.001, 1.001])
def test_beams_are_at_most_fully_polarised(fraction: float) -> None:
    with pytest.raises(ValidationError, match=r"greater than or equal to -1|less than or equal to 1"):
        Polarisation(fraction=fraction, plane="vertical")


def test_polarisation_is_divided_by() -> None:
    polarisation = Polarisation(fraction=-1.0, plane="vertical")
    angles = DETECTOR.two_theta(0.0)
    pattern = Reducer(config(polarisation=polarisation)).reduce(
        1e4 * np.cos(np.radians(angles)) ** 2, WAVELENGTH
    )
    assert pattern.intensity == pytest.approx(np.full(N, 1e4), rel=2e-3)


# Bad input ---------------------------------------------------------------------------------------


def test_missing_arm_angle_is_refused() -> None:
    reducer = Reducer(ReductionConfig(detector=DETECTOR))
    with pytest.raises(CalibrationError, match="the frame has no arm angle: map it to a data key"):
        reducer.reduce(ONES, WAVELENGTH)


@pytest.mark.parametrize("monitor", [None, 0.0, -3.0, np.nan, np.inf])
def test_monitor_that_cannot_be_divided_by_is_refused(monitor: float | None) -> None:
    with pytest.raises(
        CalibrationError, match=rf"monitor \(I0\) reading {monitor} is not usable for normalisation"
    ):
        Reducer(config(normalise_monitor=True)).reduce(ONES, WAVELENGTH, monitor=monitor)


@pytest.mark.parametrize(
    ("settings", "purpose"),
    [
        ({"normalise_exposure": True}, "normalisation"),
        ({"dead_time": DeadTime(shaping="fast")}, "the dead-time correction"),
    ],
)
@pytest.mark.parametrize("exposure", [None, 0.0, 1e-9, np.nan])
def test_exposure_that_is_not_a_time_is_rejected(
    settings: dict[str, object], purpose: str, exposure: float | None
) -> None:
    with pytest.raises(
        CalibrationError,
        match=rf"exposure {exposure} of the frame is not a valid time in seconds: .* for {purpose}",
    ):
        Reducer(config(**settings)).reduce(ONES, WAVELENGTH, exposure_s=exposure)


def test_frame_without_a_usable_strip_is_refused() -> None:
    with pytest.raises(
        CalibrationError, match="no usable strip in the frame: 3840 strips with a negative or missing count"
    ):
        Reducer(config()).reduce(-ONES, WAVELENGTH)


def test_calibration_of_another_detector_is_refused() -> None:
    with pytest.raises(CalibrationError, match=r"the frame has 2560 values \(2 modules\); the calibration"):
        Reducer(config()).reduce(np.ones(2560), WAVELENGTH)


def test_detector_without_a_good_strip_is_refused() -> None:
    with pytest.raises(CalibrationError, match="none of the 3840 strips is usable: check bad_strips"):
        Reducer(config(bad_strips=tuple(range(N))))


def test_bad_strip_off_the_detector_is_refused() -> None:
    with pytest.raises(
        ConfigurationError, match=r"bad strip 3840 is not on a detector of 3840 strips: give 0 … 3839"
    ):
        Reducer(config(bad_strips=(3840,)))


def test_flat_field_of_another_energy_is_refused(tmp_path: Path) -> None:
    reducer = Reducer(config(flat_field=flat_file(tmp_path, ONES)))
    reducer.reduce(ONES, WAVELENGTH * 1.009)
    with pytest.raises(
        CalibrationError, match=r"was measured at 22000 eV, the frame at 2\d+.* eV .*: give the flat"
    ):
        reducer.reduce(ONES, WAVELENGTH / 1.02)


def test_bins_out_of_sight_are_refused() -> None:
    with pytest.raises(
        CalibrationError, match=r"no strip is in the range of the bins: the detector covers 2θ from 52"
    ):
        Reducer(config(bins=GRID)).reduce(ONES, WAVELENGTH, 50.0)


@pytest.mark.parametrize("wavelength", [0.0, -1.0, np.nan, 22.0])
def test_wavelength_that_is_none_is_refused(wavelength: float) -> None:
    with pytest.raises(PatternError, match="is not an X-ray wavelength"):
        Reducer(config()).reduce(ONES, wavelength)


def test_frames_on_other_points_are_not_added() -> None:
    reducer = Reducer(config())
    with pytest.raises(CalibrationError, match=r"at different Q cannot be added: set bins in \[reduction\]"):
        reducer.pool(ONES, WAVELENGTH, 0.0) + reducer.pool(ONES, WAVELENGTH, 1.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"counter": 1}, "counter 1 of 1: choose 0 … 0"),
        ({"bad_strips": (-1,)}, "bad strip -1 is negative"),
        ({"bins": {"first_deg": 170, "step_deg": 1, "n_bins": 100}}, "the bins end at 269.5°"),
        ({"bit_depth": 12}, "4, 8, 16, 24 or 32"),
        ({"gain": 3}, "Extra inputs"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(**settings)


NUMBERS = st.one_of(st.integers(-5, 2**32), st.floats(allow_nan=True, allow_infinity=True, width=64))
ARBITRARY_FRAMES = st.one_of(
    arrays(
        st.sampled_from(["u1", "u4", "i8", "f4", "f8", "?", "c16", "U3", "O"]),
        st.sampled_from([(), (0,), (1,), (1280,), (N,), (1, N), (N, 3), (3, N), (3, 1280), (2, N)]),
    ),
    st.builds(lambda value: np.full(N, value, float), NUMBERS),
    st.builds(lambda value, n: [value] * n, NUMBERS, st.sampled_from([0, 1, N])),
    st.sampled_from([None, "frame", {}, object(), [[1], [2, 3]], b"\x00" * N]),
)


@pytest.mark.slow
@given(
    ARBITRARY_FRAMES,
    st.one_of(st.none(), NUMBERS),
    st.one_of(st.none(), NUMBERS),
    st.one_of(st.none(), NUMBERS),
)
@hypothesis_settings(max_examples=300, deadline=None)
def test_arbitrary_input_is_rejected_with_a_message(
    frame: object, arm: float | None, exposure: float | None, monitor: float | None
) -> None:
    reducer = FULL_REDUCER
    try:
        pattern = reducer.reduce(frame, WAVELENGTH, arm, exposure_s=exposure, monitor=monitor)  # type: ignore[arg-type]
    except (CalibrationError, PatternError):
        return
    # A pattern checks itself: finite intensity and positive sigma where it is not masked.
    assert np.all(np.isnan(pattern.intensity[pattern.mask]))


@pytest.mark.parametrize(
    ("exposure", "monitor", "message"),
    [
        (1e300, 1.0, "exposure 1e+300 of the frame is not a valid time in seconds"),
        (1.0, 1e300, "monitor (I0) reading 1e+300 is not usable for normalisation"),
        (1.0, 1e-300, "monitor (I0) reading 1e-300 is not usable for normalisation"),
    ],
)
def test_readings_whose_product_would_overflow_are_rejected(
    exposure: float, monitor: float, message: str
) -> None:
    counts = np.full(N, 100)
    with pytest.raises(CalibrationError, match=re.escape(message)):
        FULL_REDUCER.reduce(counts, WAVELENGTH, 0.0, exposure_s=exposure, monitor=monitor)
    # At the limits nothing overflows; in shorter exposures so many counts exceed the dead-time correction.
    for seconds in (1.0, 1e9):
        for reading in (1e-30, 1e30):
            pattern = FULL_REDUCER.reduce(counts, WAVELENGTH, 0.0, exposure_s=seconds, monitor=reading)
            assert np.all(np.isfinite(pattern.intensity[~pattern.mask]))


# Settings of a beamline ----------------------------------------------------------------------------


def beamline(folder: Path) -> Path:
    write_angle_calibration(folder / "ang.off", DETECTOR.modules, AngleConvention.PSI)
    (folder / "bad.chans").write_text("5-6\n")
    flat_file(folder, ONES)
    path = folder / "qdsizer.toml"
    path.write_text(
        """
        [reduction]
        normalise_exposure = true
        bit_depth = 24
        [reduction.detector]
        path = "ang.off"
        convention = "psi"
        strip_origin = "centre"
        global_offset_deg = 2.0
        [reduction.bad_strips]
        path = "bad.chans"
        [reduction.flat_field]
        path = "flat.raw"
        layout = "counts"
        energy_ev = 22000
        [reduction.dead_time]
        shaping = "standard"
        [reduction.bins]
        q_first_inv_angstrom = 0.6
        q_step_inv_angstrom = 0.02
        n_bins = 100
        [somebody_else]
        answer = 42
        """
    )
    return path


def test_settings_of_a_beamline_with_its_files(tmp_path: Path) -> None:
    settings = load_reduction(beamline(tmp_path))
    assert settings.detector == CalibrationFile(
        path=tmp_path / "ang.off",
        convention=AngleConvention.PSI,
        strip_origin=StripOrigin.CENTRE,
        global_offset_deg=2.0,
    )
    assert settings.bad_strips == BadStripFile(path=tmp_path / "bad.chans")
    assert settings.bins == GRID
    reducer = Reducer(settings)
    assert reducer.detector == DETECTOR
    pooled = reducer.pool(np.full(N, 100), WAVELENGTH, 0.0, exposure_s=2.0)
    assert np.nanmean(pooled.intensity()) == pytest.approx(50.0, rel=1e-3)


def test_provenance_holds_settings_and_hashes(tmp_path: Path) -> None:
    reducer = Reducer(load_reduction(beamline(tmp_path)))
    provenance = reducer.provenance()
    assert set(provenance["sha256"]) == {
        str(tmp_path / name) for name in ("ang.off", "bad.chans", "flat.raw")
    }
    assert all(len(digest) == 64 for digest in provenance["sha256"].values())
    assert ReductionConfig.model_validate(provenance["settings"]) == reducer.config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = [", "is not TOML"),
        ("[other]\n", r"has no table \[reduction\]: raw frames need one"),
        ("reduction = 3\n", r"reduction is 3, but must be a table \[reduction\]"),
        ("[reduction]\n", r"\[reduction\]: detector: Field required"),
        ("[reduction]\nspeed = 1\n", "there is no key 'speed': allowed are "),
    ],
)
def test_settings_that_cannot_be_read(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "qdsizer.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        load_reduction(path)


def test_the_live_path_s_table_serves_as_well(tmp_path: Path) -> None:
    alone = load_reduction(beamline(tmp_path))
    path = tmp_path / "qdsizer.toml"
    path.write_text(path.read_text().replace("[reduction", "[sizing.reduction"))
    assert load_reduction(path) == alone
    path.write_text(path.read_text() + "\n[reduction]\narm_deg = 0.0\n")
    with pytest.raises(ConfigurationError, match=r"has tables \[reduction\] and \[sizing.reduction\]: keep"):
        load_reduction(path)


def test_provenance_is_that_of_the_files_as_they_were_read(tmp_path: Path) -> None:
    reducer = Reducer(load_reduction(beamline(tmp_path)))
    before = reducer.provenance()
    (tmp_path / "flat.raw").unlink()
    assert reducer.provenance() == before


def test_settings_that_are_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read configuration .*No such file"):
        load_reduction(tmp_path / "none.toml")


def test_settings_are_frozen() -> None:
    settings: Config = config()
    with pytest.raises(ValueError, match="frozen"):
        settings.bit_depth = 16  # type: ignore[attr-defined]


@pytest.mark.parametrize("bins", [None, GRID, AngleGrid(first_deg=2.5, n_bins=1000)])
def test_settings_survive_json(bins: BinGrid | AngleGrid | None) -> None:
    # They are recorded in descriptors and read back by a replay.
    before = config(
        bins=bins,
        bad_strips=(3, 4),
        dead_time=DeadTime(shaping="mythen3", tau_ns=70.0),
        polarisation=Polarisation(fraction=0.95, plane="vertical"),
    )
    assert ReductionConfig.model_validate_json(before.model_dump_json()) == before


@pytest.mark.slow
def test_objects_describe_themselves(tmp_path: Path) -> None:
    bare = repr(Reducer(DETECTOR))
    assert bare == (
        "<Reducer: 3 modules, 3840 of 3840 strips used, arm fixed at 0°, corrections: none, "
        "points: one per strip>"
    )
    full = Reducer(load_reduction(beamline(tmp_path)))
    assert repr(full) == (
        "<Reducer: 3 modules, 3838 of 3840 strips used, arm from each frame, "
        "corrections: dead time, flat field, exposure, points: 100 bins>"
    )
    pooled = full.pool(np.full(N, 5), WAVELENGTH, 0.0, exposure_s=1.0)
    assert repr(pooled).startswith("<PooledCounts: 1 frame, ")
    assert repr(pooled + pooled).startswith("<PooledCounts: 2 frames, ")
    silent = np.full(N, 5.0)
    silent[1280:2560] = 0
    masked = full.pool(silent, WAVELENGTH, 0.0, exposure_s=1.0)
    assert repr(masked).endswith("100 points, modules [1] have no counts>")


def test_enumerations_are_given_as_strings_and_paths_as_strings(tmp_path: Path) -> None:
    path = str(tmp_path / "ang.off")
    write_angle_calibration(path, DETECTOR.modules, "psi")
    assert read_angle_calibration(path, "psi") == read_angle_calibration(Path(path), AngleConvention.PSI)
    with pytest.raises(ConfigurationError, match="convention is 'esrf': it must be one of psi, gda"):
        read_angle_calibration(path, "esrf")
    with pytest.raises(ConfigurationError, match="layout is 'wide': it must be one of counts, angcal"):
        read_flat_field(path, N, "wide")
    with pytest.raises(ConfigurationError, match="standard is 'Ge': it must be one of Si, LaB6"):
        refine_calibration(DETECTOR, ONES, WAVELENGTH, 0.0, "Ge")
    assert load_reduction(str(beamline(tmp_path))).bins == GRID


@pytest.mark.parametrize(("n_full", "refused"), [(3, False), (4, True)])
def test_counts_clipped_below_the_depth_of_the_counter_are_refused(n_full: int, refused: bool) -> None:
    """A 12-bit read-out declared as 24 bits: four strips at 4095 are no accident, with none just below."""
    counts = np.random.default_rng(0).poisson(100, N)
    counts[1000 : 1000 + n_full] = 4095
    reducer = Reducer(config(bins=GRID))
    if refused:
        with pytest.raises(
            CalibrationError,
            match=r"4 strips have the same largest count, 4095: .* clipped there \(bit_depth is 24\)",
        ):
            reducer.pool(counts, WAVELENGTH)
    else:
        assert reducer.pool(counts, WAVELENGTH).total_counts > 0

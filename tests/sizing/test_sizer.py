import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qdsizer_stream.errors import ConfigurationError, ModelError, PatternFileError
from qdsizer_stream.models import load_model
from qdsizer_stream.patterns import Pattern, q_from_two_theta, read_curve
from qdsizer_stream.reduction import ReductionConfig, nominal_detector
from qdsizer_stream.simulation import GrowingDots, SynthesisRecipe, load_solvent
from qdsizer_stream.sizing import RawFrame, SizeEstimate, Sizer, SizingConfig, Status

WAVELENGTH_ANGSTROM = 0.5637
DETECTOR = nominal_detector(n_modules=24, global_offset_deg=1.0)
Q = np.linspace(0.97, 15.0, 5000)


@pytest.fixture(scope="module")
def sizer() -> Sizer:
    return Sizer(SizingConfig(reduction=ReductionConfig(detector=DETECTOR, arm_deg=0.0)))


@pytest.fixture(scope="module", params=["pbs", "pbs-paper"])
def any_sizer(request: pytest.FixtureRequest) -> Sizer:
    return Sizer(SizingConfig(model=request.param, reduction=ReductionConfig(detector=DETECTOR, arm_deg=0.0)))


@pytest.fixture(scope="module")
def dots() -> GrowingDots:
    recipe = SynthesisRecipe(wavelength_angstrom=WAVELENGTH_ANGSTROM)
    return GrowingDots(recipe, q_max_inv_angstrom=19.6)


def frame(dots: GrowingDots, elapsed_s: float, counts: float, seed: int = 0) -> np.ndarray:
    q = q_from_two_theta(DETECTOR.two_theta(0.0), WAVELENGTH_ANGSTROM)
    expected = dots(q, elapsed_s)
    return np.random.default_rng(seed).poisson(counts * expected / expected.mean())


@pytest.mark.slow
@pytest.mark.parametrize("elapsed_s", [0.0, 200.0, 600.0, 3000.0])
def test_a_clean_frame_is_sized_within_its_interval(
    sizer: Sizer, dots: GrowingDots, elapsed_s: float
) -> None:
    estimate = sizer.size_frame(frame(dots, elapsed_s, 300.0), WAVELENGTH_ANGSTROM)
    assert estimate.status is Status.SIZED, estimate.reason
    assert estimate.size_low_nm <= dots.number_mean_nm(elapsed_s) <= estimate.size_high_nm
    assert estimate.size_nm == pytest.approx(dots.number_mean_nm(elapsed_s), abs=0.25)
    assert estimate.size_nm < estimate.mass_mean_nm < 1.3 * estimate.size_nm
    # The interval has two parts, both of them in it.
    for name, mean in (("size", estimate.size_nm), ("mass_mean", estimate.mass_mean_nm)):
        frame_sd, shared_sd = (
            getattr(estimate, f"{name}_frame_sd_nm"),
            getattr(estimate, f"{name}_shared_sd_nm"),
        )
        low = getattr(estimate, f"{name}_low_nm")
        assert math.log(mean / low) == pytest.approx(
            1.959964 * math.hypot(frame_sd, shared_sd) / mean, rel=1e-9
        )
    assert estimate.dispersion == pytest.approx(0.12, abs=0.06)
    assert estimate.lattice_parameter_angstrom == pytest.approx(5.934, rel=2e-3)
    assert estimate.reason == ""
    assert estimate.model == "pbs"


@pytest.mark.slow
@pytest.mark.parametrize("elapsed_s", [300.0, 900.0, 3000.0])
@pytest.mark.parametrize("step_inv_angstrom", [0.03, 0.042, 0.056])
@pytest.mark.parametrize("averaged", [False, True], ids=["samples", "channels"])
def test_points_far_apart_may_be_samples_or_channels(
    sizer: Sizer, dots: GrowingDots, elapsed_s: float, step_inv_angstrom: float, averaged: bool
) -> None:
    q = np.arange(1.0, 14.0, step_inv_angstrom)
    within = np.linspace(-0.5, 0.5, 29)[:, None] * step_inv_angstrom if averaged else 0.0
    expected = np.mean(np.atleast_2d(dots((q + within).ravel(), elapsed_s)).reshape(-1, q.size), axis=0)
    counts = np.random.default_rng(3).poisson(1e4 * expected / expected.mean()).astype(float)
    estimate = sizer.size(Pattern.from_arrays(q, counts), resolution_inv_angstrom=0.0)
    if (elapsed_s, step_inv_angstrom) == (3000.0, 0.056):  # too coarse for the peaks of 7 nm dots
        assert estimate.status is Status.LOW_COUNTS
        assert "% of the size wide (threshold 50%)" in estimate.reason
        return
    assert estimate.status is Status.SIZED, estimate.reason
    truth = dots.number_mean_nm(elapsed_s)
    # Every other draw of twenty would miss an end now and then: a miss is by no more than a hundredth.
    assert 0.99 * estimate.size_low_nm <= truth <= 1.01 * estimate.size_high_nm


@pytest.mark.slow
def test_one_frame_gives_one_answer_to_the_last_bit(dots: GrowingDots) -> None:
    counts = frame(dots, 300.0, 10.0)
    estimates = [
        Sizer(SizingConfig(reduction=ReductionConfig(detector=DETECTOR, arm_deg=0.0))).size_frame(
            c, WAVELENGTH_ANGSTROM
        )
        for c in (counts, counts.tolist())
    ]
    assert estimates[0] == estimates[1]


def test_counts_are_photons(sizer: Sizer, dots: GrowingDots) -> None:
    counts = frame(dots, 300.0, 100.0)
    q = q_from_two_theta(DETECTOR.two_theta(0.0), WAVELENGTH_ANGSTROM)
    inside = (q > 0.95) & (q < 15.03)
    estimate = sizer.size_frame(counts, WAVELENGTH_ANGSTROM)
    assert estimate.counts == pytest.approx(counts[inside].sum(), rel=1e-3)
    assert estimate.q_min == pytest.approx(0.96, abs=0.021)
    assert estimate.q_max == pytest.approx(15.02, abs=0.021)


@pytest.mark.slow
def test_the_scatter_of_frames_is_their_own_part_of_the_interval(sizer: Sizer, dots: GrowingDots) -> None:
    estimates = [sizer.size_frame(frame(dots, 300.0, 30.0, seed), WAVELENGTH_ANGSTROM) for seed in range(30)]
    for name in ("size", "mass_mean"):
        scatter = np.std([getattr(one, f"{name}_nm") for one in estimates], ddof=1)
        stated = np.mean([getattr(one, f"{name}_frame_sd_nm") for one in estimates])
        assert 0.6 < scatter / stated < 1.3, name  # 30 frames give a standard deviation to 13 %


@pytest.mark.slow
def test_faint_frames_together_are_evidence_of_their_size(sizer: Sizer, dots: GrowingDots) -> None:
    """Ten frames with fewer photons than a model sizes: their sum is no size, but its answer
    holds."""
    inside = []
    for elapsed_s in (100.0, 300.0, 600.0, 1500.0):
        for seed in range(10):
            first = int(elapsed_s) + 10 * seed
            faint = [frame(dots, elapsed_s, 0.0121, first + index) for index in range(10)]
            examined = [
                sizer.examine_frame(RawFrame(counts=counts, wavelength_angstrom=WAVELENGTH_ANGSTROM))
                for counts in faint
            ]
            assert {one.estimate.status for one in examined} == {Status.LOW_COUNTS}
            assert all(one.evidence is None and one.pooled is not None for one in examined)
            total = examined[0].pooled
            for one in examined[1:]:
                total = total + one.pooled
            together = sizer.examine_pooled(total)
            if together.evidence is not None:
                mean, sd = (
                    together.evidence.size_nm,
                    math.hypot(together.evidence.size_frame_sd_nm, together.evidence.size_shared_sd_nm),
                )
                inside.append(abs(math.log(dots.number_mean_nm(elapsed_s) / mean)) < 1.96 * sd / mean)
    assert len(inside) >= 35
    assert np.mean(inside) >= 0.93


def test_faint_solvent_is_no_evidence(sizer: Sizer) -> None:
    q = q_from_two_theta(DETECTOR.two_theta(0.0), WAVELENGTH_ANGSTROM)
    expected = load_solvent("toluene").intensity(np.maximum(q, 0.3), WAVELENGTH_ANGSTROM)
    rng = np.random.default_rng(3)
    for level in (0.13, 0.5):
        for _ in range(15):
            counts = rng.poisson(level * expected / expected.mean())
            examined = sizer.examine_frame(RawFrame(counts=counts, wavelength_angstrom=WAVELENGTH_ANGSTROM))
            assert examined.answer is not None
            assert examined.evidence is None


@pytest.mark.parametrize("level", [0.05, 0.5, 5.0])
def test_few_counts_are_photons_too(sizer: Sizer, dots: GrowingDots, level: float) -> None:
    # The limit on a model's card is one of photons: a bin's sigma at low counts must not change their number.
    counts = frame(dots, 300.0, level)
    q = q_from_two_theta(DETECTOR.two_theta(0.0), WAVELENGTH_ANGSTROM)
    edges = sizer.model.card.input.grid.edges
    seen = counts[(q >= edges[0]) & (q < edges[-1])].sum()
    estimate = sizer.size_frame(counts, WAVELENGTH_ANGSTROM)
    assert estimate.counts == pytest.approx(seen, rel=1e-12)


def test_frames_fall_straight_into_the_bins_of_the_model(sizer: Sizer, dots: GrowingDots) -> None:
    counts = frame(dots, 300.0, 0.2)
    binned = sizer.examine_frame(RawFrame(counts=counts, wavelength_angstrom=WAVELENGTH_ANGSTROM)).binned
    assert binned is not None
    q = q_from_two_theta(DETECTOR.two_theta(0.0), WAVELENGTH_ANGSTROM)
    edges = sizer.model.card.input.grid.edges
    photons = np.histogram(q, edges, weights=counts)[0]
    strips = np.histogram(q, edges)[0]
    seen = (strips > 1) & (photons > 0)
    # σ² of a pooled bin is N + 2, whatever it is divided by.
    np.testing.assert_allclose(
        binned.sigma[seen] / binned.intensity[seen], np.sqrt(photons[seen] + 2) / photons[seen], rtol=1e-9
    )


def test_a_sum_of_frames_is_sized_like_one_long_frame(sizer: Sizer, dots: GrowingDots) -> None:
    short = [frame(dots, 300.0, 1.0, seed) for seed in range(20)]
    pooled = [sizer.reducer.pool(counts, WAVELENGTH_ANGSTROM) for counts in short]
    total = pooled[0]
    for one in pooled[1:]:
        total = total + one
    examined = sizer.examine_pooled(total)
    long = sizer.examine_frame(
        RawFrame(counts=np.sum(short, axis=0), wavelength_angstrom=WAVELENGTH_ANGSTROM)
    )
    assert examined.n_frames == 20
    assert examined.binned is not None
    assert long.binned is not None
    # A bin that holds one strip of one frame is no pooled bin: at a gap between modules the sigmas differ.
    shared = pooled[0].n_strips > 1
    assert np.mean(~shared) < 0.05
    for field in ("intensity", "sigma"):
        a, b = getattr(examined.binned, field)[shared], getattr(long.binned, field)[shared]
        np.testing.assert_allclose(20 * a, b, rtol=1e-12)
    # The network computes in single precision.
    assert examined.estimate.size_nm == pytest.approx(long.estimate.size_nm, rel=1e-4)
    assert examined.estimate.counts == pytest.approx(long.estimate.counts, rel=1e-12)


def test_what_was_masked_goes_with_the_estimate(sizer: Sizer, dots: GrowingDots) -> None:
    counts = frame(dots, 300.0, 100.0).astype(float)
    counts[5000:5010], counts[6000:6003], counts[7000] = np.nan, -1, 2**24 - 1
    examined = sizer.examine_frame(RawFrame(counts=counts, wavelength_angstrom=WAVELENGTH_ANGSTROM))
    assert examined.estimate.status is Status.SIZED
    assert examined.warnings == (
        "1 strip saturated (24-bit counter)",
        "13 strips with a negative or missing count",
    )


NO_SIZE: dict[str, tuple[Callable[[], np.ndarray], set[Status]]] = {
    "flat line": (lambda: np.full(Q.size, 1000.0), {Status.NO_CRYSTAL}),
    "white noise": (lambda: np.random.default_rng(0).poisson(1000.0, Q.size), {Status.NO_CRYSTAL}),
    "faint white noise": (
        lambda: np.random.default_rng(0).poisson(1.0, Q.size),
        {Status.NO_CRYSTAL, Status.LOW_COUNTS},
    ),
    "ramp": (lambda: np.linspace(1e5, 1e3, Q.size), {Status.NO_CRYSTAL}),
    "all zero": (lambda: np.zeros(Q.size), {Status.BAD_FRAME}),
    "all NaN": (lambda: np.full(Q.size, np.nan), {Status.BAD_FRAME}),
    "negative": (lambda: np.full(Q.size, -5.0), {Status.BAD_FRAME}),
    "three photons": (lambda: np.eye(1, Q.size, 7)[0] * 3, {Status.LOW_COUNTS}),
    "toluene": (
        lambda: np.random.default_rng(0).poisson(1000 * load_solvent("toluene").intensity(Q, 0.56)),
        {Status.NO_CRYSTAL},
    ),
    "hexane": (
        lambda: np.random.default_rng(0).poisson(1000 * load_solvent("hexane").intensity(Q, 0.56)),
        {Status.NO_CRYSTAL},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NO_SIZE)
def test_what_holds_no_dots_is_not_sized(name: str, any_sizer: Sizer) -> None:
    make, allowed = NO_SIZE[name]
    estimate = any_sizer.size(Pattern.from_arrays(Q, make()))
    assert estimate.status in allowed, estimate.reason
    assert math.isnan(estimate.size_nm)
    assert estimate.reason
    assert "\n" not in estimate.reason


@pytest.mark.slow
@pytest.mark.parametrize("name", ["toluene", "hexane"])
def test_measured_solvents_are_not_sized(name: str, any_sizer: Sizer, evaluation_only: Path) -> None:
    q, intensity, sigma = read_curve(evaluation_only / "measured_solvents" / f"{name}.csv")
    estimate = any_sizer.size(Pattern.from_arrays(q, intensity, sigma))
    assert estimate.status is Status.NO_CRYSTAL, estimate.reason


def test_a_shuffled_frame_is_not_sized(sizer: Sizer, dots: GrowingDots) -> None:
    counts = np.random.default_rng(0).permutation(frame(dots, 600.0, 1000.0))
    assert sizer.size_frame(counts, WAVELENGTH_ANGSTROM).status is not Status.SIZED


@pytest.mark.parametrize("wavelength", [1.5418, 0.5637 * 1.02, 0.5637 * 0.98])
def test_a_wrong_wavelength_is_not_sized(sizer: Sizer, dots: GrowingDots, wavelength: float) -> None:
    estimate = sizer.size_frame(frame(dots, 600.0, 1000.0), wavelength)
    assert estimate.status is not Status.SIZED


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (np.ones(1280), "the frame has 1280 values (1 module); the calibration is for 30720 strips"),
        (np.ones((2, 30720)), "the frame has 61440 values"),
        ([], "the frame has 0 values"),
        ("no frame", "not numbers: give the counts of 30720 strips"),
        (np.ones(30719), "the frame has 30719 values, not a multiple of 1280: part of a module is missing"),
        (
            np.full(30720, np.nan),
            "no usable strip in the frame: 30720 strips with a negative or missing count",
        ),
        (np.full(30720, -1), "no usable strip in the frame: 30720 strips with a negative or missing count"),
        (np.zeros(30720), "the mean intensity is 0: it must be above zero"),
    ],
)
def test_a_bad_frame_has_a_reason(sizer: Sizer, counts: object, message: str) -> None:
    estimate = sizer.size_frame(counts, WAVELENGTH_ANGSTROM)
    assert estimate.status is Status.BAD_FRAME
    assert message in estimate.reason


def test_a_wavelength_that_cannot_be_is_a_bad_frame(sizer: Sizer, dots: GrowingDots) -> None:
    estimate = sizer.size_frame(frame(dots, 600.0, 10.0), -0.5)
    assert estimate.status is Status.BAD_FRAME
    assert "give it in Å, between 0.05 and 5" in estimate.reason


def test_frames_need_a_detector() -> None:
    estimate = Sizer(SizingConfig()).size_frame(np.ones(30720), WAVELENGTH_ANGSTROM)
    assert estimate.status is Status.BAD_FRAME
    assert estimate.reason == "no detector is configured: give [sizing.reduction] with its calibration"


def test_unknown_model() -> None:
    with pytest.raises(ModelError, match="model 'gold' is unknown"):
        Sizer(SizingConfig(model="gold"))


@pytest.mark.slow
def test_a_measured_solvent_joins_the_check(tmp_path: Path, dots: GrowingDots) -> None:
    path = tmp_path / "blank.xy"
    np.savetxt(path, np.column_stack([Q, load_solvent("toluene").intensity(Q, WAVELENGTH_ANGSTROM)]))
    estimate = Sizer(
        SizingConfig(reduction=ReductionConfig(detector=DETECTOR, arm_deg=0.0), solvent=path)
    ).size_frame(frame(dots, 600.0, 300.0), WAVELENGTH_ANGSTROM)
    assert estimate.status is Status.SIZED, estimate.reason


def test_intensities_below_zero_are_a_bad_frame(sizer: Sizer, dots: GrowingDots) -> None:
    curve = dots(Q, 600.0)
    counts = np.random.default_rng(0).poisson(300 * curve / curve.mean()).astype(float)
    estimate = sizer.size(Pattern.from_arrays(Q, counts - 250.0, np.sqrt(counts + 1)))
    assert estimate.status is Status.BAD_FRAME
    assert (
        "of the bins are more than 2 σ below zero (threshold 5.0%): too much was subtracted"
        in estimate.reason
    )


@pytest.mark.parametrize(
    ("low", "high", "reason"),
    [
        (8.0, 15.0, "the frame begins at Q = 8.00 Å⁻¹ (threshold 2 Å⁻¹): the model needs lower Q"),
        (1.0, 2.4, "the frame ends at Q = 2.40 Å⁻¹ (threshold 2.5 Å⁻¹): the model needs higher Q"),
    ],
)
def test_a_range_that_no_training_saw_is_a_bad_frame(
    low: float, high: float, reason: str, sizer: Sizer, dots: GrowingDots
) -> None:
    q = np.linspace(low, high, 3000)
    estimate = sizer.size(Pattern.from_arrays(q, 1000 * dots(q, 600.0)))
    assert estimate.status is Status.BAD_FRAME
    assert estimate.reason == reason


def test_a_solvent_that_covers_too_little_is_named(tmp_path: Path) -> None:
    path = tmp_path / "blank.xy"
    np.savetxt(path, np.column_stack([np.linspace(0.9, 1.5, 200), np.ones(200)]))
    estimate = Sizer(SizingConfig(solvent=path)).size(Pattern.from_arrays(Q, np.full(Q.size, 100.0)))
    assert estimate.status is Status.BAD_FRAME
    assert estimate.reason == (
        f"54 of 1408 Q bins hold data (threshold 60) and are covered by the solvent's curve {path}"
    )


@pytest.mark.slow
def test_a_solvent_on_another_axis_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "blank.xy"
    np.savetxt(path, np.column_stack([np.linspace(20, 80, 100), np.ones(100)]))
    with pytest.raises(PatternFileError, match=r"blank\.xy: Q = 80 Å⁻¹ is too large .*, or 2θ in degrees"):
        Sizer(SizingConfig(solvent=path))
    np.savetxt(path, np.column_stack([np.linspace(20, 39, 100), np.ones(100)]))
    with pytest.raises(ConfigurationError, match=r"covers 20 to 39 Å⁻¹, .* the first column must be Q"):
        Sizer(SizingConfig(solvent=path))
    angles = np.column_stack([np.linspace(5, 80, 100), np.linspace(50, 10, 100)])
    np.savetxt(path, angles, header="2th_deg I")
    with pytest.raises(PatternFileError, match=r"blank\.xy: angles need a wavelength"):
        Sizer(SizingConfig(solvent=path))
    np.savetxt(path, angles, header="Wavelength: 0.5637\n2th_deg I")
    with_angles = Sizer(SizingConfig(solvent=path))
    q = 4 * np.pi / 0.5637 * np.sin(np.radians(angles[:, 0] / 2))
    np.savetxt(path, np.column_stack([10 * q, angles[:, 1]]), header="q_nm^-1 I")
    with_nanometres = Sizer(SizingConfig(solvent=path))
    frame = Pattern.from_arrays(Q, np.full(Q.size, 100.0))
    assert with_angles.size(frame).residual == pytest.approx(with_nanometres.size(frame).residual)


@pytest.mark.slow
def test_a_declared_width_is_stated_with_the_size(dots: GrowingDots, tmp_path: Path) -> None:
    (tmp_path / "width.toml").write_text("[instrument]\nfwhm_deg = 0.03\n")
    sizer = Sizer(
        reduction=ReductionConfig(detector=DETECTOR, arm_deg=0.0),
        instrument={"file": tmp_path / "width.toml"},
    )
    assert repr(sizer).startswith(
        "<Sizer: model pbs (PbS, 1.8–11 nm); no measured solvent; width of the instrument 0.03°; <Reducer"
    )
    estimate = sizer.size_frame(frame(dots, 600.0, 300.0), WAVELENGTH_ANGSTROM)
    assert estimate.status is Status.SIZED, estimate.reason
    # dQ = 2π/λ cos θ d(2θ) at the mean Q of the bins from 1 to 15 Å⁻¹, whose cosines average to 0.93.
    per_degree = math.radians(2 * math.pi / WAVELENGTH_ANGSTROM)
    assert estimate.resolution_inv_angstrom == pytest.approx(0.03 * per_degree * 0.93, rel=0.02)
    counts = frame(dots, 600.0, 300.0)
    total = sizer.pool(RawFrame(counts=counts, wavelength_angstrom=WAVELENGTH_ANGSTROM))
    assert sizer.examine_pooled(total + total).estimate.resolution_inv_angstrom == pytest.approx(
        estimate.resolution_inv_angstrom, rel=1e-9
    )


@pytest.mark.slow
def test_a_width_in_degrees_needs_the_wavelength_of_a_pattern() -> None:
    pattern = Pattern.from_arrays(Q, np.full(Q.size, 100.0))
    in_degrees = Sizer(instrument={"fwhm_deg": 0.03})
    estimate = in_degrees.size(pattern)
    assert estimate.status is Status.BAD_FRAME
    assert estimate.reason == (
        "the width of the instrument is given in degrees and the wavelength is unknown: give the wavelength, "
        "or the width in Å⁻¹"
    )
    assert in_degrees.size(pattern, wavelength_angstrom=0.5637).status is Status.NO_CRYSTAL
    in_q = Sizer(instrument={"fwhm_inv_angstrom": 0.03}).size(pattern)
    assert (in_q.status, in_q.resolution_inv_angstrom) == (Status.NO_CRYSTAL, pytest.approx(0.03, rel=1e-12))
    assert math.isnan(Sizer().size(pattern).resolution_inv_angstrom)


@pytest.mark.slow
@pytest.mark.parametrize(("wavelength", "shift_deg"), [(1.5406, 0.25), (1.5406, -0.25), (0.56, 0.09)])
def test_a_two_theta_shift_withholds_the_lattice_parameter_and_not_the_size(
    wavelength: float, shift_deg: float
) -> None:
    """The size is that of the frame without the shift, which is reported."""
    model = load_model("pbs")
    templates = model.templates
    dots = templates.dots[np.argmin(np.abs(templates.mean_nm - 6.0) + np.abs(templates.dispersion - 0.06))]
    two_theta = np.arange(17.0 if wavelength > 1 else 6.0, 110.0 if wavelength > 1 else 70.0, 0.04)
    q = 4 * np.pi / wavelength * np.sin(np.radians(two_theta) / 2)
    counts = np.random.default_rng(0).poisson(1000 * np.interp(q, templates.q_inv_angstrom, dots))
    right = Pattern.from_two_theta(two_theta, counts, wavelength)
    shifted = Pattern.from_two_theta(two_theta + shift_deg, counts, wavelength)
    expected = Sizer().size(right, wavelength_angstrom=wavelength)
    found = Sizer().size(shifted, wavelength_angstrom=wavelength)
    assert expected.status is found.status is Status.SIZED, found.reason
    assert found.size_nm == pytest.approx(expected.size_nm, rel=0.01)
    assert found.two_theta_shift_deg == pytest.approx(shift_deg, abs=0.02)
    assert expected.two_theta_shift_deg == pytest.approx(0.0, abs=0.02)
    assert expected.lattice_parameter_angstrom == pytest.approx(5.934, abs=0.01)
    assert math.isnan(found.lattice_parameter_angstrom)
    unknown = Sizer().size(shifted)
    assert math.isnan(unknown.two_theta_shift_deg)
    assert math.isnan(unknown.lattice_parameter_angstrom)
    too_far = Pattern.from_two_theta(two_theta + 1.5 * shift_deg, counts, wavelength)
    rejected = Sizer().size(too_far, wavelength_angstrom=wavelength)
    assert rejected.status is Status.OUT_OF_DOMAIN
    assert f"2θ is shifted by {1.5 * shift_deg:+.2f}"[:-1] in rejected.reason
    assert "check the 2θ zero and the height of the sample" in rejected.reason


def test_the_size_at_a_two_theta_shift_is_that_at_the_right_angles() -> None:
    """Of copper, where a shift of the angle moves the peaks at high Q by little."""
    templates, wavelength = load_model("pbs").templates, 1.5406
    dots = templates.dots[np.argmin(np.abs(templates.mean_nm - 6.0) + np.abs(templates.dispersion - 0.06))]
    two_theta = np.arange(17.0, 150.0, 0.04)
    counts = np.random.default_rng(0).poisson(
        1000 * np.interp(q_from_two_theta(two_theta, wavelength), templates.q_inv_angstrom, dots)
    )

    def size(shift_deg: float) -> SizeEstimate:
        pattern = Pattern.from_two_theta(two_theta + shift_deg, counts, wavelength)
        return Sizer().size(pattern, wavelength_angstrom=wavelength)

    shifted = size(-0.25)
    right = size(-0.25 - shifted.two_theta_shift_deg)
    assert shifted.status is right.status is Status.SIZED
    assert abs(right.two_theta_shift_deg) < 0.01
    assert shifted.mass_mean_nm == pytest.approx(right.mass_mean_nm, rel=3e-4)
    assert shifted.size_nm == pytest.approx(right.size_nm, rel=1e-3)


def test_the_reason_names_the_scale_at_which_peaks_would_fit() -> None:
    templates = load_model("pbs").templates
    dots = templates.dots[np.argmin(np.abs(templates.mean_nm - 5.0) + np.abs(templates.dispersion - 0.06))]
    q = np.arange(1.0, 11.0, 0.01)
    counts = np.random.default_rng(0).poisson(1000 * np.interp(1.25 * q, templates.q_inv_angstrom, dots))
    estimate = Sizer().size(Pattern.from_arrays(q, counts))
    assert estimate.status is Status.OUT_OF_DOMAIN
    assert re.search(
        r"; the peaks fit PbS at 1\.2(4|5)\d × Q: check the wavelength and the 2θ zero$", estimate.reason
    )


def test_estimates_for_documents_hold_nothing_that_only_displays_show(
    sizer: Sizer, dots: GrowingDots
) -> None:
    raw = RawFrame(counts=frame(dots, 300.0, 100.0), wavelength_angstrom=WAVELENGTH_ANGSTROM)
    whole, short = sizer.examine_frame(raw), sizer.estimate_frame(raw)
    assert short.estimate.size_nm == whole.estimate.size_nm
    assert None not in (whole.binned, whole.fit, whole.answer)
    assert whole.checks
    assert (short.binned, short.fit, short.checks, short.answer) == (None, None, (), None)


@pytest.mark.parametrize(("first", "last"), [(20.0, 39.0), (0.05, 0.5)])
def test_a_solvent_in_degrees_or_in_another_unit_is_refused(
    tmp_path: Path, first: float, last: float
) -> None:
    """2θ taken for Q lies above the range of the model, Q in another unit below it."""
    q = np.linspace(first, last, 500)
    np.savetxt(tmp_path / "blank.xy", np.column_stack([q, np.full(q.size, 50.0)]))
    with pytest.raises(
        ConfigurationError,
        match=rf"covers {first:g} to {last:g} Å⁻¹, the model uses .*: the first column must be Q in Å⁻¹",
    ):
        Sizer(SizingConfig(solvent=tmp_path / "blank.xy"))

"""Physics of real dots in endless frames: each against the exact way, and absent or zero without a trace."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from qdsizer_stream.errors import PhysicsError
from qdsizer_stream.patterns import BinGrid, two_theta_from_q
from qdsizer_stream.simulation import (
    COPPER_K_ALPHA,
    CorrelatedMotion,
    Displacement,
    DotPopulation,
    FrameBatch,
    FrameRecipe,
    FrameStream,
    Instrument,
    Material,
    PairTable,
    Sampling,
    Source,
    SpectralLine,
    StreamRecipe,
    StructureRanges,
    axial_strain,
    compton_intensity,
    coordinated,
    debye_wavenumber,
    expected_frame,
    form_factors,
    load_material,
    load_solvent,
    lognormal_weights,
    pair_table,
    sphere,
    twin_layers,
    twinned_sphere,
)
from qdsizer_stream.simulation.frames import (
    by_product_crystals,
    by_product_curve,
    by_product_lines,
    draw_structure,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "stream" / "frames.npz"
SYNCHROTRON = Source(lines=(SpectralLine(wavelength_angstrom=0.56),))
MEAN_NM, DISPERSION, B, RATIO = 2.6, 0.1, 1.3, 1.2
GRID = BinGrid(q_first_inv_angstrom=1.2, q_step_inv_angstrom=0.003, n_bins=2000)

EXACT: dict[str, Any] = {
    "structures": {"material": "PbS", "max_cluster_nm": 4.5},
    "n_structures": 1,
    "grid": GRID,
    "sources": (SYNCHROTRON,),
    "mean_diameter_nm": (MEAN_NM, MEAN_NM),
    "dispersion": (DISPERSION, DISPERSION),
    "b_angstrom2": (B, B),
    "b_ratio": (RATIO, RATIO),
    "area_fraction": (1.0, 1.0),
    "counts_per_bin": (1e9, 1e9),
    "q_low_inv_angstrom": (1.2, 1.2),
    "q_high_inv_angstrom": (7.3, 7.3),
}

LIVELY: dict[str, Any] = {
    **EXACT,
    "structures": {
        "material": "PbS",
        "max_cluster_nm": 4.0,
        "shapes": [{"kind": "sphere"}, {"kind": "cube"}],
        "poor_elements": ["S"],
        "strain_along": (0.0, 0.007),
        "textured": 0.5,
    },
    "n_structures": 3,
    "grid": {"q_first_inv_angstrom": 1.2, "q_step_inv_angstrom": 0.02, "n_bins": 300},
    "area_fraction": (0.1, 1.0),
    "counts_per_bin": (30.0, 1e5),
    "gaps": 0.5,
    "coarse": 0.2,
    "background": 0.3,
}

MATERIAL = load_material("PbS").with_b({"Pb": B, "S": B * RATIO})
DIAMETERS_NM = MATERIAL.unit_diameter_angstrom / 10 * np.arange(2.5, 4.5 / 0.46379707, 0.5)
INSIDE = GRID.centres <= 7.1


def batch(recipe: dict[str, Any], n: int = 64, **settings: Any) -> FrameBatch:
    return FrameStream(StreamRecipe.model_validate({**recipe, **settings}), seed=3).batch(n)


def mean_frame(**settings: Any) -> NDArray[np.float64]:
    """Mean of 32 frames of 10⁹ photons in each bin, scaled to mean 1 over the bins compared."""
    frames = batch(EXACT, 32, **settings).intensity.mean(axis=0)[INSIDE]
    return np.asarray(frames / frames.mean())


def weights() -> NDArray[np.float64]:
    one, sd = np.array([MEAN_NM]), np.array([DISPERSION])
    return lognormal_weights(DIAMETERS_NM, one, sd, sampling=Sampling.BINS, min_fraction=0.0)


def exact_frame(
    material: Material = MATERIAL,
    table: PairTable | None = None,
    motion: CorrelatedMotion | None = None,
    instrument: Instrument | None = None,
) -> NDArray[np.float64]:
    """The same, pair by pair and angle by angle."""
    if table is None:
        table = pair_table(material, [sphere(MATERIAL, 10 * d) for d in DIAMETERS_NM])
    dots = DotPopulation.from_clusters(material, table, DIAMETERS_NM, weights(), motion)
    instrument = instrument or Instrument(lines=SYNCHROTRON.lines)
    recipe = FrameRecipe(instrument=instrument, area_fraction=1.0, counts_per_point=1e8)
    angles = two_theta_from_q(GRID.centres[INSIDE], 0.56)
    frame = expected_frame(recipe, dots, load_solvent("toluene"), angles)
    return np.asarray(frame / frame.mean())


@pytest.mark.slow
def test_frames_of_older_recipes_are_what_they_were() -> None:
    """Counts drawn before this physics was there.

    Expected counts have single precision, a relative error of 6e-8: with 10⁵ to 10⁶ photons, a bin in a
    hundred may round otherwise on another processor, by one photon.
    """
    with np.load(GOLDEN) as golden:
        counts, mass_mean_nm, recipe = golden["counts"], golden["mass_mean_nm"], str(golden["recipe"])
    frames = FrameStream(StreamRecipe.model_validate_json(recipe), seed=7).batch(256)
    difference = frames.intensity[::4] - counts
    assert np.abs(difference).max() <= 1
    assert np.mean(difference[counts < 50_000] != 0) <= 1e-4
    assert np.mean(difference != 0) <= 2e-3
    np.testing.assert_allclose(frames.mass_mean_nm[::4], mass_mean_nm, rtol=1e-12)


NOTHING: dict[str, dict[str, Any]] = {
    "by-products": {"by_products": (0.0, 0.0), "with_by_products": 1.0},
    "by-products of no frame": {"by_products": (0.1, 0.2), "with_by_products": 0.0},
    "even cuts": {"q_high_logarithmic": False},
    "correlated motion": {"correlated_motion": (0.0, 0.0)},
    "disordered part": {"disordered_nm": (0.0, 0.0)},
    "no ideal structure": {"ideal": 0.0},
    "crystals of no by-product": {"by_product_materials": ("Pb",)},
    "disordered surface of no structure": {
        "structures": {
            **LIVELY["structures"],
            "disordered_surface": {"depth_nm": (0.3, 0.3), "sd_angstrom": (0.4, 0.4)},
            "with_disordered_surface": 0.0,
        }
    },
    "microstrain": {"microstrain": (0.0, 0.0)},
    "gain steps": {"module_gain_step": (0.0, 0.0)},
    "wide channels": {"coarse_averaged": 0.0},
    "samples": {"structures": {**LIVELY["structures"], "sampled": 0.0}},
    "no neighbours wanted": {"structures": {**LIVELY["structures"], "min_coordination": (0,)}},
    "no twins": {"structures": {**LIVELY["structures"], "twinned": 0.0}},
    "the same strain axis": {"structures": {**LIVELY["structures"], "strain_axes": ((1.0, 1.0, 1.0),)}},
    "the same shifts": {
        "sources": (SYNCHROTRON.model_copy(update={"zero_shift_deg": (0, 0), "displacement_deg": (0, 0)}),)
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("settings", NOTHING.values(), ids=NOTHING)
def test_none_of_it_changes_no_bit(settings: dict[str, Any]) -> None:
    before, after = batch(LIVELY), batch(LIVELY, **settings)
    for name, values in vars(before).items():
        np.testing.assert_array_equal(getattr(after, name), values, err_msg=name)


def test_correlated_motion() -> None:
    strain, factor = 0.004, 0.8
    found = mean_frame(correlated_motion=(factor, factor), strain=(strain, strain))
    strained = MATERIAL.strained(strain)
    table = pair_table(strained, [sphere(MATERIAL, 10 * d) for d in DIAMETERS_NM])
    # The tables are kept over Q(1 + ε), and so the amplitude of a strained frame is A(1 + ε)².
    motion = CorrelatedMotion(factor * B * (1 + strain) ** 2, debye_wavenumber(strained))
    expected = exact_frame(strained, table, motion)
    np.testing.assert_allclose(found, expected, rtol=5e-4)
    assert np.abs(exact_frame(strained, table) / expected - 1).max() > 0.01


@pytest.mark.slow
def test_amplitudes_stay_within_what_the_smallest_b_allows() -> None:
    ranges = {"b_angstrom2": (0.7, 3.2), "b_ratio": (0.6, 1.6), "correlated_motion": (0.6, 1.1)}
    stream = FrameStream(StreamRecipe.model_validate({**EXACT, **ranges, "n_structures": 40}), seed=0)
    amplitudes = np.array([s.amplitude_angstrom2 for s in stream.structures])
    assert np.all((amplitudes > 0.6 * 0.7 * 0.6) & (amplitudes < 1.1 * 3.2))
    assert amplitudes.std() > 0.3


@pytest.mark.parametrize("limits", [(0.0, 0.5), (0.5, 1.2)])
def test_motion_that_cannot_be(limits: tuple[float, float]) -> None:
    with pytest.raises(
        ValidationError, match=r"times B: give limits above 0 and up to 1\.1, or leave it out"
    ):
        StreamRecipe.model_validate({**EXACT, "correlated_motion": limits})


def test_distributions_are_drawn_into_frames() -> None:
    """Ripened populations: the mass mean of LSW is 1.13 times the number mean, whatever is asked for."""
    ripe = batch(LIVELY, distributions={"kinds": ["lsw"]}, mean_diameter_nm=(2.4, 2.4))
    np.testing.assert_allclose(ripe.dispersion[ripe.present], 0.2151, atol=0.02)
    np.testing.assert_allclose(ripe.mass_mean_nm / ripe.number_mean_nm, 1.11, atol=0.02)


def atoms_and_pieces(nm: float) -> float:
    """Atoms of the disordered part for each dot: nm/D of the atoms of each core."""
    atoms = np.array([sphere(MATERIAL, 10 * d).n_atoms.sum() for d in DIAMETERS_NM])
    return float(weights()[:, 0] @ (atoms * nm / DIAMETERS_NM))


@pytest.mark.slow
def test_disordered_part() -> None:
    """A sphere of 1.4 nm, its pairs counted one lattice vector after the other."""
    found = mean_frame(
        structures={**EXACT["structures"], "disordered_coherence_nm": (1.4, 1.4)}, disordered_nm=(0.4, 0.4)
    )
    length, half = 14.0, MATERIAL.lattice_parameter_angstrom / 2
    q = GRID.centres[INSIDE]
    factors = dict(zip(("Pb", "S"), form_factors(MATERIAL, q, 0.56), strict=True))
    debye_waller = {e: np.exp(-b * (q / (4 * np.pi)) ** 2) for e, b in (("Pb", B), ("S", B * RATIO))}
    # One cell of one lead and one sulphur, as the cell of a large crystal cut down by the overlap of spheres.
    cell = sum(np.abs(f) ** 2 for f in factors.values()).astype(float)
    for n in np.ndindex(11, 11, 11):
        vector = np.array(n) - 5
        r = half * float(np.linalg.norm(vector))
        if not 0 < r < length:
            continue
        overlap = 1 - 1.5 * r / length + 0.5 * (r / length) ** 3
        pairs = ("Pb", "Pb"), ("S", "S")
        if vector.sum() % 2:
            pairs = ("Pb", "S"), ("S", "Pb")
        for one, other in pairs:
            strength = (
                np.real(factors[one] * np.conj(factors[other])) * debye_waller[one] * debye_waller[other]
            )
            cell += overlap * strength * np.sin(q * r) / (q * r)
    cell += compton_intensity(MATERIAL, q, 0.56, [np.ones(1), np.ones(1)])[:, 0]
    table = pair_table(MATERIAL, [sphere(MATERIAL, 10 * d) for d in DIAMETERS_NM])
    core = DotPopulation.from_clusters(MATERIAL, table, DIAMETERS_NM, weights()).intensity(q, 0.56)
    expected = core + atoms_and_pieces(0.4) / 2 * cell
    np.testing.assert_allclose(found, expected / expected.mean(), rtol=5e-4)
    assert np.abs(found / (core / core.mean()) - 1).max() > 0.05


@pytest.mark.slow
def test_sizes_are_those_of_the_ordered_core() -> None:
    """With and without a disordered part the truth is the same."""
    before, after = batch(LIVELY), batch(LIVELY, disordered_nm=(0.2, 0.45))
    np.testing.assert_array_equal(before.mass_mean_nm, after.mass_mean_nm)
    np.testing.assert_array_equal(before.number_mean_nm, after.number_mean_nm)
    assert not np.array_equal(before.intensity, after.intensity)


def test_disordered_part_of_faulted_dots() -> None:
    """The layers hold six sites for the crystal's two; the atoms go to the first of each element."""
    ranges = StructureRanges.model_validate(
        {"material": "CdSe-zincblende", "faulted": 1.0, "max_cluster_nm": 3.0}
    )
    draw = {"rng": np.random.default_rng(0), "q_limits": (1.0, 6.0), "q_step_inv_angstrom": 0.02}
    table = draw_structure(ranges, **draw, more=np.random.default_rng(1), disordered=True)
    assert table.disordered_terms is not None
    volume = np.pi / 6 * (10 * np.random.default_rng(1).uniform(1.2, 1.6)) ** 3
    cells = volume / load_material("CdSe-zincblende").cell_volume_angstrom3
    np.testing.assert_allclose(table.disordered_terms, cells * np.array([1, 1, 0, 0, 0, 0]))
    assert {sums.shape[1] for sums in table.sums} == {table.diameters_nm.size + 1}


def test_metal_rich_surfaces_are_drawn() -> None:
    ranges = {"material": "PbS", "max_cluster_nm": 4.0, "poor_elements": ["S"]}
    drawn = {}
    for minimum in (1, 5):
        structures = StructureRanges.model_validate({**ranges, "min_coordination": (minimum,)})
        drawn[minimum] = draw_structure(structures, np.random.default_rng(0), (1.0, 2.0), 0.02).self_terms
    np.testing.assert_array_equal(drawn[1][0], drawn[5][0])
    material = load_material("PbS")
    expected = [
        coordinated(material, sphere(material, 10 * d), ["S"], 5).n_atoms[1]
        for d in draw_structure(structures, np.random.default_rng(0), (1.0, 2.0), 0.02).diameters_nm
    ]
    np.testing.assert_allclose(drawn[5][1], expected)
    assert np.all(drawn[5][1] < drawn[1][1])


def convolved(sd_inv_angstrom: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sharp pattern times a Gaussian, summed for each bin."""
    table = pair_table(MATERIAL, [sphere(MATERIAL, 10 * d) for d in DIAMETERS_NM])
    dots = DotPopulation.from_clusters(MATERIAL, table, DIAMETERS_NM, weights())
    fine = np.arange(0.85, 7.8, 0.001)
    sharp = dots.intensity(fine, 0.56)
    kernel = np.exp(-0.5 * ((fine - GRID.centres[INSIDE, None]) / sd_inv_angstrom[:, None]) ** 2)
    blurred = kernel @ sharp / kernel.sum(axis=1)
    return np.asarray(blurred / blurred.mean())


FWHM_PER_SD = np.sqrt(8 * np.log(2))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["constant", "bandwidth", "caglioti"])
def test_resolution(kind: str) -> None:
    q = GRID.centres[INSIDE]
    settings: dict[str, Any] = {
        "constant": {"fwhm_inv_angstrom": (0.08, 0.08)},
        "bandwidth": {"fwhm_inv_angstrom": (0.01, 0.01), "bandwidth": (0.015, 0.015), "banded": 1.0},
        "caglioti": {"caglioti_u_deg2": (1.0, 1.0), "caglioti_w_deg2": (0.05, 0.05)},
    }[kind]
    recipe = StreamRecipe.model_validate(
        {**EXACT, "resolution": {**settings, "caglioti_v_ratio": (0.0, 0.0)}}
    )
    frames = FrameStream(recipe, seed=3).batch(32)
    theta = np.radians(two_theta_from_q(q, 0.56)) / 2
    fwhm = {
        "constant": np.full(q.size, 0.08),
        "bandwidth": np.hypot(0.01, 0.015 * q),
        "caglioti": np.radians(np.sqrt(np.tan(theta) ** 2 + 0.05)) * 2 * np.pi / 0.56 * np.cos(theta),
    }[kind]
    np.testing.assert_allclose(frames.resolution_inv_angstrom[:, INSIDE], np.tile(fwhm, (32, 1)), rtol=1e-6)
    found = frames.intensity.mean(axis=0)[INSIDE]
    expected = convolved(fwhm / FWHM_PER_SD)
    np.testing.assert_allclose(found / found.mean(), expected, rtol=5e-4)
    assert np.abs(expected / exact_frame() - 1).max() > 0.02


@pytest.mark.slow
def test_narrow_resolution_is_stated_too() -> None:
    fwhm = batch(LIVELY, resolution_fwhm_deg=(0.02, 0.02)).resolution_inv_angstrom
    theta = np.radians(two_theta_from_q(1.2, 0.56)) / 2
    assert fwhm[0, 0] == pytest.approx(np.radians(0.02) * 2 * np.pi / 0.56 * np.cos(theta))
    assert fwhm.shape == (64, 300)
    assert not batch(LIVELY).resolution_inv_angstrom.any()


@pytest.mark.slow
def test_microstrain() -> None:
    """The mean over dots whose lattice parameters differ by 0.4 %."""
    epsilon = 0.004
    found = mean_frame(microstrain=(epsilon, epsilon))
    nodes, shares = np.polynomial.hermite_e.hermegauss(21)
    q = GRID.centres[INSIDE]
    clusters = [sphere(MATERIAL, 10 * d) for d in DIAMETERS_NM]
    expected = np.zeros(q.size)
    for node, share in zip(nodes, shares / shares.sum(), strict=True):
        strained = MATERIAL.strained(epsilon * node)
        table = pair_table(strained, clusters)
        expected += share * DotPopulation.from_clusters(strained, table, DIAMETERS_NM, weights()).intensity(
            q, 0.56
        )
    np.testing.assert_allclose(found, expected / expected.mean(), rtol=2e-3)
    assert np.abs(found / exact_frame() - 1).max() > 0.01
    assert not batch(LIVELY, microstrain=(epsilon, epsilon)).resolution_inv_angstrom.any()


@pytest.mark.slow
def test_modules_differ_in_gain() -> None:
    """Frames over those of equal modules: one level for each 4°, no more than 3 % apart."""
    settings = {"gap_pitch_deg": (4.0, 4.0), "gaps": 0.0}
    even = batch(EXACT, 32, **settings)
    uneven = batch(EXACT, 32, module_gain_step=(0.03, 0.03), **settings)
    angles = two_theta_from_q(GRID.centres, 0.56)
    used = ~even.mask[0]
    for before, after in zip(even.intensity, uneven.intensity, strict=True):
        ratio = (after / np.maximum(before, 1))[used]
        jumps = np.flatnonzero(np.abs(np.diff(ratio)) > 1e-3)
        at = angles[used][jumps]
        np.testing.assert_allclose(np.diff(at) / 4, np.rint(np.diff(at) / 4), atol=0.01)
        levels = np.array([part.mean() for part in np.split(ratio, jumps + 1)])
        assert 6 <= levels.size <= 10
        assert 0.003 < levels.max() / levels.min() - 1 < 0.031


@pytest.mark.slow
def test_gaps_are_where_gains_change() -> None:
    settings = {"gap_pitch_deg": (4.0, 4.0), "gap_width_deg": (0.3, 0.3), "module_gain_step": (0.03, 0.03)}
    even = batch(EXACT, 32, **{**settings, "module_gain_step": None})
    uneven = batch(EXACT, 32, **settings)
    gapped = batch(EXACT, 32, **settings, gaps=1.0)
    usable = ~even.mask[0]
    n_jumps = 0
    for before, after, mask in zip(even.intensity, uneven.intensity, gapped.mask, strict=True):
        jumps = np.flatnonzero(np.abs(np.diff((after / np.maximum(before, 1))[usable])) > 1e-3)
        begins = np.flatnonzero(np.diff(mask[usable].astype(int)) == -1)  # of a module, after its gap
        assert all(np.min(np.abs(begins - jump)) <= 1 for jump in jumps)
        n_jumps += jumps.size
    assert n_jumps > 32 * 5


@pytest.mark.slow
def test_shifts_of_one_source() -> None:
    """Copper with a zero of 0.3° and a displacement of -0.2°, whatever the others have."""
    tube = {
        "lines": [line.model_dump() for line in COPPER_K_ALPHA],
        "zero_shift_deg": (0.3, 0.3),
        "displacement_deg": (-0.2, -0.2),
    }
    found = mean_frame(sources=[tube], zero_shift_deg=(-0.05, -0.05))
    table = pair_table(MATERIAL, [sphere(MATERIAL, 10 * d) for d in DIAMETERS_NM])
    dots = DotPopulation.from_clusters(MATERIAL, table, DIAMETERS_NM, weights())
    capillary = Displacement(geometry="capillary", distance_mm=-1000 * np.radians(0.2), radius_mm=1000)
    instrument = Instrument(lines=COPPER_K_ALPHA, zero_shift_deg=0.3, displacement=capillary)
    recipe = FrameRecipe(instrument=instrument, area_fraction=1.0, counts_per_point=1e8)
    angles = two_theta_from_q(GRID.centres[INSIDE], COPPER_K_ALPHA[0].wavelength_angstrom)
    expected = expected_frame(recipe, dots, load_solvent("toluene"), angles)
    np.testing.assert_allclose(found, expected / expected.mean(), rtol=5e-4)


@pytest.mark.slow
def test_samples_and_averages() -> None:
    """Bins of 0.04 Å⁻¹: the pattern at their centres, or its mean over them."""
    grid = BinGrid(q_first_inv_angstrom=1.2, q_step_inv_angstrom=0.04, n_bins=150)
    usual = grid.centres <= 7.1
    table = pair_table(MATERIAL, [sphere(MATERIAL, 10 * d) for d in DIAMETERS_NM])
    dots = DotPopulation.from_clusters(MATERIAL, table, DIAMETERS_NM, weights())
    within = (np.arange(21) - 10) / 21 * 0.04
    fine = dots.intensity((grid.centres[usual, None] + within).ravel(), 0.56).reshape(-1, 21)
    for sampled, expected in ((1.0, fine[:, 10]), (0.0, fine.mean(axis=1))):
        structures = {**EXACT["structures"], "sampled": sampled}
        found = batch(EXACT, 32, grid=grid, structures=structures).intensity.mean(axis=0)[usual]
        np.testing.assert_allclose(found / found.mean(), expected / expected.mean(), rtol=1.5e-3)
    assert np.abs(fine[:, 10] / fine.mean(axis=1) - 1).max() > 0.005


def test_coarse_scans_of_wide_channels() -> None:
    settings = {"coarse": 1.0, "coarse_step_inv_angstrom": (0.0425, 0.0425)}
    frames = batch(EXACT, 32, **settings, coarse_averaged=1.0)
    exact = exact_frame()
    wide, samples = [], []
    for counts, mask in zip(frames.intensity, frames.mask, strict=True):
        points = np.flatnonzero(~mask)
        points = points[(points > 30) & (points < np.count_nonzero(INSIDE) - 30)]
        wide.append(counts[points])
        samples.append(points)
    # 0.0425 Å⁻¹ are 14 bins and a sixth; the mean over them by counting a sixth of a bin as one.
    fine = np.repeat(exact, 6)
    box = np.convolve(fine, np.ones(85) / 85, mode="same").reshape(-1, 6)[:, 2:4].mean(axis=1)
    for counts, points in zip(wide, samples, strict=True):
        np.testing.assert_allclose(counts / counts.mean(), box[points] / box[points].mean(), rtol=1.5e-3)
    assert np.abs(box / exact - 1)[40:-40].max() > 0.005


@pytest.mark.slow
def test_tetragonal_beside_rhombohedral() -> None:
    """One of the axes for each structure: 002 of a tetragonal dot splits, 111 of a rhombohedral one."""
    along, axes = 0.03, ((1.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    structures = {**EXACT["structures"], "strain_axes": axes, "strain_along": (along, along)}
    recipe = StreamRecipe.model_validate({**EXACT, "structures": structures, "n_structures": 12})
    stream = FrameStream(recipe, seed=3)
    clusters = [sphere(MATERIAL, 10 * d) for d in DIAMETERS_NM]
    expected = []
    for axis in axes:
        strained = MATERIAL.strained(axial_strain(axis, along))
        expected.append(exact_frame(strained, pair_table(strained, clusters)))
    seen = set()
    for frames in (stream.batch(32) for _ in range(12)):
        mean = frames.intensity.mean(axis=0)[INSIDE]
        errors = [np.abs(mean / mean.mean() / one - 1).max() for one in expected]
        assert min(errors) < 1e-3
        assert max(errors) > 0.02
        seen.add(int(np.argmin(errors)))
    assert seen == {0, 1}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"resolution": {"fwhm_deg": (0.1, 0.2)}, "resolution_fwhm_deg": (0.1, 0.2)},
            "both given: give resolution.fwhm_deg instead",
        ),
        ({"microstrain": (-0.001, 0.001)}, "a range of -0.001 to 0.001 begins below 0: give limits ≥ 0"),
        ({"disordered_nm": (-0.1, 0.1)}, "begins below 0"),
        ({"module_gain_step": (-0.1, 0.1)}, "begins below 0"),
    ],
)
def test_amounts_that_cannot_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        StreamRecipe.model_validate({**EXACT, **settings})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("material", "settings"),
    [
        ("PbS", {"twinned": 1.0, "twin_plane": (0.999, 0.999)}),
        ("PbS", {"shapes": [{"kind": "fused-spheres", "n_spheres": 3, "overlap": 0.2}], "cuts": ["atom"]}),
        ("CdSe-zincblende", {"faulted": 1.0}),
        ("CdSe-wurtzite", {"faulted": 1.0}),
    ],
)
def test_sizes_of_other_shapes_are_counted_too(material: str, settings: dict[str, Any]) -> None:
    """As many metal atoms as the sphere of that size holds, layers and their alternatives included."""
    ranges = StructureRanges.model_validate({"material": material, "max_cluster_nm": 4.0, **settings})
    table = draw_structure(ranges, np.random.default_rng(0), (1.0, 2.0), 0.02)
    np.testing.assert_allclose(table.sizes_nm / table.diameters_nm, 1, atol=0.12)
    assert np.mean(table.sizes_nm / table.diameters_nm) == pytest.approx(1, abs=0.03)


@pytest.mark.slow
def test_by_products_have_their_share() -> None:
    """A frame with lines, less the frame without them, holds nothing negative and the share asked for."""
    plain = batch(EXACT, 32).intensity
    mixed = batch(EXACT, 32, by_products=(0.2, 0.2), with_by_products=1.0).intensity
    # Photons are the same in both, so the dots of the mixed frame are one part in 1.2.
    lines = 1.2 * mixed / mixed.mean(axis=1, keepdims=True) - plain / plain.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(lines.mean(axis=1), 0.2, rtol=1e-6)
    assert np.abs(np.minimum(lines, 0)).max() < 1e-3
    # Lines, not a background: half of the bins hold next to nothing of the strongest.
    assert np.median(np.median(lines, axis=1) / lines.max(axis=1)) < 0.1
    assert not np.allclose(lines[0], lines[1], atol=0.05)


@pytest.mark.parametrize("seed", range(6))
def test_lines_of_by_products_are_no_narrower_than_the_instrument(seed: int) -> None:
    q = np.linspace(1, 10, 3001)
    lines = by_product_lines(np.random.default_rng(seed), q, np.full(q.size, 0.15))
    assert lines.mean() == pytest.approx(1, rel=1e-5)
    peak = int(np.argmax(lines))
    above = lines > lines[peak] / 2
    left = np.flatnonzero(~above[:peak])[-1] + 1 if not above[:peak].all() else 0
    right = peak + np.flatnonzero(~above[peak:])[0] if not above[peak:].all() else q.size
    assert (right - left) * 0.003 > 0.14


@pytest.mark.slow
def test_by_products_of_known_structure_are_dots_of_that_crystal() -> None:
    """What is added to a frame is a pattern of CdSe, at a lattice parameter of its own, or random lines."""
    settings: dict[str, Any] = {"by_products": (0.3, 0.3), "with_by_products": 1.0}
    plain = batch(EXACT, 32).intensity
    mixed = batch(EXACT, 32, by_product_materials=("CdSe-zincblende",), **settings).intensity
    seen = plain > 0
    q = GRID.centres[seen.all(axis=0)]
    crystals = by_product_crystals(["CdSe-zincblende"], q, 0.56)
    assert crystals.shape == (8, q.size)
    found = 0
    for one, other in zip(mixed[:, seen.all(axis=0)], plain[:, seen.all(axis=0)], strict=True):
        added = 1.3 * one / one.mean() - other / other.mean()
        assert added.mean() == pytest.approx(0.3, rel=1e-6)
        errors = [
            np.abs(np.interp(q * (1 + e), q, c) * 0.3 / c.mean() - added).max() / added.max()
            for c in crystals
            for e in np.linspace(-0.01, 0.01, 201)
        ]
        assert min(errors) < 0.02 or min(errors) > 0.3
        found += min(errors) < 0.02
    # Half of them, as far as 32 draws have it.
    assert 5 <= found <= 27


@pytest.mark.slow
def test_by_products_of_known_structure_are_seen_by_the_instrument() -> None:
    q = np.linspace(1, 10, 3001)
    crystal = by_product_crystals(["Pb"], q, 0.56)[-1:]
    sharp = by_product_curve(np.random.default_rng(1), crystal, q, np.zeros(q.size))
    wide = by_product_curve(np.random.default_rng(1), crystal, q, np.full(q.size, 0.1))
    assert sharp.mean() == pytest.approx(1, rel=1e-5)
    assert wide.mean() == pytest.approx(1, rel=1e-5)
    sd = 0.1 / np.sqrt(8 * np.log(2))
    kernel = np.exp(-0.5 * (np.arange(-100, 101) * 0.003 / sd) ** 2)
    blurred = np.convolve(sharp, kernel / kernel.sum(), mode="same")
    inside = slice(150, -150)
    np.testing.assert_allclose(wide[inside], blurred[inside], rtol=0.01, atol=0.02)


def test_by_product_of_an_unknown_material() -> None:
    with pytest.raises(PhysicsError, match="material 'PbQ' is unknown: choose from"):
        batch(EXACT, by_product_materials=("PbQ",), by_products=(0.1, 0.1), with_by_products=1.0)


@pytest.mark.slow
def test_ideal_structures_have_neither_correlated_motion_nor_a_disordered_part() -> None:
    real: dict[str, Any] = {"correlated_motion": (0.8, 0.8), "disordered_nm": (0.3, 0.3)}
    ideal = batch(EXACT, 32, **real, ideal=1.0)
    # B is drawn otherwise than without correlated motion ever, but has one value here.
    np.testing.assert_array_equal(ideal.intensity, batch(EXACT, 32).intensity)
    some = FrameStream(
        StreamRecipe.model_validate({**LIVELY, **real, "n_structures": 20, "ideal": 0.5}), seed=3
    )
    tables = some.structures
    n_ideal = sum(table.amplitude_angstrom2 == 0 for table in tables)
    assert 4 <= n_ideal <= 16
    assert all((t.amplitude_angstrom2 == 0) == (t.disordered_terms is None) for t in tables)


@pytest.mark.slow
def test_some_structures_have_a_disordered_surface() -> None:
    """Their sizes are those of the core; the others are the same as without."""
    surface = {"depth_nm": (0.3, 0.3), "sd_angstrom": (0.4, 0.4)}
    ranges = {"material": "PbS", "max_cluster_nm": 4.0, "twinned": 0.5}
    bare = StructureRanges.model_validate(ranges)
    some = StructureRanges.model_validate(
        {**ranges, "disordered_surface": surface, "with_disordered_surface": 0.5}
    )
    found = 0
    for seed in range(12):
        draw = {"rng": np.random.default_rng(0), "q_limits": (1.0, 2.0), "q_step_inv_angstrom": 0.02}
        table = draw_structure(some, **draw, more=np.random.default_rng(seed), disordered=True)
        if table.disordered_terms is None:
            found += 1
            depth = np.minimum(0.3, 0.3 * table.diameters_nm)
            inside = (table.diameters_nm > 2.5) & (table.diameters_nm < 4.0)
            core_nm = (table.diameters_nm - 2 * depth)[inside]
            np.testing.assert_allclose(table.sizes_nm[inside], core_nm, atol=0.15)
    assert 2 <= found <= 10
    assert draw_structure(bare, **draw, more=np.random.default_rng(0)).disordered_terms is None


@pytest.mark.slow
def test_cuts_by_their_logarithm_are_shorter() -> None:
    wide = {
        "q_high_inv_angstrom": (2.5, 15.0),
        "grid": {"q_first_inv_angstrom": 1.2, "q_step_inv_angstrom": 0.02, "n_bins": 690},
        "n_structures": 1,
        "structures": {"material": "PbS", "max_cluster_nm": 3.0},
        "mean_diameter_nm": (2.0, 2.5),
    }
    fractions = []
    for logarithmic in (False, True):
        frames = batch(LIVELY, 512, **wide, q_high_logarithmic=logarithmic)
        ends = 1.2 + 0.02 * (690 - np.argmax(~frames.mask[:, ::-1], axis=1))
        fractions.append(np.mean(ends < 4.0))
    # Half of the frames are cut: 1.5 of 12.5 Å⁻¹, and ln 1.6 of ln 6, lie below 4 Å⁻¹.
    np.testing.assert_allclose(fractions, (0.06, 0.131), atol=0.035)


def test_layers_are_not_strained_along_an_axis() -> None:
    """Nor does the truth say so."""
    ranges = StructureRanges.model_validate(
        {"material": "CdSe-zincblende", "faulted": 1.0, "max_cluster_nm": 2.0, "strain_along": (0.01, 0.01)}
    )
    strained = draw_structure(ranges, np.random.default_rng(0), (1.0, 2.0), 0.02)
    assert strained.mean_strain == 0
    even = ranges.model_copy(update={"strain_along": (0.0, 0.0)})
    plain = draw_structure(even, np.random.default_rng(0), (1.0, 2.0), 0.02)
    np.testing.assert_array_equal(strained.sums[0], plain.sums[0])


@pytest.mark.slow
def test_twins_are_drawn() -> None:
    """Half of the structures, their plane within the range; the truth is the larger domain, unstrained."""
    structures = {
        "material": "PbS",
        "max_cluster_nm": 4.0,
        "strain_along": (0.006, 0.006),
        "twinned": 0.5,
        "twin_plane": (0.3, 0.3),
        "poor_elements": ["S"],
        "min_coordination": (5,),
    }
    ranges = StructureRanges.model_validate(structures)
    tables = [
        draw_structure(ranges, np.random.default_rng(0), (1.0, 2.0), 0.02, more=np.random.default_rng(k))
        for k in range(8)
    ]
    twins = [table for table in tables if len(table.material.sites) == 6]
    assert 1 <= len(twins) <= 7
    layers = twin_layers(load_material("PbS"))
    bond = load_material("PbS").min_distance_angstrom(0, 1)
    for table in twins:
        assert table.mean_strain == 0
        expected = coordinated(
            layers, twinned_sphere(layers, 10 * table.diameters_nm[4], 0.3), ["S"], 5, bond
        )
        np.testing.assert_array_equal(table.self_terms[:, 4], expected.n_atoms)
        # Slices of a unit sphere below the plane, over all of them.
        height = np.linspace(-1, 1, 20001)
        area = 1 - height**2
        metal = sum(
            atoms
            for site, atoms in zip(table.material.sites, table.self_terms, strict=True)
            if site.element == "Pb"
        )
        domain = metal * area[height < 0.3].sum() / area.sum()
        unit_nm = load_material("PbS").unit_diameter_angstrom / 10
        np.testing.assert_allclose(table.sizes_nm, unit_nm * np.cbrt(domain), rtol=1e-4)

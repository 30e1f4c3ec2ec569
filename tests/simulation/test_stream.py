from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from qdsizer_stream.errors import ConfigurationError, PhysicsError
from qdsizer_stream.patterns import BinGrid, two_theta_from_q
from qdsizer_stream.simulation import (
    COPPER_K_ALPHA,
    Displacement,
    DotPopulation,
    FrameRecipe,
    FrameStream,
    Instrument,
    Polyhedron,
    Rod,
    Sampling,
    Source,
    SpectralLine,
    Sphere,
    SphereCut,
    StreamRecipe,
    StructureRanges,
    Surface,
    averaged_sphere_pairs,
    axial_strain,
    expected_frame,
    load_material,
    load_solvent,
    lognormal_weights,
    nanocrystal,
    pair_table,
)
from qdsizer_stream.simulation.frames import draw_structure

SYNCHROTRON = Source(lines=(SpectralLine(wavelength_angstrom=0.56),))
TUBE = Source(lines=COPPER_K_ALPHA, perpendicular_share=(0.5, 0.5))

WIDE = StreamRecipe(
    structures=StructureRanges(
        material="PbS",
        shapes=(Sphere(), Polyhedron(kind="cube"), Rod(aspect=2.0)),
        cuts=(SphereCut.NODE, SphereCut.ATOM),
        centre_averaged=0.2,
        occupancy={"S": (0.8, 1.0)},
        poor_elements=("S",),
        strain_along=(0.0, 0.007),
        max_cluster_nm=4.0,
    ),
    n_structures=4,
    grid=BinGrid(q_first_inv_angstrom=1.0, q_step_inv_angstrom=0.02, n_bins=500),
    sources=(SYNCHROTRON, TUBE),
    mean_diameter_nm=(1.8, 3.0),
    dispersion=(0.05, 0.2),
    strain=(-0.005, 0.005),
    b_angstrom2=(0.7, 3.0),
    b_ratio=(0.63, 1.6),
    area_fraction=(0.1, 1.0),
    pure=0.25,
    no_dots=0.2,
    known_solvents=("toluene", "hexane"),
    solvent_stretch=0.05,
    solvent_distortion=0.1,
    ligands_per_nm2=(0.0, 4.0),
    fluorescence=0.2,
    background=0.5,
    absorption_mu_r=(0.0, 0.5),
    distortion=0.05,
    zero_shift_deg=(-0.02, 0.02),
    displacement_deg=(-0.02, 0.02),
    resolution_fwhm_deg=(0.01, 0.1),
    counts_per_bin=(30.0, 1e6),
    q_low_inv_angstrom=(1.0, 1.7),
    q_high_inv_angstrom=(4.0, 11.0),
    gaps=0.5,
)

EXACT = {
    "n_structures": 1,
    "grid": BinGrid(q_first_inv_angstrom=1.2, q_step_inv_angstrom=0.003, n_bins=2000),
    "mean_diameter_nm": (2.6, 2.6),
    "dispersion": (0.1, 0.1),
    "strain": (0.004, 0.004),
    "b_angstrom2": (1.3, 1.3),
    "b_ratio": (1.2, 1.2),
    "area_fraction": (1.0, 1.0),
    "counts_per_bin": (1e8, 1e8),
    "q_low_inv_angstrom": (1.2, 1.2),
    "q_high_inv_angstrom": (7.3, 7.3),
}


@pytest.fixture(scope="module")
def stream() -> FrameStream:
    return FrameStream(WIDE, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sphere", "poor cube", "centre-averaged"])
@pytest.mark.parametrize("source", [SYNCHROTRON, TUBE], ids=["synchrotron", "tube"])
def test_frames_are_those_of_the_exact_way(kind: str, source: Source) -> None:
    """Strain, shifts, two lines, resolution, polarisation, absorption and fluorescence, point by point."""
    settings = {
        "sphere": {},
        "poor cube": {
            "shapes": (Polyhedron(kind="cube"),),
            "occupancy": {"S": (0.9, 0.9)},
            "poor_elements": ("S",),
            "surface_thickness_angstrom": (2.0, 2.0),
            "surface_occupancy": (0.5, 0.5),
            "strain_along": (0.007, 0.007),
        },
        "centre-averaged": {"centre_averaged": 1.0},
    }[kind]
    structures = StructureRanges.model_validate({"material": "PbS", "max_cluster_nm": 4.5, **settings})
    recipe = StreamRecipe(
        structures=structures,
        sources=(source,),
        fluorescence=0.0,
        absorption_mu_r=(0.3, 0.3),
        zero_shift_deg=(0.03, 0.03),
        displacement_deg=(0.02, 0.02),
        resolution_fwhm_deg=(0.1, 0.1),
        **EXACT,
    )
    frames = FrameStream(recipe, seed=0).batch(32)

    material = load_material("PbS").with_b({"Pb": 1.3, "S": 1.3 * 1.2})
    diameters_nm = material.unit_diameter_angstrom / 10 * np.arange(2.5, 4.5 / 0.46379707, 0.5)
    if kind == "centre-averaged":
        strained = material.strained(0.004)
        # Strain keeps the atoms: a strained dot is larger.
        table = averaged_sphere_pairs(strained, diameters_nm * 10 * 1.004)
    else:
        surface = None
        shape = Sphere()
        if kind == "poor cube":
            material = material.with_occupancy({"S": 0.9})
            surface = Surface(elements=("S",), thickness_angstrom=2.0, occupancy=0.5)
            shape = Polyhedron(kind="cube")
        clusters = [nanocrystal(material, shape, 10 * d, surface=surface) for d in diameters_nm]
        if kind == "poor cube":
            material = material.strained(axial_strain((1, 1, 1), 0.007))
        strained = material.strained(0.004)
        table = pair_table(strained, clusters)
    weights = lognormal_weights(
        diameters_nm, np.array([2.6]), np.array([0.1]), sampling=Sampling.BINS, min_fraction=0.0
    )
    dots = DotPopulation.from_clusters(strained, table, diameters_nm, weights)
    instrument = Instrument(
        lines=source.lines,
        perpendicular_share=source.perpendicular_share[0],
        zero_shift_deg=0.03,
        displacement=Displacement(geometry="capillary", distance_mm=1000 * np.radians(0.02), radius_mm=1000),
        resolution_fwhm_deg=0.1,
    )
    exact = FrameRecipe(instrument=instrument, area_fraction=1.0, absorption_mu_r=0.3, counts_per_point=1e7)
    q = recipe.grid.centres
    inside = q <= 7.2
    angles = two_theta_from_q(q[inside], source.lines[0].wavelength_angstrom)
    expected = expected_frame(exact, dots, load_solvent("toluene"), angles)
    mean = frames.intensity[:, inside].mean(axis=0)
    np.testing.assert_allclose(mean / mean.mean(), expected / expected.mean(), rtol=5e-4)
    # As large as their lead atoms make them: a cell of the lattice holds one.
    sizes_nm = np.cbrt(table.self_terms[0]) * load_material("PbS").unit_diameter_angstrom / 10
    assert frames.number_mean_nm == pytest.approx(sizes_nm @ weights[:, 0])
    along = 0.007 if kind == "poor cube" else 0.0
    assert frames.strain == pytest.approx(1.004 * (1 + along / 3) - 1)


@pytest.mark.slow
def test_one_seed_gives_one_sequence_however_it_is_cut(stream: FrameStream) -> None:
    seen: list[tuple[str, int, int]] = []
    fresh = FrameStream(WIDE, seed=1, n_threads=2, progress=lambda *step: seen.append(step))
    assert seen == [("tabulating structures", done, WIDE.n_structures) for done in range(5)]
    in_one = fresh.batch(96)
    first, rest = stream.batch(32), stream.batch(64)
    for name, whole in vars(in_one).items():
        np.testing.assert_array_equal(whole, np.concatenate([getattr(first, name), getattr(rest, name)]))
    other = FrameStream(WIDE, seed=2).batch(32)
    assert not np.array_equal(other.intensity, first.intensity)


def test_frames_are_counts_with_their_truth(stream: FrameStream) -> None:
    batch = stream.batch(512)
    usable = ~batch.mask
    assert np.all(np.isfinite(batch.intensity))
    assert np.all(batch.intensity == np.rint(batch.intensity))
    assert np.all(batch.intensity >= 0)
    np.testing.assert_allclose(batch.sigma, np.sqrt(np.maximum(batch.intensity, 1)), rtol=1e-6)
    mean_counts = np.sum(batch.intensity, axis=1, where=usable) / usable.sum(axis=1)
    assert np.all((mean_counts > 25) & (mean_counts < 1.01e6))
    assert np.mean(~batch.present) == pytest.approx(0.2, abs=0.06)
    np.testing.assert_array_equal(batch.area_fraction == 0, ~batch.present)
    assert np.all((batch.number_mean_nm > 1.5) & (batch.number_mean_nm < 3.3))
    assert np.unique(batch.strain).size == 16  # one for every 32 frames
    assert np.all((batch.strain > -0.005) & (batch.strain < 1.005 * (1 + 0.007 / 3) - 1))


@pytest.mark.slow
def test_a_share_of_the_structures_keeps_its_symmetry() -> None:
    structures = StructureRanges(
        material="PbS", strain_along=(0.006, 0.006), strained_along=0.5, centre_averaged=1.0, max_cluster_nm=4
    )
    recipe = WIDE.model_copy(update={"structures": structures, "n_structures": 20, "strain": (0.0, 0.0)})
    strains = np.unique(np.round(FrameStream(recipe, seed=4).batch(1024).strain, 9))
    np.testing.assert_array_equal(strains, [0.0, 0.002])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "surface"), [("sphere", ()), ("cube", ()), ("octahedron", ("S",)), ("cube", ("S", "Pb"))]
)
def test_a_cluster_is_as_large_as_its_metal_atoms_make_it(shape: str, surface: tuple[str, ...]) -> None:
    ranges = StructureRanges.model_validate(
        {
            "material": "PbS",
            "shapes": [{"kind": shape}],
            "occupancy": {"Pb": (0.9, 0.9), "S": (0.7, 0.7)},
            "poor_elements": surface,
            "max_cluster_nm": 4.0,
        }
    )
    table = draw_structure(ranges, np.random.default_rng(3), (1.0, 2.0), 0.02)
    lead = table.self_terms[0] / 0.9
    cell_nm3 = 0.5934**3 / 4
    np.testing.assert_allclose(np.pi / 6 * table.sizes_nm**3, lead * cell_nm3, rtol=1e-12)
    bare = draw_structure(
        ranges.model_copy(update={"poor_elements": ()}), np.random.default_rng(3), (1.0, 2.0), 0.02
    )
    if "Pb" in surface:
        assert np.all(table.sizes_nm <= bare.sizes_nm)
        assert np.any(table.sizes_nm < 0.99 * bare.sizes_nm)
    else:
        np.testing.assert_allclose(table.sizes_nm, bare.sizes_nm, rtol=1e-12)
    # Outlines of small clusters hold now more and now fewer atoms than their volume promises.
    assert np.mean(bare.sizes_nm / bare.diameters_nm) == pytest.approx(1, abs=0.05)


@pytest.mark.slow
def test_frames_that_are_skipped_are_not_drawn(stream: FrameStream) -> None:
    whole, skipped = FrameStream(WIDE, seed=1), FrameStream(WIDE, seed=1)
    skipped.skip(64)
    np.testing.assert_array_equal(whole.batch(96).intensity[64:], skipped.batch(32).intensity)


PLAIN = {"gaps": 0.0, "q_low_inv_angstrom": (1.0, 1.0), "q_high_inv_angstrom": (11.0, 11.0)}


@pytest.mark.slow
def test_a_coarse_scan_holds_a_bin_a_step() -> None:
    step = WIDE.grid.q_step_inv_angstrom
    coarse = {"coarse": 1.0, "coarse_step_inv_angstrom": (3.4 * step, 3.4 * step), "sources": (SYNCHROTRON,)}
    batch = FrameStream(WIDE.model_copy(update={**PLAIN, **coarse}), seed=0).batch(32)
    for mask in batch.mask:
        strides = np.diff(np.flatnonzero(~mask))
        assert set(strides) == {3, 4}
        assert strides.mean() == pytest.approx(3.4, abs=0.01)


@pytest.mark.slow
def test_a_dead_stretch_is_one_stretch() -> None:
    dead = {"missing": 1.0, "missing_inv_angstrom": (0.7, 0.7), "sources": (SYNCHROTRON,)}
    batch = FrameStream(WIDE.model_copy(update={**PLAIN, **dead}), seed=0).batch(64)
    usual = WIDE.grid.centres <= 11.0
    widths = []
    for mask in batch.mask[:, usual & (WIDE.grid.centres >= 1.0)]:
        assert np.count_nonzero(np.diff(mask.astype(int)) == 1) <= 1
        widths.append(mask.sum() * WIDE.grid.q_step_inv_angstrom)
    assert np.median(widths) == pytest.approx(0.7, abs=0.05)
    assert max(widths) < 0.75


@pytest.mark.slow
def test_no_frame_is_left_empty() -> None:
    starved = {"missing": 1.0, "missing_inv_angstrom": (30.0, 30.0)}
    batch = FrameStream(WIDE.model_copy(update=starved), seed=0).batch(64)
    assert np.all(np.count_nonzero(~batch.mask, axis=1) >= 30)


@pytest.mark.slow
def test_a_tube_reaches_less_far(stream: FrameStream) -> None:
    """4π/1.5406 · sin 70° = 7.67 Å⁻¹."""
    only_tube = WIDE.model_copy(update={"sources": (TUBE,), "n_structures": 1})
    batch = FrameStream(only_tube, seed=0).batch(64)
    seen = only_tube.grid.centres[~batch.mask.all(axis=0)]
    assert seen.max() == pytest.approx(7.66, abs=0.02)


@pytest.mark.slow
def test_faults_and_texture_show() -> None:
    """Wurtzite CdSe with faults loses 103 at 3.2 Å⁻¹ to zinc blende's neighbours, texture moves intensity."""
    base = {"material": "CdSe-wurtzite", "max_cluster_nm": 3.5}
    plain = {"sources": (SYNCHROTRON,), **EXACT}
    frames = {}
    for name, settings in {
        "wurtzite": {"faulted": 1.0, "reversal_probability": (1.0, 1.0)},
        "zinc blende": {"faulted": 1.0, "reversal_probability": (0.0, 0.0)},
        "untextured": {},
        "textured": {"textured": 1.0, "texture_axes": (((0.0, 0.0, 1.0),),), "march_ratio": (0.6, 0.6)},
    }.items():
        structures = StructureRanges.model_validate({**base, **settings})
        batch = FrameStream(StreamRecipe(structures=structures, **plain), seed=0).batch(32)
        frames[name] = batch.intensity.mean(axis=0) / batch.intensity.mean()
    q = EXACT["grid"].centres
    at_103 = np.argmin(np.abs(q - 3.18))  # d(103) of CdSe is 1.980 Å
    assert frames["wurtzite"][at_103] > 1.15 * frames["zinc blende"][at_103]
    # c along Q strengthens 002 at 1.79 Å⁻¹ against 100 and 101.
    near_002 = np.argmin(np.abs(q - 1.79))
    assert frames["textured"][near_002] > 1.3 * frames["untextured"][near_002]


def test_faults_that_a_crystal_cannot_have() -> None:
    structures = StructureRanges(material="PbS", faulted=1.0, max_cluster_nm=3.0)
    with pytest.raises(PhysicsError, match="PbS is neither zinc blende nor wurtzite"):
        FrameStream(WIDE.model_copy(update={"structures": structures}), seed=0)


@pytest.mark.slow
def test_a_measured_solvent_is_drawn(tmp_path: Path) -> None:
    """Frames of a solvent with a spike at 3 Å⁻¹, half of them; the others are of random liquids."""
    q = np.linspace(0.5, 20, 4000)
    curve = 1 + 50 * np.exp(-0.5 * ((q - 3) / 0.05) ** 2)
    np.savetxt(tmp_path / "spike.xy", np.column_stack([q, curve]))
    recipe = StreamRecipe.model_validate(
        {
            **EXACT,
            "structures": {"material": "PbS", "max_cluster_nm": 4.0},
            "sources": (SYNCHROTRON,),
            "no_dots": 0.999,
            "measured_solvents": [{"path": tmp_path / "spike.xy", "wavelength_angstrom": 0.5, "axis": "q"}],
        }
    )
    frames = FrameStream(recipe, seed=0).batch(128)
    spiked = frames.intensity.max(axis=1) > 20 * np.median(frames.intensity, axis=1)
    assert np.mean(spiked) == pytest.approx(0.5, abs=0.15)
    at = recipe.grid.centres[np.argmax(frames.intensity[spiked], axis=1)]
    np.testing.assert_allclose(at, 3.0, atol=0.01)
    too_far = recipe.model_copy(update={"grid": recipe.grid.model_copy(update={"n_bins": 6500})})
    with pytest.raises(PhysicsError, match=r"is outside the curve of spike: give Q from 0\.5 to 20 Å⁻¹"):
        FrameStream(too_far, seed=0)


@pytest.mark.parametrize("n", [0, 40])
def test_frames_come_in_groups(stream: FrameStream, n: int) -> None:
    with pytest.raises(
        ConfigurationError,
        match=f"{n} frames requested: frames come 32 at a time, give a positive multiple of 32",
    ):
        stream.batch(n)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strain": (0.01, -0.01)}, r"strain\n.*0\.01 to -0\.01: give the lower limit first"),
        ({"area_fraction": (0.0, 1.0)}, r"area_fraction\n.*the logarithm is drawn, give limits > 0"),
        ({"strain": (float("nan"), 0.0)}, r"strain\.0\n.*finite number"),
    ],
)
def test_ranges_that_cannot_be(settings: dict[str, tuple[float, float]], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        StreamRecipe.model_validate({**dict(WIDE), **settings})

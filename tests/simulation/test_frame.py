import numpy as np
import pytest
import xraylib
from pydantic import ValidationError

from qdsizer_stream.errors import PhysicsError
from qdsizer_stream.patterns import q_from_two_theta
from qdsizer_stream.simulation import (
    COPPER_K_ALPHA,
    DotPopulation,
    FallingBackground,
    FrameRecipe,
    Gaps,
    HumpBackground,
    Instrument,
    LigandShell,
    SpectralLine,
    area_fraction_from_weight_fraction,
    area_per_mass_ratio,
    counted_frame,
    cylinder_absorption,
    expected_frame,
    load_material,
    load_solvent,
    lognormal_weights,
    pair_table,
    polarisation_factor,
    sphere,
)

ANGLES = np.linspace(8.0, 60.0, 800)
SYNCHROTRON = Instrument(lines=(SpectralLine(wavelength_angstrom=0.56),))
PLAIN = FrameRecipe(instrument=SYNCHROTRON, area_fraction=0.5, counts_per_point=1000.0)


def changed(**settings: object) -> FrameRecipe:
    return FrameRecipe.model_validate({**dict(PLAIN), **settings})


@pytest.fixture(scope="module")
def dots() -> DotPopulation:
    material = load_material("PbS")
    diameters = material.unit_diameter_angstrom * np.arange(3, 12)
    table = pair_table(material, [sphere(material, float(d)) for d in diameters])
    weights = lognormal_weights(diameters / 10, np.array([3.0]), np.array([0.1]))
    return DotPopulation.from_clusters(material, table, diameters / 10, weights)


def test_oleate_forward() -> None:
    """At Q = 0 every atom scatters Z²: 18 · 6² + 33 · 1² + 2 · 8² = 809, and nothing by Compton."""
    bare = LigandShell(per_nm2=3.0, halo_height=0.0)
    assert bare.intensity(np.array([1e-3]), 0.56)[0] == pytest.approx(809, rel=2e-3)


def test_oleate_far_out() -> None:
    """At 50 Å⁻¹ the electrons scatter one by one, with the recoil of 0.2 Å."""
    q, wavelength = 50.0, 0.2
    electrons = sum(n * xraylib.SF_Compt(z, q / (4 * np.pi)) for z, n in ((6, 18), (1, 33), (8, 2)))
    recoil = 1 / (1 + 0.02426 / wavelength * 2 * (wavelength * q / (4 * np.pi)) ** 2) ** 2
    seen = LigandShell(per_nm2=3.0).intensity(np.array([q]), wavelength)[0]
    assert seen == pytest.approx(electrons * recoil, rel=0.02)


def test_the_halo_is_where_it_is_put() -> None:
    q = np.linspace(0.5, 4, 3501)
    seen = LigandShell(per_nm2=3.0, halo_inv_angstrom=1.4, halo_height=3.0).intensity(q, 0.56)
    assert q[np.argmax(seen)] == pytest.approx(1.4, abs=0.02)


def test_ligands_out_of_range() -> None:
    with pytest.raises(PhysicsError, match="contains an unknown element: give chemical symbols"):
        LigandShell(atoms={"Xx": 1}, per_nm2=3.0).intensity(np.array([1.0]), 0.56)
    with pytest.raises(
        PhysicsError, match=r"Q = 80 Å⁻¹ is beyond the form-factor tables: give Q of at most 75\.4"
    ):
        LigandShell(per_nm2=3.0).intensity(np.array([80.0]), 0.1)


def test_a_frame_is_its_parts(dots: DotPopulation) -> None:
    """Half dots, half toluene, polarised, absorbed, with fluorescence and two backgrounds, by hand."""
    recipe = changed(
        instrument=SYNCHROTRON.model_copy(update={"perpendicular_share": 0.5}),
        backgrounds=(FallingBackground(level=0.3, decay_inv_angstrom=2.0), HumpBackground(level=0.1)),
        fluorescence=0.2,
        absorption_mu_r=0.12,
    )
    q = 4 * np.pi / 0.56 * np.sin(np.radians(ANGLES / 2))
    polarised = (1 + np.cos(np.radians(ANGLES)) ** 2) / 2
    of_dots = dots.intensity(q, 0.56) * polarised
    of_solvent = load_solvent("toluene").intensity(q, 0.56) * polarised
    mixture = of_dots / np.trapezoid(of_dots, q) + of_solvent / np.trapezoid(of_solvent, q)
    sample = mixture / mixture.mean() + 0.2
    falling, hump = np.exp(-q / 2), np.exp(-0.5 * ((q - 1.6) / 0.5) ** 2)
    by_hand = sample * cylinder_absorption(ANGLES, 0.12) + 0.3 * falling / falling.mean()
    by_hand += 0.1 * hump / hump.mean()
    frame = expected_frame(recipe, dots, load_solvent("toluene"), ANGLES)
    np.testing.assert_allclose(frame, 1000 * by_hand / by_hand.mean(), rtol=1e-12)


def test_ligands_ride_on_the_dots(dots: DotPopulation) -> None:
    """Pure dots of 28.9 nm² with 3 oleates a nm²."""
    shell = LigandShell(per_nm2=3.0)
    frame = expected_frame(changed(area_fraction=1.0, ligands=shell), dots, load_solvent("hexane"), ANGLES)
    q = q_from_two_theta(ANGLES, 0.56)
    surface = np.pi * 3.0**2 * (1 + 0.1**2)  # π⟨D²⟩ of a log-normal
    by_hand = dots.intensity(q, 0.56) + 3.0 * surface * shell.intensity(q, 0.56)
    np.testing.assert_allclose(frame, 1000 * by_hand / by_hand.mean(), rtol=2e-3)


def test_weight_and_area_make_the_same_frame(dots: DotPopulation) -> None:
    """The ratio of areas per gram over this range of Q joins the two ways."""
    toluene = load_solvent("toluene")
    q = np.linspace(*q_from_two_theta(ANGLES[[0, -1]], 0.56), 20_000)
    ratio = area_per_mass_ratio(
        dots.intensity(q, 0.56), dots.molar_mass_g, toluene.intensity(q, 0.56), toluene.known_molar_mass_g
    )
    area = area_fraction_from_weight_fraction(0.052, ratio)
    by_weight = expected_frame(changed(area_fraction=None, weight_fraction=0.052), dots, toluene, ANGLES)
    by_area = expected_frame(changed(area_fraction=area), dots, toluene, ANGLES)
    np.testing.assert_allclose(by_weight, by_area, rtol=1e-4)
    wrong = expected_frame(changed(area_fraction=0.052), dots, toluene, ANGLES)
    assert np.abs(wrong / by_weight - 1).max() > 0.2


def test_a_laboratory_frame(dots: DotPopulation) -> None:
    """Both copper lines, each with its own f', blurred: peaks where Kα1 and Kα2 put them, on average."""
    tube = Instrument(lines=COPPER_K_ALPHA, perpendicular_share=0.5, resolution_fwhm_deg=0.1)
    angles = np.linspace(20, 70, 500)
    frame = expected_frame(changed(instrument=tube, area_fraction=1.0), dots, load_solvent("toluene"), angles)
    lines = [
        share
        * dots.intensity(q_from_two_theta(angles, wavelength), wavelength)
        * polarisation_factor(angles, 0.5)
        for wavelength, share in ((1.540593, 2 / 3), (1.544427, 1 / 3))
    ]
    np.testing.assert_allclose(frame, 1000 * sum(lines) / np.mean(sum(lines)), rtol=2e-3)


def test_counts_scatter_as_photons_do(dots: DotPopulation) -> None:
    recipe = changed(
        instrument=SYNCHROTRON.model_copy(update={"gaps": Gaps(pitch_deg=5.0, gap_deg=0.5)}),
        counts_per_point=50.0,
    )
    expected = expected_frame(recipe, dots, load_solvent("toluene"), ANGLES)
    frame = counted_frame(recipe, dots, load_solvent("toluene"), ANGLES, np.random.default_rng(3))
    assert expected[frame.usable].mean() == pytest.approx(50, rel=1e-12)
    assert 0.09 < frame.mask.mean() < 0.11
    assert np.all(frame.intensity == np.rint(frame.intensity))
    chi = (frame.intensity - expected)[frame.usable] / np.sqrt(expected[frame.usable])
    # 720 points: the reduced χ² scatters by √(2/720) = 0.053
    assert np.mean(chi**2) == pytest.approx(1, abs=0.2)
    np.testing.assert_allclose(frame.q_inv_angstrom, q_from_two_theta(ANGLES, 0.56))


def test_a_mixture_is_told_one_way() -> None:
    with pytest.raises(ValidationError, match="give exactly one of them, they are different fractions"):
        changed(weight_fraction=0.1)
    with pytest.raises(ValidationError, match="area_fraction is None and weight_fraction is None"):
        changed(area_fraction=None)

"""Physics of real dots in endless frames: each against the exact way, and absent or zero without a trace."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from qdsizer_stream.patterns import BinGrid, two_theta_from_q
from qdsizer_stream.simulation import (
    CorrelatedMotion,
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
    debye_wavenumber,
    expected_frame,
    load_material,
    load_solvent,
    lognormal_weights,
    pair_table,
    sphere,
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
    return lognormal_weights(DIAMETERS_NM, one, sd, sampling=Sampling.BINS, least_share=0.0)


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


def test_frames_of_older_recipes_are_what_they_were() -> None:
    """Counts drawn before this physics was there; one bin in 10⁴ may round otherwise on another machine."""
    with np.load(GOLDEN) as golden:
        counts, mass_mean_nm, recipe = golden["counts"], golden["mass_mean_nm"], str(golden["recipe"])
    frames = FrameStream(StreamRecipe.model_validate_json(recipe), seed=7).batch(256)
    assert np.mean(frames.intensity[::4] != counts) <= 1e-4
    np.testing.assert_allclose(frames.mass_mean_nm[::4], mass_mean_nm, rtol=1e-12)


NOTHING: dict[str, dict[str, Any]] = {
    "correlated motion": {"correlated_motion": (0.0, 0.0)},
}


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


def test_amplitudes_stay_within_what_the_smallest_b_allows() -> None:
    ranges = {"b_angstrom2": (0.7, 3.2), "b_ratio": (0.6, 1.6), "correlated_motion": (0.6, 1.1)}
    stream = FrameStream(StreamRecipe.model_validate({**EXACT, **ranges, "n_structures": 40}), seed=0)
    amplitudes = np.array([s.amplitude_angstrom2 for s in stream._structures])
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

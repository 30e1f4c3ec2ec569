import numpy as np
import pytest

from qdsizer_stream.patterns import BinGrid
from qdsizer_stream.simulation import FrameGenerator, GeneratorRecipe, SphereCut

RECIPE = GeneratorRecipe(
    material="PbS",
    grid=BinGrid(q_first_inv_angstrom=1.0, q_step_inv_angstrom=0.05, n_bins=200),
    cuts=(SphereCut.NODE,),
    centre_averaged=True,
    wavelengths_angstrom=(0.56,),
    mean_diameter_nm=(2.0, 4.0),
    dispersion=(0.05, 0.2),
    max_cluster_nm=8.0,
    strain=(-0.005, 0.005),
    n_strains=3,
    b_angstrom2=(1.0, 2.0),
    area_fraction=(0.1, 1.0),
    no_dots=0.2,
    measured_like_solvents=("toluene",),
    solvent_stretch=0.05,
    solvent_distortion=0.1,
    distortion=0.05,
    background=0.5,
    counts_per_bin=(100.0, 1e5),
    q_low_inv_angstrom=(1.0, 1.7),
    q_high_inv_angstrom=(4.0, 11.0),
    zero_shift_inv_angstrom=0.01,
)


def test_one_seed_gives_one_sequence() -> None:
    first, second, other = (FrameGenerator(RECIPE, seed).batch(64) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.intensity, second.intensity)
    assert not np.array_equal(first.intensity, other.intensity)


def test_frames_are_counts_with_their_truth() -> None:
    batch = FrameGenerator(RECIPE, 0).batch(512)
    usable = ~batch.mask
    assert np.all(batch.intensity == np.rint(batch.intensity))
    assert np.all(batch.intensity >= 0)
    np.testing.assert_array_equal(batch.sigma, np.sqrt(np.maximum(batch.intensity, 1)))
    mean_counts = np.sum(batch.intensity, axis=1, where=usable) / usable.sum(axis=1)
    assert np.all((mean_counts > 90) & (mean_counts < 1.05e5))
    assert np.all((batch.number_mean_nm > 1.8) & (batch.number_mean_nm < 4.2))
    assert np.mean(~batch.present) == pytest.approx(0.2, abs=0.06)
    np.testing.assert_array_equal(batch.area_fraction == 0, ~batch.present)


def test_dots_show_where_their_peaks_are() -> None:
    """In pure, unstrained dots the strongest bin is the 200 or 111 peak of PbS."""
    plain = RECIPE.model_copy(
        update={
            "no_dots": 0.0,
            "area_fraction": (0.999, 1.0),
            "background": 0.0,
            "strain": (0.0, 0.0),
            "n_strains": 1,
            "counts_per_bin": (1e5, 1e5 + 1),
            "mean_diameter_nm": (3.5, 4.0),
            "q_low_inv_angstrom": (1.0, 1.0),
        }
    )
    batch = FrameGenerator(plain, 0).batch(64)
    strongest = plain.grid.centres[np.argmax(np.where(batch.mask, 0, batch.intensity), axis=1)]
    d111, d200 = 5.934 / np.sqrt(3), 5.934 / 2
    near = np.minimum(np.abs(strongest - 2 * np.pi / d111), np.abs(strongest - 2 * np.pi / d200))
    covered = ~batch.mask[:, (plain.grid.centres > 1.7) & (plain.grid.centres < 2.3)].any(axis=1)
    assert covered.sum() > 20
    assert np.all(near[covered] < 0.1)


def test_every_frame_has_data() -> None:
    """A missing module must not take all that a short range had."""
    short = RECIPE.model_copy(update={"q_low_inv_angstrom": (1.6, 1.7), "q_high_inv_angstrom": (2.5, 2.51)})
    batch = FrameGenerator(short, 0).batch(2048)
    assert np.all((~batch.mask).sum(axis=1) >= 10)
    assert np.all(np.isfinite(batch.intensity))

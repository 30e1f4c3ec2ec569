import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'qdsizer-stream[train]'")

from qdsizer_stream.errors import ModelError
from qdsizer_stream.patterns import BinGrid
from qdsizer_stream.training import (
    Checkpoint,
    MovingSums,
    ShuffledFrames,
    SizeNetwork,
    SizeRecipe,
    fit_size,
    load_training_recipe,
    silent,
)

GRID = BinGrid(q_first_inv_angstrom=0.96, q_step_inv_angstrom=0.01, n_bins=1408)


def vectors_of(
    logarithm: NDArray[np.float64], noise: float = -3.0, covered: slice = slice(None)
) -> torch.Tensor:
    vectors = np.zeros((1, 3, GRID.n_bins), np.float32)
    vectors[0, 0, covered] = logarithm[covered]
    vectors[0, 1, covered] = noise
    vectors[0, 2, covered] = 1.0
    return torch.from_numpy(vectors)


@pytest.fixture(scope="module")
def network() -> SizeNetwork:
    return SizeNetwork(GRID, 4).eval()


@pytest.mark.parametrize("covered", [slice(None), slice(80, 700)], ids=["whole", "short"])
@pytest.mark.parametrize("distance_angstrom", [20.0, 61.0, 140.0])
def test_power_peaks_at_the_distance_of_a_pair(
    network: SizeNetwork, distance_angstrom: float, covered: slice
) -> None:
    """One pair of atoms at distance r scatters 1 + sin(Qr)/(Qr)."""
    logarithm = np.log1p(0.2 * np.sin(GRID.centres * distance_angstrom))
    powers = network.log_powers(vectors_of(logarithm, covered=covered))[0].numpy()
    distances = 2 * math.pi / (0.01 * network.n_transform) * np.arange(network.n_distances)
    for power in powers:
        assert distances[np.argmax(power)] == pytest.approx(distance_angstrom, abs=0.4)


def test_smooth_curves_have_no_power(network: SizeNetwork) -> None:
    """A falling curve with sharp ends, compared with peaks of a tenth of its height."""
    q = GRID.centres
    falling = -q / 3
    peaks = falling + np.log1p(0.1 * np.sin(60 * q))
    covered = slice(30, 900)
    far = slice(80, None)  # beyond 25 Å
    smooth, peaked = (
        network.log_powers(vectors_of(curve, -6.0, covered))[0, 0, far] for curve in (falling, peaks)
    )
    # Difference of natural logarithms of the power; the network input is scaled by POWER_SCALE.
    assert float(peaked.max() - smooth.max()) / network.POWER_SCALE > 8


def test_noise_hides_power(network: SizeNetwork) -> None:
    logarithm = np.log1p(0.05 * np.sin(60 * GRID.centres))
    quiet, loud = (network.log_powers(vectors_of(logarithm, noise))[0, 0] for noise in (-3.0, 0.0))
    assert float(quiet.max() - quiet.median()) > 5 * float(loud.max() - loud.median())


@pytest.mark.parametrize("fwhm", [0.02, 0.06])
def test_damping_is_what_the_instrument_takes_from_the_power(fwhm: float) -> None:
    """The power of a pattern blurred by a Gaussian, less that of the sharp one, at each distance."""
    network = SizeNetwork(GRID, 4, resolution=True).eval()
    q, sd = GRID.centres, fwhm / math.sqrt(8 * math.log(2))
    distances = np.array([20.0, 35.0, 50.0])
    sharp = 1 + sum(0.1 * np.sin(r * q) for r in distances)
    blurred = 1 + sum(0.1 * np.exp(-((sd * r) ** 2) / 2) * np.sin(r * q) for r in distances)
    width = torch.full((1, 1, q.size), math.log10(fwhm / 0.02))
    powers, damping = [], torch.empty(0)
    for curve in (sharp, blurred):
        vectors = torch.cat([vectors_of(np.log(curve), -6.0), width], dim=1)
        powers.append(network.log_powers(vectors)[0, 1])
        damping = network.damping(vectors)[0]
    spacing = 2 * math.pi / (0.01 * network.n_transform)
    for r in distances:
        k = round(r / spacing)
        assert float(powers[0][k] - powers[1][k]) == pytest.approx(float(damping[k]), abs=0.02)


def test_networks_that_know_the_width_take_four_channels(recipe: SizeRecipe) -> None:
    network = SizeNetwork(GRID, 4, resolution=True).eval()
    vectors = torch.cat([vectors_of(-GRID.centres / 3), torch.zeros(1, 1, GRID.n_bins)], dim=1)
    wide = vectors.clone()
    wide[:, 3] = 1.0
    with torch.no_grad():
        assert not torch.allclose(network(vectors)[0], network(wide)[0])


@pytest.mark.slow
@pytest.mark.parametrize("width", [1, 5, 11])
def test_moving_sums(width: int) -> None:
    curves = torch.from_numpy(np.random.default_rng(1).random((3, 200)).astype(np.float32))
    padded = torch.nn.functional.pad(curves, (width // 2, width // 2))
    expected = padded.unfold(1, width, 1).sum(dim=-1)
    torch.testing.assert_close(MovingSums(curves, 11).over(width), expected, atol=3e-5, rtol=0)


@pytest.fixture(scope="module")
def recipe() -> SizeRecipe:
    """Recipe of the default model, shortened to seconds."""
    plain = load_training_recipe("pbs").model_dump()
    small = {"n_structures": 1, "mean_diameter_nm": (2.0, 4.0), "dispersion": (0.05, 0.1)}
    for part in ("generator", "held_out"):
        structures = {**plain[part]["structures"], "max_cluster_nm": 6.0, "textured": 0.0}
        plain[part] = {**plain[part], **small, "structures": structures}
    return SizeRecipe.model_validate({**plain, "steps": 6, "batch_size": 64, "calibration_frames": 64})


@pytest.mark.slow
def test_batches_do_not_depend_on_where_training_resumed(recipe: SizeRecipe) -> None:
    whole = ShuffledFrames(recipe, 1)
    third = [whole.draw() for _ in range(3)][2]
    for one, other in zip(third, ShuffledFrames(recipe, 3).draw(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.slow
def test_a_resumed_training_is_the_uninterrupted_one(
    recipe: SizeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fit_size(recipe, silent)
    saves = 0
    checkpoint = Checkpoint(tmp_path / "c", recipe.sha256)
    save = checkpoint.save

    def save_once(state: dict[str, object]) -> None:
        nonlocal saves
        save(state)
        saves += 1
        if saves == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", save_once)
    with pytest.raises(KeyboardInterrupt):
        fit_size(recipe, silent, checkpoint, checkpoint_steps=2)
    resumed = fit_size(recipe, silent, Checkpoint(tmp_path / "c", recipe.sha256))
    for name, value in whole.network.state_dict().items():
        torch.testing.assert_close(value, resumed.network.state_dict()[name], rtol=0, atol=0)
    assert resumed.evaluation == whole.evaluation
    with pytest.raises(ModelError, match="belongs to recipe"):
        fit_size(recipe, silent, Checkpoint(tmp_path / "c", "f" * 64))

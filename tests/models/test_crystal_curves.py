"""Files of curves of crystals: those of the package, and those that users make."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qdsizer_stream.errors import ModelError
from qdsizer_stream.fitting import solvent_curves
from qdsizer_stream.models import (
    CRYSTAL_Q_INV_ANGSTROM,
    CRYSTAL_SIZES_NM,
    load_crystal_curves,
    load_model,
    shipped_crystals,
    shipped_solvents,
    with_phases,
    write_crystal_curves,
)
from qdsizer_stream.simulation import crystal_patterns, load_material, material_names
from qdsizer_stream.sizing import Sizer


def test_the_package_has_all_its_materials() -> None:
    assert shipped_crystals() == tuple(material_names())
    curves = np.array([one.curves for one in load_crystal_curves(shipped_crystals())])
    assert curves.shape == (len(material_names()), 12, CRYSTAL_Q_INV_ANGSTROM.size)
    np.testing.assert_allclose(curves.mean(axis=2), 1, atol=1e-6)


@pytest.mark.slow
def test_curves_of_the_package_are_those_that_the_simulation_gives() -> None:
    q, sizes = CRYSTAL_Q_INV_ANGSTROM, CRYSTAL_SIZES_NM
    for name in ("PbS", "Pb"):
        (shipped,) = load_crystal_curves([name])
        simulated = crystal_patterns(load_material(name), q, sizes, 0.12, 0.56)
        expected = simulated / simulated.mean(axis=1, keepdims=True)
        np.testing.assert_allclose(shipped.curves, expected, rtol=2e-6)
    np.testing.assert_allclose(shipped_solvents(), solvent_curves(), rtol=2e-6)


def test_phases_of_the_check() -> None:
    model = load_model("pbs")
    grid = Sizer(model="pbs").bins
    templates = model.templates
    assert with_phases(templates, load_crystal_curves(["Pb", "ice"]), grid) is templates
    added = with_phases(templates, load_crystal_curves(["Pb", "ZnSe"]), grid)
    assert added.phase_names == (*templates.phase_names, *4 * ("ZnSe",))
    np.testing.assert_array_equal(added.phases[:-4], templates.phases)
    # The same crystal as the model's own curves of it, which have other sizes and dispersions.
    bare = replace(templates, phases=np.empty((0, 0)), phase_names=())
    lead = with_phases(bare, load_crystal_curves(["Pb"]), grid).phases[2]
    own = templates.phases[templates.phase_names.index("Pb") + 2]
    inside = templates.q_inv_angstrom > 1.5
    assert np.corrcoef(lead[inside], own[inside])[0, 1] > 0.98
    first = templates.q_inv_angstrom[inside][np.argmax(lead[inside])]
    assert first == pytest.approx(2 * np.pi / 2.858, abs=0.02)  # (111) of lead


def test_four_sizes_of_a_crystal_are_looked_for_in_the_resolution_of_the_check() -> None:
    """Each curve is that of its size, and a line of one point as wide as the bins of the check, 0.04 Å⁻¹."""
    templates, grid = load_model("pbs").templates, Sizer(model="pbs").bins
    bare = replace(templates, phases=np.empty((0, 0)), phase_names=())
    q = templates.q_inv_angstrom
    lines = np.zeros((CRYSTAL_SIZES_NM.size, CRYSTAL_Q_INV_ANGSTROM.size))
    at = 2.0 + 0.5 * np.arange(CRYSTAL_SIZES_NM.size)  # each size has a line at another place
    for size, place in enumerate(at):
        lines[size, np.argmin(np.abs(CRYSTAL_Q_INV_ANGSTROM - place))] = 1.0
    crystal = replace(load_crystal_curves(["Pb"])[0], name="lines", curves=lines)
    added = with_phases(bare, [crystal], grid)
    assert added.phase_names == ("lines",) * 4
    np.testing.assert_allclose(added.phases.mean(axis=1), 1.0)
    for curve, size_nm in zip(added.phases, (1.7, 3.1, 5.5, 12.0), strict=True):
        place = at[np.argmin(np.abs(CRYSTAL_SIZES_NM - size_nm))]
        assert curve @ q / curve.sum() == pytest.approx(place, abs=0.006)
        spread = np.sqrt(curve @ (q - place) ** 2 / curve.sum())
        # A triangle of 0.01 Å⁻¹ on either side, between the points of the file, over a box of 0.04 Å⁻¹.
        assert spread == pytest.approx(np.hypot(0.01 / 6**0.5, 0.04 / 12**0.5), rel=0.05)


def test_damage(tmp_path: Path) -> None:
    path = tmp_path / "one.npz"
    write_crystal_curves(path, load_crystal_curves(["Pb"]))
    content = path.read_bytes()
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["curves"][0, 0, 0] += 0.1
    np.savez_compressed(path, **arrays)
    with pytest.raises(ModelError, match=r"one.npz have changed since they were written: write it again"):
        load_crystal_curves([path])
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match=r"one.npz are damaged .*: write it again with: qdsizer-stream"):
        load_crystal_curves([path])
    with pytest.raises(ModelError, match=r"crystal curves one.dat: give a name that ends in .npz"):
        write_crystal_curves(Path("one.dat"), load_crystal_curves(["Pb"]))

"""Frames fitted in a block against the same frames fitted one by one: equal to the last bit."""

from dataclasses import fields

import numpy as np
import pytest

from qdsizer_stream.models import FrameToFit, PhysicsCheck, PhysicsFit, load_model
from qdsizer_stream.patterns import BinGrid, Pattern

GRID = BinGrid(q_first_inv_angstrom=0.96, q_step_inv_angstrom=0.02, n_bins=704)
TEMPLATES = load_model("pbs").templates
CENTRES = GRID.centres


def new_check() -> PhysicsCheck:
    return PhysicsCheck(TEMPLATES, GRID, 5.934)


CHECK = new_check()


def drawn_frames(n: int, seed: int) -> list[FrameToFit]:
    """Frames of dots, solvent and sometimes another crystal or a shift, with one of three masks."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((3, GRID.n_bins), bool)
    masks[1, 100:117] = True
    masks[2, 500:] = True

    def at(q: np.ndarray, curve: np.ndarray) -> np.ndarray:
        return np.asarray(np.interp(q, TEMPLATES.q_inv_angstrom, curve))

    frames = []
    for i in range(n):
        row = int(rng.integers(TEMPLATES.mean_nm.size))
        q = CENTRES * (1 + rng.normal(0, 0.003)) + (0.015 if i % 4 == 1 else 0.0)
        expected = at(q, TEMPLATES.dots[row]) + rng.uniform(0, 1) * at(CENTRES, TEMPLATES.solvents[i % 5])
        if i % 3 == 0:
            expected += 0.15 * at(CENTRES, TEMPLATES.phases[int(rng.integers(len(TEMPLATES.phases)))])
        counts = rng.poisson(10 ** rng.uniform(0.7, 3.3) * expected)
        low_nm = TEMPLATES.mean_nm[row] * rng.choice([0.96, 0.7])
        frames.append(
            FrameToFit(
                Pattern.from_arrays(CENTRES, counts, mask=masks[i % 3]),
                float(low_nm),
                float(low_nm * 1.08),
                float(rng.choice([np.nan, 0.1])),
            )
        )
    return frames


def bits(fit: PhysicsFit) -> list[bytes]:
    """All values of a fit, as bytes."""
    parts = [fit.dots, fit.solvent, fit.background, fit.reflections.q_inv_angstrom]
    numbers = [
        getattr(fit, one.name) for one in fields(fit) if one.name not in ("phases", "curves", "reflections")
    ]
    phases = [repr(fit.phases).encode()]
    return [np.asarray(value).tobytes() for value in [*numbers, *parts]] + phases


@pytest.mark.parametrize("wavelength_angstrom", [None, 1.5406])
@pytest.mark.parametrize("width", [None, pytest.param(0.03, marks=pytest.mark.slow)])
def test_a_block_gives_the_bits_of_single_frames(
    width: float | None, wavelength_angstrom: float | None
) -> None:
    frames = drawn_frames(17, seed=3)
    resolution = None if width is None else np.full(GRID.n_bins, width)
    together = CHECK.fit_block(frames, resolution, wavelength_angstrom)
    assert any(fit.phases for fit in together)
    assert any(fit.shift_inv_angstrom for fit in together)
    for frame, fit in zip(frames, together, strict=True):
        assert bits(CHECK.fit(*frame, resolution, wavelength_angstrom)) == bits(fit)
    backwards = CHECK.fit_block(frames[::-1], resolution, wavelength_angstrom)
    assert [bits(fit) for fit in backwards[::-1]] == [bits(fit) for fit in together]


@pytest.mark.slow
def test_what_is_kept_has_all_that_it_depends_on_in_its_key() -> None:
    """A check that has seen other masks, points, wavelengths and instruments, against one that has not."""
    (frame,) = drawn_frames(1, seed=8)
    q, *rest = frame.binned.q_inv_angstrom, frame.binned.intensity, frame.binned.sigma
    step, fwhm = GRID.q_step_inv_angstrom, np.full(GRID.n_bins, 0.05)
    masked, moved = Pattern(q, *rest, CENTRES > 8), Pattern(q + 0.3 * step, *rest, frame.binned.mask)
    changed: list[tuple[FrameToFit, np.ndarray | None, float | None]] = [
        (frame._replace(binned=masked), None, None),
        (frame._replace(binned=moved), None, None),
        (frame, fwhm, None),
        (frame, 1.2 * fwhm, None),
        (frame, None, 1.5406),
        (frame, None, 0.8),
    ]
    used = new_check()
    first = bits(used.fit(*frame))
    found = [bits(used.fit(*one, width, wavelength)) for one, width, wavelength in changed]
    assert bits(used.fit(*frame)) == first  # three instruments later
    fresh = []
    for one, width, wavelength in changed:
        check = new_check()
        fresh.append(bits(check.fit(*one, width, wavelength)))
    assert found == fresh
    assert len({str(one) for one in [first, *found]}) == 1 + len(changed)


def test_a_block_of_no_frames() -> None:
    assert CHECK.fit_block([]) == []

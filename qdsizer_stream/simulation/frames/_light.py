"""A source on a grid of bins: angles, form factors, and the scattering of solvents and ligands."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...patterns import BinGrid, two_theta_from_q
from ..crystal import Material
from ..scattering import (
    LigandShell,
    Solvent,
    compton_per_atom,
    form_factors,
    random_solvents,
    recoil,
)
from ._stream_recipe import Source

__all__ = ["MAX_ANGLE_DEG", "Light", "Margins", "light_on_grid"]

N_SOLVENTS = 128
"""Solvents kept for each source; each is mixed, stretched and distorted again for every frame."""

SOLVENT_POINTS = 1000
"""Points of their curves: halos are at least 0.1 Å⁻¹ wide."""

SMOOTH_POINTS = 4000
"""Points at which form factors are tabulated: linear interpolation between them is within 1e-5."""

SMOOTH_MARGIN = 0.2
"""How far past the grid form factors are tabulated, Å⁻¹: a shift of 1° at 0.5 Å."""

MAX_ANGLE_DEG = 140.0
"""Largest scattering angle of a detector arm."""

MAX_BLURRED_ANGLE_DEG = 170.0
"""Largest angle from which resolution brings intensity into a bin: beyond 180° there is no Q."""


@dataclass(frozen=True)
class Margins:
    """Bins of the sharp pattern outside the grid, from which resolution brings intensity into it."""

    n_before: int = 0
    """Bins before the first."""
    n_after: int = 0
    """Bins after the last."""


@dataclass(frozen=True, eq=False)
class Light:
    """A source on a grid of bins."""

    source: Source
    """Lines and polarisation."""
    two_theta_deg: NDArray[np.float64]
    """Apparent angles of the bins and margins, degrees; those out of reach have the largest angle."""
    inside: slice
    """The bins of the grid among these."""
    n_bins: int
    """Bins of the grid within reach."""
    smooth_q: NDArray[np.float64]
    """Momentum transfers of `self_scattering` and `interference`, Å⁻¹."""
    self_scattering: dict[str, NDArray[np.float64]]
    """|f|² and Compton scattering of each element."""
    interference: dict[tuple[str, str], NDArray[np.float64]]
    """Re(f f*) of each pair of elements, in either order."""
    ligand: NDArray[np.float32]
    """Scattering of one ligand at the bins of the grid."""
    solvent_q: NDArray[np.float64]
    """Momentum transfers of `solvents`, Å⁻¹."""
    solvents: NDArray[np.float64]
    """Solvents, one a row."""


def light_on_grid(
    source: Source,
    grid: BinGrid,
    margins: Margins,
    material: Material,
    known_solvents: Sequence[Solvent],
    solvent_stretch: float,
    rng: np.random.Generator,
) -> Light:
    """Tabulate a source on a grid.

    Parameters
    ----------
    source
        Lines and polarisation.
    grid
        Bins of the frames.
    margins
        Bins outside the grid that resolution needs.
    material
        Crystal of the dots, for its elements.
    known_solvents
        Solvents that mixtures are made of: half of all; the others are random.
    solvent_stretch
        Largest relative stretch of a solvent's Q axis.
    rng
        Source of randomness.

    Returns
    -------
    The tables.

    Raises
    ------
    PhysicsError
        Q leaves a solvent's curve or the form-factor tables.
    """
    q, step = grid.centres, grid.q_step_inv_angstrom
    wavelength = source.lines[0].wavelength_angstrom
    before, after = margins.n_before * step, margins.n_after * step
    smooth_q = np.linspace(
        max(q[0] - before - SMOOTH_MARGIN, SMOOTH_MARGIN / 10), q[-1] + after + SMOOTH_MARGIN, SMOOTH_POINTS
    )
    by_line = [form_factors(material, smooth_q, line.wavelength_angstrom) for line in source.lines]
    factors = {
        site.element: np.asarray(
            sum(line.share * f[s] for line, f in zip(source.lines, by_line, strict=True))
        )
        for s, site in enumerate(material.sites)
    }
    factor = recoil(smooth_q, wavelength)
    wide = np.linspace(q[0] * (1 - solvent_stretch), q[-1] * (1 + solvent_stretch), SOLVENT_POINTS)
    solvents = random_solvents(rng, N_SOLVENTS, wide, wavelength)
    known = [solvent.intensity(wide, wavelength) for solvent in known_solvents]
    for row in range(1, N_SOLVENTS, 2) if known else ():
        solvents[row] = rng.dirichlet(np.ones(len(known))) @ [k / k.mean() for k in known]
    reach = 4 * np.pi / wavelength * np.sin(np.radians(MAX_ANGLE_DEG / 2))
    last = reach
    if margins.n_after:
        last = min(reach + after, 4 * np.pi / wavelength * np.sin(np.radians(MAX_BLURRED_ANGLE_DEG / 2)))
    outside = np.concatenate(
        [q[0] + step * np.arange(-margins.n_before, 0), q, q[-1] + step * np.arange(1, margins.n_after + 1)]
    )
    return Light(
        source,
        two_theta_from_q(np.minimum(outside, last), wavelength),
        slice(margins.n_before, margins.n_before + q.size),
        int(np.count_nonzero(q <= reach)),
        smooth_q,
        {e: np.abs(f) ** 2 + factor * compton_per_atom(e, smooth_q) for e, f in factors.items()},
        {(one, other): np.real(f * np.conj(g)) for one, f in factors.items() for other, g in factors.items()},
        LigandShell(per_nm2=1.0, halo_height=0.0).intensity(q, wavelength).astype(np.float32),
        wide,
        solvents,
    )

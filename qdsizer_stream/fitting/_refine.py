"""Refinement of one pattern: sizes, lattice, thermal motion and shares with their standard deviations."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigurationError, PatternError
from ..models.fit import FitOptions, FitResult, FrameFit, Prior
from ..patterns import (
    FWHM_PER_SD,
    Axis,
    BinGrid,
    Pattern,
    bin_pattern,
    blur_matrix,
    given_wavelength,
    load_pattern,
    two_theta_from_q,
)
from ..simulation import Material, crystal_patterns, load_material
from ._build import MAX_CLUSTER_OVER_MEAN
from ._cache import cached_templates
from ._simulate import Progress, Spheres, TemplateRecipe

__all__ = ["Refinement", "phase_curves", "refine"]

DEFAULT_WAVELENGTH_ANGSTROM = 0.56
"""Wavelength of the dispersion corrections of a pattern in Q without one: far from edges they change
intensities by a per cent."""

BIN_INV_ANGSTROM = 0.01
"""Bins in which points are averaged, Å⁻¹: a sixth of the width of a peak of a 10 nm dot, and the templates
are averaged alike."""

Q_LIMITS_INV_ANGSTROM = (0.9, 15.3)
"""Range that is fitted where the pattern covers it: below, small-angle scattering; beyond, no peaks."""

Q_ENDS_INV_ANGSTROM = (5.0, 8.5, 15.3)
"""Last Q of the templates, the first that covers the pattern: so that the cache holds few kinds."""

MARGIN_INV_ANGSTROM = 0.2
"""Range of Q beyond the pattern on either side, for strain and zero."""

MAX_CLUSTER_NM = 25.0
"""Largest cluster, nm: beyond it instruments broaden peaks more than the dots do."""

MIN_POINTS = 60
"""Fewest bins that determine the parameters of a fit."""

ZERO_SD_DEG = 0.1
"""Standard deviation of a 2θ zero before the fit: samples and detectors are aligned that well."""

B_SD_ANGSTROM2 = 1.5
"""Standard deviation of a displacement parameter about the bulk's before the fit."""

CORRELATED_OF_B = (0.8, 0.5)
"""Amplitude of correlated motion over the smallest B, and its standard deviation, before the fit: 0.6 to 1.1
in PbS dots."""

PHASE_SIZES_NM = np.array([1.5, 2.5, 4.0, 7.0, 12.0])
"""Mean diameters of other crystals, nm: amounts of two neighbours give the width of those between."""

PHASE_DISPERSION = 0.15
"""Their dispersion."""

PHASE_STEP_INV_ANGSTROM = 0.005
"""Step at which their curves are computed, Å⁻¹: a tenth of the narrowest of their peaks."""

DISPERSION_PRIOR = Prior(math.log(0.12), 0.7)
"""Logarithm of the dispersion before the fit: 3 to 49 % within two standard deviations."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Refinement:
    """Result of `refine`: two fits of one pattern."""

    fit: FitResult
    """Fit with correlated motion and a disordered part, spheres averaged over their centre."""
    literature: FitResult
    """Fit as most published ones: ideal spheres of whole cells, atoms that move independently, no disordered
    part."""
    material: str
    """Name of the material."""
    wavelength_angstrom: float
    """Wavelength of the dispersion corrections and of the 2θ zero, Å."""
    q_limits_inv_angstrom: tuple[float, float]
    """Range that was fitted, Å⁻¹."""
    notes: tuple[str, ...]
    """What was assumed, one line each."""

    def to_dict(self) -> dict[str, Any]:
        """Numbers by name, for JSON.

        Returns
        -------
        All scalars of both fits; the curves are left out.
        """
        arrays = ("q_inv_angstrom", "intensity", "sigma", "curves", "log_mean_dispersion_covariance")

        def scalars(fit: FitResult) -> dict[str, Any]:
            return {name: value for name, value in vars(fit).items() if name not in arrays}

        return {**asdict(replace(self, fit=None, literature=None))} | {  # type: ignore[arg-type]
            "fit": scalars(self.fit),
            "literature": scalars(self.literature),
        }

    def __str__(self) -> str:
        fit = self.fit
        return (
            f"mass-weighted mean {fit.mass_mean_nm:.3f} ± {fit.mass_mean_sd_nm:.3f} nm, number-weighted mean "
            f"{fit.number_mean_nm:.3f} ± {fit.number_mean_sd_nm:.3f} nm, dispersion {fit.dispersion:.1%} ± "
            f"{fit.dispersion_sd:.1%}"
        )

    def __repr__(self) -> str:
        return f"<Refinement of {self.material}: {self}>"


def refine(
    pattern: Pattern | str | os.PathLike[str],
    *,
    material: str = "PbS",
    wavelength: float | None = None,
    energy: str | None = None,
    axis: Axis | str | None = None,
    solvent: str | os.PathLike[str] | None = None,
    q_range: tuple[float, float] | None = None,
    fwhm_deg: float = 0.0,
    b_angstrom2: Mapping[str, float] | None = None,
    phases: Sequence[str] = (),
    averaged_inv_angstrom: float = 0.0,
    progress: Progress = lambda *_: None,
) -> Refinement:
    """Fit one pattern with the Debye scattering equation.

    The first fit of a material simulates its templates, which takes seconds; they are kept in the user's
    cache folder (`QDSIZER_CACHE`).

    Parameters
    ----------
    pattern
        Pattern, or the path of a pattern file.
    material
        Material of the package, or path of a CIF or TOML file.
    wavelength
        Wavelength, Å; needed for a file of angles unless it states its own. For Q it sets dispersion
        corrections and the scale of the 2θ zero; 0.56 Å where it is not given.
    energy
        Photon energy with its unit instead, such as "22 keV".
    axis
        First column of a file, "two-theta" or "q"; None for the one that the file names, and otherwise 2θ.
    solvent
        Measured pattern of the pure solvent: Q (Å⁻¹), intensity and, where known, sigma.
    q_range
        First and last Q to fit, Å⁻¹; None for 0.9 to 15.3 Å⁻¹ where the pattern covers it.
    fwhm_deg
        Full width at half maximum of the instrument in 2θ, degrees; 0 for a perfect one.
    b_angstrom2
        Displacement parameters by element to begin from, Å²; the material's where left out.
    phases
        Other crystals that may be beside the dots: materials of the package, or paths of CIF or TOML files.
        Nanocrystals of 1.5 to 12 nm are fitted, with the lattice parameters of the bulk.
    averaged_inv_angstrom
        Range of Q that each point is an average over already, Å⁻¹, such as the bins of the newest frame of a
        live sizer (`live.examination.binned`); 0 for points as they were measured.
    progress
        Called at each step of a simulation.

    Returns
    -------
    Both fits.

    Raises
    ------
    ConfigurationError
        Wavelength and energy are both given, or a value is out of range.
    PatternError
        The file cannot be used, or the pattern has fewer than 60 usable bins in the range.
    PhysicsError
        The material cannot be used.
    """
    notes: list[str] = []
    light = given_wavelength(wavelength, energy)
    if not isinstance(pattern, Pattern):
        loaded = load_pattern(pattern, light, axis)
        pattern, found = loaded.pattern, loaded.wavelength_angstrom
        light = light if found is None else found
        notes += loaded.warnings
    if light is None:
        light = DEFAULT_WAVELENGTH_ANGSTROM
        notes.append(f"no wavelength is given: dispersion corrections are those at {light} Å")
    crystal = load_material(material)
    if b_angstrom2:
        crystal = crystal.with_b(b_angstrom2)
    notes += crystal.notes
    low, high = _limits(pattern, q_range)
    binned, width = _binned(pattern, low, high)
    width = math.hypot(width, averaged_inv_angstrom)
    usable = binned.usable
    n_usable = int(np.count_nonzero(usable))
    if n_usable < MIN_POINTS:
        raise PatternError(
            f"{n_usable} bins of {BIN_INV_ANGSTROM} Å⁻¹ between {low:.3g} and {high:.3g} Å⁻¹ hold data: a "
            f"fit needs at least {MIN_POINTS}; give another range of Q"
        )
    q, intensity, sigma = (v[usable] for v in (binned.q_inv_angstrom, binned.intensity, binned.sigma))
    measured = None if solvent is None else _solvent(Path(solvent), q)
    others = phase_curves(phases, q, light, width, fwhm_deg)
    results = []
    for spheres, options in (
        (Spheres.AVERAGED, _whole(crystal)),
        (Spheres.NODE, FitOptions(correlated_motion=False, disordered_part=False)),
    ):
        recipe = _recipe(spheres, crystal, light, high)
        templates, trouble = cached_templates(crystal, recipe, progress)
        if trouble and trouble not in notes:
            notes.append(trouble)
        fwhm = None if fwhm_deg == 0 else _fwhm(templates.q_inv_angstrom, fwhm_deg, light)
        results.append(
            FrameFit(templates, options).fit(
                q,
                intensity,
                sigma,
                solvent=measured,
                width_inv_angstrom=width,
                fwhm_inv_angstrom=fwhm,
                phases=others,
            )
        )
    fit, literature = results
    return Refinement(
        fit=fit,
        literature=literature,
        material=crystal.name,
        wavelength_angstrom=light,
        q_limits_inv_angstrom=(float(q[0]), float(q[-1])),
        notes=tuple(notes),
    )


def _whole(material: Material) -> FitOptions:
    """Options of the fit with all physics."""
    b = min(site.b_angstrom2 for site in material.sites)
    return FitOptions(
        priors={
            "log_dispersion": DISPERSION_PRIOR,
            "zero_rad": Prior(0.0, math.radians(ZERO_SD_DEG)),
            "correlated": Prior(CORRELATED_OF_B[0] * b, CORRELATED_OF_B[1] * max(b, 0.5)),
            "b": Prior(0.0, B_SD_ANGSTROM2),
        }
    )


def _limits(pattern: Pattern, q_range: tuple[float, float] | None) -> tuple[float, float]:
    usable = pattern.q_inv_angstrom[pattern.usable]
    if usable.size == 0:
        raise PatternError("the pattern has no usable point: check its intensities and their errors")
    low, high = Q_LIMITS_INV_ANGSTROM
    if q_range is not None:
        if not low <= q_range[0] < q_range[1] <= high:
            raise ConfigurationError(
                f"range of Q {q_range[0]:g} to {q_range[1]:g} Å⁻¹: give two ascending values within {low:g} "
                f"to {high:g} Å⁻¹"
            )
        low, high = q_range
    return max(low, float(usable[0])), min(high, float(usable[-1]))


def _binned(pattern: Pattern, low: float, high: float) -> tuple[Pattern, float]:
    """Bins of the pattern, and the range of Q that each averages over."""
    step = BIN_INV_ANGSTROM
    grid = BinGrid(
        q_first_inv_angstrom=low + step / 2, q_step_inv_angstrom=step, n_bins=max(int((high - low) / step), 2)
    )
    inside = (pattern.q_inv_angstrom >= low) & (pattern.q_inv_angstrom <= high)
    apart = (
        float(np.median(np.diff(pattern.q_inv_angstrom[inside]))) if np.count_nonzero(inside) > 2 else step
    )
    # n points at distance h scatter about their mean as an interval of length √((nh)² - h²) does.
    return bin_pattern(pattern, grid), math.sqrt(max(step**2 - apart**2, 0.0))


def _solvent(path: Path, q: NDArray[np.float64]) -> NDArray[np.float64]:
    loaded = load_pattern(path, unnamed=Axis.Q).pattern
    known = loaded.q_inv_angstrom[loaded.usable]
    if known.size == 0 or known[0] > q[0] or known[-1] < q[-1]:
        covered = f"{known[0]:.3g} to {known[-1]:.3g} Å⁻¹" if known.size else "nothing"
        raise PatternError(
            f"solvent {path} covers {covered}, the fit needs {q[0]:.3g} to {q[-1]:.3g} Å⁻¹: give a longer "
            "measurement or a shorter range of Q; the first column must be Q in Å⁻¹"
        )
    return np.asarray(np.interp(q, known, loaded.intensity[loaded.usable]))


def _recipe(spheres: Spheres, material: Material, wavelength: float, q_last: float) -> TemplateRecipe:
    """Ranges of the templates of a fit."""
    end = next(end for end in Q_ENDS_INV_ANGSTROM if q_last <= end)
    return TemplateRecipe(
        spheres=spheres,
        wavelength_angstrom=round(wavelength, 4),
        q_first_inv_angstrom=Q_LIMITS_INV_ANGSTROM[0] - MARGIN_INV_ANGSTROM,
        q_last_inv_angstrom=end * 1.03 + MARGIN_INV_ANGSTROM,
        last_nm=min(MAX_CLUSTER_OVER_MEAN * material.diameter_range_nm[1], MAX_CLUSTER_NM),
    )


def phase_curves(
    sources: Sequence[str], q: NDArray[np.float64], wavelength: float, width: float, fwhm_deg: float
) -> dict[str, NDArray[np.float64]]:
    """Curves of other crystals at the points, as the instrument shows them, with mean 1.

    Parameters
    ----------
    sources
        Materials: names or CIF files.
    q
        Points, Å⁻¹, shape (n,).
    wavelength
        Wavelength, Å.
    width
        Width of the bins around the points, Å⁻¹.
    fwhm_deg
        Full width at half maximum of the instrument in 2θ, degrees; 0 for none.

    Returns
    -------
    Curves of each material by name, shape (sizes, n).
    """
    grid = np.arange(q[0], q[-1] + PHASE_STEP_INV_ANGSTROM, PHASE_STEP_INV_ANGSTROM)
    # The mean over a bin is a Gaussian of the same variance for curves that vary as little within it.
    sd = np.full(grid.size, width / math.sqrt(12))
    if fwhm_deg:
        sd = np.hypot(sd, _fwhm(grid, fwhm_deg, wavelength) / FWHM_PER_SD)
    blur = blur_matrix(sd, PHASE_STEP_INV_ANGSTROM, 10 * PHASE_SIZES_NM[-1] * 1.5, 0, 0)
    curves = {}
    for material in (load_material(source) for source in sources):
        sharp = crystal_patterns(material, grid, PHASE_SIZES_NM, PHASE_DISPERSION, wavelength)
        shown = np.array([np.interp(q, grid, curve) for curve in (blur @ sharp.T).T])
        curves[material.name] = shown / shown.mean(axis=1, keepdims=True)
    return curves


def _fwhm(q: NDArray[np.float64], fwhm_deg: float, wavelength: float) -> NDArray[np.float64]:
    """Width of the instrument at these Q, Å⁻¹."""
    if not 0 < fwhm_deg < 2:
        raise ConfigurationError(f"instrument FWHM {fwhm_deg:g}°: give 0 to 2 degrees")
    reach = 4 * np.pi / wavelength
    angles = two_theta_from_q(np.minimum(q, 0.999 * reach), wavelength)
    return np.asarray(2 * np.pi / wavelength * np.cos(np.radians(angles / 2)) * math.radians(fwhm_deg))

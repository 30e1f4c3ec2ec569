"""One call from a pattern file to a size."""

import os
import warnings
from functools import lru_cache
from pathlib import Path

from .errors import ConfigurationError, PatternFileWarning
from .patterns import Axis, InstrumentResolution, Pattern, load_pattern, wavelength_from_energy
from .sizing import SizeEstimate, Sizer, SizingConfig

__all__ = ["size"]


def size(
    pattern: Pattern | str | os.PathLike[str],
    *,
    wavelength: float | None = None,
    energy: str | None = None,
    axis: Axis | str | None = None,
    model: str = "pbs",
    solvent: str | os.PathLike[str] | None = None,
    resolution: InstrumentResolution | str | None = None,
) -> SizeEstimate:
    """Size the quantum dots in one pattern.

    Parameters
    ----------
    pattern
        Pattern, or the path of a pattern file: 2θ or Q, intensity and, where known, sigma.
    wavelength
        Wavelength, Å; a file of angles needs it, or `energy`, unless it states its own. Q needs neither.
    energy
        Photon energy with its unit, such as "22 keV".
    axis
        First column of a file, "two-theta" or "q"; None for the one that the file names, and otherwise 2θ.
    model
        Model by name or path.
    solvent
        Measured pattern of the pure solvent: Q (Å⁻¹), intensity and, where known, sigma.
    resolution
        Width of the instrument's lines (FWHM), such as "0.02/A" or "0.05deg"; None where it is not known.

    Returns
    -------
    The estimate. A pattern that cannot be sized has a status other than "sized", NaN sizes and a reason.

    Raises
    ------
    ConfigurationError
        Wavelength and energy are both given; a `Pattern` with either, unless the resolution is in degrees; an
        unknown axis; a resolution that is not a width.
    PatternError
        The file, the wavelength or the energy cannot be used, or a file of angles has no wavelength.
    ModelError
        The model is unknown, or its file cannot be used.
    """
    if isinstance(resolution, str):
        resolution = InstrumentResolution.from_text(resolution)
    sizer = _sizer(model, None if solvent is None else Path(solvent), resolution)
    given = _wavelength(wavelength, energy)
    if isinstance(pattern, Pattern):
        in_degrees = sizer.instrument is not None and sizer.instrument.needs_wavelength
        if given is not None and not in_degrees:
            raise ConfigurationError(
                "a Pattern holds Q and needs no wavelength or energy: leave them out, "
                "or give the path of a file"
            )
        return sizer.size(pattern, wavelength_angstrom=given)
    loaded = load_pattern(pattern, given, axis)
    for message in loaded.warnings:
        warnings.warn(f"{pattern}: {message}", PatternFileWarning, stacklevel=2)
    return sizer.size(loaded.pattern, wavelength_angstrom=loaded.wavelength_angstrom)


def _wavelength(wavelength: float | None, energy: str | None) -> float | None:
    if wavelength is not None and energy is not None:
        raise ConfigurationError(
            f"wavelength {wavelength} Å and energy {energy!r} are both given: give one of the two"
        )
    return wavelength if energy is None else wavelength_from_energy(energy)


@lru_cache(maxsize=4)
def _sizer(model: str, solvent: Path | None, instrument: InstrumentResolution | None) -> Sizer:
    """Load a sizer once for many patterns: loading takes a hundred times as long as sizing."""
    return Sizer(SizingConfig(model=model, solvent=solvent, instrument=instrument))

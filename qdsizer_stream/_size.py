"""One call from a pattern file to a size."""

import os
from functools import lru_cache
from pathlib import Path

from .errors import ConfigurationError
from .patterns import Axis, Pattern, read_pattern, wavelength_from_energy
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

    Returns
    -------
    The estimate. A pattern that cannot be sized has a status other than "sized", NaN sizes and a reason.

    Raises
    ------
    ConfigurationError
        Wavelength and energy are both given; a `Pattern` with either; an unknown axis.
    PatternError
        The file, the wavelength or the energy cannot be used, or a file of angles has no wavelength.
    ModelError
        The model is unknown, or its file cannot be used.
    """
    sizer = _sizer(model, None if solvent is None else Path(solvent))
    if isinstance(pattern, Pattern):
        if wavelength is not None or energy is not None:
            raise ConfigurationError(
                "a Pattern holds Q and needs no wavelength or energy: leave them out, "
                "or give the path of a file"
            )
        return sizer.size(pattern)
    return sizer.size(read_pattern(pattern, _wavelength(wavelength, energy), axis))


def _wavelength(wavelength: float | None, energy: str | None) -> float | None:
    if wavelength is not None and energy is not None:
        raise ConfigurationError(
            f"wavelength {wavelength} Å and energy {energy!r} are both given: give one of the two"
        )
    return wavelength if energy is None else wavelength_from_energy(energy)


@lru_cache(maxsize=4)
def _sizer(model: str, solvent: Path | None) -> Sizer:
    """Load a sizer once for many patterns: loading takes a hundred times as long as sizing."""
    return Sizer(SizingConfig(model=model, solvent=solvent))

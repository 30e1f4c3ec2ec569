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
    axis: Axis | str = Axis.TWO_THETA,
    model: str = "pbs",
    solvent: str | os.PathLike[str] | None = None,
) -> SizeEstimate:
    """Size the quantum dots in one pattern.

    Parameters
    ----------
    pattern
        Pattern, or the path of a text file: 2θ (degrees) or Q (Å⁻¹), intensity and, where known, sigma.
    wavelength
        Wavelength, Å; a file needs it, or `energy`. A `Pattern` needs neither.
    energy
        Photon energy with its unit, such as "22 keV".
    axis
        First column of a file: "two-theta" or "q".
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
        A file without wavelength and energy, or with both; a `Pattern` with either; an unknown axis.
    PatternError
        The file, the wavelength or the energy cannot be used.
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
    return sizer.size(read_pattern(Path(pattern), _wavelength(wavelength, energy), _axis(axis)))


def _wavelength(wavelength: float | None, energy: str | None) -> float:
    if wavelength is not None and energy is not None:
        raise ConfigurationError(
            f"wavelength {wavelength} Å and energy {energy!r} are both given: give one of the two"
        )
    if energy is not None:
        return wavelength_from_energy(energy)
    if wavelength is None:
        raise ConfigurationError(
            "neither wavelength nor energy is given: give wavelength=0.5636 (Å) or energy='22 keV'"
        )
    return wavelength


def _axis(axis: Axis | str) -> Axis:
    try:
        return Axis(axis)
    except ValueError as error:
        raise ConfigurationError(
            f"axis {axis!r} is unknown: give {' or '.join(repr(known.value) for known in Axis)}"
        ) from error


@lru_cache(maxsize=4)
def _sizer(model: str, solvent: Path | None) -> Sizer:
    """Load a sizer once for many patterns: loading takes a hundred times as long as sizing."""
    return Sizer(SizingConfig(model=model, solvent=solvent))

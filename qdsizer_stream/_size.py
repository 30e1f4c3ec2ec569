"""One call from a pattern file to a size."""

import base64
import io
import os
import warnings
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import ConfigurationError, PatternFileWarning, missing_extra
from .patterns import Axis, InstrumentResolution, Pattern, given_wavelength, load_pattern
from .sizing import Examination, SizeEstimate, Sizer, SizingConfig

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PatternEstimate", "size"]

FIGURE_INCHES = (10.0, 6.5)
"""Size of the picture of one pattern, for which its fonts are chosen."""

NOTEBOOK_DPI, NOTEBOOK_WIDTH_PX = 80, 640
"""Resolution and shown width of the small picture in a notebook: 60 kB."""


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class PatternEstimate(SizeEstimate):
    """Size of the quantum dots in one pattern, with the picture of its fit.

    In a notebook it shows itself as both means, the status and a small picture.
    """

    examination: Examination = field()
    """The pattern in bins, its fit, and every acceptance check."""
    name: str = ""
    """Name of the file; empty for a `Pattern`."""

    def plot(self, figure: "Figure | None" = None) -> "Figure":
        """Draw the pattern, its fit and the residual.

        Parameters
        ----------
        figure
            Figure to draw into; None for a new one.

        Returns
        -------
        The figure, which a notebook shows; ``figure.savefig("fit.png")`` writes it.

        Raises
        ------
        MissingExtraError
            Matplotlib is not installed.
        """
        try:
            from .callbacks.display import NotebookFigure, draw_examination
        except ModuleNotFoundError as error:
            raise missing_extra(error) from error
        drawn = NotebookFigure(figsize=FIGURE_INCHES) if figure is None else figure
        draw_examination(self.examination, drawn, self.name)
        return drawn

    def _repr_html_(self) -> str:
        table = super()._repr_html_()
        try:
            drawn = self.plot()
        except ImportError:  # the numbers can be shown without Matplotlib
            return table
        png = io.BytesIO()
        drawn.savefig(png, format="png", dpi=NOTEBOOK_DPI)
        source = base64.b64encode(png.getvalue()).decode()
        picture = (
            f'<img alt="pattern and fit" width="{NOTEBOOK_WIDTH_PX}" src="data:image/png;base64,{source}">'
        )
        return f'<div style="display: flex; flex-wrap: wrap; gap: 1em">{table}{picture}</div>'


def size(
    pattern: Pattern | str | os.PathLike[str],
    *,
    wavelength: float | None = None,
    energy: str | None = None,
    axis: Axis | str | None = None,
    model: str = "pbs",
    solvent: str | os.PathLike[str] | None = None,
    resolution: InstrumentResolution | str | None = None,
) -> PatternEstimate:
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
    The estimate, with the picture of its fit (`PatternEstimate.plot`). A pattern that cannot be sized has a
    status other than "sized", NaN sizes and a reason.

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
    given = given_wavelength(wavelength, energy)
    if isinstance(pattern, Pattern):
        in_degrees = sizer.instrument is not None and sizer.instrument.needs_wavelength
        if given is not None and not in_degrees:
            raise ConfigurationError(
                "a Pattern holds Q and needs no wavelength or energy: leave them out, "
                "or give the path of a file"
            )
        return _with_picture(sizer.examine(pattern, wavelength_angstrom=given))
    loaded = load_pattern(pattern, given, axis)
    for message in loaded.warnings:
        warnings.warn(f"{pattern}: {message}", PatternFileWarning, stacklevel=2)
    examination = sizer.examine(loaded.pattern, wavelength_angstrom=loaded.wavelength_angstrom)
    return _with_picture(examination, Path(pattern).name)


def _with_picture(examination: Examination, name: str = "") -> PatternEstimate:
    values = examination.estimate.to_dict() | {"status": examination.estimate.status}
    return PatternEstimate(**values, examination=examination, name=name)


@lru_cache(maxsize=4)
def _sizer(model: str, solvent: Path | None, instrument: InstrumentResolution | None) -> Sizer:
    """Load a sizer once for many patterns: loading takes a hundred times as long as sizing."""
    return Sizer(SizingConfig(model=model, solvent=solvent, instrument=instrument))

"""Width of an instrument's lines as a function of Q."""

import re
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ..configuration import Config, SettingsPath, load_toml
from ..errors import ConfigurationError

__all__ = ["InstrumentResolution", "WidthFile"]

Caglioti = tuple[float, float, float]

WIDTHS = ("fwhm_inv_angstrom", "fwhm_deg", "caglioti_deg2")
"""Widths of which one is given, with or without a bandwidth."""

TEXT = re.compile(
    r"\s*(?P<number>[0-9.]+(e[+-]?\d+)?)\s*"
    r"(?P<unit>/\s*[aå]|1/\s*[aå]|[aå]\s*(\^-1|⁻¹|\*\*-1)|inv_?a(ngstrom)?|deg(rees?)?|°|)\s*",
    re.IGNORECASE,
)
"""A width with its unit, such as 0.02/A, 0.02 Å⁻¹, 0.05deg."""


class InstrumentResolution(Config):
    """Width of the instrument's lines, full width at half maximum (FWHM), without that of the sample.

    Give one width, a bandwidth, both, or a file. The width includes everything that the same lines of a
    sample without size broadening would show: beam, detector, sample thickness, spectrum.
    """

    fwhm_inv_angstrom: float | None = Field(default=None, gt=0, le=0.5)
    """FWHM, the same at every Q, Å⁻¹."""
    fwhm_deg: float | None = Field(default=None, gt=0, le=5)
    """FWHM, the same at every 2θ, degrees."""
    caglioti_deg2: Caglioti | None = None
    """U, V, W of FWHM² = U tan²θ + V tan θ + W (Caglioti, Paoletti and Ricci, Nucl. Instrum. 3, 223, 1958),
    degrees² of 2θ."""
    bandwidth: float | None = Field(default=None, gt=0, le=0.2)
    """FWHM of the source's spectrum over its energy, ΔE/E: adds Q ΔE/E to the width in quadrature; also for
    other widths in proportion to Q."""
    file: SettingsPath | None = None
    """File with these settings in a table [instrument], as `qdsizer-stream calibrate width` writes it;
    excludes all others."""

    @model_validator(mode="after")
    def _check_one_source(self) -> Self:
        given = [name for name in (*WIDTHS, "bandwidth", "file") if getattr(self, name) is not None]
        if not given:
            raise ValueError(f"no width is given: give one of {', '.join(WIDTHS)}, bandwidth or file")
        if len([name for name in given if name in WIDTHS]) > 1 or ("file" in given and len(given) > 1):
            raise ValueError(
                f"{' and '.join(given)} are given: give one of {', '.join(WIDTHS)}, with or without "
                "bandwidth, or a file alone"
            )
        if self.caglioti_deg2 is not None:
            u, v, w = self.caglioti_deg2
            # The square of the width is smallest at tan θ = -V/2U, where it is W - V²/4U.
            if not (w > 0 and u >= 0 and (v >= 0 or v**2 < 4 * u * w)):
                raise ValueError(
                    f"caglioti_deg2 = {list(self.caglioti_deg2)} is not the square of a width at every "
                    "angle: U must be 0 or more, W above 0 and, for V below 0, V² below 4 U W"
                )
        return self

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Create a constant width from text.

        Parameters
        ----------
        text
            FWHM with its unit: "0.02/A", "0.02 Å⁻¹", "0.05deg", "0.05°"; a bare number is in Å⁻¹, the
            unit of Q throughout this package.

        Returns
        -------
        The resolution.

        Raises
        ------
        ConfigurationError
            The text is not such a width, or the width is out of range.
        """
        match = TEXT.fullmatch(text)
        try:
            number = float(match["number"]) if match else None
        except ValueError:
            number = None
        if match is None or number is None:
            raise ConfigurationError(
                f"resolution {text!r} is not a width: give a number with its unit, 0.02/A (FWHM in Å⁻¹) or "
                "0.05deg (FWHM in degrees of 2θ)"
            )
        degrees = match["unit"].lower().startswith(("deg", "°"))
        name, limit = ("fwhm_deg", "5 degrees") if degrees else ("fwhm_inv_angstrom", "0.5 Å⁻¹")
        try:
            return cls(**{name: number})
        except ValueError:
            raise ConfigurationError(
                f"resolution {text!r} is out of range: it must be above 0 and at most {limit}"
            ) from None

    @property
    def needs_wavelength(self) -> bool:
        """Whether the width depends on angles, which only a wavelength turns into Q."""
        return self.fwhm_deg is not None or self.caglioti_deg2 is not None

    def loaded(self) -> Self:
        """Read the file, where one is given.

        Returns
        -------
        The settings of the file, or these.

        Raises
        ------
        ConfigurationError
            The file cannot be read, is not such a file, or refers to another one.
        """
        if self.file is None:
            return self
        found = load_toml(WidthFile, self.file).instrument
        if found.file is not None:
            raise ConfigurationError(
                f"{self.file} refers to another file, {found.file}: give the file that holds the width"
            )
        return type(self)(**found.model_dump(exclude_none=True))

    def fwhm_inv_angstrom_at(
        self, q_inv_angstrom: NDArray[np.floating], wavelength_angstrom: float | None = None
    ) -> NDArray[np.float64]:
        """Give the width at momentum transfers.

        Parameters
        ----------
        q_inv_angstrom
            Momentum transfers, Å⁻¹, any shape.
        wavelength_angstrom
            Wavelength, Å; needed where the width depends on the angle.

        Returns
        -------
        FWHM, Å⁻¹, in the same shape. Beyond 2θ = 180°, where nothing can be measured, that at 180°.

        Raises
        ------
        ConfigurationError
            The width depends on the angle and there is no wavelength, or the settings name a file that was
            not read (`loaded`).
        """
        if self.file is not None:
            return self.loaded().fwhm_inv_angstrom_at(q_inv_angstrom, wavelength_angstrom)
        q = np.asarray(q_inv_angstrom, dtype=np.float64)
        width: NDArray[np.float64] = np.zeros(q.shape)
        if self.fwhm_inv_angstrom is not None:
            width = np.full(q.shape, self.fwhm_inv_angstrom)
        elif self.needs_wavelength:
            if wavelength_angstrom is None or not wavelength_angstrom > 0:
                raise ConfigurationError(
                    "the width of the instrument is given in degrees and the wavelength is unknown: give the "
                    "wavelength, or the width in Å⁻¹"
                )
            sine = np.clip(q * wavelength_angstrom / (4 * np.pi), 0.0, 1.0)
            cosine = np.sqrt(1 - sine**2)
            # dQ/d(2θ) = 2π cos θ/λ per radian.
            per_degree = np.radians(2 * np.pi / wavelength_angstrom)
            if self.fwhm_deg is not None:
                width = per_degree * cosine * self.fwhm_deg
            else:
                assert self.caglioti_deg2 is not None
                u, v, w = self.caglioti_deg2
                # The cosine of the conversion is multiplied in, so that nothing is infinite at 180°.
                width = per_degree * np.sqrt(np.maximum(u * sine**2 + v * sine * cosine + w * cosine**2, 0))
        return width if self.bandwidth is None else np.hypot(width, q * self.bandwidth)

    def __str__(self) -> str:
        parts = []
        if self.file is not None:
            parts.append(f"as in {self.file}")
        if self.fwhm_inv_angstrom is not None:
            parts.append(f"{self.fwhm_inv_angstrom:.4g} Å⁻¹")
        if self.fwhm_deg is not None:
            parts.append(f"{self.fwhm_deg:.4g}°")
        if self.caglioti_deg2 is not None:
            parts.append("U V W = " + " ".join(f"{value:.4g}" for value in self.caglioti_deg2) + " degrees²")
        if self.bandwidth is not None:
            parts.append(f"ΔE/E {self.bandwidth:.2%}")
        return ", ".join(parts)


class WidthFile(Config):
    """File with the width of an instrument."""

    instrument: InstrumentResolution
    """The width."""

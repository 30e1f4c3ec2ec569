"""Width of an instrument's peaks as a function of Q, as simulated frames draw it."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ...configuration import Config
from ._draws import PositiveRange, Range, log_uniform

__all__ = ["ResolutionRanges"]


class ResolutionRanges(Config):
    """Ranges that the width of an instrument is drawn from.

    One of the widths given is drawn for each group of frames, all equally likely: constant in Q, constant in
    2θ, or Caglioti's H² = U tan²θ + V tan θ + W. A fraction of them is broadened further by the bandwidth of
    the source.
    """

    fwhm_inv_angstrom: PositiveRange | None = None
    """Full width at half maximum, constant in Q, log-uniform, Å⁻¹."""
    fwhm_deg: PositiveRange | None = None
    """Full width at half maximum, constant in 2θ, log-uniform, degrees."""
    caglioti_u_deg2: PositiveRange | None = None
    """U, log-uniform, degrees²; together with W."""
    caglioti_w_deg2: PositiveRange | None = None
    """W, log-uniform, degrees²: the squared width at 2θ = 0."""
    caglioti_v_ratio: Range = (-0.9, 0.0)
    """V over 2√(UW), uniform; above -1, where the width would vanish at some angle."""
    bandwidth: PositiveRange | None = None
    """Full width at half maximum of the source's spectrum over its energy, ΔE/E, log-uniform: ΔQ = Q ΔE/E."""
    banded: float = Field(default=0.0, ge=0, le=1)
    """Fraction of the groups of frames with this bandwidth."""

    @model_validator(mode="after")
    def _check_widths(self) -> "ResolutionRanges":
        if (self.caglioti_u_deg2 is None) != (self.caglioti_w_deg2 is None):
            raise ValueError(
                "a Caglioti width needs both caglioti_u_deg2 and caglioti_w_deg2: give both or neither"
            )
        if not -1 < self.caglioti_v_ratio[0] <= self.caglioti_v_ratio[1] <= 1:
            raise ValueError(
                f"caglioti_v_ratio = {self.caglioti_v_ratio} leaves -1 … 1: V² has to stay below 4 U W"
            )
        if self.banded > 0 and self.bandwidth is None:
            raise ValueError(f"banded = {self.banded:g} of the frames have a bandwidth: give it")
        if not self._widths and self.bandwidth is None:
            raise ValueError("no width is given: give fwhm_inv_angstrom, fwhm_deg, Caglioti's or bandwidth")
        return self

    @property
    def _widths(self) -> list[str]:
        kinds = {
            "q": self.fwhm_inv_angstrom,
            "angle": self.fwhm_deg,
            "caglioti": self.caglioti_u_deg2,
        }
        return [kind for kind, limits in kinds.items() if limits is not None]

    def drawn_fwhm(
        self, rng: np.random.Generator, two_theta_deg: NDArray[np.float64], wavelength_angstrom: float
    ) -> NDArray[np.float64]:
        """Draw one instrument.

        Parameters
        ----------
        rng
            Source of randomness.
        two_theta_deg
            Scattering angles, degrees, shape (n_q,).
        wavelength_angstrom
            Wavelength, Å.

        Returns
        -------
        Full width at half maximum, Å⁻¹, shape (n_q,).
        """
        width: NDArray[np.float64] = np.zeros(two_theta_deg.shape)
        if self._widths:
            kind = self._widths[rng.integers(len(self._widths))]
            width = self._one(kind, rng, two_theta_deg, wavelength_angstrom)
        if self.bandwidth is not None and rng.random() < self.banded:
            q = 4 * np.pi / wavelength_angstrom * np.sin(np.radians(two_theta_deg) / 2)
            width = np.hypot(width, q * log_uniform(rng, self.bandwidth, 1)[0])
        return width

    def widest_fwhm(
        self, two_theta_deg: NDArray[np.float64], wavelength_angstrom: float
    ) -> NDArray[np.float64]:
        """Bound the widths that may be drawn.

        Parameters
        ----------
        two_theta_deg, wavelength_angstrom
            As in `drawn_fwhm`.

        Returns
        -------
        Upper bounds, Å⁻¹, shape (n_q,).
        """
        widest = np.zeros(two_theta_deg.shape)
        half = np.radians(two_theta_deg) / 2
        per_deg = np.radians(2 * np.pi / wavelength_angstrom * np.cos(half))
        if self.fwhm_inv_angstrom is not None:
            widest = np.maximum(widest, self.fwhm_inv_angstrom[1])
        if self.fwhm_deg is not None:
            widest = np.maximum(widest, per_deg * self.fwhm_deg[1])
        if self.caglioti_u_deg2 is not None and self.caglioti_w_deg2 is not None:
            u, w = self.caglioti_u_deg2[1], self.caglioti_w_deg2[1]
            widest = np.maximum(widest, per_deg * (np.sqrt(u) * np.tan(half) + np.sqrt(w)))
        if self.bandwidth is not None:
            q = 4 * np.pi / wavelength_angstrom * np.sin(half)
            widest = np.hypot(widest, q * self.bandwidth[1])
        return widest

    def _one(
        self,
        kind: str,
        rng: np.random.Generator,
        two_theta_deg: NDArray[np.float64],
        wavelength_angstrom: float,
    ) -> NDArray[np.float64]:
        if kind == "q" and self.fwhm_inv_angstrom is not None:
            return np.full(two_theta_deg.shape, log_uniform(rng, self.fwhm_inv_angstrom, 1)[0])
        half = np.radians(two_theta_deg) / 2
        per_deg = np.radians(2 * np.pi / wavelength_angstrom * np.cos(half))
        if kind == "angle" and self.fwhm_deg is not None:
            return np.asarray(per_deg * log_uniform(rng, self.fwhm_deg, 1))
        if self.caglioti_u_deg2 is None or self.caglioti_w_deg2 is None:
            raise AssertionError(f"width {kind!r} was drawn without its ranges")
        u, w = (log_uniform(rng, limits, 1) for limits in (self.caglioti_u_deg2, self.caglioti_w_deg2))
        v = 2 * np.sqrt(u * w) * rng.uniform(*self.caglioti_v_ratio)
        tangent = np.tan(half)
        return np.asarray(per_deg * np.sqrt(u * tangent**2 + v * tangent + w))
